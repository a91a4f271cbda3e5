//! Pods from a template, as Deployments and DaemonSets make them (pure).

use serde_json::{Value, json};

use crate::store::object;

/// The label that tells the pods of one template from those of another.
pub(super) const TEMPLATE_HASH: &str = "pod-template-hash";

/// A pod of `template` for the object `owner`, which makes it.
pub(super) fn new_pod(owner: &Value, template: &Value, hash: &str) -> Value {
    let mut labels = template["metadata"]["labels"].clone();
    labels[TEMPLATE_HASH] = json!(hash);
    let mut pod = json!({
        "metadata": {
            "generateName": format!("{}-{hash}-", object::name(owner)),
            "namespace": object::namespace(owner),
            "labels": labels,
            "ownerReferences": [object::owner_reference(owner)],
        },
        "spec": template["spec"],
    });
    if template["metadata"]["annotations"].is_object() {
        pod["metadata"]["annotations"] = template["metadata"]["annotations"].clone();
    }
    pod
}

/// Ten letters of upstream's alphabet (no vowels, so no words) that stand for the template.
pub(super) fn hash(template: &Value) -> String {
    const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    // FNV-1a: the hash need not resist anybody, only tell one template from the next.
    let mut hash = template
        .to_string()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    let letters = (0..10).map(|_| {
        let letter = ALPHABET[(hash % 27) as usize];
        hash /= 27;
        char::from(letter)
    });
    letters.collect()
}
