//! By how much longer things may take on a machine that is slower than most, such as an emulated
//! one: `FLATNET_LAB_PATIENCE=N` makes the lab, its demonstration and its tests wait N times as
//! long, and the demonstration ask N times less often. What a manifest says stays as it is, but
//! for the time that a probe may take.

use std::sync::LazyLock;
use std::time::Duration;

/// A whole number from 1.
const VARIABLE: &str = "FLATNET_LAB_PATIENCE";

static FACTOR: LazyLock<u32> = LazyLock::new(|| factor(std::env::var(VARIABLE).ok().as_deref()));

/// As long as a time-out is here that is `usual` elsewhere.
#[must_use]
pub fn longer(usual: Duration) -> Duration {
    usual.saturating_mul(*FACTOR)
}

/// What is no such number counts as 1.
fn factor(value: Option<&str>) -> u32 {
    let number = value.and_then(|value| value.parse::<u32>().ok());
    number.unwrap_or_default().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_is_a_whole_number_from_one() {
        for (value, expected) in [
            (None, 1),
            (Some("8"), 8),
            (Some("0"), 1),
            (Some("-2"), 1),
            (Some("much"), 1),
        ] {
            assert_eq!(factor(value), expected, "{value:?}");
        }
    }
}
