//! The sampler, and the limits of spans.

use opentelemetry_sdk::trace::{Sampler, SpanLimits};

use super::{
    ConfigError, Environment, invalid,
    variables::{SAMPLER, SAMPLER_ARG, SPAN_ATTRIBUTES, SPAN_EVENTS, SPAN_LINKS},
};

/// OpenTelemetry's default sampler.
pub(super) fn always_on() -> Sampler {
    Sampler::ParentBased(Box::new(Sampler::AlwaysOn))
}

pub(super) fn sampler(environment: &Environment) -> Result<Sampler, ConfigError> {
    const EXPECTED: &str = "expected always_on, always_off, traceidratio, parentbased_always_on, parentbased_always_off or parentbased_traceidratio";
    let name = environment.text(SAMPLER)?;
    let name = name.as_deref().unwrap_or("parentbased_always_on");
    let (is_parent_based, own) = match name.strip_prefix("parentbased_") {
        Some(own) => (true, own),
        None => (false, name),
    };
    let sampler = match own {
        "always_on" => Sampler::AlwaysOn,
        "always_off" => Sampler::AlwaysOff,
        "traceidratio" => Sampler::TraceIdRatioBased(ratio(environment)?),
        _ => return Err(invalid(SAMPLER, name, EXPECTED)),
    };
    if own != "traceidratio"
        && let Some(argument) = environment.text(SAMPLER_ARG)?
    {
        let expected = "expected OTEL_TRACES_SAMPLER to be traceidratio or parentbased_traceidratio; no other sampler has an argument";
        return Err(invalid(SAMPLER_ARG, &argument, expected));
    }
    Ok(if is_parent_based {
        Sampler::ParentBased(Box::new(sampler))
    } else {
        sampler
    })
}

fn ratio(environment: &Environment) -> Result<f64, ConfigError> {
    environment.text(SAMPLER_ARG)?.map_or(Ok(1.0), |ratio| {
        ratio
            .parse()
            .ok()
            .filter(|ratio| (0.0..=1.0).contains(ratio))
            .ok_or_else(|| {
                invalid(
                    SAMPLER_ARG,
                    &ratio,
                    "expected a ratio from 0 to 1, such as 0.25",
                )
            })
    })
}

pub(super) fn limits(environment: &Environment) -> Result<SpanLimits, ConfigError> {
    let defaults = SpanLimits::default();
    let limit = |name: &str, default: u32| {
        environment.text(name)?.map_or(Ok(default), |limit| {
            limit
                .parse()
                .map_err(|_| invalid(name, &limit, "expected a number from 0 to 4294967295"))
        })
    };
    Ok(SpanLimits {
        max_attributes_per_span: limit(SPAN_ATTRIBUTES, defaults.max_attributes_per_span)?,
        max_events_per_span: limit(SPAN_EVENTS, defaults.max_events_per_span)?,
        max_links_per_span: limit(SPAN_LINKS, defaults.max_links_per_span)?,
        ..defaults
    })
}
