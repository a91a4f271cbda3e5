//! An API server as small as a bench needs: it lists what it was given, in pages, and on its
//! watches happens what the bench says.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context, ensure};

/// The objects of each kind as JSON text, by the last word of the kind's path.
pub(super) type Objects = BTreeMap<&'static str, Vec<String>>;

const WATCH_BEGINS: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
                              Transfer-Encoding: chunked\r\n\r\n";

/// The server. It serves for as long as this process lives.
pub(super) struct Api {
    pub(super) address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    objects: Arc<Objects>,
    /// Open watches, each with its kind.
    watches: Mutex<Vec<(String, TcpStream)>>,
}

impl Api {
    /// Serves on a port of its own, in the network namespace of the calling thread.
    ///
    /// # Errors
    /// When there is no free port.
    pub(super) fn start(objects: Arc<Objects>) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("the stub of an API server")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            objects,
            watches: Mutex::default(),
        });
        let served = shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = served.clone();
                // A client that goes away is no concern of ours.
                thread::spawn(move || drop(shared.serve(stream)));
            }
        });
        Ok(Self { address, shared })
    }

    /// Tells every watch of a kind that this object was modified.
    ///
    /// # Errors
    /// When nobody watches the kind.
    pub(super) fn modified(&self, kind: &str, object: &str) -> anyhow::Result<()> {
        let event = format!("{{\"type\":\"MODIFIED\",\"object\":{object}}}\n");
        let chunk = format!("{:x}\r\n{event}\r\n", event.len());
        let mut told = 0;
        let mut watches = self.shared.watches();
        // A watch whose client has gone is one no more.
        watches.retain_mut(|(watched, stream)| {
            if watched != kind {
                return true;
            }
            let written = stream.write_all(chunk.as_bytes()).is_ok();
            told += usize::from(written);
            written
        });
        ensure!(told > 0, "nobody watches {kind}");
        Ok(())
    }
}

impl Shared {
    fn watches(&self) -> std::sync::MutexGuard<'_, Vec<(String, TcpStream)>> {
        self.watches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream.try_clone()?);
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
            let (path, query) = target.split_once('?').unwrap_or((target, ""));
            let kind = path.rsplit('/').next().unwrap_or_default();
            if query.contains("watch=true") {
                stream.write_all(WATCH_BEGINS)?;
                self.watches().push((kind.to_owned(), stream));
                return Ok(());
            }
            let objects = self.objects.get(kind).map_or(&[][..], Vec::as_slice);
            let body = page(objects, query);
            write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                body.len()
            )?;
            stream.write_all(body.as_bytes())?;
        }
    }
}

/// One page of a list, as large as was asked for.
fn page(objects: &[String], query: &str) -> String {
    let asked = |name: &str| -> Option<usize> {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name)?.1.parse().ok()
    };
    let start = asked("continue").unwrap_or(0).min(objects.len());
    let limit = asked("limit").unwrap_or(objects.len());
    let end = objects.len().min(start + limit);
    let more = match end < objects.len() {
        true => format!(",\"continue\":\"{end}\""),
        false => String::new(),
    };
    let items = objects[start..end].join(",");
    format!("{{\"metadata\":{{\"resourceVersion\":\"1\"{more}}},\"items\":[{items}]}}")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn lists_come_in_pages() {
        let objects: Vec<String> = (0..1200).map(|n| n.to_string()).collect();
        for (query, first, items, more) in [
            ("limit=500", 0, 500, Some("500")),
            (
                "&limit=500&continue=500&resourceVersion=0",
                500,
                500,
                Some("1000"),
            ),
            ("limit=500&continue=1000", 1000, 200, None),
            ("", 0, 1200, None),
        ] {
            let page: Value = serde_json::from_str(&page(&objects, query)).expect("JSON");
            assert_eq!(page["items"][0], first, "{query}");
            assert_eq!(
                page["items"].as_array().map(Vec::len),
                Some(items),
                "{query}"
            );
            assert_eq!(page["metadata"]["continue"].as_str(), more, "{query}");
        }
        assert!(page(&[], "limit=500").contains("\"items\":[]"));
    }

    #[test]
    fn a_watch_gets_what_happens_and_nobody_watching_is_an_error() {
        let api = Api::start(Arc::default()).expect("a port");
        assert!(api.modified("nodes", "{}").is_err());
        let mut watch = TcpStream::connect(api.address).expect("it listens");
        watch
            .write_all(b"GET /api/v1/nodes?watch=true HTTP/1.1\r\nHost: x\r\n\r\n")
            .expect("it reads");
        let mut lines = BufReader::new(watch)
            .lines()
            .map(|line| line.expect("a line"));
        // Until then the watch may not be one yet.
        assert_eq!(
            lines.by_ref().take_while(|line| !line.is_empty()).count(),
            3
        );
        while api.modified("nodes", "{\"a\":1}").is_err() {}
        assert_eq!(lines.next().as_deref(), Some("25"));
        assert_eq!(
            lines.next().as_deref(),
            Some(r#"{"type":"MODIFIED","object":{"a":1}}"#)
        );
    }
}
