//! Quantities for people: durations, ages and sizes, each in the unit that fits.

use std::time::Duration;

/// In the unit that fits, with one decimal place; minutes and seconds are whole.
pub(crate) fn duration(duration: Duration) -> String {
    // Rounded first, so that "1000.0 ms" and "60.0 s" do not appear.
    let tenths = |unit: Duration| (duration.as_secs_f64() / unit.as_secs_f64() * 10.0).round();
    let units = [
        ("µs", Duration::from_micros(1), 10_000.0),
        ("ms", Duration::from_millis(1), 10_000.0),
        ("s", Duration::from_secs(1), 600.0),
    ];
    for (name, unit, end) in units {
        let tenths = tenths(unit);
        if tenths < end {
            return format!("{:.1} {name}", tenths / 10.0);
        }
    }
    let seconds = duration.as_secs_f64().round() as u64;
    format!("{} min {} s", seconds / 60, seconds % 60)
}

/// [`age`], for something that happened that long ago.
pub(crate) fn ago(since: Duration) -> String {
    format!("{} ago", age(since))
}

/// An age in the unit that fits: seconds below two minutes, minutes below two hours, hours below two days.
pub(crate) fn age(age: Duration) -> String {
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
    format!("{count} {unit}")
}

/// With a decimal prefix and one decimal place.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    let mut scaled = bytes as f64;
    let mut unit = "B";
    for larger in UNITS {
        // Larger numbers would be rounded to 1000.0.
        if scaled < 999.95 {
            break;
        }
        scaled /= 1000.0;
        unit = larger;
    }
    match unit {
        "B" => format!("{bytes} B"),
        unit => format!("{scaled:.1} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{ago, duration, size};

    #[test]
    fn a_duration_has_the_unit_that_fits() {
        for (nanoseconds, shown) in [
            (0, "0.0 µs"),
            (1_234, "1.2 µs"),
            (999_949, "999.9 µs"),
            (999_950, "1.0 ms"),
            (3_900_000, "3.9 ms"),
            (999_960_000, "1.0 s"),
            (59_940_000_000, "59.9 s"),
            (59_990_000_000, "1 min 0 s"),
            (3_725_400_000_000, "62 min 5 s"),
        ] {
            assert_eq!(duration(Duration::from_nanos(nanoseconds)), shown);
        }
    }

    #[test]
    fn a_size_has_one_digit_behind_the_point() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(999), "999 B");
        assert_eq!(size(1000), "1.0 kB");
        assert_eq!(size(999_949), "999.9 kB");
        assert_eq!(size(999_950), "1.0 MB");
        assert_eq!(size(u64::MAX), "18.4 EB");
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
}
