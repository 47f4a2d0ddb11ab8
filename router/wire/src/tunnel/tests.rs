use proptest::prelude::*;

use super::*;

fn body(padding: usize, content: &[u8]) -> Vec<u8> {
    let mut out = vec![7; CHECKSUM];
    let sum = checksum(&out[ID..], content);
    out.extend_from_slice(&sum);
    out.extend(std::iter::repeat_n(1, padding));
    out.push(0);
    out.extend_from_slice(content);
    out
}

#[test]
fn content_follows_the_first_zero() {
    let good = body(SPACE - 100, &[0; 100]);
    assert_eq!(content_at(&good), Ok(DATA - 100));
    assert_eq!(content_at(&body(0, &[9; SPACE])), Ok(DATA - SPACE));
    assert!(content_at(&body(1, &[9; SPACE])).is_err(), "too long");
    assert!(content_at(&[1; DATA]).is_err(), "no zero");
    for at in [5, 21, DATA - 1] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        assert!(content_at(&bad).is_err(), "byte {at}");
    }
}

#[test]
fn a_tunnel_id_goes_before_the_hash() {
    let mut out = Vec::new();
    let target = Target::Tunnel { gateway: RouterHash([4; 32]), tunnel: TunnelId(77) };
    Instructions::Whole(target).encode(5, &mut out);
    assert_eq!(
        (out[0], &out[1..5], &out[5..37], &out[37..]),
        (0x20, &[0, 0, 0, 77][..], &[4; 32][..], &[0, 5][..])
    );
    assert_eq!(out.len(), target.whole_len());
}

proptest! {
    #[test]
    fn instructions_round_trip(kind in 0..3u8, which in 0..3u8, id: u32, number in 1..64u8, last: bool, len: u16) {
        let target = match which {
            0 => Target::Local,
            1 => Target::Router(RouterHash([1; 32])),
            _ => Target::Tunnel { gateway: RouterHash([2; 32]), tunnel: TunnelId(id) },
        };
        let (instructions, size) = match kind {
            0 => (Instructions::Whole(target), target.whole_len()),
            1 => (Instructions::First { target, message: id }, target.first_len()),
            _ => (Instructions::FollowOn { message: id, number, last }, FOLLOW_ON),
        };
        let mut out = Vec::new();
        instructions.encode(usize::from(len), &mut out);
        prop_assert_eq!(out.len(), size);
        let mut reader = Reader::new(&out);
        prop_assert_eq!(Instructions::decode(&mut reader).unwrap(), (instructions, usize::from(len)));
        prop_assert!(reader.finish().is_ok());
    }

    #[test]
    fn never_panics(bytes: Vec<u8>) {
        let _ = (Instructions::decode(&mut Reader::new(&bytes)), content_at(&bytes));
    }
}
