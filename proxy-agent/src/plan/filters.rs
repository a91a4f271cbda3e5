//! Whether each pod's interface runs the current `from_pod`.
//!
//! The CNI plugin attaches it at ADD, as a filter of the interface's clsact qdisc, or by a pinned
//! link where a later plugin of the chain needs the qdisc's place (that is for [`super::links`]).
//! The agent keeps the filter current and puts it back where somebody removed it.

use std::collections::BTreeMap;
use std::fmt;

/// The host end of a pod's veth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observed {
    /// Its index.
    pub ifindex: u32,
    /// Whether it is up. It is not while the plugin is still making it.
    pub up: bool,
    /// The kernel's id of the program in our filter's place.
    pub program_id: Option<u32>,
}

/// Puts the current program into our filter's place on an interface, in one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put {
    /// Name of the interface.
    pub interface: String,
    /// Its index.
    pub ifindex: u32,
    /// Whether there is a program in that place now.
    pub replaces: bool,
}

/// What leads from the observed interfaces to ones that all run the program with id `current`
/// (`None`: one that has no id yet). `linked` says whether an interface has a link instead.
#[must_use]
pub fn diff(
    observed: &BTreeMap<String, Observed>,
    linked: impl Fn(&str) -> bool,
    current: Option<u32>,
) -> Vec<Put> {
    let stale = |interface: &Observed| match interface.program_id {
        Some(id) => Some(id) != current,
        None => interface.up,
    };
    observed
        .iter()
        .filter(|(name, interface)| stale(interface) && !linked(name))
        .map(|(name, interface)| Put {
            interface: name.clone(),
            ifindex: interface.ifindex,
            replaces: interface.program_id.is_some(),
        })
        .collect()
}

impl fmt::Display for Put {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.replaces {
            true => write!(
                out,
                "put the current from_pod into the filter of {}",
                self.interface
            ),
            false => write!(out, "attach from_pod to {} by a filter", self.interface),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_interface_comes_to_run_the_current_program() {
        let rows = [
            ("fn-current", 2, true, Some(7), None),
            ("fn-in-the-making", 3, false, None, None),
            ("fn-linked", 4, true, None, None),
            (
                "fn-lost",
                5,
                true,
                None,
                Some("attach from_pod to fn-lost by a filter"),
            ),
            (
                "fn-old",
                6,
                true,
                Some(6),
                Some("put the current from_pod into the filter of fn-old"),
            ),
        ];
        let observed = rows
            .iter()
            .map(|(name, ifindex, up, program_id, _)| {
                let observed = Observed {
                    ifindex: *ifindex,
                    up: *up,
                    program_id: *program_id,
                };
                ((*name).to_owned(), observed)
            })
            .collect();
        let puts = diff(&observed, |name| name == "fn-linked", Some(7));
        let lines: Vec<String> = puts.iter().map(ToString::to_string).collect();
        let expected: Vec<&str> = rows.iter().filter_map(|row| row.4).collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_program_about_to_be_replaced_makes_every_filter_stale() {
        let observed = Observed {
            ifindex: 2,
            up: true,
            program_id: Some(7),
        };
        let observed = BTreeMap::from([("fn1".to_owned(), observed)]);
        assert_eq!(diff(&observed, |_| false, None).len(), 1);
    }
}
