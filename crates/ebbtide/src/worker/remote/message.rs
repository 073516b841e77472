//! What crosses to a worker process and back: anything serde can write and read as JSON, or bytes with a content type.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use crate::task::{error::BoxError, isolation::Parcel};

/// Bytes with a content type, for those who do not want JSON. Both a request and a reply. A clone shares the bytes, and long ones (64 KiB and more)
/// are not copied on their way from here to the kernel, nor from there to here.
///
/// ```
/// use ebbtide::process::Raw;
///
/// let image = Raw::new("image/png", vec![0x89, b'P', b'N', b'G']);
/// assert_eq!(image.content_type(), "image/png");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Raw {
    content_type: Arc<str>,
    bytes: Bytes,
}

/// What may be sent to a worker process: everything that is [`Serialize`], as JSON, and [`Raw`].
pub trait Request: Send + 'static {
    /// What it is written as; `None` is JSON.
    fn content_type(&self) -> Option<Arc<str>>;

    /// Appends its bytes.
    ///
    /// # Errors
    /// It cannot be written: the task ends `Failed` with that error.
    fn write(&self, into: &mut Vec<u8>) -> Result<(), BoxError>;

    /// The same bytes where they lie, if they are there in one piece already: long ones are then sent without being copied. Default: none.
    fn in_one_piece(&self) -> Option<Bytes> {
        None
    }
}

/// What a worker process may answer: everything that is [`DeserializeOwned`], from JSON, and [`Raw`].
pub trait Reply: Sized + Send + 'static {
    /// Reads it; no content type is JSON.
    ///
    /// # Errors
    /// It is something else: the task ends `Failed` with that error.
    fn read(content_type: Option<&str>, bytes: &[u8]) -> Result<Self, BoxError>;

    /// Reads a long one, which came in memory of its own and may be kept. Default: [`read`](Self::read).
    ///
    /// # Errors
    /// As `read`.
    fn keep(content_type: Option<&str>, bytes: Bytes) -> Result<Self, BoxError> {
        Self::read(content_type, &bytes)
    }
}

/// Reads what came back.
pub(crate) fn open<R: Reply>(content_type: Option<&str>, reply: Parcel<'_>) -> Result<R, BoxError> {
    match reply {
        Parcel::Short(bytes) => R::read(content_type, bytes),
        Parcel::Long(bytes) => R::keep(content_type, bytes),
    }
}

/// What JSON is called.
pub(super) const JSON: &str = "application/json";

impl<T: Serialize + Send + 'static> Request for T {
    fn content_type(&self) -> Option<Arc<str>> {
        None
    }

    fn write(&self, into: &mut Vec<u8>) -> Result<(), BoxError> {
        serde_json::to_writer(into, self)
            .map_err(|error| format!("the request cannot be written as JSON: {error}").into())
    }
}

impl<T: DeserializeOwned + Send + 'static> Reply for T {
    fn read(content_type: Option<&str>, bytes: &[u8]) -> Result<Self, BoxError> {
        if let Some(other) = content_type {
            return Err(format!(
                "the worker answered with {other} where JSON was expected: have it return a value, or ask for `Raw`"
            )
            .into());
        }
        serde_json::from_slice(bytes).map_err(|error| {
            let begins = String::from_utf8_lossy(&bytes[..bytes.len().min(80)]);
            format!("the reply is not a {}: {error}; it begins with {begins}", short::<T>()).into()
        })
    }
}

/// The name of a type without its path.
fn short<T>() -> &'static str {
    let name = std::any::type_name::<T>();
    if name.contains('<') { name } else { name.rsplit("::").next().unwrap_or(name) }
}

impl Raw {
    /// Bytes of a content type.
    pub fn new(content_type: impl Into<Arc<str>>, bytes: impl Into<Vec<u8>>) -> Self {
        Self { content_type: content_type.into(), bytes: Bytes::from(bytes.into()) }
    }

    /// Bytes that are JSON already. They are not looked at.
    pub fn json(bytes: impl Into<Vec<u8>>) -> Self {
        Self::new(JSON, bytes)
    }

    /// What they are.
    #[must_use]
    pub fn content_type(&self) -> &str {
        &self.content_type
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes, taken out. Copied where a clone shares them, and where they are a long reply, whose memory the next one comes in: who only looks
    /// at them calls [`bytes`](Self::bytes).
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes.into()
    }
}

impl Request for Raw {
    fn content_type(&self) -> Option<Arc<str>> {
        (&*self.content_type != JSON).then(|| Arc::clone(&self.content_type))
    }

    fn write(&self, into: &mut Vec<u8>) -> Result<(), BoxError> {
        into.extend_from_slice(&self.bytes);
        Ok(())
    }

    fn in_one_piece(&self) -> Option<Bytes> {
        Some(self.bytes.clone())
    }
}

impl Reply for Raw {
    fn read(content_type: Option<&str>, bytes: &[u8]) -> Result<Self, BoxError> {
        Ok(Self::new(content_type.unwrap_or(JSON), bytes))
    }

    fn keep(content_type: Option<&str>, bytes: Bytes) -> Result<Self, BoxError> {
        Ok(Self { content_type: content_type.unwrap_or(JSON).into(), bytes })
    }
}

impl fmt::Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Raw({}, {} bytes)", self.content_type, self.bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_and_a_long_reply_lie_where_they_lay() {
        let raw = Raw::new("image/png", vec![7; 100_000]);
        let lies = raw.bytes().as_ptr();
        assert_eq!(raw.clone().bytes().as_ptr(), lies);
        let sent = raw.in_one_piece().expect("it is in one piece");
        let reply: Raw = open(Some("image/png"), Parcel::Long(sent)).expect("bytes are bytes");
        assert_eq!((reply.bytes().as_ptr(), &reply), (lies, &raw));
        assert_eq!(reply.into_bytes(), raw.clone().into_bytes(), "a copy, for they are shared");
        let bytes = raw.into_bytes();
        assert_eq!(bytes.as_ptr(), lies, "nobody else has them any more");
    }
}
