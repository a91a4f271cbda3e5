//! Where a translated packet goes when the stack has already routed it to the old destination.

use packet::{ethernet, ipv4};

use crate::skb::{Route, Side, Skb};
use crate::translate::Outcome;
use crate::verdict::Drop;

/// Routes a rewritten packet of the node's own anew: the stack chose interface and next hop for
/// the frontend's address; the endpoint may be a pod of this node or behind another next hop.
#[inline(always)]
pub(crate) fn anew(skb: &Skb, outcome: Result<Outcome, Drop>) -> Result<Outcome, Drop> {
    let outcome = outcome?;
    if !matches!(outcome, Outcome::Translated) {
        return Ok(outcome);
    }
    // Read from the packet: what it carries now is what the route must fit.
    let source = skb
        .load(ethernet::LEN as u32 + ipv4::SOURCE)
        .map_err(|_| Drop::Malformed)?;
    let destination = skb
        .load(ethernet::LEN as u32 + ipv4::DESTINATION)
        .map_err(|_| Drop::Malformed)?;
    match skb.route(source, destination) {
        Route::Neighbour { ifindex, addresses } => {
            skb.store(0, &addresses).map_err(|_| Drop::RewriteFailed)?;
            if ifindex == skb.ifindex() {
                return Ok(outcome);
            }
            skb.redirect(ifindex, Side::Out);
            Ok(Outcome::Redirected)
        }
        Route::Unresolved { ifindex } => {
            skb.redirect_by_neighbour(ifindex);
            Ok(Outcome::Redirected)
        }
        Route::None => Err(Drop::NoRoute),
    }
}
