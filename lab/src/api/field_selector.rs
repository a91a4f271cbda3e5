//! Field selectors: equality on the few fields that upstream indexes. Pure.

use crate::store::object::str_of;
use crate::store::{ApiError, Kind};
use serde_json::Value;

/// A conjunction of `path=value` and `path!=value`; the empty one matches everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct FieldSelector {
    terms: Vec<Term>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Term {
    path: String,
    value: String,
    equal: bool,
}

impl FieldSelector {
    /// Parses `metadata.name=a,status.phase!=Running`.
    pub(super) fn parse(text: &str) -> Result<FieldSelector, String> {
        let terms = text
            .split(',')
            .filter(|term| !term.is_empty())
            .map(parse_term);
        terms
            .collect::<Result<_, _>>()
            .map(|terms| FieldSelector { terms })
    }

    /// Refuses paths that cannot be selected by.
    pub(super) fn check(&self, kind: Kind) -> Result<(), ApiError> {
        match self
            .terms
            .iter()
            .find(|term| !is_supported(kind, &term.path))
        {
            None => Ok(()),
            Some(term) => Err(ApiError::BadRequest(format!(
                "field label not supported: {}",
                term.path
            ))),
        }
    }

    /// Whether an object fulfils every term.
    pub(super) fn matches(&self, object: &Value) -> bool {
        self.terms
            .iter()
            .all(|term| (field(object, &term.path) == term.value) == term.equal)
    }
}

fn parse_term(term: &str) -> Result<Term, String> {
    let split = [("!=", false), ("==", true), ("=", true)]
        .into_iter()
        .find_map(|(sign, equal)| Some((term.split_once(sign)?, equal)));
    match split {
        Some(((path, value), equal)) => Ok(Term {
            path: path.to_owned(),
            value: value.to_owned(),
            equal,
        }),
        None => Err(format!(
            "invalid selector: '{term}'; can't understand '{term}'"
        )),
    }
}

fn is_supported(kind: Kind, path: &str) -> bool {
    let own: &[&str] = match kind {
        Kind::Pod => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ],
        Kind::Node => &["spec.unschedulable"],
        Kind::Namespace => &["status.phase"],
        Kind::Service => &["spec.clusterIP", "spec.type"],
        Kind::Event => &["reason", "reportingComponent", "source", "type"],
        _ => &[],
    };
    let about = kind == Kind::Event && path.starts_with("involvedObject.");
    ["metadata.name", "metadata.namespace"].contains(&path) || own.contains(&path) || about
}

/// The field as text; a missing boolean is false, anything else missing is empty.
fn field(object: &Value, path: &str) -> String {
    let path = if path == "source" {
        "source.component"
    } else {
        path
    };
    let value = path.split('.').fold(object, |value, part| &value[part]);
    match value {
        Value::Bool(value) => value.to_string(),
        Value::Null if ["spec.unschedulable", "spec.hostNetwork"].contains(&path) => "false".into(),
        other => str_of(other).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn terms() {
        let pod = json!({"metadata": {"name": "a"}, "spec": {"nodeName": "n1"}, "status": {"phase": "Running"}});
        let rows = [
            ("", true),
            ("metadata.name=a", true),
            ("metadata.name==b", false),
            ("spec.nodeName=n1,status.phase!=Failed", true),
            ("spec.nodeName!=n1", false),
            ("spec.nodeName=", false),
            ("status.podIP=", true),
            ("spec.hostNetwork=false", true),
        ];
        for (text, expected) in rows {
            let selector = FieldSelector::parse(text).expect(text);
            assert!(selector.check(Kind::Pod).is_ok(), "{text}");
            assert_eq!(selector.matches(&pod), expected, "{text}");
        }
    }

    #[test]
    fn only_some_fields_can_be_selected_by() {
        let selector = |text| FieldSelector::parse(text).expect("parses");
        assert!(selector("spec.replicas=1").check(Kind::Deployment).is_err());
        assert!(selector("spec.nodeName=a").check(Kind::Service).is_err());
        assert!(selector("involvedObject.uid=a").check(Kind::Event).is_ok());
        assert!(FieldSelector::parse("metadata.name").is_err());
    }
}
