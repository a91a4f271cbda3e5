//! Whether this kernel takes every program, and what its verifier went through for that: a test
//! apart from those that use the programs, so that a refusal is told for each program at once.

mod kernel;

use std::path::Path;
use std::time::{Duration, Instant};

use aya::programs::{Program, ProgramError};
use aya::{Ebpf, EbpfLoader};
use kernel::{isolated_bpffs, object};
use proxy_abi::ownership::program;
use proxy_agent::kernel::load;
use proxy_agent::kernel::pins::Pins;
use proxy_agent::kernel::programs;

/// The kernel gives up on a program after as many instructions (`BPF_COMPLEXITY_LIMIT_INSNS`).
const LIMIT: u32 = 1_000_000;
/// How much of a refusal is shown: its end says why.
const LOG_LINES: usize = 60;

#[test]
fn every_program_passes_with_room_to_spare() {
    let Some(object) = object("verifier") else {
        return;
    };
    let folder = isolated_bpffs();
    let mut ebpf = unloaded(&object, folder.path());
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("/proc");
    println!("verified: on Linux {}", release.trim());
    let mut refused = Vec::new();
    for name in programs::ALL {
        match verify(ebpf.program_mut(name).expect("the program")) {
            Ok(count) => {
                println!("verified: {name} in {count} instructions");
                // Another compiler, or the next feature, must not be refused at once.
                assert!(count < LIMIT / 2, "{name} comes near to {LIMIT}");
            }
            Err(error) => {
                println!("{name}: REFUSED, {}", end_of(&error));
                refused.push(name);
            }
        }
    }
    assert!(refused.is_empty(), "refused: {refused:?}");
}

#[test]
fn a_signal_that_comes_meanwhile_refuses_no_program() {
    // More than aya's own attempts (the second and later ones for the log), fewer than ours.
    const SIGNALS: usize = 8;
    const APART: Duration = Duration::from_millis(15);
    extern "C" fn nothing(_: libc::c_int) {}
    let Some(object) = object("verifier and signals") else {
        return;
    };
    let folder = isolated_bpffs();
    let mut ebpf = unloaded(&object, folder.path());
    let nothing: extern "C" fn(libc::c_int) = nothing;
    // SAFETY: a handler that does nothing, for a signal that nothing here uses; the thread that is
    // signalled outlives the one that signals.
    let loader = unsafe {
        libc::signal(libc::SIGURG, nothing as libc::sighandler_t);
        libc::pthread_self()
    };
    let mut load_one = |name| {
        let program = ebpf.program_mut(name).expect("the program");
        let begun = Instant::now();
        (
            load::load(program).map_err(|error| end_of(&error)),
            begun.elapsed(),
        )
    };
    let (loaded, took) = load_one(program::FROM_NETWORK);
    loaded.expect("left in peace");
    assert!(took > 2 * APART, "too short to be interrupted: {took:?}");
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for _ in 0..SIGNALS {
                std::thread::sleep(APART);
                // SAFETY: as above.
                assert_eq!(unsafe { libc::pthread_kill(loader, libc::SIGURG) }, 0);
            }
        });
        let (loaded, _) = load_one(program::FROM_POD);
        loaded.expect("eight signals came");
    });
}

/// The object with its maps below `folder`, and no program loaded.
fn unloaded(object: &Path, folder: &Path) -> Ebpf {
    let pins = Pins::below(folder).expect("a bpffs");
    pins.create().expect("folders in bpffs");
    let bytes = std::fs::read(object).expect("the object");
    let mut loader = EbpfLoader::new();
    for name in programs::MAPS {
        loader.map_pin_path(name, pins.map(name));
    }
    loader.load(&bytes).expect("the maps")
}

/// Loads it; how many instructions the verifier looked at, counted again on each path.
fn verify(program: &mut Program) -> Result<u32, ProgramError> {
    load::load(program)?;
    Ok(program
        .info()?
        .verified_instruction_count()
        .expect("Linux 5.16 or later"))
}

fn end_of(error: &ProgramError) -> String {
    let ProgramError::LoadError {
        io_error,
        verifier_log,
    } = error
    else {
        return error.to_string();
    };
    let log = verifier_log.to_string();
    let lines: Vec<_> = log.lines().collect();
    let end = &lines[lines.len().saturating_sub(LOG_LINES)..];
    format!("{io_error}:\n{}", end.join("\n"))
}
