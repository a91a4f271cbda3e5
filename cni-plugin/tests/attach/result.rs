//! What an ADD result says.

use std::net::IpAddr;

use serde_json::Value;

/// The pod's first address in an ADD result, without its prefix.
pub(crate) fn address_of(result: &Value) -> String {
    addresses_of(result)[0].to_string()
}

/// The pod's addresses in an ADD result, each of which must be one of a host.
pub(crate) fn addresses_of(result: &Value) -> Vec<IpAddr> {
    let ips = result["ips"].as_array().unwrap().iter();
    let addresses = ips.map(|ip| {
        let (address, prefix) = ip["address"].as_str().unwrap().split_once('/').unwrap();
        let address: IpAddr = address.parse().unwrap();
        assert_eq!(prefix, if address.is_ipv4() { "32" } else { "128" });
        address
    });
    addresses.collect()
}

/// The name of the host end in an ADD result.
pub(crate) fn host_end_of(result: &Value) -> String {
    result["interfaces"][0]["name"].as_str().unwrap().to_owned()
}
