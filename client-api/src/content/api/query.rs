//! What stands in a request's query.

use std::collections::BTreeMap;
use std::str::FromStr;

use allium_content::uri::Insert;
use allium_content::{MediaType, Path};
use hyper::HeaderMap;
use percent_encoding::percent_decode_str;

use super::Failure;
use crate::content::{PutOptions, Uri};

/// The header that says where to publish: what stands in it is never logged, and in no shell's list of processes.
const TO: &str = "allium-to";

/// A query's fields, each once.
#[derive(Debug, Default)]
pub(super) struct Query(BTreeMap<String, String>);

impl Query {
    /// Of a request's URI.
    pub(super) fn of(uri: &hyper::Uri) -> Result<Self, Failure> {
        let mut fields = BTreeMap::new();
        for field in uri.query().unwrap_or_default().split('&').filter(|field| !field.is_empty()) {
            let (name, value) = field.split_once('=').unwrap_or((field, ""));
            let value = percent_decode_str(value)
                .decode_utf8()
                .map_err(|_| Failure::request(format!("the query's {name:?} is not UTF-8")))?;
            if fields.insert(name.to_owned(), value.into_owned()).is_some() {
                return Err(Failure::request(format!("the query has {name:?} twice")));
            }
        }
        Ok(Self(fields))
    }

    /// Refuses a query with a field that the request does not know: a misspelt option must not be without effect.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), Failure> {
        match self.0.keys().find(|name| !known.contains(&name.as_str())) {
            Some(name) => {
                Err(Failure::request(format!("the query's {name:?} is none of {}", known.join(", "))))
            }
            None => Ok(()),
        }
    }

    /// The key to read, `uri`.
    pub(super) fn uri(&self) -> Result<Uri, Failure> {
        let text = self.0.get("uri").ok_or_else(|| Failure::request("the query has no uri=".to_owned()))?;
        Ok(text.parse::<Uri>()?)
    }

    /// Something that may be absent.
    pub(super) fn maybe<T: FromStr<Err: std::fmt::Display>>(
        &self,
        name: &'static str,
    ) -> Result<Option<T>, Failure> {
        let Some(text) = self.0.get(name).filter(|text| !text.is_empty()) else { return Ok(None) };
        text.parse()
            .map(Some)
            .map_err(|error| Failure::request(format!("the query's {name}={text:?} is wrong: {error}")))
    }

    /// A switch: absent, `0` or `false` is off; empty, `1` or `true` is on.
    pub(super) fn switch(&self, name: &'static str) -> Result<bool, Failure> {
        match self.0.get(name).map(String::as_str) {
            None | Some("0" | "false") => Ok(false),
            Some("" | "1" | "true") => Ok(true),
            Some(_) => Err(Failure::request(format!("the query's {name} is neither 1 nor 0"))),
        }
    }

    /// How to publish: the query's options, and the key of the header `Allium-To` or of `to`.
    pub(super) fn put_options(&self, headers: &HeaderMap) -> Result<PutOptions, Failure> {
        Ok(PutOptions {
            to: self.insert(headers)?,
            media: self.maybe::<MediaType>("media")?,
            private: self.switch("private")?,
            only_key: self.switch("only_key")?,
            pin: self.switch("pin")?,
        })
    }

    fn insert(&self, headers: &HeaderMap) -> Result<Insert, Failure> {
        let header = headers.get(TO).map(|value| {
            value.to_str().map_err(|_| Failure::request("the header Allium-To is not plain text".to_owned()))
        });
        match (header.transpose()?, self.0.get("to")) {
            (Some(_), Some(_)) => {
                Err(Failure::request("both the header Allium-To and to= say where to publish".to_owned()))
            }
            (Some(text), None) => Ok(text.parse::<Insert>()?),
            (None, Some(text)) => match text.parse::<Insert>()? {
                Insert::Ssk { .. } | Insert::Usk { .. } => Err(Failure::secret()),
                insert => Ok(insert),
            },
            (None, None) => Ok(Insert::Chk { path: Path::default() }),
        }
    }
}
