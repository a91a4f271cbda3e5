//! A synchronous rtnetlink socket: several requests go out in one datagram, the kernel carries
//! them out in order before the send returns, and each is answered by an acknowledgement.

mod answers;

use std::io;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::LinkHeader;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

use crate::error::Error;
use answers::Answers;
pub(crate) use answers::Object;

/// An answer fits: the kernel never packs more than 32 KiB into one datagram (NLMSG_GOODSIZE).
const RECEIVE_BUFFER: usize = 32 * 1024;
/// How often a list is asked for again that changed while the kernel told it.
const ATTEMPTS: u32 = 20;

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
        let failed = |source| failure("open a netlink socket".to_owned(), source);
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
    /// Returns the objects that were asked for, in order.
    ///
    /// # Errors
    /// The first step that failed.
    pub(crate) fn run(&mut self, steps: Vec<Step>) -> Result<Vec<Object>, Error> {
        let answers = self.exchange(steps)?;
        answers.failed.map_or(Ok(answers.objects), Err)
    }

    /// The index of the interface that `step` asks for, if there is one of that name.
    ///
    /// # Errors
    /// When the kernel refuses for another reason.
    pub(crate) fn index(&mut self, step: Step) -> Result<Option<u32>, Error> {
        let doing = step.doing.clone();
        let Some(found) = self.find(step)? else {
            return Ok(None);
        };
        // Only the header is read: decoding every attribute a newer kernel may add is a way to
        // fail that a pod's start does not need.
        let header = LinkHeader::parse(&found.payload).map_err(io::Error::other);
        let header = header.map_err(|source| failure(doing, source))?;
        Ok(Some(header.index))
    }

    /// The one object that `step` asks for, if it is there.
    ///
    /// # Errors
    /// When the kernel refuses for another reason.
    pub(crate) fn find(&mut self, step: Step) -> Result<Option<Object>, Error> {
        match self.run(vec![step]) {
            Err(error) if error.is_absence() => Ok(None),
            found => found.map(|objects| objects.into_iter().next()),
        }
    }

    /// All objects of the kind that `list` makes a request for. It is made anew when the list
    /// changed while it was told.
    ///
    /// # Errors
    /// When the kernel refuses, or the list does not come to rest.
    pub(crate) fn list(&mut self, list: impl Fn() -> Step) -> Result<Vec<Object>, Error> {
        // Has the kernel understand filters in the request, or refuse it.
        let strict = self.socket.set_netlink_get_strict_chk(true);
        strict.map_err(|source| failure(list().doing, source))?;
        for _ in 0..ATTEMPTS {
            let mut step = list();
            step.flags |= NLM_F_DUMP;
            let answers = self.exchange(vec![step])?;
            if let Some(error) = answers.failed {
                return Err(error);
            }
            if !answers.interrupted {
                return Ok(answers.objects);
            }
        }
        let restless = io::Error::other("it changed each time while the kernel told it");
        Err(failure(list().doing, restless))
    }

    fn exchange(&mut self, steps: Vec<Step>) -> Result<Answers, Error> {
        let first = self.sequence.wrapping_add(1);
        let mut request = Vec::new();
        let mut doings = Vec::with_capacity(steps.len());
        for step in steps {
            self.sequence = self.sequence.wrapping_add(1);
            doings.push(step.doing);
            append(&mut request, self.sequence, step.flags, step.message);
        }
        let told = |source| failure(doings.join(", "), source);
        self.socket
            .send_to(&request, &SocketAddr::new(0, 0), 0)
            .map_err(told)?;

        let mut answers = Answers::awaited(first, doings.len());
        let mut datagram = Vec::with_capacity(RECEIVE_BUFFER);
        while answers.open > 0 {
            datagram.clear();
            self.socket.recv(&mut datagram, 0).map_err(told)?;
            answers.take(&datagram, &doings).map_err(told)?;
        }
        Ok(answers)
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

fn failure(doing: String, source: io::Error) -> Error {
    Error::Netlink {
        doing,
        said: None,
        source,
    }
}
