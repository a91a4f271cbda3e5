//! The house rules that no other tool checks. Pure: path and text in, findings out.

use std::fmt;
use std::path::Path;

/// Lines of a source file, tests left out: above the first a warning, above the second an error.
const SIZE_WARNING: usize = 300;
const SIZE_ERROR: usize = 500;
/// File names that say nothing about what is inside, and so grow without limit.
const EMPTY_NAMES: &[&str] = &["utils", "util", "common", "helpers", "misc"];
/// Where one developer's machine keeps things; written in two halves so as not to find itself.
const MACHINE_PATHS: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
];
/// Code that is not there yet.
const UNWRITTEN: &[&str] = &[concat!("todo", "!("), concat!("unimplemented", "!(")];
/// A test that never runs and does not say why.
const SILENT_IGNORE: &str = concat!("#[ign", "ore]");

/// Whether a finding fails the lint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    /// Shown, and no more.
    Warning,
    /// Fails the lint.
    Error,
}

/// A breach of a rule.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) weight: Weight,
    path: String,
    /// 1-based; 0 when the whole file is meant.
    line: usize,
    what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let weight = match self.weight {
            Weight::Warning => "warning",
            Weight::Error => "error",
        };
        write!(f, "{weight}: {}", self.path)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        write!(f, ": {}", self.what)
    }
}

/// All findings in one file.
pub(super) fn check(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = machine_paths(path, text);
    if path.ends_with(".rs") {
        findings.extend(header(path, text));
        findings.extend(size(path, text));
        findings.extend(name(path));
        findings.extend(unwritten(path, text));
    }
    findings
}

fn error(path: &str, line: usize, what: String) -> Finding {
    Finding {
        weight: Weight::Error,
        path: path.to_owned(),
        line,
        what,
    }
}

/// Every file says at its top what it is for.
fn header(path: &str, text: &str) -> Option<Finding> {
    let first = text
        .lines()
        .find(|line| !line.is_empty() && !line.starts_with("#!["));
    let is_comment = first.is_some_and(|line| line.starts_with("//"));
    (!is_comment).then(|| {
        error(
            path,
            1,
            "no comment on top that says what it is for".to_owned(),
        )
    })
}

/// A file stays small enough to be read in one sitting.
fn size(path: &str, text: &str) -> Option<Finding> {
    if is_test_file(path) {
        return None;
    }
    let lines = lines_without_tests(text);
    let weight = match lines {
        0..=SIZE_WARNING => return None,
        lines if lines <= SIZE_ERROR => Weight::Warning,
        _ => Weight::Error,
    };
    let what = format!("{lines} lines without tests; split it (budget {SIZE_WARNING})");
    Some(Finding {
        weight,
        path: path.to_owned(),
        line: 0,
        what,
    })
}

fn is_test_file(path: &str) -> bool {
    let stem = Path::new(path)
        .file_stem()
        .and_then(|stem| stem.to_str())
        .unwrap_or_default();
    path.split('/').any(|part| part == "tests") || stem == "testing" || stem.ends_with("tests")
}

/// Counts lines, leaving out each `#[cfg(test)]` item. Relies on rustfmt: what an item opens at
/// some indentation is closed by a line that starts with a brace at the same.
fn lines_without_tests(text: &str) -> usize {
    let mut count = 0;
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let indent = &line[..line.len() - line.trim_start().len()];
        if line.trim_start() != "#[cfg(test)]" {
            count += 1;
            continue;
        }
        let closing = format!("{indent}}}");
        let mut opened = false;
        for line in lines.by_ref() {
            opened |= line.ends_with('{');
            if line == closing || (!opened && line.ends_with(';')) {
                break;
            }
        }
    }
    count
}

/// A file is named by the noun it owns or the step it takes.
fn name(path: &str) -> Option<Finding> {
    let stem = Path::new(path)
        .file_stem()
        .and_then(|stem| stem.to_str())
        .unwrap_or_default();
    EMPTY_NAMES.contains(&stem).then(|| {
        error(
            path,
            0,
            format!("`{stem}` names nothing: name it by what it owns"),
        )
    })
}

/// No unwritten code, and no test switched off without a reason.
fn unwritten(path: &str, text: &str) -> Vec<Finding> {
    numbered(text)
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .filter_map(|(number, line)| {
            if let Some(word) = UNWRITTEN.iter().find(|word| line.contains(**word)) {
                return Some(error(
                    path,
                    number,
                    format!("`{word}…)` is code not written yet"),
                ));
            }
            line.contains(SILENT_IGNORE)
                .then(|| error(path, number, "an ignored test must say why".to_owned()))
        })
        .collect()
}

/// Nothing depends on where one developer keeps things.
fn machine_paths(path: &str, text: &str) -> Vec<Finding> {
    numbered(text)
        .filter_map(|(number, line)| {
            let found = MACHINE_PATHS
                .iter()
                .find(|word| starts_a_path(line, word))?;
            Some(error(
                path,
                number,
                format!("`{found}` is a path of one machine"),
            ))
        })
        .collect()
}

/// Whether `line` holds `prefix` as the beginning of a path, not as the middle of one.
fn starts_a_path(line: &str, prefix: &str) -> bool {
    line.match_indices(prefix).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "._-}>~)/".contains(c))
    })
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rules one text breaks, as `weight line` with a word of the message.
    fn breaches(path: &str, text: &str) -> Vec<String> {
        check(path, text).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn a_clean_file_has_no_findings() {
        let text = "//! A room.\n\nfn main() {}\n";
        assert_eq!(breaches("dns/src/main.rs", text), Vec::<String>::new());
        assert_eq!(
            breaches("dns/src/main.rs", &format!("#![no_std]\n{text}")),
            [""; 0]
        );
    }

    #[test]
    fn each_rule_finds_its_breach() {
        let unwritten = format!("//! x\nfn a() {{ {}) }}\n", UNWRITTEN[0]);
        let ignored = format!("//! x\n{SILENT_IGNORE}\n");
        let machine = format!("//! x\nconst A: &str = \"{}x\";\n", MACHINE_PATHS[0]);
        for (path, text, expected) in [
            ("a/b.rs", "fn main() {}\n", "error: a/b.rs:1: no comment"),
            ("a/b.rs", unwritten.as_str(), "error: a/b.rs:2: `todo"),
            (
                "a/b.rs",
                ignored.as_str(),
                "error: a/b.rs:2: an ignored test",
            ),
            (
                "a/utils.rs",
                "//! x\n",
                "error: a/utils.rs: `utils` names nothing",
            ),
            ("a/b.rs", machine.as_str(), "error: a/b.rs:2: `/"),
            ("README.md", machine.as_str(), "error: README.md:2: `/"),
        ] {
            let found = breaches(path, text);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].starts_with(expected), "{found:?}");
        }
    }

    #[test]
    fn the_middle_of_a_path_is_no_machine_path() {
        for (before, expected) in [
            ("", true),
            ("\"", true),
            ("/proc/1", false),
            ("{dir}", false),
        ] {
            let line = format!("{before}{}etc", MACHINE_PATHS[2]);
            assert_eq!(starts_a_path(&line, MACHINE_PATHS[2]), expected, "{line}");
        }
    }

    #[test]
    fn tests_do_not_count_towards_the_size() {
        let line = "x\n";
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "    y\n".repeat(600));
        let outside = format!("#[cfg(test)]\nmod tests;\n{line}");
        assert_eq!(lines_without_tests(&format!("{line}{tests}{line}")), 2);
        assert_eq!(lines_without_tests(&outside), 1);
    }

    #[test]
    fn size_warns_before_it_fails() {
        let of = |lines: usize| size("a/b.rs", &"x\n".repeat(lines)).map(|finding| finding.weight);
        for (lines, expected) in [
            (SIZE_WARNING, None),
            (SIZE_WARNING + 1, Some(Weight::Warning)),
            (SIZE_ERROR, Some(Weight::Warning)),
            (SIZE_ERROR + 1, Some(Weight::Error)),
        ] {
            assert_eq!(of(lines), expected, "{lines}");
        }
        assert_eq!(size("lab/tests/e2e.rs", &"x\n".repeat(900)), None);
    }
}
