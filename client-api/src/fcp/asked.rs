//! What all requests have in common.

use std::str::FromStr;

use super::codes::{Code, Refusal};
use super::requests::Owner;
use super::wire::Message;

/// The fields that any request has.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) id: String,
    pub(super) owner: Owner,
    pub(super) verbosity: u32,
    persistence: &'static str,
    priority: u8,
    token: Option<String>,
}

/// Who asks: the connection's number, and the name that the client gave itself.
pub(super) struct Who<'a> {
    pub(super) connection: u64,
    pub(super) client: &'a str,
}

/// A field that is either true, or it is not there or false.
pub(super) fn flag(message: &Message, field: &str) -> bool {
    message.get(field).is_some_and(|value| value.eq_ignore_ascii_case("true") || value == "1")
}

/// A number, if it is there.
pub(super) fn number<T: FromStr>(message: &Message, field: &str) -> Result<Option<T>, Refusal> {
    let Some(text) = message.get(field).map(str::trim) else { return Ok(None) };
    let number = text.parse().map(Some);
    number.map_err(|_| Refusal::new(Code::Number, format!("{field} is no such number: {text}")))
}

/// A field that has to be there.
pub(super) fn needed<'a>(message: &'a Message, field: &str) -> Result<&'a str, Refusal> {
    message.get(field).ok_or_else(|| Refusal::missing(field))
}

/// Refuses what would be something else without these fields: none of them may be true.
pub(super) fn unsupported(message: &Message, fields: &[&str]) -> Result<(), Refusal> {
    match fields.iter().find(|field| flag(message, field)) {
        Some(field) => {
            Err(Refusal::new(Code::NotSupported, format!("{field} is not there: allium can't do that")))
        }
        None => Ok(()),
    }
}

impl Asked {
    pub(super) fn read(message: &Message, who: &Who<'_>) -> Result<Self, Refusal> {
        let id = needed(message, "Identifier")?.to_owned();
        let persistence = match message.get("Persistence") {
            None => "connection",
            Some(text) => *["connection", "reboot", "forever"]
                .iter()
                .find(|known| text.eq_ignore_ascii_case(known))
                .ok_or_else(|| {
                    Refusal::new(Code::InvalidField, "Persistence is connection, reboot or forever")
                })?,
        };
        let owner = match (flag(message, "Global"), persistence) {
            (true, "connection") => {
                let why = "a request of the global queue has Persistence=reboot or forever";
                return Err(Refusal::new(Code::NotSupported, why));
            }
            (true, _) => Owner::Global,
            (false, "connection") => Owner::Connection(who.connection),
            (false, _) => Owner::Client(who.client.to_owned()),
        };
        Ok(Self {
            id,
            owner,
            persistence,
            verbosity: number::<i64>(message, "Verbosity")?.unwrap_or_default() as u32,
            priority: number(message, "PriorityClass")?.unwrap_or(3),
            token: message.get("ClientToken").map(str::to_owned),
        })
    }

    /// `PersistentGet` and the like, for those who list requests.
    pub(super) fn describe(&self, name: &str) -> Message {
        Message::new(name)
            .with("Identifier", &self.id)
            .with("Global", self.owner == Owner::Global)
            .with("Persistence", self.persistence)
            .with("PriorityClass", self.priority)
            .with("Verbosity", self.verbosity)
            .with("Started", true)
            .with("MaxRetries", 0)
            .with("RealTime", false)
            .with_some("ClientToken", self.token.as_ref())
    }
}
