//! The CNI plugin's environment: one line a variable's value, in the order below.
#![no_main]

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use flatnet_fuzz::is_answered;
use libfuzzer_sys::fuzz_target;

const NAMES: [&str; 6] = [
    "CNI_COMMAND",
    "CNI_CONTAINERID",
    "CNI_NETNS",
    "CNI_IFNAME",
    "CNI_ARGS",
    "CNI_PATH",
];
const STDIN: &[u8] = br#"{"cniVersion":"1.1.0","name":"n","cni.dev/valid-attachments":[],
    "ipam":{"ranges":[[{"subnet":"10.0.0.0/24"}],[{"subnet":"fd00::/64"}]]},
    "prevResult":{"interfaces":[{"name":"eth0","sandbox":"/n"}]}}"#;

fuzz_target!(|data: &[u8]| {
    let values = data.split(|byte| *byte == b'\n');
    let environment = NAMES.into_iter().zip(values);
    let environment = environment
        .map(|(name, value)| (name.to_owned(), OsString::from_vec(value.to_vec())))
        .collect();
    is_answered(environment, STDIN);
});
