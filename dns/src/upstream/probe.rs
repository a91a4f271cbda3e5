//! Loops: an upstream that forwards to us what we forward to it. Each is sent a question that should
//! not come back.

use hickory_proto::op::Query as Question;
use hickory_proto::rr::{Name, RecordType};

use super::Upstream;
use super::exchange::{Wishes, exchange};

/// The type of the questions that search for loops, which hardly anybody asks for.
pub(super) const PROBE: RecordType = RecordType::HINFO;

impl Upstream {
    /// Whether this question is one of those that search for loops, come back. The upstream that
    /// it was sent to is asked no more.
    pub(crate) fn is_probe(&self, name: &Name, kind: RecordType) -> bool {
        if kind != PROBE {
            return false;
        }
        let routes = self.routes();
        let Some(server) = routes.all().find(|server| server.probe == *name) else {
            return false;
        };
        if server.loops() {
            tracing::error!(
                upstream = %server.address,
                "what this upstream is asked comes back to us; it is asked no more"
            );
        }
        true
    }

    /// Sends every upstream a question that should not come back.
    pub(super) async fn probe(&self) {
        let routes = self.routes();
        let probes = routes.all().map(|server| {
            let question = Question::query(server.probe.clone(), PROBE);
            let wishes = Wishes {
                dnssec_ok: false,
                checking_disabled: false,
            };
            let patience = self.limits.patience;
            async move {
                // What they answer, and whether, does not matter.
                let _ = exchange(server.address, &question, wishes, patience).await;
            }
        });
        futures::future::join_all(probes).await;
    }
}
