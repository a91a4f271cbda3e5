//! What a pod is told of packets that did not arrive outside, and the outside of packets that did
//! not arrive in a pod: ICMP errors about masqueraded packets.

mod stage;

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

use lab::Lab;
use lab::handle::RunningPod;
use lab::network::{Families, Network, Subnets};

use stage::outside::{client_addresses, serve_outside};
use stage::place::{Place, on_fabric};
use stage::servers::servers;
use stage::{output, product_on};

/// Where the test's own server listens on the client.
const SERVER: u16 = 7000;
/// Nobody listens there.
const CLOSED: u16 = 7001;
/// What is not there by then does not come.
const SOON: Duration = Duration::from_secs(3);
/// What the last wire to the client carries.
const NARROW: usize = 1300;
/// Bytes of a transfer.
const TRANSFER: usize = 4 << 20;

/// One node behind a router, so that errors come from there as well as from the client.
fn cluster(row: &str, tools: &[&str]) -> Option<(Lab, RunningPod)> {
    let network = Network {
        families: Families::Dual,
        subnets: Subnets::Separate,
        mtu: None,
    };
    let lab = product_on(row, 1, network, tools)?;
    let pod = servers(&lab, 1).remove(0);
    Some((lab, pod))
}

fn any(address: IpAddr) -> SocketAddr {
    match address {
        IpAddr::V4(_) => ([0; 4], 0).into(),
        IpAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

fn datagrams(place: &Place, to: SocketAddr) -> UdpSocket {
    place.inside(|| {
        let socket = UdpSocket::bind(any(to.ip())).expect("bound");
        socket.connect(to).expect("connected");
        socket.set_read_timeout(Some(SOON)).expect("patient");
        socket
    })
}

#[test]
fn a_pod_hears_that_nobody_listens_outside() {
    let Some((lab, pod)) = cluster("err-closed", &[]) else {
        return;
    };
    let place = Place::pod(&lab, &pod.name);
    for address in client_addresses(&lab) {
        let to = SocketAddr::new(address, CLOSED);
        for _ in 0..5 {
            let socket = datagrams(&place, to);
            socket.send(b"anyone?").expect("sent");
            let heard = socket.recv(&mut [0]).expect_err("an error");
            assert_eq!(heard.kind(), ErrorKind::ConnectionRefused, "{to}");
            let refused = place.inside(|| TcpStream::connect_timeout(&to, SOON));
            let refused = refused.expect_err("an error");
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused, "{to}");
            // The client would send only so many errors at once.
            thread::sleep(Duration::from_millis(100));
        }
    }
}

/// The pod's own error, about an answer that came too late, reaches who sent the answer.
#[test]
fn the_outside_hears_that_a_pods_socket_is_closed() {
    let Some((lab, pod)) = cluster("err-late", &[]) else {
        return;
    };
    let (place, client) = (Place::pod(&lab, &pod.name), Place::member(&lab, "client"));
    for address in client_addresses(&lab) {
        let to = SocketAddr::new(address, SERVER);
        let server = client.inside(|| UdpSocket::bind(to).expect("bound"));
        server.set_read_timeout(Some(SOON)).expect("patient");
        let socket = datagrams(&place, to);
        socket.send(b"?").expect("sent");
        let (_, from) = server.recv_from(&mut [0]).expect("a question");
        drop(socket);
        server.connect(from).expect("connected");
        server.send(b"!").expect("sent");
        let heard = server.recv(&mut [0]).expect_err("an error");
        assert_eq!(heard.kind(), ErrorKind::ConnectionRefused, "{from}");
    }
}

/// Makes the wire between the router and the client carry less than the others.
fn narrow(lab: &Lab) {
    output(on_fabric(lab, &format!("ip link set client mtu {NARROW}")));
    let mtu = NARROW.to_string();
    output(lab.on_client(&["ip", "link", "set", "eth0", "mtu", &mtu]));
}

/// A script's line for each of three datagrams: how large the kernel says that one may be, and
/// whether it took one of that size. All have "do not fragment" set.
const SIZES: &str = r#"
    use Socket qw(:all);
    my ($host, $port) = @ARGV;
    my $v6 = $host =~ /:/;
    my ($level, $discover, $mtu, $headers) = $v6 ? (41, 23, 24, 48) : (0, 10, 14, 28);
    socket(my $s, $v6 ? AF_INET6 : AF_INET, SOCK_DGRAM, 0) or die "socket: $!";
    setsockopt($s, $level, $discover, pack("i", 2)) or die "discover: $!";
    my $to = $v6 ? pack_sockaddr_in6($port, inet_pton(AF_INET6, $host))
                 : pack_sockaddr_in($port, inet_aton($host));
    connect($s, $to) or die "connect: $!";
    setsockopt($s, SOL_SOCKET, SO_RCVTIMEO, pack("l!l!", 0, 500_000)) or die "timeout: $!";
    send($s, "x" x (1500 - $headers), 0) or die "send: $!";
    recv($s, my $none, 1, 0);
    my $large = send($s, "x" x (1500 - $headers), 0) ? "sent" : "$!";
    my $size = unpack("i", getsockopt($s, $level, $mtu));
    send($s, "x" x ($size - $headers), 0) or die "send: $!";
    my $answered = defined recv($s, my $answer, 9000, 0) ? "answered" : "lost";
    print "$large, $size $answered\n";
"#;

#[test]
fn a_pod_learns_what_the_way_outside_carries() {
    let Some((lab, pod)) = cluster("err-mtu", &["perl", "ip"]) else {
        return;
    };
    let _server = serve_outside(&lab);
    narrow(&lab);
    for address in client_addresses(&lab) {
        let (host, port) = (
            address.to_string(),
            stage::outside::OUTSIDE_PORT.to_string(),
        );
        let argv = ["perl", "-e", SIZES, &host, &port];
        let told = output(lab.in_pod(&pod.name, &argv));
        let expected = format!("Message too long, {NARROW} answered\n");
        assert_eq!(told, expected, "to {address}");
    }
}

#[test]
fn transfers_find_their_way_through_a_narrow_wire() {
    let Some((lab, pod)) = cluster("err-bulk", &["ip"]) else {
        return;
    };
    narrow(&lab);
    let (place, client) = (Place::pod(&lab, &pod.name), Place::member(&lab, "client"));
    for address in client_addresses(&lab) {
        let to = SocketAddr::new(address, SERVER);
        let listener = client.inside(|| TcpListener::bind(to).expect("bound"));
        let out = place.inside(|| TcpStream::connect_timeout(&to, SOON));
        let mut out = out.expect("connected");
        let (mut back, _) = listener.accept().expect("accepted");
        let (mut out_too, mut back_too) = (
            out.try_clone().expect("ours"),
            back.try_clone().expect("ours"),
        );
        transfer(&mut out, &mut back_too);
        transfer(&mut back, &mut out_too);
    }
}

/// Sends some megabytes, no two blocks alike, and checks that they arrive as they are.
fn transfer(from: &mut TcpStream, to: &mut TcpStream) {
    let data: Vec<u8> = (0_u32..)
        .flat_map(u32::to_be_bytes)
        .take(TRANSFER)
        .collect();
    for stream in [&mut *from, &mut *to] {
        stream.set_read_timeout(Some(SOON)).expect("patient");
        stream.set_write_timeout(Some(SOON)).expect("patient");
    }
    thread::scope(|scope| {
        scope.spawn(|| from.write_all(&data).expect("sent"));
        let mut arrived = vec![0; TRANSFER];
        to.read_exact(&mut arrived).expect("all arrives");
        assert!(arrived == data, "it arrives as it was");
    });
}
