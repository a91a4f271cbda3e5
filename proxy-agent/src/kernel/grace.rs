//! Waiting until no packet is on its way any more through what has just been taken away.
//!
//! A program that began before a link or a slot changed goes on to its end, on another processor
//! and on a busy machine long after the change; what it writes then comes after everything that
//! the agent has read.

use std::io;
use std::thread;
use std::time::Duration;

/// `MEMBARRIER_CMD_GLOBAL` of linux/membarrier.h (Linux 4.3): returns when every processor has
/// passed through a state in which it runs no program (`synchronize_rcu` in
/// kernel/sched/membarrier.c). It needs no rights. With a single processor it returns at once, since
/// there no program is half-way while the agent runs.
const GLOBAL: libc::c_int = 1;
/// Where the kernel does not offer that (EINVAL with `nohz_full`, ENOSYS without
/// `CONFIG_MEMBARRIER`): a thousand times as long as the longest walk of a packet.
const LONG_ENOUGH: Duration = Duration::from_millis(100);

/// Returns when every program that ran at the call has ended.
pub fn over() {
    if let Err(error) = global() {
        tracing::debug!("no membarrier ({error}): waiting {LONG_ENOUGH:?}");
        thread::sleep(LONG_ENOUGH);
    }
}

fn global() -> io::Result<()> {
    // SAFETY: the command takes no pointer.
    let done = unsafe { libc::syscall(libc::SYS_membarrier, GLOBAL, 0, 0) };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_kernel_offers_it() {
        // SAFETY: the command takes no pointer. (`MEMBARRIER_CMD_QUERY` is 0.)
        let offered = unsafe { libc::syscall(libc::SYS_membarrier, 0, 0, 0) };
        assert!(offered >= 0, "{}", io::Error::last_os_error());
        let expected = offered & libc::c_long::from(GLOBAL) != 0;
        assert_eq!(global().is_ok(), expected);
        over();
    }
}
