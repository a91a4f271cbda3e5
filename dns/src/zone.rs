//! The cluster's zone: its name, and the records that do not depend on any Service.

use clap::ValueEnum;
use cluster_model::ServiceName;
use hickory_proto::rr::rdata::SOA;
use hickory_proto::rr::{Name, RData, Record};

/// Which names of the form `<a-b-c-d>.<ns>.pod.<zone>` there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum PodNames {
    /// None.
    Disabled,
    /// That of any well-formed address in any namespace, whether there is such a pod or not.
    #[default]
    Insecure,
    /// Those of pods that live in that namespace. Watches pods.
    Verified,
}

/// The zone this server is the authority for.
#[derive(Debug)]
pub(crate) struct Zone {
    /// Lower case, fully qualified.
    apex: Name,
    labels: Vec<Box<[u8]>>,
    ttl: u32,
    dns_service: ServiceName,
    pod_names: PodNames,
    soa: RData,
}

impl Zone {
    /// The zone at `apex` (lower case), whose records may be kept for `ttl` seconds.
    pub(crate) fn new(apex: Name, ttl: u32, serial: u32, dns_service: ServiceName) -> Self {
        let labels = apex.iter().map(Box::from).collect();
        let soa = soa(&apex, ttl, serial);
        Self {
            apex,
            labels,
            ttl,
            dns_service,
            pod_names: PodNames::default(),
            soa,
        }
    }

    /// The same zone with these names of pods.
    #[must_use]
    pub(crate) fn with_pod_names(self, pod_names: PodNames) -> Self {
        Self { pod_names, ..self }
    }

    pub(crate) fn pod_names(&self) -> PodNames {
        self.pod_names
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
        below(&self.apex, &["ns", "dns"])
    }

    /// The zone's SOA. Its TTL and minimum are what resolvers keep a denial for (RFC 2308).
    pub(crate) fn soa(&self) -> &RData {
        &self.soa
    }

    /// A record of the zone.
    pub(crate) fn record(&self, owner: Name, data: RData) -> Record {
        Record::from_rdata(owner, self.ttl, data)
    }
}

fn soa(apex: &Name, ttl: u32, serial: u32) -> RData {
    // Refresh, retry and expire are for secondaries, which there are none of.
    let (refresh, retry, expire) = (7200, 1800, 86400);
    RData::SOA(SOA::new(
        below(apex, &["ns", "dns"]),
        below(apex, &["hostmaster"]),
        serial,
        refresh,
        retry,
        expire,
        ttl,
    ))
}

/// A name of the zone's own, or the zone's name where that would be longer than names can be.
fn below(apex: &Name, labels: &[&str]) -> Name {
    let inner = labels.iter().map(|label| label.as_bytes());
    Name::from_labels(inner.chain(apex.iter())).unwrap_or_else(|_| apex.clone())
}
