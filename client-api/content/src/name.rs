//! Names and paths: what strangers may call things.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// Why a text is no name or path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing is there.
    #[error("a name is empty")]
    Empty,
    /// A name of more than [`Name::MAX`] bytes, a path of more than [`Path::MAX`], or of too many parts.
    #[error("a name is longer than 255 bytes, or a path longer than 1024 bytes or 32 parts")]
    Long,
    /// `.` or `..`, which would lead out of the folder.
    #[error("a name is `.` or `..`")]
    Dots,
    /// A slash or backslash inside a name, or at the beginning of a path.
    #[error("a slash or backslash stands where none may")]
    Slash,
    /// A control character, a line separator, or one that turns the direction of writing.
    #[error("a name has a control character")]
    Control,
    /// A `%` without two hexadecimal digits, or bytes that are not UTF-8.
    #[error("the percent encoding is broken")]
    Percent,
}

fn forbidden(letter: char) -> bool {
    letter.is_control() || matches!(letter, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

fn check(name: &str) -> Result<(), NameError> {
    match name {
        "" => Err(NameError::Empty),
        "." | ".." => Err(NameError::Dots),
        _ if name.len() > Name::MAX => Err(NameError::Long),
        _ if name.contains(['/', '\\']) => Err(NameError::Slash),
        _ if name.chars().any(forbidden) => Err(NameError::Control),
        _ => Ok(()),
    }
}

/// A name that can stand for one file: UTF-8, not empty, no slash or backslash, no control character, not `.` or `..`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

impl Name {
    /// Most bytes of a name.
    pub const MAX: usize = 255;

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        check(text)?;
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A relative path: [`Name`]s with slashes between them; may be empty. It can't lead out of the folder it is used in.
///
/// Paths are ordered part by part, so that what is in a folder stands together, right behind a file of its name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Path(String);

impl Ord for Path {
    fn cmp(&self, other: &Self) -> Ordering {
        // The slash before everything else that a part may have in it.
        let rank = |byte| if byte == b'/' { 0 } else { byte };
        self.0.bytes().map(rank).cmp(other.0.bytes().map(rank))
    }
}

impl PartialOrd for Path {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Path {
    /// Most bytes of a path.
    pub const MAX: usize = 1024;
    /// Most parts of a path.
    pub const MAX_PARTS: usize = 32;

    /// The path, without a slash at either end.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether there are no parts.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Its parts.
    pub fn parts(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/').filter(|part| !part.is_empty())
    }

    /// The last part.
    pub fn name(&self) -> Option<&str> {
        self.parts().next_back()
    }

    /// The path of the folder that it is in; `None` of the empty path.
    pub fn parent(&self) -> Option<Self> {
        if self.0.is_empty() {
            return None;
        }
        Some(self.0.rsplit_once('/').map_or_else(Self::default, |(front, _)| Self(front.to_owned())))
    }

    /// Whether it is in that folder, at any depth; it is not in itself.
    pub fn is_inside(&self, folder: &Self) -> bool {
        if folder.is_empty() {
            return !self.is_empty();
        }
        self.0.strip_prefix(&folder.0).is_some_and(|rest| rest.starts_with('/'))
    }

    /// This path, then the other.
    ///
    /// # Errors
    /// [`NameError::Long`] if that is too long.
    pub fn join(&self, other: &Self) -> Result<Self, NameError> {
        match (self.0.as_str(), other.0.as_str()) {
            ("", _) => Ok(other.clone()),
            (_, "") => Ok(self.clone()),
            (front, back) => format!("{front}/{back}").parse(),
        }
    }

    /// What follows `front` in this path, if it begins with it.
    pub fn strip(&self, front: &Self) -> Option<Self> {
        if front.is_empty() {
            return Some(self.clone());
        }
        let rest = self.0.strip_prefix(&front.0)?;
        if rest.is_empty() {
            return Some(Self::default());
        }
        rest.strip_prefix('/').map(|rest| Self(rest.to_owned()))
    }
}

impl FromStr for Path {
    type Err = NameError;

    /// Reads a path; the empty text is the empty path, and a slash at the end is left out.
    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let text = text.strip_suffix('/').unwrap_or(text);
        if text.is_empty() || text.starts_with('/') {
            return Err(NameError::Slash);
        }
        let mut parts = 0;
        for part in text.split('/') {
            check(part)?;
            parts += 1;
        }
        if text.len() > Self::MAX || parts > Self::MAX_PARTS {
            return Err(NameError::Long);
        }
        Ok(Self(text.to_owned()))
    }
}

impl From<Name> for Path {
    fn from(name: Name) -> Self {
        Self(name.0)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Appends text, percent-encoded but for what may stand in the path of a URI (slashes stay).
pub(crate) fn push_encoded(out: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for digit in [byte >> 4, byte & 15] {
                out.push(char::from_digit(u32::from(digit), 16).unwrap_or('0').to_ascii_uppercase());
            }
        }
    }
}

/// Undoes the percent encoding of one part. A slash that was encoded stays inside the part, where [`Name`] refuses it.
pub(crate) fn decoded(part: &str) -> Result<String, NameError> {
    let mut out = Vec::with_capacity(part.len());
    let mut bytes = part.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        let (Some(high), Some(low)) = (digit(), digit()) else { return Err(NameError::Percent) };
        out.push((high << 4 | low) as u8);
    }
    String::from_utf8(out).map_err(|_| NameError::Percent)
}

#[cfg(test)]
mod tests;
