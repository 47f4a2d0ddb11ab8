//! Forms: queries, and bodies of `multipart/form-data`.

use bytes::Bytes;
use http_body_util::BodyDataStream;
use hyper::body::Incoming;
use hyper::header;
use hyper::http::request::Parts;
use multer::{Field, Multipart};
use percent_encoding::percent_decode_str;

use super::guard::Token;
use super::pages::Page;

/// The longest text in a form.
const TEXT: usize = 8 * 1024;

/// A value of a query, decoded.
pub(super) fn query(query: Option<&str>, name: &str) -> Option<String> {
    query?.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = value.replace('+', " ");
        (key == name).then(|| percent_decode_str(&value).decode_utf8_lossy().into_owned())
    })
}

/// A form that is being sent.
pub(super) struct Form(Multipart<'static>);

impl Form {
    /// The form in a request's body.
    pub(super) fn new(head: &Parts, body: Incoming) -> Result<Self, Page> {
        let media = head.headers.get(header::CONTENT_TYPE).and_then(|media| media.to_str().ok());
        let boundary = multer::parse_boundary(media.unwrap_or_default()).map_err(|e| broken(&e))?;
        Ok(Self(Multipart::new(BodyDataStream::new(body), boundary)))
    }

    /// The token, which comes first: nothing else of a form is looked at without it.
    pub(super) async fn token(&mut self, token: &Token) -> Result<(), Page> {
        match self.next().await? {
            Some(field) if field.name() == Some("token") => {
                if token.is(&text(field).await?) {
                    Ok(())
                } else {
                    Err(Page::stale())
                }
            }
            _ => Err(Page::stale()),
        }
    }

    /// The next field.
    pub(super) async fn next(&mut self) -> Result<Option<Field<'static>>, Page> {
        self.0.next_field().await.map_err(|error| broken(&error))
    }
}

/// A field's next bytes.
pub(super) async fn chunk(field: &mut Field<'static>) -> Result<Option<Bytes>, Page> {
    field.chunk().await.map_err(|error| broken(&error))
}

/// A field that is a short text.
pub(super) async fn text(mut field: Field<'static>) -> Result<String, Page> {
    let mut bytes = Vec::new();
    while let Some(chunk) = chunk(&mut field).await? {
        if bytes.len() + chunk.len() > TEXT {
            return Err(Page::bad_form("One of its fields is too long."));
        }
        bytes.extend_from_slice(&chunk);
    }
    String::from_utf8(bytes).map_err(|_| Page::bad_form("One of its fields is no text."))
}

fn broken(error: &multer::Error) -> Page {
    Page::bad_form(&format!("The form did not arrive whole: {error}."))
}
