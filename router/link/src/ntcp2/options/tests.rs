use super::*;
use proptest::prelude::*;

#[test]
fn layouts() {
    let request = Request { net_id: 2, padding: 0x0102, part_2: 0x0403, seconds: 0x0506_0708 };
    assert_eq!(request.encode(), [2, 2, 1, 2, 4, 3, 0, 0, 5, 6, 7, 8, 0, 0, 0, 0]);
    let created = Created { padding: 0x0102, seconds: 0x0506_0708 };
    assert_eq!(created.encode(), [0, 0, 1, 2, 0, 0, 0, 0, 5, 6, 7, 8, 0, 0, 0, 0]);
}

#[test]
fn bounds_of_message_1() {
    let good = Request { net_id: 2, padding: 880, part_2: 6000, seconds: 1 };
    assert_eq!(Request::decode(good.encode(), 2), Ok(good));
    assert_eq!(Request::decode(good.encode(), 3), Err(Error::Network(2)));
    let unnamed = Request { net_id: 0, ..good };
    assert_eq!(Request::decode(unnamed.encode(), 3), Ok(unnamed));
    let padding = Request { padding: 881, ..good };
    assert_eq!(Request::decode(padding.encode(), 2), Err(Error::Padding(Stage::Message1, 881)));
    for part_2 in [0, 16, 458, 6001, 65535] {
        let length = Request { part_2, ..good };
        assert_eq!(Request::decode(length.encode(), 2), Err(Error::Length(Stage::Message1, part_2)));
    }
    let mut version = good.encode();
    version[1] = 3;
    assert_eq!(Request::decode(version, 2), Err(Error::Version(3)));
}

#[test]
fn bounds_of_message_2() {
    let good = Created { padding: 848, seconds: 7 };
    assert_eq!(Created::decode(good.encode()), Ok(good));
    let padding = Created { padding: 849, ..good };
    assert_eq!(Created::decode(padding.encode()), Err(Error::Padding(Stage::Message2, 849)));
}

proptest! {
    #[test]
    fn padding_options_come_back(data in proptest::collection::vec(any::<u8>(), 0..20)) {
        let decoded = PaddingOptions::decode(&data);
        prop_assert_eq!(decoded.is_some(), data.len() >= PaddingOptions::LEN);
        if let Some(options) = decoded {
            prop_assert_eq!(&options.encode()[..], &data[..PaddingOptions::LEN]);
        }
    }
}
