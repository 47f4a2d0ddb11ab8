use std::time::Duration;

use allium_router::LocalDestination;
use allium_sim::{Fleet, Path, Site, Topology, site};

const MINUTE: Duration = Duration::from_secs(60);

/// A hundred routers on a world wide net: some are behind a NAT, some drop tunnels that are idle.
fn world() -> Topology {
    let path = Path {
        latency: Duration::from_millis(40),
        jitter: Duration::from_millis(20),
        loss: 0.01,
        bandwidth: Some(10_000_000),
    };
    Topology { path, behind_nat: 0.2, drop_idle: 0.3, known: 50, ..Topology::of(100) }
}

/// Streams that stay open, and what was seen of them.
struct Watch {
    sites: Vec<Site>,
    echoes: Vec<site::Echo>,
    slowest: Duration,
}

impl Watch {
    /// Every stream still echoes, and every service has tunnels both ways.
    async fn look(&mut self, fleet: &Fleet) {
        for (n, echo) in self.echoes.iter_mut().enumerate() {
            let said = tokio::time::timeout(MINUTE, echo.say()).await;
            let took = said.unwrap_or_else(|_| panic!("stream {n}: no answer at {:?}", fleet.elapsed()));
            self.slowest = self.slowest.max(took.unwrap());
        }
        for site in &self.sites {
            let status = fleet.router(site.host).status().await;
            let stands = status.destinations.iter().all(|d| d.inbound_tunnels > 0 && d.outbound_tunnels > 0);
            assert!(stands && status.ready, "at {:?}: {:?}", fleet.elapsed(), status.destinations);
        }
    }

    /// Somebody new finds every service: its published leases are valid.
    async fn visit(&self, fleet: &mut Fleet) -> Vec<Duration> {
        let host = fleet.rng.below(fleet.len() as u64) as usize;
        let visitor = fleet.client(host);
        visitor.ready().await;
        let mut took = Vec::new();
        for site in &self.sites {
            let page = tokio::time::timeout(MINUTE, site::fetch(&visitor, site.hash(), 20_000)).await;
            let page = page.unwrap_or_else(|_| panic!("router {host} got no page at {:?}", fleet.elapsed()));
            took.push(page.unwrap().whole);
        }
        took
    }
}

#[test]
fn a_hundred_routers_for_an_hour() {
    world().run(7, async |fleet: &mut Fleet| {
        let settled = fleet.settled(2 * MINUTE).await;
        let sites: Vec<Site> = (0..5).map(|n| fleet.site(20 + 13 * n)).collect();
        let clients: Vec<LocalDestination> = (0..5).map(|n| fleet.client(17 + 14 * n)).collect();
        for (site, client) in sites.iter().zip(&clients) {
            site.destination.ready().await;
            client.ready().await;
        }
        println!("tunnels everywhere after {settled:?}, services ready after {:?}", fleet.elapsed());
        let mut echoes = Vec::new();
        for (client, site) in clients.iter().zip(&sites) {
            echoes.push(site::echo(client, site.hash()).await.unwrap());
        }
        let mut watch = Watch { sites, echoes, slowest: Duration::ZERO };
        let mut pages = Vec::new();
        let mut next_visit = fleet.elapsed();
        while fleet.elapsed() < 61 * MINUTE {
            watch.look(fleet).await;
            if fleet.elapsed() >= next_visit {
                next_visit += 2 * MINUTE;
                pages.extend(watch.visit(fleet).await);
            }
            fleet.sleep(Duration::from_secs(2)).await;
        }
        pages.sort();
        let (succeeded, failed) = fleet.builds().await;
        let share = succeeded as f64 / (succeeded + failed) as f64;
        println!("{succeeded} of {} builds succeeded ({:.1} %)", succeeded + failed, share * 100.0);
        println!("slowest echo {:?}; half the pages within {:?}", watch.slowest, pages[pages.len() / 2]);
        println!("all within {:?}; {:?}", pages.last(), fleet.counters());
        assert!(share > 0.95);
        assert!(watch.slowest < Duration::from_secs(5), "a stream paused for {:?}", watch.slowest);
    });
}
