//! `CNI_ARGS`: `KEY=VALUE;KEY=VALUE`, the oldest of the three ways in which a runtime says more
//! about one attachment.

use crate::error::Error;
use crate::input::Input;

const VARIABLE: &str = "CNI_ARGS";
/// What Kubernetes' runtimes say of the pod. Of no use here, and no mistake either.
const OF_KUBERNETES: &str = "K8S_POD_";

/// The pairs this plugin acts upon.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Arguments {
    /// `IP`: the address that the pod is to have.
    pub(crate) address: Option<String>,
    /// `MAC`: the MAC address that the pod is to have.
    pub(crate) mac: Option<String>,
}

impl Arguments {
    /// Reads the variable. As the reference plugins do, it refuses a key it does not know unless
    /// `IgnoreUnknown` is set: a wish misspelt is a wish not fulfilled.
    ///
    /// # Errors
    /// When it is no list of pairs, or has an unknown key.
    pub(crate) fn of(input: &Input) -> Result<Self, Error> {
        let text = input.variable(VARIABLE)?.unwrap_or_default();
        let refused = |expected| Error::Environment {
            name: VARIABLE,
            value: text.to_owned(),
            expected,
        };
        let mut arguments = Self::default();
        let (mut unknown, mut ignore_unknown) = (false, false);
        for pair in text.split(';').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair
                .split_once('=')
                .ok_or_else(|| refused("pairs KEY=VALUE separated by ';'"))?;
            let given = Some(value.to_owned()).filter(|value| !value.is_empty());
            match key {
                "IP" => arguments.address = given,
                "MAC" => arguments.mac = given,
                "IgnoreUnknown" => ignore_unknown = is_true(value),
                _ => unknown |= !key.starts_with(OF_KUBERNETES),
            }
        }
        if unknown && !ignore_unknown {
            return Err(refused(
                "the keys IP, MAC, K8S_POD_*, or others with IgnoreUnknown=1",
            ));
        }
        Ok(arguments)
    }
}

fn is_true(text: &str) -> bool {
    text == "1" || text.eq_ignore_ascii_case("true")
}

/// What is refused is in `report`'s table of wrong requests.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::tests::mk_input;

    #[test]
    fn pairs_and_what_becomes_of_them() {
        let kubernetes = "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0;K8S_POD_UID=";
        let rows = [
            ("", None, None),
            (kubernetes, None, None),
            ("K8S_POD_NAME=web-0", None, None),
            ("colour=red;IgnoreUnknown=true", None, None),
            ("IP=;MAC=", None, None),
            (";IP=10.0.0.7;", Some("10.0.0.7"), None),
            (
                "MAC=02:0:1=;IP=fd00::7/64",
                Some("fd00::7/64"),
                Some("02:0:1="),
            ),
        ];
        for (text, address, mac) in rows {
            let arguments = Arguments::of(&mk_input(&[(VARIABLE, text)], "")).unwrap();
            let told = (arguments.address.as_deref(), arguments.mac.as_deref());
            assert_eq!(told, (address, mac), "{text:?}");
        }
    }
}
