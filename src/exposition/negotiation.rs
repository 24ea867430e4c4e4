//! Chooses the format and coding of a scrape: content negotiation (RFC 9110, section 12).

use std::cmp::Reverse;

use http::{HeaderMap, HeaderName, header};

use crate::metrics::{Coding, Format};

/// The request headers that the choice depends on.
pub(super) const VARY: &str = "accept, accept-encoding";

/// The format that the client prefers, as stated by its `Accept`. Of two that it likes equally, the one that it names, or names
/// first. The text format, if it accepts neither or does not say.
pub(super) fn format(headers: &HeaderMap) -> Format {
    let accepted = accepted(headers, header::ACCEPT);
    let preference = |format: Format| {
        let items = accepted.iter().enumerate();
        let matching = items.filter_map(|(at, item)| {
            let precision = item.precision_for(format)?;
            Some((precision, item.quality, Reverse(at)))
        });
        // The most precise item decides.
        let (precision, quality, at) = matching.max()?;
        Some((quality, precision, at))
    };
    match preference(Format::OpenMetrics) {
        Some(preferred) if preferred.0 == 0 => Format::Text,
        preferred if preferred > preference(Format::Text) => Format::OpenMetrics,
        _ => Format::Text,
    }
}

/// gzip, if the client names it in its `Accept-Encoding`, and does not prefer no coding.
pub(super) fn coding(headers: &HeaderMap) -> Coding {
    let accepted = accepted(headers, header::ACCEPT_ENCODING);
    let quality = |names: &[&str]| {
        let named = |item: &&Item<'_>| names.iter().any(|name| item.is(name));
        accepted.iter().filter(named).map(|item| item.quality).min()
    };
    match (quality(&["gzip", "x-gzip"]), quality(&["identity"])) {
        (Some(gzip), identity) if gzip > 0 && Some(gzip) >= identity => Coding::Gzip,
        _ => Coding::Identity,
    }
}

/// An item of a list, such as `text/plain; version=0.0.4; q=0.5`.
struct Item<'a> {
    name: &'a str,
    version: Option<&'a str>,
    /// In thousandths.
    quality: u16,
}

/// The items of all headers of this name. Malformed ones are skipped.
fn accepted(headers: &HeaderMap, name: HeaderName) -> Vec<Item<'_>> {
    let values = headers.get_all(name).into_iter();
    let items = values.flat_map(|value| split(value.as_bytes(), b','));
    items.filter_map(Item::parse).collect()
}

/// The parts between the separators that are not in quotes.
fn split(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |byte| {
        let was_escaped = escaped;
        escaped = quoted && *byte == b'\\' && !was_escaped;
        quoted ^= *byte == b'"' && !was_escaped;
        !quoted && *byte == separator
    })
}

impl<'a> Item<'a> {
    fn parse(item: &'a [u8]) -> Option<Self> {
        let mut parts = split(item, b';').map(|part| str::from_utf8(part).map(str::trim));
        let mut item = Self {
            name: parts.next()?.ok()?,
            version: None,
            quality: 1000,
        };
        for parameter in parts {
            let (name, value) = parameter.ok()?.split_once('=')?;
            let value = value.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                "q" => item.quality = thousandths(value)?,
                "version" => item.version = Some(value),
                _ => {}
            }
        }
        Some(item)
    }

    fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// `None` if it does not stand for the format; larger if it stands for fewer others.
    fn precision_for(&self, format: Format) -> Option<u8> {
        let (name, group, version) = match format {
            Format::Text => ("text/plain", "text/*", "0.0.4"),
            Format::OpenMetrics => ("application/openmetrics-text", "application/*", "1.0.0"),
        };
        match self.version {
            Some(named) if self.is(name) => (named == version).then_some(3),
            None if self.is(name) => Some(2),
            _ if self.is(group) => Some(1),
            _ => self.is("*/*").then_some(0),
        }
    }
}

/// A quality of 0 to 1, with at most three decimals.
fn thousandths(quality: &str) -> Option<u16> {
    let (whole, decimals) = quality.split_once('.').unwrap_or((quality, ""));
    let digits = decimals.len() <= 3 && decimals.bytes().all(|digit| digit.is_ascii_digit());
    let decimals: u16 = format!("{decimals:0<3}").parse().ok().filter(|_| digits)?;
    match (whole, decimals) {
        ("0", _) => Some(decimals),
        ("1", 0) => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header};

    use super::{coding, format};
    use crate::metrics::{
        Coding::{Gzip, Identity},
        Format::{OpenMetrics, Text},
    };

    #[test]
    fn the_format_is_the_one_that_the_client_prefers() {
        for (accept, preferred) in [
            // Prometheus 2.42 and 3.5.
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                OpenMetrics,
            ),
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
                OpenMetrics,
            ),
            // curl and browsers.
            ("*/*", Text),
            (
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                Text,
            ),
            ("", Text),
            ("application/openmetrics-text", OpenMetrics),
            (
                "Application/OpenMetrics-Text; Version=\"1.0.0\"; charset=utf-8",
                OpenMetrics,
            ),
            ("application/openmetrics-text; version=0.0.1", Text),
            ("application/openmetrics-text; version=1.0.0; q=0", Text),
            (
                "application/openmetrics-text;q=0.5, text/plain;q=0.51",
                Text,
            ),
            (
                "application/openmetrics-text;q=0.51, text/plain;q=0.5",
                OpenMetrics,
            ),
            ("application/openmetrics-text;q=0.5, */*;q=0.6", Text),
            ("text/plain, application/openmetrics-text", Text),
            ("application/openmetrics-text, text/plain", OpenMetrics),
            ("application/openmetrics-text;q=two, text/plain;q=0.1", Text),
            (
                "application/openmetrics-text;q=1.001, text/plain;q=0.1",
                Text,
            ),
            ("application/json", Text),
            (
                "application/openmetrics-text;q=0.5, text/plain;q=0.1, */*;q=0.8",
                OpenMetrics,
            ),
            (
                "application/openmetrics-text;q=0, application/*;q=1, text/plain;q=0.1",
                Text,
            ),
            ("text/plain;q=0, */*;q=0.5", OpenMetrics),
            ("text/plain;q=0, application/openmetrics-text;q=0", Text),
            ("application/*", OpenMetrics),
            ("text/*;q=0.5, application/*;q=0.4", Text),
            ("application/openmetrics-text, */*", OpenMetrics),
            ("application/openmetrics-text;q, text/plain;q=0.1", Text),
            (
                "application/openmetrics-text;x=\"a,b;q=0\\\"\"",
                OpenMetrics,
            ),
            (",;=,application/openmetrics-text;q=.5;,", Text),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(format(&headers), preferred, "{accept}");
        }
        assert_eq!(format(&HeaderMap::new()), Text);
    }

    #[test]
    fn several_headers_are_one_list_whose_malformed_items_are_skipped() {
        let mut headers = HeaderMap::new();
        headers.append(header::ACCEPT, HeaderValue::from_static("text/plain;q=0.5"));
        let odd = HeaderValue::from_bytes(b"\xff, application/openmetrics-text, a;b=\xff");
        headers.append(header::ACCEPT, odd.expect("a header may have such bytes"));
        assert_eq!(format(&headers), OpenMetrics);
    }

    #[test]
    fn gzip_is_used_where_the_client_names_it() {
        for (accept, used) in [
            ("gzip", Gzip),
            ("deflate, GZip;q=0.001", Gzip),
            ("br, x-gzip", Gzip),
            ("gzip;q=0.5, identity;q=0.5", Gzip),
            ("identity;q=0, *;q=0, gzip", Gzip),
            ("gzip;q=0.1, identity", Identity),
            ("gzip, x-gzip;q=0", Identity),
            ("gzip;q=0", Identity),
            ("identity, *;q=0.5", Identity),
            ("zstd", Identity),
            ("", Identity),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(accept));
            assert_eq!(coding(&headers), used, "{accept}");
        }
        assert_eq!(coding(&HeaderMap::new()), Identity);
    }
}
