//! The demonstration itself: it succeeds on the product, and only on it.

mod stage;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use lab::patience::longer;
use stage::{EXE, PATIENCE, StandIn, remains, told};

#[test]
fn it_holds_on_the_product_and_leaves_nothing() {
    holds_in("ipv4");
}

#[test]
fn it_holds_in_an_ipv6_cluster() {
    holds_in("ipv6");
}

#[test]
fn it_holds_in_a_dual_stack_cluster() {
    holds_in("dual");
}

fn holds_in(families: &str) {
    let (Some(bin_dir), Some(programs)) = (
        std::env::var_os("FLATNET_BIN_DIR"),
        std::env::var_os("FLATNET_PROGRAMS"),
    ) else {
        assert!(
            std::env::var_os("CI").is_none(),
            "cannot run in CI: the product is not built"
        );
        eprintln!("SKIPPED: FLATNET_BIN_DIR and FLATNET_PROGRAMS do not say where the product is");
        return;
    };
    let name = format!("demo-{families}-{:06x}", std::process::id());
    let mut demo = Command::new(EXE);
    demo.args(["demo", "--families", families, "--name", &name])
        .arg("--bin-dir")
        .arg(bin_dir);
    let output = demo
        .arg("--programs")
        .arg(programs)
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{}", told(&output));
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(text.matches("   held (").count(), 7, "{text}");
    assert_eq!(remains(&name), [] as [String; 0]);
}

#[test]
fn it_fails_without_a_proxy_says_where_and_leaves_nothing() {
    let Some(stand_in) = StandIn::new() else {
        return;
    };
    let name = format!("demo-fails-{:06x}", std::process::id());
    let mut demo = Command::new(EXE);
    demo.args(["demo", "--dns", "false", "--name", &name]);
    let output = demo
        .arg("--bin-dir")
        .arg(stand_in.bin_dir.path())
        .output()
        .expect("it runs");
    assert!(!output.status.success(), "{}", told(&output));
    let text = String::from_utf8_lossy(&output.stdout);
    let (held, failed) = (
        text.matches("   held (").count(),
        text.find("NOT HELD: expected"),
    );
    assert_eq!(
        (held, failed.is_some()),
        (1, true),
        "the second step fails: {text}"
    );
    let logs = text
        .lines()
        .find_map(|line| line.strip_prefix("Logs: "))
        .expect("where the logs are");
    assert!(
        std::path::Path::new(logs).join("serve.log").is_file(),
        "{logs}"
    );
    std::fs::remove_dir_all(logs).expect("removed");
    assert_eq!(remains(&name), [] as [String; 0]);
}

#[test]
fn killed_on_the_way_it_leaves_nothing() {
    let Some(stand_in) = StandIn::new() else {
        return;
    };
    let name = format!("demo-killed-{:06x}", std::process::id());
    let mut demo = Command::new(EXE);
    demo.args(["demo", "--dns", "false", "--name", &name]);
    demo.arg("--bin-dir").arg(stand_in.bin_dir.path());
    let mut demo = demo.stdout(Stdio::piped()).spawn().expect("it runs");
    let said = BufReader::new(demo.stdout.take().expect("piped")).lines();
    let under_way = said
        .map(|line| line.expect("text"))
        .any(|line| line.starts_with("1. "));
    assert!(under_way, "the first step begins");
    demo.kill().expect("killed");
    demo.wait().expect("reaped");
    // The serving process hears of its starter's death from the kernel, and sweeps.
    let deadline = Instant::now() + longer(PATIENCE);
    while !remains(&name).is_empty() {
        assert!(Instant::now() < deadline, "left: {:?}", remains(&name));
        sleep(Duration::from_millis(50));
    }
}
