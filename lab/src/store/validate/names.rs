//! The grammars of Kubernetes names, and upstream's sentence for each that is broken.

/// Name of most objects: RFC 1123 subdomain.
pub fn subdomain(text: &str) -> Option<String> {
    if text.len() > 253 {
        return Some(too_long(253));
    }
    let good = !text.is_empty() && text.split('.').all(is_label);
    (!good).then(|| {
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or \
         '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex \
         used for validation is \
         '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
            .to_owned()
    })
}

/// Name of a Namespace, a container, a Service's port: RFC 1123 label.
pub fn label(text: &str) -> Option<String> {
    if text.len() > 63 {
        return Some(too_long(63));
    }
    (!is_label(text)).then(|| {
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and \
         must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex \
         used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
            .to_owned()
    })
}

/// Name of a Service: RFC 1035 label.
pub fn label_1035(text: &str) -> Option<String> {
    if text.len() > 63 {
        return Some(too_long(63));
    }
    let good = is_label(text) && text.starts_with(|c: char| c.is_ascii_lowercase());
    (!good).then(|| {
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an \
         alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or \
         'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
            .to_owned()
    })
}

/// Name of a container port: IANA service name.
pub fn port_name(text: &str) -> Option<String> {
    if text.len() > 15 {
        return Some(too_long(15));
    }
    if !text
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    {
        let text = "must contain only alphanumeric characters (a-z, 0-9), and hyphens (-)";
        return Some(text.to_owned());
    }
    if !text.bytes().any(|b| b.is_ascii_lowercase()) {
        return Some("must contain at least one letter (a-z)".to_owned());
    }
    if text.contains("--") {
        return Some("must not contain consecutive hyphens".to_owned());
    }
    let ends = text.starts_with('-') || text.ends_with('-');
    ends.then(|| "must not begin or end with a hyphen".to_owned())
}

/// Key of a label or an annotation: a name with an optional subdomain before a slash.
pub fn qualified(text: &str) -> Option<String> {
    let (prefix, name) = match text.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, text),
    };
    if let Some(prefix) = prefix {
        if prefix.is_empty() {
            return Some("prefix part must be non-empty".to_owned());
        }
        if let Some(why) = subdomain(prefix) {
            return Some(format!("prefix part {why}"));
        }
    }
    if name.is_empty() {
        return Some("name part must be non-empty".to_owned());
    }
    if name.len() > 63 {
        return Some(format!("name part {}", too_long(63)));
    }
    (!is_word(name)).then(|| {
        "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and \
         end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex \
         used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
            .to_owned()
    })
}

/// Value of a label.
pub fn label_value(text: &str) -> Option<String> {
    if text.len() > 63 {
        return Some(too_long(63));
    }
    (!text.is_empty() && !is_word(text)).then(|| {
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or \
         '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or \
         'my_value',  or '12345', regex used for validation is \
         '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
            .to_owned()
    })
}

/// Ports are numbers from 1 to 65535.
pub fn port(number: Option<i64>) -> Option<String> {
    let good = number.is_some_and(|number| (1..=65535).contains(&number));
    (!good).then(|| "must be between 1 and 65535, inclusive".to_owned())
}

fn too_long(most: usize) -> String {
    format!("must be no more than {most} characters")
}

fn is_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    text.bytes().all(|b| inner(b) || b == b'-')
        && text.bytes().next().is_some_and(inner)
        && text.bytes().last().is_some_and(inner)
}

fn is_word(text: &str) -> bool {
    let ends = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
    text.bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        && ends(text.bytes().next())
        && ends(text.bytes().last())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grammars() {
        type Grammar = fn(&str) -> Option<String>;
        let long = "a".repeat(64);
        let rows: &[(&str, Grammar, &[&str], &[&str])] = &[
            (
                "subdomain",
                subdomain,
                &["a", "a.b-c", "1.2"],
                &["", "A", "a..b", "-a", "a_", "a."],
            ),
            (
                "label",
                label,
                &["a", "1", "a-1"],
                &["", "a.b", "a-", &long],
            ),
            (
                "label_1035",
                label_1035,
                &["a", "a1"],
                &["1a", "", "a.b", &long],
            ),
            (
                "port_name",
                port_name,
                &["http", "a-1"],
                &["", "1", "a--b", "-a", "HTTP", &long[..16]],
            ),
            (
                "qualified",
                qualified,
                &["app", "a.b/C_d"],
                &["", "/a", "a/", "A b", "a/b/c", &long],
            ),
            (
                "label_value",
                label_value,
                &["", "a", "A_1.b"],
                &["-a", "a b", &long],
            ),
        ];
        for (grammar, check, good, bad) in rows {
            for text in *good {
                assert_eq!(check(text), None, "{grammar} {text:?}");
            }
            for text in *bad {
                assert!(check(text).is_some(), "{grammar} {text:?}");
            }
        }
    }

    #[test]
    fn ports() {
        for (number, good) in [
            (Some(1), true),
            (Some(65535), true),
            (Some(0), false),
            (None, false),
        ] {
            assert_eq!(port(number).is_none(), good, "{number:?}");
        }
    }
}
