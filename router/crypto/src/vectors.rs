//! Values that another implementation of the protocols computed, for the tests.

use serde_json::Value;

/// One part of the file of vectors.
pub(crate) fn java(part: &str) -> Value {
    let all: Value = serde_json::from_str(include_str!("../../../tests/vectors/java.json")).unwrap();
    all.get(part).unwrap_or_else(|| panic!("no part {part}")).clone()
}

/// The bytes of a field in hexadecimal.
pub(crate) fn bytes(part: &Value, name: &str) -> Vec<u8> {
    let text = part[name].as_str().unwrap_or_else(|| panic!("no field {name}"));
    hex(text)
}

/// Bytes from hexadecimal digits.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let nibble = |c: u8| (c as char).to_digit(16).unwrap() as u8;
    text.as_bytes().chunks(2).map(|pair| nibble(pair[0]) << 4 | nibble(pair[1])).collect()
}

/// The bytes of a field of fixed length.
pub(crate) fn array<const N: usize>(part: &Value, name: &str) -> [u8; N] {
    bytes(part, name).try_into().unwrap_or_else(|_| panic!("{name} has another length"))
}
