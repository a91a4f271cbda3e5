//! Every way a request to the store can fail, and the one table from failure to `metav1.Status`.
//!
//! Messages are worded as kube-apiserver words them: `kubectl` prints them verbatim, and clients
//! decide by `reason` and `code`.

use serde_json::{Value, json};

/// One field that does not hold what it must, as `field.Error` upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// Machine-readable reason, such as `FieldValueInvalid`.
    pub reason: &'static str,
    /// Path of the field, such as `spec.ports[0].port`.
    pub field: String,
    /// What is wrong, without the path.
    pub message: String,
}

/// Why the store or the API server refuses a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// No object of that name.
    #[error("{resource} \"{name}\" not found")]
    NotFound {
        /// Resource with its group, such as `deployments.apps`.
        resource: String,
        /// Name of the object.
        name: String,
    },
    /// No such path: unknown group, version, resource or subresource.
    #[error("the server could not find the requested resource")]
    UnknownPath,
    /// An object of that name is there already.
    #[error("{resource} \"{name}\" already exists")]
    AlreadyExists {
        /// Resource with its group.
        resource: String,
        /// Name of the object.
        name: String,
    },
    /// The object changed since the caller read it, or is not the one the caller meant.
    #[error("Operation cannot be fulfilled on {resource} \"{name}\": {why}")]
    Conflict {
        /// Resource with its group.
        resource: String,
        /// Name of the object.
        name: String,
        /// What to do about it.
        why: String,
    },
    /// Fields that do not validate.
    #[error("{kind} \"{name}\" is invalid: {}", render(causes))]
    Invalid {
        /// Kind with its group, such as `Deployment.apps`.
        kind: String,
        /// Name of the object.
        name: String,
        /// What is wrong, field by field; never empty.
        causes: Vec<Cause>,
    },
    /// Understood and refused by policy.
    #[error("{resource} \"{name}\" is forbidden: {why}")]
    Forbidden {
        /// Resource with its group.
        resource: String,
        /// Name of the object.
        name: String,
        /// The policy.
        why: String,
    },
    /// Malformed request.
    #[error("{0}")]
    BadRequest(String),
    /// A resource version the history no longer reaches: list again.
    #[error("{0}")]
    Expired(String),
    /// The path exists, the verb does not.
    #[error("the server does not allow this method on the requested resource")]
    MethodNotAllowed,
    /// The client accepts no representation this server has.
    #[error("only the following media types are accepted: {0}")]
    NotAcceptable(&'static str),
    /// The body is of a type this server does not read here.
    #[error("the body of the request was in an unknown format - accepted media types include: {0}")]
    UnsupportedMediaType(&'static str),
    /// The body is larger than the server reads.
    #[error("the request is larger than {0} bytes")]
    TooLarge(usize),
    /// A part of Kubernetes the lab leaves out; the sentence says what to use instead.
    #[error("{0}")]
    NotImplemented(String),
    /// No free address or port is left.
    #[error("Internal error occurred: {0}")]
    Internal(String),
}

impl ApiError {
    /// HTTP status code and `reason` of the Status object.
    pub fn verdict(&self) -> (u16, &'static str) {
        match self {
            ApiError::NotFound { .. } | ApiError::UnknownPath => (404, "NotFound"),
            ApiError::AlreadyExists { .. } => (409, "AlreadyExists"),
            ApiError::Conflict { .. } => (409, "Conflict"),
            ApiError::Invalid { .. } => (422, "Invalid"),
            ApiError::Forbidden { .. } => (403, "Forbidden"),
            ApiError::BadRequest(_) => (400, "BadRequest"),
            ApiError::Expired(_) => (410, "Expired"),
            ApiError::MethodNotAllowed => (405, "MethodNotAllowed"),
            ApiError::NotAcceptable(_) => (406, "NotAcceptable"),
            ApiError::UnsupportedMediaType(_) => (415, "UnsupportedMediaType"),
            ApiError::TooLarge(_) => (413, "RequestEntityTooLarge"),
            ApiError::NotImplemented(_) => (501, "NotImplemented"),
            ApiError::Internal(_) => (500, "InternalError"),
        }
    }

    /// HTTP status code.
    pub fn code(&self) -> u16 {
        self.verdict().0
    }

    /// The `metav1.Status` object that tells a client of this failure.
    pub fn status(&self) -> Value {
        let (code, reason) = self.verdict();
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.to_string(), "reason": reason, "code": code,
        });
        if let Some(details) = self.details() {
            status["details"] = details;
        }
        status
    }

    fn details(&self) -> Option<Value> {
        match self {
            ApiError::NotFound { resource, name }
            | ApiError::AlreadyExists { resource, name }
            | ApiError::Conflict { resource, name, .. }
            | ApiError::Forbidden { resource, name, .. } => Some(subject(resource, name)),
            ApiError::Invalid { kind, name, causes } => {
                let mut details = subject(kind, name);
                details["causes"] = causes
                    .iter()
                    .map(|c| json!({"reason": c.reason, "message": c.message, "field": c.field}))
                    .collect();
                Some(details)
            }
            _ => None,
        }
    }
}

/// `details` for an object: the kind field holds the resource (or the kind, for Invalid).
fn subject(qualified: &str, name: &str) -> Value {
    let (kind, group) = qualified.split_once('.').unwrap_or((qualified, ""));
    let mut details = json!({"name": name, "kind": kind});
    if !group.is_empty() {
        details["group"] = group.into();
    }
    details
}

fn render(causes: &[Cause]) -> String {
    let all: Vec<String> = causes
        .iter()
        .map(|c| format!("{}: {}", c.field, c.message))
        .collect();
    match all.as_slice() {
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_read_as_upstream() {
        let cause = |field: &str, message: &str| Cause {
            reason: "FieldValueInvalid",
            field: field.into(),
            message: message.into(),
        };
        let invalid = |causes| ApiError::Invalid {
            kind: "Deployment.apps".into(),
            name: "web".into(),
            causes,
        };
        let one = invalid(vec![cause("spec.a", "Required value")]);
        assert_eq!(
            one.to_string(),
            "Deployment.apps \"web\" is invalid: spec.a: Required value"
        );
        let two = invalid(vec![
            cause("spec.a", "Required value"),
            cause("spec.b", "Forbidden: no"),
        ]);
        assert_eq!(
            two.to_string(),
            "Deployment.apps \"web\" is invalid: [spec.a: Required value, spec.b: Forbidden: no]"
        );
        let status = two.status();
        assert_eq!(status["code"], 422);
        assert_eq!(status["reason"], "Invalid");
        assert_eq!(status["details"]["kind"], "Deployment");
        assert_eq!(status["details"]["group"], "apps");
        assert_eq!(status["details"]["causes"][1]["field"], "spec.b");
    }
}
