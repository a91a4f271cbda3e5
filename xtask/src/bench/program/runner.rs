//! Programs of a node, run by BPF_PROG_TEST_RUN.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use aya::programs::{SchedClassifier, TestRun as _, TestRunOptions};

use crate::bench::namespace::inside;

/// Size of `struct __sk_buff`, and where in it the interfaces stand (linux/bpf.h).
const CONTEXT: usize = 192;
const INGRESS_IFINDEX: usize = 36;
const IFINDEX: usize = 40;

/// A node, as far as its programs are concerned.
pub(in crate::bench) struct Node {
    /// Where its namespace is kept, in which the programs ask for routes.
    pub(super) netns: PathBuf,
    /// Where its programs are pinned.
    pub(in crate::bench) programs: PathBuf,
}

/// Where a packet comes by.
#[derive(Clone, Copy, Debug)]
pub(in crate::bench) struct Hook {
    /// The program.
    pub(in crate::bench) program: &'static str,
    /// The interface that it hangs on.
    pub(super) interface: u32,
    /// The interface that the packet came in by; 0 for one of the node's own.
    pub(super) came_by: u32,
}

/// What became of a frame.
pub(super) struct Outcome {
    /// A TC_ACT of linux/pkt_cls.h.
    pub(super) verdict: i32,
    pub(super) frame: Vec<u8>,
    pub(super) took: Duration,
}

impl Node {
    /// Runs the hook's program on each frame, once: a second run would be given what the first has
    /// made of the frame.
    ///
    /// # Errors
    /// When the program is not pinned, or the kernel does not run it.
    pub(super) fn run(
        &self,
        hook: Hook,
        frames: impl Iterator<Item = Vec<u8>> + Send,
    ) -> anyhow::Result<Vec<Outcome>> {
        let path = self.programs.join(hook.program);
        inside(&self.netns, || {
            let program = open(&path)?;
            frames.map(|frame| once(&program, hook, &frame)).collect()
        })
    }
}

fn open(path: &Path) -> anyhow::Result<SchedClassifier> {
    SchedClassifier::from_pin(path).with_context(|| path.display().to_string())
}

fn once(program: &SchedClassifier, hook: Hook, frame: &[u8]) -> anyhow::Result<Outcome> {
    let mut context = [0; CONTEXT];
    for (at, value) in [(INGRESS_IFINDEX, hook.came_by), (IFINDEX, hook.interface)] {
        context[at..at + 4].copy_from_slice(&value.to_ne_bytes());
    }
    let mut out = vec![0; frame.len() + 128];
    let result = program
        .test_run(TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut out),
            ctx_in: Some(&context),
            ..TestRunOptions::default()
        })
        .with_context(|| format!("cannot run {}", hook.program))?;
    out.truncate(result.data_size_out as usize);
    Ok(Outcome {
        verdict: result.return_value.cast_signed(),
        frame: out,
        took: result.duration,
    })
}
