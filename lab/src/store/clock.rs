//! Time and randomness of the store: timestamps, uids, name suffixes.
//!
//! Timestamps are RFC 3339 in UTC with whole seconds, as `metav1.Time` writes them.

use jiff::{SignedDuration, Timestamp};

/// The present moment.
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// `metav1.Time`: RFC 3339, UTC, whole seconds.
pub fn format(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The present moment as `metav1.Time`, for `lastTransitionTime` and the like.
pub fn timestamp() -> String {
    format(now())
}

/// `moment` plus a number of seconds (negative: earlier); stays where it is at the end of time.
pub fn shift(moment: Timestamp, seconds: i64) -> Timestamp {
    moment
        .checked_add(SignedDuration::from_secs(seconds))
        .unwrap_or(moment)
}

/// Reads `metav1.Time` and `metav1.MicroTime`.
pub fn parse(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

/// A random (version 4) UUID.
pub fn uid() -> String {
    // RFC 9562 section 5.4: version in the top nibble of octet 6, variant in that of octet 8.
    let bits = fastrand::u128(..) & !(0xf << 76) & !(0x3 << 62) | (4 << 76) | (2 << 62);
    let hex = format!("{bits:032x}");
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}

/// The five letters that follow `generateName`, from upstream's alphabet without vowels.
pub fn suffix() -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    (0..5)
        .map(|_| char::from(ALPHABET[fastrand::usize(..ALPHABET.len())]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uid_is_version_four() {
        for _ in 0..100 {
            let uid = uid();
            assert_eq!(uid.len(), 36);
            assert_eq!(&uid[14..15], "4", "{uid}");
            assert!("89ab".contains(&uid[19..20]), "{uid}");
        }
    }

    #[test]
    fn timestamps_round_trip() {
        let text = "2024-05-06T07:08:09Z";
        let moment = parse(text).expect("valid");
        assert_eq!(format(moment), text);
        assert_eq!(format(shift(moment, -9)), "2024-05-06T07:08:00Z");
        assert_eq!(parse("yesterday"), None);
    }
}
