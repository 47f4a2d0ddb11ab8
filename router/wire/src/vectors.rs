//! What Java I2P makes of fixed keys.

use serde_json::Value;

pub(crate) fn java() -> Value {
    serde_json::from_str(include_str!("../../../tests/vectors/java.json")).unwrap()
}

/// What `DatagramVectors.java` made.
pub(crate) fn datagrams() -> Value {
    serde_json::from_str(include_str!("../../../tests/vectors/datagrams.json")).unwrap()
}

/// A hexadecimal value of a part of the vectors.
pub(crate) fn hex(part: &Value, name: &str) -> Vec<u8> {
    let text = part[name].as_str().unwrap();
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}
