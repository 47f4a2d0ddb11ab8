use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;

use allium_client_api::config::{ByteSize, Content, Destination};
use allium_client_api::content::Blocks;
use allium_client_api::{ClientApi, ClientConfig, Machine};
use allium_content::block::{Block, ContentBlock, SIZE};
use allium_router::{Quantity, Store};
use allium_sim::{Fleet, Path, Topology};
use tokio_util::sync::CancellationToken;

/// How many blocks are put.
const BLOCKS: u64 = 60;

fn near() -> Topology {
    let path = Path { latency: Duration::from_millis(20), ..Path::default() };
    Topology { path, ..Topology::of(14) }
}

/// The store at one router.
struct Running {
    api: ClientApi,
    blocks: Arc<dyn Blocks>,
    stop: CancellationToken,
}

async fn start(fleet: &mut Fleet, index: usize, folder: &FilePath, first: Option<&str>) -> Running {
    let bootstrap = first.map(|first| Destination::try_from(first.to_owned()).unwrap());
    let content = Content {
        enabled: true,
        quota: ByteSize(1 << 30),
        bootstrap: bootstrap.into_iter().collect(),
        gateway: None,
        inbound_quantity: Quantity(2),
        outbound_quantity: Quantity(2),
        ..Content::default()
    };
    let mut config = ClientConfig { content: Some(content), ..ClientConfig::default() };
    (config.http_proxy.enabled, config.socks.enabled) = (false, false);
    let store = Store::open(&folder.join(index.to_string())).unwrap();
    let net = fleet.net.host(fleet.node(index).ip);
    let machine = Machine { net, store: Some(store), rng: fleet.rng.fork() };
    let stop = CancellationToken::new();
    let api = ClientApi::start(fleet.router(index), &config, machine, stop.clone()).await.unwrap();
    let blocks = api.blocks().unwrap();
    Running { api, blocks, stop }
}

impl Running {
    async fn stop(self, fleet: &mut Fleet, index: usize) {
        self.stop.cancel();
        fleet.stop(index).await;
        self.api.stopped().await;
    }
}

async fn all_ready(fleet: &Fleet, nodes: &[Running], least: usize) {
    let limit = Duration::from_secs(600);
    fleet
        .until("every node knows others", limit, async |_| {
            for node in nodes {
                let status = node.blocks.status().await;
                if !status.ready || status.peers < least {
                    return false;
                }
            }
            true
        })
        .await;
}

/// Stores at the routers 4 to 11 that know each other.
async fn eight(fleet: &mut Fleet, folder: &FilePath) -> Vec<Running> {
    fleet.settled(Duration::from_secs(300)).await;
    let first = start(fleet, 4, folder, None).await;
    let address = first.blocks.status().await.address;
    let mut nodes = vec![first];
    for index in 5..12 {
        nodes.push(start(fleet, index, folder, Some(&address)).await);
    }
    all_ready(fleet, &nodes, 6).await;
    nodes
}

fn block(number: u64) -> Block {
    let mut bytes = vec![0; SIZE];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    ContentBlock::decode(bytes.into()).unwrap().into()
}

#[test]
fn blocks_outlive_their_publisher_and_restarts() {
    let folder = tempfile::tempdir().unwrap();
    near().run(1, async |fleet: &mut Fleet| {
        let mut nodes = eight(fleet, folder.path()).await;

        for number in 0..BLOCKS {
            let placed = nodes[7].blocks.put(block(number)).await.unwrap();
            assert!(placed.holders >= 2, "{placed:?}");
        }
        // Who published them goes, and comes back only at the end.
        nodes.pop().unwrap().stop(fleet, 11).await;
        for number in 0..BLOCKS {
            let got = nodes[0].blocks.get(block(number).key(), false).await.unwrap();
            assert!(got == block(number));
        }

        // A node that stops and comes back has what it had, and its address.
        let keys: Vec<_> = (0..BLOCKS).map(|number| block(number).key()).collect();
        let before = nodes[6].blocks.here(keys.clone()).await;
        let same = nodes[6].blocks.status().await.address;
        nodes.pop().unwrap().stop(fleet, 10).await;
        fleet.start(10).await;
        let again = start(fleet, 10, folder.path(), None).await;
        let after = again.blocks.here(keys).await;
        assert!(before.iter().any(|here| *here), "it held something");
        assert!(before.iter().zip(&after).all(|(before, after)| !before || *after));
        assert_eq!(again.blocks.status().await.address, same);
        // It knows the others from its last run: it was given no bootstrap.
        all_ready(fleet, std::slice::from_ref(&again), 4).await;
        assert!(again.blocks.get(block(3).key(), false).await.unwrap() == block(3));
        again.stop(fleet, 10).await;
    });
}

/// Blocks that can only be got one after the other, as those of a small document are, just after the publisher's router,
/// which holds them all, is gone without a word.
#[test]
fn a_read_does_not_wait_for_a_publisher_that_was_killed() {
    let folder = tempfile::tempdir().unwrap();
    near().run(1, async |fleet: &mut Fleet| {
        let mut nodes = eight(fleet, folder.path()).await;
        let publisher = nodes.pop().unwrap();
        for number in 0..BLOCKS {
            publisher.blocks.put(block(number)).await.unwrap();
        }
        let keys: Vec<_> = (0..BLOCKS).map(|number| block(number).key()).collect();
        let held = async |by: &Running| {
            let here = by.blocks.here(keys.clone()).await;
            (0..keys.len()).filter(|index| here[*index]).collect::<Vec<_>>()
        };
        let limit = Duration::from_secs(3600);
        let enough = async |_: &Fleet| held(&publisher).await.len() >= 12;
        fleet.until("the publisher holds much of what it published", limit, enough).await;
        // Who has the fewest of these reads them, and knows the network.
        let there = held(&publisher).await;
        let mut best = (0, Vec::new());
        for (node, running) in nodes.iter().enumerate() {
            let here = held(running).await;
            let lacking: Vec<_> = there.iter().copied().filter(|index| !here.contains(index)).collect();
            if lacking.len() > best.1.len() {
                best = (node, lacking);
            }
        }
        let (node, lacking) = best;
        let reader = &nodes[node].blocks;
        let here = held(&nodes[node]).await;
        for index in (0..keys.len()).filter(|index| !here.contains(index) && !there.contains(index)).take(3) {
            reader.get(keys[index], false).await.unwrap();
        }
        fleet.crash(11).await;
        let mut times = Vec::new();
        for index in lacking.iter().take(12) {
            let before = fleet.elapsed();
            let got = loop {
                match reader.get(keys[*index], false).await {
                    // It is said to be unavailable for now, not to be absent.
                    Err(why) if format!("{why:?}") == "Unanswered" => {
                        fleet.sleep(Duration::from_secs(1)).await;
                    }
                    other => break other.unwrap(),
                }
            };
            assert!(got == block(*index as u64));
            times.push(fleet.elapsed().saturating_sub(before));
        }
        times.sort();
        println!("got after the publisher was killed: {times:?}");
        // Tunnels that led through its router hold up those that were to use them until they are replaced.
        let median = times.get(times.len() / 2);
        assert!(median <= Some(&Duration::from_secs(3)), "{times:?}");
        publisher.stop.cancel();
    });
}
