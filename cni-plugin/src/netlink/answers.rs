//! What the kernel sends back for a batch of requests.

use std::io;

use netlink_packet_core::{
    DoneBuffer, ErrorBuffer, NLM_F_ACK_TLVS, NLM_F_DUMP_INTR, NLMSG_DONE, NLMSG_ERROR,
    NetlinkBuffer, NlasIterator,
};

use crate::error::Error;

/// Attribute of an acknowledgement that carries words (linux/netlink.h).
const NLMSGERR_ATTR_MSG: u16 = 1;
/// A netlink header's length: what an acknowledgement repeats of the request.
const NETLINK_HEADER: usize = 16;

/// Something that was asked for, not decoded yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Object {
    /// `RTM_NEW*`.
    pub(crate) kind: u16,
    /// Header and attributes.
    pub(crate) payload: Vec<u8>,
}

/// What came back so far for a batch.
#[derive(Debug)]
pub(super) struct Answers {
    first: u32,
    /// How many requests are not answered yet.
    pub(super) open: usize,
    /// What was asked for.
    pub(super) objects: Vec<Object>,
    /// Whether a list changed while it was told, so that it may miss something.
    pub(super) interrupted: bool,
    /// The first request that was refused.
    pub(super) failed: Option<Error>,
}

impl Answers {
    /// None so far, to `requests` requests of which the first has that sequence number.
    pub(super) fn awaited(first: u32, requests: usize) -> Self {
        Self {
            first,
            open: requests,
            objects: Vec::new(),
            interrupted: false,
            failed: None,
        }
    }

    /// Goes through the messages of one datagram. `doings` says what each request was to do.
    ///
    /// # Errors
    /// When it is cut off.
    pub(super) fn take(&mut self, mut datagram: &[u8], doings: &[String]) -> io::Result<()> {
        while !datagram.is_empty() {
            let message = NetlinkBuffer::new_checked(datagram).map_err(io::Error::other)?;
            self.interrupted |= message.flags() & NLM_F_DUMP_INTR != 0;
            match message.message_type() {
                NLMSG_ERROR => {
                    let answer = message.payload();
                    let error = ErrorBuffer::new_checked(answer).map_err(io::Error::other)?;
                    let said = message.flags() & NLM_F_ACK_TLVS != 0;
                    let said = said.then(|| words(error.payload())).flatten();
                    let code = error.code().map_or(0, |code| code.get());
                    self.close(message.sequence_number(), code, said, doings);
                }
                NLMSG_DONE => {
                    let answer = message.payload();
                    let done = DoneBuffer::new_checked(answer).map_err(io::Error::other)?;
                    self.close(message.sequence_number(), done.code(), None, doings);
                }
                kind => self.objects.push(Object {
                    kind,
                    payload: message.payload().to_vec(),
                }),
            }
            let length = (message.length() as usize).next_multiple_of(4);
            datagram = datagram.get(length..).unwrap_or_default();
        }
        Ok(())
    }

    /// A request is answered. `code` is zero or a negative error number.
    fn close(&mut self, sequence: u32, code: i32, said: Option<String>, doings: &[String]) {
        self.open = self.open.saturating_sub(1);
        if code >= 0 || self.failed.is_some() {
            return;
        }
        let step = sequence.wrapping_sub(self.first) as usize;
        self.failed = Some(Error::Netlink {
            doing: doings.get(step).cloned().unwrap_or_default(),
            said,
            source: io::Error::from_raw_os_error(code.saturating_neg()),
        });
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

    fn mk_message(kind: u16, flags: u16, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; NETLINK_HEADER + payload.len()];
        let length = u32::try_from(bytes.len()).unwrap();
        let mut message = NetlinkBuffer::new(&mut bytes);
        message.set_length(length);
        message.set_message_type(kind);
        message.set_flags(flags);
        message.set_sequence_number(7);
        message.payload_mut().copy_from_slice(payload);
        bytes
    }

    #[test]
    fn a_list_ends_with_its_own_message_and_says_when_it_changed_meanwhile() {
        let whole = take(&[
            mk_message(16, 0, &[1; 4]),
            mk_message(NLMSG_DONE, 0, &[0; 4]),
        ]);
        assert_eq!(
            (whole.open, whole.objects.len(), whole.interrupted),
            (2, 1, false)
        );
        let torn = take(&[mk_message(NLMSG_DONE, NLM_F_DUMP_INTR, &[0; 4])]);
        assert!(torn.interrupted && torn.failed.is_none());
        let refused = take(&[mk_message(NLMSG_DONE, 0, &(-22_i32).to_ne_bytes())]);
        assert_eq!(refused.failed.unwrap().errno(), Some(22));
    }

    fn take(datagrams: &[Vec<u8>]) -> Answers {
        let doings = ["open the door", "walk through", "close it"].map(String::from);
        let mut answers = Answers::awaited(7, 3);
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
        let mut answers = Answers::awaited(1, 1);
        for length in 1..36 {
            assert!(
                answers.take(&mk_ack(1, -1, "")[..length], &[]).is_err(),
                "{length} bytes"
            );
        }
    }
}
