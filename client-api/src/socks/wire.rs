//! The bytes of SOCKS: from what a client sent to what it asks for, without I/O.
//! RFC 1928 (SOCKS 5), RFC 1929 (its passwords), and the SOCKS 4 and 4A memos.

use bytes::{Buf, BytesMut};

/// The most that a negotiation step may take: the longest is a SOCKS 4A request with a destination in base64.
pub(crate) const LONGEST: usize = 8192;
/// The longest user name of SOCKS 4.
const LONGEST_USER: usize = 512;

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Read more: what is there is the beginning of something.
    More,
    /// Send these bytes and go on.
    Send(Vec<u8>),
    /// The client asks for a connection. What is left of the input is the connection's first data.
    Connect(Request),
    /// Send these bytes (maybe none) and close: the client did what this proxy does not do.
    Refuse(Vec<u8>, &'static str),
}

/// A connection that a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    version: Version,
    /// The host, as the client wrote it.
    pub(crate) host: String,
    /// The port.
    pub(crate) port: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    Four,
    Five,
}

/// The answer to a request, numbered as in SOCKS 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Granted = 0,
    Failure = 1,
    NotAllowed = 2,
    NetworkUnreachable = 3,
    HostUnreachable = 4,
    Refused = 5,
    Expired = 6,
    CommandNotSupported = 7,
    AddressNotSupported = 8,
}

impl Reply {
    /// The answer's bytes; the bound address it names is 0.0.0.0:0, since there is none.
    fn bytes(self, version: Version) -> Vec<u8> {
        match version {
            Version::Five => vec![5, self as u8, 0, 1, 0, 0, 0, 0, 0, 0],
            Version::Four => vec![0, if self == Self::Granted { 0x5a } else { 0x5b }, 0, 0, 0, 0, 0, 0],
        }
    }
}

impl Request {
    /// The bytes that answer this request.
    pub(crate) fn reply(&self, reply: Reply) -> Vec<u8> {
        reply.bytes(self.version)
    }
}

/// One client's negotiation.
#[derive(Debug, Default)]
pub(crate) struct Negotiation {
    state: State,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Greeting,
    Password,
    Request,
}

impl Negotiation {
    /// Takes the next step out of `input`. To be called again after [`Step::Send`], and after [`Step::More`] with
    /// more input.
    pub(crate) fn step(&mut self, input: &mut BytesMut) -> Step {
        let step = match self.state {
            State::Greeting => match input.first() {
                None => Some(Step::More),
                Some(4) => four(input),
                Some(5) => self.greeting(input),
                Some(_) => Some(Step::Refuse(Vec::new(), "not a SOCKS client")),
            },
            State::Password => self.password(input),
            State::Request => five(input),
        };
        match step {
            Some(step) => step,
            None if input.len() >= LONGEST => Step::Refuse(Vec::new(), "the request is too long"),
            None => Step::More,
        }
    }

    /// The methods of authentication: none where the client offers that, else name and password, which may be any.
    fn greeting(&mut self, input: &mut BytesMut) -> Option<Step> {
        let count = usize::from(*input.get(1)?);
        let methods = input.get(2..2 + count)?;
        let step = if methods.contains(&0) {
            self.state = State::Request;
            Step::Send(vec![5, 0])
        } else if methods.contains(&2) {
            self.state = State::Password;
            Step::Send(vec![5, 2])
        } else {
            Step::Refuse(vec![5, 0xff], "the client offers no method that this proxy has")
        };
        input.advance(2 + count);
        Some(step)
    }

    fn password(&mut self, input: &mut BytesMut) -> Option<Step> {
        if *input.first()? != 1 {
            return Some(Step::Refuse(vec![1, 1], "unknown version of the password message"));
        }
        let user = usize::from(*input.get(1)?);
        let password = usize::from(*input.get(2 + user)?);
        let length = 3 + user + password;
        if input.len() < length {
            return None;
        }
        input.advance(length);
        self.state = State::Request;
        Some(Step::Send(vec![1, 0]))
    }
}

/// A SOCKS 5 request.
fn five(input: &mut BytesMut) -> Option<Step> {
    let refuse = |reply: Reply, why| Some(Step::Refuse(reply.bytes(Version::Five), why));
    let (version, command, kind) = (*input.first()?, *input.get(1)?, *input.get(3)?);
    if version != 5 {
        return refuse(Reply::Failure, "the request is not of SOCKS 5");
    }
    if command != 1 {
        return refuse(Reply::CommandNotSupported, "this proxy connects and does nothing else");
    }
    match kind {
        1 | 4 => {
            return refuse(Reply::NotAllowed, "an IP address: this proxy leads to I2P destinations alone");
        }
        3 => {}
        _ => return refuse(Reply::AddressNotSupported, "an unknown kind of address"),
    }
    let length = usize::from(*input.get(4)?);
    let host = input.get(5..5 + length)?;
    let port = input.get(5 + length..7 + length)?;
    let port = u16::from_be_bytes([port[0], port[1]]);
    let Ok(host) = String::from_utf8(host.to_vec()) else {
        return refuse(Reply::NotAllowed, "the host name is no text");
    };
    input.advance(7 + length);
    Some(Step::Connect(Request { version: Version::Five, host, port }))
}

/// A SOCKS 4 or 4A request.
fn four(input: &mut BytesMut) -> Option<Step> {
    let refuse = |why| Some(Step::Refuse(Reply::Failure.bytes(Version::Four), why));
    let head = input.get(..8)?;
    if head[1] != 1 {
        return refuse("this proxy connects and does nothing else");
    }
    // 0.0.0.x says that a name follows; anything else is an address of the clear net.
    if head[4..7] != [0, 0, 0] || head[7] == 0 {
        return refuse("an IP address: this proxy leads to I2P destinations alone");
    }
    let port = u16::from_be_bytes([head[2], head[3]]);
    let Some(user) = input[8..].iter().position(|b| *b == 0) else {
        return if input.len() > 8 + LONGEST_USER { refuse("the user name is too long") } else { None };
    };
    let start = 8 + user + 1;
    let length = input[start..].iter().position(|b| *b == 0)?;
    let Ok(host) = String::from_utf8(input[start..start + length].to_vec()) else {
        return refuse("the host name is no text");
    };
    input.advance(start + length + 1);
    Some(Step::Connect(Request { version: Version::Four, host, port }))
}

#[cfg(test)]
mod tests;
