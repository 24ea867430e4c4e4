//! Work on input from outside: a panic fails only that work, not the process, and the work's tasks end with it.

use std::{any::Any, panic::AssertUnwindSafe};

use futures_util::FutureExt;
use thiserror::Error;

mod tasks;

pub(crate) use tasks::Tasks;

/// A panic: a bug of this program, whatever the input.
#[derive(Debug, Error)]
#[error("exp-rkt-grpc panicked: {0}; this is a bug in exp-rkt-grpc, please report it")]
pub(crate) struct Panic(String);

impl Panic {
    fn of(payload: &(dyn Any + Send)) -> Self {
        Self(message(payload).to_owned())
    }
}

/// The message of a panic.
pub(crate) fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("without a message")
}

/// Awaits `work` and catches its panic. State that `work` changes must be consistent at each await and after a panic.
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
    async fn the_message_of_a_panic_is_reported() {
        let number = 7;
        let cases = [
            (caught(async { panic!("of cheese") }).await, "of cheese"),
            (caught(async { panic!("no {number}") }).await, "no 7"),
            (
                caught(async { panic_any(number) }).await,
                "without a message",
            ),
        ];
        for (caught, message) in cases {
            let caught: Result<(), _> = caught;
            let text = caught.expect_err("it panics").to_string();
            let right = format!("exp-rkt-grpc panicked: {message}; this is a bug");
            assert!(text.starts_with(&right), "{text}");
        }
    }
}
