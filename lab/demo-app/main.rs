//! `flatnet-demo`: the application of the demonstration, its client, and what tests and
//! benchmarks drive a network with.
//!
//! Knows nothing of flatnet: it is an ordinary program that serves and asks.

mod answer;
mod bytes;
mod http;
mod patience;
mod serve;
mod steady;
mod udp;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

/// A small server that says who it is, and clients for it.
#[derive(Debug, Parser)]
#[command(name = "flatnet-demo", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve HTTP and UDP echo on a port, and single bytes on another
    Serve {
        /// HTTP (TCP) and echo (UDP)
        #[arg(long, default_value_t = 8080)]
        port: u16,
        /// One byte each way, then close
        #[arg(long)]
        byte_port: Option<u16>,
        /// How long to go on accepting after SIGTERM, while the network learns of the end
        #[arg(long, default_value_t = 2000)]
        drain_ms: u64,
    },
    /// Print the addresses of a name, as this machine's resolver has them
    Resolve {
        /// Such as backend
        name: String,
    },
    /// Ask a URL, with a new connection each time, and print the answers
    Get {
        /// Such as http://backend/
        url: String,
        /// How often
        #[arg(long, default_value_t = 1)]
        count: u32,
        /// For one answer, name resolution included
        #[arg(long, default_value_t = 5000)]
        timeout_ms: u64,
    },
    /// Ask a URL at a steady rate until stopped, then print a summary as one line of JSON
    Loop {
        /// Such as http://backend/
        url: String,
        /// Between two questions
        #[arg(long, default_value_t = 10)]
        interval_ms: u64,
        /// When to stop by itself
        #[arg(long)]
        duration_ms: Option<u64>,
        /// For one answer, name resolution included
        #[arg(long, default_value_t = 5000)]
        timeout_ms: u64,
    },
    /// Connect, send a byte, receive a byte, close; print latencies and the rate
    Connect {
        /// HOST:PORT of a byte server
        address: String,
        /// How often
        #[arg(long, default_value_t = 1000)]
        count: u32,
        /// How many to do first without counting them
        #[arg(long, default_value_t = 0)]
        warm_up: u32,
        /// As one line of JSON
        #[arg(long)]
        json: bool,
    },
    /// Send datagrams and print what comes back
    Udp {
        /// HOST:PORT of an echo server
        address: String,
        /// How many
        #[arg(long, default_value_t = 1)]
        count: u32,
        /// For one answer
        #[arg(long, default_value_t = 2000)]
        timeout_ms: u64,
        /// Between two datagrams
        #[arg(long, default_value_t = 0)]
        interval_ms: u64,
        /// All from one connected socket, as one flow
        #[arg(long)]
        one_socket: bool,
        /// Bytes of each datagram, and of the answer, as long as that needs no more
        #[arg(long)]
        size: Option<u16>,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Arguments::parse().command).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("flatnet-demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether everything asked was answered.
async fn run(command: Command) -> anyhow::Result<bool> {
    let ms = Duration::from_millis;
    match command {
        Command::Serve {
            port,
            byte_port,
            drain_ms,
        } => {
            serve::run(port, byte_port, ms(drain_ms)).await?;
            Ok(true)
        }
        Command::Resolve { name } => http::print_addresses(&name).await,
        Command::Get {
            url,
            count,
            timeout_ms,
        } => http::print_answers(&http::Url::parse(&url)?, count, ms(timeout_ms)).await,
        Command::Loop {
            url,
            interval_ms,
            duration_ms,
            timeout_ms,
        } => {
            let pace = steady::Pace {
                interval: ms(interval_ms.max(1)),
                duration: duration_ms.map(ms),
                timeout: ms(timeout_ms),
            };
            steady::run(&http::Url::parse(&url)?, pace).await
        }
        Command::Connect {
            address,
            count,
            warm_up,
            json,
        } => bytes::measure(&address, count, warm_up, json),
        Command::Udp {
            address,
            count,
            timeout_ms,
            interval_ms,
            one_socket,
            size,
        } => {
            let pace = udp::Pace {
                count,
                timeout: ms(timeout_ms),
                interval: ms(interval_ms),
            };
            let question = answer::question(size.map(usize::from));
            udp::ask(&address, &pace, &question, one_socket).await
        }
    }
}
