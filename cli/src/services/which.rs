//! Which Services are asked for, and how they are to be shown: the same for all that shows any.

use clap::Args as ClapArgs;

use crate::print::Form;

/// One Service, those of a namespace, or all.
#[derive(Debug, ClapArgs)]
pub(crate) struct Which {
    /// One Service: NAME, or NAMESPACE/NAME.
    pub(crate) name: Option<String>,
    /// Those of one namespace.
    #[arg(short, long)]
    pub(crate) namespace: Option<String>,
    #[command(flatten)]
    pub(crate) form: Form,
}

impl Which {
    /// The question to an agent.
    pub(crate) fn path(&self) -> String {
        path(self.name.as_deref(), self.namespace.as_deref())
    }
}

fn path(name: Option<&str>, namespace: Option<&str>) -> String {
    let (namespace, name) = match name.map(|name| (name, name.split_once('/'))) {
        Some((_, Some((namespace, name)))) => (Some(namespace), Some(name)),
        _ => (namespace, name),
    };
    let pair = |key: &str, value: Option<&str>| Some(format!("{key}={}", encoded(value?)));
    let pairs = [pair("namespace", namespace), pair("name", name)];
    let pairs: Vec<String> = pairs.into_iter().flatten().collect();
    match pairs.is_empty() {
        true => "/v1/services".to_owned(),
        false => format!("/v1/services?{}", pairs.join("&")),
    }
}

/// A word as a query has it: Kubernetes' names need nothing, other bytes are spelled out.
fn encoded(word: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => {
            char::from(byte).to_string()
        }
        other => format!("%{other:02X}"),
    };
    word.bytes().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_names_what_is_wanted() {
        let rows = [
            (None, None, "/v1/services"),
            (Some("web"), None, "/v1/services?name=web"),
            (Some("a/web"), None, "/v1/services?namespace=a&name=web"),
            (None, Some("a b"), "/v1/services?namespace=a%20b"),
        ];
        for (name, namespace, expected) in rows {
            assert_eq!(path(name, namespace), expected);
        }
    }
}
