//! Streams: as many bytes as the path carries, left to the scheduler as two pods' processes are.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use super::cpu::{self, SoftInterrupts};
use super::{Leg, Server, connected, joined};

/// How long streams flow.
const STREAM_FOR: Duration = Duration::from_millis(700);
/// What a stream's writer and reader hand to the kernel at a time.
const CHUNK: usize = 128 * 1024;
const GIB: f64 = (1_u64 << 30) as f64;

pub(super) fn streams(server: &Server, leg: &Leg, count: usize) -> anyhow::Result<Vec<f64>> {
    let pairs = (0..count).map(|_| connected(server, leg));
    let pairs: Vec<_> = pairs.collect::<anyhow::Result<_>>()?;
    let kernel = SoftInterrupts::find()?;
    let (before, start) = (kernel.used()?, Instant::now());
    let ends = thread::scope(|scope| {
        let mut threads = Vec::new();
        for (client, served) in pairs {
            threads.push(scope.spawn(move || pour(client, start + STREAM_FOR)));
            threads.push(scope.spawn(move || drain(served)));
        }
        threads
            .into_iter()
            .map(joined)
            .collect::<anyhow::Result<Vec<_>>>()
    })?;
    let seconds = start.elapsed().as_secs_f64();
    let cpu = ends.iter().map(|end| end.cpu).sum::<Duration>() + (kernel.used()? - before);
    let bytes = ends.iter().map(|end| end.received).sum::<u64>() as f64;
    Ok(vec![
        bytes * 8.0 / seconds / 1e9,
        cpu.as_secs_f64() / (bytes / GIB),
    ])
}

/// What one end of a stream did.
struct End {
    received: u64,
    cpu: Duration,
}

fn pour(mut stream: TcpStream, until: Instant) -> anyhow::Result<End> {
    let chunk = vec![0; CHUNK];
    while Instant::now() < until {
        stream.write_all(&chunk)?;
    }
    drop(stream);
    Ok(End {
        received: 0,
        cpu: cpu::of_this_thread()?,
    })
}

fn drain(mut stream: TcpStream) -> anyhow::Result<End> {
    let (mut chunk, mut received) = (vec![0; CHUNK], 0);
    loop {
        match stream.read(&mut chunk)? {
            0 => break,
            count => received += count as u64,
        }
    }
    let cpu = cpu::of_this_thread()?;
    Ok(End { received, cpu })
}
