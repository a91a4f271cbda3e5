//! Changes of several kinds as one stream, in batches.

use futures::future::select_all;

use crate::store::{ApiError, Change, Kind, Store, Watch};

/// Watches several kinds at once. After a gap in the history it starts over, with every present
/// object as Added: a controller that looks at all it is told about misses nothing.
#[derive(Debug)]
pub(super) struct Inbox {
    store: Store,
    kinds: &'static [Kind],
    watches: Vec<Watch>,
}

impl Inbox {
    /// # Errors
    /// Never for a watch from the present; the store says so by its type only.
    pub(super) fn open(store: &Store, kinds: &'static [Kind]) -> Result<Self, ApiError> {
        let watches = open_all(store, kinds)?;
        Ok(Self {
            store: store.clone(),
            kinds,
            watches,
        })
    }

    /// Waits for a change, then takes all there are.
    pub(super) async fn next(&mut self) -> Result<Vec<(Kind, Change)>, ApiError> {
        match self.collect().await {
            Ok(changes) => Ok(changes),
            Err(gap) => {
                tracing::warn!(kinds = ?self.kinds, %gap, "watching again from the present");
                self.watches = open_all(&self.store, self.kinds)?;
                self.collect().await
            }
        }
    }

    async fn collect(&mut self) -> Result<Vec<(Kind, Change)>, ApiError> {
        let waiting = self.watches.iter_mut().map(|watch| Box::pin(watch.next()));
        let (first, index, rest) = select_all(waiting).await;
        drop(rest);
        let mut changes = vec![(self.kinds[index], first?)];
        for (kind, watch) in self.kinds.iter().zip(&mut self.watches) {
            while let Some(change) = watch.try_next()? {
                changes.push((*kind, change));
            }
        }
        Ok(changes)
    }
}

fn open_all(store: &Store, kinds: &[Kind]) -> Result<Vec<Watch>, ApiError> {
    kinds
        .iter()
        .map(|kind| store.watch(*kind, None, None))
        .collect()
}
