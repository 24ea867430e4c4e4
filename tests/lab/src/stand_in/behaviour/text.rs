//! Behaviours as the command line names them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use h2::Reason;

use super::{Behaviour, Fields, Language};

/// A text that is no [`Behaviour`], with what would be right.
#[derive(Debug)]
pub struct InvalidBehaviour(String);

impl fmt::Display for InvalidBehaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidBehaviour {}

const KINDS: [(&str, &str); 25] = [
    ("answer", "the right answer"),
    ("refuse", "close every connection as soon as it is accepted"),
    ("silent", "accept connections, never say a byte"),
    (
        "speak=LANGUAGE",
        "something else than HTTP/2: http1, ssh, farewell, tls, goaway, pings, shutdown, nonsense",
    ),
    ("hang", "accept the call, send nothing"),
    (
        "hang-in-body",
        "headers and half of the message, then nothing",
    ),
    (
        "fail=CODE[:TEXT]",
        "fail at once, as in fail=UNAVAILABLE:try later",
    ),
    (
        "fail-after-body=CODE[:TEXT]",
        "the whole message, then fail",
    ),
    (
        "fail-after=MESSAGES:CODE[:TEXT]",
        "so many messages of a stream, then fail",
    ),
    ("cut-off", "half of the message, then close the connection"),
    (
        "reset[=REASON]",
        "half of the message, then RST_STREAM [INTERNAL_ERROR]",
    ),
    ("flood", "images without end"),
    ("lie", "claim 4 GiB - 1, send a few bytes"),
    ("garbage", "a message that is not protobuf"),
    ("truncated", "a last image longer than the message"),
    ("compressed", "mark the message as compressed"),
    ("without-trailers", "no grpc-status at the end"),
    ("no-message", "status OK and nothing else"),
    (
        "not-grpc[=STATUS]",
        "an HTML page with this HTTP status [503]",
    ),
    ("content-type=TYPE", "the right answer, under another type"),
    (
        "head=FIELDS",
        "headers and nothing else, NAME:VALUE|NAME:VALUE",
    ),
    (
        "trailers=FIELDS",
        "no image, then trailers, NAME:VALUE|NAME:VALUE",
    ),
    ("slow=DURATION", "the right answer, after 500ms, 2s or 1m"),
    (
        "dribble[=BYTES]",
        "the right answer in tiny DATA frames [1]",
    ),
    ("empty-images=COUNT", "so many images without any field"),
];

const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// RFC 9113, section 7.
const REASONS: [&str; 14] = [
    "NO_ERROR",
    "PROTOCOL_ERROR",
    "INTERNAL_ERROR",
    "FLOW_CONTROL_ERROR",
    "SETTINGS_TIMEOUT",
    "STREAM_CLOSED",
    "FRAME_SIZE_ERROR",
    "REFUSED_STREAM",
    "CANCEL",
    "COMPRESSION_ERROR",
    "CONNECT_ERROR",
    "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY",
    "HTTP_1_1_REQUIRED",
];

impl Behaviour {
    /// All kinds as the command line takes them, one a line, with what they do.
    pub fn help() -> String {
        let line = |(kind, does): &(&str, &str)| format!("  {kind:<32} {does}");
        KINDS.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

impl FromStr for Behaviour {
    type Err = InvalidBehaviour;

    fn from_str(text: &str) -> Result<Self, InvalidBehaviour> {
        let (kind, value) = match text.split_once('=') {
            Some((kind, value)) => (kind, Some(value)),
            None => (text, None),
        };
        let parsed = match (kind, value) {
            ("answer", None) => Self::Answer,
            ("refuse", None) => Self::Refuse,
            ("silent", None) => Self::Silent,
            ("speak", Some(language)) => Self::Speak(parse_language(language)?),
            ("hang", None) => Self::Hang,
            ("hang-in-body", None) => Self::HangInBody,
            ("cut-off", None) => Self::CutOff,
            ("flood", None) => Self::Flood,
            ("lie", None) => Self::Lie,
            ("garbage", None) => Self::Garbage,
            ("truncated", None) => Self::Truncated,
            ("compressed", None) => Self::Compressed,
            ("without-trailers", None) => Self::WithoutTrailers,
            ("no-message", None) => Self::NoMessage,
            ("fail", Some(status)) => {
                let (code, message) = parse_status(status)?;
                Self::Fail { code, message }
            }
            ("fail-after-body", Some(status)) => {
                let (code, message) = parse_status(status)?;
                Self::FailAfterBody { code, message }
            }
            ("fail-after", Some(value)) => {
                let (messages, status) = value.split_once(':').ok_or_else(|| wrong_shape(kind))?;
                let messages = parse_number(kind, messages, 0, usize::MAX)?;
                let (code, message) = parse_status(status)?;
                Self::FailAfter {
                    messages,
                    code,
                    message,
                }
            }
            ("reset", reason) => Self::Reset(parse_reason(reason.unwrap_or("INTERNAL_ERROR"))?),
            ("not-grpc", status) => Self::NotGrpc {
                status: parse_number(kind, status.unwrap_or("503"), 200, 599)?,
            },
            ("content-type", Some(content_type)) => Self::ContentType(content_type.to_owned()),
            ("head", Some(fields)) => Self::Head(parse_fields(fields)?),
            ("trailers", Some(fields)) => Self::Trailers(parse_fields(fields)?),
            ("slow", Some(duration)) => Self::Slow(parse_duration(duration)?),
            ("dribble", chunk) => Self::Dribble {
                chunk: parse_number(kind, chunk.unwrap_or("1"), 1, usize::MAX)?,
            },
            ("empty-images", Some(count)) => Self::EmptyImages {
                count: parse_number(kind, count, 0, 2_000_000_000)?,
            },
            _ => return Err(wrong_shape(kind)),
        };
        Ok(parsed)
    }
}

/// A kind that needs a value and has none, takes none and has one, or is not known.
fn wrong_shape(kind: &str) -> InvalidBehaviour {
    let name_of = |shape: &str| shape.split(['=', '[']).next().map(str::to_owned);
    InvalidBehaviour(
        match KINDS
            .iter()
            .find(|(shape, _)| name_of(shape).as_deref() == Some(kind))
        {
            Some((shape, _)) => format!("expected {shape}"),
            None => format!(
                "expected one of {}",
                KINDS.map(|(shape, _)| shape).join(", ")
            ),
        },
    )
}

fn parse_status(text: &str) -> Result<(i32, String), InvalidBehaviour> {
    let (code, message) = text.split_once(':').unwrap_or((text, ""));
    let number = name_or_number(code, &CODES)
        .filter(|number| (1..=16).contains(number))
        .and_then(|number| i32::try_from(number).ok())
        .ok_or_else(|| {
            InvalidBehaviour(format!(
                "{code:?} is no gRPC code of a failure: expected 1 to 16 or one of {}",
                CODES[1..].join(", ")
            ))
        })?;
    Ok((number, message.to_owned()))
}

fn parse_language(text: &str) -> Result<Language, InvalidBehaviour> {
    let known = Language::ALL.iter().find(|(name, _)| *name == text);
    known.map(|(_, language)| *language).ok_or_else(|| {
        InvalidBehaviour(format!(
            "{text:?} is no language: expected one of {}",
            Language::ALL.map(|(name, _)| name).join(", ")
        ))
    })
}

fn parse_fields(text: &str) -> Result<Fields, InvalidBehaviour> {
    let field = |field: &str| {
        let (name, value) = field.split_once(':')?;
        Some((name.to_owned(), value.to_owned()))
    };
    let fields = text.split('|').map(field).collect::<Option<_>>();
    fields.ok_or_else(|| {
        InvalidBehaviour(format!(
            "{text:?} are no fields: expected such as grpc-status:0|x-name:value"
        ))
    })
}

fn parse_reason(text: &str) -> Result<Reason, InvalidBehaviour> {
    name_or_number(text, &REASONS)
        .map(Reason::from)
        .ok_or_else(|| {
            InvalidBehaviour(format!(
                "{text:?} is no HTTP/2 error code: expected a number or one of {}",
                REASONS.join(", ")
            ))
        })
}

fn name_or_number(text: &str, names: &[&str]) -> Option<u32> {
    match names.iter().position(|name| *name == text) {
        Some(position) => u32::try_from(position).ok(),
        None => text.parse().ok(),
    }
}

fn parse_duration(text: &str) -> Result<Duration, InvalidBehaviour> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit_ms = match unit {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        _ => None,
    };
    let milliseconds = number.parse::<u64>().ok().zip(unit_ms);
    milliseconds
        .and_then(|(number, unit_ms)| number.checked_mul(unit_ms))
        .map(Duration::from_millis)
        .ok_or_else(|| {
            InvalidBehaviour(format!(
                "{text:?} is no duration: expected such as 500ms, 2s or 1m"
            ))
        })
}

fn parse_number<N>(kind: &str, text: &str, least: N, most: N) -> Result<N, InvalidBehaviour>
where
    N: FromStr + PartialOrd + fmt::Display,
{
    text.parse()
        .ok()
        .filter(|number| (&least..=&most).contains(&number))
        .ok_or_else(|| {
            InvalidBehaviour(format!(
                "{kind}={text}: expected a number from {least} to {most}"
            ))
        })
}

fn joined(fields: &Fields) -> String {
    let fields = fields.iter().map(|(name, value)| format!("{name}:{value}"));
    fields.collect::<Vec<_>>().join("|")
}

/// The text that parses to the same behaviour.
impl fmt::Display for Behaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer => f.write_str("answer"),
            Self::Refuse => f.write_str("refuse"),
            Self::Silent => f.write_str("silent"),
            Self::Speak(language) => {
                let mut names = Language::ALL.iter();
                let name = names.find(|(_, known)| known == language);
                write!(f, "speak={}", name.map_or("", |(name, _)| name))
            }
            Self::Hang => f.write_str("hang"),
            Self::HangInBody => f.write_str("hang-in-body"),
            Self::Fail { code, message } => write!(f, "fail={code}:{message}"),
            Self::FailAfterBody { code, message } => write!(f, "fail-after-body={code}:{message}"),
            Self::FailAfter {
                messages,
                code,
                message,
            } => write!(f, "fail-after={messages}:{code}:{message}"),
            Self::CutOff => f.write_str("cut-off"),
            Self::Reset(reason) => write!(f, "reset={}", u32::from(*reason)),
            Self::Flood => f.write_str("flood"),
            Self::Lie => f.write_str("lie"),
            Self::Garbage => f.write_str("garbage"),
            Self::Truncated => f.write_str("truncated"),
            Self::Compressed => f.write_str("compressed"),
            Self::WithoutTrailers => f.write_str("without-trailers"),
            Self::NoMessage => f.write_str("no-message"),
            Self::NotGrpc { status } => write!(f, "not-grpc={status}"),
            Self::ContentType(content_type) => write!(f, "content-type={content_type}"),
            Self::Head(fields) => write!(f, "head={}", joined(fields)),
            Self::Trailers(fields) => write!(f, "trailers={}", joined(fields)),
            Self::Slow(duration) => write!(f, "slow={}ms", duration.as_millis()),
            Self::Dribble { chunk } => write!(f, "dribble={chunk}"),
            Self::EmptyImages { count } => write!(f, "empty-images={count}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_parses_and_its_text_parses_to_the_same() {
        let values = [
            ("CODE[:TEXT]", "UNAVAILABLE:try: later"),
            ("REASON", "REFUSED_STREAM"),
            ("STATUS", "404"),
            ("LANGUAGE", "ssh"),
            ("TYPE", "application/grpc+proto"),
            ("FIELDS", "grpc-status:14|grpc-message:try: later"),
            ("DURATION", "2s"),
            ("BYTES", "7"),
            ("COUNT", "1000000"),
            ("MESSAGES", "3"),
        ];
        for (shape, _) in KINDS {
            let mut text = shape.to_owned();
            for (placeholder, value) in values {
                text = text.replace(placeholder, value);
            }
            let text = text.replace(['[', ']'], "");
            let parsed: Behaviour = text
                .parse()
                .unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(
                parsed.to_string().parse::<Behaviour>().unwrap(),
                parsed,
                "{text}"
            );
            if let Some((without_value, _)) = shape.split_once('[')
                && !without_value.contains('=')
            {
                without_value.parse::<Behaviour>().unwrap();
            }
        }
    }

    #[test]
    fn values_are_read() {
        let parse = |text: &str| text.parse::<Behaviour>().unwrap();
        let message = String::from("a:b=c");
        assert_eq!(
            parse("fail=UNAVAILABLE:a:b=c"),
            Behaviour::Fail { code: 14, message }
        );
        assert_eq!(parse("reset=8"), Behaviour::Reset(Reason::CANCEL));
        assert_eq!(parse("reset"), Behaviour::Reset(Reason::INTERNAL_ERROR));
        assert_eq!(parse("slow=1m"), Behaviour::Slow(Duration::from_secs(60)));
        assert_eq!(parse("dribble"), Behaviour::Dribble { chunk: 1 });
    }

    #[test]
    fn a_wrong_text_says_what_would_be_right() {
        let error = |text: &str| text.parse::<Behaviour>().unwrap_err().to_string();
        assert_eq!(error("slow"), "expected slow=DURATION");
        assert_eq!(error("hang=2s"), "expected hang");
        assert!(error("explode").starts_with("expected one of answer, refuse, "));
        assert!(
            error("fail=OK").starts_with(
                "\"OK\" is no gRPC code of a failure: expected 1 to 16 or one of CANC"
            )
        );
        assert_eq!(
            error("slow=2h"),
            "\"2h\" is no duration: expected such as 500ms, 2s or 1m"
        );
        assert_eq!(error("dribble=0").split(": ").next(), Some("dribble=0"));
        assert_eq!(
            error("not-grpc=99"),
            "not-grpc=99: expected a number from 200 to 599"
        );
    }
}
