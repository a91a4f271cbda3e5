//! ADD: carries a plan out. Everything that can be refused is refused before anything is made;
//! whatever was made is taken back when a later step fails.

use std::net::IpAddr;
use std::thread;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use netlink_packet_route::route::{RouteHeader, RouteType};
use nix::errno::Errno;
use proxy_abi::ownership::map::{HOST_PORTS, PACKET_PODS, PODS};

use crate::error::Error;
use crate::host_ports;
use crate::lease::{Boot, Leases};
use crate::message;
use crate::namespace::PodNamespace;
use crate::netlink::{Netlink, Step};
use crate::plan::Plan;
use crate::program::{Attach, Program};
use crate::reply::{self, Reply};
use crate::request::{Add, Shape};
use crate::sysctl;
use crate::table::{HostPorts, PacketPods, Pods};
use crate::undo::{Done, Undo};

/// How long the kernel may take to put an IPv6 address to use: it takes microseconds.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two looks.
const PAUSE: Duration = Duration::from_micros(100);

/// Puts a pod on the network.
///
/// # Errors
/// The first thing that failed; all that was done is undone by then.
pub(crate) fn add(request: &Add) -> Result<Reply, Error> {
    let mut node = Node::open(&request.shape)?;
    refuse_taken_name(&request.shape, &mut node.in_pod)?;

    let attachment = &request.shape.attachment;
    let mut undo = Undo::of(attachment, &request.shape.places.network);
    let folder = &request.shape.places.leases;
    let boot = Boot::current();
    let addresses = Leases::of(folder).acquire(&request.pools, attachment, boot.as_ref())?;
    undo.note(Done::Leases(folder.clone(), addresses.clone()));
    let plan = Plan::new(&request.shape, &addresses, sysctl::has_ipv6());
    if let Err(error) = node.apply(&plan, &mut undo) {
        return Err(undo.all(error));
    }
    undo.clear();
    Ok(Reply::Attached(reply::result(request, &plan)))
}

/// What an ADD works with, opened before it changes anything.
struct Node {
    namespace: PodNamespace,
    programs: Vec<Program>,
    pods: Pods,
    /// Of use to a pod that is to have one.
    host_ports: Option<HostPorts>,
    /// Of use to a pod that said no to the socket path.
    packet_pods: Option<PacketPods>,
    in_pod: Netlink,
    on_node: Netlink,
}

impl Node {
    fn open(shape: &Shape) -> Result<Self, Error> {
        let namespace = PodNamespace::open(&shape.netns)?;
        Ok(Self {
            programs: Program::open_all(&shape.places)?,
            pods: Pods::open(&shape.places.map_pin(PODS))?,
            host_ports: match shape.mappings.is_empty() {
                true => None,
                false => Some(HostPorts::open(&shape.places.map_pin(HOST_PORTS))?),
            },
            packet_pods: match shape.packets_only {
                true => Some(PacketPods::open(&shape.places.map_pin(PACKET_PODS))?),
                false => None,
            },
            in_pod: namespace.netlink()?,
            on_node: Netlink::open()?,
            namespace,
        })
    }

    /// The order matters: the programs stand on the host end before that is up, so that no packet
    /// of the pod's passes without them; and the host end is up, with route and neighbour, before
    /// the pod's is, so that the pod's first packet is answered.
    fn apply(mut self, plan: &Plan, undo: &mut Undo<'_>) -> Result<(), Error> {
        self.create(plan)?;
        // Undone from the last: the interface first, then the pins, as in DEL.
        for pin in &plan.link_pins {
            undo.note(Done::Pin(pin.clone()));
        }
        undo.note(Done::Interface);

        let host = index_of(&mut self.on_node, &plan.host.name)?;
        sysctl::set(&plan.host.sysctls)?;
        let mut steps = self.attach(plan, host)?;
        steps.extend(message::bring_up(&plan.host, host));
        self.on_node.run(steps)?;
        let pod = index_of(&mut self.in_pod, &plan.pod.name)?;
        self.namespace.set(&plan.pod.sysctls)?;
        self.in_pod.run(message::bring_up(&plan.pod, pod))?;
        // An interface that got its carrier a moment ago drops what is sent to it until the
        // kernel's link watch has run; asking for its state makes it run now (Linux 6.8,
        // facd15dfd691), so that the node's first packet to the pod (a probe) is not lost.
        self.on_node
            .run(vec![message::find_link(&plan.host.name)])?;
        self.await_addresses(plan)?;
        self.leave_sockets_alone(plan, host, undo)?;
        self.announce(plan, host, undo)
    }

    /// Attaches the programs by links, or says which steps attach them by filters.
    fn attach(&self, plan: &Plan, host: u32) -> Result<Vec<Step>, Error> {
        match plan.attach {
            Attach::Filter => Ok(message::attach(&plan.host, host, &self.programs)),
            Attach::Link => {
                for (program, pin) in self.programs.iter().zip(&plan.link_pins) {
                    program.attach_link(host, pin)?;
                }
                Ok(Vec::new())
            }
        }
    }

    /// The kernel puts an IPv6 address to use from a work queue, also one that it does not look
    /// for duplicates of; until then packets to it are lost.
    fn await_addresses(&mut self, plan: &Plan) -> Result<(), Error> {
        let addresses = plan.pod.addresses.iter().map(IpNet::addr);
        for address in addresses.filter(IpAddr::is_ipv6) {
            let patience = Instant::now() + PATIENCE;
            while !self.is_in_use(address)? {
                if Instant::now() > patience {
                    return Err(Error::Unused(address));
                }
                thread::sleep(PAUSE);
            }
        }
        Ok(())
    }

    /// Whether the pod takes packets to an address in.
    fn is_in_use(&mut self, address: IpAddr) -> Result<bool, Error> {
        let route = self.in_pod.find(message::find_route(address))?;
        let header = route.and_then(|route| RouteHeader::parse(&route.payload).ok());
        Ok(header.is_some_and(|header| header.kind == RouteType::Local))
    }

    /// No process of the pod runs yet, so it holds for its first connection too.
    fn leave_sockets_alone(
        &self,
        plan: &Plan,
        host: u32,
        undo: &mut Undo<'_>,
    ) -> Result<(), Error> {
        let (Some(pods), Some(pin)) = (&self.packet_pods, &plan.packet_pods_pin) else {
            return Ok(());
        };
        undo.note(Done::PacketPod(pin.clone(), host));
        pods.set(&self.namespace.number()?, &host)
    }

    /// Last of all, the programs get to know the pod: from here on they let its packets pass and
    /// send others' to it.
    fn announce(&self, plan: &Plan, host: u32, undo: &mut Undo<'_>) -> Result<(), Error> {
        let addresses: Vec<_> = plan.pod.addresses.iter().map(IpNet::addr).collect();
        undo.note(Done::Entries(plan.pods_pin.clone(), addresses.clone()));
        let pod = plan.entry(host);
        for address in addresses {
            self.pods.set(&address.into(), &pod)?;
        }
        let Some(ports) = &self.host_ports else {
            return Ok(());
        };
        undo.note(Done::HostPorts(plan.host_ports_pin.clone(), host));
        host_ports::claim(ports, &self.pods, &plan.host_ports, host)
    }

    fn create(&mut self, plan: &Plan) -> Result<(), Error> {
        let create = message::create_veth(plan, self.namespace.file());
        let created = self.on_node.run(vec![create]);
        created.map(drop).map_err(|error| match error.errno() {
            Some(errno) if errno == Errno::EEXIST as i32 => {
                Error::AlreadyAttached(plan.host.name.clone())
            }
            _ => error,
        })
    }
}

/// The specification has ADD refuse an interface that is there already.
fn refuse_taken_name(shape: &Shape, in_pod: &mut Netlink) -> Result<(), Error> {
    let name = shape.attachment.interface.as_str();
    match in_pod.index(message::find_link(name))? {
        None => Ok(()),
        Some(_index) => Err(Error::InterfaceExists {
            interface: name.to_owned(),
            netns: shape.netns.clone(),
        }),
    }
}

fn index_of(netlink: &mut Netlink, name: &str) -> Result<u32, Error> {
    let found = netlink.index(message::find_link(name))?;
    found.ok_or_else(|| Error::Netlink {
        doing: format!("find the interface {name} just made"),
        said: None,
        source: Errno::ENODEV.into(),
    })
}
