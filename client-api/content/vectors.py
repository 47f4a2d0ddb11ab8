#!/usr/bin/env python3
"""Computes the test vectors of the content formats from docs/content.md alone, with Python's blake3 and cryptography.

    pip install blake3 cryptography && ./vectors.py

The tests of `block`, `signed` and `tree` hold what it prints.
"""

import struct

from blake3 import blake3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SIZE = 32768


def derive(context, *parts):
    return blake3(b"".join(parts), derive_key_context="allium content 1: " + context).digest()


def chacha20(key, nonce, data):
    cipher = Cipher(algorithms.ChaCha20(key, struct.pack("<I", 0) + nonce), mode=None)
    return cipher.encryptor().update(data)


def content_block(plain, key, number):
    sealed = chacha20(key, bytes(8) + struct.pack("<I", number), plain.ljust(SIZE, b"\0"))
    return derive("routing key of a content block", sealed), sealed


def signed_block(seed, crypto, name, version, target):
    signer = Ed25519PrivateKey.from_private_bytes(seed)
    public = signer.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    hidden = derive("hidden name of a signed block", crypto, b"\0", name)
    key = derive("encryption key of a signed block", crypto, hidden)
    plain = target.ljust(1024, b"\0")
    nonce = derive("nonce of a signed block", key, struct.pack(">Q", version), plain)[:12]
    sealed = chacha20(key, nonce, plain)
    block = b"\x01" + public + hidden + struct.pack(">Q", version) + nonce + sealed
    block += signer.sign(b"allium content 1: signed block" + block)
    owner = derive("hash of a public key", public)
    return derive("routing key of a signed block", owner, hidden), block


def tree(content, data, media=b""):
    """The CHK of content without check blocks, in segments of so many data blocks, of at most one level."""
    header = lambda depth, data: (
        bytes([1, 0, depth]) + struct.pack(">Q", len(content)) + blake3(content).digest()
        + struct.pack(">HH", data, 0) + bytes([len(media)]) + media)
    if len(header(0, 0)) + len(content) <= SIZE:
        root = header(0, 0) + content
    else:
        root = header(1, data)
        for at in range(0, len(content), data * SIZE):
            segment = content[at:at + data * SIZE]
            segment += bytes(-len(segment) % SIZE)
            count = len(segment) // SIZE
            key = derive("encryption key of a segment", struct.pack(">HH", count, 0), segment)
            root += key
            for number in range(count):
                root += content_block(segment[number * SIZE:(number + 1) * SIZE], key, number)[0]
    root = root.ljust(SIZE, b"\0")
    key = derive("encryption key of a root", root)
    return content_block(root, key, 0)[0] + key


print("content block", content_block(bytes([9] * 100), bytes([9] * 32), 0)[0].hex())
word = b"word"
seed, crypto = derive("signing key of a word", word), derive("encryption key of a word", word)
body = bytes([10]) + b"text/plain" + b"one"
key, block = signed_block(seed, crypto, word, 0, b"\x02" + struct.pack(">H", len(body)) + body)
print("signed block", key.hex(), derive("test", block).hex())
pattern = bytes(n * n // 251 % 256 for n in range(700_000))
print("one block", tree(pattern[:1000], 16, b"text/plain").hex())
print("two segments", tree(pattern, 16).hex())
