//! The cluster's zone: its name, and the records that do not depend on any Service.

use cluster_model::ServiceName;
use hickory_proto::rr::rdata::SOA;
use hickory_proto::rr::{Name, RData, Record};

/// The zone this server is the authority for.
#[derive(Debug)]
pub(crate) struct Zone {
    /// Lower case, fully qualified.
    apex: Name,
    labels: Vec<Box<[u8]>>,
    ttl: u32,
    serial: u32,
    dns_service: ServiceName,
}

impl Zone {
    /// The zone at `apex` (lower case), whose records may be kept for `ttl` seconds.
    pub(crate) fn new(apex: Name, ttl: u32, serial: u32, dns_service: ServiceName) -> Self {
        let labels = apex.iter().map(Box::from).collect();
        Self {
            apex,
            labels,
            ttl,
            serial,
            dns_service,
        }
    }

    pub(crate) fn apex(&self) -> &Name {
        &self.apex
    }

    /// The Service behind `ns.dns.<zone>`.
    pub(crate) fn dns_service(&self) -> &ServiceName {
        &self.dns_service
    }

    /// The labels of a lower-case name that stand before the zone's; none outside the zone.
    pub(crate) fn labels_in<'a>(&self, name: &'a Name) -> Option<Vec<&'a [u8]>> {
        let mut labels: Vec<&[u8]> = name.iter().collect();
        let inner = labels.len().checked_sub(self.labels.len())?;
        let ours = labels[inner..]
            .iter()
            .zip(&self.labels)
            .all(|(label, own)| **label == **own);
        labels.truncate(inner);
        ours.then_some(labels)
    }

    /// The name of these labels in the zone; none where it would be longer than names can be.
    pub(crate) fn name_of(&self, labels: &[&str]) -> Option<Name> {
        let inner = labels.iter().map(|label| label.as_bytes());
        Name::from_labels(inner.chain(self.labels.iter().map(|label| &**label))).ok()
    }

    /// The name of the Service.
    pub(crate) fn service_name(&self, service: &ServiceName) -> Option<Name> {
        self.name_of(&[&service.name, &service.namespace, "svc"])
    }

    /// The name server's name.
    pub(crate) fn server(&self) -> Name {
        self.name_of(&["ns", "dns"])
            .unwrap_or_else(|| self.apex.clone())
    }

    /// The zone's SOA. Its TTL and minimum are what resolvers keep a denial for (RFC 2308).
    pub(crate) fn soa(&self) -> RData {
        let mailbox = self
            .name_of(&["hostmaster"])
            .unwrap_or_else(|| self.apex.clone());
        // Refresh, retry and expire are for secondaries, which there are none of.
        let (refresh, retry, expire) = (7200, 1800, 86400);
        let server = self.server();
        RData::SOA(SOA::new(
            server,
            mailbox,
            self.serial,
            refresh,
            retry,
            expire,
            self.ttl,
        ))
    }

    /// A record of the zone.
    pub(crate) fn record(&self, owner: Name, data: RData) -> Record {
        Record::from_rdata(owner, self.ttl, data)
    }
}
