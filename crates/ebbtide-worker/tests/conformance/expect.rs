//! What a frame must be, and whether it is.

use std::fmt;

use ebbtide_worker::frame::FrameType;
use serde_json::{Map, Value, json};

/// A frame that must come.
pub(crate) struct Expected {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) id: u64,
    pub(crate) meta: Meta,
    pub(crate) body: Body,
}

pub(crate) enum Meta {
    Nothing,
    Fields(Fields),
}

/// Names, and values as they stand in the transcript.
pub(crate) type Fields = Vec<(String, String)>;

pub(crate) enum Body {
    Bytes(Vec<u8>),
    Json(Value),
}

/// A frame that came.
pub(crate) struct Received {
    pub(crate) kind: FrameType,
    pub(crate) flags: u8,
    pub(crate) id: u64,
    pub(crate) meta: Vec<u8>,
    pub(crate) body: Vec<u8>,
}

/// What is known of the worker.
pub(crate) struct Facts {
    pub(crate) pid: u32,
    pub(crate) language: String,
}

/// Whether it is the one; else what is not right.
pub(crate) fn compare(expected: &Expected, frame: &Received, facts: &Facts) -> Result<(), String> {
    if (expected.kind, expected.id) != (frame.kind.number(), frame.id) {
        return Err(format!("it should be {expected}"));
    }
    if expected.flags != frame.flags {
        return Err(format!("flags are {}, and should be {}", frame.flags, expected.flags));
    }
    match &expected.meta {
        Meta::Nothing if frame.meta.is_empty() => {}
        Meta::Nothing => return Err("it has meta, and there is nothing that could be said".to_owned()),
        Meta::Fields(fields) => fields_are(fields, frame, facts)?,
    }
    match &expected.body {
        Body::Bytes(bytes) if *bytes == frame.body => Ok(()),
        Body::Bytes(bytes) => Err(format!("the body should be {}", shown(bytes))),
        Body::Json(value) => match serde_json::from_slice::<Value>(&frame.body) {
            Ok(came) if came == *value => Ok(()),
            Ok(_) => Err(format!("the body should be {value}")),
            Err(error) => Err(format!("the body is not JSON: {error}")),
        },
    }
}

fn fields_are(fields: &[(String, String)], frame: &Received, facts: &Facts) -> Result<(), String> {
    let mut came: Map<String, Value> = defaults(frame.kind);
    if !frame.meta.is_empty() {
        let said =
            serde_json::from_slice(&frame.meta).map_err(|error| format!("meta is no object: {error}"))?;
        let Value::Object(said) = said else { return Err("meta is no object".to_owned()) };
        came.extend(said);
    }
    let mut should = defaults(frame.kind);
    for (name, pattern) in fields {
        let value = came.get(name).cloned().unwrap_or_default();
        if let Some(placeholder) = pattern.strip_prefix('$') {
            holds(placeholder, &value, facts).map_err(|why| format!("{name} is {value}: {why}"))?;
            should.insert(name.clone(), value);
        } else {
            let value = serde_json::from_str(pattern).map_err(|error| format!("{pattern}: {error}"))?;
            should.insert(name.clone(), value);
        }
    }
    let wrong = should.iter().find(|(name, value)| came.get(*name) != Some(value));
    match wrong {
        Some((name, value)) => Err(format!("{name} should be {value}")),
        None => Ok(()),
    }
}

/// What meta says where it says nothing.
fn defaults(kind: FrameType) -> Map<String, Value> {
    let defaults = match kind {
        FrameType::Hello => json!({"proto": 1, "credits": 1}),
        FrameType::Result => json!({"content_type": "application/json"}),
        FrameType::Error => json!({"stack": "", "retryable": false, "cancelled": false}),
        FrameType::Log => json!({"level": "info"}),
        _ => json!({}),
    };
    if let Value::Object(fields) = defaults { fields } else { Map::new() }
}

fn holds(placeholder: &str, value: &Value, facts: &Facts) -> Result<(), String> {
    const MESSAGE_MAX: usize = 8 << 10;
    const STACK_MAX: usize = 16 << 10;
    let text = value.as_str();
    let word = placeholder.split('(').next().unwrap_or_default();
    let parts = placeholder[word.len()..].trim_matches(['(', ')']).split(',').map(str::trim);
    let right = match (word, text) {
        ("pid", _) => *value == json!(facts.pid),
        ("lang", Some(text)) => text == facts.language,
        ("class", Some(text)) => !text.is_empty(),
        ("stack", Some(text)) => text.len() <= STACK_MAX,
        ("why", Some(text)) => {
            let missing = parts.filter(|part| !text.contains(part)).collect::<Vec<_>>();
            if !missing.is_empty() {
                return Err(format!("it does not say {}", missing.join(", ")));
            }
            !text.is_empty() && text.len() <= MESSAGE_MAX
        }
        _ => false,
    };
    if right { Ok(()) } else { Err(format!("that is no ${word} (pid {}, {})", facts.pid, facts.language)) }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = FrameType::from_number(self.kind).map_or("a frame of no type", FrameType::name);
        write!(f, "{name} {}", self.id)
    }
}

impl fmt::Display for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.name(), self.id)?;
        if self.flags != 0 {
            write!(f, " flags {}", self.flags)?;
        }
        write!(f, " {} {}", shown(&self.meta), shown(&self.body))
    }
}

fn shown(bytes: &[u8]) -> String {
    let (start, rest) = bytes.split_at(bytes.len().min(300));
    let more = if rest.is_empty() { String::new() } else { format!("… and {} bytes", rest.len()) };
    format!("\"{}\"{more}", start.escape_ascii())
}
