//! Threads with a state of their own: they panic, fail, obey and do not.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use ebbtide::{BoxError, Cancelled, Context, Handle, Outcome, Pool, Retirement, TaskError, Threads};

use crate::books::Log;
use crate::dice::Dice;
use crate::population::Population;
use crate::tools::{LONG, pause};

type State = Vec<u64>;

pub(crate) struct OfThreads;

impl Population for OfThreads {
    type Isolation = Threads<State>;
    type Value = ();
    type Deed = ();

    const ENDS: &[Outcome] = &[
        Outcome::Completed,
        Outcome::Failed,
        Outcome::Panicked,
        Outcome::Cancelled,
        Outcome::Abandoned,
        Outcome::Returned,
    ];

    const REST: u64 = 10;
    const CALM: u64 = 10;

    fn name(&self) -> &'static str {
        "threads"
    }

    fn pool(&self, log: &Arc<Log>, dice: &mut Dice) -> Pool<Threads<State>> {
        let log = Arc::clone(log);
        Pool::builder()
            .name(self.name())
            .workers(1..=3)
            .queue(64)
            .grace(Duration::from_millis(4))
            .deadline(LONG)
            .abandoned_cap(10_000)
            .retire(Retirement::new().after_tasks(100 + dice.below(20_000)))
            .state(|_| vec![0; 512])
            .on_event(move |event| log.hear(event))
            .build()
            .unwrap()
    }

    fn submit(&self, pool: &Pool<Threads<State>>, dice: &mut Dice) -> Option<((), Handle<()>)> {
        let what = dice.below(4_000);
        let task = move |state: &mut State, task: &Context<'_, Threads<State>>| {
            state[0] += 1;
            match what {
                0..=3 => resume_unwind(Box::new("on purpose")),
                4..=40 => Err("on purpose".into()),
                41..=44 => task.sleep(Duration::from_millis(3)).map_err(BoxError::from),
                // It does not look: past its grace it is abandoned.
                45 => {
                    pause(Duration::from_millis(12));
                    Ok(())
                }
                46..=60 if task.is_cancelled() => Err(Box::new(Cancelled) as BoxError),
                _ => Ok(()),
            }
        };
        let timeout = if what == 45 { 1 } else { 10_000 };
        let task = pool.task("chaos").timeout(Duration::from_millis(timeout)).submit_fallible(task);
        Some(((), task.ok()?))
    }

    fn judge(&self, (): (), end: Result<(), TaskError>) -> Result<(), String> {
        let impossible = |outcome| matches!(outcome, Outcome::Killed | Outcome::Crashed);
        end.map_or_else(|error| if impossible(error.outcome()) { Err(error.to_string()) } else { Ok(()) }, Ok)
    }
}
