//! Names of the kernel's functions, by the addresses of code in them (`/proc/kallsyms`). Without
//! the rights to see addresses (CAP_SYSLOG, or as kernel.kptr_restrict says) there are none.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead as _, BufReader};

/// The functions in which these addresses are, as far as the kernel tells.
#[must_use]
pub fn functions(addresses: &BTreeSet<u64>) -> BTreeMap<u64, String> {
    if addresses.is_empty() {
        return BTreeMap::new();
    }
    let Ok(file) = File::open("/proc/kallsyms") else {
        return BTreeMap::new();
    };
    let lines = BufReader::new(file).lines().map_while(Result::ok);
    nearest(lines, addresses)
}

/// Of each address, the symbol that begins nearest before it.
fn nearest(
    lines: impl Iterator<Item = String>,
    addresses: &BTreeSet<u64>,
) -> BTreeMap<u64, String> {
    let mut found: BTreeMap<u64, (u64, String)> = BTreeMap::new();
    for line in lines {
        let Some((start, name)) = function(&line) else {
            continue;
        };
        for address in addresses.range(start..) {
            match found.get(address) {
                Some((best, _)) if *best >= start => {}
                _ => _ = found.insert(*address, (start, name.to_owned())),
            }
        }
    }
    let named = found.into_iter();
    named.map(|(address, (_, name))| (address, name)).collect()
}

/// `ffffffff81000000 T name [module]`; addresses that are hidden are 0.
fn function(line: &str) -> Option<(u64, &str)> {
    let mut words = line.split_whitespace();
    let start = u64::from_str_radix(words.next()?, 16).ok()?;
    let is_code = matches!(words.next()?, "t" | "T" | "w" | "W");
    (start != 0 && is_code).then_some((start, words.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_in_the_function_that_begins_nearest_before_it() {
        let text = "ffffffff81000000 T _text\nffffffff81000100 t tcp_v4_rcv\n\
                    ffffffff81000180 d no_code\nffffffff81000200 T udp_rcv\tmodule\n";
        let lines = || text.lines().map(str::to_owned);
        let addresses = BTreeSet::from([0xffff_ffff_8100_01c0, 0xffff_ffff_8100_0200, 0x10]);
        let found = nearest(lines(), &addresses);
        let names: Vec<&str> = found.values().map(String::as_str).collect();
        assert_eq!(names, ["tcp_v4_rcv", "udp_rcv"]);
        let hidden = "0000000000000000 T _text".to_owned();
        assert!(nearest(std::iter::once(hidden), &addresses).is_empty());
    }
}
