//! The last results of the stores before this process has queried them, in one line.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::metrics::LastQueries;

/// The last results of a store and their age, for example `rkt: 5 images, queried 3 min ago`.
pub(super) fn summary(store: &str, last: Option<LastQueries>, now: SystemTime) -> String {
    let Some(last) = last else {
        return format!("{store}: not queried yet");
    };
    let ago = |seconds| ago(age(seconds, now));
    let images = last.images.map(images);
    let queried = ago(last.queried);
    match (last.up, images, last.answered) {
        (true, Some(images), _) => format!("{store}: {images}, queried {queried}"),
        (true, None, _) => format!("{store}: queried {queried}"),
        (false, Some(images), Some(answered)) => {
            let answered = ago(answered);
            format!("{store}: query failed {queried}; {images} {answered}")
        }
        (false, ..) => format!("{store}: query failed {queried}"),
    }
}

fn images(count: f64) -> String {
    match count {
        1.0 => "1 image".to_owned(),
        count => format!("{count} images"),
    }
}

/// The age of a time in seconds since the epoch; 0 if the clock has been set back since.
fn age(seconds: f64, now: SystemTime) -> Duration {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let then = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    now.saturating_sub(then)
}

/// An age in the unit that fits: seconds below two minutes, minutes below two hours, hours below two days.
pub(crate) fn ago(age: Duration) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    let seconds = age.as_secs();
    let (count, unit) = match seconds {
        _ if seconds < 2 * MINUTE => (seconds, "s"),
        _ if seconds < 2 * HOUR => (seconds / MINUTE, "min"),
        _ if seconds < 2 * DAY => (seconds / HOUR, "h"),
        _ => (seconds / DAY, "days"),
    };
    format!("{count} {unit} ago")
}

#[cfg(test)]
mod tests {
    use super::{Duration, LastQueries, UNIX_EPOCH, ago, summary};

    const NOW: u64 = 1_000_000;

    fn line(last: Option<LastQueries>) -> String {
        summary("rkt", last, UNIX_EPOCH + Duration::from_secs(NOW))
    }

    fn last(up: bool, images: Option<f64>) -> Option<LastQueries> {
        Some(LastQueries {
            up,
            queried: NOW as f64 - 200.0,
            images,
            answered: images.map(|_| if up { NOW as f64 - 200.0 } else { 0.0 }),
        })
    }

    #[test]
    fn numbers_are_shown_with_their_age() {
        assert_eq!(
            line(last(true, Some(5.0))),
            "rkt: 5 images, queried 3 min ago"
        );
        assert_eq!(
            line(last(true, Some(1.0))),
            "rkt: 1 image, queried 3 min ago"
        );
    }

    #[test]
    fn a_failed_query_is_shown_with_the_last_good_numbers() {
        assert_eq!(line(last(false, None)), "rkt: query failed 3 min ago");
        assert_eq!(
            line(last(false, Some(5.0))),
            "rkt: query failed 3 min ago; 5 images 11 days ago"
        );
        assert_eq!(line(None), "rkt: not queried yet");
    }

    #[test]
    fn an_age_has_the_unit_that_fits() {
        for (seconds, shown) in [
            (0, "0 s ago"),
            (119, "119 s ago"),
            (120, "2 min ago"),
            (7_199, "119 min ago"),
            (7_200, "2 h ago"),
            (172_799, "47 h ago"),
            (172_800, "2 days ago"),
        ] {
            assert_eq!(ago(Duration::from_secs(seconds)), shown);
        }
    }

    #[test]
    fn a_time_in_the_future_has_age_zero() {
        let last = LastQueries {
            queried: 2.0 * NOW as f64,
            ..last(true, Some(2.0)).expect("it was asked")
        };
        assert_eq!(line(Some(last)), "rkt: 2 images, queried 0 s ago");
    }
}
