//! A ServiceCIDR object -> a ServiceCidr.

use cluster_model::ServiceCidr;

use super::{LeftOut, cidrs, part};
use crate::wire::ServiceCidrObject;

/// A ServiceCIDR, or nothing if it has no name. One that is being deleted still counts: it goes
/// when no Service has an address of it any more.
pub(crate) fn service_cidr(
    object: ServiceCidrObject,
    left_out: &mut Vec<LeftOut>,
) -> Option<ServiceCidr> {
    let name = object.metadata.name.filter(|name| !name.is_empty());
    let Some(name) = name else {
        left_out.push(LeftOut::Nameless);
        return None;
    };
    let spec = part(object.spec, "spec", left_out);
    Some(ServiceCidr {
        name: name.into(),
        cidrs: cidrs(spec.cidrs.into_iter().flatten(), left_out),
    })
}
