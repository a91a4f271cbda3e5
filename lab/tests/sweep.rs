//! What a lab makes it removes: at its end, after a crash, before the next start.

mod stage;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use lab::Lab;
use lab::patience::longer;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use stage::{EXE, PATIENCE, StandIn, output, remains, told};

const POD: &str = "\
{apiVersion: v1, kind: Pod, metadata: {name: sleeper, labels: {app: sleeper}}, spec: {containers: \
[{name: c, image: none, command: [sh, -c, 'sleep 1000 & exec sleep 1000']}]}}";

fn with_a_pod(stand_in: &StandIn, prefix: &str) -> Lab {
    let lab = stand_in.start(prefix);
    lab.apply(POD).expect("applied");
    lab.wait_pods("sleeper", 1, PATIENCE).expect("the pod runs");
    lab
}

fn kill_serve(lab: &Lab) {
    let pid = lab.serve_pid().expect("it is served");
    kill(
        Pid::from_raw(i32::try_from(pid).expect("a pid")),
        Signal::SIGKILL,
    )
    .expect("killed");
}

#[test]
fn nothing_is_left_after_the_end() {
    let Some(stand_in) = StandIn::new() else {
        return;
    };
    let lab = with_a_pod(&stand_in, "sweep-end");
    let name = lab.name().to_owned();
    assert!(!remains(&name).is_empty(), "the test can see a lab");
    drop(lab);
    assert_eq!(remains(&name), [] as [String; 0]);
}

#[test]
fn nothing_is_left_after_a_kill_and_down() {
    let Some(stand_in) = StandIn::new() else {
        return;
    };
    let lab = with_a_pod(&stand_in, "sweep-kill");
    let name = lab.name().to_owned();
    kill_serve(&lab);
    lab.keep();
    for _ in 0..2 {
        let mut down = Command::new(EXE);
        down.args(["down", "--name", &name]);
        output(down);
        assert_eq!(remains(&name), [] as [String; 0]);
    }
}

#[test]
fn the_next_start_sweeps_a_dead_lab_and_refuses_a_living_one() {
    let Some(stand_in) = StandIn::new() else {
        return;
    };
    let lab = with_a_pod(&stand_in, "sweep-up");
    let name = lab.name().to_owned();
    let up = || {
        let mut up = Command::new(EXE);
        up.args(["up", "--nodes", "1", "--dns", "false", "--name", &name]);
        up.arg("--bin-dir").arg(stand_in.bin_dir.path());
        up
    };
    let refused = up().output().expect("it runs");
    assert!(!refused.status.success(), "{}", told(&refused));
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(words.contains("is up already"), "{words}");
    output(lab.in_pod("sleeper", &["true"]));

    kill_serve(&lab);
    wait_for_lock_release(&lab);
    output(up());
    let pods = lab.in_pod("sleeper", &["true"]).output().expect("it runs");
    assert!(!pods.status.success(), "the old lab's pod is gone");
    drop(lab);
    assert_eq!(remains(&name), [] as [String; 0]);
}

/// A killed process holds its locks until the kernel has torn it down.
fn wait_for_lock_release(lab: &Lab) {
    let deadline = Instant::now() + longer(PATIENCE);
    loop {
        let mut list = Command::new(EXE);
        list.arg("list");
        let dead = |line: &str| line.starts_with(lab.name()) && line.contains("dead");
        if output(list).lines().any(dead) {
            return;
        }
        assert!(Instant::now() < deadline, "the lab is not listed as dead");
        sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_start_cut_short_leaves_nothing() {
    let Some(stand_in) = StandIn::new() else {
        return;
    };
    let name = format!("sweep-half-{:06x}", std::process::id());
    let mut serve = Command::new(EXE);
    serve.args(["serve", "--dns", "false", "--nodes", "2", "--name", &name]);
    serve
        .arg("--bin-dir")
        .arg(stand_in.bin_dir.path())
        .stderr(Stdio::null());
    // With this agent no node becomes ready, and the start never ends by itself.
    let agent = stand_in.bin_dir.path().join("flatnet-agent");
    fs::write(&agent, "#!/bin/sh\nexec sleep infinity\n").expect("written");
    let mut serve = serve.spawn().expect("it runs");
    let state = PathBuf::from("/run/flatnet-lab").join(&name);
    let deadline = Instant::now() + longer(PATIENCE);
    while !state.join("kubeconfig").exists() {
        assert!(Instant::now() < deadline, "the start does not get anywhere");
        sleep(Duration::from_millis(20));
    }
    // In the middle of its start.
    let mut down = Command::new(EXE);
    down.args(["down", "--name", &name]);
    output(down);
    serve.wait().expect("ended");
    assert_eq!(remains(&name), [] as [String; 0]);
}

#[test]
fn what_is_missing_is_named_before_anything_is_made() {
    let empty = tempfile::tempdir().expect("a directory");
    let name = format!("sweep-none-{:06x}", std::process::id());
    let mut up = Command::new(EXE);
    up.args(["up", "--name", &name, "--bin-dir"])
        .arg(empty.path());
    let refused = up.output().expect("it runs");
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success());
    for program in ["flatnet-agent", "flatnet-dns"] {
        assert!(words.contains(program), "{words}");
    }
    assert!(!PathBuf::from("/run/flatnet-lab").join(&name).exists());
}
