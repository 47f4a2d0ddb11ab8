//! FCP's messages, without input and output: bytes in any pieces become messages and the data behind them.
//!
//! ```text
//! ClientPut                    a name
//! Identifier=1                 fields
//! URI=CHK@
//! DataLength=5
//! Data                         or EndMessage, where no data follows
//! hello                        so many bytes, and no newline behind them
//! ```
//! How long the data is, depends on the message: whoever asked says so to the parser ([`Parser::expect`]).

use std::collections::BTreeMap;
use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};

/// Most bytes of a line.
pub(crate) const MAX_LINE: usize = 16 * 1024;
/// Most fields of a message: a folder of some ten thousand files.
pub(crate) const MAX_FIELDS: usize = 65_536;
/// Most bytes of a message, data not counted.
pub(crate) const MAX_MESSAGE: usize = 4 * 1024 * 1024;
/// Most letters of a message's name.
const MAX_NAME: usize = 64;

/// A message, without data. Its fields are not printed, as keys to publish with are among them.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// What it is.
    pub(crate) name: String,
    fields: BTreeMap<String, String>,
}

impl fmt::Debug for Message {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} of {} fields", self.name, self.fields.len())
    }
}

impl Message {
    /// A message without fields.
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), fields: BTreeMap::new() }
    }

    /// The message with another field; a line break in it becomes a space.
    #[must_use]
    pub(crate) fn with(mut self, key: &str, value: impl fmt::Display) -> Self {
        let value = value.to_string().replace(['\n', '\r'], " ");
        self.fields.insert(key.to_owned(), value);
        self
    }

    /// The message with another field, if there is a value.
    #[must_use]
    pub(crate) fn with_some(self, key: &str, value: Option<impl fmt::Display>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    /// A field.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.fields.get(key).map(String::as_str)
    }

    /// Appends it; with `data`, so many bytes are to follow.
    pub(crate) fn encode(&self, data: Option<u64>, out: &mut BytesMut) {
        out.put_slice(self.name.as_bytes());
        out.put_u8(b'\n');
        for (key, value) in &self.fields {
            for part in [key.as_bytes(), b"=", value.as_bytes(), b"\n"] {
                out.put_slice(part);
            }
        }
        match data {
            Some(length) => out.put_slice(format!("DataLength={length}\nData\n").as_bytes()),
            None => out.put_slice(b"EndMessage\n"),
        }
    }
}

/// Why the bytes are no message. Where the next one begins can't be known then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// No name of a message.
    Name,
    /// A line longer than [`MAX_LINE`], or one that is not UTF-8.
    Line,
    /// A line that is neither a field nor the end.
    Field,
    /// More fields than [`MAX_FIELDS`], or more bytes than [`MAX_MESSAGE`].
    Long,
    /// Data behind a message that does not say how much.
    Length,
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Name => "a message begins with its name, letters and digits on a line of their own",
            Self::Line => "a line is longer than 16384 bytes, or no UTF-8",
            Self::Field => "a line is neither Key=Value nor EndMessage nor Data",
            Self::Long => "a message has more than 65536 fields or 4 MiB",
            Self::Length => "data follows a message that does not say how long it is",
        })
    }
}

/// What has come.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// More bytes are needed.
    More,
    /// A message; whether data is behind it, whose length is then to be told ([`Parser::expect`]).
    Message(Message, bool),
    /// The next bytes of data.
    Data(Bytes),
    /// All data has come.
    DataEnd,
}

#[derive(Debug, Default)]
enum State {
    /// Between messages.
    #[default]
    Between,
    /// Within one, of so many bytes as yet.
    Fields(Message, usize),
    /// Behind one with data of a length not told yet.
    Unmeasured,
    /// Within data, of which so many bytes are to come.
    Data(u64),
}

/// Finds the messages in a stream of bytes. Keeps no more than the message under way.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    state: State,
    /// Bytes of the line under way that were seen to have no end in them.
    seen: usize,
}

impl Parser {
    /// How long the data behind the last message is.
    pub(crate) fn expect(&mut self, length: u64) {
        if matches!(self.state, State::Unmeasured) {
            self.state = State::Data(length);
        }
    }

    /// Whether a message or its data is under way, so that silence is odd.
    pub(crate) fn within(&self, input: &BytesMut) -> bool {
        !input.is_empty() || !matches!(self.state, State::Between)
    }

    /// Takes what can be taken from the front of `input`.
    ///
    /// # Errors
    /// Where there is no message; nothing behind it can be understood.
    pub(crate) fn step(&mut self, input: &mut BytesMut) -> Result<Step, Fault> {
        loop {
            match &mut self.state {
                State::Unmeasured => return Err(Fault::Length),
                State::Data(0) => {
                    self.state = State::Between;
                    return Ok(Step::DataEnd);
                }
                State::Data(_) if input.is_empty() => return Ok(Step::More),
                State::Data(left) => {
                    let take = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                    *left -= take as u64;
                    return Ok(Step::Data(input.split_to(take).freeze()));
                }
                State::Between | State::Fields(..) => {}
            }
            let Some(line) = self.line(input)? else { return Ok(Step::More) };
            if let Some(step) = self.take(&line)? {
                return Ok(step);
            }
        }
    }

    /// The next line, without its end.
    fn line(&mut self, input: &mut BytesMut) -> Result<Option<String>, Fault> {
        let unseen = input.get(self.seen..).unwrap_or_default();
        let Some(end) = unseen.iter().position(|byte| *byte == b'\n') else {
            self.seen = input.len();
            return if self.seen > MAX_LINE { Err(Fault::Line) } else { Ok(None) };
        };
        let mut line = input.split_to(self.seen + end + 1);
        self.seen = 0;
        line.truncate(line.len() - 1);
        while line.last() == Some(&b'\r') {
            line.truncate(line.len() - 1);
        }
        if line.len() > MAX_LINE {
            return Err(Fault::Line);
        }
        std::str::from_utf8(&line).map(|line| Some(line.to_owned())).map_err(|_| Fault::Line)
    }

    /// What a line says.
    fn take(&mut self, line: &str) -> Result<Option<Step>, Fault> {
        let (mut message, mut length) = match std::mem::take(&mut self.state) {
            State::Fields(message, length) => (message, length),
            _ if line.is_empty() => return Ok(None),
            _ => {
                if line.len() > MAX_NAME || !line.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                    return Err(Fault::Name);
                }
                self.state = State::Fields(Message::new(line), line.len());
                return Ok(None);
            }
        };
        match line {
            "EndMessage" | "End" => return Ok(Some(Step::Message(message, false))),
            "Data" => {
                self.state = State::Unmeasured;
                return Ok(Some(Step::Message(message, true)));
            }
            _ => {}
        }
        let (key, value) = line.split_once('=').ok_or(Fault::Field)?;
        length += line.len();
        message.fields.insert(key.to_owned(), value.to_owned());
        if message.fields.len() > MAX_FIELDS || length > MAX_MESSAGE {
            return Err(Fault::Long);
        }
        self.state = State::Fields(message, length);
        Ok(None)
    }
}

#[cfg(test)]
mod tests;
