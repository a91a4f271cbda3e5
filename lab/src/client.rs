//! A small client of the lab's API server, for the demonstration, `exec` and tests.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use ureq::Agent;
use ureq::http::Response;

use crate::error::LabError;
use crate::manifest;
use crate::patience::longer;
use crate::store::{Kind, object};

/// Speaks to one API server, over plain HTTP.
#[derive(Debug, Clone)]
pub struct Client {
    server: String,
    agent: Agent,
}

impl Client {
    /// A client of the API server at `server`, such as `http://127.0.0.1:6443`.
    #[must_use]
    pub fn new(server: &str) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(longer(Duration::from_secs(10))))
            // The lab's server is on this machine, whatever the environment says about proxies.
            .proxy(None);
        Self {
            server: server.to_owned(),
            agent: config.build().into(),
        }
    }

    /// A client of the API server that a lab's kubeconfig names.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn of_kubeconfig(path: &Path) -> Result<Self, LabError> {
        let text = std::fs::read_to_string(path);
        let text = text.map_err(LabError::doing(path.display().to_string()))?;
        let config: Value = serde_yaml_ng::from_str(&text)
            .map_err(|error| LabError::Manifest(error.to_string()))?;
        Ok(Self::new(object::str_of(
            &config["clusters"][0]["cluster"]["server"],
        )))
    }

    /// One object, if it is there; `namespace` is empty for cluster-scoped kinds.
    ///
    /// # Errors
    /// When the server does not answer, or refuses.
    pub fn find(&self, kind: Kind, namespace: &str, name: &str) -> Result<Option<Value>, LabError> {
        let url = self.url(kind, namespace, name);
        let response = self.agent.get(&url).call().map_err(|error| told(&error))?;
        if response.status() == 404 {
            return Ok(None);
        }
        answer(response).map(Some)
    }

    /// The objects of a kind in a namespace; in all for an empty one.
    ///
    /// # Errors
    /// As [`Client::find`].
    pub fn list(&self, kind: Kind, namespace: &str) -> Result<Vec<Value>, LabError> {
        let response = self.agent.get(self.url(kind, namespace, "")).call();
        let mut list = answer(response.map_err(|error| told(&error))?)?;
        match list["items"].take() {
            Value::Array(items) => Ok(items),
            _ => Ok(vec![]),
        }
    }

    /// Merges `patch` into an object (RFC 7386).
    ///
    /// # Errors
    /// As [`Client::find`], and when the object is not there.
    pub fn patch(
        &self,
        kind: Kind,
        (namespace, name): (&str, &str),
        patch: &Value,
    ) -> Result<Value, LabError> {
        let request = self.agent.patch(self.url(kind, namespace, name));
        let request = request.header("content-type", "application/merge-patch+json");
        answer(
            request
                .send(patch.to_string())
                .map_err(|error| told(&error))?,
        )
    }

    /// Deletes an object; absent is deleted.
    ///
    /// # Errors
    /// As [`Client::find`].
    pub fn delete(&self, kind: Kind, namespace: &str, name: &str) -> Result<(), LabError> {
        let response = self.agent.delete(self.url(kind, namespace, name)).call();
        let response = response.map_err(|error| told(&error))?;
        if response.status() == 404 {
            Ok(())
        } else {
            answer(response).map(drop)
        }
    }

    /// Creates what `yaml` describes, and merges it into what is there already.
    ///
    /// # Errors
    /// As [`Client::find`], and when the manifest cannot be read.
    pub fn apply(&self, yaml: &str) -> Result<(), LabError> {
        for (kind, manifest) in manifest::parse(yaml)? {
            let given = object::namespace(&manifest);
            let namespace = match (kind.namespaced(), given) {
                (false, _) => "",
                (true, "") => "default",
                (true, given) => given,
            };
            let request = self.agent.post(self.url(kind, namespace, ""));
            let request = request.header("content-type", "application/json");
            let response = request
                .send(manifest.to_string())
                .map_err(|error| told(&error))?;
            if response.status() == 409 {
                self.patch(kind, (namespace, object::name(&manifest)), &manifest)?;
            } else {
                answer(response)?;
            }
        }
        Ok(())
    }

    fn url(&self, kind: Kind, namespace: &str, name: &str) -> String {
        format!("{}{}", self.server, path(kind, namespace, name))
    }
}

fn path(kind: Kind, namespace: &str, name: &str) -> String {
    let row = kind.registration();
    let group = match row.group {
        "" => format!("/api/{}", row.version),
        group => format!("/apis/{group}/{}", row.version),
    };
    let scope = if namespace.is_empty() {
        String::new()
    } else {
        format!("/namespaces/{namespace}")
    };
    let name = if name.is_empty() {
        String::new()
    } else {
        format!("/{name}")
    };
    format!("{group}{scope}/{}{name}", row.plural)
}

fn answer(mut response: Response<ureq::Body>) -> Result<Value, LabError> {
    let status = response.status();
    let body = response
        .body_mut()
        .with_config()
        .limit(u64::MAX)
        .read_json::<Value>();
    let body = body.map_err(|error| told(&error))?;
    if status.is_success() {
        return Ok(body);
    }
    Err(LabError::Api(format!(
        "{status}: {}",
        object::str_of(&body["message"])
    )))
}

fn told(error: &ureq::Error) -> LabError {
    LabError::Api(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_kubernetes_paths() {
        let rows = [
            (path(Kind::Node, "", ""), "/api/v1/nodes"),
            (path(Kind::Pod, "", ""), "/api/v1/pods"),
            (path(Kind::Pod, "d", "p"), "/api/v1/namespaces/d/pods/p"),
            (
                path(Kind::Deployment, "d", "web"),
                "/apis/apps/v1/namespaces/d/deployments/web",
            ),
        ];
        for (path, expected) in rows {
            assert_eq!(path, expected);
        }
    }
}
