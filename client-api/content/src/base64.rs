//! Base64 as key URIs have it: `~` for 62, `-` for 63, no padding.

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789~-";

/// Why a text is no base64 of so many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// It has another length.
    Length,
    /// It has a character of another alphabet, or bits set after the last byte.
    Letter,
}

/// Letters of so many bytes.
pub(crate) const fn letters(bytes: usize) -> usize {
    (bytes * 8).div_ceil(6)
}

/// Appends the bytes' letters.
pub(crate) fn push(out: &mut String, data: &[u8]) {
    for three in data.chunks(3) {
        let mut word = 0u32;
        for place in 0..3 {
            word = word << 8 | u32::from(three.get(place).copied().unwrap_or(0));
        }
        for place in 0..letters(three.len()) {
            let value = word >> (18 - 6 * place) & 63;
            out.push(char::from(LETTERS.get(value as usize).copied().unwrap_or(b'?')));
        }
    }
}

/// Reads exactly `N` bytes; each value has one spelling.
pub(crate) fn decode<const N: usize>(text: &str) -> Result<[u8; N], Wrong> {
    if text.len() != letters(N) {
        return Err(Wrong::Length);
    }
    let mut out = [0; N];
    let mut places = out.iter_mut();
    let (mut held, mut count) = (0u32, 0);
    for letter in text.bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'~' => 62,
            b'-' => 63,
            _ => return Err(Wrong::Letter),
        };
        held = held << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            if let Some(place) = places.next() {
                *place = (held >> count) as u8;
            }
            held &= (1 << count) - 1;
        }
    }
    if held == 0 { Ok(out) } else { Err(Wrong::Letter) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encode(data: &[u8]) -> String {
        let mut out = String::new();
        push(&mut out, data);
        out
    }

    #[test]
    fn freenets_own_texts() {
        assert_eq!(encode(&[0, 3, 2, 0xff, 0xff]), "AAMC--8");
        assert_eq!(encode(&[1, 1, 2, 0, 1]), "AQECAAE");
        assert_eq!(encode(&[0xfb, 0xff, 0xfe]), "~--~");
        assert_eq!(decode::<5>("AQACAAE"), Ok([1, 0, 2, 0, 1]));
    }

    #[test]
    fn other_spellings_are_refused() {
        assert_eq!(decode::<5>("AQACAAF"), Err(Wrong::Letter), "bits after the last byte");
        assert_eq!(decode::<5>("AQACAA="), Err(Wrong::Letter));
        assert_eq!(decode::<5>("AQACAA"), Err(Wrong::Length));
        assert_eq!(decode::<5>("AQACAAE="), Err(Wrong::Length));
        assert_eq!(decode::<3>("+///"), Err(Wrong::Letter));
        assert_eq!(decode::<3>("éé"), Err(Wrong::Letter));
    }

    proptest! {
        #[test]
        fn round_trips(data: [u8; 32], extra: [u8; 5]) {
            prop_assert_eq!(encode(&data).len(), 43);
            prop_assert_eq!(decode(&encode(&data)), Ok(data));
            prop_assert_eq!(decode(&encode(&extra)), Ok(extra));
        }

        #[test]
        fn never_panics_and_has_one_spelling(text: String) {
            if let Ok(bytes) = decode::<5>(&text) {
                prop_assert_eq!(encode(&bytes), text);
            }
        }
    }
}
