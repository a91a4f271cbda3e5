//! Other agents in the place of those that run: the same, of another version, and back. Nobody who
//! uses the network notices.

use crate::installed::Installed;
use crate::load::{Load, Outcome};
use crate::stage::PATIENCE;

const RESTARTS: usize = 10;
/// What a version has whose tables of frontends and of conversations are laid out differently, and
/// how the manifest is without it.
const OTHER_LAYOUTS: &str = "FLATNET_MAP_LAYOUTS=frontends=2,flows=2,openings=2";
const SAME_LAYOUTS: &str = "FLATNET_MAP_LAYOUTS-";

fn all_pins(installed: &Installed) -> Vec<Vec<String>> {
    let nodes = installed.lab.nodes();
    nodes.iter().map(|node| installed.pins(node)).collect()
}

/// Nothing failed while that was done.
fn unnoticed(load: Load, what: &str) {
    let Outcome { answered, failed } = load.finish();
    println!("{answered} requests answered: {what}");
    assert!(failed.is_empty(), "{what}: {failed:#?} of {answered}");
    assert!(answered > 1000, "{what}: {answered}");
}

/// Ends every agent at once, and waits until others have made a whole pass.
fn restart(installed: &Installed) {
    let selector = "app.kubernetes.io/name=flatnet-agent";
    let before = installed.agents();
    installed.kubectl(&["-n", "kube-system", "delete", "pod", "-l", selector]);
    let replaced = || {
        let now = installed.agents();
        let other = now.iter().all(|pod| !before.contains(pod));
        Ok((other && now.len() == before.len()).then_some(()))
    };
    let waited = installed.lab.wait("other agents", PATIENCE, replaced);
    waited.expect("replaced");
    installed.wait_settled();
}

/// The agents roll, as they do for another image, with that option. (Only they: while an agent is
/// replaced nobody follows the cluster, and this is not about endpoints that go meanwhile.)
fn roll(installed: &Installed, option: &str) {
    let before = installed.agents();
    let agents = ["-n", "kube-system"];
    let set = [
        "set",
        "env",
        "daemonset/flatnet-agent",
        "-c",
        "agent",
        option,
    ];
    installed.kubectl(&[&agents[..], &set].concat());
    installed.wait_rolled_out("daemonset/flatnet-agent");
    let after = installed.agents();
    assert!(before.iter().all(|pod| !after.contains(pod)), "{after:?}");
    installed.wait_settled();
}

/// Flatnet installed, the application on it, and what is pinned then.
fn settled(prefix: &str) -> Option<(Installed, Vec<Vec<String>>)> {
    let installed = Installed::new(prefix)?;
    installed.two_tier();
    Load::prepare(&installed.lab);
    installed.wait_settled();
    let pins = all_pins(&installed);
    Some((installed, pins))
}

#[test]
fn ten_restarts_of_every_agent_fail_no_request() {
    let Some((installed, pins)) = settled("restart") else {
        return;
    };
    for (node, version) in installed.in_agents(&["flatnet-agent", "--version"]) {
        let expected = env!("CARGO_PKG_VERSION");
        assert!(version.contains(expected), "{node}: {version}");
    }
    for (node, said) in installed.in_agents(&["flatnet", "doctor"]) {
        assert!(said.starts_with("ok: "), "{node}: {said}");
    }
    let load = Load::start(&installed.lab);
    for _ in 0..RESTARTS {
        restart(&installed);
    }
    unnoticed(load, "ten restarts of every agent");
    assert_eq!(pins, all_pins(&installed), "nothing is left or there twice");
}

#[test]
fn an_upgrade_to_other_layouts_and_a_downgrade_fail_no_request() {
    let Some((installed, pins)) = settled("upgrade") else {
        return;
    };
    let load = Load::start(&installed.lab);
    roll(&installed, OTHER_LAYOUTS);
    unnoticed(load, "an upgrade");
    let of_upgrade = all_pins(&installed);
    for (before, after) in pins.iter().zip(&of_upgrade) {
        assert_eq!(before.len(), after.len(), "each in the place of one");
        assert!(after.contains(&"maps/flows-2".to_owned()), "{after:?}");
    }

    let load = Load::start(&installed.lab);
    roll(&installed, SAME_LAYOUTS);
    unnoticed(load, "a downgrade");
    assert_eq!(pins, all_pins(&installed), "nothing is left or there twice");
}
