//! The server of a variant: sockets in its pod's namespace.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{PATIENCE, prepare};
use crate::bench::namespace::inside;

/// The ports that servers listen on, TCP and UDP: two, so that a Service can have two endpoints.
pub(in crate::bench) const PORTS: [u16; 2] = [9000, 9001];

/// The server.
pub(in crate::bench) struct Server {
    netns: PathBuf,
    pub(super) listeners: Vec<TcpListener>,
    pub(super) sockets: Vec<UdpSocket>,
}

impl Server {
    /// Listens in the namespace kept at `netns`.
    ///
    /// # Errors
    /// When there is no such namespace, or a port is taken.
    pub(in crate::bench) fn start(netns: &Path) -> anyhow::Result<Self> {
        let (listeners, sockets) = inside(netns, || {
            let (mut listeners, mut sockets) = (Vec::new(), Vec::new());
            for port in PORTS {
                listeners.push(TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?);
                sockets.push(UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))?);
            }
            Ok((listeners, sockets))
        })?;
        Ok(Self {
            netns: netns.to_owned(),
            listeners,
            sockets,
        })
    }

    /// The other end of a connection that a client has just made.
    pub(super) fn accept(&self) -> anyhow::Result<TcpStream> {
        let in_ = |listener| PollFd::new(listener, PollFlags::POLLIN);
        let mut waited: Vec<_> = self.listeners.iter().map(|one| in_(one.as_fd())).collect();
        poll(&mut waited, PollTimeout::try_from(PATIENCE)?)?;
        let ready = waited.iter().position(|one| one.any() == Some(true));
        let listener = ready.and_then(|index| self.listeners.get(index));
        let (stream, _) = listener.context("nobody connects")?.accept()?;
        prepare(&stream)?;
        Ok(stream)
    }

    /// Ends [`connections`] and [`datagrams`] at every port, from the server's own namespace,
    /// which needs no path to it.
    pub(super) fn wake(&self) -> anyhow::Result<()> {
        inside(&self.netns, || {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            for port in PORTS {
                let own = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
                drop(TcpStream::connect(own)?);
                socket.send_to(&[], own)?;
            }
            Ok(())
        })
    }
}

/// Answers connections, one after the other, until one ends without a byte.
pub(super) fn connections(listener: &TcpListener) -> anyhow::Result<()> {
    loop {
        let (mut stream, _) = listener.accept()?;
        prepare(&stream)?;
        if !echo(&mut stream)? {
            return Ok(());
        }
    }
}

/// Answers datagrams until an empty one comes.
pub(super) fn datagrams(socket: &UdpSocket) -> anyhow::Result<()> {
    let mut byte = [0];
    loop {
        let (count, from) = socket.recv_from(&mut byte)?;
        if count == 0 {
            return Ok(());
        }
        ensure!(socket.send_to(&byte, from)? == 1, "half a byte");
    }
}

/// Sends one byte back; false at the end of the connection.
pub(super) fn echo(stream: &mut TcpStream) -> io::Result<bool> {
    let mut byte = [0];
    if stream.read(&mut byte)? == 0 {
        return Ok(false);
    }
    stream.write_all(&byte)?;
    Ok(true)
}
