use proptest::prelude::*;

use super::*;

/// Everything that a stream of bytes says, cut into pieces of that size, and the error that ends it.
fn all(bytes: &[u8], piece: usize, length: u64) -> (Vec<Step>, Option<Fault>) {
    let (mut parser, mut input, mut steps) = (Parser::default(), BytesMut::new(), Vec::<Step>::new());
    for piece in bytes.chunks(piece.max(1)) {
        input.extend_from_slice(piece);
        loop {
            match parser.step(&mut input) {
                Ok(Step::More) => break,
                Ok(Step::Data(more)) => match steps.last_mut() {
                    Some(Step::Data(data)) => *data = [&data[..], &more[..]].concat().into(),
                    _ => steps.push(Step::Data(more)),
                },
                Ok(step) => {
                    if matches!(step, Step::Message(_, true)) {
                        parser.expect(length);
                    }
                    steps.push(step);
                }
                Err(fault) => return (steps, Some(fault)),
            }
        }
        assert!(input.len() <= MAX_LINE + piece.len());
    }
    (steps, None)
}

#[test]
fn messages_and_data_follow_one_another() {
    let bytes = b"\nClientHello\r\nName=a b=c\r\nEndMessage\r\nClientPut\nData\nhelloVoid\nEnd\n";
    let hello = Step::Message(Message::new("ClientHello").with("Name", "a b=c"), false);
    let put = Step::Message(Message::new("ClientPut"), true);
    let void = Step::Message(Message::new("Void"), false);
    let data = Step::Data(Bytes::from_static(b"hello"));
    assert_eq!(all(bytes, usize::MAX, 5), (vec![hello, put, data, Step::DataEnd, void], None));
}

#[test]
fn data_of_no_length_ends_at_once() {
    let (steps, fault) = all(b"ClientPut\nData\nVoid\nEndMessage\n", 3, 0);
    assert!(matches!(&steps[..], [_, Step::DataEnd, Step::Message(void, false)] if void.name == "Void"));
    assert_eq!(fault, None);
}

#[test]
fn what_is_no_message_is_an_error() {
    for (bytes, fault) in [
        (&b"GET / HTTP/1.1\r\n"[..], Fault::Name),
        (b"POST\r\nHost: localhost\r\n\r\n", Fault::Field),
        (b"ClientHello\n\n", Fault::Field),
        (b"\xff\n", Fault::Line),
        (b"Void\nName=\xff\n", Fault::Line),
    ] {
        assert_eq!(all(bytes, 7, 0), (Vec::new(), Some(fault)), "{bytes:?}");
    }
    let mut parser = Parser::default();
    let mut input = BytesMut::from(&b"ClientPut\nData\nx"[..]);
    assert!(matches!(parser.step(&mut input), Ok(Step::Message(_, true))));
    assert_eq!(parser.step(&mut input), Err(Fault::Length), "nobody told how long the data is");
}

#[test]
fn endless_lines_and_messages_are_refused() {
    let line = [b"Void\nName=".as_slice(), &vec![b'a'; 10 * MAX_LINE]].concat();
    assert_eq!(all(&line, 1000, 0).1, Some(Fault::Line));
    let mut fields = b"Void\n".to_vec();
    for number in 0..=MAX_FIELDS {
        fields.extend_from_slice(format!("k{number}=\n").as_bytes());
    }
    assert_eq!(all(&fields, 65536, 0).1, Some(Fault::Long));
    let long = format!("k={}\n", "v".repeat(MAX_LINE - 2)).repeat(MAX_MESSAGE / MAX_LINE + 2);
    assert_eq!(all(format!("Void\n{long}").as_bytes(), 65536, 0).1, Some(Fault::Long));
}

#[test]
fn a_value_can_not_end_its_message() {
    let mut out = BytesMut::new();
    Message::new("DataFound").with("Why", "a\nEndMessage\r\nShutdown").encode(None, &mut out);
    assert_eq!(&out[..], b"DataFound\nWhy=a EndMessage  Shutdown\nEndMessage\n");
}

#[test]
fn fields_are_not_printed() {
    let message = Message::new("ClientPut").with("URI", "SSK@secret");
    assert_eq!(format!("{message:?}"), "ClientPut of 1 fields");
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), piece in 1usize..20, length in 0u64..20) {
        all(&bytes, piece, length);
    }

    #[test]
    fn pieces_make_no_difference(
        text in "(Void|Data|End|EndMessage|A=b|Uri=CHK@|\r|\n){0,40}", piece in 1usize..20, length in 0u64..20,
    ) {
        prop_assert_eq!(all(text.as_bytes(), piece, length), all(text.as_bytes(), usize::MAX, length));
    }

    #[test]
    fn what_is_written_is_read(
        name in "[A-Za-z0-9]{1,64}",
        fields in prop::collection::btree_map("[A-Za-z.0-9]{1,20}", "[^\r\n]{0,60}", 0..20),
        data in prop::option::of(prop::collection::vec(any::<u8>(), 0..50)),
        piece in 1usize..50,
    ) {
        let mut message = Message::new(&name);
        for (key, value) in &fields {
            message = message.with(key, value);
        }
        let mut out = BytesMut::new();
        let length = data.as_ref().map(|data| data.len() as u64);
        message.encode(length, &mut out);
        out.extend_from_slice(data.as_deref().unwrap_or_default());
        let mut expected = vec![Step::Message(message.with_some("DataLength", length), data.is_some())];
        if let Some(data) = data {
            if !data.is_empty() {
                expected.push(Step::Data(data.into()));
            }
            expected.push(Step::DataEnd);
        }
        let (steps, fault) = all(&out, piece, length.unwrap_or_default());
        // The very last step of a message without bytes behind it comes with the next read.
        prop_assert_eq!(fault, None);
        prop_assert_eq!(steps, expected);
    }
}
