//! The CNI plugin's configuration: the first byte is the verb, the rest is stdin.
#![no_main]

use flatnet_fuzz::is_answered;
use libfuzzer_sys::fuzz_target;

const VERBS: [&str; 6] = ["ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION"];

fuzz_target!(|data: &[u8]| {
    let Some((first, stdin)) = data.split_first() else {
        return;
    };
    let verb = VERBS[usize::from(*first) % VERBS.len()];
    let environment = [
        ("CNI_COMMAND", verb),
        ("CNI_CONTAINERID", "c1"),
        ("CNI_NETNS", "/run/netns/p"),
        ("CNI_IFNAME", "eth0"),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.into()));
    is_answered(environment.into(), stdin);
});
