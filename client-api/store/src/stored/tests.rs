use super::*;
use crate::testing::{content, signed};

#[test]
fn versions_order_signed_blocks_as_their_format_does() {
    let blocks: Vec<Block> = (0..40).map(|index| signed(1, index / 4, index as u8)).collect();
    for one in &blocks {
        for other in &blocks {
            assert_eq!(one.supersedes(other), Stored::version(one) > Stored::version(other));
        }
        assert!(!Stored::version(one).is_fixed());
    }
}

#[test]
fn blocks_read_as_they_were_written_and_junk_does_not() {
    for block in [content(1), signed(1, 2, 3)] {
        let bytes = Stored::encode(&block);
        assert!(bytes.len() <= Block::MAX);
        assert_eq!(<Block as Stored>::decode(&bytes), Ok(block));
        assert_eq!(<Block as Stored>::decode(&bytes.slice(1..)), Err(Flaw::Junk));
    }
    assert!(Stored::version(&content(1)).is_fixed());
    let mut changed = Stored::encode(&signed(1, 2, 3)).to_vec();
    changed[500] ^= 1;
    assert_eq!(<Block as Stored>::decode(&changed.clone().into()), Err(Flaw::Junk));
    changed[0] = 9;
    assert_eq!(<Block as Stored>::decode(&changed.into()), Err(Flaw::Unknown), "of a later format");
}
