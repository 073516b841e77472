//! The pool's numbers through the `metrics` facade, published while the pool is busy (every 100 ms) and at its end.

use metrics::{counter, gauge};

use super::stats::Stats;
use crate::task::outcome::Outcome;

/// Publishes a snapshot. Names begin with `ebbtide_`; the label `pool` is the pool's name.
pub(crate) fn publish(stats: &Stats) {
    let pool = stats.pool.to_string();
    counter!("ebbtide_tasks_accepted_total", "pool" => pool.clone()).absolute(stats.accepted);
    counter!("ebbtide_tasks_rejected_total", "pool" => pool.clone()).absolute(stats.rejected);
    for outcome in Outcome::ALL {
        let labels = [("pool", pool.clone()), ("outcome", outcome.as_str().to_owned())];
        counter!("ebbtide_tasks_ended_total", &labels).absolute(stats.outcomes.get(outcome));
    }
    gauge!("ebbtide_tasks_queued", "pool" => pool.clone()).set(stats.queued as f64);
    gauge!("ebbtide_tasks_running", "pool" => pool.clone()).set(stats.running as f64);
    gauge!("ebbtide_workers_alive", "pool" => pool.clone()).set(stats.workers.alive as f64);
    gauge!("ebbtide_workers_idle", "pool" => pool.clone()).set(stats.workers.idle as f64);
    gauge!("ebbtide_workers_abandoned", "pool" => pool).set(stats.workers.abandoned as f64);
}
