//! Reads and writes the filters on pods' interfaces, through the agent's netlink connection.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, AsRawFd as _};

use futures::TryStreamExt as _;
use proxy_abi::ownership::program::FROM_POD;
use proxy_abi::ownership::{FILTER_HANDLE, FILTER_PRIORITY, HOST_INTERFACE_PREFIX};
use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use rtnetlink::packet_route::tc::{
    TcAttribute, TcBpfFlags, TcFilterBpf, TcFilterBpfOption, TcHandle, TcMessage, TcOption,
};

use super::routes::{Netlink, NetlinkError};
use crate::plan::filters::{Observed, Put};

/// `ETH_P_ALL`: packets of every protocol (linux/if_ether.h).
const EVERY_PROTOCOL: u16 = 3;
/// Where the filters of incoming packets are.
const INGRESS: TcHandle = TcHandle {
    major: TcHandle::CLSACT.major,
    minor: TcHandle::MIN_INGRESS,
};

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
            let program_id = self.filter(ifindex).await?;
            observed.insert(
                name,
                Observed {
                    ifindex,
                    up,
                    program_id,
                },
            );
        }
        Ok(observed)
    }

    /// The program in our filter's place. An interface that is gone meanwhile has none.
    async fn filter(&self, ifindex: u32) -> Result<Option<u32>, NetlinkError> {
        let mut stream = self
            .handle()
            .traffic_filter(ifindex.cast_signed())
            .get()
            .ingress()
            .execute();
        loop {
            match stream.try_next().await {
                Ok(Some(message)) if is_ours(&message) => return Ok(program_id(&message)),
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

    /// Puts `program` where the operation says.
    ///
    /// # Errors
    /// [`NetlinkError`], naming the operation.
    pub async fn put_filter(&self, put: &Put, program: impl AsFd) -> Result<(), NetlinkError> {
        let mut filter = TcMessage::default();
        filter.header.index = put.ifindex.cast_signed();
        filter.header.handle = FILTER_HANDLE.into();
        filter.header.parent = INGRESS;
        filter.header.info = u32::from(FILTER_PRIORITY) << 16 | u32::from(EVERY_PROTOCOL.to_be());
        let options = [
            TcFilterBpfOption::ProgFd(program.as_fd().as_raw_fd().cast_unsigned()),
            TcFilterBpfOption::ProgName(FROM_POD.to_owned()),
            TcFilterBpfOption::Flags(TcBpfFlags::DirectAction),
        ];
        filter.attributes = vec![
            TcAttribute::Kind(TcFilterBpf::KIND.to_owned()),
            TcAttribute::Options(options.map(TcOption::Bpf).into()),
        ];
        let mut request = NetlinkMessage::from(RouteNetlinkMessage::NewTrafficFilter(filter));
        request.header.flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
        let failed = |source| NetlinkError::new(put.to_string(), source);
        let mut answers = self.handle().request(request).map_err(failed)?;
        while let Some(answer) = futures::StreamExt::next(&mut answers).await {
            if let NetlinkPayload::Error(error) = answer.payload
                && let Some(code) = error.code
                // The interface is gone since it was looked at.
                && code.get() != -libc::ENODEV
            {
                return Err(failed(rtnetlink::Error::NetlinkError(error)));
            }
        }
        Ok(())
    }
}

/// The interface's name, if it is the host end of a pod's veth.
fn pods_name(message: &LinkMessage) -> Option<String> {
    message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            LinkAttribute::IfName(name) if name.starts_with(HOST_INTERFACE_PREFIX) => {
                Some(name.clone())
            }
            _ => None,
        })
}

fn is_ours(message: &TcMessage) -> bool {
    message.header.handle == TcHandle::from(FILTER_HANDLE)
        && message.header.info >> 16 == u32::from(FILTER_PRIORITY)
}

fn program_id(message: &TcMessage) -> Option<u32> {
    message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            TcAttribute::Options(options) => options.iter().find_map(|option| match option {
                TcOption::Bpf(TcFilterBpfOption::ProgId(id)) => Some(*id),
                _ => None,
            }),
            _ => None,
        })
}
