//! The feed and the client against a small API server on loopback.

mod api;
mod connect;
mod feed;
