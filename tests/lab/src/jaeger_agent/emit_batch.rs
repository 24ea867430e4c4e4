//! Decodes the only call that a Jaeger client makes: `emitBatch` of `agent.thrift`, with the field ids of `jaeger.thrift`
//! (jaegertracing/jaeger-idl).

use std::collections::BTreeMap;

use super::batch::{Batch, Log, Process, Span, Value};
use super::thrift::{DecodeError, Field, Reader};

/// The message type of a call without a response.
const ONEWAY: u8 = 4;

impl Batch {
    /// Decodes a datagram: a oneway call of `emitBatch` in the compact protocol, and nothing else.
    ///
    /// # Errors
    ///
    /// The offset of the first byte that is not as expected.
    pub fn decode(datagram: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(datagram);
        let message = reader.message()?;
        if message.name != "emitBatch" {
            return Err(reader.error(format!("a call of {:?}, not of emitBatch", message.name)));
        }
        if message.kind != ONEWAY {
            return Err(reader.error(format!("message type {}, not oneway", message.kind)));
        }
        let mut batch = None;
        reader.structure("the arguments of emitBatch", |reader, field| {
            match field.id {
                1 => batch = Some(read_batch(reader, field)?),
                _ => return Err(field.unknown()),
            }
            Ok(())
        })?;
        let batch = required(&reader, batch, "the batch of emitBatch")?;
        reader.end()?;
        Ok(batch)
    }
}

fn read_batch(reader: &mut Reader, field: Field) -> Result<Batch, DecodeError> {
    reader.nested(field)?;
    let (mut process, mut spans) = (None, None);
    reader.structure("Batch", |reader, field| {
        match field.id {
            1 => process = Some(read_process(reader, field)?),
            2 => spans = Some(reader.structs(field, read_span)?),
            // seqNo.
            3 => drop(reader.i64(field)?),
            _ => return Err(field.unknown()),
        }
        Ok(())
    })?;
    Ok(Batch {
        process: required(reader, process, "Batch.process")?,
        spans: required(reader, spans, "Batch.spans")?,
    })
}

fn read_process(reader: &mut Reader, field: Field) -> Result<Process, DecodeError> {
    reader.nested(field)?;
    let (mut service, mut tags) = (None, BTreeMap::new());
    reader.structure("Process", |reader, field| {
        match field.id {
            1 => service = Some(reader.string(field)?),
            2 => tags = read_tags(reader, field)?,
            _ => return Err(field.unknown()),
        }
        Ok(())
    })?;
    Ok(Process {
        service: required(reader, service, "Process.serviceName")?,
        tags,
    })
}

fn read_span(reader: &mut Reader) -> Result<Span, DecodeError> {
    let mut numbers = [None; 10];
    let (mut operation, mut flags, mut span) = (None, None, Span::default());
    reader.structure("Span", |reader, field| {
        match field.id {
            1..=4 | 8 | 9 => numbers[field.id as usize] = Some(reader.i64(field)?),
            5 => operation = Some(reader.string(field)?),
            7 => flags = Some(reader.i32(field)?),
            10 => span.tags = read_tags(reader, field)?,
            11 => span.logs = reader.structs(field, read_log)?,
            _ => return Err(field.unknown()),
        }
        Ok(())
    })?;
    let [_, low, high, id, parent, .., start, duration] = numbers;
    span.trace_id = trace_id(
        required(reader, high, "Span.traceIdHigh")?,
        required(reader, low, "Span.traceIdLow")?,
    );
    span.span_id = required(reader, id, "Span.spanId")?.cast_unsigned();
    span.parent_span_id = required(reader, parent, "Span.parentSpanId")?.cast_unsigned();
    span.operation = required(reader, operation, "Span.operationName")?;
    span.flags = required(reader, flags, "Span.flags")?;
    span.start_micros = required(reader, start, "Span.startTime")?;
    span.duration_micros = required(reader, duration, "Span.duration")?;
    Ok(span)
}

fn read_log(reader: &mut Reader) -> Result<Log, DecodeError> {
    let (mut timestamp, mut fields) = (None, None);
    reader.structure("Log", |reader, field| {
        match field.id {
            1 => timestamp = Some(reader.i64(field)?),
            2 => fields = Some(read_tags(reader, field)?),
            _ => return Err(field.unknown()),
        }
        Ok(())
    })?;
    Ok(Log {
        timestamp_micros: required(reader, timestamp, "Log.timestamp")?,
        fields: required(reader, fields, "Log.fields")?,
    })
}

/// Refuses duplicate keys: Jaeger would show a warning, and an exporter has no reason to send them.
fn read_tags(reader: &mut Reader, field: Field) -> Result<BTreeMap<String, Value>, DecodeError> {
    let mut tags = BTreeMap::new();
    for (key, value) in reader.structs(field, read_tag)? {
        if tags.contains_key(&key) {
            return Err(reader.error(format!("the tag {key:?} appears twice")));
        }
        tags.insert(key, value);
    }
    Ok(tags)
}

/// The type of a tag determines the field that holds its value.
fn read_tag(reader: &mut Reader) -> Result<(String, Value), DecodeError> {
    let (mut key, mut kind, mut values) = (None, None, BTreeMap::new());
    reader.structure("Tag", |reader, field| {
        match field.id {
            1 => key = Some(reader.string(field)?),
            2 => kind = Some(reader.i32(field)?),
            3 => drop(values.insert(0, Value::String(reader.string(field)?))),
            4 => drop(values.insert(1, Value::Double(reader.double(field)?))),
            5 => drop(values.insert(2, Value::Bool(reader.bool(field)?))),
            6 => drop(values.insert(3, Value::Long(reader.i64(field)?))),
            _ => return Err(field.unknown()),
        }
        Ok(())
    })?;
    let key = required(reader, key, "Tag.key")?;
    let kind = required(reader, kind, "Tag.vType")?;
    let Some(value) = values.remove(&kind) else {
        return Err(reader.error(format!("the tag {key:?} has no value of its type {kind}")));
    };
    Ok((key, value))
}

fn trace_id(high: i64, low: i64) -> u128 {
    u128::from(high.cast_unsigned()) << 64 | u128::from(low.cast_unsigned())
}

fn required<T>(reader: &Reader, value: Option<T>, name: &str) -> Result<T, DecodeError> {
    value.ok_or_else(|| reader.error(format!("{name} is missing")))
}
