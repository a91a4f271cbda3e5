//! The bpf(2) commands for a program that watches another program (BPF_PROG_TYPE_TRACING with a
//! program for its target). aya 0.14 watches functions of the kernel alone.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

use aya_obj::generated::bpf_insn;

use super::{BPF_OBJ_GET_INFO_BY_FD, bpf};

// Commands, program types and attach types of linux/bpf.h.
const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_LINK_CREATE: libc::c_long = 28;
const BPF_PROG_TYPE_TRACING: u32 = 26;

/// Room for what the verifier says of a program that it refuses, and how many lines of it are told.
const LOG: usize = 1 << 20;
const TOLD: usize = 4;

/// When the watching program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum When {
    /// Before the other (BPF_TRACE_FENTRY).
    Before = 24,
    /// After it (BPF_TRACE_FEXIT).
    After = 25,
}

/// The number of a program's first function in the program's own type information, by which what
/// watches it names it.
///
/// # Errors
/// The system call's; `Unsupported` if the program was loaded without type information.
pub fn first_function(program: BorrowedFd<'_>) -> io::Result<u32> {
    /// `struct bpf_func_info`.
    #[repr(C)]
    #[derive(Default)]
    struct Function {
        instruction: u32,
        type_id: u32,
    }
    /// `struct bpf_prog_info` as far as it is needed.
    #[repr(C)]
    struct Info {
        unused: [u64; 16],
        btf_id: u32,
        func_info_rec_size: u32,
        func_info: u64,
        nr_func_info: u32,
        nr_line_info: u32,
    }
    #[repr(C)]
    struct Attributes {
        bpf_fd: u32,
        info_len: u32,
        info: u64,
    }
    let mut function = Function::default();
    let mut info = Info {
        unused: [0; 16],
        btf_id: 0,
        func_info_rec_size: size_of::<Function>() as u32,
        func_info: (&raw mut function) as u64,
        nr_func_info: 1,
        nr_line_info: 0,
    };
    let mut attributes = Attributes {
        bpf_fd: program.as_raw_fd().cast_unsigned(),
        info_len: size_of::<Info>() as u32,
        info: (&raw mut info) as u64,
    };
    bpf(BPF_OBJ_GET_INFO_BY_FD, &mut attributes)?;
    match (info.btf_id, info.nr_func_info) {
        (0, _) | (_, 0) => Err(io::ErrorKind::Unsupported.into()),
        _ => Ok(function.type_id),
    }
}

/// Loads instructions that watch a function of `target`.
///
/// # Errors
/// The system call's: `EPERM` without CAP_BPF and CAP_PERFMON, `EINVAL` or `ENOTSUPP` where the
/// kernel cannot.
pub fn load(
    instructions: &[bpf_insn],
    licence: &CStr,
    when: When,
    (target, function): (BorrowedFd<'_>, u32),
) -> io::Result<OwnedFd> {
    #[repr(C)]
    #[derive(Default)]
    struct Attributes {
        prog_type: u32,
        insn_cnt: u32,
        insns: u64,
        license: u64,
        log_level: u32,
        log_size: u32,
        log_buf: u64,
        kern_version: u32,
        prog_flags: u32,
        prog_name: [u8; 16],
        prog_ifindex: u32,
        expected_attach_type: u32,
        prog_btf_fd: u32,
        func_info_rec_size: u32,
        func_info: u64,
        func_info_cnt: u32,
        line_info_rec_size: u32,
        line_info: u64,
        line_info_cnt: u32,
        attach_btf_id: u32,
        attach_prog_fd: u32,
        pad: u32,
    }
    let mut attributes = Attributes {
        prog_type: BPF_PROG_TYPE_TRACING,
        insn_cnt: u32::try_from(instructions.len()).unwrap_or(u32::MAX),
        insns: instructions.as_ptr() as u64,
        license: licence.as_ptr() as u64,
        prog_name: *b"flatnet_trace\0\0\0",
        expected_attach_type: when as u32,
        attach_btf_id: function,
        attach_prog_fd: target.as_raw_fd().cast_unsigned(),
        ..Attributes::default()
    };
    let loaded = bpf(BPF_PROG_LOAD, &mut attributes).or_else(|error| {
        // Once more, to hear why.
        let mut log = vec![0; LOG];
        attributes.log_level = 1;
        (attributes.log_buf, attributes.log_size) = (log.as_mut_ptr() as u64, LOG as u32);
        bpf(BPF_PROG_LOAD, &mut attributes).map_err(|_| told(&error, &log))
    });
    // SAFETY: the command returns a new descriptor that nobody else holds.
    loaded.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The error with the end of what the verifier wrote.
fn told(error: &io::Error, log: &[u8]) -> io::Error {
    let text = CStr::from_bytes_until_nul(log).unwrap_or_default();
    let text = text.to_string_lossy();
    let lines: Vec<&str> = text.lines().collect();
    let last = lines.get(lines.len().saturating_sub(TOLD)..);
    let last = last.unwrap_or_default().join("; ");
    let words = match last.is_empty() {
        true => error.to_string(),
        false => format!("{error} ({last})"),
    };
    io::Error::new(error.kind(), words)
}

/// Has a loaded program watch, until the link is dropped; it is told `cookie` at each run.
///
/// # Errors
/// The system call's.
pub fn link(program: &OwnedFd, when: When, cookie: u64) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Attributes {
        prog_fd: u32,
        target_fd: u32,
        attach_type: u32,
        flags: u32,
        target_btf_id: u32,
        pad: u32,
        cookie: u64,
    }
    let mut attributes = Attributes {
        prog_fd: program.as_raw_fd().cast_unsigned(),
        target_fd: 0,
        attach_type: when as u32,
        flags: 0,
        target_btf_id: 0,
        pad: 0,
        cookie,
    };
    let fd = bpf(BPF_LINK_CREATE, &mut attributes)?;
    // SAFETY: the command returns a new descriptor that nobody else holds.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
