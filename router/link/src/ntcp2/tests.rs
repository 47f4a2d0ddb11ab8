//! Two sides against each other, and each against hostile bytes.

use super::*;
use crate::testing::{Peer, now};
use crate::{Blame, Offence, SKEW_MAX};
use allium_crypto::Rng;
use allium_wire::{Date, Mapping, Now, RouterAddress};
use proptest::prelude::*;
use std::net::SocketAddr;
use std::time::Duration;

/// How much padding each message of a handshake has.
#[derive(Clone, Copy, Debug)]
struct Paddings {
    one: usize,
    two: usize,
    three: usize,
}

const NONE: Paddings = Paddings { one: 0, two: 0, three: 0 };
const SOME: Paddings = Paddings { one: 13, two: 31, three: 7 };

/// The bytes of a handshake on their way: each may be changed.
type Tamper<'a> = &'a mut dyn FnMut(Stage, &mut Vec<u8>);

/// A handshake's setting.
struct Stand {
    alice: Peer,
    bob: Peer,
    info: Vec<u8>,
    paddings: Paddings,
    alice_now: Now,
    bob_now: Now,
}

/// Where a handshake failed.
#[derive(Debug)]
enum Failure {
    Alice(Error),
    Bob(Error),
    Refused(Box<Refusal>),
    /// A message ended before its time.
    Short,
}

impl Failure {
    fn error(&self) -> Option<Error> {
        match self {
            Self::Alice(error) | Self::Bob(error) => Some(*error),
            Self::Refused(refusal) => Some(refusal.error),
            Self::Short => None,
        }
    }
}

fn draw(seed: u8, padding: usize, padding_3: usize) -> Draw {
    Draw { ephemeral: StaticSecret::generate(&mut Rng::from_seed([seed; 32])), padding, padding_3 }
}

fn cache() -> ReplayCache {
    ReplayCache::new(100, &mut Rng::from_seed([0; 32]))
}

impl Stand {
    fn new(paddings: Paddings) -> Self {
        let (alice, bob) = (Peer::new(1), Peer::new(2));
        let info = alice.info(now(0).date).bytes().to_vec();
        Self { alice, bob, info, paddings, alice_now: now(0), bob_now: now(0) }
    }

    fn initiator(&self) -> Initiator {
        let draw = draw(11, self.paddings.one, self.paddings.three);
        let rng = Rng::from_seed([21; 32]);
        Initiator::with_draw(&self.alice.local, self.bob.known(), &self.info, self.alice_now, rng, draw)
            .unwrap()
    }

    fn responder(&self) -> Responder {
        Responder::with_draw(&self.bob.local, Rng::from_seed([22; 32]), draw(12, self.paddings.two, 0))
    }

    fn run(&self, tamper: Tamper<'_>) -> Result<(Established, Established), Failure> {
        self.run_from(self.initiator(), tamper)
    }

    fn run_from(
        &self,
        mut alice: Initiator,
        tamper: Tamper<'_>,
    ) -> Result<(Established, Established), Failure> {
        let mut bob = self.responder();
        let mut one = alice.message_1().to_vec();
        tamper(Stage::Message1, &mut one);
        let (head, padding) = one.split_first_chunk().ok_or(Failure::Short)?;
        let len = bob.message_1(head, self.bob_now, &mut cache()).map_err(Failure::Bob)?;
        if padding.len() < len {
            return Err(Failure::Short);
        }
        let mut two = bob.message_2(padding, self.bob_now).map_err(Failure::Bob)?;
        tamper(Stage::Message2, &mut two);
        let (head, padding) = two.split_first_chunk().ok_or(Failure::Short)?;
        let len = alice.message_2(head).map_err(Failure::Alice)?;
        if padding.len() < len {
            return Err(Failure::Short);
        }
        let (mut three, alice) = alice.finish(padding, self.alice_now).map_err(Failure::Alice)?;
        tamper(Stage::Message3, &mut three);
        if three.len() < bob.message_3_len() {
            return Err(Failure::Short);
        }
        let bob = bob.finish(&three, self.bob_now).map_err(Failure::Refused)?;
        Ok((alice, bob))
    }

    fn refusal(&self) -> Refusal {
        match self.run(&mut |_, _| ()) {
            Err(Failure::Refused(refusal)) => *refusal,
            other => panic!("{other:?}"),
        }
    }
}

/// What arrives over a direction: the reason of a termination in the bytes.
fn farewell(receiver: &mut Receiver, bytes: &[u8]) -> Reason {
    let (head, frame) = bytes.split_first_chunk().unwrap();
    assert_eq!(receiver.length(*head).unwrap(), frame.len());
    match receiver.open(frame.into()).unwrap().next() {
        Some(Ok(Event::Termination { reason, received: 0 })) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn two_sides_agree_with_and_without_padding() {
    for one in [0, 1, 64, 880] {
        for (two, three) in [(0, 0), (1, 1), (64, 64), (848, 1000)] {
            let stand = Stand::new(Paddings { one, two, three });
            let (mut alice, mut bob) = stand.run(&mut |_, _| ()).unwrap();
            assert_eq!(alice.hash, stand.bob.local.hash);
            assert_eq!(bob.hash, stand.alice.local.hash);
            assert_eq!(bob.peer.as_ref().unwrap().bytes()[..], stand.info);
            assert!(alice.peer.is_none() && !bob.flood && !alice.flood);
            for (from, to) in [(&mut alice.sender, &mut bob.receiver), (&mut bob.sender, &mut alice.receiver)]
            {
                let mut out = Vec::new();
                from.terminate(&mut out, Reason::Shutdown, 0).unwrap();
                assert_eq!(farewell(to, &out), Reason::Shutdown);
            }
        }
    }
}

#[test]
fn public_constructors_keep_to_the_padding_policy() {
    let stand = Stand::new(NONE);
    let mut seen = (0, 0);
    for seed in 0..60 {
        let rng = Rng::from_seed([seed; 32]);
        let mut alice =
            Initiator::new(&stand.alice.local, stand.bob.known(), &stand.info, now(0), rng).unwrap();
        assert_eq!(alice.hash(), stand.bob.local.hash);
        let mut bob = Responder::new(&stand.bob.local, Rng::from_seed([seed + 100; 32]));
        let (head, padding) = alice.message_1().split_first_chunk().unwrap();
        assert_eq!(bob.message_1(head, now(0), &mut cache()), Ok(padding.len()));
        let two = bob.message_2(padding, now(0)).unwrap();
        seen = (seen.0.max(padding.len()), seen.1.max(two.len() - MESSAGE));
        let (head, padding) = two.split_first_chunk().unwrap();
        alice.message_2(head).unwrap();
        let (three, _) = alice.finish(padding, now(0)).unwrap();
        bob.finish(&three, now(0)).unwrap();
    }
    assert!((32..=64).contains(&seen.0) && (32..=64).contains(&seen.1), "{seen:?}");
}

#[test]
fn ephemeral_keys_hide_behind_one_chain_of_blocks() {
    let stand = Stand::new(SOME);
    let mut wire = Vec::new();
    stand.run(&mut |_, bytes| wire.push(bytes.clone())).unwrap();
    let [one, two, _] = &wire[..] else { panic!() };
    let clear = |iv: &[u8; 16], hidden: &[u8]| {
        let mut key: [u8; 32] = hidden.try_into().unwrap();
        allium_crypto::aes_cbc::decrypt(&stand.bob.local.hash.0, iv, &mut key);
        PublicKey(key)
    };
    assert_eq!(clear(&stand.bob.local.iv, &one[..32]), draw(11, 0, 0).ephemeral.public());
    assert_eq!(clear(one[16..32].try_into().unwrap(), &two[..32]), draw(12, 0, 0).ephemeral.public());
    assert_eq!((one.len(), two.len()), (MESSAGE + 13, MESSAGE + 31));
}

#[test]
fn equal_seeds_give_equal_bytes() {
    let stand = Stand::new(SOME);
    assert_eq!(stand.initiator().message_1(), stand.initiator().message_1());
}

#[test]
fn every_flipped_bit_is_an_error() {
    let stand = Stand::new(SOME);
    let lengths = {
        let mut lengths = Vec::new();
        stand.run(&mut |stage, bytes| lengths.push((stage, bytes.len()))).unwrap();
        lengths
    };
    for (stage, len) in lengths {
        // Every position of what is not one long ciphertext; a sample of message 3.
        let step = if stage == Stage::Message3 { 7 } else { 1 };
        for at in (0..len).step_by(step) {
            let bit = 1 << (at % 8);
            let failure = stand
                .run(&mut |now, bytes| {
                    if now == stage {
                        bytes[at] ^= bit;
                    }
                })
                .unwrap_err();
            let error = failure.error().unwrap();
            assert_eq!(error.blame(), Blame::Peer, "{stage} byte {at}: {error}");
            if let Failure::Refused(refusal) = failure {
                assert!(refusal.farewell.is_none() && refusal.router.is_none() && error.probe());
            }
        }
    }
}

#[test]
fn truncated_messages_never_establish() {
    let stand = Stand::new(SOME);
    for stage in [Stage::Message1, Stage::Message2, Stage::Message3] {
        for cut in [1, 5, 13, 30, 40, 64, 100] {
            let result = stand.run(&mut |now, bytes| {
                if now == stage {
                    bytes.truncate(bytes.len().saturating_sub(cut));
                }
            });
            assert!(matches!(result, Err(Failure::Short)), "{stage} less {cut}: {result:?}");
        }
    }
}

#[test]
fn extra_bytes_are_an_error() {
    let stand = Stand::new(SOME);
    for stage in [Stage::Message1, Stage::Message2, Stage::Message3] {
        let failure = stand
            .run(&mut |now, bytes| {
                if now == stage {
                    bytes.push(0);
                }
            })
            .unwrap_err();
        assert!(matches!(failure.error(), Some(Error::Length(..))), "{failure:?}");
    }
}

#[test]
fn a_replayed_message_1_is_known_until_its_clock_gives_it_away() {
    let stand = Stand::new(SOME);
    let alice = stand.initiator();
    let head: &[u8; MESSAGE] = alice.message_1().first_chunk().unwrap();
    let mut replays = cache();
    assert_eq!(stand.responder().message_1(head, now(0), &mut replays), Ok(13));
    let mut again = stand.responder();
    assert_eq!(again.message_1(head, now(1000), &mut replays), Err(Error::Replay));
    assert_eq!(again.message_2(&[0; 13], now(1000)).unwrap_err(), Error::Sequence);
    let late = now(ReplayCache::MEMORY.as_millis() as u64);
    let mut last = stand.responder();
    last.message_1(head, late, &mut replays).unwrap();
    assert!(last.skewed().unwrap().size() > 2 * SKEW_MAX);
}

#[test]
fn noise_is_turned_away_without_a_trace() {
    let stand = Stand::new(NONE);
    let mut rng = Rng::from_seed([9; 32]);
    let mut replays = cache();
    let mut top = 0;
    for _ in 0..100 {
        let mut bob = stand.responder();
        let error = bob.message_1(&rng.array(), now(0), &mut replays).unwrap_err();
        assert!(error.probe());
        assert_eq!(error.farewell(), Farewell::Silent);
        assert_eq!(error.offence(), Some(Offence::Handshake));
        top += usize::from(error == Error::BadKey(Stage::Message1));
        assert_ne!(bob.rebuff(), bob.rebuff());
    }
    assert!((25..75).contains(&top), "half of all noise has the top bit set: {top}");
    assert!(replays.is_empty());
}

#[test]
fn steps_out_of_turn_are_errors() {
    let stand = Stand::new(NONE);
    let alice = stand.initiator();
    let head = alice.message_1().first_chunk().unwrap();
    let mut bob = stand.responder();
    assert_eq!(bob.message_3_len(), 0);
    assert_eq!(bob.message_2(&[], now(0)).unwrap_err(), Error::Sequence);
    let mut bob = stand.responder();
    bob.message_1(head, now(0), &mut cache()).unwrap();
    assert_eq!(bob.message_1(head, now(0), &mut cache()).unwrap_err(), Error::Sequence);
    assert_eq!(stand.responder().finish(&[0; 1000], now(0)).unwrap_err().error, Error::Sequence);
    assert_eq!(alice.finish(&[], now(0)).unwrap_err(), Error::Sequence);
}

#[test]
fn clocks_a_minute_apart_hold_a_session_and_tell_by_how_much() {
    for (millis, behind) in [(0, 0), (30_000, -30_000), (59_000, -59_000)] {
        let mut stand = Stand::new(SOME);
        stand.bob_now = Now { instant: stand.alice_now.instant, ..now(millis) };
        let (alice, bob) = stand.run(&mut |_, _| ()).unwrap();
        assert_eq!(bob.skew, Skew(behind));
        assert_eq!(alice.skew, Skew(-behind));
    }
}

#[test]
fn bob_answers_a_skewed_alice_who_then_closes() {
    let mut stand = Stand::new(SOME);
    stand.bob_now = now(70_000);
    let Err(Failure::Alice(Error::Skew(skew))) = stand.run(&mut |_, _| ()) else { panic!() };
    assert_eq!(skew, Skew(70_000));
    assert_eq!(Error::Skew(skew).blame(), Blame::Network);
}

#[test]
fn an_alice_who_goes_on_with_a_skewed_clock_is_told_the_reason() {
    let mut stand = Stand::new(SOME);
    stand.bob_now = now(62_000);
    let mut alice = stand.initiator();
    let mut bob = stand.responder();
    let (head, padding) = alice.message_1().split_first_chunk().unwrap();
    bob.message_1(head, stand.bob_now, &mut cache()).unwrap();
    let two = bob.message_2(padding, stand.bob_now).unwrap();
    // Five seconds of travel could still explain two of them; a minute more could not.
    assert_eq!(bob.skewed(), None);
    let (head, padding) = two.split_first_chunk().unwrap();
    alice.message_2(head).unwrap();
    let lenient = Now { date: stand.bob_now.date, ..stand.alice_now };
    let (three, mut alice) = alice.finish(padding, lenient).unwrap();
    let refusal = bob.finish(&three, stand.bob_now).unwrap_err();
    assert_eq!(refusal.error, Error::Skew(Skew(-62_000)));
    assert_eq!(refusal.router, Some(stand.alice.local.hash));
    assert_eq!(farewell(&mut alice.receiver, &refusal.farewell.unwrap()), Reason::ClockSkew);
}

#[test]
fn travel_time_is_no_skew() {
    let mut stand = Stand::new(SOME);
    stand.bob_now = now(62_000);
    let mut alice = stand.initiator();
    let mut bob = stand.responder();
    let (head, padding) = alice.message_1().split_first_chunk().unwrap();
    bob.message_1(head, stand.bob_now, &mut cache()).unwrap();
    let two = bob.message_2(padding, stand.bob_now).unwrap();
    let (head, padding) = two.split_first_chunk().unwrap();
    alice.message_2(head).unwrap();
    let lenient = Now { date: stand.bob_now.date, ..stand.alice_now };
    let (three, _) = alice.finish(padding, lenient).unwrap();
    let four_seconds_later = now(66_000);
    assert_eq!(bob.finish(&three, four_seconds_later).unwrap().skew, Skew(-60_000));
}

#[test]
fn another_network_is_an_offence() {
    let mut stand = Stand::new(SOME);
    stand.alice.local.net_id = 99;
    let Err(Failure::Bob(error)) = stand.run(&mut |_, _| ()) else { panic!() };
    assert_eq!(error, Error::Network(99));
    assert_eq!(error.offence(), Some(Offence::Network));
    assert!(error.probe());
}

#[test]
fn a_router_info_that_does_not_fit_is_refused_with_the_reason() {
    let date = now(0).date;
    let age = |age: Duration| Date(date.0 - age.as_millis() as u64);
    let other = Peer::new(3);
    let (alice, bob) = (Peer::new(1), Peer::new(2));
    let key = alice.local.static_key.public();
    let mut forged = alice.info(date).bytes().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let hash = Some(alice.local.hash);
    let minute = Duration::from_mins(1);
    let cases = [
        (forged, Reason::RouterInfoSignature, None),
        (other.info(date).bytes().to_vec(), Reason::StaticKey, None),
        (
            alice.info_with(date, "2", &other.local.static_key.public()).bytes().to_vec(),
            Reason::StaticKey,
            None,
        ),
        (alice.info_with(date, "3", &key).bytes().to_vec(), Reason::Message3, hash),
        (alice.info(age(91 * minute)).bytes().to_vec(), Reason::Message3, hash),
        (alice.info(Date(date.0 + 121_000)).bytes().to_vec(), Reason::Message3, hash),
        (bob.info_with(date, "2", &key).bytes().to_vec(), Reason::Banned, Some(bob.local.hash)),
        (vec![0; 500], Reason::Message3, None),
    ];
    for (n, (info, reason, router)) in cases.into_iter().enumerate() {
        let mut stand = Stand::new(SOME);
        stand.info = info;
        let refusal = stand.refusal();
        assert_eq!((refusal.error.reason(), refusal.router), (reason, router), "case {n}: {}", refusal.error);
        assert!(!refusal.error.probe());
        assert!(refusal.farewell.is_some());
    }
}

#[test]
fn the_age_of_a_router_info_may_reach_its_limits() {
    let date = now(0).date;
    for published in [Date(date.0 - 90 * 60_000), Date(date.0 + 120_000)] {
        let mut stand = Stand::new(SOME);
        stand.info = stand.alice.info(published).bytes().to_vec();
        stand.run(&mut |_, _| ()).unwrap();
    }
}

#[test]
fn the_blocks_of_message_3_keep_their_order() {
    let stand = Stand::new(NONE);
    let block = |kind: u8, data: &[u8]| [&frame::header(kind, data.len())[..], data].concat();
    let info = block(2, &[&[1][..], &stand.info].concat());
    let options = block(1, &PaddingOptions { receive_max: 16, ..PaddingOptions::default() }.encode());
    let (padding, message) = (block(254, &[0; 5]), block(3, &[0; 12]));
    let unknown = block(99, &[]);
    let run = |parts: &[&[u8]]| {
        let (rng, draw, local) = (Rng::from_seed([21; 32]), draw(11, 0, 0), &stand.alice.local);
        let alice = Initiator::with_payload(local, stand.bob.known(), parts.concat(), now(0), rng, draw);
        stand.run_from(alice.unwrap(), &mut |_, _| ())
    };
    for good in [&[&info[..]][..], &[&info, &options], &[&info, &padding], &[&info, &options, &padding]] {
        assert!(run(good).unwrap().1.flood);
    }
    let short: &[u8] = &[254, 0];
    let beyond: &[u8] = &[254, 0, 1];
    let fill = block(254, &[0; 1000]);
    let few_options = block(1, &[0; 11]);
    let empty = block(2, &[]);
    for bad in [
        &[&fill[..]][..],
        &[&fill, &info],
        &[&options, &info],
        &[&info, &padding, &options],
        &[&info, &padding, &padding],
        &[&info, &options, &options],
        &[&info, &message],
        &[&info, &unknown],
        &[&info, &info],
        &[&info, short],
        &[&info, beyond],
        &[&info, &few_options],
        &[&empty, &fill],
    ] {
        let Err(Failure::Refused(refusal)) = run(bad) else { panic!() };
        assert!(matches!(refusal.error, Error::Blocks(Stage::Message3, _)), "{}", refusal.error);
        assert!(refusal.farewell.is_some());
    }
}

#[test]
fn what_cannot_be_sent_is_our_own_fault() {
    let stand = Stand::new(NONE);
    let new = |info: &[u8], known| {
        Initiator::new(&stand.alice.local, known, info, now(0), Rng::from_seed([0; 32])).map(drop)
    };
    let error = new(&[0; 6000], stand.bob.known()).unwrap_err();
    assert_eq!((error, error.blame()), (Error::Oversize(6000), Blame::Local));
    let known = PeerKeys { static_key: PublicKey([0; 32]), ..stand.bob.known() };
    assert_eq!(new(&stand.info, known).unwrap_err(), Error::BadKey(Stage::Message1));
}

#[test]
fn stale_keys_of_bob_look_like_noise_to_him() {
    let mut stand = Stand::new(SOME);
    let fresh = stand.bob.local.clone();
    stand.bob.local.static_key = Peer::new(7).local.static_key;
    let alice = stand.initiator();
    stand.bob.local = fresh;
    let Err(Failure::Bob(error)) = stand.run_from(alice, &mut |_, _| ()) else { panic!() };
    assert_eq!(error, Error::Authentication(Stage::Message1));
}

#[test]
fn an_announced_source_must_match() {
    let peer = Peer::new(1);
    let with = |hosts: &[&str]| {
        let key = peer.local.static_key.public();
        let address = |host: &&str| {
            let at = SocketAddr::new(host.parse().unwrap(), 4567);
            RouterAddress::make_ntcp2(&key, Some((at, peer.local.iv)), "")
        };
        RouterInfo::sign(&peer.keys, now(0).date, hosts.iter().map(address).collect(), Mapping::new())
    };
    let matches = |info: &RouterInfo, source: &str| source_matches(info, source.parse().unwrap());
    let both = with(&["192.0.2.1", "2001:db8:1:2::1"]);
    assert!(matches(&both, "192.0.2.1") && matches(&both, "::ffff:192.0.2.1"));
    assert!(matches(&both, "2001:db8:1:2:3::4"));
    assert!(!matches(&both, "192.0.2.2") && !matches(&both, "2001:db8:1:3::1"));
    let four = with(&["192.0.2.1"]);
    assert!(matches(&four, "2001:db8:1:3::1") && !matches(&four, "192.0.2.2"));
    assert!(matches(&peer.info(now(0).date), "192.0.2.2"));
}

#[test]
fn every_error_has_its_consequences() {
    for reason in Reason::ALL {
        assert_eq!(reason.blame().is_none(), reason.code() <= 3);
    }
    for error in [Error::Oversize(1), Error::Exhausted, Error::Closed, Error::Sequence, Error::Oneself] {
        assert_eq!((error.blame(), error.offence()), (Blame::Local, None));
    }
    let data = Error::Authentication(Stage::Data);
    assert_eq!(data.farewell(), Farewell::Terminate(Reason::DataAuthentication));
    assert_eq!(data.offence(), Some(Offence::Protocol));
    assert_eq!(Error::Authentication(Stage::Message2).farewell(), Farewell::Reset);
    assert_eq!(Error::Length(Stage::Data, 3).reason(), Reason::Framing);
    assert_eq!(Error::Blocks(Stage::Data, "").reason(), Reason::PayloadFormat);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn noise_in_place_of_any_message_is_an_error(
        stage in 0..3_usize, noise in proptest::collection::vec(any::<u8>(), 0..1500),
    ) {
        let stage = [Stage::Message1, Stage::Message2, Stage::Message3][stage];
        let stand = Stand::new(SOME);
        let result = stand.run(&mut |now, bytes| {
            if now == stage {
                bytes.clone_from(&noise);
            }
        });
        prop_assert!(result.is_err());
    }

    #[test]
    fn any_padding_and_any_small_skew_establish(
        one in 0..=PADDING_1_MAX, two in 0..=PADDING_2_MAX, three in 0..4000_usize, skew in 0..59_000_u64,
    ) {
        let mut stand = Stand::new(Paddings { one, two, three });
        stand.alice_now = now(skew);
        prop_assert!(stand.run(&mut |_, _| ()).is_ok());
    }
}
