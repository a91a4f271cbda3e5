//! The whole of flatnet-cni but its `main`: a library, so that a fuzzer can call [`judge`].
//!
//! A request walks through the modules group by group.

// What is asked: `input` -> `request`, judged against all the others. Touches nothing.
mod arguments;
mod attachment;
mod config;
mod field;
mod input;
mod mappings;
mod previous;
mod range;
mod request;
mod version;
mod wishes;

// What to do: addresses taken from the files, and from them a plan, which is a plain value.
mod lease;
mod plan;

// Doing it: each of the verbs decides the order, each of the others owns one thing of the kernel's.
mod add;
mod bpf;
mod check;
mod compare;
mod del;
mod gc;
mod host_ports;
mod message;
mod namespace;
mod netlink;
mod observe;
mod owned;
mod pin;
mod program;
mod status;
mod sysctl;
mod table;
mod undo;

// What is answered.
mod error;
mod panics;
mod reply;
mod report;

use std::process::ExitCode;

use crate::error::Error;
pub use crate::input::Input;
use crate::reply::Reply;
use crate::request::Request;

/// Answers the request this process was started with; JSON on stdout.
#[must_use]
pub fn run() -> ExitCode {
    let input = Input::of_this_process();
    respond(&input, answer)
}

/// Whatever comes of it, there is an answer.
fn respond(input: &Input, work: impl FnOnce(&Input) -> Result<Reply, Error>) -> ExitCode {
    let outcome = panics::caught(|| work(input));
    report::print(outcome, version::for_errors(input))
}

/// Judges a request and touches nothing: the error JSON with which it would be refused, or `None`
/// when it would be acted upon.
#[must_use]
pub fn judge(input: &Input) -> Option<String> {
    let refused = request::parse(input).err()?;
    Some(report::error_json(&refused, version::for_errors(input)))
}

/// One verb in, one reply out.
fn answer(input: &Input) -> Result<Reply, Error> {
    match request::parse(input)? {
        Request::Version(spoken) => Ok(Reply::Versions(spoken)),
        Request::Add(request) => add::add(&request),
        Request::Del(request) => del::del(&request),
        Request::Check(request) => check::check(&request),
        Request::Gc(request) => gc::gc(&request),
        Request::Status(request) => status::status(&request),
    }
}
