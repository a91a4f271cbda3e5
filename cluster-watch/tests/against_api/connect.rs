//! Where the API server is found, and what is said when it cannot be.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::api::{Api, SERVICES};
use cluster_watch::{Client, Selection, client, spawn};
use tempfile::TempDir;

/// Some certificate authority: its key is nowhere.
const CA: &str = "\
-----BEGIN CERTIFICATE-----\n\
MIIBjDCCATGgAwIBAgIUXdoqXpHfINlbrXiCJU0ON7dcj6QwCgYIKoZIzj0EAwIw\n\
GjEYMBYGA1UEAwwPZmxhdG5ldCB0ZXN0IENBMCAXDTI2MTEyMTIzNTUwMloYDzIx\n\
MjYxMDI4MjM1NTAyWjAaMRgwFgYDVQQDDA9mbGF0bmV0IHRlc3QgQ0EwWTATBgcq\n\
hkjOPQIBBggqhkjOPQMBBwNCAATgnmVzYbuKReS4cZnj5wnBPzmLUJLEIjnYALvU\n\
RUtVGPqTvu5dWo0IiX6mzr8dXxf6n5qzSzR8TirsLPnyLM6ko1MwUTAdBgNVHQ4E\n\
FgQUsKjY5BeRaq9kkOdf57AE0PbLn1wwHwYDVR0jBBgwFoAUsKjY5BeRaq9kkOdf\n\
57AE0PbLn1wwDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNJADBGAiEAzscs\n\
y7JCGnCe5SskCpH6ZZjT1NLGKnEwR+2yJjwsiUoCIQD5WL39cemyU7UFwhX76YNp\n\
NVYu7CUqCta8JqVnEUEDQQ==\n\
-----END CERTIFICATE-----\n\
";

/// A kubeconfig with a token for this server.
fn kubeconfig(dir: &TempDir, server: &str) -> std::path::PathBuf {
    let path = dir.path().join("kubeconfig");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: lab\n\
         clusters: [{{name: lab, cluster: {{server: '{server}'}}}}]\n\
         users: [{{name: me, user: {{token: s3cret}}}}]\n\
         contexts: [{{name: lab, context: {{cluster: lab, user: me}}}}]\n"
    );
    fs::write(&path, text).expect("a temporary file");
    path
}

/// Whether `client` reaches `api`, and with which credentials.
async fn reached(api: &Api, client: Client) -> String {
    let feed = spawn(
        client,
        Selection {
            nodes: false,
            headless: true,
            service_cidrs: false,
            pods: false,
        },
    );
    let listed = tokio::time::timeout(Duration::from_secs(10), feed.synced()).await;
    listed.expect("the server is reached");
    api.requests(SERVICES).first().cloned().unwrap_or_default()
}

#[tokio::test]
async fn by_a_plain_address_without_credentials() {
    let api = Api::started();
    let client = client(Some(&api.url()), None)
        .await
        .expect("an address is enough");
    assert!(!reached(&api, client).await.contains("Bearer"));
}

#[tokio::test]
async fn by_a_kubeconfig() {
    let api = Api::started();
    let dir = TempDir::new().expect("a temporary directory");
    let path = kubeconfig(&dir, &api.url());
    let client = client(None, Some(&path))
        .await
        .expect("a kubeconfig is enough");
    assert!(reached(&api, client).await.contains("Bearer s3cret"));
}

#[tokio::test]
async fn an_address_outranks_the_kubeconfig_and_keeps_its_credentials() {
    let api = Api::started();
    let dir = TempDir::new().expect("a temporary directory");
    let path = kubeconfig(&dir, "http://127.0.0.1:1");
    let client = client(Some(&api.url()), Some(&path))
        .await
        .expect("both together");
    assert!(reached(&api, client).await.contains("Bearer s3cret"));
}

#[tokio::test]
async fn tls_is_there() {
    let dir = TempDir::new().expect("a temporary directory");
    fs::write(dir.path().join("ca.pem"), CA).expect("a temporary file");
    let path = dir.path().join("kubeconfig");
    let text = "apiVersion: v1\nkind: Config\ncurrent-context: lab\n\
         clusters: [{name: lab, cluster: {server: 'https://127.0.0.1:1', \
         certificate-authority: ca.pem}}]\n\
         contexts: [{name: lab, context: {cluster: lab, user: ''}}]\n";
    fs::write(&path, text).expect("a temporary file");
    client(None, Some(&path))
        .await
        .expect("a client that can speak TLS");
}

#[tokio::test]
async fn what_is_wrong_is_said() {
    let address = "expected a URL such as https://10.0.0.1:6443";
    let rows = [
        (Some("172.30.0.11:6443"), None, address),
        (Some("localhost:6443"), None, address),
        (Some(""), None, address),
        (Some("ftp://172.30.0.11"), None, address),
        (
            None,
            Some("/does/not/exist"),
            "kubeconfig /does/not/exist: failed to read kubeconfig",
        ),
    ];
    for (server, file, wanted) in rows {
        let error = client(server, file.map(Path::new))
            .await
            .err()
            .expect("an error");
        assert!(
            error.to_string().contains(wanted),
            "{server:?} {file:?}: {error}"
        );
    }
}

#[tokio::test]
async fn nothing_given_and_no_pod_is_said_too() {
    if std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() {
        println!("skipped: this runs in a pod, where nothing needs to be given");
        assert!(std::env::var_os("CI").is_none(), "CI must not skip");
        return;
    }
    let error = client(None, None).await.err().expect("an error");
    assert!(
        error
            .to_string()
            .contains("give --api-server or --kubeconfig"),
        "{error}"
    );
}
