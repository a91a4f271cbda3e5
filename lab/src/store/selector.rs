//! Label selectors, from a query string or from an object's `selector` field. Pure.

use super::object::{items, str_of};
use super::validate::names;
use serde_json::Value;

/// A conjunction of requirements on labels; the empty one matches everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector {
    requirements: Vec<Requirement>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    In(Vec<String>),
    /// Also true where the label is missing, as upstream.
    NotIn(Vec<String>),
    Exists,
    Missing,
}

impl Selector {
    /// Parses `a=b,c!=d,e in (f,g),h notin (i),j,!k`; the error says what is wrong.
    pub fn parse(text: &str) -> Result<Selector, String> {
        let mut requirements = Vec::new();
        for part in split_outside_parentheses(text) {
            let part = part.trim();
            if part.is_empty() {
                if text.trim().is_empty() {
                    continue;
                }
                return Err(format!("found '', expected: identifier in {text:?}"));
            }
            requirements.push(parse_requirement(part)?);
        }
        Ok(Selector { requirements })
    }

    /// Reads a `LabelSelector` object: `matchLabels` and `matchExpressions`.
    pub fn from_object(selector: &Value) -> Result<Selector, String> {
        let mut requirements = from_map(&selector["matchLabels"]).requirements;
        for expression in items(&selector["matchExpressions"]) {
            let key = str_of(&expression["key"]).to_owned();
            let values: Vec<String> = items(&expression["values"])
                .iter()
                .map(|v| str_of(v).to_owned())
                .collect();
            let test = match str_of(&expression["operator"]) {
                "In" => Test::In(values),
                "NotIn" => Test::NotIn(values),
                "Exists" => Test::Exists,
                "DoesNotExist" => Test::Missing,
                other => return Err(format!("{other:?} is not a valid label selector operator")),
            };
            requirements.push(Requirement { key, test });
        }
        Ok(Selector { requirements })
    }

    /// Reads a plain map of labels, as a Service's `spec.selector`.
    pub fn from_labels(labels: &Value) -> Selector {
        from_map(labels)
    }

    /// Whether a `metadata.labels` value (which may be null) fulfils every requirement.
    pub fn matches(&self, labels: &Value) -> bool {
        self.requirements
            .iter()
            .all(|requirement| requirement.holds(labels))
    }

    /// Whether there is no requirement at all.
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }
}

impl Requirement {
    fn holds(&self, labels: &Value) -> bool {
        let value = labels.get(&self.key).and_then(Value::as_str);
        match &self.test {
            Test::In(values) => value.is_some_and(|value| values.iter().any(|v| v == value)),
            Test::NotIn(values) => value.is_none_or(|value| values.iter().all(|v| v != value)),
            Test::Exists => value.is_some(),
            Test::Missing => value.is_none(),
        }
    }
}

fn from_map(labels: &Value) -> Selector {
    let pairs = labels.as_object().into_iter().flatten();
    let requirement = |(key, value): (&String, &Value)| Requirement {
        key: key.clone(),
        test: Test::In(vec![str_of(value).to_owned()]),
    };
    Selector {
        requirements: pairs.map(requirement).collect(),
    }
}

fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    text.split(|letter| {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => (),
        }
        letter == ',' && depth == 0
    })
    .collect()
}

fn parse_requirement(part: &str) -> Result<Requirement, String> {
    if let Some(key) = part.strip_prefix('!') {
        return requirement(key, Test::Missing);
    }
    if let Some((key, value)) = part.split_once("!=") {
        return requirement(key, Test::NotIn(vec![label_value(value)?]));
    }
    if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return requirement(key, Test::In(vec![label_value(value)?]));
    }
    match part.split_once('(') {
        Some((head, set)) => parse_set(head, set),
        None => requirement(part, Test::Exists),
    }
}

/// `key in (a,b)` or `key notin (a,b)`, split at its opening parenthesis.
fn parse_set(head: &str, set: &str) -> Result<Requirement, String> {
    let unclosed = || format!("found '', expected: ')' in {set:?}");
    let set = set.strip_suffix(')').ok_or_else(unclosed)?;
    let values = set.split(',').map(label_value).collect::<Result<_, _>>()?;
    match head.trim().rsplit_once(char::is_whitespace) {
        Some((key, "in")) => requirement(key, Test::In(values)),
        Some((key, "notin")) => requirement(key, Test::NotIn(values)),
        _ => Err(format!("expected 'in' or 'notin' before '(' in {head:?}")),
    }
}

fn requirement(key: &str, test: Test) -> Result<Requirement, String> {
    let key = key.trim();
    match names::qualified(key) {
        Some(why) => Err(format!("key: Invalid value: {key:?}: {why}")),
        None => Ok(Requirement {
            key: key.to_owned(),
            test,
        }),
    }
}

fn label_value(value: &str) -> Result<String, String> {
    let value = value.trim();
    match names::label_value(value) {
        Some(why) => Err(format!("values[0]: Invalid value: {value:?}: {why}")),
        None => Ok(value.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn query_selectors() {
        let labels = json!({"app": "web", "tier": "front", "x.io/y": ""});
        let rows = [
            ("", true),
            ("app=web", true),
            ("app==web,tier=front", true),
            ("app=web,tier=back", false),
            ("app!=web", false),
            ("zone!=a", true),
            ("app in (web, db)", true),
            ("app in (db),tier=front", false),
            ("app notin (db,web)", false),
            ("zone notin (a)", true),
            ("app", true),
            ("zone", false),
            ("!zone", true),
            ("!app", false),
            ("x.io/y", true),
            ("x.io/y=", true),
            ("tier in (front,back),!zone", true),
        ];
        for (text, expected) in rows {
            let selector = Selector::parse(text).expect(text);
            assert_eq!(selector.matches(&labels), expected, "{text}");
        }
        let none = Selector::parse("!app").expect("parses");
        assert!(none.matches(&Value::Null), "no labels at all");
    }

    #[test]
    fn broken_selectors_are_refused() {
        for text in [
            "a b",
            "app in web",
            "app in (web",
            ",",
            "app=web,",
            "=x",
            "a=b c",
            "app of (x)",
        ] {
            assert!(Selector::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn object_selectors() {
        let selector = json!({
            "matchLabels": {"app": "web"},
            "matchExpressions": [
                {"key": "tier", "operator": "In", "values": ["front"]},
                {"key": "zone", "operator": "DoesNotExist"},
            ],
        });
        let selector = Selector::from_object(&selector).expect("valid");
        let rows = [
            (json!({"app": "web", "tier": "front"}), true),
            (json!({"app": "web"}), false),
            (json!({"app": "web", "tier": "front", "zone": "a"}), false),
        ];
        for (labels, expected) in rows {
            assert_eq!(selector.matches(&labels), expected, "{labels}");
        }
        assert!(Selector::from_labels(&Value::Null).is_empty());
    }
}
