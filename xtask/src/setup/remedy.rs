//! From what is missing to the command lines that bring it: pure, so that it is tested without
//! touching a machine.

use std::collections::BTreeSet;
use std::process::Command;

use super::need::{Need, Remedy, State};
use crate::process::find_program;

/// What this machine lets us do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Machine {
    /// Whether we may install packages.
    pub(super) root: bool,
    /// Whether there is an apt-get.
    pub(super) apt: bool,
}

impl Machine {
    /// The machine we run on.
    pub(super) fn look() -> Self {
        Self {
            root: super::bpf::is_root(),
            apt: find_program("apt-get").is_some(),
        }
    }
}

/// One command to run.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Action {
    /// The progress line.
    pub(super) what: String,
    /// The words of the command.
    pub(super) words: Vec<String>,
    /// Whether the next command may succeed all the same.
    pub(super) may_fail: bool,
}

impl Action {
    fn new(what: impl Into<String>, line: &str) -> Self {
        let words = line.split(' ').map(str::to_owned).collect();
        Self {
            what: what.into(),
            words,
            may_fail: false,
        }
    }

    /// The command, with an environment in which it asks nothing and builds nowhere special.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.words[0]);
        command
            .args(&self.words[1..])
            .stdin(std::process::Stdio::null())
            .env("DEBIAN_FRONTEND", "noninteractive")
            .env_remove("CARGO_TARGET_DIR");
        command
    }
}

/// The commands that bring what is missing, in order, as far as this machine lets us.
pub(super) fn commands(needs: &[Need], machine: Machine) -> Vec<Action> {
    let mut actions = Vec::new();
    if let Some(install) = apt_line(needs)
        && machine.root
        && machine.apt
    {
        actions.push(Action {
            // A stale list is fine when the packages are still where it says.
            may_fail: true,
            ..Action::new("refreshing the package lists", "apt-get update -qq")
        });
        actions.push(Action::new(
            format!("installing packages: {install}"),
            &install,
        ));
    }
    for remedy in missing(needs) {
        match remedy {
            Remedy::Component(_) | Remedy::Toolchain(_) | Remedy::Target(_) => {
                actions.push(Action::new(
                    format!("adding to the toolchains: {remedy}"),
                    &remedy.to_string(),
                ))
            }
            Remedy::CargoInstall(krate) => actions.push(Action::new(
                format!("compiling {krate} (about 2 minutes)"),
                &remedy.to_string(),
            )),
            Remedy::Package(_) | Remedy::ByHand(_) => {}
        }
    }
    actions
}

/// One line a person can paste for all that can be installed; none when nothing can.
pub(super) fn by_hand(needs: &[Need], machine: Machine) -> Option<String> {
    let sudo = if machine.root { "" } else { "sudo " };
    let packages = apt_line(needs).map(|line| format!("{sudo}{line}"));
    let others = missing(needs)
        .filter(|remedy| !matches!(remedy, Remedy::Package(_) | Remedy::ByHand(_)))
        .map(Remedy::to_string);
    let lines: Vec<_> = packages.into_iter().chain(others).collect();
    (!lines.is_empty()).then(|| lines.join(" && "))
}

/// On a machine that has just started, something else may hold dpkg's lock: two minutes of patience.
const INSTALL: &str = "apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=120";

fn apt_line(needs: &[Need]) -> Option<String> {
    let packages: BTreeSet<_> = missing(needs)
        .filter_map(|remedy| match remedy {
            Remedy::Package(package) => Some(*package),
            _ => None,
        })
        .collect();
    let packages: Vec<_> = packages.into_iter().collect();
    (!packages.is_empty()).then(|| format!("{INSTALL} {}", packages.join(" ")))
}

fn missing(needs: &[Need]) -> impl Iterator<Item = &Remedy> {
    needs.iter().filter_map(|need| match &need.state {
        State::Missing { remedy, .. } => Some(remedy),
        State::Here(_) | State::Unknown(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::need::Scope;
    use super::*;

    fn need(state: State) -> Need {
        Need {
            name: "it".to_owned(),
            used_for: "tests",
            scope: Scope::Test,
            state,
        }
    }

    fn gone(remedy: Remedy) -> Need {
        need(State::Missing {
            why: "gone".to_owned(),
            remedy,
        })
    }

    fn fresh_machine() -> Vec<Need> {
        vec![
            gone(Remedy::CargoInstall("bpf-linker@0.10.0")),
            gone(Remedy::Package("tcpdump")),
            need(State::Here("1".to_owned())),
            gone(Remedy::Package("iproute2")),
            gone(Remedy::Package("iproute2")),
            gone(Remedy::Component("rust-src")),
            gone(Remedy::Target("x86_64-unknown-linux-musl")),
            gone(Remedy::ByHand("boot a newer kernel".to_owned())),
        ]
    }

    const ROOT: Machine = Machine {
        root: true,
        apt: true,
    };
    const USER: Machine = Machine {
        root: false,
        apt: true,
    };

    #[test]
    fn root_installs_packages_in_one_go_and_first() {
        let lines: Vec<_> = commands(&fresh_machine(), ROOT)
            .iter()
            .map(|action| action.words.join(" "))
            .collect();
        assert_eq!(
            lines,
            [
                "apt-get update -qq",
                "apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=120 \
                 iproute2 tcpdump",
                "cargo install bpf-linker@0.10.0 --locked",
                "rustup component add rust-src",
                "rustup target add x86_64-unknown-linux-musl",
            ]
        );
    }

    #[test]
    fn a_user_installs_what_needs_no_root_and_is_told_the_rest() {
        let actions = commands(&fresh_machine(), USER);
        assert!(
            actions.iter().all(|action| action.words[0] != "apt-get"),
            "{actions:?}"
        );
        assert_eq!(actions.len(), 3);
        assert_eq!(
            by_hand(&fresh_machine(), USER).as_deref(),
            Some(
                "sudo apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=120 \
                 iproute2 tcpdump && \
                 cargo install bpf-linker@0.10.0 --locked && rustup component add rust-src && \
                 rustup target add x86_64-unknown-linux-musl"
            )
        );
    }

    #[test]
    fn nothing_missing_means_nothing_to_do() {
        let needs = [
            need(State::Here("1".to_owned())),
            need(State::Unknown("no root".to_owned())),
        ];
        assert!(commands(&needs, ROOT).is_empty());
        assert_eq!(by_hand(&needs, ROOT), None);
    }
}
