//! Options about conversations, named as kube-proxy's, which hands them to the kernel's connection
//! tracking.

use std::time::Duration;

use clap::Args;
use jiff::SignedDuration;

use crate::plan::flows::Timeouts;

/// How long silent conversations are remembered. As with kube-proxy 0 is what it is without the
/// option.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct FlowOptions {
    /// TCP, established (24h).
    #[arg(long, env = "FLATNET_CONNTRACK_TCP_TIMEOUT_ESTABLISHED", value_name = "DURATION", value_parser = duration)]
    pub conntrack_tcp_timeout_established: Option<Duration>,
    /// TCP, closed by one side (1h).
    #[arg(long, env = "FLATNET_CONNTRACK_TCP_TIMEOUT_CLOSE_WAIT", value_name = "DURATION", value_parser = duration)]
    pub conntrack_tcp_timeout_close_wait: Option<Duration>,
    /// UDP that was not answered, or just once (30s).
    #[arg(long, env = "FLATNET_CONNTRACK_UDP_TIMEOUT", value_name = "DURATION", value_parser = duration)]
    pub conntrack_udp_timeout: Option<Duration>,
    /// UDP that goes to and fro (180s).
    #[arg(long, env = "FLATNET_CONNTRACK_UDP_TIMEOUT_STREAM", value_name = "DURATION", value_parser = duration)]
    pub conntrack_udp_timeout_stream: Option<Duration>,
}

impl FlowOptions {
    /// The time-outs that these options give.
    #[must_use]
    pub fn timeouts(&self) -> Timeouts {
        let default = Timeouts::default();
        let or = |given: Option<Duration>, default| match given {
            None | Some(Duration::ZERO) => default,
            Some(given) => given,
        };
        Timeouts {
            tcp_established: or(
                self.conntrack_tcp_timeout_established,
                default.tcp_established,
            ),
            tcp_half_closed: or(
                self.conntrack_tcp_timeout_close_wait,
                default.tcp_half_closed,
            ),
            udp: or(self.conntrack_udp_timeout, default.udp),
            udp_stream: or(self.conntrack_udp_timeout_stream, default.udp_stream),
        }
    }
}

/// `24h0m0s` and the like, as Go writes durations; also plain seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().map(Duration::from_secs).ok();
    let spelled = || {
        let read: SignedDuration = text.parse().ok()?;
        Duration::try_from(read).ok()
    };
    let read = seconds.or_else(spelled);
    read.ok_or_else(|| "expected a duration, such as 24h or 1h30m or 90s".into())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        flows: FlowOptions,
    }

    fn read(line: &[&str]) -> Timeouts {
        Line::parse_from(line).flows.timeouts()
    }

    #[test]
    fn what_is_not_given_has_its_default() {
        assert_eq!(read(&["x"]), Timeouts::default());
        let zero = ["x", "--conntrack-tcp-timeout-established=0s"];
        assert_eq!(read(&zero), Timeouts::default());
    }

    #[test]
    fn durations_are_written_as_for_kube_proxy() {
        let given = read(&[
            "x",
            "--conntrack-tcp-timeout-established=24h0m1s",
            "--conntrack-tcp-timeout-close-wait=1h30m",
            "--conntrack-udp-timeout=7",
            "--conntrack-udp-timeout-stream=2m",
        ]);
        let expected = Timeouts {
            tcp_established: Duration::from_secs(86_401),
            tcp_half_closed: Duration::from_secs(5_400),
            udp: Duration::from_secs(7),
            udp_stream: Duration::from_secs(120),
        };
        assert_eq!(given, expected);
        for wrong in ["", "x", "-5s", "1 fortnight"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
