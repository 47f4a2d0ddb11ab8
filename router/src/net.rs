//! The seam between a router and the machine's sockets: real ones here, simulated ones in `allium-sim`.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// A boxed future that may borrow from its maker.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The writing half of a connection.
pub trait WriteHalf: AsyncWrite + Send + Unpin {
    /// Makes the coming close a reset (RST), which tells a prober nothing.
    fn abort(&self) {}

    /// Lets the congestion control look for bandwidth anew, where there is such a thing.
    fn hurry(&self) {}
}

impl WriteHalf for tokio::io::DuplexStream {}
impl<T: AsyncWrite + Send + Unpin> WriteHalf for tokio::io::WriteHalf<T> {}

impl WriteHalf for tokio::net::tcp::OwnedWriteHalf {
    fn abort(&self) {
        // Failing to set the option costs the disguise alone: the connection closes either way.
        let _ = SockRef::from(self.as_ref()).set_linger(Some(std::time::Duration::ZERO));
    }

    fn hurry(&self) {
        #[cfg(target_os = "linux")]
        {
            // BBR doubles its rate each round trip only until it has been steady once, and on a lossy path that is soon,
            // with hardly anything to send. From then on it grows by a quarter every eight round trips. Only another
            // algorithm's turn makes it begin anew; it keeps its window meanwhile.
            let socket = SockRef::from(self.as_ref());
            if socket.tcp_congestion().is_ok_and(|name| name.starts_with(BBR)) {
                let _ = socket.set_tcp_congestion(b"reno");
                let _ = socket.set_tcp_congestion(BBR);
            }
        }
    }
}

#[cfg(target_os = "linux")]
const BBR: &[u8] = b"bbr";
/// Bytes that the kernel takes before it can send them. What waits beyond that waits in the outbox, where it is seen.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 128 << 10;

/// A connected byte stream, as two halves that share nothing.
pub struct Connection {
    /// What the other side sends.
    pub read: Box<dyn AsyncRead + Send + Unpin>,
    /// What the other side receives.
    pub write: Box<dyn WriteHalf>,
    /// The other side's address.
    pub peer: SocketAddr,
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.read).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.write).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.write).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.write).poll_shutdown(cx)
    }
}

/// Something that accepts connections.
pub trait Listener: Send {
    /// The next connection.
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Connection>>;
    /// The address it listens on.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// Where connections come from.
pub trait Net: Send + Sync + 'static {
    /// Connects to `to`, leaving from `from` where one is named.
    fn connect(&self, from: Option<IpAddr>, to: SocketAddr) -> BoxFuture<'_, io::Result<Connection>>;
    /// Listens at `at`.
    fn listen(&self, at: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>>;
    /// The congestion control in force on this net's connections, where there is such a thing.
    fn congestion_control(&self) -> Option<String> {
        None
    }
}

/// This machine's TCP, with BBR where the kernel has it: on lossy paths cubic carries a fiftieth.
#[derive(Debug, Default)]
pub struct Tcp;

/// Tunes a router's TCP connection: no Nagle, BBR where the kernel has it, and no long queue in the kernel.
fn tune(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    let _ = socket.set_tcp_nodelay(true);
    #[cfg(target_os = "linux")]
    {
        let _ = socket.set_tcp_congestion(BBR);
        let _ = socket.set_tcp_notsent_lowat(UNSENT);
    }
}

fn connection(stream: TcpStream, peer: SocketAddr) -> Connection {
    tune(&stream);
    let (read, write) = stream.into_split();
    Connection { read: Box::new(read), write: Box::new(write), peer }
}

struct TcpAccept(TcpListener);

impl Listener for TcpAccept {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Connection>> {
        Box::pin(async {
            let (stream, peer) = self.0.accept().await?;
            Ok(connection(stream, peer))
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl Net for Tcp {
    fn connect(&self, from: Option<IpAddr>, to: SocketAddr) -> BoxFuture<'_, io::Result<Connection>> {
        Box::pin(async move {
            let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            if let Some(from) = from.filter(|ip| ip.is_ipv4() == to.is_ipv4() && !ip.is_unspecified()) {
                socket.bind(SocketAddr::new(from, 0))?;
            }
            #[cfg(target_os = "linux")]
            let _ = SockRef::from(&socket).set_tcp_congestion(BBR);
            Ok(connection(socket.connect(to).await?, to))
        })
    }

    fn listen(&self, at: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let socket = Socket::new(Domain::for_address(at), Type::STREAM, Some(Protocol::TCP))?;
            socket.set_reuse_address(true)?;
            if at.is_ipv6() {
                socket.set_only_v6(true)?;
            }
            socket.set_nonblocking(true)?;
            socket.bind(&at.into())?;
            socket.listen(1024)?;
            let listener = TcpListener::from_std(socket.into())?;
            Ok(Box::new(TcpAccept(listener)) as Box<dyn Listener>)
        })
    }

    fn congestion_control(&self) -> Option<String> {
        #[cfg(target_os = "linux")]
        {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).ok()?;
            let _ = socket.set_tcp_congestion(BBR);
            let name = socket.tcp_congestion().ok()?;
            let end = name.iter().position(|b| *b == 0).unwrap_or(name.len());
            Some(String::from_utf8_lossy(&name[..end]).into_owned())
        }
        #[cfg(not(target_os = "linux"))]
        None
    }
}
