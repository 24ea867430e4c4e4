//! The last results of the stores before this process has queried them, in one line.

use std::time::SystemTime;

use crate::{metrics::LastQueries, units::ago};

/// The last results of a store and their age, for example `rkt: 5 images, queried 3 min ago`.
pub(super) fn summary(store: &str, last: Option<LastQueries>, now: SystemTime) -> String {
    let Some(last) = last else {
        return format!("{store}: not queried yet");
    };
    let ago = |time| ago(now.duration_since(time).unwrap_or_default());
    let images = images(&last);
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

/// The number of images, or of their names if the images could not be counted.
fn images(last: &LastQueries) -> Option<String> {
    let (count, noun) = match (last.images, last.names) {
        (Some(images), _) => (images, "image"),
        (None, Some(names)) => (names, "image name"),
        (None, None) => return None,
    };
    let plural = if count == 1.0 { "" } else { "s" };
    let warning = if last.warning {
        " (with a warning)"
    } else {
        ""
    };
    Some(format!("{count} {noun}{plural}{warning}"))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use super::{LastQueries, summary};

    const NOW: u64 = 1_000_000;

    fn ago(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(NOW - seconds)
    }

    fn line(last: Option<LastQueries>) -> String {
        summary("rkt", last, UNIX_EPOCH + Duration::from_secs(NOW))
    }

    fn last(up: bool, images: Option<f64>) -> Option<LastQueries> {
        Some(LastQueries {
            up,
            queried: ago(200),
            images,
            names: None,
            untagged: None,
            pinned: None,
            unused: None,
            warning: false,
            left: Vec::new(),
            size_bytes: None,
            runtime: None,
            answered: images.map(|_| if up { ago(200) } else { ago(NOW) }),
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
    fn names_are_shown_if_the_images_were_not_counted_and_a_warning_is_mentioned() {
        let last = |images, names| {
            Some(LastQueries {
                images,
                names,
                warning: true,
                ..last(true, None)?
            })
        };
        assert_eq!(
            line(last(Some(0.0), Some(0.0))),
            "rkt: 0 images (with a warning), queried 3 min ago"
        );
        assert_eq!(
            line(last(None, Some(200_000.0))),
            "rkt: 200000 image names (with a warning), queried 3 min ago"
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
    fn a_time_in_the_future_has_age_zero() {
        let last = LastQueries {
            queried: ago(0) + Duration::from_secs(NOW),
            ..last(true, Some(2.0)).expect("it was asked")
        };
        assert_eq!(line(Some(last)), "rkt: 2 images, queried 0 s ago");
    }
}
