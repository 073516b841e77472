//! Executor cases SD: the graceful end (drain).
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[expect(dead_code, reason = "each group uses its part of the helpers")]
mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::Duration,
};

use common::{Count, Gate, LONG, Ledger, Me, block_on, failure, over, threads_named, until, value};
use ebbtide::{FirstError, Outcome, Phase, Pool, RejectReason, Shutdown, Stateless};

#[test]
fn sd_01_a_drain_runs_all_that_a_saturated_pool_accepted() {
    let pool = Pool::builder().workers(1..=1).queue(1).build().unwrap();
    let (ledger, gate, ran) = (Ledger::new(), Gate::new(), Count::new());
    for _ in 0..2 {
        let (pass, ran) = (gate.clone(), ran.clone());
        let task = move |_: &Me<'_>| {
            pass.pass();
            ran.up()
        };
        drop(ledger.keep(pool.submit(task).unwrap()));
        gate.await_comers(1);
    }
    let closing = pool.shutdown(Shutdown::drain());
    let still = closing.wait_timeout(Duration::from_millis(20)).unwrap_err();
    assert_eq!((still.running.len(), still.queued), (1, 1), "{still}");
    assert_eq!(pool.phase(), Phase::Draining);
    gate.open();
    assert_eq!(over(&closing).outcomes.completed, 2);
    assert_eq!(ran.get(), 2);
    ledger.close(&pool);
}

#[test]
fn sd_02_every_queued_task_runs_in_a_drain() {
    let (pool, ledger, gate, ran) = (Pool::new(1), Ledger::new(), Gate::new(), Count::new());
    let pass = gate.clone();
    drop(ledger.keep(pool.submit(move |_| pass.pass()).unwrap()));
    for _ in 0..200 {
        let ran = ran.clone();
        drop(ledger.keep(pool.submit(move |_| ran.up()).unwrap()));
    }
    let closing = pool.shutdown(Shutdown::drain());
    gate.open();
    over(&closing);
    assert_eq!(ran.get(), 200);
    assert_eq!(ledger.close(&pool).outcomes.completed, 201);
}

#[test]
fn sd_03_a_drain_waits_for_a_sleeper_and_does_not_disturb_it() {
    let (pool, ledger, gate) = (Pool::new(1), Ledger::new(), Gate::new());
    let begun = gate.clone();
    gate.open();
    let task = move |task: &Me<'_>| {
        begun.pass();
        task.sleep(LONG)
    };
    let sleeper = ledger.keep(pool.submit_fallible(task).unwrap());
    gate.await_comers(1);
    let closing = pool.shutdown(Shutdown::drain());
    assert_eq!(pool.phase(), Phase::Draining);
    let still = closing.wait_timeout(Duration::from_millis(100)).unwrap_err();
    assert_eq!(still.running.len(), 1, "{still}");
    assert_eq!(sleeper.outcome(), None, "a drain asks nobody to cancel");
    assert!(sleeper.cancel());
    over(&closing);
    assert_eq!(failure(sleeper).outcome(), Outcome::Cancelled);
    ledger.close(&pool);
}

#[test]
fn sd_05_every_way_in_is_closed_after_the_end() {
    let (pool, ran) = (Pool::new(2), Count::new());
    let submitter = pool.submitter();
    over(&pool.shutdown(Shutdown::drain()));
    let task = || {
        let ran = ran.clone();
        move |_: &Me<'_>| ran.up()
    };
    let unit = || {
        let ran = ran.clone();
        move |_: &Me<'_>| {
            ran.up();
        }
    };
    let may_fail = || {
        let ran = ran.clone();
        move |_: &Me<'_>| Ok::<_, common::Broke>(ran.up())
    };
    let gone = &RejectReason::Terminated;
    assert_eq!(pool.submit(task()).unwrap_err().reason(), gone);
    assert_eq!(pool.try_submit(task()).unwrap_err().reason(), gone);
    assert_eq!(pool.submit_fallible(may_fail()).unwrap_err().reason(), gone);
    assert_eq!(pool.try_submit_fallible(may_fail()).unwrap_err().reason(), gone);
    assert_eq!(pool.execute(unit()).unwrap_err().reason(), gone);
    assert_eq!(pool.try_execute(unit()).unwrap_err().reason(), gone);
    assert_eq!(block_on(pool.submit_async(task())).unwrap_err().reason(), gone);
    assert_eq!(block_on(pool.submit_fallible_async(may_fail())).unwrap_err().reason(), gone);
    assert_eq!(pool.task("named").submit(task()).unwrap_err().reason(), gone);
    assert_eq!(submitter.submit(task()).unwrap_err().reason(), gone);
    assert_eq!(submitter.task("named").execute(unit()).unwrap_err().reason(), gone);
    let many = pool.submit_many([task(), task()]).unwrap_err();
    assert_eq!((many.accepted.len(), many.rejected.len(), &many.reason), (0, 2, gone));
    let first = pool.first_success([may_fail(), may_fail()], None).unwrap_err();
    assert!(matches!(&first, FirstError::Rejected(reason) if reason == gone), "{first}");
    pool.scope(|scope| assert_eq!(scope.submit(task()).unwrap_err().reason(), gone));
    let soon = Duration::from_millis(1);
    assert_eq!(pool.after(soon).start(task()).unwrap_err().rejected(), Some(gone));
    assert_eq!(submitter.after(soon).start_fallible(may_fail()).unwrap_err().rejected(), Some(gone));
    assert_eq!(pool.every(soon).rate().start(task()).unwrap_err().rejected(), Some(gone));
    assert_eq!(submitter.every(soon).delay().start(task()).unwrap_err().rejected(), Some(gone));
    assert_eq!(ran.get(), 0);
    let report = Ledger::new().close(&pool);
    assert_eq!(report.accepted, 0);
    assert_eq!(pool.stats().rejected, 18, "one per task that was refused by name");
}

/// One task's own entry in the race's ledger.
#[derive(Default)]
struct Entry {
    ran: AtomicU64,
}

const RACES: usize = 10_000;
const PER_RACE: usize = 3;

/// A submitter and a shutdown let go at the same moment, ten thousand times: on cold and on warm pools, in all three modes.
#[test]
fn sd_08_a_submit_that_races_with_a_shutdown_runs_once_or_comes_back() {
    let (send, receive) = mpsc::channel::<(Arc<Pool<Stateless>>, Arc<AtomicUsize>, Vec<Arc<Entry>>)>();
    let (answer, answers) = mpsc::channel();
    thread::scope(|threads| {
        threads.spawn(move || {
            for (pool, line, entries) in receive {
                line.fetch_add(1, SeqCst);
                while line.load(SeqCst) < 2 {
                    thread::yield_now();
                }
                let submit = |entry: Arc<Entry>| pool.submit(move |_| entry.ran.fetch_add(1, SeqCst));
                let results: Vec<_> = entries.into_iter().map(submit).collect();
                answer.send(results.into_iter().map(|result| result.ok()).collect::<Vec<_>>()).unwrap();
            }
        });
        let (mut accepted_races, mut rejected_races) = (0, 0);
        for race in 0..RACES {
            let pool = Arc::new(Pool::new(1));
            let ledger = Ledger::new();
            if race % 2 == 0 {
                value(ledger.keep(pool.submit(|_| ()).unwrap()));
            }
            let entries: Vec<Arc<Entry>> = (0..PER_RACE).map(|_| Arc::default()).collect();
            let line = Arc::new(AtomicUsize::new(0));
            send.send((Arc::clone(&pool), Arc::clone(&line), entries.clone())).unwrap();
            while line.load(SeqCst) < 1 {
                thread::yield_now();
            }
            let mode = [Shutdown::drain(), Shutdown::stop(), Shutdown::abort()][race % 3];
            line.fetch_add(1, SeqCst);
            (0..race % 200).for_each(|_| std::hint::spin_loop());
            let closing = pool.shutdown(mode);
            let results = answers.recv_timeout(LONG).expect("no submitter waits for ever");
            over(&closing);
            let accepted = results.iter().flatten().count();
            accepted_races += usize::from(accepted > 0);
            rejected_races += usize::from(accepted < PER_RACE);
            for (result, entry) in results.into_iter().zip(&entries) {
                let outcome = result.map(|handle| ledger.keep(handle).watch().wait(Some(LONG)).unwrap());
                let ran = entry.ran.load(SeqCst);
                match outcome {
                    Some(Outcome::Completed) => assert_eq!(ran, 1),
                    Some(Outcome::Returned) => assert_eq!(ran, 0),
                    None => assert_eq!(ran, 0, "rejected and run"),
                    Some(other) => panic!("race {race}: {other}"),
                }
            }
            ledger.close(&pool);
        }
        drop(send);
        assert!(accepted_races > 20 && rejected_races > 20, "{accepted_races} and {rejected_races}: no race");
    });
}

#[test]
fn sd_10_a_task_may_shut_its_own_pool_down_and_end_in_peace() {
    let (pool, ledger) = (Arc::new(Pool::new(1)), Ledger::new());
    let own = Arc::downgrade(&pool);
    let task = move |task: &Me<'_>| {
        let closing = own.upgrade().unwrap().shutdown(Shutdown::drain());
        let waited = closing.wait();
        (waited.is_err_and(|still| still.would_deadlock), task.is_cancelled(), closing.is_over())
    };
    let handle = ledger.keep(pool.submit(task).unwrap());
    assert_eq!(value(handle), (true, false, false));
    assert_eq!(ledger.close(&pool).outcomes.completed, 1);
}

#[test]
fn sd_12_a_dropped_pool_gives_its_threads_back() {
    let named = |name: &str| Pool::builder().name(name).workers(2..=2);
    let idle = named("sd12idle").warm().build().unwrap();
    let cold = named("sd12cold").build().unwrap();
    let busy = named("sd12busy").warm().build().unwrap();
    until("the workers are there", || idle.stats().workers.idle == 2);
    until("two threads", || threads_named("sd12idle") == 2);
    let (gate, ran) = (Gate::new(), Count::new());
    let handles: Vec<_> = (0..10)
        .map(|_| {
            let (pass, ran) = (gate.clone(), ran.clone());
            let task = move |_: &Me<'_>| {
                pass.pass();
                ran.up()
            };
            busy.submit(task).unwrap()
        })
        .collect();
    gate.await_comers(2);
    let submitter = busy.submitter();
    drop((idle, cold, busy));
    until("the idle threads are gone", || threads_named("sd12idle") + threads_named("sd12cold") == 0);
    assert_eq!(submitter.submit(|_| ()).unwrap_err().reason(), &RejectReason::ShuttingDown);
    until("those who run accepted work stay for it", || threads_named("sd12busy") == 2);
    gate.open();
    assert_eq!(handles.into_iter().map(value).max(), Some(10));
    assert_eq!(ran.get(), 10, "accepted work is done");
    until("the busy threads are gone", || threads_named("sd12busy") == 0);
    common::assert_law(&submitter.stats());
    assert_eq!(submitter.stats().outcomes.completed, 10);
}
