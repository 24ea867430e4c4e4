//! A number of bytes, with or without a unit.

const UNITS: [(&str, u64); 4] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// At least 1; the unit is KiB, MiB, GiB, TiB or none.
pub(super) fn parse(text: &str) -> Result<u64, String> {
    let (number, unit) = UNITS
        .iter()
        .find_map(|(name, unit)| Some((text.strip_suffix(name)?, *unit)))
        .unwrap_or((text, 1));
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(unit))
        .filter(|&bytes| bytes > 0)
        .ok_or_else(|| {
            "expected a number of bytes from 1, such as 67108864, 65536KiB, 64MiB or 1GiB"
                .to_owned()
        })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_size_is_in_bytes_unless_it_has_a_unit() {
        assert_eq!(parse("1"), Ok(1));
        assert_eq!(parse("67108864"), Ok(64 << 20));
        assert_eq!(parse("64KiB"), Ok(64 << 10));
        assert_eq!(parse("64MiB"), Ok(64 << 20));
        assert_eq!(parse("3TiB"), Ok(3 << 40));
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in [
            "",
            "0",
            "0MiB",
            "-1",
            "+",
            "MiB",
            "64mib",
            "64MB",
            "64 MiB",
            "1.5GiB",
            "16777216TiB",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
