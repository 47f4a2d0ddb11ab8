use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::listen::{Tasks, serve_each};
use crate::names::Names;
use crate::router::{LocalDestination, Net, Router, Target};
use crate::testing::{MemoryNet, config, router_with_echo, send_back};

const TARGET: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);

struct World {
    net: MemoryNet,
    service: Arc<Service>,
    visitor: LocalDestination,
}

/// A running service with room for two streams, whose program is not started yet.
fn world() -> World {
    let (router, net, tasks) = (Router::default(), MemoryNet::default(), Tasks::default());
    let destination = router.destination(config("web")).unwrap();
    let visitor = router.destination(config("visitor")).unwrap();
    let service = Arc::new(Service {
        name: "web".into(),
        destination,
        target: TARGET,
        net: Arc::new(net.clone()),
        room: 2,
        tasks: tasks.clone(),
        down: false.into(),
    });
    tasks.spawn(Arc::clone(&service).run());
    World { net, service, visitor }
}

impl World {
    async fn start_program(&self) {
        let mut listener = self.net.listen(TARGET).await.unwrap();
        tokio::spawn(async move {
            while let Ok(connection) = listener.accept().await {
                tokio::spawn(send_back(connection));
            }
        });
    }

    async fn visit(&self) -> crate::router::Stream {
        self.visitor.connect(Target::Hash(self.service.destination.hash()), 80).await.unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn streams_reach_the_program_and_half_close() {
    let world = world();
    world.start_program().await;
    let mut stream = world.visit().await;
    stream.write_all(b"hello").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "hello");
}

#[tokio::test(start_paused = true)]
async fn a_program_that_is_down_resets_the_stream() {
    let world = world();
    let mut stream = world.visit().await;
    let error = stream.read_u8().await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    world.start_program().await;
    let mut stream = world.visit().await;
    stream.write_all(b"x").await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), b'x');
}

#[tokio::test(start_paused = true)]
async fn too_many_streams_are_refused_and_room_comes_back() {
    let world = world();
    world.start_program().await;
    let mut streams = Vec::new();
    for _ in 0..2 {
        let mut stream = world.visit().await;
        stream.write_all(b"x").await.unwrap();
        stream.read_u8().await.unwrap();
        streams.push(stream);
    }
    let mut third = world.visit().await;
    assert_eq!(third.read_u8().await.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    let mut first = streams.remove(0);
    first.shutdown().await.unwrap();
    assert_eq!(first.read(&mut [0; 1]).await.unwrap(), 0);
    let mut fourth = world.visit().await;
    fourth.write_all(b"x").await.unwrap();
    assert_eq!(fourth.read_u8().await.unwrap(), b'x');
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_leads_to_its_destination() {
    let (router, echo, destination) = router_with_echo();
    let (net, tasks) = (MemoryNet::default(), Tasks::default());
    let at = SocketAddr::from(([127, 0, 0, 1], 6668));
    for (port, to) in [(6668, echo.b32()), (6669, "unknown.i2p".into())] {
        let tunnel = Arc::new(Tunnel {
            name: "irc".into(),
            destination: destination.clone(),
            to: to.try_into().unwrap(),
            names: Arc::new(Names::new(None)),
            tasks: tasks.clone(),
        });
        let listener = net.listen(SocketAddr::new(at.ip(), port)).await.unwrap();
        let serve = move |connection| Arc::clone(&tunnel).serve(connection);
        tasks.spawn(serve_each("tunnel", listener, 8, tasks.clone(), serve));
    }
    let mut client = net.dial(at).await.unwrap();
    client.write_all(b"hello").await.unwrap();
    client.shutdown().await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "hello");
    assert_eq!(router.writes(), [5]);

    let mut client = net.dial(SocketAddr::new(at.ip(), 6669)).await.unwrap();
    assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);

    let tasks_end = tasks.clone();
    tasks.stop().cancel();
    tasks_end.ended().await;
}
