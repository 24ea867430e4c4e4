//! The address of a trace in a web interface such as Jaeger's, for links to it.

use std::str::FromStr;

use http::Uri;

/// Stands for the id of the trace.
const TRACE_ID: &str = "{trace_id}";

/// What a trace URL looks like.
const EXPECTED: &str = "expected a URL such as http://127.0.0.1:16686/trace/{trace_id}";

/// A URL with the placeholder `{trace_id}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceUrl(String);

impl TraceUrl {
    /// The URL of the trace with this id in hexadecimal.
    pub(super) fn of(&self, trace_id: &str) -> String {
        self.0.replace(TRACE_ID, trace_id)
    }
}

/// # Errors
///
/// If it is not an http or https URL, has no `{trace_id}` after the host or another placeholder, or has a user name or password, which
/// the page would show.
impl FromStr for TraceUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if !text.contains(TRACE_ID) {
            return Err(format!("the placeholder {TRACE_ID} is missing; {EXPECTED}"));
        }
        let example = text.replace(TRACE_ID, "0");
        if example.contains(['{', '}']) {
            return Err(format!("the only placeholder is {TRACE_ID}; {EXPECTED}"));
        }
        let url: Uri = example.parse().map_err(|_| EXPECTED.to_owned())?;
        let (Some("http" | "https"), Some(authority)) = (url.scheme_str(), url.authority()) else {
            return Err(EXPECTED.to_owned());
        };
        if authority.as_str().contains('@') {
            return Err(format!(
                "a user name and a password cannot be given, since the page would show them; {EXPECTED}"
            ));
        }
        let after_scheme = text.split_once("://").map_or(text, |(_, after)| after);
        let (host, _) = after_scheme
            .split_once(['/', '?', '#'])
            .unwrap_or((after_scheme, ""));
        if host.contains(TRACE_ID) {
            return Err(format!("{TRACE_ID} must follow the host; {EXPECTED}"));
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::TraceUrl;

    const ID: &str = "0af7651916cd43dd8448eb211c80319c";

    #[test]
    fn the_id_takes_the_place_of_each_placeholder() {
        for (url, of_trace) in [
            (
                "http://127.0.0.1:16686/trace/{trace_id}",
                format!("http://127.0.0.1:16686/trace/{ID}"),
            ),
            (
                "http://jaeger?trace={trace_id}",
                format!("http://jaeger?trace={ID}"),
            ),
            (
                "http://jaeger/#/trace/{trace_id}",
                format!("http://jaeger/#/trace/{ID}"),
            ),
            (
                "https://[::1]/a?b={trace_id}&c=%22{trace_id}%22",
                format!("https://[::1]/a?b={ID}&c=%22{ID}%22"),
            ),
        ] {
            let url: TraceUrl = url.parse().expect(url);
            assert_eq!(url.of(ID), of_trace);
        }
    }

    #[test]
    fn the_error_names_what_is_wrong() {
        for (url, named) in [
            ("", "placeholder {trace_id} is missing"),
            (
                "http://127.0.0.1:16686/trace/",
                "placeholder {trace_id} is missing",
            ),
            (
                "http://127.0.0.1:16686/trace/{traceID}",
                "placeholder {trace_id} is missing",
            ),
            ("http://a/{trace_id}/{span_id}", "the only placeholder"),
            ("http://{trace_id}/", "must follow the host"),
            ("http://a:1?x", "placeholder"),
            ("127.0.0.1:16686/trace/{trace_id}", "expected a URL"),
            ("/trace/{trace_id}", "expected a URL"),
            ("javascript:alert({trace_id})", "expected a URL"),
            ("ftp://a/{trace_id}", "expected a URL"),
            ("http:///{trace_id}", "expected a URL"),
            ("http://a b/{trace_id}", "expected a URL"),
            ("http://user:secret@a/{trace_id}", "password"),
        ] {
            let why = url.parse::<TraceUrl>().expect_err(url);
            assert!(why.contains(named), "{url}: {why}");
        }
    }
}
