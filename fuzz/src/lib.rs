//! What must hold of every answer of the CNI plugin, whatever it was asked.

use std::ffi::OsString;

use cni_plugin::{Input, judge};
use serde_json::Value;

/// The plugin's code for a bug of its own.
const BUG: u64 = 199;

/// Has a request judged, which touches nothing; panics unless the answer is one of the
/// specification's.
pub fn is_answered(environment: Vec<(String, OsString)>, stdin: &[u8]) {
    let Some(text) = judge(&Input::new(environment, stdin.to_vec())) else {
        return;
    };
    let error: Value = serde_json::from_str(&text).expect("the answer is JSON");
    let code = error["code"].as_u64().expect("it has a code");
    assert!((1..BUG).contains(&code), "{error}");
    assert!(error["cniVersion"].is_string(), "{error}");
    assert_ne!(error["msg"].as_str().expect("it has a message"), "");
}
