//! Upstreams as the program comes by them: from a file that changes, and in a circle.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use hickory_proto::op::ResponseCode;

use crate::ANY;
use crate::api::{Api, SERVICES};
use crate::running::{PATIENCE, Running, WEB, ask, ask_until, metric};
use crate::service;
use crate::upstream::{Upstream, own_host};

const FIRST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const SECOND: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// Puts a file of this text in the place of `file`, as editors and mounted ConfigMaps do.
fn replace(file: &Path, text: &str) {
    let new = file.with_extension("new");
    std::fs::write(&new, text).expect("written");
    std::fs::rename(&new, file).expect("renamed");
}

#[test]
fn resolv_conf_is_read_again_when_it_changes() {
    if crate::lacks_root() {
        return;
    }
    // The file names no ports.
    let [first, second] = [FIRST, SECOND].map(|says| {
        let address = SocketAddr::from((own_host(), 53));
        Upstream::knowing(address, says, 1)
    });
    let dir = std::env::temp_dir().join(format!("flatnet-resolv-{}", std::process::id()));
    std::fs::create_dir(&dir).expect("a directory");
    let file = dir.join("resolv.conf");
    let line = |upstream: &Upstream| format!("nameserver {}\n", upstream.address.ip());
    replace(&file, &line(&first));

    let api = Api::started();
    let path = file.display().to_string();
    let server = Running::start_with(&api.url(), &["--resolv-conf", &path]);
    let udp = server.address("DNS over UDP");
    ask_until(udp, "a.example.", &[FIRST.into()]);
    replace(&file, &format!("# by hand\n{}", line(&second)));
    let begun = Instant::now();
    // A name each time that no cache has.
    let found = (0..).find(|n| {
        let (_, found) = ask(udp, &format!("b{n}.example."));
        std::thread::sleep(Duration::from_millis(100));
        found == [SECOND] || begun.elapsed() > Duration::from_secs(15)
    });
    let took = begun.elapsed();
    std::fs::remove_dir_all(&dir).expect("removed");
    assert!(took < Duration::from_secs(15), "after {found:?} questions");
    let asked = first.asked();
    assert_eq!(ask(udp, "c.example.").1, [SECOND]);
    assert_eq!(first.asked(), asked, "it is asked no more");
    assert_eq!(ask(udp, "a.example.").1, [FIRST], "what was kept is kept");
}

#[test]
fn two_servers_that_forward_to_each_other_notice_it() {
    let api = Api::started();
    api.put(SERVICES, service("web", "10.96.0.1"));
    let two: SocketAddr = (own_host(), 5300).into();
    let one = Running::start_with(&api.url(), &["--upstream", &two.to_string()]);
    let udp = one.address("DNS over UDP");
    let http = one.address("HTTP");
    let mut command = crate::running::flatnet_dns();
    command.args(["--upstream", &udp.to_string()]);
    let other = Running::start_as(command, &api.url(), &two.to_string());
    other.line("synced");
    // Whoever is the first to notice asks the other no more, and the circle is broken. Nobody is
    // left to ask then, which is said at once and not after a time-out.
    let begun = Instant::now();
    for n in 0.. {
        let asked = Instant::now();
        let (code, _) = ask(udp, &format!("a{n}.example."));
        if code == ResponseCode::Refused && asked.elapsed() < Duration::from_millis(500) {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{code}");
    }
    assert_eq!(ask(udp, WEB).0, ResponseCode::NoError, "ours go on");
    // The questions that search for loops, and no storm.
    let forwarded = metric(http, "coredns_forward_requests_total");
    assert!(forwarded < 20.0, "{forwarded} questions");
}

#[test]
fn an_upstream_that_is_not_there_costs_a_time_out_and_no_more() {
    let api = Api::started();
    let silent = Upstream::silent(ANY);
    let good = Upstream::knowing(ANY, FIRST, 1);
    let both = format!("{},{}", silent.address, good.address);
    let server = Running::start_with(
        &api.url(),
        &["--upstream", &both, "--upstream-timeout", "2"],
    );
    let udp = server.address("DNS over UDP");
    assert_eq!(ask(udp, "a.example.").1, [FIRST]);
    // Counted, not timed: a busy machine is late with everything.
    let asked = silent.asked();
    assert!(asked >= 1, "it was the first to be asked");
    for name in ["b.example.", "c.example.", "d.example."] {
        assert_eq!(ask(udp, name).1, [FIRST]);
    }
    assert_eq!(
        silent.asked(),
        asked,
        "the one that answers is asked first for a while"
    );
}
