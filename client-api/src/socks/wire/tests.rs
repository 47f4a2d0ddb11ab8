use proptest::prelude::*;

use super::*;

fn connect(version: Version, host: &str, port: u16) -> Step {
    Step::Connect(Request { version, host: host.into(), port })
}

/// Everything the negotiation says to `input`, given in pieces of `size`, and what it left.
fn talk(input: &[u8], size: usize) -> (Vec<Step>, Vec<u8>) {
    let (mut negotiation, mut buffer, mut said) = (Negotiation::default(), BytesMut::new(), Vec::new());
    let mut pieces = input.chunks(size);
    loop {
        match negotiation.step(&mut buffer) {
            Step::More => match pieces.next() {
                Some(piece) => buffer.extend_from_slice(piece),
                None => return (said, buffer.to_vec()),
            },
            Step::Send(bytes) => said.push(Step::Send(bytes)),
            last => {
                said.push(last);
                buffer.extend(pieces.flatten());
                return (said, buffer.to_vec());
            }
        }
    }
}

fn request(host: &str, port: u16) -> Vec<u8> {
    [&[5, 1, 0, 3, host.len() as u8], host.as_bytes(), &port.to_be_bytes()].concat()
}

#[test]
fn socks_5_without_password() {
    let input = [&[5, 2, 0, 2][..], &request("name.i2p", 80), b"GET /"].concat();
    for size in 1..=input.len() {
        let (said, rest) = talk(&input, size);
        assert_eq!(said, [Step::Send(vec![5, 0]), connect(Version::Five, "name.i2p", 80)]);
        assert_eq!(rest, b"GET /");
    }
}

#[test]
fn socks_5_with_any_password() {
    let input = [&[5, 1, 2, 1, 2, b'm', b'e', 3, b'x', b'y', b'z'][..], &request("a.i2p", 65535)].concat();
    let (said, rest) = talk(&input, 1);
    assert_eq!(
        said,
        [Step::Send(vec![5, 2]), Step::Send(vec![1, 0]), connect(Version::Five, "a.i2p", 65535)]
    );
    assert!(rest.is_empty());
}

#[test]
fn socks_5_refusals() {
    let refused = |input: &[u8]| match talk(input, input.len()).0.pop() {
        Some(Step::Refuse(bytes, _)) => bytes,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&[5, 1, 1]), [5, 0xff]);
    let asked = |request: &[u8]| refused(&[&[5, 1, 0], request].concat())[1];
    assert_eq!(asked(&[5, 2, 0, 3]), 7, "BIND");
    assert_eq!(asked(&[5, 3, 0, 1]), 7, "UDP ASSOCIATE");
    assert_eq!(asked(&[5, 1, 0, 1, 127, 0, 0, 1, 0, 80]), 2, "IPv4");
    assert_eq!(asked(&[5, 1, 0, 4]), 2, "IPv6");
    assert_eq!(asked(&[5, 1, 0, 9]), 8, "unknown kind");
    assert_eq!(asked(&[5, 1, 0, 3, 1, 0xff, 0, 80]), 2, "not text");
    assert_eq!(asked(&[4, 1, 0, 3]), 1, "another version");
    assert!(refused(b"GET / HTTP/1.1\r\n").is_empty());
}

#[test]
fn socks_4a() {
    let input = [&[4, 1, 0, 80, 0, 0, 0, 1][..], b"user\0", b"name.i2p\0", b"data"].concat();
    for size in 1..=input.len() {
        let (said, rest) = talk(&input, size);
        assert_eq!(said, [connect(Version::Four, "name.i2p", 80)]);
        assert_eq!(rest, b"data");
    }
}

#[test]
fn socks_4a_takes_a_whole_destination() {
    let host = "A".repeat(524);
    let input = [&[4, 1, 0, 80, 0, 0, 0, 1, 0][..], host.as_bytes(), &[0]].concat();
    assert_eq!(talk(&input, 100).0, [connect(Version::Four, &host, 80)]);
}

#[test]
fn socks_4_refusals() {
    for input in
        [&[4, 1, 0, 80, 127, 0, 0, 1, 0][..], &[4, 1, 0, 80, 0, 0, 0, 0, 0], &[4, 2, 0, 80, 0, 0, 0, 1, 0]]
    {
        assert!(matches!(&talk(input, 1).0[..], [Step::Refuse(bytes, _)] if bytes[1] == 0x5b), "{input:?}");
    }
}

#[test]
fn endless_requests_are_refused() {
    let head = [4, 1, 0, 80, 0, 0, 0, 1];
    let user = [&head[..], &vec![b'x'; 100_000]].concat();
    let host = [&head[..], &[0], &vec![b'x'; 100_000]].concat();
    for input in [user, host] {
        let (mut negotiation, mut buffer) = (Negotiation::default(), BytesMut::new());
        let refused = input.chunks(64).any(|piece| {
            buffer.extend_from_slice(piece);
            matches!(negotiation.step(&mut buffer), Step::Refuse(..))
        });
        assert!(refused && buffer.len() <= LONGEST + 64);
    }
}

#[test]
fn replies() {
    let Step::Connect(five) = connect(Version::Five, "a", 1) else { unreachable!() };
    let Step::Connect(four) = connect(Version::Four, "a", 1) else { unreachable!() };
    assert_eq!(five.reply(Reply::Granted), [5, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    assert_eq!(five.reply(Reply::HostUnreachable)[1], 4);
    assert_eq!(four.reply(Reply::Granted), [0, 0x5a, 0, 0, 0, 0, 0, 0]);
    assert_eq!(four.reply(Reply::Expired)[1], 0x5b);
}

proptest! {
    #[test]
    fn pieces_do_not_matter(input in proptest::collection::vec(any::<u8>(), 0..600), size in 1usize..40) {
        prop_assert_eq!(talk(&input, size), talk(&input, input.len().max(1)));
    }

    #[test]
    fn pieces_of_likely_input_do_not_matter(
        version in 4u8..6, rest in proptest::collection::vec(0u8..6, 0..40), size in 1usize..10
    ) {
        let input = [vec![version], rest].concat();
        prop_assert_eq!(talk(&input, size), talk(&input, input.len()));
    }

    #[test]
    fn every_host_and_port_arrives(host in "[!-~]{1,255}", port: u16, data in proptest::collection::vec(any::<u8>(), 0..50)) {
        let (said, rest) = talk(&[&[5, 1, 0][..], &request(&host, port), &data].concat(), 7);
        prop_assert_eq!(said.last(), Some(&connect(Version::Five, &host, port)));
        prop_assert_eq!(rest, data);
    }
}
