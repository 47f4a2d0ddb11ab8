//! How a session comes to be, goes on and ends.

use super::*;

fn events(side: &mut Side) -> Vec<Event> {
    std::iter::from_fn(|| side.sessions.poll()).collect()
}

/// The way the next message goes, and how many ratchets there are.
fn state(side: &Side, peer: &PeerKey) -> (&'static str, usize) {
    let session = side.sessions.session(peer).unwrap();
    (session.describe(), session.ratchet_count())
}

/// One message over a network that loses nothing; the form it had.
fn pass(now: Now, from: &mut Side, to: &mut Side) -> Kind {
    let message = from.seal(now, &to.peer, 77);
    let opened = to.open(now, &from.peer, message).unwrap();
    assert_eq!(ids(&opened), [77]);
    opened.kind
}

#[test]
fn first_contact_goes_through_all_forms() {
    let mut clock = Clock::new();
    let (mut alice, mut bob) = (Side::new(1), Side::new(2));
    let now = clock.now();
    assert!(alice.sessions.needs_lease_set(now, &bob.peer, 7));
    let content = Content { cloves: &[clove(1, 900), clove(2, 10)], confirm: Some(7) };
    let message = alice.seal_content(now, &bob.peer, &content);
    assert!(alice.sessions.needs_lease_set(now, &bob.peer, 7), "as long as New Sessions go");

    let now = clock.pass(100);
    let opened = bob.sessions.open(now, message).unwrap();
    assert_eq!((opened.kind, opened.from, opened.hash), (Kind::NewSession, Some(alice.peer.key), None));
    assert_eq!(opened.cloves, content.cloves);
    assert!(opened.needs_reply && bob.sessions.is_empty());
    bob.sessions.bind(now, &alice.peer);
    let answer = Content { cloves: &[clove(3, 10)], confirm: Some(1) };
    let message = bob.seal_content(now, &alice.peer, &answer);
    assert!(events(&mut bob).is_empty() && !bob.sessions.needs_lease_set(now, &alice.peer, 1));

    let now = clock.pass(100);
    let opened = alice.open(now, &bob.peer, message).unwrap();
    assert_eq!((opened.kind, opened.hash), (Kind::NewSessionReply, Some(bob.peer.hash)));
    assert_eq!(opened.cloves, answer.cloves);
    let peer = bob.peer;
    assert_eq!(events(&mut alice), [Event::Acked { peer, token: 7 }, Event::Established { peer }]);
    assert!(!alice.sessions.needs_lease_set(now, &peer, 7) && alice.sessions.needs_lease_set(now, &peer, 8));

    let message = alice.seal(now, &bob.peer, 4);
    let now = clock.pass(100);
    let opened = bob.open(now, &alice.peer, message).unwrap();
    assert_eq!((opened.kind, opened.hash, ids(&opened)), (Kind::Existing, Some(alice.peer.hash), vec![4]));
    let peer = alice.peer;
    assert_eq!(events(&mut bob), [Event::Acked { peer, token: 1 }, Event::Established { peer }]);
    assert_eq!(pass(now, &mut bob, &mut alice), Kind::Existing);
    assert!(alice.sessions.is_established(&bob.peer) && bob.sessions.is_established(&alice.peer));
}

#[test]
fn until_a_reply_comes_every_message_is_a_new_session() {
    let mut clock = Clock::new();
    let (mut alice, mut bob) = (Side::new(1), Side::new(2));
    let messages: Vec<_> = (0..100).map(|id| alice.seal(clock.pass(20), &bob.peer, id)).collect();
    let now = clock.pass(500);
    for (id, message) in (0..).zip(messages) {
        let opened = bob.open(now, &alice.peer, message).unwrap();
        assert_eq!((opened.kind, ids(&opened)), (Kind::NewSession, vec![id]));
    }
    // Replies to the last New Session; each is understood, and one ratchet comes of them.
    let replies: Vec<_> = (0..5).map(|id| bob.seal(now, &alice.peer, id)).collect();
    let now = clock.pass(500);
    for (id, reply) in replies.into_iter().enumerate().rev() {
        let opened = alice.open(now, &bob.peer, reply).unwrap();
        assert_eq!((opened.kind, ids(&opened)), (Kind::NewSessionReply, vec![id as u32]));
    }
    assert_eq!(state(&alice, &bob.peer), ("existing", 1));
    assert_eq!(pass(now, &mut alice, &mut bob), Kind::Existing);
    assert_eq!(pass(now, &mut bob, &mut alice), Kind::Existing);
}

#[test]
fn an_early_reply_is_understood_however_many_new_sessions_followed() {
    let mut clock = Clock::new();
    let (mut alice, mut bob) = (Side::new(1), Side::new(2));
    pass(clock.now(), &mut alice, &mut bob);
    let reply = bob.seal(clock.now(), &alice.peer, 1);
    for id in 0..200 {
        alice.seal(clock.pass(20), &bob.peer, id);
    }
    assert_eq!(alice.open(clock.now(), &bob.peer, reply).unwrap().kind, Kind::NewSessionReply);
    assert_eq!(state(&alice, &bob.peer).0, "existing");
}

#[test]
fn silent_sides_finish_the_handshake_by_themselves_and_then_rest() {
    let mut clock = Clock::new();
    let (mut alice, mut bob) = (Side::new(1), Side::new(2));
    pass(clock.now(), &mut alice, &mut bob);
    assert!(bob.transmits(clock.pass(999)).is_empty());
    assert_eq!(bob.sessions.deadline(), Some(clock.pass(1).instant));
    let [(to, message)] = &bob.transmits(clock.now())[..] else { panic!("one reply") };
    assert_eq!(*to, alice.peer);
    let opened = alice.open(clock.pass(300), &bob.peer, message.clone()).unwrap();
    assert!(opened.kind == Kind::NewSessionReply && opened.cloves.is_empty() && opened.needs_reply);
    let [(_, message)] = &alice.transmits(clock.pass(500))[..] else { panic!("one message") };
    let opened = bob.open(clock.pass(300), &alice.peer, message.clone()).unwrap();
    assert!(opened.kind == Kind::Existing && !opened.needs_reply);
    for _ in 0..100 {
        let now = clock.pass(1000);
        assert!(alice.transmits(now).is_empty() && bob.transmits(now).is_empty());
    }
}

#[test]
fn a_stranger_whose_destination_is_unknown_gets_no_reply() {
    let mut clock = Clock::new();
    let (mut alice, mut bob) = (Side::new(1), Side::new(2));
    let message = alice.seal(clock.now(), &bob.peer, 1);
    bob.sessions.open(clock.now(), message).unwrap();
    assert!(bob.transmits(clock.pass(5000)).is_empty());
    // Sealing to a destination with the key answers it.
    assert_eq!(pass(clock.now(), &mut bob, &mut alice), Kind::NewSessionReply);
}

#[test]
fn new_sessions_that_crossed_end_in_one_ratchet_for_both() {
    for (seed_a, seed_b) in [(1, 2), (2, 1)] {
        let mut clock = Clock::new();
        let (mut alice, mut bob) = (Side::new(seed_a), Side::new(seed_b));
        let mut cross = |expected: Kind| {
            let now = clock.now();
            let (to_bob, to_alice) = (alice.seal(now, &bob.peer, 1), bob.seal(now, &alice.peer, 1));
            let now = clock.pass(100);
            assert_eq!(bob.open(now, &alice.peer, to_bob).unwrap().kind, expected);
            assert_eq!(alice.open(now, &bob.peer, to_alice).unwrap().kind, expected);
        };
        cross(Kind::NewSession);
        cross(Kind::NewSessionReply);
        (0..4).for_each(|_| cross(Kind::Existing));
        let own = |side: &Side, peer: &PeerKey| side.sessions.session(peer).unwrap().sends_in_own().unwrap();
        assert_ne!(own(&alice, &bob.peer), own(&bob, &alice.peer), "both in the ratchet of one handshake");
    }
}

#[test]
fn a_late_new_session_is_answered_and_forgotten() {
    let mut clock = Clock::new();
    let (mut alice, mut bob) = (Side::new(1), Side::new(2));
    let late = alice.seal(clock.now(), &bob.peer, 2);
    pass(clock.now(), &mut alice, &mut bob);
    pass(clock.pass(10), &mut bob, &mut alice);
    pass(clock.pass(10), &mut alice, &mut bob);

    assert_eq!(ids(&bob.open(clock.pass(10), &alice.peer, late).unwrap()), [2]);
    assert_eq!(pass(clock.pass(10), &mut bob, &mut alice), Kind::NewSessionReply);
    assert_eq!(state(&alice, &bob.peer), ("existing", 1), "no second ratchet");
    assert_eq!(pass(clock.pass(10), &mut alice, &mut bob), Kind::Existing);
    assert_eq!(pass(clock.pass(10), &mut bob, &mut alice), Kind::Existing);
}

#[test]
fn after_a_restart_of_one_side_a_new_session_from_either_works() {
    for from_bob in [true, false] {
        let mut clock = Clock::new();
        let (mut alice, _) = established(&mut clock);
        let mut bob = Side::restarted(2);
        let lost = alice.seal(clock.pass(100), &bob.peer, 1);
        assert!(bob.sessions.open(clock.now(), lost).is_err());
        let (first, second) = if from_bob {
            (&mut bob, &mut alice)
        } else {
            alice.sessions.restart(&bob.peer);
            (&mut alice, &mut bob)
        };
        assert_eq!(pass(clock.pass(100), first, second), Kind::NewSession);
        assert_eq!(pass(clock.pass(100), second, first), Kind::NewSessionReply);
        for _ in 0..3 {
            assert_eq!(pass(clock.pass(100), first, second), Kind::Existing);
            assert_eq!(pass(clock.pass(100), second, first), Kind::Existing);
        }
    }
}

#[test]
fn a_peer_that_acknowledges_nothing_is_sent_a_new_session() {
    let mut clock = Clock::new();
    let (mut alice, _) = established(&mut clock);
    let mut bob = Side::restarted(2);
    let mut opened = (0..100).filter(|id| {
        let message = alice.seal(clock.pass(1000), &bob.peer, *id);
        bob.open(clock.now(), &alice.peer, message).is_ok()
    });
    let first = opened.next().unwrap();
    assert!((39..45).contains(&first), "{first}");

    // One that acknowledges is not, even if it has nothing else to say.
    let (mut alice, mut bob) = established(&mut clock);
    for _ in 0..200 {
        assert_eq!(pass(clock.pass(500), &mut alice, &mut bob), Kind::Existing);
        for (_, message) in bob.transmits(clock.pass(500)) {
            alice.open(clock.now(), &bob.peer, message).unwrap();
        }
    }
}

#[test]
fn a_confirmation_comes_with_the_next_message_or_by_itself() {
    let mut clock = Clock::new();
    for busy in [true, false] {
        let (mut alice, mut bob) = established(&mut clock);
        let now = clock.pass(100);
        assert!(alice.sessions.needs_lease_set(now, &bob.peer, 3));
        let content = Content { cloves: &[clove(1, 10)], confirm: Some(3) };
        let message = alice.seal_content(now, &bob.peer, &content);
        assert!(!alice.sessions.needs_lease_set(now, &bob.peer, 3), "under way");
        pass(now, &mut alice, &mut bob);
        assert!(bob.open(now, &alice.peer, message).unwrap().needs_reply);
        let reply = if busy {
            bob.seal(clock.pass(10), &alice.peer, 4)
        } else {
            assert!(bob.transmits(clock.pass(500)).is_empty());
            let [(_, message)] = &bob.transmits(clock.pass(500))[..] else { panic!("one ack") };
            message.clone()
        };
        assert!(bob.sessions.timers.is_empty());
        alice.open(clock.now(), &bob.peer, reply).unwrap();
        assert_eq!(events(&mut alice), [Event::Acked { peer: bob.peer, token: 3 }]);
        assert!(!alice.sessions.needs_lease_set(clock.pass(60_000), &bob.peer, 3));
    }
    // Lost: sent again after a while.
    let (mut alice, bob) = established(&mut clock);
    let content = Content { cloves: &[clove(1, 10)], confirm: Some(3) };
    alice.seal_content(clock.pass(100), &bob.peer, &content);
    assert!(!alice.sessions.needs_lease_set(clock.pass(4999), &bob.peer, 3));
    assert!(alice.sessions.needs_lease_set(clock.pass(1), &bob.peer, 3));
}

#[test]
fn an_ack_does_not_make_a_full_message_longer() {
    let mut clock = Clock::new();
    let (mut alice, mut bob) = established(&mut clock);
    let content = Content { cloves: &[clove(1, 10)], confirm: Some(3) };
    let message = alice.seal_content(clock.pass(100), &bob.peer, &content);
    bob.open(clock.now(), &alice.peer, message).unwrap();
    // 1956 bytes with the I2NP header and the length: two tunnel messages, full.
    let body = 1956 - 20 - 24 - 3 - 33 - 9;
    let full = Content { cloves: &[clove(2, body)], confirm: None };
    assert_eq!(bob.seal_content(clock.now(), &alice.peer, &full).len(), 1936);
    let [(_, message)] = &bob.transmits(clock.pass(1000))[..] else { panic!("the ack, by itself") };
    alice.open(clock.now(), &bob.peer, message.clone()).unwrap();
    assert_eq!(events(&mut alice), [Event::Acked { peer: bob.peer, token: 3 }]);
}

#[test]
fn an_idle_session_is_not_sent_in_after_8_minutes_and_gone_after_10() {
    let mut clock = Clock::new();
    let (mut alice, mut bob) = established(&mut clock);
    assert_eq!(pass(clock.pass(479_000), &mut alice, &mut bob), Kind::Existing);
    assert_eq!(pass(clock.pass(480_000), &mut bob, &mut alice), Kind::NewSession);
    for _ in 0..1000 {
        let now = clock.pass(1000);
        for side in [&mut alice, &mut bob] {
            side.transmits(now);
        }
    }
    for side in [&mut alice, &mut bob] {
        let sessions = &side.sessions;
        assert!(sessions.is_empty() && sessions.tags() == 0 && sessions.timers.is_empty());
        assert_eq!((sessions.deadline(), sessions.strangers.len()), (None, 0));
    }
}

#[test]
fn what_was_sent_before_a_step_is_understood_for_three_minutes_after() {
    let mut clock = Clock::new();
    let (mut alice, mut bob) = established(&mut clock);
    for _ in 0..4000 {
        pass(clock.now(), &mut alice, &mut bob);
    }
    let old: Vec<_> = (0..2).map(|id| alice.seal(clock.now(), &bob.peer, id)).collect();
    for _ in 0..200 {
        pass(clock.now(), &mut alice, &mut bob);
    }
    pass(clock.now(), &mut bob, &mut alice);
    pass(clock.now(), &mut alice, &mut bob);
    let set = |side: &Side, peer| side.sessions.session(peer).unwrap().newest_set();
    assert_eq!(set(&bob, &alice.peer), Some(1));
    let [early, late] = &old[..] else { panic!("two") };
    clock.pass(179_000);
    pass(clock.now(), &mut alice, &mut bob);
    assert_eq!(ids(&bob.open(clock.now(), &alice.peer, early.clone()).unwrap()), [0]);
    clock.pass(1000);
    pass(clock.now(), &mut alice, &mut bob);
    assert!(bob.open(clock.now(), &alice.peer, late.clone()).is_err());
}

#[test]
fn replies_end_after_twelve_and_a_new_session_goes_the_other_way() {
    let mut clock = Clock::new();
    let (mut alice, mut bob) = (Side::new(1), Side::new(2));
    pass(clock.now(), &mut alice, &mut bob);
    let kinds: Vec<_> = (0..14).map(|_| pass(clock.pass(10), &mut bob, &mut alice)).collect();
    assert_eq!(kinds[..12], [Kind::NewSessionReply; 12]);
    assert_eq!(kinds[12..], [Kind::NewSession; 2]);
}

#[test]
fn the_first_of_many_replies_is_the_one_that_counts() {
    let mut clock = Clock::new();
    let (mut alice, mut bob) = (Side::new(1), Side::new(2));
    (0..4).for_each(|_| assert_eq!(pass(clock.pass(10), &mut alice, &mut bob), Kind::NewSession));
    let replies: Vec<_> = (0..48).map(|id| bob.seal(clock.pass(10), &alice.peer, id)).collect();
    assert_eq!(state(&bob, &alice.peer), ("reply", 16));
    for (id, reply) in replies.into_iter().enumerate() {
        assert_eq!(ids(&alice.open(clock.now(), &bob.peer, reply).unwrap()), [id as u32]);
    }
    assert_eq!(pass(clock.pass(10), &mut alice, &mut bob), Kind::Existing);
    assert_eq!(pass(clock.pass(10), &mut bob, &mut alice), Kind::Existing);
    bob.transmits(clock.pass(75_000));
    assert_eq!(state(&bob, &alice.peer), ("existing", 1), "the others are gone");
}

#[test]
fn a_lease_set_goes_with_every_new_session_and_to_every_peer_that_sends_one() {
    let mut clock = Clock::new();
    let (mut alice, mut bob) = established(&mut clock);
    let content = Content { cloves: &[clove(1, 10)], confirm: Some(3) };
    for side in 0..2 {
        let (from, to) = if side == 0 { (&mut alice, &mut bob) } else { (&mut bob, &mut alice) };
        let message = from.seal_content(clock.pass(10), &to.peer, &content);
        to.open(clock.now(), &from.peer, message).unwrap();
        pass(clock.now(), to, from);
        assert!(!from.sessions.needs_lease_set(clock.now(), &to.peer, 3));
    }
    let now = clock.pass(480_000);
    assert!(alice.sessions.needs_lease_set(now, &bob.peer, 3));
    assert_eq!(pass(now, &mut alice, &mut bob), Kind::NewSession);
    assert!(bob.sessions.needs_lease_set(now, &alice.peer, 3));
}

#[test]
fn a_terminated_ratchet_is_gone() {
    let mut clock = Clock::new();
    let (mut alice, mut bob) = established(&mut clock);
    let Some(Some(session)) = alice.sessions.table.first_mut() else { panic!("a session") };
    let entry = session.next_entry();
    let mut message = [&entry.tag[..], &[4, 0, 1, 0]].concat();
    allium_crypto::aead::Key::new(&entry.key).seal_vec(u64::from(entry.number), &entry.tag, &mut message, 8);
    bob.sessions.open(clock.pass(10), BytesMut::from(&message[..])).unwrap();
    assert_eq!(pass(clock.now(), &mut bob, &mut alice), Kind::NewSession);
}
