//! Other traffic: datagrams from a pod to a server that never reads, so that every one passes all
//! that is watched and ends in a drop, a thing that is watched as well. Bounded by who drops it.

use std::io::IoSlice;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, sendmmsg};

use crate::bench::namespace::inside;

/// Where nobody reads.
const PORT: u16 = 7000;
/// Who sends.
const SENDERS: u32 = 2;
/// Datagrams of one call.
const BATCH: usize = 32;
/// What each has: little, since it is the number that counts.
const WORDS: [u8; 18] = *b"something unwanted";
/// None goes on for longer, whatever becomes of the bench.
const LONGEST: Duration = Duration::from_secs(30);

/// Traffic that goes on until this is dropped.
pub(super) struct Flood {
    sent: Arc<AtomicU64>,
    begun: Instant,
    ends: Arc<AtomicBool>,
    senders: Vec<JoinHandle<anyhow::Result<()>>>,
    _server: UdpSocket,
}

impl Flood {
    /// So many datagrams a second from the namespace of a pod to one of a server, at least, if the
    /// machine can.
    ///
    /// # Errors
    /// When there is no such namespace, or the port is taken.
    pub(super) fn start(
        client: &Path,
        (server, at): (&Path, Ipv4Addr),
        rate: u32,
    ) -> anyhow::Result<Self> {
        let silent = inside(server, || Ok(UdpSocket::bind((at, PORT))?))?;
        let (sent, ends) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let sender = |_| {
            let socket = inside(client, || {
                let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
                socket.connect(SocketAddrV4::new(at, PORT))?;
                Ok(socket)
            })?;
            let (sent, ends) = (sent.clone(), ends.clone());
            Ok(thread::spawn(move || {
                pour(&socket, rate / SENDERS, &sent, &ends)
            }))
        };
        let senders = (0..SENDERS).map(sender).collect::<anyhow::Result<_>>()?;
        Ok(Self {
            sent,
            begun: Instant::now(),
            ends,
            senders,
            _server: silent,
        })
    }

    /// Ends it: how many datagrams a second there were.
    ///
    /// # Errors
    /// When a sender failed.
    pub(super) fn stop(mut self) -> anyhow::Result<f64> {
        self.ends.store(true, Ordering::Relaxed);
        let rate = self.sent.load(Ordering::Relaxed) as f64 / self.begun.elapsed().as_secs_f64();
        for sender in self.senders.drain(..) {
            sender.join().map_err(|_panic| anyhow!("a panic"))??;
        }
        Ok(rate)
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
    }
}

/// Sends in batches, and waits while it is ahead of its rate.
fn pour(socket: &UdpSocket, rate: u32, all: &AtomicU64, ends: &AtomicBool) -> anyhow::Result<()> {
    let words = [IoSlice::new(&WORDS)];
    let batch = [&words; BATCH];
    let nowhere = [None::<SockaddrStorage>; BATCH];
    let mut headers = MultiHeaders::preallocate(BATCH, None);
    let (begun, mut sent) = (Instant::now(), 0_u32);
    while !ends.load(Ordering::Relaxed) && begun.elapsed() < LONGEST {
        let done = sendmmsg(
            socket.as_raw_fd(),
            &mut headers,
            batch,
            nowhere,
            [],
            MsgFlags::empty(),
        );
        let count = done.context("cannot send")?.count();
        sent = sent.saturating_add(u32::try_from(count)?);
        all.fetch_add(count as u64, Ordering::Relaxed);
        let due = Duration::from_secs(1).mul_f64(f64::from(sent) / f64::from(rate));
        thread::sleep(due.saturating_sub(begun.elapsed()));
    }
    Ok(())
}
