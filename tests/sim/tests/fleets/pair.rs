use std::time::Duration;

use allium_router::LocalDestination;
use allium_sim::{Fleet, Path, Site, Topology, site};

/// Seven links lie between a client and a service, three hops on either side.
fn far() -> Topology {
    let path = Path { latency: Duration::from_millis(50), ..Path::default() };
    Topology { path, ..Topology::of(24) }
}

async fn pair(fleet: &mut Fleet) -> (Site, LocalDestination) {
    let (site, client) = (fleet.site(10), fleet.client(20));
    site.destination.ready().await;
    client.ready().await;
    fleet.sleep(Duration::from_secs(30)).await;
    (site, client)
}

#[test]
fn five_megabytes_arrive_intact_under_loss_and_jitter() {
    let path = Path {
        latency: Duration::from_millis(45),
        jitter: Duration::from_millis(20),
        loss: 0.01,
        bandwidth: Some(10_000_000),
    };
    Topology { path, ..far() }.run(3, async |fleet: &mut Fleet| {
        let (site, client) = pair(fleet).await;
        let transfer = site::fetch(&client, site.hash(), 5_000_000).await.unwrap();
        println!("5 MB with 1 % loss: {transfer:?}, {:.0} B/s", transfer.rate());
        assert!(transfer.whole < Duration::from_secs(60), "{transfer:?}");
    });
}

#[test]
fn the_first_byte_comes_after_one_round_trip() {
    far().run(4, async |fleet: &mut Fleet| {
        let (site, client) = pair(fleet).await;
        let first = site::fetch(&client, site.hash(), 100).await.unwrap();
        println!("first byte with a LeaseSet lookup: {first:?}");
        let mut all = Vec::new();
        for _ in 0..20 {
            fleet.sleep(Duration::from_secs(5)).await;
            all.push(site::fetch(&client, site.hash(), 100).await.unwrap().first_byte);
        }
        all.sort();
        println!("first bytes: {all:?}");
        assert!(all[15] <= Duration::from_millis(900), "{all:?}");
        // On a faultless internet nothing is lost, and no tunnel fails.
        let counters = fleet.counters();
        for fault in
            ["builds_failed", "dropped_stale", "dropped_full", "dropped_inbox", "malformed", "unopened"]
        {
            assert_eq!(counters.get(fault), None, "{counters:?}");
        }
    });
}

#[test]
fn a_stream_fills_a_long_path() {
    far().run(5, async |fleet: &mut Fleet| {
        let (site, client) = pair(fleet).await;
        let mut rates = Vec::new();
        for megabytes in [1, 5, 20] {
            let transfer = site::fetch(&client, site.hash(), megabytes * 1_000_000).await.unwrap();
            println!("{megabytes} MB: {transfer:?}, {:.0} B/s", transfer.rate());
            rates.push(transfer.rate());
        }
        assert!(rates[2] >= 2e6, "{rates:?}");
    });
}

async fn several(client: &LocalDestination, site: &Site, streams: usize, bytes: u64) -> f64 {
    let begun = tokio::time::Instant::now();
    let all: Vec<_> = (0..streams)
        .map(|_| {
            let (client, hash) = (client.clone(), site.hash());
            tokio::spawn(async move { site::fetch(&client, hash, bytes).await })
        })
        .collect();
    for task in all {
        let transfer = task.await.unwrap().unwrap();
        println!("  {transfer:?}, {:.0} B/s", transfer.rate());
    }
    (bytes * streams as u64) as f64 / begun.elapsed().as_secs_f64()
}

#[test]
fn streams_share_a_long_path_that_loses_one_segment_in_a_hundred() {
    let path = Path {
        latency: Duration::from_millis(50),
        jitter: Duration::from_millis(10),
        loss: 0.01,
        bandwidth: Some(12_000_000),
    };
    Topology { path, ..far() }.run(6, async |fleet: &mut Fleet| {
        let (site, client) = pair(fleet).await;
        let one = several(&client, &site, 1, 20_000_000).await;
        println!("one stream: {one:.0} B/s");
        let four = several(&client, &site, 4, 10_000_000).await;
        println!("four streams: {four:.0} B/s");
        assert!(one >= 1e6 && four >= 2e6, "{one:.0} {four:.0}");
    });
}
