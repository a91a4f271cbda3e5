//! How long a silent conversation is remembered.

use std::time::Duration;

use proxy_abi::{Flow, protocol};

use super::State;

/// Time-outs by protocol and state. Defaults from kube-proxy where it sets them, else from Linux'
/// connection tracking (`Documentation/networking/nf_conntrack-sysctl.rst`), else as said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// TCP, established: 24 h (kube-proxy, `--conntrack-tcp-timeout-established`).
    pub tcp_established: Duration,
    /// TCP, a FIN from one side: 1 h (kube-proxy, `--conntrack-tcp-timeout-close-wait`).
    pub tcp_half_closed: Duration,
    /// UDP that has spoken to and fro: 180 s. Linux had that until 5.0 and has 120 s since; RFC
    /// 4787 forbids less than two minutes.
    pub udp_stream: Duration,
    /// UDP before that: 30 s (Linux).
    pub udp: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            tcp_established: Duration::from_secs(86_400),
            tcp_half_closed: Duration::from_secs(3_600),
            udp_stream: Duration::from_secs(180),
            udp: Duration::from_secs(30),
        }
    }
}

/// TCP with a FIN from both sides or a reset: Linux' TIME-WAIT, in which a late segment may come.
const TCP_CLOSED: Duration = Duration::from_secs(60);
/// TCP before the client has answered the answer: Linux' SYN_SENT, a whole series of SYNs.
const TCP_OPENING: Duration = Duration::from_secs(120);
/// SCTP, established. Linux has 210 s (five heartbeats of 30 s and one retransmission time-out); an
/// association without heartbeats is as silent as a TCP connection, and no FIN is read of it.
const SCTP_ESTABLISHED: Duration = Duration::from_secs(3_600);
/// ICMP echo, and what else there is: Linux' 30 s.
const OTHER: Duration = Duration::from_secs(30);
/// An entry that lost its other half, by a full table or an agent that was killed between the
/// two. What is in use is never that old: each packet notes its time.
const ORPHAN: Duration = Duration::from_secs(60);

impl Timeouts {
    /// The time-out in units of [`Flow::time`], rounded up: never less than it says.
    pub(super) fn of(&self, protocol: u8, state: State) -> u32 {
        units(self.duration(protocol, state))
    }

    fn duration(&self, protocol: u8, state: State) -> Duration {
        match (protocol, state) {
            (_, State::Orphan) => ORPHAN,
            (protocol::TCP, State::Established) => self.tcp_established,
            (protocol::TCP, State::HalfClosed) => self.tcp_half_closed,
            (protocol::TCP, State::Closed) => TCP_CLOSED,
            (protocol::TCP, State::Opening) => TCP_OPENING,
            (protocol::UDP, State::Established) => self.udp_stream,
            (protocol::UDP, _) => self.udp,
            (protocol::SCTP, State::Established) => SCTP_ESTABLISHED,
            _ => OTHER,
        }
    }
}

fn units(duration: Duration) -> u32 {
    let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    Flow::time(nanoseconds.saturating_add((1 << 30) - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_outs_are_never_shorter_than_they_say() {
        for seconds in [1u32, 30, 60, 180, 3_600, 86_400] {
            let exact = f64::from(seconds) * 1e9 / f64::from(1 << 30);
            let units = f64::from(units(Duration::from_secs(seconds.into())));
            assert!(units >= exact && units < exact + 1.0, "{seconds} s");
        }
    }
}
