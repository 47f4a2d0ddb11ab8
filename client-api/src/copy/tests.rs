use tokio::io::{AsyncReadExt, DuplexStream, duplex};

use super::*;

/// A bridge between two pipes: their outer ends, and how it ends.
fn bridged(stop: &CancellationToken) -> (DuplexStream, DuplexStream, tokio::task::JoinHandle<Ended>) {
    let (local, mut near) = duplex(1024);
    let (remote, mut far) = duplex(1024);
    let stop = stop.clone();
    let bridge = tokio::spawn(async move { bridge(b"", &mut near, &mut far, &stop).await });
    (local, remote, bridge)
}

#[tokio::test(start_paused = true)]
async fn one_direction_outlives_the_other() {
    let (mut local, mut remote, bridge) = bridged(&CancellationToken::new());
    local.write_all(b"question").await.unwrap();
    local.shutdown().await.unwrap();
    let mut question = String::new();
    remote.read_to_string(&mut question).await.unwrap();
    assert_eq!(question, "question");
    remote.write_all(b"answer").await.unwrap();
    drop(remote);
    let mut answer = String::new();
    local.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "answer");
    assert!(matches!(bridge.await.unwrap(), Ended::Finished));
}

#[tokio::test(start_paused = true)]
async fn silence_ends_it_sooner_when_half_closed() {
    let start = tokio::time::Instant::now();
    let (_local, _remote, bridge) = bridged(&CancellationToken::new());
    assert!(matches!(bridge.await.unwrap(), Ended::Idle));
    assert!(start.elapsed() >= IDLE && start.elapsed() < IDLE + 2 * LOOK_EVERY);

    let start = tokio::time::Instant::now();
    let (mut local, _remote, bridge) = bridged(&CancellationToken::new());
    local.shutdown().await.unwrap();
    assert!(matches!(bridge.await.unwrap(), Ended::Idle));
    assert!(start.elapsed() >= HALF_IDLE && start.elapsed() < HALF_IDLE + 2 * LOOK_EVERY);
}

#[tokio::test(start_paused = true)]
async fn movement_keeps_it_alive() {
    let (mut local, mut remote, bridge) = bridged(&CancellationToken::new());
    for _ in 0..100 {
        tokio::time::sleep(IDLE / 2).await;
        remote.write_all(b".").await.unwrap();
        local.read_u8().await.unwrap();
    }
    assert!(!bridge.is_finished());
}

#[tokio::test(start_paused = true)]
async fn stopping_ends_it() {
    let stop = CancellationToken::new();
    let (_local, _remote, bridge) = bridged(&stop);
    stop.cancel();
    assert!(matches!(bridge.await.unwrap(), Ended::Stopped));
}

#[tokio::test(start_paused = true)]
async fn early_data_that_nobody_takes_does_not_hold_up_the_stop() {
    let (_local, mut near) = duplex(1024);
    let (_remote, mut far) = duplex(1024);
    let stop = CancellationToken::new();
    let early = vec![0; 5000];
    let bridge = bridge(&early, &mut near, &mut far, &stop);
    let stopping = async {
        tokio::time::sleep(LOOK_EVERY).await;
        stop.cancel();
    };
    assert!(matches!(tokio::join!(bridge, stopping).0, Ended::Stopped));
}
