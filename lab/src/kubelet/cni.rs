//! The network configuration and the requests to plugins, as the CNI specification words them
//! (pure; <https://www.cni.dev/docs/spec/>, sections 2 to 5).

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use thiserror::Error;

/// A network configuration list.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Configuration {
    name: String,
    version: String,
    plugins: Vec<Value>,
}

/// Why a file is no network configuration.
#[derive(Debug, Error)]
pub(super) enum ConfigurationError {
    #[error("it is not JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("it has no {0:?}")]
    Missing(&'static str),
}

/// Which file of a configuration directory counts: the first by name, as for every runtime.
pub(crate) fn first_configuration(mut files: Vec<PathBuf>) -> Option<PathBuf> {
    let is_configuration = |file: &PathBuf| {
        file.extension()
            .is_some_and(|ext| ["conflist", "conf", "json"].iter().any(|e| ext == *e))
    };
    files.retain(is_configuration);
    files.sort();
    files.into_iter().next()
}

impl Configuration {
    /// Reads a list, or a single plugin's configuration as a list of one.
    pub(super) fn parse(text: &[u8]) -> Result<Self, ConfigurationError> {
        let mut document: Value = serde_json::from_slice(text)?;
        let text_of = |document: &Value, key: &'static str| {
            document[key]
                .as_str()
                .map(str::to_owned)
                .ok_or(ConfigurationError::Missing(key))
        };
        let name = text_of(&document, "name")?;
        let version = text_of(&document, "cniVersion")?;
        let plugins = match document["plugins"].take() {
            Value::Array(plugins) if !plugins.is_empty() => plugins,
            _ if document["type"].is_string() => vec![document],
            _ => return Err(ConfigurationError::Missing("plugins")),
        };
        for plugin in &plugins {
            text_of(plugin, "type")?;
        }
        Ok(Self {
            name,
            version,
            plugins,
        })
    }

    /// The plugins in the order of ADD; DEL goes the other way.
    pub(super) fn plugins(&self) -> impl DoubleEndedIterator<Item = &Value> {
        self.plugins.iter()
    }

    /// What the plugin gets on stdin: its own configuration with what the runtime adds.
    pub(super) fn request(
        &self,
        plugin: &Value,
        capabilities: &Map<String, Value>,
        previous: Option<&Value>,
    ) -> Value {
        let mut request = plugin.clone();
        request["name"] = json!(self.name);
        request["cniVersion"] = json!(self.version);
        let declared = |name: &str| plugin["capabilities"][name] == json!(true);
        let runtime: Map<_, _> = capabilities
            .iter()
            .filter(|(name, _)| declared(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        if let Some(object) = request.as_object_mut() {
            object.remove("capabilities");
            if !runtime.is_empty() {
                object.insert("runtimeConfig".to_owned(), Value::Object(runtime));
            }
            if let Some(previous) = previous {
                object.insert("prevResult".to_owned(), previous.clone());
            }
        }
        request
    }
}

/// What the environment of a plugin says.
#[derive(Debug, Clone)]
pub(super) struct Parameters<'a> {
    pub(super) command: &'a str,
    pub(super) container_id: &'a str,
    pub(super) netns: &'a Path,
    pub(super) path: OsString,
    pub(super) namespace: &'a str,
    pub(super) pod: &'a str,
    pub(super) uid: &'a str,
}

impl Parameters<'_> {
    pub(super) fn environment(&self) -> Vec<(&'static str, OsString)> {
        let arguments = format!(
            "IgnoreUnknown=1;K8S_POD_NAMESPACE={};K8S_POD_NAME={};\
             K8S_POD_INFRA_CONTAINER_ID={};K8S_POD_UID={}",
            self.namespace, self.pod, self.container_id, self.uid
        );
        vec![
            ("CNI_COMMAND", self.command.into()),
            ("CNI_CONTAINERID", self.container_id.into()),
            ("CNI_NETNS", self.netns.into()),
            ("CNI_IFNAME", super::sandbox::INTERFACE.into()),
            ("CNI_ARGS", arguments.into()),
            ("CNI_PATH", self.path.clone()),
        ]
    }
}

/// The addresses in the result of the last plugin.
pub(super) fn addresses(result: &Value) -> Vec<IpAddr> {
    let ips = result["ips"].as_array().into_iter().flatten();
    ips.filter_map(|ip| ip["address"].as_str()?.split('/').next()?.parse().ok())
        .collect()
}

/// A plugin's own words about its failure: its error object if it printed one, or `stderr`.
pub(super) fn failure(stdout: &[u8], stderr: &[u8]) -> String {
    let error: Value = serde_json::from_slice(stdout).unwrap_or_default();
    match error["msg"].as_str() {
        Some(message) => {
            let details = error["details"].as_str().unwrap_or_default();
            let parts = [message, details]
                .into_iter()
                .filter(|part| !part.is_empty());
            let text = parts.collect::<Vec<_>>().join("; ");
            format!("{text} (code {})", error["code"])
        }
        None => String::from_utf8_lossy(stderr).trim().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"{"cniVersion":"1.0.0","name":"flatnet","plugins":[
        {"type":"flatnet-cni","mtu":1500},
        {"type":"portmap","capabilities":{"portMappings":true}}]}"#;

    #[test]
    fn the_first_configuration_by_name_counts() {
        let files = [
            "/c/20-b.conflist",
            "/c/05-notes.txt",
            "/c/10-a.conflist",
            "/c/99.conf",
        ];
        let first = first_configuration(files.iter().map(PathBuf::from).collect());
        assert_eq!(first, Some(PathBuf::from("/c/10-a.conflist")));
        assert_eq!(first_configuration(vec!["/c/.x.tmp".into()]), None);
    }

    #[test]
    fn a_request_is_the_plugins_part_with_what_the_runtime_adds() {
        let list = Configuration::parse(LIST.as_bytes()).expect("a list");
        let plugins: Vec<_> = list.plugins().collect();
        let mapping = json!([{"hostPort": 80, "containerPort": 8080, "protocol": "tcp"}]);
        let mut capabilities = Map::new();
        capabilities.insert("portMappings".into(), mapping.clone());
        let first = list.request(plugins[0], &capabilities, None);
        assert_eq!(
            first,
            json!({"type": "flatnet-cni", "mtu": 1500, "name": "flatnet", "cniVersion": "1.0.0"}),
            "a capability it did not declare is not passed"
        );
        let previous = json!({"cniVersion": "1.0.0", "ips": []});
        let second = list.request(plugins[1], &capabilities, Some(&previous));
        assert_eq!(second["runtimeConfig"]["portMappings"], mapping);
        assert_eq!(second["prevResult"], previous);
        assert_eq!(second.get("capabilities"), None);
    }

    #[test]
    fn a_single_plugin_is_a_list_of_one_and_nonsense_is_named() {
        let single = br#"{"cniVersion":"0.4.0","name":"n","type":"ptp"}"#;
        assert_eq!(
            Configuration::parse(single).expect("one").plugins().count(),
            1
        );
        for (text, what) in [
            ("{", "not JSON"),
            (r#"{"name":"n"}"#, "cniVersion"),
            (
                r#"{"name":"n","cniVersion":"1.0.0","plugins":[]}"#,
                "plugins",
            ),
            (
                r#"{"name":"n","cniVersion":"1.0.0","plugins":[{}]}"#,
                "type",
            ),
        ] {
            let error = Configuration::parse(text.as_bytes())
                .expect_err(text)
                .to_string();
            assert!(error.contains(what), "{text}: {error}");
        }
    }

    #[test]
    fn addresses_and_failures_are_read_from_stdout() {
        let result = json!({"ips": [{"address": "10.244.1.2/32"}, {"address": "fd00::2/128"}]});
        assert_eq!(addresses(&result).len(), 2);
        let error = br#"{"cniVersion":"1.0.0","code":11,"msg":"busy","details":"try again"}"#;
        assert_eq!(failure(error, b"noise"), "busy; try again (code 11)");
        assert_eq!(failure(b"", b"panicked\n"), "panicked");
    }
}
