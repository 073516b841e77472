//! The report as a page that a person looks at: one file without scripts, fonts or network, dark where the reader likes it dark.
//!
//! Pure: a value in, text out. Whatever components, workers and tasks are called, nothing of it becomes markup, and what cannot be
//! printed (direction marks among it) is shown as an escape. There is a limit on everything; what is left out is counted.

mod app_page;
mod app_picture;
mod axis;
mod ink;
mod parts;
mod pool_page;
mod pool_picture;
mod style;

use super::{app::AppReport, value::Report};

impl AppReport {
    /// The report as one HTML page: the stop as a picture, the critical path, outcomes, components, what happened.
    ///
    /// Self-contained and readable without scripts, which it forbids itself. Less than 2 MiB, however long the report is: at most 40
    /// components are drawn and 200 listed, at most 500 entries of the timeline shown; the others are counted.
    #[must_use]
    pub fn to_html(&self) -> String {
        app_page::page(self)
    }

    /// The picture of [`to_html`](Self::to_html) alone, as an SVG file.
    #[must_use]
    pub fn to_svg(&self) -> String {
        app_picture::picture(self)
    }
}

impl Report {
    /// The report as one HTML page: the workers as a picture, outcomes, what happened.
    ///
    /// Self-contained and readable without scripts, which it forbids itself. Less than 1 MiB, however long the report is: at most 40 workers are
    /// drawn and at most 500 entries of the timeline shown; the others are counted.
    #[must_use]
    pub fn to_html(&self) -> String {
        pool_page::page(self)
    }

    /// The picture of [`to_html`](Self::to_html) alone, as an SVG file.
    #[must_use]
    pub fn to_svg(&self) -> String {
        pool_picture::picture(self)
    }
}

#[cfg(test)]
mod tests;
