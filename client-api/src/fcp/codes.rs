//! What went wrong, in FCP's numbers.

use super::wire::Message;
use crate::content::Error;

/// Why a message was refused, as `ProtocolError` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    HelloFirst = 1,
    LateHello = 2,
    Parse = 3,
    Uri = 4,
    MissingField = 5,
    Number = 6,
    UnknownMessage = 7,
    InvalidField = 8,
    FileNotFound = 9,
    TargetExists = 10,
    NoSuchIdentifier = 15,
    NotSupported = 16,
    Internal = 17,
    AccessDenied = 24,
    DiskDenied = 25,
    NoPlugin = 32,
    MimeType = 35,
}

impl Code {
    fn description(self) -> &'static str {
        match self {
            Self::HelloFirst => "ClientHello must be first message",
            Self::LateHello => "No late ClientHello's accepted",
            Self::Parse => "Unknown message parsing error",
            Self::Uri => "Error parsing URI",
            Self::MissingField => "Missing field",
            Self::Number => "Error parsing a numeric field",
            Self::UnknownMessage => "Don't know what to do with message",
            Self::InvalidField => "Invalid field value",
            Self::FileNotFound => "File not found, not a file or not readable",
            Self::TargetExists => "Disk target exists, refusing to overwrite",
            Self::NoSuchIdentifier => "No such identifier",
            Self::NotSupported => "Not supported",
            Self::Internal => "Internal error",
            Self::AccessDenied => "Access denied",
            Self::DiskDenied => "Direct disk access denied: use TestDDA or FileHash",
            Self::NoPlugin => "No such plugin",
            Self::MimeType => "Bad MIME type",
        }
    }
}

/// A message that is not obeyed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: Code,
    /// For people.
    pub(super) why: String,
}

impl Refusal {
    pub(super) fn new(code: Code, why: impl Into<String>) -> Self {
        Self { code, why: why.into() }
    }

    pub(super) fn missing(field: &str) -> Self {
        Self::new(Code::MissingField, format!("there is no {field}"))
    }

    /// The `ProtocolError`; with `fatal`, the connection is closed behind it.
    pub(super) fn message(&self, id: Option<&str>, global: bool, fatal: bool) -> Message {
        Message::new("ProtocolError")
            .with("Code", self.code as u16)
            .with("CodeDescription", self.code.description())
            .with("ExtraDescription", &self.why)
            .with("Fatal", fatal)
            .with("Global", global)
            .with_some("Identifier", id)
    }
}

impl From<allium_content::uri::Error> for Refusal {
    fn from(error: allium_content::uri::Error) -> Self {
        Self::new(Code::Uri, error.to_string())
    }
}

/// How a request failed: the number, what it is called, and whether trying again is in vain.
pub(super) struct Failure {
    code: u16,
    short: &'static str,
    fatal: bool,
    why: String,
    more: Option<(&'static str, String)>,
}

impl Failure {
    /// `GetFailed`.
    pub(super) fn of_get(error: &Error) -> Self {
        let (code, short, fatal) = match error {
            Error::NotFound(_) => (13, "Data not found", false),
            Error::Unavailable(_) => (14, "Route not found", false),
            Error::NoSuchPath(_) => (10, "Not in archive", true),
            Error::WrongKind(_) => (24, "Not enough path components", true),
            Error::Invalid(_) => (4, "Invalid metadata", true),
            Error::TooLarge { .. } => (21, "Too big", true),
            Error::Uri(_) => (20, "Invalid URI", true),
            Error::Io(_) => (12, "Temporary files error", false),
            Error::Stopped => (25, "Cancelled by caller", false),
            Error::Unpublishable(_) | Error::Collision => (17, "Internal error", true),
        };
        let more = match error {
            Error::TooLarge { length, .. } => Some(("ExpectedDataLength", length.to_string())),
            _ => None,
        };
        Self { code, short, fatal, why: error.to_string(), more }
    }

    /// `GetFailed` because there is another URI to ask for.
    pub(super) fn redirect(code: u16, short: &'static str, why: &str, uri: String) -> Self {
        Self { code, short, fatal: true, why: why.to_owned(), more: Some(("RedirectURI", uri)) }
    }

    /// `PutFailed`.
    pub(super) fn of_put(error: &Error) -> Self {
        let (code, short, fatal) = match error {
            Error::Unpublishable(_) | Error::Uri(_) | Error::WrongKind(_) => (1, "Invalid URI", true),
            Error::Io(_) => (2, "Temporary files error", false),
            Error::Unavailable(_) => (5, "Route not found", false),
            Error::NotFound(_) | Error::NoSuchPath(_) => (7, "Too many retries in blocks", false),
            Error::Collision => (9, "Collided", true),
            Error::Stopped => (10, "Cancelled", false),
            Error::TooLarge { .. } => (12, "Too big", true),
            Error::Invalid(_) => (3, "Internal error", true),
        };
        Self { code, short, fatal, why: error.to_string(), more: None }
    }

    /// The message of that name.
    pub(super) fn message(&self, name: &str) -> Message {
        let message = Message::new(name)
            .with("Code", self.code)
            .with("CodeDescription", self.short)
            .with("ShortCodeDescription", self.short)
            .with("ExtraDescription", &self.why)
            .with("Fatal", self.fatal);
        match &self.more {
            Some((key, value)) => message.with(key, value),
            None => message,
        }
    }
}
