//! Asks a node's agent: HTTP over its Unix socket, JSON in the answer.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::time::timeout;

/// How long an answer may take: reading a full table of conversations takes seconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// The agent did not answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    /// Nobody listens.
    #[error(
        "the agent does not run: nobody answers at {socket} ({source}); the programs in the \
         kernel go on without it, but follow no change of the cluster"
    )]
    Down {
        /// The socket.
        socket: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The socket is root's.
    #[error("only root may ask the agent at {socket}")]
    Forbidden {
        /// The socket.
        socket: PathBuf,
    },
    /// The agent says no.
    #[error("the agent at {socket} answers {path} with {status}: {text}")]
    Refused {
        /// The socket.
        socket: PathBuf,
        /// What was asked.
        path: String,
        /// Its status.
        status: StatusCode,
        /// Its words.
        text: String,
    },
    /// No whole answer came.
    #[error("the agent at {at} gives no answer to {path}: {reason}")]
    Broken {
        /// The socket, or the pod.
        at: String,
        /// What was asked.
        path: String,
        /// Why not.
        reason: String,
    },
}

impl AskError {
    /// Whether there is no agent, rather than one with a trouble.
    pub(crate) const fn is_down(&self) -> bool {
        matches!(self, Self::Down { .. })
    }
}

/// Asks for `path` at an agent's socket.
///
/// # Errors
/// [`AskError`].
pub(crate) async fn get<T: DeserializeOwned>(socket: &Path, path: &str) -> Result<T, AskError> {
    send(socket, Method::GET, path).await
}

/// Has an agent do what `path` says.
///
/// # Errors
/// [`AskError`].
pub(crate) async fn post<T: DeserializeOwned>(socket: &Path, path: &str) -> Result<T, AskError> {
    send(socket, Method::POST, path).await
}

async fn send<T: DeserializeOwned>(
    socket: &Path,
    method: Method,
    path: &str,
) -> Result<T, AskError> {
    let body = raw(socket, method, path).await?;
    serde_json::from_slice(&body).map_err(|error| AskError::Broken {
        at: socket.display().to_string(),
        path: path.to_owned(),
        reason: error.to_string(),
    })
}

/// The answer as it comes.
///
/// # Errors
/// [`AskError`].
pub(crate) async fn raw(socket: &Path, method: Method, path: &str) -> Result<Bytes, AskError> {
    let broken = |reason: String| AskError::Broken {
        at: socket.display().to_string(),
        path: path.to_owned(),
        reason,
    };
    let asked = timeout(PATIENCE, ask(socket, method, path)).await;
    let (status, body) = asked.map_err(|_| broken(format!("none within {PATIENCE:?}")))??;
    if !status.is_success() {
        return Err(AskError::Refused {
            socket: socket.to_path_buf(),
            path: path.to_owned(),
            status,
            text: String::from_utf8_lossy(&body).into_owned(),
        });
    }
    Ok(body)
}

async fn ask(socket: &Path, method: Method, path: &str) -> Result<(StatusCode, Bytes), AskError> {
    let broken = |error: hyper::Error| AskError::Broken {
        at: socket.display().to_string(),
        path: path.to_owned(),
        reason: error.to_string(),
    };
    let stream = UnixStream::connect(socket)
        .await
        .map_err(|source| unreachable(socket, source))?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let connection = tokio::spawn(connection);
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.method_mut() = method;
    // What the paths are made of is encoded where they are made.
    if let Ok(uri) = path.parse() {
        *request.uri_mut() = uri;
    }
    let host = header::HeaderValue::from_static("agent");
    request.headers_mut().insert(header::HOST, host);
    let answer: http::Response<Incoming> = sender.send_request(request).await.map_err(broken)?;
    let status = answer.status();
    let body = answer
        .into_body()
        .collect()
        .await
        .map_err(broken)?
        .to_bytes();
    connection.abort();
    Ok((status, body))
}

fn unreachable(socket: &Path, source: io::Error) -> AskError {
    let socket = socket.to_path_buf();
    match source.kind() {
        io::ErrorKind::PermissionDenied => AskError::Forbidden { socket },
        _ => AskError::Down { socket, source },
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::get as route;
    use tokio::net::UnixListener;

    use super::*;

    async fn serve(routes: Router) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join("agent.sock");
        let listener = UnixListener::bind(&socket).expect("bound");
        tokio::spawn(async move { axum::serve(listener, routes).await });
        (folder, socket)
    }

    #[tokio::test]
    async fn an_answer_is_read_and_a_refusal_is_told() {
        let refusal = || async { (StatusCode::INTERNAL_SERVER_ERROR, "no maps") };
        let routes = Router::new()
            .route("/v1/number", route(|| async { "7" }))
            .route("/v1/words", route(|| async { "seven" }))
            .route("/v1/no", route(refusal));
        let (_folder, socket) = serve(routes).await;
        assert_eq!(get::<u32>(&socket, "/v1/number").await.expect("seven"), 7);
        let error = get::<u32>(&socket, "/v1/no").await.expect_err("refused");
        assert!(error.to_string().contains("no maps"), "{error}");
        let error = get::<u32>(&socket, "/v1/words")
            .await
            .expect_err("no number");
        assert!(matches!(error, AskError::Broken { .. }), "{error}");
        assert!(!error.is_down());
    }

    #[tokio::test]
    async fn an_agent_that_does_not_run_is_told_from_one_in_trouble() {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join("agent.sock");
        let error = get::<u32>(&socket, "/v1/x").await.expect_err("nobody");
        assert!(error.is_down(), "{error}");
        // The socket of an agent that was killed.
        drop(UnixListener::bind(&socket).expect("bound"));
        let error = get::<u32>(&socket, "/v1/x").await.expect_err("nobody");
        assert!(error.is_down(), "{error}");
    }
}
