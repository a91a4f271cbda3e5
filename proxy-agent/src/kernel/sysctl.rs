//! The kernel parameters that routing for pods needs, below /proc/sys of this network namespace.

use std::fmt;
use std::fs;
use std::io;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use ipnet::IpNet;

/// A parameter and the value it must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Path below /proc/sys.
    pub name: &'static str,
    /// The value.
    pub value: &'static str,
}

/// What routing IPv4 for pods needs.
const V4: [Wanted; 2] = [
    // Packets of pods are routed.
    Wanted {
        name: "net/ipv4/ip_forward",
        value: "1",
    },
    // A reply that has the frontend's source again arrives where the endpoint is, which is not
    // where the route to the frontend's address points: strict checking would drop it. The
    // kernel takes the larger of this and the interface's own value, so this one must be 0.
    Wanted {
        name: "net/ipv4/conf/all/rp_filter",
        value: "0",
    },
];

/// What routing IPv6 for pods needs. Only on a node that has IPv6 pods: a machine that forwards
/// IPv6 no longer takes its own default route from router advertisements, unless its interfaces
/// are told to (`accept_ra` 2).
const V6: [Wanted; 1] = [Wanted {
    name: "net/ipv6/conf/all/forwarding",
    value: "1",
}];

/// What a node with tunnels needs: the way between two nodes may carry less than their links do.
/// The kernel learns of it from the errors that the outer packets come back with, but tells the
/// sender of a packet that it forwards only if this is set. (Of IPv6 it always does.)
const TUNNELS: Wanted = Wanted {
    name: "net/ipv4/ip_forward_use_pmtu",
    value: "1",
};

/// Families of which a node has pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Families {
    /// IPv4.
    pub v4: bool,
    /// IPv6.
    pub v6: bool,
}

impl Families {
    /// The families of these pod CIDRs.
    #[must_use]
    pub fn of(pod_cidrs: &[IpNet]) -> Self {
        Self {
            v4: pod_cidrs.iter().any(|cidr| matches!(cidr, IpNet::V4(_))),
            v6: pod_cidrs.iter().any(|cidr| matches!(cidr, IpNet::V6(_))),
        }
    }

    fn wanted(self, tunnels: bool) -> impl Iterator<Item = Wanted> {
        let tunnels = [TUNNELS].into_iter().filter(move |_| tunnels);
        let v4 = V4.into_iter().chain(tunnels).filter(move |_| self.v4);
        v4.chain(V6.into_iter().filter(move |_| self.v6))
    }
}

/// A parameter could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} sysctl {name}: {source}")]
pub struct SysctlError {
    doing: &'static str,
    name: &'static str,
    source: io::Error,
}

/// The parameters that have another value than `families`, and `tunnels` if there are any, need.
///
/// # Errors
/// [`SysctlError`].
pub fn diff(families: Families, tunnels: bool) -> Result<Vec<Wanted>, SysctlError> {
    let mut wrong = Vec::new();
    for wanted in families.wanted(tunnels) {
        let current = fs::read_to_string(wanted.path()).map_err(|source| SysctlError {
            doing: "read",
            name: wanted.name,
            source,
        })?;
        if current.trim() != wanted.value {
            wrong.push(wanted);
        }
    }
    Ok(wrong)
}

/// Sets a parameter.
///
/// # Errors
/// [`SysctlError`].
pub fn apply(wanted: Wanted) -> Result<(), SysctlError> {
    fs::write(wanted.path(), wanted.value).map_err(|source| SysctlError {
        doing: "write",
        name: wanted.name,
        source,
    })
}

/// The ports that the kernel gives to sockets that ask for any.
///
/// # Errors
/// [`SysctlError`]; also if the file does not hold two ports.
pub fn local_ports() -> Result<RangeInclusive<u16>, SysctlError> {
    let name = "net/ipv4/ip_local_port_range";
    let failed = |source| SysctlError {
        doing: "read",
        name,
        source,
    };
    let text = fs::read_to_string(PathBuf::from("/proc/sys").join(name)).map_err(failed)?;
    let mut ports = text.split_whitespace().map(str::parse);
    match (ports.next(), ports.next()) {
        (Some(Ok(first)), Some(Ok(last))) => Ok(first..=last),
        _ => Err(failed(io::ErrorKind::InvalidData.into())),
    }
}

impl Wanted {
    fn path(&self) -> PathBuf {
        PathBuf::from("/proc/sys").join(self.name)
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "set sysctl {} to {}", self.name, self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(cidrs: &[&str], tunnels: bool) -> Vec<&'static str> {
        let cidrs: Vec<IpNet> = cidrs.iter().map(|cidr| cidr.parse().unwrap()).collect();
        Families::of(&cidrs)
            .wanted(tunnels)
            .map(|wanted| wanted.name)
            .collect()
    }

    #[test]
    fn a_family_without_pods_wants_nothing() {
        let (v4, v6) = ("10.244.1.0/24", "fd00:10:244:1::/64");
        let (forward, filter) = ("net/ipv4/ip_forward", "net/ipv4/conf/all/rp_filter");
        let forward_v6 = "net/ipv6/conf/all/forwarding";
        assert_eq!(names(&[], false), [""; 0]);
        assert_eq!(names(&[v4], false), [forward, filter]);
        assert_eq!(names(&[v6], true), [forward_v6]);
        assert_eq!(names(&[v6, v4], false), [forward, filter, forward_v6]);
        let pmtu = "net/ipv4/ip_forward_use_pmtu";
        assert_eq!(names(&[v4], true), [forward, filter, pmtu]);
    }
}
