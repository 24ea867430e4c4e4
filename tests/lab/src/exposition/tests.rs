//! Texts as programs expose them, and texts as they must not.

use super::*;

fn read(text: &str) -> Scrape {
    Scrape::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn refused(text: &str) -> String {
    Scrape::parse(text)
        .expect_err("a text that breaks the format")
        .to_string()
}

const HISTOGRAM: &str = "\
# HELP query_seconds How long.
# TYPE query_seconds histogram
query_seconds_bucket{store=\"rkt\",le=\"0.5\"} 1
query_seconds_bucket{store=\"rkt\",le=\"1e1\"} 3
query_seconds_bucket{store=\"rkt\",le=\"+Inf\"} 4
query_seconds_sum{store=\"rkt\"} 61.5
query_seconds_count{store=\"rkt\"} 4
";

#[test]
fn a_series_is_found_by_its_name_and_all_its_labels() {
    let scrape =
        read("# TYPE images gauge\nimages{store=\"rkt\",x=\"\"} 3\nimages{store=\"cri\"} 4\n");
    assert_eq!(
        scrape.value("images", &[("x", ""), ("store", "rkt")]),
        Some(3.0)
    );
    assert_eq!(scrape.value("images", &[("store", "rkt")]), None);
    assert_eq!(scrape.value("images", &[]), None);
    assert_eq!(scrape.sum("images"), Some(7.0));
    assert_eq!(scrape.sum("image"), None);
    assert_eq!(
        scrape
            .samples("images")
            .filter(|s| s.has(&[("store", "rkt")]))
            .count(),
        1
    );
}

#[test]
fn the_example_of_the_specification_is_read() {
    let scrape = read(
        "# HELP http_requests_total The total number of HTTP requests.\n\
         # TYPE http_requests_total counter\n\
         http_requests_total{method=\"post\",code=\"200\"} 1027 1395066363000\n\
         http_requests_total{method=\"post\",code=\"400\"}    3 1395066363000\n\
         \n\
         # Escaping in label values:\n\
         msdos_file{path=\"C:\\\\DIR\\\\FILE.TXT\",error=\"Cannot find file:\\n\\\"FILE.TXT\\\"\"} 1.458255915e9\n\
         \n\
         metric_without_timestamp_and_labels 12.47\n\
         something_weird{problem=\"division by zero\"} +Inf -3982045\n",
    );
    let requests = scrape
        .family("http_requests_total")
        .expect("the first family");
    assert_eq!(requests.kind, Kind::Counter);
    assert_eq!(
        requests.help.as_deref(),
        Some("The total number of HTTP requests.")
    );
    assert_eq!(
        requests.samples[0].timestamp_millis,
        Some(1_395_066_363_000)
    );
    let file = &scrape.families[1].samples[0];
    assert_eq!(file.labels["path"], "C:\\DIR\\FILE.TXT");
    assert_eq!(file.labels["error"], "Cannot find file:\n\"FILE.TXT\"");
    assert_eq!(file.value, 1.458255915e9);
    assert_eq!(scrape.families[1].kind, Kind::Untyped);
    assert_eq!(scrape.sum("something_weird"), Some(f64::INFINITY));
    assert_eq!(scrape.names()[2], "metric_without_timestamp_and_labels");
}

#[test]
fn blanks_are_free_where_the_format_frees_them() {
    let scrape = read("#\tTYPE  a\tgauge \n\ta { b = \"c\" , } \t-1\t\n");
    assert_eq!(scrape.value("a", &[("b", "c")]), Some(-1.0));
    assert_eq!(
        read("# HELP a one\\\\two\\nthree\na 1\n").families[0]
            .help
            .as_deref(),
        Some("one\\two\nthree")
    );
    assert_eq!(read(""), Scrape::default());
}

#[test]
fn numbers_that_are_none_have_one_spelling() {
    assert!(read("a NaN\n").sum("a").expect("a value").is_nan());
    assert_eq!(read("a -Inf\n").sum("a"), Some(f64::NEG_INFINITY));
    for text in [
        "nan", "Inf", "inf", "infinity", "0x10", "1_000", "", "-", "1,5",
    ] {
        assert_eq!(
            refused(&format!("a {text}\n")),
            format!("line 1: {text:?} is no number")
        );
    }
}

#[test]
fn a_histogram_is_one_family() {
    let scrape = read(&format!("{HISTOGRAM}# TYPE b gauge\nb 1\n"));
    assert_eq!(scrape.names(), ["query_seconds", "b"]);
    assert_eq!(
        scrape.value("query_seconds_count", &[("store", "rkt")]),
        Some(4.0)
    );
    let half = [("store", "rkt"), ("le", "0.5")];
    assert_eq!(scrape.value("query_seconds_bucket", &half), Some(1.0));
    assert_eq!(scrape.value("query_seconds", &[("store", "rkt")]), None);
}

#[test]
fn a_histogram_that_contradicts_itself_is_refused() {
    for (written, instead, why) in [
        (
            "le=\"0.5\"} 1",
            "le=\"0.5\"} 9",
            "counts less than the one below",
        ),
        (
            "le=\"0.5\"",
            "le=\"50\"",
            "le that is not above the one before",
        ),
        (
            "le=\"0.5\"",
            "le=\"NaN\"",
            "le that is not above the one before",
        ),
        ("le=\"+Inf\"", "le=\"60\"", "no bucket up to +Inf"),
        (
            "count{store=\"rkt\"} 4",
            "count{store=\"rkt\"} 5",
            "counts otherwise in _count",
        ),
        (
            "query_seconds_sum{store=\"rkt\"} 61.5\n",
            "",
            "lacks its _sum or its _count",
        ),
        (
            "query_seconds_count{store=\"rkt\"} 4\n",
            "",
            "lacks its _sum or its _count",
        ),
        (
            "le=\"0.5\"",
            "le=\"10\"",
            "le that is not above the one before",
        ),
        (
            ",le=\"0.5\"",
            "",
            "line 3: query_seconds_bucket without the label le",
        ),
        (
            "_sum{store=\"rkt\"}",
            "_sum{le=\"1\"}",
            "line 6: query_seconds_sum with the label le",
        ),
        ("_sum{", "{", "line 6: query_seconds is a histogram"),
    ] {
        let broken = HISTOGRAM.replacen(written, instead, 1);
        let why_not = refused(&broken);
        assert!(why_not.contains(why), "{instead}: {why_not}");
        let why_not = refused(&(broken + "# TYPE b gauge\nb 1\n"));
        assert!(
            why_not.contains(why),
            "{instead}, and another family: {why_not}"
        );
    }
}

#[test]
fn a_summary_is_quantiles_with_a_sum_and_a_count() {
    let summary =
        "# TYPE s summary\ns{quantile=\"0.5\"} 3\ns{quantile=\"0.9\"} 2\ns_sum 9\ns_count 4\n";
    assert_eq!(read(summary).names(), ["s"]);
    let upside_down = summary.replace("0.5", "0.99");
    assert!(refused(&upside_down).contains("quantile that is not above the one before"));
}

#[test]
fn a_family_stands_in_one_place() {
    assert_eq!(
        refused("a 1\nb 1\na{x=\"y\"} 1\n"),
        "line 3: the family a is in two places"
    );
    assert_eq!(
        refused("a 1\nb 1\n# TYPE a gauge\n"),
        "line 3: the family a is in two places"
    );
    let split = format!("{HISTOGRAM}b 1\nquery_seconds_sum 1\n");
    assert_eq!(
        refused(&split),
        "line 9: the family query_seconds is in two places"
    );
}

#[test]
fn help_and_type_come_once_and_first() {
    assert_eq!(
        refused("a 1\n# TYPE a gauge\n"),
        "line 2: TYPE for a after its samples"
    );
    assert_eq!(
        refused("a 1\n# HELP a b\n"),
        "line 2: HELP for a after its samples"
    );
    assert_eq!(
        refused("# TYPE a gauge\n# TYPE a gauge\n"),
        "line 2: a second TYPE for a"
    );
    assert_eq!(
        refused("# TYPE a untyped\n# TYPE a gauge\n"),
        "line 2: a second TYPE for a"
    );
    assert_eq!(
        refused("# HELP a b\n# HELP a b\n"),
        "line 2: a second HELP for a"
    );
    assert_eq!(
        refused("# TYPE a gage\n"),
        "line 1: the type \"gage\" does not exist"
    );
    assert_eq!(
        refused("# TYPE a gauge x\n"),
        "line 1: the type \"gauge x\" does not exist"
    );
}

#[test]
fn a_series_comes_once() {
    let twice = refused("a{x=\"1\",y=\"2\"} 1\na{y=\"2\",x=\"1\"} 2\n");
    assert!(twice.starts_with("line 2: the series a"), "{twice}");
    assert_eq!(
        refused("a{x=\"1\",x=\"2\"} 1\n"),
        "line 1: the label \"x\" comes twice"
    );
}

#[test]
fn the_last_line_has_its_newline() {
    assert_eq!(
        refused("a 1\nb 1"),
        "line 2: the last line does not end with a newline"
    );
}

#[test]
fn a_malformed_sample_is_refused() {
    for (text, why) in [
        ("0a 1", "\"0a\" is no metric name"),
        ("a-b 1", "\"a-b\" is no metric name"),
        ("a{b:c=\"\"} 1", "\"b:c\" is no label name"),
        ("a{__name__=\"\"} 1", "\"__name__\" is no label name"),
        ("a{b=c} 1", "the value of \"b\" has no quotes"),
        ("a{b=\"c} 1", "the value of \"b\" has no end"),
        ("a{b=\"\\t\"} 1", "an unknown escape in \"\\\\t\""),
        (
            "a{b=\"c\"d=\"e\"} 1",
            "a label is followed by neither a comma nor a brace",
        ),
        (
            "a{b=\"c\"",
            "a label is followed by neither a comma nor a brace",
        ),
        ("a{,} 1", "a label without a value"),
        ("a{", "a label without a value"),
        ("a 1 2.5", "\"2.5\" is no timestamp in milliseconds"),
        ("a 1\r", "\"1\\r\" is no number"),
        ("# HELP a \\\"", "an unknown escape in \"\\\\\\\"\""),
    ] {
        assert_eq!(refused(&format!("{text}\n")), format!("line 1: {why}"));
    }
}
