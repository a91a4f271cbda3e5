//! From the path of a request to what it is about. Pure.

use crate::store::{ApiError, Key, Kind};

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// `/healthz`, `/livez`, `/readyz`.
    Health,
    /// `/version`.
    Version,
    /// `/api`: the core group.
    CoreGroup,
    /// `/apis`: all other groups.
    Groups,
    /// `/apis/<group>`.
    Group(String),
    /// `/api/v1` or `/apis/<group>/<version>`: its resources.
    Resources {
        /// Empty for the core group.
        group: String,
        /// Version.
        version: String,
    },
    /// `/openapi/v3`: which documents there are.
    OpenApiIndex,
    /// `/openapi/v3/<group version path>`.
    OpenApi(String),
    /// All objects of a kind, of one namespace or of all.
    Collection {
        /// The kind.
        kind: Kind,
        /// The namespace in the path.
        namespace: Option<String>,
    },
    /// One object, or a part of it.
    Object {
        /// The kind.
        kind: Kind,
        /// Namespace and name.
        key: Key,
        /// `status`, `scale`, ...; empty for the object itself.
        subresource: String,
    },
}

/// Reads a path; the error says what there is not.
pub(super) fn parse(path: &str) -> Result<Target, ApiError> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    match parts.as_slice() {
        ["healthz" | "livez" | "readyz", ..] => Ok(Target::Health),
        ["version"] => Ok(Target::Version),
        ["openapi", "v3"] => Ok(Target::OpenApiIndex),
        ["openapi", "v3", document @ ..] => Ok(Target::OpenApi(document.join("/"))),
        ["api"] => Ok(Target::CoreGroup),
        ["apis"] => Ok(Target::Groups),
        ["apis", group] => Ok(Target::Group((*group).to_owned())),
        ["api", version, rest @ ..] => resource("", version, rest),
        ["apis", group, version, rest @ ..] => resource(group, version, rest),
        _ => Err(ApiError::UnknownPath),
    }
}

fn resource(group: &str, version: &str, rest: &[&str]) -> Result<Target, ApiError> {
    let known = |plural: &str| match (group, version, plural) {
        // The same objects by another name, see `event_names`.
        ("events.k8s.io", "v1", "events") => Ok(Kind::Event),
        _ => Kind::of_resource(group, version, plural).ok_or(ApiError::UnknownPath),
    };
    match rest {
        [] => Ok(Target::Resources {
            group: group.to_owned(),
            version: version.to_owned(),
        }),
        // Namespaces are objects themselves; whatever follows their name is a kind within, or a
        // subresource of the namespace.
        ["namespaces", namespace, part] if is_subresource(Kind::Namespace, part) => {
            object(Kind::Namespace, "", namespace, part)
        }
        ["namespaces", namespace, plural, rest @ ..] => within(known(plural)?, namespace, rest),
        [plural] => Ok(Target::Collection {
            kind: known(plural)?,
            namespace: None,
        }),
        [plural, name] => object(of_scope(known(plural)?, false)?, "", name, ""),
        [plural, name, part] => object(of_scope(known(plural)?, false)?, "", name, part),
        _ => Err(ApiError::UnknownPath),
    }
}

fn within(kind: Kind, namespace: &str, rest: &[&str]) -> Result<Target, ApiError> {
    let kind = of_scope(kind, true)?;
    match rest {
        [] => Ok(Target::Collection {
            kind,
            namespace: Some(namespace.to_owned()),
        }),
        [name] => object(kind, namespace, name, ""),
        [name, part, ..] => object(kind, namespace, name, part),
    }
}

fn of_scope(kind: Kind, namespaced: bool) -> Result<Kind, ApiError> {
    if kind.namespaced() == namespaced {
        Ok(kind)
    } else {
        Err(ApiError::UnknownPath)
    }
}

/// Subresources whose absence is explained rather than denied.
const LEFT_OUT: [&str; 6] = [
    "log",
    "exec",
    "attach",
    "portforward",
    "proxy",
    "ephemeralcontainers",
];

fn is_subresource(kind: Kind, part: &str) -> bool {
    kind.registration().subresources.contains(&part)
}

fn object(kind: Kind, namespace: &str, name: &str, part: &str) -> Result<Target, ApiError> {
    if LEFT_OUT.contains(&part) {
        return Err(ApiError::NotImplemented(format!(
            "the lab serves no {}/{part}: pods are processes on this machine, use `flatnet-lab \
             exec {name} -- COMMAND` instead",
            kind.registration().plural
        )));
    }
    if !part.is_empty() && !is_subresource(kind, part) {
        return Err(ApiError::UnknownPath);
    }
    Ok(Target::Object {
        kind,
        key: Key::new(namespace, name),
        subresource: part.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(kind: Kind, namespace: &str, name: &str, part: &str) -> Target {
        Target::Object {
            kind,
            key: Key::new(namespace, name),
            subresource: part.to_owned(),
        }
    }

    #[test]
    fn paths() {
        let all = |kind, namespace: Option<&str>| Target::Collection {
            kind,
            namespace: namespace.map(str::to_owned),
        };
        let resources = |group: &str, version: &str| Target::Resources {
            group: group.to_owned(),
            version: version.to_owned(),
        };
        let rows = [
            ("/readyz/ping", Target::Health),
            ("/version", Target::Version),
            ("/api", Target::CoreGroup),
            ("/api/v1", resources("", "v1")),
            ("/apis/apps/v1/", resources("apps", "v1")),
            ("/apis/apps", Target::Group("apps".to_owned())),
            (
                "/openapi/v3/apis/apps/v1",
                Target::OpenApi("apis/apps/v1".to_owned()),
            ),
            ("/api/v1/pods", all(Kind::Pod, None)),
            ("/api/v1/namespaces/a/pods", all(Kind::Pod, Some("a"))),
            ("/api/v1/namespaces/a/pods/b", one(Kind::Pod, "a", "b", "")),
            (
                "/api/v1/namespaces/a/pods/b/status",
                one(Kind::Pod, "a", "b", "status"),
            ),
            ("/api/v1/namespaces", all(Kind::Namespace, None)),
            ("/api/v1/namespaces/a", one(Kind::Namespace, "", "a", "")),
            (
                "/api/v1/namespaces/a/status",
                one(Kind::Namespace, "", "a", "status"),
            ),
            ("/api/v1/nodes/n/status", one(Kind::Node, "", "n", "status")),
            (
                "/apis/apps/v1/namespaces/a/deployments/b/scale",
                one(Kind::Deployment, "a", "b", "scale"),
            ),
            (
                "/apis/events.k8s.io/v1/namespaces/a/events",
                all(Kind::Event, Some("a")),
            ),
            (
                "/apis/discovery.k8s.io/v1/endpointslices",
                all(Kind::EndpointSlice, None),
            ),
        ];
        for (path, expected) in rows {
            assert_eq!(parse(path), Ok(expected), "{path}");
        }
    }

    #[test]
    fn unknown_paths() {
        // (path, code)
        let rows = [
            ("/", 404),
            ("/metrics", 404),
            ("/api/v1/widgets", 404),
            ("/api/v1/pods/a", 404),
            ("/api/v1/namespaces/a/nodes", 404),
            ("/api/v1/namespaces/a/services/b/scale", 404),
            ("/apis/apps/v2/namespaces/a/deployments", 404),
            ("/api/v1/namespaces/a/pods/b/log", 501),
            ("/api/v1/namespaces/a/pods/b/exec", 501),
        ];
        for (path, code) in rows {
            assert_eq!(
                parse(path).map_err(|error| error.code()),
                Err(code),
                "{path}"
            );
        }
    }
}
