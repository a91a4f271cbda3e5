//! The attachments that GC is to leave alone.

use serde::{Deserialize, Deserializer};

use super::invalid;
use crate::attachment::{Attachment, ContainerId, InterfaceName};
use crate::error::Error;

const KEY: &str = "cni.dev/valid-attachments";

/// The list under the key of the specification, and under the one that its first text had by
/// mistake (containernetworking/cni#1101) and runtimes send as well.
#[derive(Debug, Deserialize)]
struct Config {
    #[serde(
        rename = "cni.dev/valid-attachments",
        default,
        deserialize_with = "given"
    )]
    valid: Option<Vec<Listed>>,
    #[serde(rename = "cni.dev/attachments", default, deserialize_with = "given")]
    valid_by_mistake: Option<Vec<Listed>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    #[serde(rename = "containerID")]
    container_id: String,
    ifname: String,
}

/// A key that is there with null, as Go writes a list without elements, is an empty list.
fn given<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Vec<Listed>>, D::Error> {
    let list = Option::<Vec<Listed>>::deserialize(value)?;
    Ok(Some(list.unwrap_or_default()))
}

/// Reads the list from a configuration.
///
/// # Errors
/// When there is no such key, or anything in it is no attachment: everything that is not listed
/// is removed, so a list not understood must not pass for a short one.
pub(crate) fn valid_attachments(stdin: &[u8]) -> Result<Vec<Attachment>, Error> {
    let config: Config = serde_json::from_slice(stdin).map_err(Error::Decode)?;
    let listed = config.valid.or(config.valid_by_mistake);
    let listed = listed.ok_or_else(|| invalid(KEY, "", "must be given, if only empty"))?;
    let attachments = listed.into_iter().map(
        |Listed {
             container_id,
             ifname,
         }| {
            let container = ContainerId::parse(&container_id)
                .ok_or_else(|| invalid(KEY, &container_id, ContainerId::MUST))?;
            let interface = InterfaceName::parse(&ifname)
                .ok_or_else(|| invalid(KEY, &ifname, InterfaceName::MUST))?;
            Ok(Attachment {
                container,
                interface,
            })
        },
    );
    attachments.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attachment::tests::mk_attachment;
    use serde_json::json;

    #[test]
    fn lists_and_what_is_none() {
        let both = json!([{"containerID": "c1", "ifname": "eth0", "more": 1}, {"containerID": "c2", "ifname": "n"}]);
        let two = Some(vec![mk_attachment("c1", "eth0"), mk_attachment("c2", "n")]);
        let rows = [
            (json!({KEY: both, "cni.dev/attachments": []}), two.clone()),
            (json!({"cni.dev/attachments": both}), two),
            (json!({KEY: []}), Some(vec![])),
            (json!({KEY: null}), Some(vec![])),
            (json!({}), None),
            (json!({KEY: {}}), None),
            (json!({KEY: [{"containerID": "c1"}]}), None),
            (
                json!({KEY: [{"containerID": "../c1", "ifname": "eth0"}]}),
                None,
            ),
            (json!({KEY: [{"containerID": "c1", "ifname": "a/b"}]}), None),
        ];
        for (config, expected) in rows {
            let list = valid_attachments(config.to_string().as_bytes());
            assert_eq!(list.ok(), expected, "{config}");
        }
    }
}
