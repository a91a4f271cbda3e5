//! How long an answer may take, on a machine that may stand still meanwhile.
//!
//! Time is counted in ticks that this process lived to see: a processor that was taken away for
//! seconds is one tick, and no server that did not answer.

use std::future::Future;
use std::time::Duration;

/// Ticks in which a time-out passes.
const TICKS: u32 = 50;

/// What comes of `work`, or nothing if that takes longer than `timeout`.
pub(crate) async fn within<T>(timeout: Duration, work: impl Future<Output = T>) -> Option<T> {
    tokio::pin!(work);
    for _ in 0..TICKS {
        if let Ok(done) = tokio::time::timeout(timeout / TICKS, work.as_mut()).await {
            return Some(done);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;
    use std::time::Instant;
    use tokio::time::sleep;

    const TIMEOUT: Duration = Duration::from_millis(500);

    #[tokio::test]
    async fn patience_ends() {
        let began = Instant::now();
        assert_eq!(within(TIMEOUT, std::future::pending::<()>()).await, None);
        assert!(began.elapsed() >= TIMEOUT);
    }

    #[tokio::test]
    async fn time_in_which_the_process_stood_still_does_not_count() {
        let work = async {
            thread::sleep(2 * TIMEOUT);
            // Still to be done when it goes on: a time-out by the clock would be over here.
            for _ in 0..3 {
                sleep(TIMEOUT / 100).await;
            }
        };
        assert_eq!(within(TIMEOUT, work).await, Some(()));
    }
}
