use std::time::Duration;

use allium_router::{
    ConnectError, Datagram, DatagramError, DatagramKind, Datagrams, LocalDestination, Ports, Target,
};
use allium_sim::site::pattern;
use allium_sim::{Fleet, Path, Topology, site};
use allium_wire::DestHash;
use tokio::time::Instant;

const KINDS: [DatagramKind; 5] =
    [DatagramKind::One, DatagramKind::Two, DatagramKind::Three, DatagramKind::RAW, DatagramKind::Raw(200)];
const PORTS: Ports = Ports { from: 1234, to: 40_000 };

fn near() -> Topology {
    let path = Path { latency: Duration::from_millis(20), ..Path::default() };
    Topology { path, ..Topology::of(16) }
}

/// A published destination and a client's, with everything that comes for them.
async fn pair(fleet: &Fleet) -> (Datagrams, Datagrams) {
    let (service, client) = (fleet.site(9).destination, fleet.client(12));
    service.ready().await;
    client.ready().await;
    fleet.sleep(Duration::from_secs(10)).await;
    (all_of(&service), all_of(&client))
}

fn all_of(destination: &LocalDestination) -> Datagrams {
    destination.datagrams(None, None).unwrap()
}

fn hash_of(datagrams: &Datagrams) -> Target {
    Target::Hash(datagrams.destination().hash())
}

fn payload(length: usize, seed: u64) -> Vec<u8> {
    (0..length as u64).map(|at| pattern(at + seed)).collect()
}

async fn next(datagrams: &Datagrams) -> Datagram {
    let next = tokio::time::timeout(Duration::from_secs(20), datagrams.recv()).await;
    next.expect("a datagram comes in time").expect("the destination is open")
}

fn check(came: &Datagram, kind: DatagramKind, from: DestHash, wanted: &[u8]) {
    assert_eq!((came.kind, came.ports), (kind, PORTS));
    let is_raw = matches!(kind, DatagramKind::Raw(_));
    assert_eq!(came.from.as_ref().map(Target::hash), (!is_raw).then_some(from), "{kind:?}");
    assert_eq!(came.proven, !is_raw, "{kind:?}");
    assert!(came.payload == wanted, "{kind:?}: {} bytes, not the {} sent", came.payload.len(), wanted.len());
}

#[test]
fn every_kind_arrives_both_ways_small_and_large() {
    near().run(1, async |fleet: &mut Fleet| {
        let (service, client) = pair(fleet).await;
        let (there, back) = (client.destination().hash(), service.destination().hash());
        for kind in KINDS {
            // The longest goes first, beside the client's LeaseSet; and the client is known by its datagram alone.
            for length in [client.most(kind), 0, 1, 600, 10_000] {
                let sent = payload(length, 7);
                client.send(&hash_of(&service), kind, PORTS, &sent).await.unwrap();
                let came = next(&service).await;
                check(&came, kind, there, &sent);
                let answer = payload(length, 9);
                let to = came.from.unwrap_or(Target::Hash(there));
                service.send(&to, kind, PORTS, &answer).await.unwrap();
                check(&next(&client).await, kind, back, &answer);
            }
            let long = payload(client.most(kind) + 1, 0);
            let refused = client.send(&hash_of(&service), kind, PORTS, &long).await;
            assert!(matches!(refused, Err(DatagramError::TooLong(most)) if most == long.len() - 1));
        }
        let counters = fleet.counters();
        assert_eq!((counters["datagrams_sent"], counters["datagrams_received"]), (50, 50));
        for fault in ["datagrams_unsent", "datagrams_dropped", "datagrams_refused", "malformed"] {
            assert_eq!(counters.get(fault), None, "{counters:?}");
        }
    });
}

#[test]
fn each_goes_to_whoever_asked_for_it() {
    near().run(2, async |fleet: &mut Fleet| {
        let (everything, client) = pair(fleet).await;
        let service = everything.destination().clone();
        let to = hash_of(&everything);
        let both = service.datagrams(Some(DatagramKind::RAW), Some(5)).unwrap();
        let raw = service.datagrams(Some(DatagramKind::RAW), None).unwrap();
        let port = service.datagrams(None, Some(5)).unwrap();
        let taken = service.datagrams(Some(DatagramKind::RAW), Some(5));
        assert!(matches!(taken, Err(DatagramError::InUse)));
        assert!(matches!(
            service.datagrams(Some(DatagramKind::Raw(17)), None),
            Err(DatagramError::Reserved(17))
        ));
        let reserved = client.send(&to, DatagramKind::Raw(6), PORTS, b"").await;
        assert!(matches!(reserved, Err(DatagramError::Reserved(6))));
        let send = async |kind, to_port, payload: &[u8]| {
            client.send(&to, kind, Ports { from: 0, to: to_port }, payload).await.unwrap();
        };
        send(DatagramKind::RAW, 5, b"both").await;
        send(DatagramKind::RAW, 6, b"raw").await;
        send(DatagramKind::Raw(19 + 2), 5, b"port").await;
        send(DatagramKind::Three, 6, b"everything").await;
        for (handle, wanted) in [(&both, "both"), (&raw, "raw"), (&port, "port"), (&everything, "everything")]
        {
            assert_eq!(next(handle).await.payload, wanted);
        }
        drop(both);
        send(DatagramKind::RAW, 5, b"raw again").await;
        assert_eq!(next(&raw).await.payload, "raw again");
        drop((raw, port, everything));
        send(DatagramKind::RAW, 5, b"nobody").await;
        let limit = Duration::from_secs(20);
        fleet
            .until("it is counted", limit, async |fleet| {
                fleet.counters().get("datagrams_dropped") == Some(&1)
            })
            .await;
    });
}

#[test]
fn a_receiver_that_nobody_knows_is_an_error() {
    near().run(3, async |fleet: &mut Fleet| {
        let client = fleet.client(12);
        let datagrams = all_of(&client);
        let nobody = Target::Hash(DestHash([7; 32]));
        // Before there are tunnels, too.
        let begun = Instant::now();
        let lost = datagrams.send(&nobody, DatagramKind::Two, PORTS, b"anybody?").await;
        assert!(matches!(lost, Err(DatagramError::Unreachable(ConnectError::LeaseSetNotFound))), "{lost:?}");
        assert!(begun.elapsed() < Duration::from_secs(60));
        for _ in 0..300 {
            datagrams.try_send(&nobody, DatagramKind::RAW, PORTS, b"anybody?").unwrap();
        }
        let limit = Duration::from_secs(60);
        fleet
            .until("all are counted", limit, async |fleet| {
                fleet.counters().get("datagrams_unsent") == Some(&301)
            })
            .await;
        assert_eq!(fleet.counters().get("datagrams_sent"), None);
    });
}

#[test]
fn without_tunnels_datagrams_are_given_up() {
    let alone = Topology { routers: 1, floodfills: 1, ..near() };
    alone.run(4, async |fleet: &mut Fleet| {
        let datagrams = all_of(&fleet.client(0));
        let begun = Instant::now();
        let lost = datagrams.send(&Target::Hash(DestHash([7; 32])), DatagramKind::Three, PORTS, b"?").await;
        assert!(matches!(lost, Err(DatagramError::Unreachable(ConnectError::NoTunnels(_)))), "{lost:?}");
        assert!(begun.elapsed() < Duration::from_secs(40));
        // What waits is bounded.
        let mut taken = 0_u64;
        let full = loop {
            let to = Target::Hash(DestHash([8; 32]));
            match datagrams.try_send(&to, DatagramKind::RAW, PORTS, &payload(50_000, 0)) {
                Ok(()) => taken += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(full, DatagramError::Full) && taken * 50_000 <= 4 << 20, "{taken}: {full:?}");
        // What waits when the router stops is told of.
        let waiting = tokio::spawn(async move {
            let lost = datagrams.send(&Target::Hash(DestHash([9; 32])), DatagramKind::RAW, PORTS, b"?").await;
            (lost, datagrams.recv().await.is_none())
        });
        fleet.sleep(Duration::from_secs(1)).await;
        fleet.stop(0).await;
        let (lost, over) = waiting.await.unwrap();
        assert!(matches!(lost, Err(DatagramError::Unreachable(ConnectError::Closed))), "{lost:?}");
        assert!(over);
    });
}

#[test]
fn thousands_a_second_leave_room_for_streams() {
    const COUNT: u64 = 20_000;
    const EACH_TENTH: u64 = 400;
    near().run(5, async |fleet: &mut Fleet| {
        let (service, client) = pair(fleet).await;
        let to = hash_of(&service);
        // A session stands once the receiver has answered.
        client.send(&to, DatagramKind::Three, PORTS, b"begin").await.unwrap();
        fleet.sleep(Duration::from_secs(5)).await;
        let receiver = tokio::spawn(async move {
            let mut came = 0_u64;
            while let Ok(Some(_)) = tokio::time::timeout(Duration::from_secs(10), service.recv()).await {
                came += 1;
            }
            (came, service)
        });
        let download = {
            let (client, hash) = (client.destination().clone(), to.hash());
            tokio::spawn(async move { site::fetch(&client, hash, 2_000_000).await })
        };
        let begun = Instant::now();
        for n in 0..COUNT {
            client.send(&to, DatagramKind::Three, PORTS, &payload(600, n)).await.unwrap();
            if n % EACH_TENTH == 0 {
                fleet.sleep(Duration::from_millis(100)).await;
            }
        }
        let took = begun.elapsed();
        let transfer = download.await.unwrap().unwrap();
        let (came, _service) = receiver.await.unwrap();
        println!("{COUNT} datagrams in {took:?}, {came} came; {transfer:?}, {:?}", fleet.counters());
        assert!(took < Duration::from_secs(10), "{took:?}");
        assert!(transfer.whole < Duration::from_secs(10), "{transfer:?}");
        // A fresh session listens for few tags ahead: of the first burst, striped over tunnels, some are not opened.
        assert!(came * 100 >= COUNT * 98, "{came}");
    });
}

#[test]
fn datagrams_outlive_their_first_tunnels() {
    near().run(6, async |fleet: &mut Fleet| {
        let (service, client) = pair(fleet).await;
        let to = hash_of(&service);
        let receiver = tokio::spawn(async move {
            let mut came = 0;
            while let Ok(Some(_)) = tokio::time::timeout(Duration::from_secs(120), service.recv()).await {
                came += 1;
            }
            came
        });
        // Nobody answers: all that the client hears are acknowledgements of its garlic.
        for n in 0..200 {
            client.send(&to, DatagramKind::RAW, PORTS, &payload(100, n)).await.unwrap();
            fleet.sleep(Duration::from_secs(10)).await;
        }
        let came = receiver.await.unwrap();
        assert!(came >= 196, "{came} of 200 came");
    });
}
