//! Bench `trace`: what a trace costs while there is none, and what it loses where much else goes on.
//!
//! The data path's programs have nothing of a trace in them: what watches is an object of its own,
//! loaded for as long as somebody traces ([`cost`] shows that nothing of it is left). One flow is
//! followed while others send a hundred thousand packets a second ([`flow`], [`flood`]).

mod cost;
mod flood;
mod flow;

use super::Plan;
use super::frame::Row;
use crate::workspace::Workspace;

/// The bench's name.
pub(super) const NAME: &str = "trace";

/// Both, each in labs of its own.
///
/// # Errors
/// When a lab does not come up, or a measurement fails.
pub(super) fn run(workspace: &Workspace, plan: &Plan) -> anyhow::Result<Vec<Row>> {
    let mut rows = cost::run(workspace, plan)?;
    rows.extend(flow::run(workspace, plan)?);
    Ok(rows)
}
