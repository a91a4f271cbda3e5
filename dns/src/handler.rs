//! hickory's request -> question, answer -> hickory's response.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use cluster_watch::Feed;
use hickory_proto::op::{Edns, Header, HeaderCounts, Metadata, OpCode, ResponseCode};
use hickory_proto::rr::DNSClass;
use hickory_server::net::runtime::Time;
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::MessageResponseBuilder;

use crate::answer::{Answer, Verdict, answer};
use crate::zone::Zone;

/// Largest UDP answer we send, whatever the client offers to take.
const MAX_DATAGRAM: u16 = 4096;

/// Largest UDP answer to a client that says nothing, and least that one may say (RFC 6891).
const MIN_DATAGRAM: u16 = 512;

/// Answers questions from the feed.
pub(crate) struct Handler {
    feed: Feed,
    zone: Arc<Zone>,
    turn: AtomicUsize,
}

impl Handler {
    pub(crate) fn new(feed: Feed, zone: Arc<Zone>) -> Self {
        Self {
            feed,
            zone,
            turn: AtomicUsize::new(0),
        }
    }

    fn answer(&self, request: &Request) -> Answer {
        if request.edns.as_ref().is_some_and(|edns| edns.version() > 0) {
            return Answer::bare(ResponseCode::BADVERS);
        }
        if request.metadata.op_code != OpCode::Query {
            return Answer::bare(ResponseCode::NotImp);
        }
        // No question, or several, which nobody has ever defined an answer for.
        let Ok(info) = request.request_info() else {
            return Answer::bare(ResponseCode::FormErr);
        };
        let query = info.query.original();
        if ![DNSClass::IN, DNSClass::ANY].contains(&query.query_class()) {
            return Answer::bare(ResponseCode::Refused);
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let index = self.feed.is_synced().then(|| self.feed.read());
        let verdict = answer(
            &self.zone,
            index.as_deref(),
            query.name(),
            query.query_type(),
            turn,
        );
        match verdict {
            Verdict::Ours(answer) => answer,
            Verdict::Elsewhere => Answer::bare(ResponseCode::Refused),
        }
    }
}

#[async_trait]
impl RequestHandler for Handler {
    async fn handle_request<R: ResponseHandler, T: Time>(
        &self,
        request: &Request,
        mut response_handle: R,
    ) -> ResponseInfo {
        let Answer {
            code,
            authoritative,
            answers,
            authority,
            additional,
            leads_to: _,
        } = self.answer(request);
        let mut metadata = Metadata::response_from_request(&request.metadata);
        metadata.response_code = code;
        metadata.authoritative = authoritative;

        let edns = request.edns.as_ref().map(reply_edns);
        let response = MessageResponseBuilder::new(&request.queries, edns.as_ref()).build(
            metadata,
            &answers,
            &authority,
            [],
            &additional,
        );
        match response_handle.send_response(response).await {
            Ok(info) => info,
            Err(error) => {
                tracing::debug!(%error, client = %request.src(), "answer not sent");
                ResponseInfo::from(Header {
                    metadata,
                    counts: HeaderCounts::default(),
                })
            }
        }
    }
}

/// The EDNS part of an answer. hickory cuts a datagram at the size given here, so that it is the
/// client's, within bounds.
fn reply_edns(asked: &Edns) -> Edns {
    let mut edns = Edns::new();
    edns.set_max_payload(asked.max_payload().clamp(MIN_DATAGRAM, MAX_DATAGRAM));
    edns.set_dnssec_ok(asked.flags().dnssec_ok);
    edns
}
