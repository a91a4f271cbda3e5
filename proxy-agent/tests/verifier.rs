//! Whether this kernel takes every program, and what its verifier went through for that: a test
//! apart from those that use the programs, so that a refusal is told for each program at once.

mod kernel;

use aya::EbpfLoader;
use aya::programs::{Program, ProgramError};
use kernel::{isolated_bpffs, object};
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
    let pins = Pins::below(folder.path()).expect("a bpffs");
    pins.create().expect("folders in bpffs");
    let bytes = std::fs::read(object).expect("the object");
    let mut loader = EbpfLoader::new();
    for name in programs::MAPS {
        loader.map_pin_path(name, pins.map(name));
    }
    let mut ebpf = loader.load(&bytes).expect("the maps");
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

/// Loads it; how many instructions the verifier looked at, counted again on each path.
fn verify(program: &mut Program) -> Result<u32, ProgramError> {
    let info = match program {
        Program::SchedClassifier(program) => {
            program.load()?;
            program.info()?
        }
        Program::CgroupSockAddr(program) => {
            program.load()?;
            program.info()?
        }
        _ => return Err(ProgramError::UnexpectedProgramType),
    };
    Ok(info
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
