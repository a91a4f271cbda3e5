//! How long a flow keeps its tuple from others that want it.
//!
//! The agent removes flows in its own time; a program that finds no free port cannot wait for it.

use proxy_abi::{Flow, protocol};

/// What is known of a flow that stands in another's way.
#[derive(Clone, Copy, Debug)]
pub struct Life {
    /// IP protocol number.
    pub protocol: u8,
    /// Whether its client has not answered an answer yet.
    pub opening: bool,
    /// [`Flow::state`] of its client's half, and of the half of the answers.
    pub states: [u8; 2],
    /// How long neither half has been used, in the units of [`Flow::time`] (1.07 seconds).
    pub idle: u32,
}

/// Whether a flow may be taken for over. `pressed`: there is hardly a free port left, and better
/// a conversation that might have gone on than none for the newcomer.
///
/// Not an established TCP connection, however silent. The times are those after which nobody
/// expects an answer (a resolver's few seconds, a SYN's retransmissions) or, unpressed, those of the
/// kernel's connection tracking (nf_conntrack_udp_timeout and its like) and a part of TCP's
/// TIME-WAIT.
#[inline(always)]
#[must_use]
pub fn is_over(life: &Life, pressed: bool) -> bool {
    let patience =
        |calm: u32, under_pressure: u32| life.idle >= if pressed { under_pressure } else { calm };
    if life.protocol != protocol::TCP {
        return if life.opening {
            patience(30, 3)
        } else {
            patience(180, 30)
        };
    }
    let [client, answers] = life.states;
    let reset = (client | answers) & Flow::RESET != 0;
    let finished = client & answers & Flow::FINISHED != 0;
    if reset || finished {
        patience(10, 0)
    } else {
        life.opening && patience(60, 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_and_what_is_not() {
        let (none, fin, rst) = (Flow::SPOKE, Flow::FINISHED, Flow::RESET);
        let rows = [
            (
                "established",
                protocol::TCP,
                false,
                [none, none],
                80_000,
                [false, false],
            ),
            (
                "half closed",
                protocol::TCP,
                false,
                [fin, none],
                5_000,
                [false, false],
            ),
            (
                "just closed",
                protocol::TCP,
                false,
                [fin, fin],
                0,
                [false, true],
            ),
            ("closed", protocol::TCP, false, [fin, fin], 10, [true, true]),
            ("reset", protocol::TCP, false, [none, rst], 10, [true, true]),
            (
                "a syn on its way",
                protocol::TCP,
                true,
                [none, 0],
                5,
                [false, false],
            ),
            (
                "a syn nobody answers",
                protocol::TCP,
                true,
                [none, 0],
                30,
                [false, true],
            ),
            (
                "a question on its way",
                protocol::UDP,
                true,
                [none, 0],
                1,
                [false, false],
            ),
            (
                "an answered question",
                protocol::UDP,
                true,
                [none, none],
                5,
                [false, true],
            ),
            (
                "a silent stream",
                protocol::UDP,
                false,
                [none, none],
                60,
                [false, true],
            ),
            (
                "a forgotten stream",
                protocol::UDP,
                false,
                [none, none],
                200,
                [true, true],
            ),
            (
                "a ping",
                protocol::ICMP,
                true,
                [none, none],
                31,
                [true, true],
            ),
        ];
        for (name, protocol, opening, states, idle, expected) in rows {
            let life = Life {
                protocol,
                opening,
                states,
                idle,
            };
            let seen = [is_over(&life, false), is_over(&life, true)];
            assert_eq!(seen, expected, "{name}");
        }
    }
}
