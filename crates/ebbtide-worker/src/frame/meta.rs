//! What the small JSON object of each frame may hold.
//!
//! Every field has a default and is left out where it has it, so that most frames have no meta at all: `to_bytes` of a default is empty,
//! and `read` of nothing is the default. Unknown fields are ignored, and `null` is the default too.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeOwned, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::kind::{JSON, META_MAX, VERSION};
use super::malformed::Malformed;

/// An ERROR's message is cut to so many bytes, at a character.
pub const MESSAGE_MAX: usize = 8 << 10;
/// An ERROR's stack is cut to so many bytes, at a character.
pub const STACK_MAX: usize = 16 << 10;

/// Of TASK and BATCH.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskMeta<'a> {
    /// The function (export) to call. Default: none, the worker's own default.
    #[serde(rename = "fn", borrow, deserialize_with = "option", skip_serializing_if = "Option::is_none")]
    pub function: Option<Cow<'a, str>>,
    /// Which attempt this is. Default: 1.
    #[serde(deserialize_with = "one_or", skip_serializing_if = "is_one")]
    pub attempt: u32,
    /// How long it may still run, in milliseconds. Default: none, as long as it likes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
    /// What the request is. Default: `application/json`.
    #[serde(borrow, deserialize_with = "json_or", skip_serializing_if = "is_json")]
    pub content_type: Cow<'a, str>,
    /// The caller's name for the task. Default: none.
    #[serde(borrow, deserialize_with = "option", skip_serializing_if = "Option::is_none")]
    pub key: Option<Cow<'a, str>>,
    /// Whether the request is an array, for whose items the function is called one by one. Default: false.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_false")]
    pub each: bool,
}

impl Default for TaskMeta<'_> {
    fn default() -> Self {
        let content_type = Cow::Borrowed(JSON);
        Self { function: None, attempt: 1, deadline_ms: None, content_type, key: None, each: false }
    }
}

/// Of CANCEL.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CancelMeta<'a> {
    /// Why. Default: empty.
    #[serde(borrow, deserialize_with = "text", skip_serializing_if = "str::is_empty")]
    pub reason: Cow<'a, str>,
}

/// Of HELLO.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HelloMeta<'a> {
    /// The protocol's version. Default: 1.
    #[serde(deserialize_with = "one_or", skip_serializing_if = "is_version")]
    pub proto: u32,
    /// The worker's process. Default: 0, not said.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_zero")]
    pub pid: u32,
    /// What it is written in: `rust`, `node`, `python`. Default: empty.
    #[serde(borrow, deserialize_with = "text", skip_serializing_if = "str::is_empty")]
    pub lang: Cow<'a, str>,
    /// What the pool gave it in `EBBTIDE_NONCE`. Default: empty.
    #[serde(borrow, deserialize_with = "text", skip_serializing_if = "str::is_empty")]
    pub nonce: Cow<'a, str>,
    /// How many tasks it wants to have at once. Default: 1.
    #[serde(deserialize_with = "one_or", skip_serializing_if = "is_one")]
    pub credits: u32,
}

impl Default for HelloMeta<'_> {
    fn default() -> Self {
        let (lang, nonce) = (Cow::Borrowed(""), Cow::Borrowed(""));
        Self { proto: VERSION, pid: 0, lang, nonce, credits: 1 }
    }
}

/// Of RESULT.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ResultMeta<'a> {
    /// What the reply is. Default: `application/json`.
    #[serde(borrow, deserialize_with = "json_or", skip_serializing_if = "is_json")]
    pub content_type: Cow<'a, str>,
}

impl Default for ResultMeta<'_> {
    fn default() -> Self {
        Self { content_type: Cow::Borrowed(JSON) }
    }
}

/// Of ERROR.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ErrorMeta<'a> {
    /// The error's class or type. Default: empty.
    #[serde(borrow, deserialize_with = "text", skip_serializing_if = "str::is_empty")]
    pub name: Cow<'a, str>,
    /// What it says. Default: empty.
    #[serde(borrow, deserialize_with = "text", skip_serializing_if = "str::is_empty")]
    pub message: Cow<'a, str>,
    /// Where it was raised, as its language writes it. Default: empty.
    #[serde(borrow, deserialize_with = "text", skip_serializing_if = "str::is_empty")]
    pub stack: Cow<'a, str>,
    /// Whether it says of itself that another attempt may succeed. Default: false.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_false")]
    pub retryable: bool,
    /// Whether the task ended because it was asked to. Default: false.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_false")]
    pub cancelled: bool,
}

/// Of LOG.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogMeta<'a> {
    /// `debug`, `info`, `warn` or `error`; anything else is for the reader to take as `info`. Default: `info`.
    #[serde(borrow, deserialize_with = "info_or", skip_serializing_if = "is_info")]
    pub level: Cow<'a, str>,
}

impl Default for LogMeta<'_> {
    fn default() -> Self {
        Self { level: Cow::Borrowed("info") }
    }
}

macro_rules! reading_and_writing {
    ($($meta:ident)*) => {$(
        impl<'a> $meta<'a> {
            /// Reads it; what can be borrowed from `meta` is. Nothing is the default.
            ///
            /// # Errors
            /// [`Malformed::Meta`] where it is no JSON object, or a field has the wrong type.
            #[inline]
            pub fn read(meta: &'a [u8]) -> Result<Self, Malformed> {
                if meta.is_empty() { Ok(Self::default()) } else { read(meta) }
            }
        }
    )*};
}
reading_and_writing!(TaskMeta CancelMeta HelloMeta ResultMeta ErrorMeta LogMeta);

macro_rules! written_as_they_are {
    ($($meta:ident)*) => {$(
        impl $meta<'_> {
            /// Its bytes; none if every field has its default. They may be more than a frame takes: writing it says so.
            #[must_use]
            pub fn to_bytes(&self) -> Vec<u8> {
                if *self == Self::default() { Vec::new() } else { write(self) }
            }
        }
    )*};
}
written_as_they_are!(TaskMeta CancelMeta HelloMeta ResultMeta LogMeta);

impl ErrorMeta<'_> {
    /// Its bytes, cut so that they fit a frame: the message to [`MESSAGE_MAX`], the stack to [`STACK_MAX`], and both further where they
    /// are full of what JSON has to escape.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        if *self == Self::default() {
            return Vec::new();
        }
        let (mut message, mut stack) = (MESSAGE_MAX, STACK_MAX);
        loop {
            let short = ErrorMeta {
                name: Cow::Borrowed(cut(&self.name, 1 << 10)),
                message: Cow::Borrowed(cut(&self.message, message)),
                stack: Cow::Borrowed(cut(&self.stack, stack)),
                ..*self
            };
            let bytes = write(&short);
            if bytes.len() <= META_MAX {
                return bytes;
            }
            // The message is worth more than the stack; one byte becomes six at most, so this ends soon.
            (message, stack) = if stack > 0 { (message, stack / 2) } else { (message / 2, 0) };
        }
    }
}

/// The longest beginning of `text` that has at most `most` bytes and ends at a character.
#[must_use]
pub fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

fn read<'a, M: Deserialize<'a>>(meta: &'a [u8]) -> Result<M, Malformed> {
    // A derived reader takes an array for an object as well; the protocol does not.
    if meta.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err(Malformed::Meta { why: "it is not a JSON object".to_owned() });
    }
    serde_json::from_slice(meta).map_err(|error| Malformed::Meta { why: error.to_string() })
}

fn write(meta: &impl Serialize) -> Vec<u8> {
    // Strings, numbers and booleans under fixed names cannot fail to be JSON.
    serde_json::to_vec(meta).unwrap_or_default()
}

/// A text that is borrowed where it has no escapes, which serde does for a bare `Cow` field and not for one with a default for `null`.
struct Text;

impl<'de> Visitor<'de> for Text {
    type Value = Option<Cow<'de, str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Some(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(Cow::Owned(text.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

fn option<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Cow<'de, str>>, D::Error> {
    from.deserialize_any(Text)
}

fn text<'de, D: Deserializer<'de>>(from: D) -> Result<Cow<'de, str>, D::Error> {
    option(from).map(Option::unwrap_or_default)
}

fn json_or<'de, D: Deserializer<'de>>(from: D) -> Result<Cow<'de, str>, D::Error> {
    option(from).map(|text| text.unwrap_or(Cow::Borrowed(JSON)))
}

fn info_or<'de, D: Deserializer<'de>>(from: D) -> Result<Cow<'de, str>, D::Error> {
    option(from).map(|text| text.unwrap_or(Cow::Borrowed("info")))
}

fn one_or<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    Option::deserialize(from).map(|value| value.unwrap_or(1))
}

fn or_default<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(from: D) -> Result<T, D::Error> {
    Option::deserialize(from).map(Option::unwrap_or_default)
}

fn is_one(number: &u32) -> bool {
    *number == 1
}

fn is_version(number: &u32) -> bool {
    *number == VERSION
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

fn is_false(value: &bool) -> bool {
    !value
}

fn is_json(content_type: &str) -> bool {
    content_type == JSON
}

fn is_info(level: &str) -> bool {
    level == "info"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_its_default_is_not_written() {
        assert!(TaskMeta::default().to_bytes().is_empty());
        assert!(HelloMeta::default().to_bytes().is_empty());
        assert!(ResultMeta::default().to_bytes().is_empty());
        assert!(ErrorMeta::default().to_bytes().is_empty());
        let task = TaskMeta { function: Some("f".into()), attempt: 2, ..TaskMeta::default() };
        assert_eq!(task.to_bytes(), br#"{"fn":"f","attempt":2}"#);
        assert_eq!(TaskMeta::read(&task.to_bytes()), Ok(task));
        let log = LogMeta { level: "warn".into() };
        assert_eq!(LogMeta::read(&log.to_bytes()), Ok(log));
    }

    #[test]
    fn unknown_fields_and_null_are_ignored_and_texts_borrowed() {
        let meta =
            br#" {"x":[1,{}],"fn":"f","attempt":null,"deadline_ms":null,"key":"a\nb","content_type":null}"#;
        let task = TaskMeta::read(meta).unwrap();
        assert!(matches!(task.function, Some(Cow::Borrowed("f"))));
        assert_eq!((task.attempt, task.deadline_ms, task.content_type), (1, None, JSON.into()));
        assert_eq!(task.key.as_deref(), Some("a\nb"));
        let error = br#"{"name":null,"message":null,"stack":null,"retryable":null,"cancelled":null}"#;
        assert_eq!(ErrorMeta::read(error), Ok(ErrorMeta::default()));
        let hello = br#"{"proto":null,"pid":null,"lang":null,"nonce":null,"credits":null}"#;
        assert_eq!(HelloMeta::read(hello), Ok(HelloMeta::default()));
    }

    #[test]
    fn what_is_no_object_is_malformed() {
        for meta in ["[]", "1", "null", " ", "{", "{}x", r#"{"fn":1}"#, r#"{"attempt":-1}"#, r#"["f",1]"#] {
            assert!(matches!(TaskMeta::read(meta.as_bytes()), Err(Malformed::Meta { .. })), "{meta}");
        }
        assert!(TaskMeta::read(b"{\"fn\":\"\xff\"}").is_err());
    }

    #[test]
    fn an_error_always_fits_its_frame() {
        for text in ["x", "\u{1}", "é", "\u{1f600}"] {
            let long = text.repeat(40_000);
            let (name, message) = (Cow::Borrowed(&*long), Cow::Borrowed(&*long));
            let stack = Cow::Borrowed(&*long);
            let bytes = ErrorMeta { name, message, stack, retryable: true, cancelled: false }.to_bytes();
            assert!(bytes.len() <= META_MAX, "{}", bytes.len());
            let read = ErrorMeta::read(&bytes).unwrap();
            assert!(read.retryable && read.message.len() <= MESSAGE_MAX && read.stack.len() <= STACK_MAX);
            assert!(read.message.len() > MESSAGE_MAX - 4, "{}", read.message.len());
        }
    }
}
