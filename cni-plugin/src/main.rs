//! flatnet-cni: the binary a container runtime calls to put a pod on the network and to take it
//! off again (CNI specification 1.1.0). One shot: environment and stdin in, JSON on stdout, no
//! running agent needed, no API server asked.
//!
//! A request walks through the modules group by group.

// What is asked: `input` -> `request`, judged against all the others. Touches nothing.
mod attachment;
mod config;
mod input;
mod range;
mod request;
mod version;

// What to do: one address taken from the files, and from it a plan, which is a plain value.
mod lease;
mod plan;

// Doing it: `add` and `del` decide the order, each of the others owns one thing of the kernel's.
mod add;
mod del;
mod message;
mod namespace;
mod netlink;
mod program;
mod sysctl;
mod undo;

// What is answered.
mod error;
mod panics;
mod reply;
mod report;

use std::process::ExitCode;

use crate::error::Error;
use crate::input::Input;
use crate::reply::Reply;
use crate::request::Request;

fn main() -> ExitCode {
    let input = Input::of_this_process();
    let outcome = panics::caught(|| answer(&input));
    report::print(outcome, version::for_errors(&input))
}

/// One verb in, one reply out.
fn answer(input: &Input) -> Result<Reply, Error> {
    match request::parse(input)? {
        Request::Version(spoken) => Ok(Reply::Versions(spoken)),
        Request::Add(request) => add::add(&request),
        Request::Del(request) => del::del(&request),
    }
}
