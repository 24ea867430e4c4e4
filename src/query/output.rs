//! The output of a query: a table for people, JSON for programs, and error messages.

use serde_json::{Map, Value, json};

use crate::{
    answer::{Answer, Filesystem, QueryError, Runtime},
    observe::{Event, Outcome},
    telemetry::Undelivered,
    units::{duration, size},
    words::{escaped, is_command},
};

/// The event as a table with a line per store, and the trace's id.
pub(super) fn table(event: &Event) -> String {
    let mut rows = vec![
        [
            "STORE", "RUNTIME", "IMAGES", "SIZE", "UNTAGGED", "PINNED", "UNUSED", "DURATION",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    rows.extend(event.outcomes.iter().map(row));
    let mut text = aligned(&rows);
    if let Some(trace) = &event.trace_id {
        text.push_str(&format!("trace {trace}\n"));
    }
    text
}

/// The event as one JSON object. What a store does not report is null, and so is `trace_error` if the trace was delivered.
pub(super) fn json(event: &Event, delivery: &Result<(), Undelivered>) -> String {
    let stores: Vec<Value> = event.outcomes.iter().map(store).collect();
    let trace_error = delivery.as_ref().err().map(ToString::to_string);
    let object =
        json!({ "trace_id": event.trace_id, "trace_error": trace_error, "stores": stores });
    escape_commands(&format!("{object:#}\n"))
}

/// Escapes the characters that a terminal may interpret, most of which JSON allows unescaped. They occur only in strings, where
/// escapes are valid; line breaks between values stay.
fn escape_commands(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        if character != '\n' && is_command(character) {
            text.push_str(&format!("\\u{:04x}", u32::from(character)));
        } else {
            text.push(character);
        }
    }
    text
}

/// A line for standard error: the trace was not delivered.
pub(super) fn undelivered(why: &Undelivered) -> String {
    escaped(&format!(
        "exp-rkt-grpc: the trace was not delivered: {why}; OTEL_TRACES_EXPORTER=none switches traces off"
    ))
}

/// Lines for standard error: the warnings of the answers.
pub(super) fn warnings(event: &Event) -> impl Iterator<Item = String> {
    event.outcomes.iter().filter_map(|outcome| {
        let warning = outcome.answer.as_ref().ok()?.warning.as_ref()?;
        let line = format!("exp-rkt-grpc: warning: {}: {warning}", outcome.store);
        Some(escaped(&line))
    })
}

/// A line for standard error: a signal interrupted the query.
pub(super) fn interrupted(signal: &str, event: &Event) -> String {
    let unanswered = event.unanswered().join(", ");
    format!(
        "exp-rkt-grpc: interrupted by {signal} before {unanswered} answered; no result was printed"
    )
}

fn row(outcome: &Outcome) -> Vec<String> {
    let answer = match &outcome.answer {
        Ok(answer) => answer,
        // The last cell of a line may have any width.
        Err(error) => {
            let failure = escaped(&format!("query failed: {}", error.with_code()));
            return vec![outcome.store.clone(), failure];
        }
    };
    let contents = &answer.contents;
    vec![
        outcome.store.clone(),
        answer
            .runtime
            .as_ref()
            .map_or_else(|| "-".to_owned(), runtime_name),
        count(contents.images),
        contents.size_bytes.map_or_else(|| "-".to_owned(), size),
        count(contents.untagged),
        count(contents.pinned),
        count(contents.unused),
        duration(outcome.duration),
    ]
}

fn runtime_name(runtime: &Runtime) -> String {
    escaped(format!("{} {}", runtime.name, runtime.version).trim_end())
}

fn count(count: Option<u64>) -> String {
    count.map_or_else(|| "-".to_owned(), |count| count.to_string())
}

/// Pads columns to their widest cell. The last cell of a line is neither padded nor counted.
fn aligned(rows: &[Vec<String>]) -> String {
    let mut widths = Vec::new();
    for row in rows {
        for (column, cell) in row.iter().take(row.len() - 1).enumerate() {
            let width = cell.chars().count();
            match widths.get_mut(column) {
                Some(widest) => *widest = width.max(*widest),
                None => widths.push(width),
            }
        }
    }
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> = row
            .iter()
            .enumerate()
            .map(|(column, cell)| {
                let width = widths.get(column).filter(|_| column + 1 < row.len());
                format!("{cell:<width$}", width = width.copied().unwrap_or(0))
            })
            .collect();
        text.push_str(&cells.join("  "));
        text.push('\n');
    }
    text
}

fn store(outcome: &Outcome) -> Value {
    let mut object = Map::new();
    object.insert("store".to_owned(), json!(outcome.store));
    object.insert(
        "duration_seconds".to_owned(),
        json!(outcome.duration.as_secs_f64()),
    );
    object.extend(match &outcome.answer {
        Ok(answer) => answered(answer),
        Err(error) => failed(error),
    });
    Value::Object(object)
}

fn answered(answer: &Answer) -> Map<String, Value> {
    let contents = &answer.contents;
    let registries: Map<String, Value> = contents
        .registries
        .counts()
        .map(|(registry, images)| (registry.to_owned(), json!(images)))
        .collect();
    Map::from_iter(
        [
            ("images", json!(contents.images)),
            ("image_names", json!(contents.names)),
            ("size_bytes", json!(contents.size_bytes)),
            ("largest_image_size_bytes", json!(contents.largest_bytes)),
            ("untagged_images", json!(contents.untagged)),
            ("pinned_images", json!(contents.pinned)),
            ("unused_images", json!(contents.unused)),
            ("unused_images_size_bytes", json!(contents.unused_bytes)),
            (
                "oldest_image_timestamp_seconds",
                json!(contents.oldest_seconds),
            ),
            (
                "newest_image_timestamp_seconds",
                json!(contents.newest_seconds),
            ),
            ("registry_images", Value::Object(registries)),
            ("response_bytes", json!(answer.response_bytes)),
            (
                "runtime",
                answer.runtime.as_ref().map_or(Value::Null, runtime),
            ),
            (
                "filesystems",
                answer
                    .filesystems
                    .as_deref()
                    .map_or(Value::Null, filesystems),
            ),
            ("warning", json!(answer.warning)),
            ("error", Value::Null),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    )
}

fn failed(error: &QueryError) -> Map<String, Value> {
    let error = json!({ "code": error.code().name(), "message": error.to_string() });
    Map::from_iter([("error".to_owned(), error)])
}

fn runtime(runtime: &Runtime) -> Value {
    json!({
        "name": runtime.name,
        "version": runtime.version,
        "api_version": runtime.api_version,
    })
}

fn filesystems(filesystems: &[Filesystem]) -> Value {
    let filesystem = |filesystem: &Filesystem| {
        json!({
            "mountpoint": filesystem.mountpoint,
            "used_bytes": filesystem.used_bytes,
            "inodes_used": filesystem.inodes_used,
            "size_bytes": filesystem.size_bytes,
            "avail_bytes": filesystem.avail_bytes,
        })
    };
    filesystems.iter().map(filesystem).collect()
}

#[cfg(test)]
mod tests {
    use super::aligned;

    #[test]
    fn a_long_last_cell_does_not_widen_its_column() {
        let rows = [vec!["a", "bb", "c"], vec!["dd", "a long sentence"]];
        let rows = rows.map(|row| row.into_iter().map(str::to_owned).collect());
        assert_eq!(aligned(&rows), "a   bb  c\ndd  a long sentence\n");
    }
}
