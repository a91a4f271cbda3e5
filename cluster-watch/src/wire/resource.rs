//! Which resource of the API each object is read from.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::{ClusterResourceScope, NamespaceResourceScope};

use super::{NodeObject, PodObject, ServiceCidrObject, ServiceObject, SliceObject};

/// A type, its scope, group, kind and plural name; all are of version `v1`.
macro_rules! resource {
    ($object:ty, $scope:ty, $group:literal, $kind:literal, $plural:literal) => {
        impl kube::Resource for $object {
            type DynamicType = ();
            type Scope = $scope;

            fn kind(_: &()) -> Cow<'_, str> {
                $kind.into()
            }
            fn group(_: &()) -> Cow<'_, str> {
                $group.into()
            }
            fn version(_: &()) -> Cow<'_, str> {
                "v1".into()
            }
            fn plural(_: &()) -> Cow<'_, str> {
                $plural.into()
            }
            fn meta(&self) -> &ObjectMeta {
                &self.metadata
            }
            fn meta_mut(&mut self) -> &mut ObjectMeta {
                &mut self.metadata
            }
        }
    };
}

resource!(
    ServiceObject,
    NamespaceResourceScope,
    "",
    "Service",
    "services"
);
resource!(
    SliceObject,
    NamespaceResourceScope,
    "discovery.k8s.io",
    "EndpointSlice",
    "endpointslices"
);
resource!(NodeObject, ClusterResourceScope, "", "Node", "nodes");
resource!(
    ServiceCidrObject,
    ClusterResourceScope,
    "networking.k8s.io",
    "ServiceCIDR",
    "servicecidrs"
);
resource!(PodObject, NamespaceResourceScope, "", "Pod", "pods");
