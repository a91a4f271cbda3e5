//! A synchronous rtnetlink socket: several requests go out in one datagram, the kernel carries
//! them out in order before the send returns, and each is answered by an acknowledgement.

use std::io;

use netlink_packet_core::{
    ErrorBuffer, NLM_F_ACK, NLM_F_ACK_TLVS, NLM_F_REQUEST, NLMSG_ERROR, NetlinkBuffer,
    NetlinkHeader, NetlinkMessage, NetlinkPayload, NlasIterator,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::LinkHeader;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

use crate::error::Error;

/// An answer fits: the kernel never packs more than 32 KiB into one datagram (NLMSG_GOODSIZE).
const RECEIVE_BUFFER: usize = 32 * 1024;
/// Attribute of an acknowledgement that carries words (linux/netlink.h).
const NLMSGERR_ATTR_MSG: u16 = 1;
/// A netlink header's length: what an acknowledgement repeats of the request.
const NETLINK_HEADER: usize = 16;
/// `RTM_NEWLINK`, the answer to `RTM_GETLINK` (linux/rtnetlink.h).
const RTM_NEWLINK: u16 = 16;

/// One request and how to speak of it when it fails.
#[derive(Debug)]
pub(crate) struct Step {
    /// The operation and its object, after "cannot".
    pub(crate) doing: String,
    /// `NLM_F_*` beyond request and acknowledgement.
    pub(crate) flags: u16,
    /// The request itself.
    pub(crate) message: RouteNetlinkMessage,
}

/// A socket, bound to the namespace it was opened in.
#[derive(Debug)]
pub(crate) struct Netlink {
    socket: Socket,
    sequence: u32,
}

impl Netlink {
    /// Opens a socket in the calling thread's network namespace.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(crate) fn open() -> Result<Self, Error> {
        let failed = |source| Error::Netlink {
            doing: "open a netlink socket".to_owned(),
            said: None,
            source,
        };
        let socket = Socket::new(NETLINK_ROUTE).map_err(failed)?;
        // Errors in words, and without the request repeated in them.
        socket.set_ext_ack(true).map_err(failed)?;
        socket.set_cap_ack(true).map_err(failed)?;
        Ok(Self {
            socket,
            sequence: 0,
        })
    }

    /// Carries the steps out in order. The kernel goes on after one that fails, so a caller whose
    /// steps build on each other undoes them all.
    ///
    /// Returns the index of each interface that was asked for, in order.
    ///
    /// # Errors
    /// The first step that failed.
    pub(crate) fn run(&mut self, steps: Vec<Step>) -> Result<Vec<u32>, Error> {
        let first = self.sequence.wrapping_add(1);
        let mut request = Vec::new();
        let mut doings = Vec::with_capacity(steps.len());
        for step in steps {
            self.sequence = self.sequence.wrapping_add(1);
            doings.push(step.doing);
            append(&mut request, self.sequence, step.flags, step.message);
        }
        let told = |source| Error::Netlink {
            doing: doings.join(", "),
            said: None,
            source,
        };
        self.socket
            .send_to(&request, &SocketAddr::new(0, 0), 0)
            .map_err(told)?;

        let mut answers = Answers {
            first,
            open: doings.len(),
            indices: Vec::new(),
            failed: None,
        };
        let mut datagram = Vec::with_capacity(RECEIVE_BUFFER);
        while answers.open > 0 {
            datagram.clear();
            self.socket.recv(&mut datagram, 0).map_err(told)?;
            answers.take(&datagram, &doings).map_err(told)?;
        }
        answers.failed.map_or(Ok(answers.indices), Err)
    }
}

fn append(request: &mut Vec<u8>, sequence: u32, flags: u16, message: RouteNetlinkMessage) {
    let mut header = NetlinkHeader::default();
    header.sequence_number = sequence;
    header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::from(message));
    message.finalize();
    let at = request.len();
    request.resize(at + message.buffer_len().next_multiple_of(4), 0);
    message.serialize(&mut request[at..]);
}

/// What came back so far for a batch.
struct Answers {
    first: u32,
    open: usize,
    indices: Vec<u32>,
    failed: Option<Error>,
}

impl Answers {
    /// Goes through the messages of one datagram.
    fn take(&mut self, mut datagram: &[u8], doings: &[String]) -> io::Result<()> {
        while !datagram.is_empty() {
            let message = NetlinkBuffer::new_checked(datagram).map_err(io::Error::other)?;
            match message.message_type() {
                NLMSG_ERROR => self.acknowledge(&message, doings)?,
                // Only the header is read: decoding every attribute a newer kernel may add is a
                // way to fail that a pod's start does not need.
                RTM_NEWLINK => {
                    let header = LinkHeader::parse(message.payload()).map_err(io::Error::other)?;
                    self.indices.push(header.index);
                }
                _other => {}
            }
            let length = (message.length() as usize).next_multiple_of(4);
            datagram = datagram.get(length..).unwrap_or_default();
        }
        Ok(())
    }

    fn acknowledge(&mut self, message: &NetlinkBuffer<&[u8]>, doings: &[String]) -> io::Result<()> {
        self.open -= 1;
        let error = ErrorBuffer::new_checked(message.payload()).map_err(io::Error::other)?;
        let Some(code) = error.code().filter(|_| self.failed.is_none()) else {
            return Ok(());
        };
        let step = message.sequence_number().wrapping_sub(self.first) as usize;
        self.failed = Some(Error::Netlink {
            doing: doings.get(step).cloned().unwrap_or_default(),
            said: (message.flags() & NLM_F_ACK_TLVS != 0)
                .then(|| words(error.payload()))
                .flatten(),
            source: io::Error::from_raw_os_error(code.get().saturating_neg()),
        });
        Ok(())
    }
}

/// What the kernel says about the error, after the repeated header of the request.
fn words(payload: &[u8]) -> Option<String> {
    let attributes = NlasIterator::new(payload.get(NETLINK_HEADER..)?);
    let said = attributes
        .flatten()
        .find(|attribute| attribute.kind() == NLMSGERR_ATTR_MSG)?;
    let text = String::from_utf8_lossy(said.value());
    Some(text.trim_end_matches('\0').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_ack(sequence: u32, code: i32, said: &str) -> Vec<u8> {
        let mut bytes = vec![0; 36];
        if !said.is_empty() {
            let length = u16::try_from(said.len() + 5).unwrap();
            bytes.extend(length.to_ne_bytes());
            bytes.extend(NLMSGERR_ATTR_MSG.to_ne_bytes());
            bytes.extend(said.as_bytes());
            bytes.push(0);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        let length = u32::try_from(bytes.len()).unwrap();
        let mut message = NetlinkBuffer::new(&mut bytes);
        message.set_length(length);
        message.set_message_type(NLMSG_ERROR);
        message.set_flags(if said.is_empty() { 0 } else { NLM_F_ACK_TLVS });
        message.set_sequence_number(sequence);
        message.payload_mut()[..4].copy_from_slice(&code.to_ne_bytes());
        bytes
    }

    fn take(datagrams: &[Vec<u8>]) -> Answers {
        let doings = ["open the door", "walk through", "close it"].map(String::from);
        let mut answers = Answers {
            first: 7,
            open: 3,
            indices: Vec::new(),
            failed: None,
        };
        for datagram in datagrams {
            answers.take(datagram, &doings).unwrap();
        }
        answers
    }

    #[test]
    fn the_first_failure_is_told_with_the_kernels_words() {
        let answers = take(&[
            mk_ack(7, 0, ""),
            mk_ack(8, -17, "it is a wall"),
            mk_ack(9, -19, ""),
        ]);
        assert_eq!(answers.open, 0);
        let error = answers.failed.unwrap();
        assert_eq!(error.to_string(), "cannot walk through (it is a wall)");
        assert_eq!(error.errno(), Some(17));
    }

    #[test]
    fn acknowledgements_may_share_a_datagram() {
        let answers = take(&[
            [mk_ack(7, 0, ""), mk_ack(8, 0, "")].concat(),
            mk_ack(9, 0, ""),
        ]);
        assert!(answers.open == 0 && answers.failed.is_none());
    }

    #[test]
    fn a_cut_off_answer_is_an_error_not_a_panic() {
        let mut answers = Answers {
            first: 1,
            open: 1,
            indices: Vec::new(),
            failed: None,
        };
        for length in 1..36 {
            assert!(
                answers.take(&mk_ack(1, -1, "")[..length], &[]).is_err(),
                "{length} bytes"
            );
        }
    }
}
