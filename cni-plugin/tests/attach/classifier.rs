//! A stand-in for the agent's `from_pod`: two instructions that give every packet one verdict,
//! loaded by bpf(2) itself so that these tests need no BPF toolchain.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

/// What the program says of every packet (linux/bpf.h, `enum tcx_action_base`).
#[derive(Clone, Copy)]
pub(crate) enum Verdict {
    /// Go on as if the program were not there.
    Next = -1,
    /// Drop.
    Drop = 2,
}

const BPF_PROG_LOAD: i64 = 5;
const BPF_OBJ_PIN: i64 = 6;
const BPF_PROG_TYPE_SCHED_CLS: u32 = 3;

/// The head of `union bpf_attr` for BPF_PROG_LOAD.
#[repr(C)]
struct ProgramLoad {
    kind: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buffer: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
}

/// The head of `union bpf_attr` for BPF_OBJ_PIN.
#[repr(C)]
struct ObjectPin {
    path: u64,
    fd: u32,
    flags: u32,
}

/// Loads a program with that verdict and pins it.
pub(crate) fn pin(path: &Path, verdict: Verdict) {
    let program = load(verdict);
    let path = CString::new(path.to_str().unwrap()).unwrap();
    let fd = u32::try_from(program.as_raw_fd()).unwrap();
    bpf(
        BPF_OBJ_PIN,
        &ObjectPin {
            path: path.as_ptr() as u64,
            fd,
            flags: 0,
        },
    )
    .expect("BPF_OBJ_PIN");
}

fn load(verdict: Verdict) -> OwnedFd {
    let instruction = |code: u8, immediate: i32| {
        let [a, b, c, d] = immediate.to_ne_bytes();
        [code, 0, 0, 0, a, b, c, d]
    };
    // r0 = verdict; exit
    let instructions = [instruction(0xb7, verdict as i32), instruction(0x95, 0)];
    let attributes = ProgramLoad {
        kind: BPF_PROG_TYPE_SCHED_CLS,
        instruction_count: 2,
        instructions: instructions.as_ptr() as u64,
        license: c"GPL".as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log_buffer: 0,
        kernel_version: 0,
        flags: 0,
        name: *b"from_pod\0\0\0\0\0\0\0\0",
    };
    let fd = bpf(BPF_PROG_LOAD, &attributes).expect("BPF_PROG_LOAD");
    // SAFETY: the kernel returned it just now for a new program; nobody else owns it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

fn bpf<T>(command: i64, attributes: &T) -> io::Result<i32> {
    // SAFETY: `attributes` is a `repr(C)` head of `union bpf_attr` of the size given, and what its
    // addresses point to outlives the call; the kernel takes missing tail fields as zero.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attributes, size_of::<T>()) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    i32::try_from(result).map_err(io::Error::other)
}
