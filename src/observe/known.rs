//! What is known of the stores before this process has asked them, in a line.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::metrics::LastQueries;

/// The numbers of an earlier process and their age, as in `rkt: 5 images, asked 3 min ago`.
pub(super) fn summary(store: &str, known: Option<LastQueries>, now: SystemTime) -> String {
    let Some(known) = known else {
        return format!("{store}: not asked yet");
    };
    let ago = |seconds| ago(age(seconds, now));
    let images = known.images.map(images);
    let asked = ago(known.asked);
    match (known.up, images, known.answered) {
        (true, Some(images), _) => format!("{store}: {images}, asked {asked}"),
        (true, None, _) => format!("{store}: asked {asked}"),
        (false, Some(images), Some(answered)) => {
            let answered = ago(answered);
            format!("{store}: query failed {asked}; {images} {answered}")
        }
        (false, ..) => format!("{store}: query failed {asked}"),
    }
}

fn images(count: f64) -> String {
    match count {
        1.0 => "1 image".to_owned(),
        count => format!("{count} images"),
    }
}

/// Of a time in seconds since the epoch; 0 where the clock has been set back since.
fn age(seconds: f64, now: SystemTime) -> Duration {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let then = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    now.saturating_sub(then)
}

/// An age in the unit that fits: seconds up to two minutes, minutes up to two hours, hours up to two days.
#[must_use]
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

    fn told(known: Option<LastQueries>) -> String {
        summary("rkt", known, UNIX_EPOCH + Duration::from_secs(NOW))
    }

    fn known(up: bool, images: Option<f64>) -> Option<LastQueries> {
        Some(LastQueries {
            up,
            asked: NOW as f64 - 200.0,
            images,
            answered: images.map(|_| if up { NOW as f64 - 200.0 } else { 0.0 }),
        })
    }

    #[test]
    fn numbers_are_told_with_their_age() {
        assert_eq!(
            told(known(true, Some(5.0))),
            "rkt: 5 images, asked 3 min ago"
        );
        assert_eq!(
            told(known(true, Some(1.0))),
            "rkt: 1 image, asked 3 min ago"
        );
    }

    #[test]
    fn a_store_whose_last_query_failed_says_so() {
        assert_eq!(told(known(false, None)), "rkt: query failed 3 min ago");
        assert_eq!(
            told(known(false, Some(5.0))),
            "rkt: query failed 3 min ago; 5 images 11 days ago"
        );
        assert_eq!(told(None), "rkt: not asked yet");
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
    fn what_is_of_the_future_was_now() {
        let known = LastQueries {
            asked: 2.0 * NOW as f64,
            ..known(true, Some(2.0)).expect("it is known")
        };
        assert_eq!(told(Some(known)), "rkt: 2 images, asked 0 s ago");
    }
}
