//! OpenTelemetry's variables: the exporter, its destination, and the resource attributes.
//!
//! A variable is applied, or refused with the reason. Those of the exporter that is not chosen are ignored; if tracing is off, all
//! are. Those of other signals are always ignored.

use opentelemetry_sdk::trace::SpanLimits;

use super::{ConfigError, Environment, invalid};
use crate::telemetry::{TraceExport, TracesConfig};

mod attributes;
mod jaeger;
mod otlp;
mod spans;
mod variables;

pub use variables::{VARIABLES, Variable};

pub(super) use variables::names;

use variables::{
    DISABLED, EXPORTER, JAEGER, NOT_SUPPORTED, NOT_SUPPORTED_BY_JAEGER, NOT_SUPPORTED_BY_OTLP,
    OTLP, PROPAGATORS, SERVICE_NAME,
};

/// The exporters by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exporter {
    Jaeger,
    Otlp,
    None,
}

/// Reads the settings. Adds those to `warnings` that may not have the intended effect.
pub(super) fn read(
    environment: &Environment,
    warnings: &mut Vec<String>,
) -> Result<TracesConfig, ConfigError> {
    let (exporter, mut decided_by) = exporter(environment, warnings)?;
    let mut config = TracesConfig {
        export: None,
        decided_by: Vec::new(),
        service_name: None,
        attributes: Vec::new(),
        sampler: spans::always_on(),
        limits: SpanLimits::default(),
    };
    if exporter != Exporter::None {
        environment.require_known_traces()?;
        refuse_all(environment, &NOT_SUPPORTED)?;
        require_trace_context(environment)?;
        config.service_name = environment.text(SERVICE_NAME)?;
        config.attributes = attributes::read(environment)?;
        config.sampler = spans::sampler(environment)?;
        config.limits = spans::limits(environment)?;
    }
    config.export = match exporter {
        Exporter::Jaeger => {
            refuse_all(environment, &NOT_SUPPORTED_BY_JAEGER)?;
            Some(jaeger::read(environment, &mut decided_by)?)
        }
        Exporter::Otlp => {
            refuse_all(environment, &NOT_SUPPORTED_BY_OTLP)?;
            let otlp = otlp::read(environment, &mut decided_by, warnings)?;
            Some(TraceExport::Otlp(otlp))
        }
        Exporter::None => None,
    };
    config.decided_by = decided_by;
    Ok(config)
}

/// The exporter, and the variable that selects it, if one does.
fn exporter(
    environment: &Environment,
    warnings: &mut Vec<String>,
) -> Result<(Exporter, Vec<String>), ConfigError> {
    if truth(environment, DISABLED, warnings)? {
        return Ok((Exporter::None, vec![DISABLED.to_owned()]));
    }
    let Some(chosen) = environment.text(EXPORTER)? else {
        let exporter = by_variables(environment)?;
        return Ok((exporter, Vec::new()));
    };
    let exporter = match chosen.as_str() {
        "jaeger" => Exporter::Jaeger,
        "otlp" => Exporter::Otlp,
        "none" => Exporter::None,
        other => return Err(invalid(EXPORTER, other, "expected jaeger, otlp or none")),
    };
    Ok((exporter, vec![EXPORTER.to_owned()]))
}

/// The exporter whose variables are set; `jaeger` if none are, although OpenTelemetry's default is `otlp`.
fn by_variables(environment: &Environment) -> Result<Exporter, ConfigError> {
    let first_set = |prefix: &str| {
        names()
            .filter(|name| name.starts_with(prefix))
            .find(|name| environment.is_set(name))
    };
    match (first_set(OTLP), first_set(JAEGER)) {
        (Some(otlp), Some(jaeger)) => Err(ConfigError::Ambiguous { otlp, jaeger }),
        (Some(_), None) => Ok(Exporter::Otlp),
        (None, _) => Ok(Exporter::Jaeger),
    }
}

/// Accepts only `tracecontext`, which sends `traceparent`, and `baggage`, of which there is none.
fn require_trace_context(environment: &Environment) -> Result<(), ConfigError> {
    let Some(list) = environment.text(PROPAGATORS)? else {
        return Ok(());
    };
    let entries = list.split(',').map(str::trim);
    let mut names = entries.filter(|name| !name.is_empty());
    let known = names
        .clone()
        .all(|name| ["tracecontext", "baggage"].contains(&name));
    if known && names.any(|name| name == "tracecontext") {
        Ok(())
    } else {
        let expected = "expected tracecontext, or tracecontext,baggage: only traceparent is sent to the stores";
        Err(invalid(PROPAGATORS, &list, expected))
    }
}

/// OpenTelemetry requires every value but `true` to count as false, with a warning unless it is `false`.
fn truth(
    environment: &Environment,
    name: &str,
    warnings: &mut Vec<String>,
) -> Result<bool, ConfigError> {
    let value = environment.text(name)?;
    let value = value.as_deref().unwrap_or("false");
    let is_true = value.eq_ignore_ascii_case("true");
    if !is_true && !value.eq_ignore_ascii_case("false") {
        let shown = super::shown(value);
        warnings.push(format!(
            "{name} is {shown}, which counts as false: expected true or false"
        ));
    }
    Ok(is_true)
}

fn refuse_all(
    environment: &Environment,
    not_offered: &[(&'static str, &'static str)],
) -> Result<(), ConfigError> {
    match not_offered
        .iter()
        .find(|(name, _)| environment.is_set(name))
    {
        Some(&(variable, why)) => Err(ConfigError::NotSupported { variable, why }),
        None => Ok(()),
    }
}
