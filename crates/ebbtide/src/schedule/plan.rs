//! What a schedule was asked to be, checked, as a timetable on its scale.

use std::{error::Error, fmt, sync::Arc, sync::Mutex, sync::PoisonError, time::Duration, time::SystemTime};

use super::{
    scale::Scale,
    series::Label,
    timetable::{MissedTicks, Paused, Plan, Rhythm, Timetable},
};
use crate::{
    clock::{self, Moment},
    error::{BuildError, RejectReason},
    policy::Priority,
};

/// A job was not scheduled: an option is wrong, or the pool takes none. Nothing runs, and the body comes back with [`into_body`](Self::into_body).
///
/// A closure is seldom `Sync`; this error is all the same, so `?` turns it into any error type.
pub struct ScheduleError<F> {
    body: Mutex<F>,
    why: NotScheduled,
}

#[derive(Clone, Debug)]
pub(crate) enum NotScheduled {
    Option(BuildError),
    Rejected(RejectReason),
}

/// When a job runs.
#[derive(Clone, Debug)]
pub(crate) enum When {
    /// Once, so long after it is started.
    After(Duration),
    /// Once, at a time of the calendar.
    At(SystemTime),
    Every(Duration, Beat),
    #[cfg(feature = "cron")]
    Cron {
        line: String,
        zone: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beat {
    Delay,
    Rate,
}

/// The options of a schedule.
#[derive(Clone, Debug)]
pub(crate) struct Wishes {
    pub(crate) when: When,
    pub(crate) name: Option<Arc<str>>,
    pub(crate) first_after: Option<Duration>,
    pub(crate) missed: MissedTicks,
    pub(crate) jitter: Duration,
    pub(crate) give_up_after: Option<u32>,
    pub(crate) paused: Paused,
    pub(crate) priority: Priority,
    pub(crate) timeout: Option<Duration>,
    pub(crate) places: u32,
    /// Which function of a worker process.
    pub(crate) function: Option<Arc<str>>,
}

/// Nobody means more by a duration; beyond it the clocks' numbers end.
const LONGEST: Duration = Duration::from_secs(100 * 366 * 86_400);

impl Wishes {
    pub(crate) fn new(when: When) -> Self {
        Self {
            when,
            name: None,
            first_after: None,
            missed: MissedTicks::Skip,
            jitter: Duration::ZERO,
            give_up_after: None,
            paused: Paused::No,
            priority: Priority::Normal,
            timeout: None,
            places: 1,
            function: None,
        }
    }

    /// Checks the options and makes a timetable of them.
    pub(crate) fn plan(self) -> Result<(Label, Scale, Timetable), BuildError> {
        self.check()?;
        let schedule: Arc<str> = self.words().into();
        let label = Label {
            name: self.name.clone().unwrap_or_else(|| Arc::clone(&schedule)),
            schedule,
            priority: self.priority,
            timeout: self.timeout,
            function: self.function.clone(),
        };
        let (scale, rhythm, first) = self.rhythm()?;
        let plan = Plan {
            rhythm,
            first,
            missed: self.missed,
            places: self.places,
            jitter: self.jitter,
            // The clock's own noise spreads the jobs of many processes.
            seed: Moment::now().nanos() ^ clock::calendar_now().nanos(),
            give_up_after: self.give_up_after,
            paused: self.paused,
        };
        Ok((label, scale, Timetable::new(plan)))
    }

    fn check(&self) -> Result<(), BuildError> {
        let wrong = |option, problem: &str| Err(BuildError::new(option, problem));
        if let When::Every(period, beat) = self.when {
            if period.is_zero() {
                return wrong("every", "a period of zero would never end; give it a length");
            }
            not_too_long("every", period)?;
            if self.jitter >= period {
                return wrong("jitter", "it must be shorter than the period, or runs would change places");
            }
            if beat == Beat::Delay && self.places > 1 {
                return wrong(
                    "start_overlapping",
                    "with a fixed delay a run waits for the end of the one before; use `.rate()`",
                );
            }
        }
        if let When::After(delay) = self.when {
            not_too_long("after", delay)?;
        }
        if self.places == 0 {
            return wrong("start_overlapping", "with no runs at a time there would be none; at least 1");
        }
        if self.give_up_after == Some(0) {
            return wrong("give_up_after", "after no failures it would be over at once; at least 1");
        }
        if self.timeout.is_some_and(|timeout| timeout.is_zero()) {
            return wrong("timeout", "a run that may take no time cannot be; leave it away for none");
        }
        if self.name.as_ref().is_some_and(|name| name.trim().is_empty()) {
            return wrong("name", "it is empty; leave it away for one that says when the job runs");
        }
        not_too_long("first_after", self.first_after.unwrap_or_default())?;
        not_too_long("jitter", self.jitter)
    }

    fn rhythm(&self) -> Result<(Scale, Rhythm, Moment), BuildError> {
        let now = Moment::now();
        let first = now.plus(self.first_after.unwrap_or_default());
        Ok(match &self.when {
            When::After(delay) => (Scale::Running, Rhythm::Once, now.plus(*delay)),
            When::At(time) => {
                let due = clock::calendar(*time);
                if due.since(clock::calendar_now()) > LONGEST {
                    return Err(BuildError::new("at", "it is more than a hundred years away"));
                }
                (Scale::Calendar, Rhythm::Once, due)
            }
            When::Every(delay, Beat::Delay) => (Scale::Running, Rhythm::Delay(*delay), first),
            When::Every(period, Beat::Rate) => (Scale::Running, Rhythm::Rate(*period), first),
            #[cfg(feature = "cron")]
            When::Cron { line, zone } => {
                let line = crate::timer::cron::Line::parse("cron", line, zone)?;
                let after = clock::calendar_now().plus(self.first_after.unwrap_or_default());
                let first = line.next_after(after).ok_or_else(|| line.never("cron"))?;
                (Scale::Calendar, Rhythm::Calendar(Box::new(line)), first)
            }
        })
    }

    fn words(&self) -> String {
        match &self.when {
            When::After(delay) => format!("after {delay:?}"),
            When::At(time) => {
                let left = clock::calendar(*time).since(clock::calendar_now());
                format!("at a time, {:?} from its start", Duration::from_secs(left.as_secs()))
            }
            When::Every(delay, Beat::Delay) => format!("every {delay:?}, fixed delay"),
            When::Every(period, Beat::Rate) => format!("every {period:?}, fixed rate"),
            #[cfg(feature = "cron")]
            When::Cron { line, zone } => format!("cron {line} ({zone})"),
        }
    }
}

#[cfg(feature = "cron")]
impl super::timetable::Calendar for crate::timer::cron::Line {
    fn next_after(&self, moment: Moment) -> Option<Moment> {
        Self::next_after(self, moment)
    }
}

fn not_too_long(option: &'static str, duration: Duration) -> Result<(), BuildError> {
    if duration > LONGEST {
        return Err(BuildError::new(option, format!("{duration:?} is more than a hundred years")));
    }
    Ok(())
}

impl<F> ScheduleError<F> {
    pub(crate) fn new(body: F, why: NotScheduled) -> Self {
        Self { body: Mutex::new(body), why }
    }

    /// The option that is wrong, if one is.
    pub fn wrong_option(&self) -> Option<&BuildError> {
        match &self.why {
            NotScheduled::Option(error) => Some(error),
            NotScheduled::Rejected(_) => None,
        }
    }

    /// Why the pool does not take it, if that is the reason.
    pub fn rejected(&self) -> Option<&RejectReason> {
        match &self.why {
            NotScheduled::Option(_) => None,
            NotScheduled::Rejected(reason) => Some(reason),
        }
    }

    /// The body itself, to be kept, tried again or dropped.
    pub fn into_body(self) -> F {
        self.body.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F> fmt::Display for ScheduleError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.why {
            NotScheduled::Option(error) => write!(f, "the job was not scheduled: {error}"),
            NotScheduled::Rejected(reason) => write!(f, "the pool did not take the job: {reason}"),
        }
    }
}

impl<F> fmt::Debug for ScheduleError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScheduleError").field("why", &self.why).finish_non_exhaustive()
    }
}

impl<F> Error for ScheduleError<F> {}
