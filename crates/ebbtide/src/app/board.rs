//! What each component is doing, where whoever runs the application writes it and everybody may read it.

use std::sync::Arc;

use super::builder::Declaration;
use crate::{
    component::{Component, Progress, Said},
    sync::Mutex,
    task::{cancel::CancelToken, panics},
};

pub(crate) struct Board {
    parts: Vec<Declaration>,
    places: Vec<Place>,
    doing: Mutex<Vec<Doing>>,
    /// What was last seen of everybody's progress.
    seen: Mutex<Vec<Progress>>,
}

/// What belongs to a component while it runs.
#[derive(Default)]
struct Place {
    start: CancelToken,
    stop: CancelToken,
    said: Arc<Said>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doing {
    /// Not started yet, or gone.
    Nothing,
    Starting,
    Serving,
    Stopping,
    /// Left behind.
    Left,
}

impl Board {
    pub(crate) fn new(parts: Vec<Declaration>) -> Self {
        let count = parts.len();
        Self {
            parts,
            places: (0..count).map(|_| Place::default()).collect(),
            doing: Mutex::new(vec![Doing::Nothing; count]),
            seen: Mutex::new(vec![Progress::default(); count]),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.parts.len()
    }

    pub(crate) fn parts(&self) -> &[Declaration] {
        &self.parts
    }

    pub(crate) fn into_parts(self) -> Vec<Declaration> {
        self.parts
    }

    pub(crate) fn part(&self, who: usize) -> &Declaration {
        &self.parts[who]
    }

    pub(crate) fn name(&self, who: usize) -> &Arc<str> {
        &self.parts[who].name
    }

    pub(crate) fn start_token(&self, who: usize) -> &CancelToken {
        &self.places[who].start
    }

    pub(crate) fn stop_token(&self, who: usize) -> &CancelToken {
        &self.places[who].stop
    }

    pub(crate) fn said(&self, who: usize) -> &Arc<Said> {
        &self.places[who].said
    }

    pub(crate) fn set(&self, who: usize, doing: Doing) {
        self.doing.lock()[who] = doing;
    }

    pub(crate) fn is(&self, who: usize, doing: Doing) -> bool {
        self.doing.lock()[who] == doing
    }

    pub(crate) fn anybody_left(&self) -> bool {
        self.doing.lock().contains(&Doing::Left)
    }

    pub(crate) fn serving(&self) -> Vec<Arc<dyn Component>> {
        let doing = self.doing.lock().clone();
        let serving = self.parts.iter().zip(doing).filter(|(_, doing)| *doing == Doing::Serving);
        serving.map(|(part, _)| Arc::clone(&part.component)).collect()
    }

    /// What a stop says of itself, and what the component says when it is asked.
    pub(crate) fn progress(&self, who: usize) -> Progress {
        let said = self.places[who].said.look();
        let own = panics::quietly(|| self.parts[who].component.progress()).flatten().unwrap_or_default();
        let text = if said.text.is_empty() { own.text } else { said.text };
        Progress { done: said.done.wrapping_add(own.done), text }
    }

    /// Whether anybody who has not stopped got further since this was asked last.
    pub(crate) fn progressed(&self) -> bool {
        let now: Vec<_> = (0..self.len()).map(|who| self.progress(who)).collect();
        let mut seen = self.seen.lock();
        let further = now.iter().zip(seen.iter()).any(|(now, seen)| now.done != seen.done);
        *seen = now;
        further
    }

    /// A line for each who does anything but serve.
    pub(crate) fn describe(&self) -> Vec<String> {
        let doing = self.doing.lock().clone();
        let lines = doing.into_iter().enumerate().filter_map(|(who, doing)| {
            let what = match doing {
                Doing::Nothing | Doing::Serving => return None,
                Doing::Starting => "is starting",
                Doing::Stopping => "is stopping",
                Doing::Left => "was left behind",
            };
            let text = self.progress(who).text;
            let name = self.name(who);
            Some(if text.is_empty() { format!("{name} {what}") } else { format!("{name} {what}: {text}") })
        });
        lines.collect()
    }
}
