//! Mappings: sorted pairs of short strings (common structures, "Mapping").

use std::collections::BTreeMap;

use crate::{Error, Reader};

/// Pairs of strings of at most 255 bytes each, written in the order of their keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping(BTreeMap<String, String>);

impl Mapping {
    /// A mapping without pairs.
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// Adds a pair, replacing one of the same key. Both are cut to 255 bytes.
    pub fn insert(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.0.insert(cut(key.into()), cut(value.into()));
    }

    /// The pairs in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Whether there is no pair.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Appends two bytes of length and the pairs, sorted.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let at = out.len();
        out.extend_from_slice(&[0; 2]);
        for (key, value) in self.iter() {
            for (text, end) in [(key, b'='), (value, b';')] {
                out.push(text.len() as u8);
                out.extend_from_slice(text.as_bytes());
                out.push(end);
            }
        }
        let length = ((out.len() - at - 2) as u16).to_be_bytes();
        if let Some(place) = out.get_mut(at..at + 2) {
            place.copy_from_slice(&length);
        }
    }

    /// Reads a mapping. Order is not demanded: whoever signs one signs its bytes.
    ///
    /// # Errors
    /// Where a length leaves the input, a separator is missing, text is not UTF-8, or a key comes twice.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let length = usize::from(reader.u16()?);
        let mut pairs = Reader::of(reader.take(length)?, "a mapping");
        let mut map = BTreeMap::new();
        while pairs.remaining() > 0 {
            let key = text(&mut pairs, b'=')?;
            let value = text(&mut pairs, b';')?;
            if map.insert(key, value).is_some() {
                return Err(Error::Invalid("a mapping with a key twice"));
            }
        }
        Ok(Self(map))
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Mapping {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let mut map = Self::new();
        for (key, value) in pairs {
            map.insert(key, value);
        }
        map
    }
}

fn cut(mut text: String) -> String {
    while text.len() > 255 {
        text.pop();
    }
    text
}

fn text(reader: &mut Reader<'_>, end: u8) -> Result<String, Error> {
    let length = usize::from(reader.u8()?);
    let bytes = reader.take(length)?;
    if reader.u8()? != end {
        return Err(Error::Invalid("a mapping's separator"));
    }
    String::from_utf8(bytes.to_vec()).map_err(|_| Error::Invalid("a mapping's text"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pairs_are_written_sorted() {
        let map: Mapping = [("v", "2"), ("host", "::1")].into_iter().collect();
        let mut out = Vec::new();
        map.encode(&mut out);
        assert_eq!(out, b"\0\x11\x04host=\x03::1;\x01v=\x012;");
        assert_eq!(Mapping::decode(&mut Reader::new(&out)).unwrap(), map);
    }

    #[test]
    fn a_key_twice_is_refused() {
        let twice = b"\0\x0c\x01a=\x01b;\x01a=\x01c;";
        assert!(Mapping::decode(&mut Reader::new(twice)).is_err());
    }

    proptest! {
        #[test]
        fn round_trips(pairs in prop::collection::btree_map(".{0,60}", ".{0,60}", 0..20)) {
            let map: Mapping = pairs.into_iter().collect();
            let mut out = Vec::new();
            map.encode(&mut out);
            let mut reader = Reader::new(&out);
            prop_assert_eq!(Mapping::decode(&mut reader).unwrap(), map);
            prop_assert!(reader.finish().is_ok());
        }

        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = Mapping::decode(&mut Reader::new(&bytes));
        }
    }
}
