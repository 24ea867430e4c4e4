//! Work on what others send: a panic in it costs this work and not the process, and its tasks end with it.

use std::{any::Any, panic::AssertUnwindSafe};

use futures_util::FutureExt;
use thiserror::Error;

mod tasks;

pub(crate) use tasks::Tasks;

/// A panic: a bug of this program, whatever the other side has sent.
#[derive(Debug, Error)]
#[error("exp-rkt-grpc panicked: {0}; this is a bug in exp-rkt-grpc, please report it")]
pub(crate) struct Panic(String);

impl Panic {
    fn of(payload: &(dyn Any + Send)) -> Self {
        Self(message(payload).to_owned())
    }
}

/// What a panic was called with.
pub(crate) fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("without a message")
}

/// Awaits `work`. What `work` has changed must be whole at each await and after a panic.
///
/// # Errors
///
/// When it panics.
pub(crate) async fn caught<T>(work: impl Future<Output = T>) -> Result<T, Panic> {
    let caught = AssertUnwindSafe(work).catch_unwind().await;
    caught.map_err(|payload| Panic::of(payload.as_ref()))
}

#[cfg(test)]
mod tests {
    use std::panic::panic_any;

    use super::caught;

    #[tokio::test]
    async fn the_words_of_a_panic_are_told() {
        let number = 7;
        let told = [
            (caught(async { panic!("of cheese") }).await, "of cheese"),
            (caught(async { panic!("no {number}") }).await, "no 7"),
            (
                caught(async { panic_any(number) }).await,
                "without a message",
            ),
        ];
        for (caught, words) in told {
            let caught: Result<(), _> = caught;
            let told = caught.expect_err("it panics").to_string();
            let right = format!("exp-rkt-grpc panicked: {words}; this is a bug");
            assert!(told.starts_with(&right), "{told}");
        }
    }
}
