//! Invalid settings of sampling, span limits and resource attributes; `tests/traces` tests the effect of valid ones.

use super::{announcement, assert_contains, assert_variable_refused, program};

#[test]
fn an_unsupported_sampler_is_refused() {
    for value in [
        "jaeger_remote",
        "xray",
        "parentbased_jaeger_remote",
        "sometimes",
    ] {
        assert_variable_refused("OTEL_TRACES_SAMPLER", value, &[], "traceidratio");
    }
}

#[test]
fn every_supported_sampler_is_accepted() {
    for own in ["always_on", "always_off", "traceidratio"] {
        for name in [own.to_owned(), format!("parentbased_{own}")] {
            let service = program()
                .env("OTEL_TRACES_EXPORTER", "jaeger")
                .env("OTEL_TRACES_SAMPLER", name);
            assert_contains(&announcement(service), &["traces=\"jaeger "]);
        }
    }
}

#[test]
fn an_invalid_ratio_is_refused() {
    let sampler = [("OTEL_TRACES_SAMPLER", "traceidratio")];
    for value in ["1.01", "-0.1", "half", "NaN"] {
        assert_variable_refused("OTEL_TRACES_SAMPLER_ARG", value, &sampler, "0 to 1");
    }
}

#[test]
fn an_argument_for_a_sampler_without_one_is_refused() {
    let expected = "OTEL_TRACES_SAMPLER to be traceidratio";
    for sampler in [&[][..], &[("OTEL_TRACES_SAMPLER", "always_on")]] {
        assert_variable_refused("OTEL_TRACES_SAMPLER_ARG", "0.5", sampler, expected);
    }
}

#[test]
fn an_invalid_span_limit_is_refused() {
    for variable in [
        "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
        "OTEL_SPAN_EVENT_COUNT_LIMIT",
        "OTEL_SPAN_LINK_COUNT_LIMIT",
    ] {
        for value in ["many", "-1", "4294967296"] {
            assert_variable_refused(variable, value, &[], "0 to 4294967295");
        }
    }
}

#[test]
fn malformed_resource_attributes_are_refused() {
    for (value, expected) in [
        ("host.name", "KEY=VALUE"),
        ("=seven", "KEY=VALUE"),
        ("a=b,c", "KEY=VALUE"),
        ("a=100%", "%25"),
        ("a=%zz", "hexadecimal"),
        ("a=%C3", "UTF-8"),
        ("a=two words", "%20"),
        ("a=Zürich", "%C3%BC"),
        ("a=b;c", "%3B"),
        ("a=\"b\"", "%22"),
    ] {
        assert_variable_refused("OTEL_RESOURCE_ATTRIBUTES", value, &[], expected);
    }
}
