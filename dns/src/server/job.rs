//! What has to wait for an upstream: foreign names, where ExternalNames lead, search lists.

use std::sync::Arc;
use std::time::Instant;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::CNAME;
use hickory_proto::rr::{Name, RData};
use tokio::sync::OwnedSemaphorePermit;

use super::{Asking, Client, Room, Server};
use crate::answer::{Answer, Verdict, answer};
use crate::metrics::Source;
use crate::wire::query::Packet;
use crate::wire::stored::{Stored, StoredKind};

/// A question whose answer has to be waited for.
pub(crate) struct Job {
    pub(super) packet: Box<[u8]>,
    pub(super) client: Client,
    pub(super) begun: Instant,
    pub(super) work: Work,
    /// One of so many that may wait at once.
    pub(super) _permit: OwnedSemaphorePermit,
}

pub(super) enum Work {
    /// The name is an upstream's.
    Elsewhere,
    /// The answer leads to this name, an upstream's.
    Chase(Name, Answer),
    /// The client will go on to these names, as the answer denies the one it asked for.
    Search(Vec<Name>, Answer),
}

impl Job {
    pub(crate) fn client(&self) -> Client {
        self.client
    }

    /// Does the work; the answer is in `room.out`.
    pub(crate) async fn finish(self: Box<Self>, server: &Server, room: &mut Room) {
        room.out.clear();
        let Packet::Query(query) = Packet::parse(&self.packet) else {
            return;
        };
        let asking = Asking {
            server,
            query,
            client: self.client,
            begun: self.begun,
        };
        match self.work {
            Work::Elsewhere => asking.forward(room).await,
            Work::Chase(target, answer) => {
                let answer = asking.chased(&target, answer).await;
                asking.write(&answer, Source::Cluster, room);
            }
            Work::Search(names, denial) => {
                let answer = asking.searched(&names).await.unwrap_or(denial);
                asking.write(&answer, Source::Cluster, room);
            }
        }
    }
}

impl Asking<'_> {
    async fn forward(&self, room: &mut Room) {
        let Some(name) = self.query.name() else {
            return;
        };
        let Some(stored) = self.resolved(&name).await else {
            // We would have nobody to ask, now or later.
            self.bare(ResponseCode::Refused, Source::Upstream, room);
            return;
        };
        stored.write(&self.query, Instant::now(), self.limits(), &mut room.out);
        self.answered(Source::Upstream, stored.code());
    }

    async fn resolved(&self, name: &Name) -> Option<Arc<Stored>> {
        let upstream = &self.server.upstream;
        upstream.resolve(name, self.query.kind, self.wishes()).await
    }

    /// The answer with what its target has. Without it where the upstream does not know it: the
    /// client may know better.
    async fn chased(&self, target: &Name, mut answer: Answer) -> Answer {
        let Some(found) = self.resolved(target).await else {
            return answer;
        };
        if let Some(message) = found
            .message()
            .filter(|_| found.kind != StoredKind::Failure)
        {
            answer.code = message.metadata.response_code;
            answer.answers.extend(message.answers);
            answer.authority.extend(message.authorities);
        }
        answer
    }

    /// The answer of the first of the names that exists, as if the asked name were an alias of it.
    async fn searched(&self, names: &[Name]) -> Option<Answer> {
        let asked = self.query.name()?;
        for name in names {
            let found = match self.in_cluster(name) {
                Verdict::Ours(answer) => match answer.leads_to.clone() {
                    Some(target) => self.chased(&target, answer).await,
                    None => answer,
                },
                Verdict::Elsewhere => {
                    let aliased = Answer::bare(ResponseCode::NoError);
                    let answer = self.chased(name, aliased).await;
                    // Nobody knows whether it exists: nor whether the next would be right.
                    if answer.answers.is_empty()
                        && answer.authority.is_empty()
                        && answer.code == ResponseCode::NoError
                    {
                        return None;
                    }
                    answer
                }
            };
            if found.code == ResponseCode::NoError {
                return Some(self.as_alias(&asked, name, found));
            }
        }
        None
    }

    fn in_cluster(&self, name: &Name) -> Verdict {
        let Server { feed, zone, .. } = self.server;
        let index = feed.is_synced().then(|| feed.read());
        let turn = fastrand::usize(..);
        answer(zone, index.as_deref(), name, self.query.kind, turn)
    }

    fn as_alias(&self, asked: &Name, name: &Name, mut found: Answer) -> Answer {
        let alias = RData::CNAME(CNAME(name.clone()));
        let alias = self.server.zone.record(asked.clone(), alias);
        found.answers.insert(0, alias);
        found.authoritative = true;
        found
    }
}
