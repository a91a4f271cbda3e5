//! ARCHITECTURE.md kept: which room may use which, and that the files it names exist.
//!
//! The arrows are read from `cargo metadata`, so that a dependency added in a hurry is seen here
//! and not in a review.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Node, PackageId};

fn root() -> PathBuf {
    let room = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where the crate is");
    Path::new(&room).join("..")
}

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .exec()
        .expect("cargo metadata describes the workspace")
}

/// The rooms a room may use, directly. A room that is missing here may use none; no room may be
/// used that is not listed. The product's binaries and xtask are used by nobody.
const ARROWS: &[(&str, &[&str])] = &[
    ("cli", &["cluster-watch", "proxy-abi", "proxy-agent"]),
    ("cluster-watch", &["cluster-model"]),
    ("cni-plugin", &["proxy-abi"]),
    ("dns", &["cluster-model", "cluster-watch"]),
    ("packet", &["proxy-abi"]),
    (
        "proxy-agent",
        &["cluster-model", "cluster-watch", "packet", "proxy-abi"],
    ),
    ("proxy-ebpf", &["packet", "proxy-abi"]),
];

/// What a room's tests may use besides.
const TEST_ARROWS: &[(&str, &[&str])] = &[];

/// The rooms that hold no input or output, and what they must never reach.
const PURE: &[&str] = &["cluster-model", "packet", "proxy-abi"];
const IMPURE: &[&str] = &["aya", "kube", "kube-client", "rtnetlink", "tokio"];

/// The one exception: proxy-abi's `user` feature brings aya's `Pod`, an empty marker trait that
/// only this crate may implement for its types (orphan rule). Cargo's graph shows it turned on
/// because the agent does so; that the kernel's side does not is a test of its own.
const EXCEPTION: (&str, &str) = ("proxy-abi", "aya");
const EXCEPTION_FEATURE: &str = "user";

#[test]
fn rooms_use_each_other_only_along_the_arrows() {
    let metadata = metadata();
    let rooms: BTreeSet<&str> = metadata
        .workspace_packages()
        .iter()
        .map(|package| package.name.as_str())
        .collect();
    for (room, _) in ARROWS.iter().chain(TEST_ARROWS) {
        assert!(
            rooms.contains(room),
            "an arrow starts at {room}, which is no member"
        );
    }
    for package in metadata.workspace_packages() {
        let name = package.name.as_str();
        for dependency in &package.dependencies {
            let used = dependency.name.as_str();
            // A crate may list itself among the dev-dependencies to turn on a feature in tests.
            if !rooms.contains(used) || used == name {
                continue;
            }
            let mut may = targets(ARROWS, name);
            if dependency.kind == DependencyKind::Development {
                may.extend(targets(TEST_ARROWS, name));
            }
            assert!(
                may.contains(used),
                "{name} may not use {used} (it may use {may:?})"
            );
        }
    }
}

fn targets<'a>(arrows: &[(&str, &[&'a str])], room: &str) -> BTreeSet<&'a str> {
    arrows
        .iter()
        .filter(|(from, _)| *from == room)
        .flat_map(|(_, to)| *to)
        .copied()
        .collect()
}

#[test]
fn pure_rooms_reach_no_input_or_output() {
    let metadata = metadata();
    for room in PURE {
        let reached = reachable(&metadata, room);
        for impure in IMPURE {
            assert!(!reached.contains(*impure), "{room} reaches {impure}");
        }
    }
}

#[test]
fn the_kernel_side_does_not_turn_the_exception_on() {
    for package in metadata().workspace_packages() {
        let on = package.dependencies.iter().any(|dependency| {
            dependency.name == EXCEPTION.0
                && dependency
                    .features
                    .iter()
                    .any(|feature| feature == EXCEPTION_FEATURE)
        });
        let may = ["proxy-agent", "cni-plugin"].contains(&package.name.as_str());
        assert!(
            !on || may,
            "{} turns on {}/{EXCEPTION_FEATURE}",
            package.name,
            EXCEPTION.0
        );
    }
}

#[test]
fn the_agent_and_the_dns_server_do_not_know_each_other() {
    let metadata = metadata();
    assert!(!reachable(&metadata, "proxy-agent").contains("dns"));
    assert!(!reachable(&metadata, "dns").contains("proxy-agent"));
}

#[test]
fn the_lab_knows_the_products_binaries_only() {
    let metadata = metadata();
    let reached = reachable(&metadata, "lab");
    for package in metadata.workspace_packages() {
        let name = package.name.as_str();
        assert!(
            name == "lab" || !reached.contains(name),
            "lab reaches {name}"
        );
    }
}

/// The names of all packages that `room` is compiled with, itself included.
fn reachable(metadata: &Metadata, room: &str) -> BTreeSet<String> {
    let graph = metadata
        .resolve
        .as_ref()
        .expect("metadata holds the resolved graph");
    let nodes: BTreeMap<&PackageId, &Node> =
        graph.nodes.iter().map(|node| (&node.id, node)).collect();
    let start = metadata
        .workspace_packages()
        .into_iter()
        .find(|package| package.name.as_str() == room)
        .unwrap_or_else(|| panic!("{room} is no member"));
    let mut seen = BTreeSet::from([&start.id]);
    let mut next = vec![&start.id];
    while let Some(id) = next.pop() {
        for used in normal_dependencies(nodes[id]) {
            let edge = (metadata[id].name.as_str(), metadata[used].name.as_str());
            let excepted = PURE.contains(&room) && edge == EXCEPTION;
            if !excepted && seen.insert(used) {
                next.push(used);
            }
        }
    }
    seen.into_iter()
        .map(|id| metadata[id].name.to_string())
        .collect()
}

/// What ends up in the compiled crate: neither dev- nor build-dependencies.
fn normal_dependencies(node: &Node) -> impl Iterator<Item = &PackageId> {
    node.deps
        .iter()
        .filter(|dep| {
            dep.dep_kinds
                .iter()
                .any(|kind| kind.kind == DependencyKind::Normal)
        })
        .map(|dep| &dep.pkg)
}

#[test]
fn every_file_named_in_architecture_md_exists() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md"))
        .expect("ARCHITECTURE.md stands in the root");
    let named = named_files(&text);
    assert!(!named.is_empty(), "ARCHITECTURE.md names no file at all");
    let gone: Vec<_> = named
        .iter()
        .filter(|path| !root().join(path).exists())
        .collect();
    assert!(
        gone.is_empty(),
        "ARCHITECTURE.md names files that do not exist: {gone:?}"
    );
}

/// The words in backticks that are paths of files in this repository: a slash in them, a known
/// extension, relative, and nothing left open (`<name>`, `*`). A `path::function` or `path:line`
/// after the file is dropped, and `{a,b}` stands for several files.
fn named_files(text: &str) -> BTreeSet<String> {
    const EXTENSIONS: &[&str] = &["rs", "toml", "md", "yaml", "yml", "json", "sh"];
    let quoted = text
        .split("```")
        .step_by(2)
        .flat_map(|prose| prose.split('`').skip(1).step_by(2));
    quoted
        .map(|word| word.split(':').next().unwrap_or_default())
        .flat_map(expand)
        .filter(|word| word.contains('/') && !word.starts_with('/'))
        .filter(|word| !word.contains(['<', '*', ' ', '$', '~']))
        .filter(|word| {
            let extension = Path::new(word)
                .extension()
                .and_then(|extension| extension.to_str());
            extension.is_some_and(|extension| EXTENSIONS.contains(&extension))
        })
        .collect()
}

/// `a/{b,c}.rs` as `a/b.rs` and `a/c.rs`.
fn expand(word: &str) -> Vec<String> {
    let parts = word.split_once('{').and_then(|(before, rest)| {
        let (list, after) = rest.split_once('}')?;
        Some((before, list, after))
    });
    match parts {
        None => vec![word.to_owned()],
        Some((before, list, after)) => list
            .split(',')
            .map(|item| format!("{before}{}{after}", item.trim()))
            .collect(),
    }
}

#[test]
fn files_are_recognised_among_the_words_in_backticks() {
    let text = "See `dns/src/main.rs` and `packet/src/ipv4.rs::parse`, `lab/src/{a,b}.rs`; not \
                `main.rs`, not `/etc/resolv.conf`, not `target/bpf/x.o`, not `<dir>/a.rs`, not \
                lab/bare.rs.\n```\n`in/a/block.rs`\n```\nbut `after/it.toml:3`.";
    let named: Vec<_> = named_files(text).into_iter().collect();
    assert_eq!(
        named,
        [
            "after/it.toml",
            "dns/src/main.rs",
            "lab/src/a.rs",
            "lab/src/b.rs",
            "packet/src/ipv4.rs"
        ]
    );
}
