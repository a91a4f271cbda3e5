//! The Ethernet header (IEEE 802.3): 14 bytes, destination, source, type. VLAN tags are in the
//! skb's metadata by the time a tcx program runs.

/// Bytes of the header.
pub const LEN: usize = 14;
/// Type of IPv4, host order.
pub const TYPE_IPV4: u16 = 0x0800;
/// Type of IPv6, host order.
pub const TYPE_IPV6: u16 = 0x86dd;
/// Offset of the source address.
pub const SOURCE: usize = 6;
