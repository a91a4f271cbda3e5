//! The programs on an interface: a clsact qdisc, which queues nothing and is only a place for
//! filters, and one direct-action filter on each side of it, whose program decides about each
//! packet. `tc filter show dev fn… ingress` shows the one, `egress` the other.

use std::os::fd::RawFd;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::tc::{
    TcAttribute, TcBpfFlags, TcFilterBpf, TcFilterBpfOption, TcHandle, TcHeader, TcMessage,
    TcOption,
};
use proxy_abi::ownership::{FILTER_HANDLE, FILTER_PRIORITY};

use crate::netlink::Step;
use crate::program::{Hook, Side};

/// `ETH_P_ALL`: a filter for packets of every protocol (linux/if_ether.h).
const EVERY_PROTOCOL: u16 = 3;
/// Priority and protocol, as `tcm_info` has them.
const PLACE: u32 = ((FILTER_PRIORITY as u32) << 16) | EVERY_PROTOCOL.to_be() as u32;
/// Where the filters of a side are.
pub(super) fn filters_of(side: Side) -> TcHandle {
    TcHandle {
        major: TcHandle::CLSACT.major,
        minor: match side {
            Side::Ingress => TcHandle::MIN_INGRESS,
            Side::Egress => TcHandle::MIN_EGRESS,
        },
    }
}

/// Makes the place for filters.
pub(super) fn add_qdisc(name: &str, index: u32) -> Step {
    let handle = TcHandle {
        major: TcHandle::CLSACT.major,
        minor: 0,
    };
    let mut qdisc = TcMessage::default();
    qdisc.header = header(index, handle, TcHandle::CLSACT);
    qdisc.attributes = vec![TcAttribute::Kind("clsact".to_owned())];
    Step {
        doing: format!("add the clsact qdisc to {name}"),
        flags: NLM_F_CREATE | NLM_F_EXCL,
        message: RouteNetlinkMessage::NewQueueDiscipline(qdisc),
    }
}

/// Has the program see every packet of its side.
pub(super) fn add_filter(name: &str, index: u32, hook: Hook, program: RawFd) -> Step {
    let mut filter = TcMessage::default();
    filter.header = header(index, FILTER_HANDLE.into(), filters_of(hook.side));
    filter.header.info = PLACE;
    let options = [
        TcFilterBpfOption::ProgFd(program.cast_unsigned()),
        TcFilterBpfOption::ProgName(hook.program.to_owned()),
        TcFilterBpfOption::Flags(TcBpfFlags::DirectAction),
    ];
    filter.attributes = vec![
        TcAttribute::Kind(TcFilterBpf::KIND.to_owned()),
        TcAttribute::Options(options.map(TcOption::Bpf).into()),
    ];
    Step {
        doing: format!("attach the program {} to {name} as a filter", hook.program),
        flags: NLM_F_CREATE | NLM_F_EXCL,
        message: RouteNetlinkMessage::NewTrafficFilter(filter),
    }
}

/// Whether that is our filter.
pub(crate) fn is_ours(header: &TcHeader) -> bool {
    header.handle == FILTER_HANDLE.into() && header.info == PLACE
}

fn header(index: u32, handle: TcHandle, parent: TcHandle) -> TcHeader {
    TcHeader {
        index: index.cast_signed(),
        handle,
        parent,
        ..TcHeader::default()
    }
}
