//! Starting other programs: the one place that spawns, reports and explains failures.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use anyhow::{Context, bail};

/// Says what is about to take time; pair of the line that [`Step::done`] prints.
#[derive(Debug)]
#[must_use = "a step that is never done prints no closing line"]
pub(crate) struct Step {
    what: String,
    started: Instant,
}

impl Step {
    /// Prints `==> what`.
    pub(crate) fn start(what: impl Into<String>) -> Self {
        let what = what.into();
        eprintln!("==> {what}");
        Self {
            what,
            started: Instant::now(),
        }
    }

    /// Prints how long the step took, when that was noticeable.
    pub(crate) fn done(self) {
        let seconds = self.started.elapsed().as_secs_f64();
        if seconds >= 1.0 {
            eprintln!("    {}: done in {seconds:.1} s", self.what);
        }
    }
}

/// Runs `command` with its output going to the terminal; a non-zero exit is an error that names
/// the command line.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let line = command_line(command);
    let status = command
        .status()
        .with_context(|| format!("cannot start `{line}`"))?;
    if !status.success() {
        bail!("`{line}` ended with {status}");
    }
    Ok(())
}

/// Runs `command` silently and returns what it wrote on stdout; on failure the error carries what
/// it wrote on stderr.
pub(crate) fn capture(command: &mut Command) -> anyhow::Result<String> {
    let line = command_line(command);
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start `{line}`"))?;
    judge(&line, output)
}

/// As [`capture`], with `text` on its stdin. For programs that read all of it before they write
/// much.
pub(crate) fn feed(command: &mut Command, text: &str) -> anyhow::Result<String> {
    let line = command_line(command);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start `{line}`"))?;
    // A program that fails before it has read all says why on stderr; this end does not.
    let unread = child
        .stdin
        .take()
        .map(|mut pipe| pipe.write_all(text.as_bytes()));
    let output = child.wait_with_output()?;
    judge(&line, output).and_then(|said| match unread {
        Some(Err(error)) => Err(error).with_context(|| format!("`{line}` did not read its stdin")),
        _ => Ok(said),
    })
}

/// What a program that has ended wrote on stdout, or why it failed.
fn judge(line: &str, output: Output) -> anyhow::Result<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if !output.status.success() {
        // CNI plugins say on stdout what went wrong.
        let said = [text(&output.stderr), text(&output.stdout)].join(" ");
        bail!("`{line}` ended with {}: {}", output.status, said.trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{line}` did not print UTF-8"))
}

/// The command as a person would type it, for messages.
pub(crate) fn command_line(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(
        command
            .get_args()
            .map(|arg| arg.to_string_lossy().into_owned()),
    );
    words.join(" ")
}

/// Where `program` is: on PATH, or in the places that a root shell or a non-login shell leaves
/// out of it (the sbin directories, cargo's own bin directory).
pub(crate) fn find_program(program: &str) -> Option<PathBuf> {
    search_path()
        .into_iter()
        .map(|dir| dir.join(program))
        .find(|candidate| is_executable(candidate))
}

/// The PATH given to children: the caller's, then the directories [`find_program`] adds.
pub(crate) fn child_path() -> anyhow::Result<OsString> {
    env::join_paths(search_path()).context("PATH holds a directory with a colon in its name")
}

fn search_path() -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> =
        env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect();
    let cargo_home = cargo_home();
    let extra = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    for dir in cargo_home
        .map(|home| home.join("bin"))
        .into_iter()
        .chain(extra)
    {
        if !dirs.contains(&dir) {
            dirs.push(dir);
        }
    }
    dirs
}

/// Where cargo keeps what it installs and downloads.
pub(crate) fn cargo_home() -> Option<PathBuf> {
    env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")))
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata()
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// `cargo` of the toolchain that runs us, to be started in the workspace.
pub(crate) fn cargo(root: &Path) -> Command {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root);
    command
}

/// `prefix` followed by the present value of the search-path variable `name`.
pub(crate) fn prepend_path(name: &str, prefix: &Path) -> anyhow::Result<OsString> {
    let rest = env::var_os(name).unwrap_or_default();
    let rest = env::split_paths(&rest).filter(|dir| dir.as_os_str() != OsStr::new(""));
    env::join_paths(std::iter::once(prefix.to_path_buf()).chain(rest))
        .with_context(|| format!("{name} holds a directory with a colon in its name"))
}
