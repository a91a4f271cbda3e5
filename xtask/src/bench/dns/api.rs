//! An API server that lists the bench's cluster, and on whose watches the endpoints of one Service
//! change when it is told so.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::Context;
use serde_json::{Value, json};

use super::names::{self, ENDPOINTS, SERVICES};

/// The objects of each kind: the Services, and the one that changes.
const OBJECTS: usize = SERVICES + 1;

/// Where events for the watches of slices go in.
type Watches = Arc<Mutex<Vec<Sender<String>>>>;

/// The server. It serves for as long as this process lives.
pub(super) struct Api {
    pub(super) address: SocketAddr,
    watches: Watches,
}

impl Api {
    /// Serves on an address of its own.
    ///
    /// # Errors
    /// When there is no free port.
    pub(super) fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("the stub of an API server")?;
        let address = listener.local_addr()?;
        let watches = Watches::default();
        let all = watches.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let watches = all.clone();
                // A client that goes away is no concern of ours.
                thread::spawn(move || drop(serve(&stream, &watches)));
            }
        });
        Ok(Self { address, watches })
    }

    /// Tells the watches that the first endpoint of the changing Service is at `address` now.
    /// `n` counts the changes from 1.
    pub(super) fn change(&self, address: Ipv4Addr, n: u32) {
        let mut object = slice(SERVICES);
        object["endpoints"][0]["addresses"][0] = json!(address);
        object["metadata"]["resourceVersion"] = json!((n + 1).to_string());
        let line = json!({"type": "MODIFIED", "object": object}).to_string();
        let mut watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        watches.retain(|watch| watch.send(line.clone()).is_ok());
    }
}

/// Writes events as they come, for ever.
fn watch(mut writer: &TcpStream, events: &Receiver<String>) -> std::io::Result<()> {
    writer.write_all(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
    )?;
    for event in events {
        // A chunk: its length and an event, which a newline ends.
        let chunk = format!("{:x}\r\n{event}\n\r\n", event.len() + 1);
        writer.write_all(chunk.as_bytes())?;
    }
    Ok(())
}

fn serve(stream: &TcpStream, watches: &Watches) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
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
            let (sender, events) = channel();
            let mut all = watches.lock().unwrap_or_else(PoisonError::into_inner);
            // A watch of which nobody keeps the sender would end at once.
            let _quiet = match target.contains("endpointslices") {
                true => {
                    all.push(sender);
                    None
                }
                false => Some(sender),
            };
            drop(all);
            return watch(writer, &events);
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
    let end = OBJECTS.min(start + asked("limit").unwrap_or(OBJECTS));
    let object = if target.starts_with("/api/v1/services") {
        service
    } else {
        slice
    };
    let items: Vec<Value> = (start..end).map(object).collect();
    let mut metadata = json!({"resourceVersion": "1"});
    if end < OBJECTS {
        metadata["continue"] = json!(end.to_string());
    }
    json!({"metadata": metadata, "items": items})
}

/// Service `n`; the one that changes is headless.
fn service(n: usize) -> Value {
    let address = match n {
        SERVICES => json!("None"),
        _ => json!(names::cluster_ip(n)),
    };
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
        assert_eq!(page["items"].as_array().map(Vec::len), Some(401));
        assert_eq!(page["items"][400]["spec"]["clusterIP"], "None");
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
