use super::*;

#[test]
fn codes_are_those_of_the_specification() {
    for code in 0..=255 {
        assert_eq!(Reason::from(code).code(), code);
        assert_eq!(matches!(Reason::from(code), Reason::Other(_)), code > 17);
    }
    for (code, reason) in (0..).zip(Reason::ALL) {
        assert_eq!(Reason::from(code), *reason);
    }
    assert_eq!(Reason::Banned.to_string(), "banned (17)");
}
