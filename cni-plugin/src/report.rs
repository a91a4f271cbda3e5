//! What the runtime gets to see: the one place where an error becomes a code of the CNI
//! specification (1.1.0, section 5, "Error") and an outcome becomes stdout and an exit status.

use std::io::Write;
use std::process::ExitCode;

use serde::Serialize;

use crate::error::Error;
use crate::reply::Reply;
use crate::version::CniVersion;

/// Codes of the specification.
mod code {
    pub(super) const INCOMPATIBLE_VERSION: u32 = 1;
    pub(super) const UNSUPPORTED_FIELD: u32 = 2;
    pub(super) const INVALID_ENVIRONMENT: u32 = 4;
    pub(super) const IO_FAILURE: u32 = 5;
    pub(super) const DECODE_FAILURE: u32 = 6;
    pub(super) const INVALID_CONFIG: u32 = 7;
    pub(super) const TRY_AGAIN_LATER: u32 = 11;
    pub(super) const UNAVAILABLE: u32 = 50;
    pub(super) const LIMITED: u32 = 51;
    // From 100 on they are the plugin's own.
    pub(super) const NO_FREE_ADDRESS: u32 = 100;
    pub(super) const ALREADY_ATTACHED: u32 = 101;
    pub(super) const NETLINK: u32 = 102;
    pub(super) const PINNED: u32 = 103;
    pub(super) const DIFFERS: u32 = 104;
    pub(super) const NODE: u32 = 105;
    pub(super) const PORT_TAKEN: u32 = 106;
    pub(super) const BUG: u32 = 199;
}

/// The error structure of the specification.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ErrorReport {
    cni_version: &'static str,
    code: u32,
    msg: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    details: String,
}

/// Prints the outcome as JSON on stdout and says what to exit with.
pub(crate) fn print(outcome: Result<Reply, Error>, version: CniVersion) -> ExitCode {
    let (text, status) = match outcome {
        Ok(reply) => (reply.to_json(), ExitCode::SUCCESS),
        Err(error) => (Some(error_json(&error, version)), ExitCode::FAILURE),
    };
    // A runtime that closed its end of the pipe has stopped listening; the status still counts.
    let mut stdout = std::io::stdout().lock();
    let _closed = text
        .map(|text| writeln!(stdout, "{text}"))
        .and_then(Result::err);
    status
}

/// The error structure as text.
pub(crate) fn error_json(error: &Error, version: CniVersion) -> String {
    let report = ErrorReport {
        cni_version: version.as_str(),
        code: code_of(error),
        msg: error.to_string(),
        details: error.causes(),
    };
    serde_json::json!(report).to_string()
}

fn code_of(error: &Error) -> u32 {
    match error {
        Error::Version(_) | Error::Verb { .. } => code::INCOMPATIBLE_VERSION,
        Error::Unsupported { .. } => code::UNSUPPORTED_FIELD,
        Error::Environment { .. } | Error::Namespace { .. } | Error::OwnNamespace(_) => {
            code::INVALID_ENVIRONMENT
        }
        Error::Stdin(_) | Error::File { .. } => code::IO_FAILURE,
        Error::Decode(_) | Error::PrevResult(_) => code::DECODE_FAILURE,
        Error::Config { .. } | Error::Ranges { .. } => code::INVALID_CONFIG,
        Error::NotReady(_) => code::TRY_AGAIN_LATER,
        Error::Exhausted { .. } | Error::Taken(_) => code::NO_FREE_ADDRESS,
        Error::InterfaceExists { .. } | Error::AlreadyAttached(_) => code::ALREADY_ATTACHED,
        Error::Netlink { .. } | Error::Unused(_) => code::NETLINK,
        Error::Pinned { .. } | Error::Full(_) => code::PINNED,
        Error::Differs(_) => code::DIFFERS,
        Error::Node { .. } => code::NODE,
        Error::Unavailable(_) => code::UNAVAILABLE,
        Error::Limited(_) => code::LIMITED,
        Error::PortTaken { .. } => code::PORT_TAKEN,
        Error::NotUndone { cause, .. } => code_of(cause),
        Error::Several(errors) => errors.first().map_or(code::BUG, code_of),
        Error::Panic(_) => code::BUG,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::tests::mk_input;
    use crate::request;
    use serde_json::{Value, json};

    fn parsed(error: &Error) -> Value {
        serde_json::from_str(&error_json(error, CniVersion::V0_4_0)).unwrap()
    }

    #[test]
    fn an_error_has_the_specified_shape() {
        let source = std::io::Error::from_raw_os_error(17);
        let error = Error::Netlink {
            doing: "create the veth pair".into(),
            said: Some("no room".into()),
            source,
        };
        let expected = json!({
            "cniVersion": "0.4.0", "code": 102,
            "msg": "cannot create the veth pair (no room)", "details": "File exists (os error 17)",
        });
        assert_eq!(parsed(&error), expected);
        assert_eq!(parsed(&Error::Version("7".into())).get("details"), None);
    }

    #[test]
    fn a_missing_program_asks_to_try_again_and_names_the_remedy() {
        let report = parsed(&Error::NotReady(
            "/sys/fs/bpf/flatnet/programs/from_pod".into(),
        ));
        assert_eq!(report["code"], 11);
        let message = report["msg"].as_str().unwrap();
        assert!(
            message.contains("/sys/fs/bpf/flatnet/programs/from_pod")
                && message.contains("flatnet-agent")
        );
    }

    #[test]
    fn what_could_not_be_undone_comes_under_the_code_of_the_cause() {
        let report = parsed(&Error::NotUndone {
            cause: Error::Taken("/leases/10.0.0.2".into()).into(),
            rest: vec![Error::file("remove the pin", "/pins/x".as_ref())(
                std::io::Error::from_raw_os_error(13),
            )],
        });
        assert_eq!(report["code"], 100);
        let message = report["msg"].as_str().unwrap();
        assert!(
            message.contains("10.0.0.2") && message.contains("/pins/x"),
            "{message}"
        );
        assert!(
            report["details"].as_str().unwrap().contains("denied"),
            "{report}"
        );
    }

    #[test]
    fn what_status_says_is_the_cause_under_its_own_code() {
        let cause = || Error::NotReady("/sys/fs/bpf/flatnet/maps/pods".into());
        for (limited, code) in [(false, 50), (true, 51)] {
            let report = parsed(&cause().unavailable(limited));
            assert_eq!(report["code"], code);
            assert_eq!(report["msg"], cause().to_string());
        }
    }

    #[test]
    fn several_errors_are_all_told() {
        let errors = vec![
            Error::Panic("a".into()),
            Error::Taken("/leases/10.0.0.2".into()),
        ];
        let report = parsed(&Error::all(errors).unwrap_err());
        assert_eq!(report["code"], 199);
        assert!(report["msg"].as_str().unwrap().contains("10.0.0.2"));
    }

    /// One row a way to get the request wrong: environment changed, stdin, code, word in the message.
    #[test]
    fn wrong_requests_and_their_codes() {
        const GOOD: &str =
            r#"{"cniVersion":"1.0.0","name":"n","ipam":{"ranges":[[{"subnet":"10.0.0.0/24"}]]}}"#;
        const PORT: &str = r#"{"cniVersion":"1.0.0","name":"n","ipam":{"subnet":"10.0.0.0/24"},
            "runtimeConfig":{"portMappings":[{"hostPort":65536,"containerPort":80}]}}"#;
        const HOST_IP: &str = r#"{"cniVersion":"1.0.0","name":"n","ipam":{"subnet":"fd00::/64"},
            "runtimeConfig":{"portMappings":[{"hostPort":80,"containerPort":80,"hostIP":"127.0.0.1"}]}}"#;
        const OLD: &str = r#"{"cniVersion":"0.3.1","name":"n"}"#;
        const NEW: &str = r#"{"cniVersion":"1.1.0","name":"n"}"#;
        const BROKEN: &str = r#"{"cniVersion":"1.0.0","name":"n","prevResult":{"ips":7}}"#;
        let rows: [(&str, &str, &str, u32, &str); 28] = [
            ("CNI_COMMAND", "", GOOD, 4, "CNI_COMMAND"),
            ("CNI_COMMAND", "FLY", GOOD, 4, "CNI_COMMAND"),
            ("CNI_COMMAND", "add", GOOD, 4, "CNI_COMMAND"),
            ("CNI_CONTAINERID", "", GOOD, 4, "CNI_CONTAINERID"),
            ("CNI_CONTAINERID", "../x", GOOD, 4, "CNI_CONTAINERID"),
            ("CNI_IFNAME", "", GOOD, 4, "CNI_IFNAME"),
            ("CNI_IFNAME", "sixteen-bytes-xx", GOOD, 4, "CNI_IFNAME"),
            ("CNI_NETNS", "", GOOD, 4, "CNI_NETNS"),
            ("CNI_ARGS", "IgnoreUnknown", GOOD, 4, "CNI_ARGS"),
            ("CNI_ARGS", "colour=red", GOOD, 4, "IgnoreUnknown"),
            ("CNI_ARGS", "IP=10.9.0.7", GOOD, 7, "CNI_ARGS IP"),
            ("CNI_ARGS", "MAC=7", GOOD, 7, "CNI_ARGS MAC"),
            ("CNI_COMMAND", "CHECK", GOOD, 7, "prevResult"),
            ("CNI_COMMAND", "CHECK", OLD, 1, "has no CHECK"),
            ("CNI_COMMAND", "CHECK", BROKEN, 6, "prevResult"),
            ("CNI_COMMAND", "GC", GOOD, 1, "has no GC"),
            ("CNI_COMMAND", "GC", NEW, 7, "cni.dev/valid-attachments"),
            ("CNI_COMMAND", "STATUS", GOOD, 1, "has no STATUS"),
            ("CNI_COMMAND", "STATUS", NEW, 7, "ipam.ranges"),
            ("CNI_COMMAND", "DEL", "[]", 6, "decode"),
            ("CNI_COMMAND", "VERSION ", GOOD, 4, "CNI_COMMAND"),
            ("CNI_PATH", "/bin", "{", 6, "decode"),
            ("CNI_PATH", "/bin", PORT, 7, "portMappings[].hostPort"),
            ("CNI_PATH", "/bin", HOST_IP, 7, "portMappings[].hostIP"),
            ("CNI_PATH", "/bin", r#"{"name":"n"}"#, 1, "0.1.0"),
            (
                "CNI_PATH",
                "/bin",
                r#"{"cniVersion":"3.0.0","name":"n"}"#,
                1,
                "3.0.0",
            ),
            (
                "CNI_PATH",
                "/bin",
                r#"{"cniVersion":"1.0.0","name":"/"}"#,
                7,
                "name",
            ),
            (
                "CNI_PATH",
                "/bin",
                r#"{"cniVersion":"1.0.0","name":"n","ipMasq":true}"#,
                2,
                "ipMasq",
            ),
        ];
        for (name, value, stdin, code, word) in rows {
            let mut environment = vec![
                ("CNI_COMMAND", "ADD"),
                ("CNI_CONTAINERID", "c"),
                ("CNI_NETNS", "/n"),
                ("CNI_IFNAME", "eth0"),
            ];
            environment.retain(|(kept, _)| *kept != name);
            environment.push((name, value));
            let report = parsed(&request::parse(&mk_input(&environment, stdin)).unwrap_err());
            assert_eq!(report["code"], code, "{name}={value} {stdin}: {report}");
            assert!(
                report["msg"].as_str().unwrap().contains(word),
                "{report} lacks {word:?}"
            );
        }
    }
}
