//! Reads and writes the filters on pods' and the node's own interfaces, through the agent's netlink connection.

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd as _, OwnedFd};

use futures::TryStreamExt as _;
use proxy_abi::ownership::program::{FROM_NETWORK, FROM_POD, TO_NETWORK, TO_POD};
use proxy_abi::ownership::{FILTER_HANDLE, FILTER_PRIORITY};
use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkMessage,
    NetlinkPayload,
};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use rtnetlink::packet_route::tc::{
    TcAttribute, TcBpfFlags, TcFilterBpf, TcFilterBpfOption, TcHandle, TcMessage, TcOption,
};

use super::routes::{Netlink, NetlinkError};
use super::tunnels::index;
use crate::plan::filters::{Observed, Operation, Place, Side};
use crate::plan::interfaces::{Interfaces, is_pods};

/// `ETH_P_ALL`: packets of every protocol (linux/if_ether.h).
const EVERY_PROTOCOL: u16 = 3;
/// Where the filters of a side are (linux/pkt_sched.h).
fn parent(side: Side) -> TcHandle {
    TcHandle {
        major: TcHandle::CLSACT.major,
        minor: match side {
            Side::Ingress => TcHandle::MIN_INGRESS,
            Side::Egress => TcHandle::MIN_EGRESS,
        },
    }
}

impl Netlink {
    /// The host ends of pods' veths by name.
    ///
    /// # Errors
    /// [`NetlinkError`].
    pub async fn pod_interfaces(&self) -> Result<BTreeMap<String, Observed>, NetlinkError> {
        let failed = |source| NetlinkError::new("list interfaces", source);
        let mut interfaces = BTreeMap::new();
        let mut stream = self.handle().link().get().execute();
        while let Some(message) = stream.try_next().await.map_err(failed)? {
            if let Some(name) = pods_name(&message) {
                let up = message.header.flags.contains(LinkFlags::Up);
                interfaces.insert(name, (message.header.index, up));
            }
        }
        let mut observed = BTreeMap::new();
        for (name, (ifindex, up)) in interfaces {
            let mut programs = BTreeMap::new();
            for side in [Side::Ingress, Side::Egress] {
                let filter = self.filter(ifindex, side).await?;
                // What leaves has not always been ours, and in our place may be somebody else's.
                let ours = filter.filter(|one| side == Side::Ingress || is_named(one, &[TO_POD]));
                if let Some(id) = ours.as_ref().and_then(program_id) {
                    programs.insert(side, id);
                }
            }
            observed.insert(
                name,
                Observed {
                    ifindex,
                    up,
                    programs,
                },
            );
        }
        Ok(observed)
    }

    /// Our filters on the node's own interfaces, by the id of their program.
    ///
    /// # Errors
    /// [`NetlinkError`].
    pub async fn own_filters(
        &self,
        interfaces: &Interfaces,
    ) -> Result<BTreeMap<Place, u32>, NetlinkError> {
        let mut filters = BTreeMap::new();
        for one in interfaces.values().filter(|one| !one.is_pods()) {
            for side in [Side::Ingress, Side::Egress] {
                let filter = self.filter(one.ifindex, side).await?;
                // In our place there may be somebody else's.
                let ours = filter.filter(|filter| is_named(filter, &[FROM_NETWORK, TO_NETWORK]));
                if let Some(id) = ours.as_ref().and_then(program_id) {
                    filters.insert((one.name.clone(), side), id);
                }
            }
        }
        Ok(filters)
    }

    /// The filter in our place. An interface that is gone meanwhile has none.
    async fn filter(&self, ifindex: u32, side: Side) -> Result<Option<TcMessage>, NetlinkError> {
        let handle = self.handle();
        let mut filters = handle.traffic_filter(ifindex.cast_signed());
        let get = filters.get();
        let get = match side {
            Side::Ingress => get.ingress(),
            Side::Egress => get.egress(),
        };
        let mut stream = get.execute();
        loop {
            match stream.try_next().await {
                Ok(Some(message)) if is_ours(&message) => return Ok(Some(message)),
                Ok(Some(_)) => {}
                Ok(None) => return Ok(None),
                // No such interface, or none with a place for filters.
                Err(rtnetlink::Error::NetlinkError(_)) => return Ok(None),
                Err(source) => {
                    let doing = format!("list the filters of interface {ifindex}");
                    return Err(NetlinkError::new(doing, source));
                }
            }
        }
    }

    /// Carries out one operation; `program` is what it puts, if it puts something.
    ///
    /// # Errors
    /// [`NetlinkError`], naming the operation.
    pub async fn change_filter(
        &self,
        operation: &Operation,
        program: Option<OwnedFd>,
    ) -> Result<(), NetlinkError> {
        let failed = |source| NetlinkError::new(operation.to_string(), source);
        let place = operation.place();
        let Ok(ifindex) = index(&place.0) else {
            // The interface is gone since it was looked at.
            return Ok(());
        };
        let mut message = TcMessage::default();
        message.header.index = ifindex.cast_signed();
        message.header.handle = FILTER_HANDLE.into();
        message.header.parent = parent(place.1);
        message.header.info = u32::from(FILTER_PRIORITY) << 16 | u32::from(EVERY_PROTOCOL.to_be());
        let (request, flags) = match (operation, &program) {
            (
                Operation::Put {
                    program: name,
                    replaces,
                    ..
                },
                Some(program),
            ) => {
                self.make_room(ifindex).await.map_err(failed)?;
                message.attributes = filter_attributes(name, program);
                // At a pod's ingress its plugin may be at it too; elsewhere, what is in our place
                // and not ours stays.
                let flag = match *replaces || *name == FROM_POD {
                    true => NLM_F_REPLACE,
                    false => NLM_F_EXCL,
                };
                (
                    RouteNetlinkMessage::NewTrafficFilter(message),
                    NLM_F_CREATE | flag,
                )
            }
            _ => (RouteNetlinkMessage::DelTrafficFilter(message), 0),
        };
        self.ask(request, flags, &[libc::ENODEV, libc::ENOENT])
            .await
            .map_err(failed)
    }

    /// Makes a place for filters on an interface, if there is none.
    async fn make_room(&self, ifindex: u32) -> Result<(), rtnetlink::Error> {
        let mut qdisc = TcMessage::default();
        qdisc.header.index = ifindex.cast_signed();
        qdisc.header.parent = TcHandle::CLSACT;
        qdisc.header.handle = TcHandle {
            major: TcHandle::CLSACT.major,
            minor: 0,
        };
        qdisc.attributes = vec![TcAttribute::Kind("clsact".to_owned())];
        let request = RouteNetlinkMessage::NewQueueDiscipline(qdisc);
        let flags = NLM_F_CREATE | NLM_F_EXCL;
        self.ask(request, flags, &[libc::EEXIST]).await
    }

    /// Takes the place for filters away again, unless somebody has a filter there.
    ///
    /// # Errors
    /// [`NetlinkError`].
    pub async fn remove_room(&self, (interface, _): &Place) -> Result<(), NetlinkError> {
        let Ok(ifindex) = index(interface) else {
            return Ok(());
        };
        for side in [Side::Ingress, Side::Egress] {
            let mut filters = self.handle().traffic_filter(ifindex.cast_signed());
            let get = match side {
                Side::Ingress => filters.get().ingress(),
                Side::Egress => filters.get().egress(),
            };
            if let Ok(Some(_)) = get.execute().try_next().await {
                return Ok(());
            }
        }
        let mut qdisc = TcMessage::default();
        qdisc.header.index = ifindex.cast_signed();
        qdisc.header.parent = TcHandle::CLSACT;
        let request = RouteNetlinkMessage::DelQueueDiscipline(qdisc);
        let gone = [libc::ENODEV, libc::ENOENT, libc::EINVAL];
        let failed = |source| NetlinkError::new(format!("remove clsact from {interface}"), source);
        self.ask(request, 0, &gone).await.map_err(failed)
    }

    /// Sends a request; the errors `fine` are none.
    async fn ask(
        &self,
        request: RouteNetlinkMessage,
        flags: u16,
        fine: &[i32],
    ) -> Result<(), rtnetlink::Error> {
        let mut request = NetlinkMessage::from(request);
        request.header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
        let mut answers = self.handle().request(request)?;
        while let Some(answer) = futures::StreamExt::next(&mut answers).await {
            if let NetlinkPayload::Error(error) = answer.payload
                && let Some(code) = error.code
                && !fine.contains(&-code.get())
            {
                return Err(rtnetlink::Error::NetlinkError(error));
            }
        }
        Ok(())
    }
}

fn filter_attributes(name: &str, program: &OwnedFd) -> Vec<TcAttribute> {
    let options = [
        TcFilterBpfOption::ProgFd(program.as_raw_fd().cast_unsigned()),
        TcFilterBpfOption::ProgName(name.to_owned()),
        TcFilterBpfOption::Flags(TcBpfFlags::DirectAction),
    ];
    vec![
        TcAttribute::Kind(TcFilterBpf::KIND.to_owned()),
        TcAttribute::Options(options.map(TcOption::Bpf).into()),
    ]
}

/// The interface's name, if it is the host end of a pod's veth.
fn pods_name(message: &LinkMessage) -> Option<String> {
    message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            LinkAttribute::IfName(name) if is_pods(name) => Some(name.clone()),
            _ => None,
        })
}

fn is_ours(message: &TcMessage) -> bool {
    message.header.handle == TcHandle::from(FILTER_HANDLE)
        && message.header.info >> 16 == u32::from(FILTER_PRIORITY)
}

fn is_named(message: &TcMessage, names: &[&str]) -> bool {
    bpf_options(message).any(|option| match option {
        TcFilterBpfOption::ProgName(name) => names.contains(&name.trim_end_matches('\0')),
        _ => false,
    })
}

fn program_id(message: &TcMessage) -> Option<u32> {
    bpf_options(message).find_map(|option| match option {
        TcFilterBpfOption::ProgId(id) => Some(*id),
        _ => None,
    })
}

fn bpf_options(message: &TcMessage) -> impl Iterator<Item = &TcFilterBpfOption> {
    let options = message.attributes.iter().filter_map(|one| match one {
        TcAttribute::Options(options) => Some(options),
        _ => None,
    });
    options.flatten().filter_map(|option| match option {
        TcOption::Bpf(option) => Some(option),
        _ => None,
    })
}
