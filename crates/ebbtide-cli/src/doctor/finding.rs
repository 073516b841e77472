//! One thing that was looked at.

use serde::Serialize;

/// What was looked at and what was found.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    /// In a word or two.
    pub(super) what: &'static str,
    /// Whether it is there.
    pub(super) ok: bool,
    /// Whether `ebbtide run` can do nothing without it.
    pub(super) needed: bool,
    /// What there is.
    pub(super) found: String,
    /// What follows from that.
    pub(super) means: &'static str,
    /// What to do, where something is missing.
    pub(super) remedy: Option<&'static str>,
}

/// A question with its two answers.
pub(super) struct Question {
    pub(super) what: &'static str,
    pub(super) needed: bool,
    /// What it means that it is there.
    pub(super) yes: &'static str,
    /// What it means that it is not.
    pub(super) no: &'static str,
    pub(super) remedy: &'static str,
}

impl Question {
    /// The answer; what there is, in words, either way.
    pub(super) fn answer(&self, found: Result<String, String>) -> Finding {
        let Question { what, needed, .. } = *self;
        match found {
            Ok(found) => Finding { what, needed, ok: true, found, means: self.yes, remedy: None },
            Err(found) => {
                Finding { what, needed, ok: false, found, means: self.no, remedy: Some(self.remedy) }
            }
        }
    }
}
