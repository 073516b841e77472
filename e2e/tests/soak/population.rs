//! What a kind of workers has to have to be put under the weather.

use std::collections::BTreeMap;
use std::sync::Arc;

use ebbtide::{Handle, Isolation, Outcome, Pool, TaskError};

use crate::books::Log;
use crate::dice::Dice;

/// A kind of workers, and what its tasks do.
pub(crate) trait Population: Send + Sync + 'static {
    type Isolation: Isolation;
    type Value: Send + 'static;
    /// What a task was to do, for when it has ended.
    type Deed: Send + 'static;

    /// How its tasks end in this weather: each of them at least once.
    const ENDS: &[Outcome];

    /// Between two batches of tasks: up to so many milliseconds, so that there is something left for the others.
    const REST: u64;

    /// The same between two blows at its pool: a worker takes some time to start.
    const CALM: u64;

    /// Of its pools.
    fn name(&self) -> &'static str;

    /// A pool that tells the log what happens in it; of some kind.
    fn pool(&self, log: &Arc<Log>, dice: &mut Dice) -> Pool<Self::Isolation>;

    /// Submits one, or is refused.
    fn submit(
        &self,
        pool: &Pool<Self::Isolation>,
        dice: &mut Dice,
    ) -> Option<(Self::Deed, Handle<Self::Value>)>;

    /// What is wrong about this end of a task.
    fn judge(&self, deed: Self::Deed, end: Result<Self::Value, TaskError>) -> Result<(), String>;

    /// Weather that only these have: called again and again, on a thread of its own.
    fn hurt(&self, _dice: &mut Dice) {}

    /// When everything is over: what is wrong about all of it together.
    fn judge_all(&self, _ends: [u64; 9], _deaths: &BTreeMap<String, u64>) -> Result<(), String> {
        Ok(())
    }
}
