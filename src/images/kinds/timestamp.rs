//! Times of import.

use scan::{Value, read_fields};

/// The time, if it is between 1970 and the year 10000.
///
/// 0 means unset. Go's zero time, which servers send for an unknown time, is the year 1 (-62135596800).
pub(super) fn plausible(seconds: i64) -> Option<i64> {
    const LAST: i64 = 253_402_300_799;
    (1..=LAST).contains(&seconds).then_some(seconds)
}

/// The seconds since the epoch of a `google.protobuf.Timestamp`, if it is plausible.
pub(super) fn seconds(timestamp: &[u8]) -> Option<i64> {
    const SECONDS: u32 = 1;
    let mut seconds = 0;
    read_fields(timestamp, |field, value| {
        if let (SECONDS, Value::Integer(value)) = (field, value) {
            // The wire carries an int64 as its two's complement.
            seconds = value.cast_signed();
        }
    });
    plausible(seconds)
}
