//! Datagrams, each a conversation of its own: what is lost of these nobody sends again, so they
//! show a loss that a connection gets over.

use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};

/// Fewer answers than that, in the many seconds of a change of agents, show nothing.
const LEAST: usize = 500;

/// A loop of questions from one pod: the next one goes out a moment after each answer.
pub(crate) struct Datagrams {
    who: String,
    child: Child,
    answers: JoinHandle<Vec<String>>,
    failures: JoinHandle<Vec<String>>,
}

impl Datagrams {
    /// Begins; `from` makes of the words of a command one that runs in `who`.
    pub(crate) fn start(who: &str, from: impl FnOnce(&[&str]) -> Command, to: SocketAddr) -> Self {
        let to = to.to_string();
        let count = u32::MAX.to_string();
        let words = ["flatnet-demo", "udp", &to, "--count", &count];
        let mut command = from(&[&words[..], &["--interval-ms", "1"]].concat());
        let piped = command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = piped.stderr(Stdio::piped()).spawn().expect("it runs");
        let stdout = child.stdout.take().expect("a pipe");
        let stderr = child.stderr.take().expect("a pipe");
        Self {
            who: format!("datagrams of {who}"),
            child,
            answers: lines_of(stdout),
            failures: lines_of(stderr),
        }
    }

    /// Ends them: what became of those that were not answered.
    pub(crate) fn finish(mut self) -> Vec<String> {
        let ended = self.child.try_wait().expect("it can be asked for");
        assert_eq!(ended, None, "it runs to this moment");
        self.child.kill().expect("it ends");
        self.child.wait().expect("it ends");
        let answered = self.answers.join().expect("read").len();
        let mut failed = self.failures.join().expect("read");
        if answered < LEAST {
            failed.push(format!("only {answered} were answered"));
        }
        let told = |failure| format!("{}: {failure}", self.who);
        failed.into_iter().map(told).collect()
    }

    /// Ends them without a word.
    pub(crate) fn stop(&mut self) {
        let _gone_already = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn lines_of(pipe: impl Read + Send + 'static) -> JoinHandle<Vec<String>> {
    thread::spawn(|| BufReader::new(pipe).lines().map_while(Result::ok).collect())
}
