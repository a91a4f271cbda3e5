//! The Rust side: compiler, components, bpf-linker.

use std::path::Path;
use std::process::Command;

use super::need::{Need, Remedy, Scope, State};
use crate::process::{capture, find_program};

/// The oldest compiler that builds us (`rust-version` in the root Cargo.toml).
const RUST_VERSION: (u32, u32) = (1, 95);
/// The bpf-linker we build with, as `cargo install` names it.
const BPF_LINKER: &str = "bpf-linker@0.10.0";
/// Bpf-linker 0.10 speaks to exactly this major version of the compiler's libLLVM.
const LLVM_MAJOR: u32 = 22;

/// What is compiled for where it has to run on any node, with no library there.
pub(crate) const STATIC_TARGET: &str = "x86_64-unknown-linux-musl";

/// The driver of libFuzzer that `cargo xtask fuzz` starts.
const CARGO_FUZZ: &str = "cargo-fuzz@0.13.2";

/// The compiler, what rustup adds to it, and bpf-linker.
pub(super) fn needs() -> Vec<Need> {
    let verbose = capture(Command::new("rustc").arg("-vV")).unwrap_or_default();
    let sysroot = capture(Command::new("rustc").args(["--print", "sysroot"])).unwrap_or_default();
    let sysroot = Path::new(sysroot.trim());
    vec![
        Need {
            name: "rustc".to_owned(),
            used_for: "compiles both halves",
            scope: Scope::Build,
            state: compiler(&verbose),
        },
        component(
            "rust-src",
            "core for the bpf target is built from it",
            Scope::Build,
            || {
                sysroot
                    .join("lib/rustlib/src/rust/library/core/Cargo.toml")
                    .exists()
            },
        ),
        component("rustfmt", "cargo xtask lint", Scope::Lint, || {
            sysroot.join("bin/rustfmt").exists() || find_program("rustfmt").is_some()
        }),
        component("clippy", "cargo xtask lint", Scope::Lint, || {
            sysroot.join("bin/clippy-driver").exists() || find_program("clippy-driver").is_some()
        }),
        Need {
            name: STATIC_TARGET.to_owned(),
            used_for: "what is shipped is static",
            scope: Scope::Image,
            state: static_target(sysroot),
        },
        Need {
            name: "bpf-linker".to_owned(),
            used_for: "links the eBPF object",
            scope: Scope::Build,
            state: bpf_linker(),
        },
        Need {
            name: "nightly rustc".to_owned(),
            used_for: "has the coverage that a fuzzer needs",
            scope: Scope::Fuzz,
            state: nightly(),
        },
        Need {
            name: "cargo-fuzz".to_owned(),
            used_for: "builds and runs the fuzz targets",
            scope: Scope::Fuzz,
            state: match find_program("cargo-fuzz") {
                Some(path) => State::Here(path.display().to_string()),
                None => State::Missing {
                    why: "not installed".to_owned(),
                    remedy: Remedy::CargoInstall(CARGO_FUZZ),
                },
            },
        },
    ]
}

fn nightly() -> State {
    match capture(Command::new("rustup").args(["run", "nightly", "rustc", "--version"])) {
        Ok(version) => State::Here(version.trim().to_owned()),
        Err(_) => State::Missing {
            why: "rustup has no such toolchain".to_owned(),
            remedy: Remedy::Toolchain("nightly"),
        },
    }
}

fn component(
    name: &'static str,
    used_for: &'static str,
    scope: Scope,
    is_here: impl Fn() -> bool,
) -> Need {
    let state = if is_here() {
        State::Here("in the toolchain".to_owned())
    } else {
        State::Missing {
            why: "not in the active toolchain".to_owned(),
            remedy: Remedy::Component(name),
        }
    };
    Need {
        name: name.to_owned(),
        used_for,
        scope,
        state,
    }
}

fn static_target(sysroot: &Path) -> State {
    if sysroot.join("lib/rustlib").join(STATIC_TARGET).exists() {
        return State::Here("in the toolchain".to_owned());
    }
    State::Missing {
        why: "not in the active toolchain".to_owned(),
        remedy: Remedy::Target(STATIC_TARGET),
    }
}

/// Judges `rustc -vV`.
fn compiler(verbose: &str) -> State {
    let field = |name: &str| {
        verbose
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .map(str::trim)
            .unwrap_or_default()
    };
    let (release, llvm, host) = (field("release:"), field("LLVM version:"), field("host:"));
    let by_hand = |why: String| State::Missing {
        why,
        remedy: Remedy::ByHand(
            "rustup toolchain install 1.95.0, then `cargo +1.95.0 xtask …`".to_owned(),
        ),
    };
    if major_minor(release) < RUST_VERSION {
        return by_hand(format!("release {release:?} is older than 1.95"));
    }
    if major_minor(llvm).0 != LLVM_MAJOR {
        return by_hand(format!(
            "it has LLVM {llvm:?}, and {BPF_LINKER} needs LLVM {LLVM_MAJOR}"
        ));
    }
    if host != "x86_64-unknown-linux-gnu" {
        return State::Missing {
            why: format!("host {host:?}"),
            remedy: Remedy::ByHand(
                "build on x86_64-unknown-linux-gnu, the one host whose toolchain brings the \
                 shared libLLVM that bpf-linker loads"
                    .to_owned(),
            ),
        };
    }
    State::Here(format!("{release}, LLVM {llvm}"))
}

fn bpf_linker() -> State {
    let remedy = Remedy::CargoInstall(BPF_LINKER);
    let Some(path) = find_program("bpf-linker") else {
        return State::Missing {
            why: "not installed".to_owned(),
            remedy,
        };
    };
    let version = capture(Command::new(&path).arg("--version")).unwrap_or_default();
    match version.trim().strip_prefix("bpf-linker ") {
        Some(version) if major_minor(version) == (0, 10) => {
            State::Here(format!("{version}, {}", path.display()))
        }
        _ => State::Missing {
            why: format!("{} says {:?}, not 0.10", path.display(), version.trim()),
            remedy,
        },
    }
}

/// The first two numbers of a version; (0, 0) when it has none.
pub(super) fn major_minor(version: &str) -> (u32, u32) {
    let mut numbers = version
        .split(|c: char| !c.is_ascii_digit())
        .map_while(|number| number.parse::<u32>().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_up_to_the_minor() {
        for (text, expected) in [
            ("1.95.0", (1, 95)),
            ("1.97.0-nightly", (1, 97)),
            ("6.18.44-fc-v669", (6, 18)),
            ("6.1", (6, 1)),
            ("", (0, 0)),
            ("next", (0, 0)),
        ] {
            assert_eq!(major_minor(text), expected, "{text}");
        }
    }

    #[test]
    fn the_compiler_must_be_new_enough_and_match_the_linker() {
        let rustc = |release: &str, llvm: &str, host: &str| {
            compiler(&format!(
                "rustc\nhost: {host}\nrelease: {release}\nLLVM version: {llvm}\n"
            ))
        };
        let (host, other) = ("x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu");
        assert!(matches!(rustc("1.95.0", "22.1.2", host), State::Here(_)));
        for (release, llvm, host, said) in [
            ("1.94.1", "22.1.0", host, "older"),
            ("1.99.0", "23.1.0", host, "LLVM"),
            ("1.95.0", "22.1.2", other, "host"),
            ("", "", "", "older"),
        ] {
            match rustc(release, llvm, host) {
                State::Missing { why, .. } => assert!(why.contains(said), "{why}"),
                state => panic!("{release} {llvm} {host}: {state:?}"),
            }
        }
    }
}
