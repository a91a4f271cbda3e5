//! The versions of the CNI specification this plugin speaks, and what differs between them in
//! what it prints (cni.dev/docs/spec-upgrades).

use serde::Deserialize;

use crate::error::Error;
use crate::input::Input;

/// A version of the protocol, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum CniVersion {
    /// Rich results, chaining.
    V0_3_1,
    /// CHECK.
    V0_4_0,
    /// No `version` in a result's addresses.
    V1_0_0,
    /// GC, STATUS, `mtu` in a result's interfaces.
    V1_1_0,
}

impl CniVersion {
    /// All of them, oldest first.
    pub(crate) const ALL: [Self; 4] = [Self::V0_3_1, Self::V0_4_0, Self::V1_0_0, Self::V1_1_0];
    /// Spoken where the runtime named none.
    pub(crate) const NEWEST: Self = Self::V1_1_0;

    /// As it stands in JSON.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::V0_3_1 => "0.3.1",
            Self::V0_4_0 => "0.4.0",
            Self::V1_0_0 => "1.0.0",
            Self::V1_1_0 => "1.1.0",
        }
    }

    /// `None` for a version this plugin does not speak.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|version| version.as_str() == text)
    }

    /// Refuses a verb that came into the specification later.
    ///
    /// # Errors
    /// [`Error::Verb`].
    pub(crate) fn must_have(self, verb: &'static str, since: Self) -> Result<(), Error> {
        if self >= since {
            return Ok(());
        }
        Err(Error::Verb {
            verb,
            asked: self,
            since,
        })
    }

    /// Whether a result's addresses say their family ("4" or "6").
    pub(crate) fn addresses_tell_family(self) -> bool {
        self < Self::V1_0_0
    }

    /// Whether a result's interfaces may say their MTU.
    pub(crate) fn interfaces_tell_mtu(self) -> bool {
        self >= Self::V1_1_0
    }
}

/// The version to answer an error in: the one asked for if it can be made out, whatever else is
/// wrong with the request.
pub(crate) fn for_errors(input: &Input) -> CniVersion {
    input
        .stdin()
        .ok()
        .and_then(asked)
        .and_then(|text| CniVersion::parse(&text))
        .unwrap_or(CniVersion::NEWEST)
}

/// The `cniVersion` of a configuration, if there is one to be read.
pub(crate) fn asked(stdin: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Spoken {
        #[serde(rename = "cniVersion")]
        cni_version: Option<String>,
    }
    serde_json::from_slice::<Spoken>(stdin).ok()?.cni_version
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::tests::mk_input;

    #[test]
    fn every_version_round_trips_and_others_are_unknown() {
        for version in CniVersion::ALL {
            assert_eq!(CniVersion::parse(version.as_str()), Some(version));
        }
        for unknown in ["", "0.1.0", "0.2.0", "1.0", "1.2.0", "2.0.0", "v1.0.0"] {
            assert_eq!(CniVersion::parse(unknown), None, "{unknown:?}");
        }
    }

    #[test]
    fn what_each_version_prints() {
        let rows = CniVersion::ALL.map(|v| {
            (
                v.as_str(),
                v.addresses_tell_family(),
                v.interfaces_tell_mtu(),
            )
        });
        let expected = [
            ("0.3.1", true, false),
            ("0.4.0", true, false),
            ("1.0.0", false, false),
            ("1.1.0", false, true),
        ];
        assert_eq!(rows, expected);
    }

    #[test]
    fn an_error_answers_in_the_version_asked_for() {
        let rows = [
            (r#"{"cniVersion":"0.4.0"}"#, CniVersion::V0_4_0),
            (r#"{"cniVersion":"0.4.0","name":7}"#, CniVersion::V0_4_0),
            (r#"{"cniVersion":"9.9.9"}"#, CniVersion::NEWEST),
            (r#"{"cniVersion":4}"#, CniVersion::NEWEST),
            ("", CniVersion::NEWEST),
        ];
        for (stdin, expected) in rows {
            assert_eq!(for_errors(&mk_input(&[], stdin)), expected, "{stdin:?}");
        }
    }
}
