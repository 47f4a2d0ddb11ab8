use allium_content::block::{ContentBlock, SIZE};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::testing::config;

/// A node of the store that knows the first one.
async fn node(router: &Router, first: Option<DestHash>, seed: u8, tasks: &Tasks) -> Arc<Shell> {
    node_in(router, first, seed, tasks, None).await
}

/// The same, with its blocks in a data folder.
async fn node_in(
    router: &Router,
    first: Option<DestHash>,
    seed: u8,
    tasks: &Tasks,
    store: Option<Store>,
) -> Arc<Shell> {
    let pool = config("store");
    let bootstrap = first.map(|first| Destination::try_from(first.b32()).unwrap());
    let setup = Setup {
        node: router.destination(config("store")).unwrap(),
        router: router.clone(),
        pools: (pool.inbound, pool.outbound),
        quota: 64 << 20,
        bootstrap: bootstrap.into_iter().collect(),
        names: Arc::new(Names::new(None)),
        store,
        rng: Rng::from_seed([seed; 32]),
        tasks: tasks.clone(),
    };
    Shell::start(setup).await.unwrap()
}

fn block(number: u8) -> Block {
    ContentBlock::decode(vec![number; SIZE].into()).unwrap().into()
}

#[tokio::test(start_paused = true)]
async fn blocks_go_from_node_to_node() {
    let router = Router::default();
    let tasks = Tasks::new(CancellationToken::new());
    let first = node(&router, None, 1, &tasks).await;
    let mut shells = vec![Arc::clone(&first)];
    for seed in 2..7 {
        shells.push(node(&router, Some(first.own), seed, &tasks).await);
    }
    for shell in &shells {
        shell.ready.clone().wait_for(|ready| *ready).await.unwrap();
    }
    for number in 0..40 {
        let placed = shells[1].put(block(number)).await.unwrap();
        assert!(placed.holders >= 2);
    }
    for number in 0..40 {
        let key = block(number).key();
        assert_eq!(shells[5].get(key, false).await.unwrap(), block(number));
        assert!(shells[4].count(key).await.unwrap() >= 2);
    }
    let absent = shells[3].get(Key([9; 32]), false).await;
    assert!(matches!(absent, Err(Why::Absent)), "{absent:?}");

    let key = block(7).key();
    shells[2].pin(vec![key]).await;
    while shells[2].here(vec![key]).await != [true] {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let status = shells[2].status().await;
    assert!(status.ready && status.peers >= 4 && status.pinned == 1, "{status:?}");
    tasks.stop().cancel();
    tasks.ended().await;
    assert!(matches!(shells[2].get(Key([8; 32]), false).await, Err(Why::Unanswered)));
}

#[tokio::test(start_paused = true)]
async fn a_block_that_is_found_damaged_by_its_own_people_is_fetched_anew() {
    let folder = tempfile::tempdir().unwrap();
    let router = Router::default();
    let tasks = Tasks::new(CancellationToken::new());
    let first = node(&router, None, 1, &tasks).await;
    let store = Some(Store::open(folder.path()).unwrap());
    let own = node_in(&router, Some(first.own), 2, &tasks, store).await;
    let third = node(&router, Some(first.own), 3, &tasks).await;
    for shell in [&first, &own, &third] {
        shell.ready.clone().wait_for(|ready| *ready).await.unwrap();
    }
    let key = block(1).key();
    first.put(block(1)).await.unwrap();
    while own.here(vec![key]).await != [true] || third.here(vec![key]).await != [true] {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }

    let path = folder.path().join(FOLDER).join("blocks");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[1000] ^= 4;
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(own.get(key, false).await.unwrap(), block(1), "others have it");
    while own.keeper_status().await.unwrap().stats.healed == 0 || own.local(key).await.is_none() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(own.keeper_status().await.unwrap().stats.damaged, 1);
    tasks.stop().cancel();
    tasks.ended().await;
}
