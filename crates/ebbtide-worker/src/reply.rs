//! What a function that is given bytes answers with.

use std::borrow::Cow;

use serde::Serialize;

use crate::frame::{JSON, OCTETS};

/// Bytes and what they are. A `Vec<u8>` becomes one of the type `application/octet-stream`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub(crate) content_type: Cow<'static, str>,
    pub(crate) bytes: Vec<u8>,
}

impl Reply {
    /// Bytes of the content type that is named.
    #[must_use]
    pub fn new(content_type: impl Into<Cow<'static, str>>, bytes: impl Into<Vec<u8>>) -> Self {
        Self { content_type: content_type.into(), bytes: bytes.into() }
    }

    /// A value as JSON. NaN and the infinities are null, as everywhere with `serde_json`.
    ///
    /// # Errors
    /// What cannot be JSON: a map whose keys are no strings, or what a `Serialize` of one's own refuses.
    pub fn json(value: &impl Serialize) -> Result<Self, serde_json::Error> {
        Ok(Self::new(JSON, serde_json::to_vec(value)?))
    }
}

impl From<Vec<u8>> for Reply {
    fn from(bytes: Vec<u8>) -> Self {
        Self::new(OCTETS, bytes)
    }
}
