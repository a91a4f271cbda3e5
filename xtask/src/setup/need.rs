//! One thing a developer command needs, and whether it is here.

use std::fmt;

/// Which commands need a thing, or what a command is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// `cargo xtask build`.
    Build,
    /// `cargo xtask lint`.
    Lint,
    /// `cargo xtask image`.
    Image,
    /// `cargo xtask lab`.
    Lab,
    /// `cargo xtask bench`.
    Bench,
    /// `cargo xtask test`.
    Test,
    /// `cargo xtask vm`.
    Vm,
    /// `cargo xtask fuzz`.
    Fuzz,
}

impl Scope {
    /// Whether a command of this scope also needs what is needed for `other`.
    pub(crate) fn includes(self, other: Self) -> bool {
        match self {
            Self::Build => other == Self::Build,
            Self::Lint => matches!(other, Self::Build | Self::Lint),
            Self::Image => matches!(other, Self::Build | Self::Image),
            Self::Lab => matches!(other, Self::Build | Self::Lab),
            Self::Bench => {
                matches!(other, Self::Build | Self::Image | Self::Lab | Self::Bench)
            }
            Self::Test => !matches!(other, Self::Vm | Self::Fuzz),
            // Not what the lab and the benches ask of this machine's kernel.
            Self::Vm => matches!(other, Self::Build | Self::Test | Self::Vm),
            Self::Fuzz => other == Self::Fuzz,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Build => "to build",
            Self::Lint => "to lint",
            Self::Image => "for the image",
            Self::Lab => "for the lab",
            Self::Bench => "for the benches",
            Self::Test => "for the tests",
            Self::Vm => "for the virtual machine",
            Self::Fuzz => "to fuzz",
        }
    }
}

/// How a missing thing is brought here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// A Debian package.
    Package(&'static str),
    /// A toolchain of rustup's.
    Toolchain(&'static str),
    /// A component of the active rustup toolchain.
    Component(&'static str),
    /// A compilation target of the active rustup toolchain.
    Target(&'static str),
    /// `cargo install` of `name@version`, with its lock file.
    CargoInstall(&'static str),
    /// Nothing that this command may do on its own: what a person has to do, in words.
    ByHand(String),
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Package(package) => write!(f, "apt-get install {package}"),
            Self::Toolchain(channel) => {
                write!(f, "rustup toolchain install {channel} --profile minimal")
            }
            Self::Component(component) => write!(f, "rustup component add {component}"),
            Self::Target(target) => write!(f, "rustup target add {target}"),
            Self::CargoInstall(krate) => write!(f, "cargo install {krate} --locked"),
            Self::ByHand(words) => f.write_str(words),
        }
    }
}

/// Whether a needed thing is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It is; where, or which version.
    Here(String),
    /// It cannot be told from here (not root); the command that needs it will say.
    Unknown(String),
    /// It is not.
    Missing {
        /// What was seen instead.
        why: String,
        /// What brings it.
        remedy: Remedy,
    },
}

/// One thing a developer command needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Need {
    /// Its name as a person would say it.
    pub(crate) name: String,
    /// What it is used for.
    pub(crate) used_for: &'static str,
    /// The first command that needs it.
    pub(crate) scope: Scope,
    /// Whether it is here.
    pub(crate) state: State,
}

impl Need {
    /// Whether it is surely not here.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self.state, State::Missing { .. })
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            used_for,
            scope,
            state,
        } = self;
        match state {
            State::Here(detail) => write!(f, "ok       {name}: {detail}"),
            State::Unknown(why) => write!(f, "unknown  {name}: {why}"),
            State::Missing { why, remedy } => {
                let scope = scope.words();
                write!(
                    f,
                    "missing  {name}: {why}; needed {scope} ({used_for}): {remedy}"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_thing_is_one_line_with_its_remedy() {
        let need = Need {
            name: "tcpdump".to_owned(),
            used_for: "shows packets",
            scope: Scope::Test,
            state: State::Missing {
                why: "not on PATH".to_owned(),
                remedy: Remedy::Package("tcpdump"),
            },
        };
        let line = need.to_string();
        assert_eq!(
            line,
            "missing  tcpdump: not on PATH; needed for the tests (shows packets): \
             apt-get install tcpdump"
        );
        assert!(!line.contains('\n'));
    }

    #[test]
    fn a_lab_needs_a_build_and_the_tests_need_all_but_fuzzing_and_machines() {
        use Scope::{Bench, Build, Fuzz, Image, Lab, Lint, Test, Vm};

        for (scope, included) in [
            (Build, vec![Build]),
            (Lint, vec![Build, Lint]),
            (Image, vec![Build, Image]),
            (Lab, vec![Build, Lab]),
            (Bench, vec![Build, Image, Lab, Bench]),
            (Test, vec![Build, Lint, Image, Lab, Bench, Test]),
            (Vm, vec![Build, Test, Vm]),
            (Fuzz, vec![Fuzz]),
        ] {
            for other in [Build, Lint, Image, Lab, Bench, Test, Vm, Fuzz] {
                assert_eq!(
                    scope.includes(other),
                    included.contains(&other),
                    "{scope:?} {other:?}"
                );
            }
        }
    }
}
