//! Content negotiation: which representation of an answer a client takes. Pure.

use crate::store::ApiError;

/// How objects are to be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Representation {
    /// Whole objects.
    Objects,
    /// A `meta.k8s.io/v1` Table.
    Table,
    /// `PartialObjectMetadata`, or a list of it.
    Metadata,
    /// `apidiscovery.k8s.io/v2`: all of a discovery root in one document.
    AggregatedDiscovery,
}

/// The media type of [`Representation::AggregatedDiscovery`].
pub(super) const AGGREGATED: &str =
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// The first representation the client names that this server has.
///
/// Protobuf is passed over: every client that prefers it names JSON too.
pub(super) fn negotiate(accept: &str) -> Result<Representation, ApiError> {
    if accept.trim().is_empty() {
        return Ok(Representation::Objects);
    }
    accept
        .split(',')
        .find_map(representation)
        .ok_or(ApiError::NotAcceptable("application/json"))
}

fn representation(range: &str) -> Option<Representation> {
    let mut parts = range.split(';').map(str::trim);
    let media_type = parts.next()?;
    if !["application/json", "application/*", "*/*"].contains(&media_type) {
        return None;
    }
    let parameters: Vec<(&str, &str)> = parts.filter_map(|part| part.split_once('=')).collect();
    let get = |name: &str| {
        parameters
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| *value)
    };
    match (get("as"), get("g"), get("v")) {
        (None, ..) => Some(Representation::Objects),
        (Some("Table"), Some("meta.k8s.io"), Some("v1")) => Some(Representation::Table),
        (
            Some("PartialObjectMetadata" | "PartialObjectMetadataList"),
            Some("meta.k8s.io"),
            Some("v1"),
        ) => Some(Representation::Metadata),
        (Some("APIGroupDiscoveryList"), Some("apidiscovery.k8s.io"), Some("v2")) => {
            Some(Representation::AggregatedDiscovery)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_known_wins() {
        let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
        let rows = [
            ("", Ok(Representation::Objects)),
            ("*/*", Ok(Representation::Objects)),
            ("application/json", Ok(Representation::Objects)),
            (table, Ok(Representation::Table)),
            (
                "application/vnd.kubernetes.protobuf,application/json",
                Ok(Representation::Objects),
            ),
            (
                "application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json",
                Ok(Representation::Objects),
            ),
            (
                "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json",
                Ok(Representation::AggregatedDiscovery),
            ),
            (
                "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json",
                Ok(Representation::Metadata),
            ),
            ("application/vnd.kubernetes.protobuf", Err(406)),
        ];
        for (accept, expected) in rows {
            assert_eq!(
                negotiate(accept).map_err(|error| error.code()),
                expected,
                "{accept}"
            );
        }
    }
}
