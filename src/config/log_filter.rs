//! `--log-level`: a level for the service, or tracing's TARGET=LEVEL directives.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;

const EXPECTED: &str =
    "expected off, error, warn, info, debug or trace, or TARGET=LEVEL pairs separated by commas";

/// The service's own target: its crate.
const OWN_TARGET: &str = env!("CARGO_CRATE_NAME");

/// A level alone applies to the service; libraries then log warnings and errors at most.
pub(super) fn parse(text: &str) -> Result<Targets, String> {
    if let Some(level) = level(text) {
        return Ok(Targets::new()
            .with_default(level.min(LevelFilter::WARN))
            .with_target(OWN_TARGET, level));
    }
    // `Targets` itself would parse a misspelt level as a target.
    let entries = text.split(',').map(str::trim);
    let entries = entries.filter(|entry| !entry.is_empty());
    let directives: Option<Vec<(String, LevelFilter)>> = entries.map(directive).collect();
    directives
        .filter(|directives| !directives.is_empty())
        .map(|directives| directives.into_iter().collect())
        .ok_or_else(|| EXPECTED.to_owned())
}

fn directive(text: &str) -> Option<(String, LevelFilter)> {
    let (target, level) = text.split_once('=')?;
    let target = target.trim();
    (!target.is_empty()).then_some((target.to_owned(), self::level(level)?))
}

/// Rejects an empty text, which tracing parses as `error`.
fn level(text: &str) -> Option<LevelFilter> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::parse;

    #[test]
    fn a_level_alone_is_the_services_own() {
        let filter = parse("debug").expect("a level");
        assert!(filter.would_enable("exp_rkt_grpc::images", &Level::DEBUG));
        assert!(!filter.would_enable("h2::codec", &Level::DEBUG));
        assert!(filter.would_enable("h2::codec", &Level::WARN));
    }

    #[test]
    fn off_is_off_for_the_libraries_too() {
        let filter = parse("off").expect("a level");
        assert!(!filter.would_enable("h2", &Level::ERROR));
    }

    #[test]
    fn blanks_and_a_comma_at_the_end_are_ignored() {
        let filter = parse("exp_rkt_grpc=debug , h2 = error,").expect("two directives");
        assert!(filter.would_enable("exp_rkt_grpc::images", &Level::DEBUG));
        assert!(filter.would_enable("h2", &Level::ERROR));
        assert!(!filter.would_enable("h2", &Level::WARN));
        assert!(parse(" debug ").is_ok());
    }

    #[test]
    fn a_misspelt_level_is_refused() {
        for text in [
            "loud",
            "exp_rkt_grpc=loud",
            "=info",
            "",
            ",",
            "h2=",
            "info,h2",
        ] {
            assert!(parse(text).is_err(), "{text:?} was accepted");
        }
    }
}
