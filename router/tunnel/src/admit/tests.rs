use super::*;
use crate::build::Role;
use crate::testing::{hash, now_at, rng};
use allium_wire::TunnelId;

fn request(minimum: Option<u32>) -> Request {
    Request {
        receive: TunnelId(1),
        next_tunnel: TunnelId(2),
        next: hash(3),
        role: Role::Participant,
        minutes: 0,
        lifetime: 600,
        next_message: 4,
        minimum,
        requested: None,
        limit: None,
    }
}

fn admission(limits: Limits) -> Admission {
    Admission::new(limits, now_at(0), &mut rng(1))
}

#[test]
fn one_router_cannot_use_up_everyones_share() {
    let mut admission = admission(Limits::default());
    let mut let_in = 0;
    for n in 0..1000 {
        let_in += u32::from(admission.arrive(now_at(n), Some(hash(1)), 0).is_ok());
    }
    assert!((55..=62).contains(&let_in), "20 a second and a burst of 40: {let_in}");
    assert_eq!(admission.arrive(now_at(999), Some(hash(1)), 0), Err(Shed::OnePeer));
    assert_eq!(admission.arrive(now_at(999), Some(hash(2)), 0), Ok(()));
    assert_eq!(admission.stats().shed_one_peer, 1000 - u64::from(let_in) + 1);
}

#[test]
fn everyone_together_is_limited_and_so_is_the_queue() {
    let mut admission = admission(Limits::default());
    let let_in = (0..2000).filter(|n| admission.arrive(now_at(0), Some(hash(*n)), 0).is_ok()).count();
    assert_eq!(let_in, 500);
    assert_eq!(admission.arrive(now_at(0), None, 0), Err(Shed::Rate));
    assert_eq!(admission.arrive(now_at(1000), None, 100), Err(Shed::Queue));
    assert_eq!(admission.arrive(now_at(1000), None, 99), Ok(()));
}

#[test]
fn a_flood_of_made_up_routers_is_bounded() {
    let mut admission = admission(Limits { requests: 1e9, ..Limits::default() });
    for n in 0..10_000 {
        let _ = admission.arrive(now_at(n / 100), Some(hash(n)), 0);
    }
    assert!(admission.peers.len() <= PEERS);
    assert_eq!(admission.arrive(now_at(60_000), Some(hash(77_777)), 0), Ok(()));
}

#[test]
fn tunnels_and_ids_are_limited() {
    let mut admission = admission(Limits { tunnels: 2, ..Limits::default() });
    let now = now_at(0);
    assert_eq!(admission.decide(now, &request(None), true), Decision::REJECT);
    for _ in 0..2 {
        assert_eq!(admission.decide(now, &request(None), false), Decision::ACCEPT);
        admission.opened();
    }
    assert_eq!(admission.decide(now, &request(None), false), Decision::REJECT);
    admission.closed();
    assert_eq!(admission.decide(now, &request(None), false), Decision::ACCEPT);
    let stats = admission.stats();
    assert_eq!((stats.accepted, stats.refused_tunnels, stats.refused_id), (3, 1, 1));
}

#[test]
fn bandwidth_is_measured_shared_and_promised() {
    let mut admission = admission(Limits { bandwidth: Some(1_000_000), ..Limits::default() });
    assert_eq!(admission.decide(now_at(0), &request(Some(2000)), false), Decision::REJECT);
    assert_eq!(
        admission.decide(now_at(0), &request(Some(200)), false),
        Decision::Accept { available: Some(200) }
    );
    for tenth in 0..300 {
        admission.relayed(now_at(tenth * 100), 95_000);
    }
    assert!((900_000..960_000).contains(&admission.rate()), "{}", admission.rate());
    assert_eq!(admission.decide(now_at(30_000), &request(None), false), Decision::REJECT);
    assert_eq!(admission.stats().refused_bandwidth, 2);
    assert_eq!(admission.decide(now_at(60_000), &request(None), false), Decision::ACCEPT);
}
