use std::time::Duration;

use allium_sim::{Fleet, Path, Topology, site};

/// What happened in ten virtual minutes: a hash of all that was sent, and how many sends those were.
fn trace(seed: u64) -> (u64, u64) {
    let path = Path {
        latency: Duration::from_millis(40),
        jitter: Duration::from_millis(20),
        loss: 0.01,
        bandwidth: Some(10_000_000),
    };
    let topology = Topology { path, behind_nat: 0.2, skewed: 0.2, drop_idle: 0.3, ..Topology::of(12) };
    topology.run(seed, async |fleet: &mut Fleet| {
        let (site, client) = (fleet.site(3), fleet.client(9));
        site.destination.ready().await;
        for _ in 0..5 {
            site::fetch(&client, site.hash(), 50_000).await.unwrap();
            fleet.sleep(Duration::from_secs(60)).await;
        }
        fleet.crash(5).await;
        fleet.sleep(Duration::from_secs(120)).await;
        fleet.restart(5).await;
        fleet.sleep(Duration::from_secs(120)).await;
        fleet.net.trace()
    })
}

#[test]
fn equal_seeds_give_equal_traces() {
    let first = trace(1);
    println!("trace {first:?}");
    assert!(first.1 > 1000, "only {} sends", first.1);
    assert_eq!(first, trace(1));
    if std::env::var_os("ALLIUM_SEED").is_none() {
        assert_ne!(first, trace(2), "the seed must matter");
    }
}
