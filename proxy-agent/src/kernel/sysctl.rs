//! The kernel parameters that routing for pods needs: below /proc/sys of this network namespace, or
//! where a pod that may not write there has mounted it from the node.

use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::ops::RangeInclusive;
use std::path::Path;

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
pub fn diff(root: &Path, families: Families, tunnels: bool) -> Result<Vec<Wanted>, SysctlError> {
    let mut wrong = Vec::new();
    for wanted in families.wanted(tunnels) {
        let current = fs::read_to_string(root.join(wanted.name)).map_err(|source| SysctlError {
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

/// Where it is kept which value a parameter had before the agent set it first, a line each:
/// `NAME=VALUE`. Below /run, since a reboot forgets the parameters, too.
const BEFORE: &str = "sysctls";

/// Sets a parameter, and keeps below `state` what it was.
///
/// # Errors
/// [`SysctlError`].
pub fn apply(root: &Path, state: &Path, wanted: Wanted) -> Result<(), SysctlError> {
    remember(root, state, wanted).map_err(|source| SysctlError {
        doing: "keep the earlier value of",
        name: wanted.name,
        source,
    })?;
    fs::write(root.join(wanted.name), wanted.value).map_err(|source| SysctlError {
        doing: "write",
        name: wanted.name,
        source,
    })
}

fn remember(root: &Path, state: &Path, wanted: Wanted) -> io::Result<()> {
    let kept = before(state)?;
    if kept.iter().any(|(name, _)| name == wanted.name) {
        return Ok(());
    }
    let value = fs::read_to_string(root.join(wanted.name))?;
    fs::create_dir_all(state)?;
    let path = state.join(BEFORE);
    let mut file = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)?;
    writeln!(file, "{}={}", wanted.name, value.trim())
}

fn before(state: &Path) -> io::Result<Vec<(String, String)>> {
    let text = match fs::read_to_string(state.join(BEFORE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        text => text?,
    };
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    Ok(pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect())
}

/// Gives the parameters back the values that they had, and says which. One that somebody else has
/// set meanwhile stays.
///
/// # Errors
/// The first of [`SysctlError`]; the others were tried.
pub fn restore(root: &Path, state: &Path) -> Result<Vec<String>, SysctlError> {
    let failed = |doing, name| {
        move |source| SysctlError {
            doing,
            name,
            source,
        }
    };
    let kept = before(state).map_err(failed("read the earlier values of", "all"))?;
    let mut restored = Vec::new();
    let mut outcome = Ok(());
    for wanted in V4.into_iter().chain(V6).chain([TUNNELS]) {
        let Some((name, value)) = kept.iter().find(|(name, _)| name == wanted.name) else {
            continue;
        };
        let path = root.join(wanted.name);
        let current = fs::read_to_string(&path).unwrap_or_default();
        if current.trim() != wanted.value {
            continue;
        }
        match fs::write(&path, value).map_err(failed("write", wanted.name)) {
            Ok(()) => restored.push(format!("set sysctl {name} to {value} again")),
            Err(error) => outcome = outcome.and(Err(error)),
        }
    }
    outcome.map(|()| restored)
}

/// The ports that the kernel gives to sockets that ask for any.
///
/// # Errors
/// [`SysctlError`]; also if the file does not hold two ports.
pub fn local_ports(root: &Path) -> Result<RangeInclusive<u16>, SysctlError> {
    let name = "net/ipv4/ip_local_port_range";
    let failed = |source| SysctlError {
        doing: "read",
        name,
        source,
    };
    let text = fs::read_to_string(root.join(name)).map_err(failed)?;
    let mut ports = text.split_whitespace().map(str::parse);
    match (ports.next(), ports.next()) {
        (Some(Ok(first)), Some(Ok(last))) => Ok(first..=last),
        _ => Err(failed(io::ErrorKind::InvalidData.into())),
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

    #[test]
    fn a_parameter_gets_its_first_value_back_unless_it_is_anothers() {
        let folder = tempfile::tempdir().unwrap();
        let (root, state) = (folder.path().join("sys"), folder.path().join("state"));
        let [forward, filter] = V4;
        let path = |wanted: Wanted| root.join(wanted.name);
        for wanted in V4 {
            fs::create_dir_all(path(wanted).parent().unwrap()).unwrap();
            fs::write(path(wanted), "7\n").unwrap();
            apply(&root, &state, wanted).unwrap();
        }
        // Somebody else changes one, and the agent sets it again: the first value counts.
        fs::write(path(forward), "9").unwrap();
        apply(&root, &state, forward).unwrap();
        fs::write(path(filter), "2").unwrap();
        let restored = restore(&root, &state).unwrap();
        assert_eq!(restored, ["set sysctl net/ipv4/ip_forward to 7 again"]);
        assert_eq!(fs::read_to_string(path(forward)).unwrap(), "7");
        assert_eq!(fs::read_to_string(path(filter)).unwrap(), "2", "not ours");
        let nothing = folder.path().join("none");
        assert_eq!(restore(&root, &nothing).unwrap(), [""; 0]);
    }

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
