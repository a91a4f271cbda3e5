//! An event on a line.

use std::net::IpAddr;

use proxy_abi::protocol;
use proxy_agent::local::api::{Event, What};
use serde::Serialize;

use super::super::freed::{freed, is_usual};
use super::super::walk::Names;

/// An event with its node, as `-o json` writes it.
#[derive(Serialize)]
pub(super) struct Told<'a> {
    pub(super) node: &'a str,
    #[serde(flatten)]
    pub(super) event: &'a Event,
}

/// When, on which node, where, what, which packet.
pub(super) fn text(
    node: &str,
    event: &Event,
    names: &Names,
    sender: impl Fn(&str) -> Option<IpAddr>,
) -> String {
    let place = match (event.pod, event.interface.as_str()) {
        (None, interface) => interface.to_owned(),
        (Some(pod), interface) => {
            let name = names.get(&pod).cloned();
            let name = name.unwrap_or_else(|| format!("pod {pod}"));
            format!("{name} {interface}").trim_end().to_owned()
        }
    };
    let packet = format!("{} > {}{}", event.from, event.to, details(event));
    let what = match &event.what {
        What::Received => format!("in        {packet}"),
        What::Sent => format!("out       {packet}"),
        What::Freed { .. } => {
            let Some(end) = freed(node, event, names, sender) else {
                return String::new();
            };
            let by = end
                .function
                .as_ref()
                .map_or(String::new(), |by| format!(" ({by})"));
            match is_usual(&end) {
                true => format!("end       {packet}  {}{by}", end.reason),
                false => {
                    let (reason, words, object) = (&end.reason, &end.words, &end.object);
                    format!("DROPPED   {packet}  {reason}{by}: {words}; look at {object}")
                }
            }
        }
        What::Program {
            name,
            verdict,
            nanoseconds,
            after_from,
            after_to,
            counters,
        } => {
            let after = match (*after_from, *after_to) == (event.from, event.to) {
                true => String::new(),
                false => format!("  =>  {after_from} > {after_to}"),
            };
            let counters = counters.join(", ");
            let line = format!("{name}: {verdict} in {nanoseconds} ns {counters}");
            format!("{packet}{after}  {}", line.trim_end())
        }
    };
    format!("{} {node:<8} {place:<28} {what}", time(event.nanoseconds))
}

fn details(event: &Event) -> String {
    let name = match event.protocol {
        protocol::TCP => " tcp".to_owned(),
        protocol::UDP => " udp".to_owned(),
        protocol::SCTP => " sctp".to_owned(),
        protocol::ICMP | protocol::ICMP6 => " icmp".to_owned(),
        0 => String::new(),
        number => format!(" protocol {number}"),
    };
    let flags = match event.tcp.as_str() {
        "" => String::new(),
        flags => format!(" {flags}"),
    };
    let length = match event.length {
        0 => String::new(),
        bytes => format!(" {bytes} B"),
    };
    format!("{name}{flags}{length}")
}

/// The time of the day, UTC, to the microsecond.
fn time(nanoseconds: u64) -> String {
    let micros = nanoseconds / 1_000;
    let seconds = micros / 1_000_000 % 86_400;
    let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
    let (seconds, micros) = (seconds % 60, micros % 1_000_000);
    format!("{hours:02}:{minutes:02}:{seconds:02}.{micros:06}")
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn event(what: What, pod: Option<&str>) -> Event {
        let at = |text: &str| text.parse::<SocketAddr>().expect("an address");
        Event {
            nanoseconds: 3_661_000_042_000,
            what,
            pod: pod.map(|text| text.parse().expect("an address")),
            interface: "eth0".to_owned(),
            protocol: protocol::TCP,
            from: at("10.0.0.1:4000"),
            to: at("10.0.0.2:80"),
            length: 60,
            tcp: "SYN".to_owned(),
        }
    }

    fn line(what: What, pod: Option<&str>) -> String {
        let web: IpAddr = "10.0.0.2".parse().expect("an address");
        let names = Names::from([(web, "pod default/web".to_owned())]);
        text("n1", &event(what, pod), &names, |_| None)
    }

    #[test]
    fn a_line_says_when_where_what_and_which() {
        assert_eq!(
            line(What::Received, Some("10.0.0.2")),
            "01:01:01.000042 n1       pod default/web eth0         in        \
             10.0.0.1:4000 > 10.0.0.2:80 tcp SYN 60 B"
        );
        let dropped = What::Freed {
            reason: "NO_SOCKET".to_owned(),
            function: Some("tcp_v4_rcv".to_owned()),
            ours: vec![],
        };
        let dropped = line(dropped, Some("10.0.0.2"));
        assert!(
            dropped.ends_with(
                "no-socket (tcp_v4_rcv): nobody has a socket there; look at pod default/web"
            ),
            "{dropped}"
        );
        let ran = What::Program {
            name: "from_pod".to_owned(),
            verdict: "redirected".to_owned(),
            nanoseconds: 812,
            after_from: "10.0.0.1:4000".parse().expect("an address"),
            after_to: "10.0.0.9:8080".parse().expect("an address"),
            counters: vec!["shortcut".to_owned()],
        };
        let ran = line(ran, None);
        assert!(
            ran.ends_with(
                "=>  10.0.0.1:4000 > 10.0.0.9:8080  from_pod: redirected in 812 ns shortcut"
            ),
            "{ran}"
        );
    }
}
