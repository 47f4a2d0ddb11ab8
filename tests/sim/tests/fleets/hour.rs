use std::collections::BTreeMap;
use std::time::Duration;

use allium_sim::{Fleet, Path, Site, Topology, site};
use allium_router::LocalDestination;

const MINUTE: Duration = Duration::from_secs(60);

/// What the watched services lacked during a test.
#[derive(Debug, Default)]
struct Lapses(BTreeMap<usize, Vec<Duration>>);

/// A hundred routers, some of them behind a NAT, some that drop idle tunnels, on a world wide net.
fn world() -> Topology {
    let path = Path {
        latency: Duration::from_millis(40),
        jitter: Duration::from_millis(20),
        loss: 0.01,
        bandwidth: Some(10_000_000),
    };
    Topology { path, behind_nat: 0.2, drop_idle: 0.3, known: 50, ..Topology::of(100) }
}

#[test]
fn a_hundred_routers_for_an_hour() {
    world().run(7, async |fleet: &mut Fleet| {
        let settled = fleet.settled(5 * MINUTE).await;
        println!("tunnels everywhere after {settled:?}");
        let sites: Vec<Site> = (0..5).map(|n| fleet.site(20 + 13 * n)).collect();
        let clients: Vec<LocalDestination> = (0..5).map(|n| fleet.client(17 + 14 * n)).collect();
        for site in &sites {
            site.destination.ready().await;
        }
        for client in &clients {
            client.ready().await;
        }
        println!("services ready after {:?}", fleet.elapsed());
        let mut echoes = Vec::new();
        for (client, site) in clients.iter().zip(&sites) {
            echoes.push(site::echo(client, site.hash()).await.unwrap());
        }
        let mut slowest = Duration::ZERO;
        let mut lapses = Lapses::default();
        let mut fetched = Vec::new();
        for minute in 0..58u64 {
            for _ in 0..6 {
                fleet.sleep(Duration::from_secs(10)).await;
                for (n, echo) in echoes.iter_mut().enumerate() {
                    let took = tokio::time::timeout(MINUTE, echo.say()).await;
                    let took = took.unwrap_or_else(|_| panic!("echo {n} got no answer at {:?}", fleet.elapsed()));
                    slowest = slowest.max(took.unwrap());
                }
                for (n, site) in sites.iter().enumerate() {
                    let status = fleet.router(site.host).status().await;
                    if !status.destinations.iter().all(|d| d.inbound_tunnels > 0 && d.outbound_tunnels > 0) {
                        lapses.0.entry(n).or_default().push(fleet.elapsed());
                    }
                }
            }
            let (client, site) = (fleet.rng.choose(&clients).unwrap(), fleet.rng.choose(&sites).unwrap());
            let transfer = site::fetch(client, site.hash(), 20_000).await.unwrap();
            fetched.push(transfer.whole);
            if minute % 10 == 0 {
                println!("minute {minute}: builds {:?}, slowest echo {slowest:?}", fleet.builds().await);
            }
        }
        let (succeeded, failed) = fleet.builds().await;
        fetched.sort();
        println!(
            "builds {succeeded} of {} succeeded; slowest echo {slowest:?}; median transfer {:?}, slowest {:?}; {:?}",
            succeeded + failed,
            fetched[fetched.len() / 2],
            fetched.last(),
            fleet.net.trace()
        );
        assert!(lapses.0.is_empty(), "services without tunnels: {lapses:?}");
        assert!(succeeded as f64 / (succeeded + failed) as f64 > 0.8);
    });
}
