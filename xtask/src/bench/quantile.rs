//! Quantiles of what was measured. Pure.

/// The value that the share `q` (0 to 1) of all values does not exceed, by the nearest-rank
/// method: always one of the values, never one in between. NaN where there are none.
pub(super) fn quantile(values: &[f64], q: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    // A rank below zero or too large saturates.
    let rank = (q * sorted.len() as f64).ceil() as usize;
    let index = rank.saturating_sub(1).min(last);
    sorted.get(index).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_a_value_that_was_measured() {
        let hundred: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        for (values, q, expected) in [
            (hundred.as_slice(), 0.5, 50.0),
            (&hundred, 0.99, 99.0),
            (&hundred, 1.0, 100.0),
            (&hundred, 0.0, 1.0),
            (&[3.0, 1.0, 2.0], 0.5, 2.0),
            (&[3.0, 1.0, 2.0], 0.99, 3.0),
            (&[4.0, 1.0, 2.0, 3.0], 0.5, 2.0),
            (&[7.0], 0.01, 7.0),
        ] {
            let found = quantile(values, q);
            assert_eq!(found.to_bits(), f64::to_bits(expected), "{q} of {values:?}");
        }
        assert!(quantile(&[], 0.5).is_nan());
    }
}
