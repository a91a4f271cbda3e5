//! Clients that keep their endpoint (`sessionAffinity: ClientIP`), over every frontend of a Service
//! port, for as long as the Service says and the endpoint serves.

use crate::maps::{self, Room};
use crate::parse::Packet;

/// Has the client's next conversation go where its last one went, if that still counts.
#[inline(never)]
pub(crate) fn prefer(packet: &Packet, room: &mut Room) {
    room.service.prefer(None);
    if room.service.affinity_seconds == 0 {
        return;
    }
    room.client.service = room.service.number;
    room.client.address = packet.key.source;
    if let Some(affinity) = maps::affinity(&room.client)
        && affinity.counts(maps::now(), room.service.affinity_seconds)
        && room.service.serves(affinity.endpoint.at())
    {
        room.service.prefer(Some(affinity.endpoint));
    }
}

/// Remembers where the conversation in `room.flow` goes, for the client's next one.
#[inline(always)]
pub(crate) fn remember(room: &mut Room) {
    if room.service.affinity_seconds != 0 {
        maps::keep_client(&room.client, room.flow.endpoint());
    }
}
