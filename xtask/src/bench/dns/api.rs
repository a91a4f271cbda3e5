//! An API server that lists the bench's cluster, and on whose watches nothing happens.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};

use super::names::{self, ENDPOINTS, SERVICES};

/// Longer than any bench.
const FOR_EVER: Duration = Duration::from_secs(24 * 3600);

/// Serves on an address of its own, for as long as this process lives.
///
/// # Errors
/// When there is no free port.
pub(super) fn start() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").context("the stub of an API server")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            // A client that goes away is no concern of ours.
            thread::spawn(move || drop(serve(&stream)));
        }
    });
    Ok(address)
}

fn serve(stream: &TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut request = String::new();
        if reader.read_line(&mut request)? == 0 {
            return Ok(());
        }
        let mut header = String::new();
        while reader.read_line(&mut header)? > 2 {
            header.clear();
        }
        let target = request.split_whitespace().nth(1).unwrap_or_default();
        let mut writer = stream;
        if target.contains("watch=true") {
            writer.write_all(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
                  Transfer-Encoding: chunked\r\n\r\n",
            )?;
            thread::sleep(FOR_EVER);
            return Ok(());
        }
        let body = list(target).to_string();
        write!(
            writer,
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )?;
        writer.write_all(body.as_bytes())?;
    }
}

/// One page of a list, as large as was asked for.
fn list(target: &str) -> Value {
    let asked = |name: &str| -> Option<usize> {
        let (_, query) = target.split_once('?')?;
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name)?.1.parse().ok()
    };
    let start = asked("continue").unwrap_or(0);
    let end = SERVICES.min(start + asked("limit").unwrap_or(SERVICES));
    let object = if target.starts_with("/api/v1/services") {
        service
    } else {
        slice
    };
    let items: Vec<Value> = (start..end).map(object).collect();
    let mut metadata = json!({"resourceVersion": "1"});
    if end < SERVICES {
        metadata["continue"] = json!(end.to_string());
    }
    json!({"metadata": metadata, "items": items})
}

fn service(n: usize) -> Value {
    let address = names::cluster_ip(n);
    json!({
        "metadata": {
            "name": names::service(n), "namespace": names::namespace(n), "resourceVersion": "1",
        },
        "spec": {
            "type": "ClusterIP", "clusterIP": address, "clusterIPs": [address],
            "ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
        },
    })
}

fn slice(n: usize) -> Value {
    let endpoints: Vec<Value> = (0..ENDPOINTS)
        .map(|e| {
            json!({
                "addresses": [names::endpoint(n, e)],
                "conditions": {"ready": true, "serving": true, "terminating": false},
                "nodeName": format!("worker-{}", (n + e) % 1000), "zone": "eu-central-1a",
            })
        })
        .collect();
    json!({
        "metadata": {
            "name": format!("{}-x7k2p", names::service(n)), "namespace": names::namespace(n),
            "resourceVersion": "1",
            "labels": {"kubernetes.io/service-name": names::service(n)},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": endpoints,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_come_in_pages() {
        let page = list("/api/v1/services?limit=500&continue=9600");
        assert_eq!(page["items"].as_array().map(Vec::len), Some(400));
        assert_eq!(page["metadata"]["continue"], Value::Null);
        let page = list("/apis/discovery.k8s.io/v1/endpointslices?&limit=500&resourceVersion=0");
        assert_eq!(page["items"].as_array().map(Vec::len), Some(500));
        assert_eq!(page["metadata"]["continue"], "500");
        assert_eq!(
            page["items"][1]["endpoints"][0]["addresses"][0],
            "10.128.0.10"
        );
    }
}
