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
/// kernel's connection tracking (nf_conntrack_udp_timeout and its like) and the whole of TCP's
/// TIME-WAIT: where the endpoint closed first, it still has the tuple, and answers another client's
/// SYN under it with an ACK of the old connection, which costs that client a retransmission.
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
        patience(60, 0)
    } else {
        life.opening && patience(60, 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a flow is over, calm and pressed.
    fn over(protocol: u8, opening: bool, states: [u8; 2], idle: u32) -> [bool; 2] {
        let life = Life {
            protocol,
            opening,
            states,
            idle,
        };
        [is_over(&life, false), is_over(&life, true)]
    }

    const SPOKE: u8 = Flow::SPOKE;
    const NEVER: [bool; 2] = [false, false];
    const PRESSED: [bool; 2] = [false, true];
    const OVER: [bool; 2] = [true, true];

    #[test]
    fn an_established_connection_is_never_over() {
        let tcp = |states, idle| over(protocol::TCP, false, states, idle);
        assert_eq!(tcp([SPOKE, SPOKE], 80_000), NEVER);
        assert_eq!(tcp([Flow::FINISHED, SPOKE], 5_000), NEVER, "half closed");
        assert_eq!(
            tcp([Flow::FINISHED, Flow::FINISHED], 0),
            PRESSED,
            "just closed"
        );
        let closed = [Flow::FINISHED, Flow::FINISHED];
        assert_eq!(tcp(closed, 59), PRESSED, "in TIME-WAIT");
        assert_eq!(tcp(closed, 60), OVER, "closed");
        assert_eq!(tcp([SPOKE, Flow::RESET], 60), OVER, "reset");
    }

    #[test]
    fn what_nobody_answers_is_over_sooner() {
        let tcp = |idle| over(protocol::TCP, true, [SPOKE, 0], idle);
        assert_eq!([tcp(5), tcp(30), tcp(60)], [NEVER, PRESSED, OVER], "a SYN");
        let udp = |idle| over(protocol::UDP, true, [SPOKE, SPOKE], idle);
        assert_eq!(
            [udp(1), udp(5), udp(30)],
            [NEVER, PRESSED, OVER],
            "a question"
        );
        let stream = |idle| over(protocol::UDP, false, [SPOKE, SPOKE], idle);
        assert_eq!([stream(9), stream(60), stream(200)], [NEVER, PRESSED, OVER]);
        assert_eq!(
            over(protocol::ICMP, true, [SPOKE, SPOKE], 31),
            OVER,
            "a ping"
        );
    }
}
