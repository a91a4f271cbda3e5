//! What a runtime may ask for beyond the configuration: addresses and a MAC address of its own
//! choice. There are three places to say so (CNI's CONVENTIONS.md); the first that says something
//! counts: `runtimeConfig`, `args.cni`, `CNI_ARGS`.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;

use crate::arguments::Arguments;
use crate::attachment::Mac;
use crate::error::Error;
use crate::lease::Pool;
use crate::range::RangeSet;

/// A value and the key it came under.
type Said<T> = (&'static str, T);

/// The wishes of one request.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Wishes {
    addresses: Vec<Said<IpAddr>>,
    /// The MAC address of the interface in the pod.
    pub(crate) mac: Option<Mac>,
}

impl Wishes {
    /// Gathers them from the configuration's `runtimeConfig` and `args`, and from `CNI_ARGS`.
    ///
    /// # Errors
    /// When something is no address, or no MAC address that an interface can have.
    pub(crate) fn gather(
        runtime_config: &Value,
        args: &Value,
        arguments: &Arguments,
    ) -> Result<Self, Error> {
        let places = [
            ("runtimeConfig.ips", texts(&runtime_config["ips"])),
            ("args.cni.ips", texts(&args["cni"]["ips"])),
            ("CNI_ARGS IP", arguments.address.iter().cloned().collect()),
        ];
        let said = places.into_iter().find(|(_, texts)| !texts.is_empty());
        let addresses = said.into_iter().flat_map(|(key, texts)| {
            texts
                .into_iter()
                .map(move |text| Ok((key, address(key, &text)?)))
        });
        let macs = [
            ("runtimeConfig.mac", runtime_config["mac"].as_str()),
            ("args.cni.mac", args["cni"]["mac"].as_str()),
            ("CNI_ARGS MAC", arguments.mac.as_deref()),
        ];
        let said = macs
            .into_iter()
            .find_map(|(key, text)| Some((key, text.filter(|text| !text.is_empty())?)));
        Ok(Self {
            addresses: addresses.collect::<Result<_, Error>>()?,
            mac: said.map(|(key, text)| mac(key, text)).transpose()?,
        })
    }

    /// Each range set with the address that is wished for from it.
    ///
    /// # Errors
    /// When an address can come from none, or two from one.
    pub(crate) fn pools(&self, sets: Vec<RangeSet>) -> Result<Vec<Pool>, Error> {
        let mut pools: Vec<_> = sets
            .into_iter()
            .map(|ranges| Pool { ranges, wish: None })
            .collect();
        for (key, address) in &self.addresses {
            let pool = pools.iter_mut().find(|pool| pool.ranges.gives(*address));
            let pool = pool.ok_or_else(|| unfit(key, address, "is not in the ranges of ipam"))?;
            if pool.wish.replace(*address).is_some() {
                return Err(unfit(
                    key,
                    address,
                    "is one more than a pod has of a family",
                ));
            }
        }
        Ok(pools)
    }
}

/// The texts of a list. Something else than text in it is no address, and said to be none.
fn texts(list: &Value) -> Vec<String> {
    let items = list.as_array().into_iter().flatten();
    let text = |item: &Value| {
        item.as_str()
            .map_or_else(|| item.to_string(), str::to_owned)
    };
    items.map(text).collect()
}

/// A prefix may be given and says nothing here: a pod's address is its own alone.
fn address(key: &'static str, text: &str) -> Result<IpAddr, Error> {
    let with_prefix = |text: &str| text.parse::<IpNet>().map(|net| net.addr());
    let address = text.parse().or_else(|_| with_prefix(text));
    address.map_err(|_| unfit(key, text, "is no IP address"))
}

fn mac(key: &'static str, text: &str) -> Result<Mac, Error> {
    let mac = Mac::parse(text).ok_or_else(|| unfit(key, text, "is no MAC address"))?;
    if mac.is_an_interfaces() {
        Ok(mac)
    } else {
        Err(unfit(
            key,
            text,
            "cannot be an interface's: it is zero or for a group",
        ))
    }
}

fn unfit(key: &'static str, value: impl ToString, why: &'static str) -> Error {
    Error::Config {
        key,
        value: value.to_string(),
        why,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::range::tests::mk_set;
    use serde_json::json;

    fn mk_arguments(address: &str, mac: &str) -> Arguments {
        let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Arguments {
            address: given(address),
            mac: given(mac),
        }
    }

    #[test]
    fn the_first_place_that_says_something_counts() {
        let runtime = json!({"ips": ["10.0.0.1/24", "fd00::1"], "mac": "02:00:00:00:00:01"});
        let args = json!({"cni": {"ips": ["10.0.0.2"], "mac": "02:00:00:00:00:02"}});
        let arguments = mk_arguments("10.0.0.3", "02:00:00:00:00:03");
        let none = json!(null);
        let empty = json!({"ips": [], "mac": ""});
        let rows = [
            (&runtime, &args, vec!["10.0.0.1", "fd00::1"], 1),
            (&empty, &args, vec!["10.0.0.2"], 2),
            (&none, &none, vec!["10.0.0.3"], 3),
        ];
        for (runtime, args, addresses, mac) in rows {
            let wishes = Wishes::gather(runtime, args, &arguments).unwrap();
            let told = wishes
                .addresses
                .iter()
                .map(|(_, address)| address.to_string());
            assert_eq!(told.collect::<Vec<_>>(), addresses);
            assert_eq!(wishes.mac, Some(Mac([2, 0, 0, 0, 0, mac])));
        }
        let nothing = Wishes::gather(&none, &none, &Arguments::default()).unwrap();
        assert_eq!(nothing, Wishes::default());
    }

    #[test]
    fn what_cannot_be_wished_for() {
        let ips = |ips: Value| json!({"ips": ips});
        let mac = |mac: &str| json!({"mac": mac});
        let rows = [
            (ips(json!(["10.0.0.300"])), "runtimeConfig.ips"),
            (ips(json!([7])), "7"),
            (ips(json!(["10.9.0.1"])), "not in the ranges"),
            (ips(json!(["10.0.0.6"])), "not in the ranges"),
            (ips(json!(["10.0.0.2", "10.0.0.1"])), "one more"),
            (mac("02:00:00:00:00"), "runtimeConfig.mac"),
            (mac("00:00:00:00:00:00"), "zero"),
            (mac("01:00:5e:00:00:01"), "group"),
        ];
        for (runtime, word) in rows {
            let pools = Wishes::gather(&runtime, &json!(null), &Arguments::default())
                .and_then(|wishes| wishes.pools(vec![mk_set(&["10.0.0.0/30"])]));
            let refused = pools.expect_err(&runtime.to_string()).to_string();
            assert!(
                refused.contains(word),
                "{runtime}: {refused:?} lacks {word:?}"
            );
        }
    }

    #[test]
    fn wishes_find_their_pools() {
        let runtime = json!({"ips": ["fd00::5", "10.0.0.1"]});
        let wishes = Wishes::gather(&runtime, &json!(null), &Arguments::default()).unwrap();
        let sets = vec![mk_set(&["10.0.0.0/24"]), mk_set(&["fd00::/64"])];
        let pools = wishes.pools(sets).unwrap();
        let wished: Vec<_> = pools
            .iter()
            .map(|pool| pool.wish.unwrap().to_string())
            .collect();
        assert_eq!(wished, ["10.0.0.1", "fd00::5"]);
    }
}
