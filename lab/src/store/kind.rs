//! The registry: which kinds the lab serves, one row each.
//!
//! Discovery, OpenAPI, path parsing and table headers are all read from these rows.
//! A new kind is a new variant, a new row, and (if it is to be printed well) a table.

/// A kind of object the store holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are the Kubernetes kinds")]
pub enum Kind {
    Node,
    Namespace,
    Pod,
    Service,
    EndpointSlice,
    Deployment,
    ConfigMap,
    ServiceAccount,
    Event,
    Lease,
    DaemonSet,
    ClusterRole,
    ClusterRoleBinding,
    ServiceCidr,
}

/// What the API server says about a kind.
#[derive(Debug)]
pub struct Registration {
    /// The kind this row is about.
    pub kind: Kind,
    /// API group, empty for the core group.
    pub group: &'static str,
    /// Version within the group.
    pub version: &'static str,
    /// `kind` as written in objects.
    pub name: &'static str,
    /// Resource name in paths.
    pub plural: &'static str,
    /// Resource name `kubectl` also accepts.
    pub singular: &'static str,
    /// Abbreviations `kubectl` also accepts.
    pub short_names: &'static [&'static str],
    /// Whether objects live in a namespace.
    pub namespaced: bool,
    /// Groups of resources such as `all`, for `kubectl get all`.
    pub categories: &'static [&'static str],
    /// Subresources served besides the object itself.
    pub subresources: &'static [&'static str],
    /// Whether a change of the spec counts `metadata.generation` up.
    pub generation: bool,
}

const RBAC: &str = "rbac.authorization.k8s.io";

const fn core(kind: Kind, name: &'static str, plural: &'static str) -> Registration {
    Registration {
        kind,
        group: "",
        version: "v1",
        name,
        plural,
        singular: "",
        short_names: &[],
        namespaced: true,
        categories: &[],
        subresources: &[],
        generation: false,
    }
}

/// In the order of [`Kind`]'s variants, so that a kind finds its row by number.
static REGISTRY: [Registration; 14] = [
    Registration {
        singular: "node",
        short_names: &["no"],
        namespaced: false,
        subresources: &["status"],
        ..core(Kind::Node, "Node", "nodes")
    },
    Registration {
        singular: "namespace",
        short_names: &["ns"],
        namespaced: false,
        subresources: &["status"],
        ..core(Kind::Namespace, "Namespace", "namespaces")
    },
    Registration {
        singular: "pod",
        short_names: &["po"],
        categories: &["all"],
        subresources: &["binding", "status"],
        ..core(Kind::Pod, "Pod", "pods")
    },
    Registration {
        singular: "service",
        short_names: &["svc"],
        categories: &["all"],
        subresources: &["status"],
        ..core(Kind::Service, "Service", "services")
    },
    Registration {
        group: "discovery.k8s.io",
        singular: "endpointslice",
        generation: true,
        ..core(Kind::EndpointSlice, "EndpointSlice", "endpointslices")
    },
    Registration {
        group: "apps",
        singular: "deployment",
        short_names: &["deploy"],
        categories: &["all"],
        subresources: &["scale", "status"],
        generation: true,
        ..core(Kind::Deployment, "Deployment", "deployments")
    },
    Registration {
        singular: "configmap",
        short_names: &["cm"],
        ..core(Kind::ConfigMap, "ConfigMap", "configmaps")
    },
    Registration {
        singular: "serviceaccount",
        short_names: &["sa"],
        ..core(Kind::ServiceAccount, "ServiceAccount", "serviceaccounts")
    },
    Registration {
        singular: "event",
        short_names: &["ev"],
        ..core(Kind::Event, "Event", "events")
    },
    Registration {
        group: "coordination.k8s.io",
        singular: "lease",
        ..core(Kind::Lease, "Lease", "leases")
    },
    Registration {
        group: "apps",
        singular: "daemonset",
        short_names: &["ds"],
        categories: &["all"],
        subresources: &["status"],
        generation: true,
        ..core(Kind::DaemonSet, "DaemonSet", "daemonsets")
    },
    Registration {
        group: RBAC,
        singular: "clusterrole",
        namespaced: false,
        ..core(Kind::ClusterRole, "ClusterRole", "clusterroles")
    },
    Registration {
        group: RBAC,
        singular: "clusterrolebinding",
        namespaced: false,
        ..core(
            Kind::ClusterRoleBinding,
            "ClusterRoleBinding",
            "clusterrolebindings",
        )
    },
    Registration {
        group: "networking.k8s.io",
        singular: "servicecidr",
        namespaced: false,
        subresources: &["status"],
        ..core(Kind::ServiceCidr, "ServiceCIDR", "servicecidrs")
    },
];

impl Kind {
    /// Every kind, in registry order.
    pub fn all() -> impl Iterator<Item = Kind> {
        REGISTRY.iter().map(|row| row.kind)
    }

    /// The row of this kind.
    pub fn registration(self) -> &'static Registration {
        &REGISTRY[self as usize]
    }

    /// Kind served under `/apis/<group>/<version>/<plural>`.
    pub fn of_resource(group: &str, version: &str, plural: &str) -> Option<Kind> {
        REGISTRY
            .iter()
            .find(|r| r.group == group && r.version == version && r.plural == plural)
            .map(|r| r.kind)
    }

    /// Kind an object declares by its `apiVersion` and `kind`.
    pub fn of_object(api_version: &str, name: &str) -> Option<Kind> {
        Kind::all().find(|k| k.registration().name == name && k.api_version() == api_version)
    }

    /// `apiVersion` as written in objects.
    pub fn api_version(self) -> String {
        let row = self.registration();
        match row.group {
            "" => row.version.to_owned(),
            group => format!("{group}/{}", row.version),
        }
    }

    /// Resource with its group as error messages name it: `pods`, `deployments.apps`.
    pub fn qualified_resource(self) -> String {
        qualify(self.registration().plural, self.registration().group)
    }

    /// Kind with its group as error messages name it: `Pod`, `Deployment.apps`.
    pub fn qualified_kind(self) -> String {
        qualify(self.registration().name, self.registration().group)
    }

    /// Whether objects of this kind live in a namespace.
    pub fn namespaced(self) -> bool {
        self.registration().namespaced
    }

    /// Whether the kind has a status that only `/status` may change.
    pub fn has_status(self) -> bool {
        self.registration().subresources.contains(&"status")
    }
}

fn qualify(name: &str, group: &str) -> String {
    if group.is_empty() {
        name.to_owned()
    } else {
        format!("{name}.{group}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_finds_its_own_row() {
        for (index, row) in REGISTRY.iter().enumerate() {
            assert_eq!(row.kind as usize, index, "{}", row.name);
            assert_eq!(
                Kind::of_resource(row.group, row.version, row.plural),
                Some(row.kind)
            );
            assert_eq!(
                Kind::of_object(&row.kind.api_version(), row.name),
                Some(row.kind)
            );
            assert!(!row.singular.is_empty(), "{} lacks its singular", row.name);
        }
    }
}
