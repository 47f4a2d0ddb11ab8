//! Base64 in I2P's alphabet, base32, and `.b32.i2p` names.

use crate::{DestHash, Error};

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-~";
const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// The bits of each byte in groups of `bits`, the last filled with zeros, as letters of `alphabet`.
fn encode(data: &[u8], bits: u32, alphabet: &[u8]) -> String {
    let mut out = String::with_capacity(data.len() * 8 / bits as usize + 4);
    let (mut held, mut count) = (0u32, 0);
    let mask = (1u32 << bits) - 1;
    let mut letter = |value: u32| out.push(char::from(alphabet.get(value as usize).copied().unwrap_or(b'?')));
    for byte in data {
        held = held << 8 | u32::from(*byte);
        count += 8;
        while count >= bits {
            count -= bits;
            letter(held >> count & mask);
        }
        held &= (1 << count) - 1;
    }
    if count > 0 {
        letter(held << (bits - count) & mask);
    }
    out
}

/// The inverse of [`encode`]; bits that fill the last letter must be zero.
fn decode(letters: impl Iterator<Item = Option<u32>>, bits: u32, size: usize) -> Result<Vec<u8>, Error> {
    let mut out = Vec::with_capacity(size);
    let (mut held, mut count) = (0u32, 0);
    for value in letters {
        held = held << bits | value.ok_or(Error::Invalid("a character of the encoding"))?;
        count += bits;
        if count >= 8 {
            count -= 8;
            out.push((held >> count) as u8);
            held &= (1 << count) - 1;
        }
    }
    if count >= bits || held != 0 {
        return Err(Error::Invalid("the encoding's end"));
    }
    Ok(out)
}

/// I2P's base64: `-` for 62, `~` for 63, padded with `=`.
pub fn base64_encode(data: &[u8]) -> String {
    let mut out = encode(data, 6, BASE64);
    while !out.len().is_multiple_of(4) {
        out.push('=');
    }
    out
}

/// Reads I2P's base64, padded or not.
///
/// # Errors
/// [`Error::Invalid`] for another character, or an end that no encoder makes.
pub fn base64_decode(text: &str) -> Result<Vec<u8>, Error> {
    let letters = text.trim_end_matches('=').as_bytes();
    let value = |byte: &u8| match byte {
        b'A'..=b'Z' => Some(u32::from(byte - b'A')),
        b'a'..=b'z' => Some(u32::from(byte - b'a') + 26),
        b'0'..=b'9' => Some(u32::from(byte - b'0') + 52),
        b'-' => Some(62),
        b'~' => Some(63),
        _ => None,
    };
    if text.len() - letters.len() > 2 {
        return Err(Error::Invalid("base64 padding"));
    }
    decode(letters.iter().map(value), 6, letters.len() * 3 / 4)
}

/// Base32 in lower case, not padded.
pub fn base32_encode(data: &[u8]) -> String {
    encode(data, 5, BASE32)
}

/// Reads base32 in either case, not padded.
///
/// # Errors
/// [`Error::Invalid`] for another character, or an end that no encoder makes.
pub fn base32_decode(text: &str) -> Result<Vec<u8>, Error> {
    let value = |byte: u8| match byte.to_ascii_lowercase() {
        letter @ b'a'..=b'z' => Some(u32::from(letter - b'a')),
        digit @ b'2'..=b'7' => Some(u32::from(digit - b'2') + 26),
        _ => None,
    };
    decode(text.bytes().map(value), 5, text.len() * 5 / 8)
}

/// The hash that a `.b32.i2p` name of 52 characters spells; `None` for any other text.
pub fn parse_b32(name: &str) -> Option<DestHash> {
    let name = name.strip_suffix(".b32.i2p").or_else(|| name.strip_suffix(".B32.I2P"))?;
    if name.len() != 52 {
        return None;
    }
    let bytes = base32_decode(name).ok()?;
    Some(DestHash(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_texts() {
        assert_eq!(base64_encode(b"\xfb\xff\xfe"), "-~~-");
        assert_eq!(base64_encode(b"a"), "YQ==");
        assert_eq!(base32_encode(b"foobar"), "mzxw6ytboi");
        assert_eq!(base64_decode("YQ").unwrap(), b"a");
        for wrong in ["YR==", "Y", "Y+==", "YQ===", "é"] {
            assert!(base64_decode(wrong).is_err(), "{wrong}");
        }
        let hash = DestHash([9; 32]);
        assert_eq!(parse_b32(&hash.b32()), Some(hash));
        assert_eq!(parse_b32("abc.b32.i2p"), None);
    }

    proptest! {
        #[test]
        fn round_trips(data: Vec<u8>) {
            prop_assert_eq!(&base64_decode(&base64_encode(&data)).unwrap(), &data);
            prop_assert_eq!(&base32_decode(&base32_encode(&data)).unwrap(), &data);
        }

        #[test]
        fn never_panics(text: String) {
            let _ = (base64_decode(&text), base32_decode(&text), parse_b32(&text));
        }
    }
}
