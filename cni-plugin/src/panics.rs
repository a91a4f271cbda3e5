//! A bug must not leave the runtime with half a line on stdout and a backtrace to parse: even a
//! panic becomes an error of the specification. It unwinds, so what ADD had done is undone.

use std::io::Write;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Mutex;

use crate::error::Error;

/// What the last panic said and where. A panic's payload does not know its place.
static LAST: Mutex<String> = Mutex::new(String::new());

/// Runs `work`; a panic in it comes back as an error that says where.
pub(crate) fn caught<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    panic::set_hook(Box::new(|info| {
        let text = info.to_string();
        complain(&text);
        if let Ok(mut last) = LAST.lock() {
            *last = text;
        }
    }));
    // Nothing of `work` is looked at after it unwound: its input is only read.
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_payload| {
        let text = LAST.lock().map(|text| text.clone()).unwrap_or_default();
        Err(Error::Panic(text))
    })
}

/// Says something on stderr for the log. Whoever reads that may be gone: `eprintln` would panic
/// over it, and a panic within another ends the process without an answer.
pub(crate) fn complain(text: &str) {
    let _closed = writeln!(std::io::stderr(), "flatnet-cni: {text}");
}

#[cfg(test)]
mod tests {
    use std::process::{Command, ExitCode, Stdio};

    use super::*;
    use crate::input::tests::mk_input;

    /// Set in the process that is to panic.
    const TO_PANIC: &str = "FLATNET_TEST_PANICS";
    const PROCESS: &str = "panics::tests::a_process_that_panics";

    /// What flatnet-cni does when a verb panics: a process of its own, for the test below.
    #[test]
    fn a_process_that_panics() -> ExitCode {
        if std::env::var_os(TO_PANIC).is_none() {
            return ExitCode::SUCCESS;
        }
        let input = mk_input(&[("CNI_COMMAND", "ADD")], r#"{"cniVersion":"0.4.0"}"#);
        crate::respond(&input, |_| panic!("the vase broke"))
    }

    #[test]
    fn a_process_that_panics_still_prints_an_error_with_a_code() {
        for stderr_is_closed in [false, true] {
            let mut command = Command::new(std::env::current_exe().unwrap());
            command
                .args(["--exact", PROCESS, "--nocapture", "--quiet"])
                .env(TO_PANIC, "1")
                .stdout(Stdio::piped())
                .stderr(Stdio::piped());
            let mut child = command.spawn().unwrap();
            if stderr_is_closed {
                drop(child.stderr.take());
            }
            let output = child.wait_with_output().unwrap();
            assert!(!output.status.success());
            let printed = String::from_utf8(output.stdout).unwrap();
            let mut lines = printed.lines();
            let error = lines.find(|line| line.starts_with('{'));
            let error: serde_json::Value = serde_json::from_str(error.expect(&printed)).unwrap();
            assert_eq!(error["code"], 199);
            assert_eq!(error["cniVersion"], "0.4.0");
            let message = error["msg"].as_str().unwrap();
            assert!(message.contains("the vase broke"), "{message}");
        }
    }

    #[test]
    fn a_panic_becomes_an_error_that_says_where() {
        let error = caught::<()>(|| panic!("the {} broke", "vase"))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("the vase broke") && error.contains("panics.rs"),
            "{error}"
        );
        assert_eq!(caught(|| Ok(7)).unwrap(), 7);
    }
}
