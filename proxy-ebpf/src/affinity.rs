//! Clients that keep their endpoint (`sessionAffinity: ClientIP`), over every frontend of a Service
//! port, for as long as the Service says and the endpoint serves.

use crate::maps::{self, Room};
use crate::parse::Packet;
use crate::service::{self, Client};

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

/// Has the client's time count from now, because it has just used its endpoint: it speaks in the
/// flow that is in the room. A conversation that drains from an endpoint that is no longer the
/// client's changes nothing.
///
/// Asked for once a tick and flow, so it can afford to look the Service up.
#[inline(never)]
pub(crate) fn renew(packet: &Packet, room: &mut Room) {
    if !service::find(packet, Client::Inside, &mut room.service)
        || room.service.affinity_seconds == 0
    {
        return;
    }
    room.client.service = room.service.number;
    room.client.address = packet.key.source;
    maps::renew_client(&room.client, &room.flow.endpoint());
}

/// Remembers where the conversation in `room.flow` goes, for the client's next one.
#[inline(always)]
pub(crate) fn remember(room: &mut Room) {
    if room.service.affinity_seconds != 0 {
        maps::keep_client(&room.client, room.flow.endpoint());
    }
}
