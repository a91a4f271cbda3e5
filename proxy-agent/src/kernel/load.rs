//! Loading a program, again where the kernel broke off.
//!
//! The verifier gives up with `EAGAIN` when its thread is wanted for something else (a signal, a
//! debugger, a frozen cgroup, a snapshot of the machine; `do_check` in kernel/bpf/verifier.c). That
//! says nothing of the program. libbpf tries again, aya 0.14 does not.

use std::io;

use aya::programs::{Program, ProgramError};

/// How often a program is tried; libbpf does as often (`PROG_LOAD_ATTEMPTS`).
const ATTEMPTS: usize = 5;

/// Loads a program of the kinds that the data path and its traces have.
///
/// # Errors
/// The kernel's, with the verifier's words; `UnexpectedProgramType` for another kind.
pub fn load(program: &mut Program) -> Result<(), ProgramError> {
    again(
        || match program {
            Program::SchedClassifier(program) => program.load(),
            Program::CgroupSockAddr(program) => program.load(),
            Program::RawTracePoint(program) => program.load(),
            _ => Err(ProgramError::UnexpectedProgramType),
        },
        |error| match error {
            ProgramError::LoadError { io_error, .. } => broke_off(io_error),
            _ => false,
        },
    )
}

/// Whether the kernel broke off, so that the same call may succeed.
pub(super) fn broke_off(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EAGAIN)
}

/// What `load` gives, tried again while it failed only because the kernel broke off.
pub(super) fn again<T, E>(
    mut load: impl FnMut() -> Result<T, E>,
    broke_off: impl Fn(&E) -> bool,
) -> Result<T, E> {
    for _ in 1..ATTEMPTS {
        match load() {
            Err(error) if broke_off(&error) => {}
            result => return result,
        }
    }
    load()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel answers: an error's number, if it is one.
    type Answer = Result<(), i32>;

    /// What `again` makes of these answers in turn, and how many of them it took.
    fn tried(results: &[Answer]) -> (Answer, usize) {
        let mut taken = 0;
        let load = || {
            taken += 1;
            results[taken - 1].map_err(io::Error::from_raw_os_error)
        };
        let result = again(load, broke_off).map_err(|error| error.raw_os_error().unwrap_or(0));
        (result, taken)
    }

    #[test]
    fn what_was_broken_off_is_tried_again_and_what_was_refused_is_not() {
        let off = Err(libc::EAGAIN);
        let refused = Err(libc::EACCES);
        let rows: [(&[Answer], Answer, usize); 5] = [
            (&[Ok(())], Ok(()), 1),
            (&[refused, Ok(())], refused, 1),
            (&[off, Ok(())], Ok(()), 2),
            (&[off, off, refused, Ok(())], refused, 3),
            (&[off; 9], off, ATTEMPTS),
        ];
        for (results, end, taken) in rows {
            assert_eq!(tried(results), (end, taken), "{results:?}");
        }
    }
}
