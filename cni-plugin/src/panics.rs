//! A bug must not leave the runtime with half a line on stdout and a backtrace to parse: even a
//! panic becomes an error of the specification. It unwinds, so what ADD had done is undone.

use std::panic::{self, AssertUnwindSafe};
use std::sync::Mutex;

use crate::error::Error;

/// What the last panic said and where. A panic's payload does not know its place.
static LAST: Mutex<String> = Mutex::new(String::new());

/// Runs `work`; a panic in it comes back as an error that says where.
pub(crate) fn caught<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    panic::set_hook(Box::new(|info| {
        let text = info.to_string();
        eprintln!("flatnet-cni: {text}");
        if let Ok(mut last) = LAST.lock() {
            *last = text;
        }
    }));
    // Nothing of `work` is looked at after it unwound: its input is only read.
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_payload| {
        let text = LAST.lock().map(|text| text.clone()).unwrap_or_default();
        Err(Error::Panic(text))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_that_says_where() {
        let error = caught::<()>(|| panic!("the {} broke", "vase"))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("the vase broke") && error.contains("panics.rs"),
            "{error}"
        );
        assert_eq!(caught(|| Ok(7)).unwrap(), 7);
    }
}
