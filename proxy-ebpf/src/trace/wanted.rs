//! Which packets are told of.

use proxy_abi::FlowKey;
use proxy_abi::trace::Setup;

use crate::memory::{has_address, has_port};

/// Whether a packet with this tuple is wanted.
#[inline(always)]
pub(crate) fn wanted(setup: &Setup, tuple: &FlowKey) -> bool {
    let protocol = setup.protocol == 0 || setup.protocol == u32::from(tuple.protocol);
    protocol && address(setup, tuple) && port(setup, tuple)
}

#[inline(always)]
fn address(setup: &Setup, tuple: &FlowKey) -> bool {
    if setup.flags & Setup::ANY_ADDRESS != 0 {
        return true;
    }
    let one = has_address(&tuple.source);
    if setup.flags & Setup::ONE_ADDRESS != 0 {
        return one || has_address(&tuple.destination);
    }
    one && has_address(&tuple.destination)
}

#[inline(always)]
fn port(setup: &Setup, tuple: &FlowKey) -> bool {
    setup.flags & Setup::ANY_PORT != 0
        || has_port(tuple.source_port.number())
        || has_port(tuple.destination_port.number())
}
