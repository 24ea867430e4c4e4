//! The gRPC status in a response's headers or trailers ("Responses" in
//! <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>).
//!
//! Only `grpc-status` and `grpc-message` are read: another, malformed field must not hide the store's error. What cannot be decoded
//! is shown as it is.

use http::{HeaderMap, HeaderValue};
use tonic::Status;

use crate::{
    answer::{Code, QueryError},
    words::cut,
};

const STATUS: &str = "grpc-status";
const MESSAGE: &str = "grpc-message";

/// Bytes of a `grpc-message` that are decoded: more than enough for [`MAX_MESSAGE`], as no character takes more than twelve.
const DECODED: usize = 16 * 1024;

/// Longest message of a store's error that is kept, in bytes.
const MAX_MESSAGE: usize = 1024;

/// Whether there is a status.
pub(super) fn is_in(fields: &HeaderMap) -> bool {
    fields.contains_key(STATUS)
}

/// The status in these fields, if there is one.
pub(super) fn read(fields: &HeaderMap) -> Option<Status> {
    let number = fields.get(STATUS)?;
    let text = fields.get(MESSAGE).map(text).unwrap_or_default();
    Some(match code(number) {
        Some(tonic::Code::Ok) => Status::ok(text),
        Some(code) if text.is_empty() => Status::new(code, "no reason given"),
        Some(code) => Status::new(code, text),
        None => Status::unknown(format!("{} is not a gRPC status: {text}", shown(number))),
    })
}

/// Whether the status has no message, perhaps because it was too long.
pub(super) fn lacks_text(fields: &HeaderMap) -> bool {
    !fields.contains_key(MESSAGE)
}

impl From<Status> for QueryError {
    fn from(status: Status) -> Self {
        Self::Call {
            code: Code::of(status.code() as i32),
            message: cut(without_code(status.message(), status.code()), MAX_MESSAGE),
        }
    }
}

/// The message without the code that some stores repeat in front of it, in gRPC's spelling or as grpc-go prints an error that it
/// passes on.
fn without_code(mut message: &str, code: tonic::Code) -> &str {
    let go = match code {
        tonic::Code::Ok => "OK".to_owned(),
        tonic::Code::Cancelled => "Canceled".to_owned(),
        code => format!("{code:?}"),
    };
    let prefixes = [
        format!("{}: ", Code::of(code as i32).name()),
        format!("rpc error: code = {go} desc = "),
    ];
    while let Some(rest) = prefixes
        .iter()
        .find_map(|prefix| message.strip_prefix(prefix.as_str()))
        .filter(|rest| !rest.is_empty())
    {
        message = rest;
    }
    message
}

fn code(number: &HeaderValue) -> Option<tonic::Code> {
    let number = number.to_str().ok()?;
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
    let number = number.parse().ok().filter(|_| is_number)?;
    (0..=16)
        .contains(&number)
        .then(|| tonic::Code::from_i32(number))
}

fn shown(value: &HeaderValue) -> String {
    const LONGEST: usize = 40;
    let bytes = value.as_bytes();
    format!("\"{}\"", bytes[..bytes.len().min(LONGEST)].escape_ascii())
}

fn text(message: &HeaderValue) -> String {
    let encoded = message.as_bytes();
    let decoded = percent_decoded(&encoded[..encoded.len().min(DECODED)]);
    String::from_utf8_lossy(&decoded).into_owned()
}

/// Decodes each `%` that is followed by two hexadecimal digits to a byte; any other `%` is kept.
fn percent_decoded(mut encoded: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(encoded.len());
    while let [first, rest @ ..] = encoded {
        let byte = match rest {
            [high, low, ..] if *first == b'%' => hexadecimal(*high).zip(hexadecimal(*low)),
            _ => None,
        };
        match byte {
            Some((high, low)) => {
                decoded.push(high << 4 | low);
                encoded = &rest[2..];
            }
            None => {
                decoded.push(*first);
                encoded = rest;
            }
        }
    }
    decoded
}

fn hexadecimal(digit: u8) -> Option<u8> {
    let digit = char::from(digit).to_digit(16)?;
    u8::try_from(digit).ok()
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::percent_decoded;

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded_to_itself(bytes in vec(any::<u8>(), 0..300), upper in any::<bool>()) {
            let encode = |byte: &u8| match byte {
                b' '..=b'~' if *byte != b'%' => char::from(*byte).to_string(),
                _ if upper => format!("%{byte:02X}"),
                _ => format!("%{byte:02x}"),
            };
            let encoded: String = bytes.iter().map(encode).collect();
            prop_assert_eq!(percent_decoded(encoded.as_bytes()), bytes);
        }

        #[test]
        fn what_has_no_percent_sign_is_itself(bytes in vec(any::<u8>().prop_filter("%", |byte| *byte != b'%'), 0..100)) {
            prop_assert_eq!(percent_decoded(&bytes), bytes);
        }
    }
}
