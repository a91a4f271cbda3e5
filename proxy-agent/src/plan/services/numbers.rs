//! The number of each Service port: the programs keep what they know of a port's clients under it.
//!
//! A number is a hash of the port's name, or one of the next few where another port has that one.
//! A new agent takes over the numbers that it finds in the kernel, so a port keeps its own.

use std::collections::{BTreeMap, BTreeSet};

use cluster_model::ServiceName;

use crate::plan::desired::PortId;

/// How far from its hash a number in the kernel may be and still be taken for the port's own.
const NEAR: u32 = 16;

/// The numbers in use.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    ports: BTreeMap<ServiceName, Vec<(PortId, u32)>>,
    taken: BTreeSet<u32>,
}

impl Numbers {
    /// Forgets the ports of a Service that are not among `kept`, and returns their numbers.
    pub(super) fn keep(&mut self, service: &ServiceName, kept: &[&PortId]) -> Vec<u32> {
        let Some(ports) = self.ports.get_mut(service) else {
            return Vec::new();
        };
        let gone = ports.extract_if(.., |(port, _)| !kept.contains(&&*port));
        let gone: Vec<u32> = gone.map(|(_, number)| number).collect();
        if ports.is_empty() {
            self.ports.remove(service);
        }
        for number in &gone {
            self.taken.remove(number);
        }
        gone
    }

    /// Gives a port without a number the one that the kernel holds at one of its frontends, if
    /// that can be its own.
    pub(super) fn adopt(
        &mut self,
        service: &ServiceName,
        port: &PortId,
        held: impl Iterator<Item = u32>,
    ) {
        if self.get(service, port).is_some() {
            return;
        }
        let first = hash(service, port);
        let own = |number: &u32| *number != 0 && number.wrapping_sub(first) < NEAR;
        let mut held = held.filter(own);
        if let Some(number) = held.find(|number| !self.taken.contains(number)) {
            self.put(service, port, number);
        }
    }

    /// The port's number; a new one if it has none yet.
    pub(super) fn of(&mut self, service: &ServiceName, port: &PortId) -> u32 {
        if let Some(number) = self.get(service, port) {
            return number;
        }
        let first = hash(service, port);
        let mut numbers = (0..=u32::MAX).map(|step| first.wrapping_add(step));
        let free = |number: &u32| *number != 0 && !self.taken.contains(number);
        // There are more numbers than there can be ports.
        let number = numbers.find(free).unwrap_or(first);
        self.put(service, port, number);
        number
    }

    /// Whether some port has this number.
    pub(super) fn is_taken(&self, number: u32) -> bool {
        self.taken.contains(&number)
    }

    fn get(&self, service: &ServiceName, port: &PortId) -> Option<u32> {
        let mut ports = self.ports.get(service)?.iter();
        ports.find(|(known, _)| known == port).map(|(_, n)| *n)
    }

    fn put(&mut self, service: &ServiceName, port: &PortId, number: u32) {
        let ports = self.ports.entry(service.clone()).or_default();
        ports.push((port.clone(), number));
        self.taken.insert(number);
    }
}

/// FNV-1a, the same in every version: numbers outlive the agent that gave them.
fn hash(service: &ServiceName, port: &PortId) -> u32 {
    let words = [&*service.namespace, &*service.name, &*port.name];
    // A byte that is in no name, so that no two names run into each other.
    let names = words.iter().flat_map(|word| word.bytes().chain([0xff]));
    let bytes = names.chain([port.protocol.number()]);
    bytes.fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use cluster_model::Protocol;

    use super::*;

    fn web() -> ServiceName {
        ServiceName::new("default", "web")
    }

    fn port(name: &str) -> PortId {
        PortId {
            name: name.into(),
            protocol: Protocol::Tcp,
        }
    }

    #[test]
    fn a_number_stays_and_is_nobody_elses() {
        let mut numbers = Numbers::default();
        let http = numbers.of(&web(), &port("http"));
        let metrics = numbers.of(&web(), &port("metrics"));
        assert_ne!(http, metrics);
        assert_eq!(numbers.of(&web(), &port("http")), http);
        assert_eq!(numbers.keep(&web(), &[&port("http")]), [metrics]);
        assert_eq!(
            Numbers::default().of(&web(), &port("http")),
            http,
            "whoever gives it"
        );
    }

    #[test]
    fn two_ports_of_one_hash_get_two_numbers_and_keep_them() {
        let other = ServiceName::new("default", "other");
        let own = hash(&web(), &port("http"));
        let mut numbers = Numbers::default();
        numbers.put(&other, &port("x"), own);
        let number = numbers.of(&web(), &port("http"));
        assert_eq!(number, own.wrapping_add(1));
        // The other one goes while no agent runs; a new agent finds the port's number as it was.
        let mut numbers = Numbers::default();
        numbers.adopt(&web(), &port("http"), [0, number].into_iter());
        assert_eq!(numbers.of(&web(), &port("http")), number);
    }

    #[test]
    fn a_number_that_another_port_had_is_not_adopted() {
        let mut numbers = Numbers::default();
        let foreign = hash(&web(), &port("http")).wrapping_add(1_000_000);
        numbers.adopt(&web(), &port("http"), [foreign].into_iter());
        assert_eq!(
            numbers.of(&web(), &port("http")),
            hash(&web(), &port("http"))
        );
    }
}
