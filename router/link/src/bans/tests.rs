use super::*;
use crate::testing::instant;

#[test]
fn strikes_make_a_ban_and_bans_run_out() {
    let mut bans = Bans::new(100);
    let (router, now) = (RouterHash([1; 32]), instant());
    for _ in 1..Offence::Handshake.strikes() {
        assert!(!bans.router_offended(router, now, Offence::Handshake));
        assert_eq!(bans.router(&router, now), None);
    }
    assert!(bans.router_offended(router, now, Offence::Handshake));
    let ends = bans.router(&router, now).unwrap();
    assert_eq!(ends - now, Offence::Handshake.sentence());
    assert_eq!(bans.router(&router, ends), None);
    assert!(!bans.router_offended(router, ends, Offence::Handshake));
    bans.pardon(&router);
    assert!(bans.router_offended(router, ends, Offence::Network));
    assert!(bans.router_offended(router, ends, Offence::Clock));
}

#[test]
fn strikes_are_forgotten() {
    let mut bans = Bans::new(100);
    let mut now = instant();
    for _ in 0..20 {
        assert!(!bans.router_offended(RouterHash([1; 32]), now, Offence::Handshake));
        now += Offence::MEMORY;
    }
}

#[test]
fn an_address_stands_for_its_host() {
    let mut bans = Bans::new(100);
    let now = instant();
    let ban =
        |bans: &mut Bans, text: &str| bans.address_offended(text.parse().unwrap(), now, Offence::Network);
    let banned = |bans: &Bans, text: &str| bans.address(text.parse().unwrap(), now).is_some();
    assert!(ban(&mut bans, "2001:db8:1:2::7"));
    assert!(banned(&bans, "2001:db8:1:2:ffff::9"));
    assert!(!banned(&bans, "2001:db8:1:3::7"));
    assert!(ban(&mut bans, "::ffff:192.0.2.7"));
    assert!(banned(&bans, "192.0.2.7"));
    assert!(!banned(&bans, "192.0.2.8"));
    assert!(!ban(&mut bans, "127.0.0.2") && !ban(&mut bans, "::1"));
    assert!(!banned(&bans, "127.0.0.2") && !banned(&bans, "::1"));
}

#[test]
fn memory_is_bounded() {
    for limit in [1, 2, 64] {
        let mut bans = Bans::new(limit);
        for n in 0..1000_u32 {
            let now = instant() + Duration::from_secs(u64::from(n % 5));
            let address = IpAddr::from((0x0a00_0000 + n).to_be_bytes());
            assert!(bans.address_offended(address, now, Offence::Network));
            assert!(bans.address(address, now).is_some());
            assert!(bans.len().1 <= limit && !bans.is_empty());
        }
    }
}

#[test]
fn a_ban_for_good_is_a_ban() {
    let mut bans = Bans::new(1);
    bans.ban_router(RouterHash([1; 32]), instant(), Duration::MAX);
    assert!(bans.router(&RouterHash([1; 32]), instant() + Duration::from_hours(24)).is_some());
}
