//! Executor cases HK: hooks around tasks and around the pool, and the threads' names.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[expect(dead_code, reason = "each group uses its part of the helpers")]
mod common;

use std::{
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use common::{Count, Gate, Ledger, some_time, threads_named, until, value};
use ebbtide::{Event, JobEnd, JobState, Phase, Pool, Shutdown, TaskInfo, Wrap};

#[test]
fn hk_01_a_decorator_goes_before_and_after_the_task() {
    let steps = Arc::new(Mutex::new(Vec::new()));
    let book = Arc::clone(&steps);
    let decorate = move |info: &TaskInfo<'_>| -> Wrap {
        let (book, name) = (Arc::clone(&book), info.name.map(str::to_owned));
        Box::new(move |body| {
            book.lock().unwrap().push(format!("before {}", name.as_deref().unwrap_or("?")));
            body();
            book.lock().unwrap().push("after".to_owned());
        })
    };
    let (pool, ledger) = (Pool::builder().decorate(decorate).build().unwrap(), Ledger::new());
    let own = Arc::clone(&steps);
    let task = move |_: &common::Me<'_>| own.lock().unwrap().push("task".to_owned());
    value(ledger.keep(pool.task("one").submit(task).unwrap()));
    assert_eq!(*steps.lock().unwrap(), ["before one", "task", "after"]);
    ledger.close(&pool);
}

#[test]
fn hk_02_the_end_of_an_empty_pool_is_told() {
    let (seen, count) = (Count::new(), Count::new());
    let (hook_seen, hook_count) = (seen.clone(), count.clone());
    let hook = move |event: &Event| {
        hook_count.up();
        if matches!(event, Event::PhaseChanged { phase: Phase::Terminated, .. }) {
            hook_seen.up();
        }
    };
    let pool = Pool::builder().on_event(hook).build().unwrap();
    assert_eq!(count.get(), 0);
    Ledger::new().close(&pool);
    assert_eq!(seen.get(), 1);
}

/// There is no thread factory: what it is used for, names and stacks, are options that are checked.
#[test]
fn hk_04_what_a_thread_factory_is_for_are_options() {
    let pool = Pool::builder().name("presses").stack_size(256 * 1024).build().unwrap();
    assert_eq!(pool.name(), "presses");
    Ledger::new().close(&pool);
    assert_eq!(Pool::builder().name("").build().unwrap_err().option(), "name");
    assert_eq!(Pool::builder().name("a\0b").build().unwrap_err().option(), "name");
    assert_eq!(Pool::builder().stack_size(1_024).build().unwrap_err().option(), "stack_size");
}

#[test]
fn hk_05_threads_have_the_pools_name_and_a_number() {
    let (pool, ledger) = (Pool::builder().name("hk5").workers(2..=2).build().unwrap(), Ledger::new());
    let gate = Gate::new();
    let named = |gate: Gate| {
        move |task: &common::Me<'_>| {
            gate.pass();
            (thread::current().name().map(str::to_owned), task.worker_name().to_owned(), task.worker().0)
        }
    };
    let handles: Vec<_> = (0..2).map(|_| ledger.keep(pool.submit(named(gate.clone())).unwrap())).collect();
    gate.await_comers(2);
    // A thread has its parent's name until it gives itself its own: the clock's, which a worker starts, is one for a moment.
    until("two threads of that name", || threads_named("hk5-") == 2);
    gate.open();
    let mut names: Vec<_> = handles.into_iter().map(value).collect();
    names.sort();
    let expected = |n: u32| (Some(format!("hk5-{n}")), format!("hk5-{n}"), n);
    assert_eq!(names, [expected(1), expected(2)]);
    ledger.close(&pool);
}

#[test]
fn hk_09_a_decorator_is_called_once_per_task_and_threads_go_with_the_pool() {
    let (decorated, wrapped, ran) = (Count::new(), Count::new(), Count::new());
    let (outer, inner) = (decorated.clone(), wrapped.clone());
    let decorate = move |_: &TaskInfo<'_>| -> Wrap {
        outer.up();
        let inner = inner.clone();
        Box::new(move |body| {
            inner.up();
            body();
        })
    };
    let builder = Pool::builder().name("hk9").workers(3..=3).decorate(decorate);
    let (pool, ledger) = (builder.build().unwrap(), Ledger::new());
    for n in 0..10 {
        let ran = ran.clone();
        if n % 2 == 0 {
            drop(ledger.keep(pool.submit(move |_| ran.up()).unwrap()));
        } else {
            let task = move |_: &common::Me<'_>| {
                ran.up();
            };
            pool.execute(task).unwrap();
            ledger.executed(1);
        }
    }
    for millis in 0..10 {
        let ran = ran.clone();
        drop(pool.after(Duration::from_millis(millis)).start(move |_| ran.up()).unwrap());
    }
    // One that never is due is not decorated either.
    drop(pool.after(common::LONG).start(|_| ()).unwrap());
    ledger.executed(11);
    until("all have run", || ran.get() == 20);
    let outcomes = ledger.close(&pool).outcomes;
    assert_eq!((outcomes.completed, outcomes.returned), (20, 1));
    assert_eq!((decorated.get(), wrapped.get(), ran.get()), (20, 20, 20));
    until("its threads are gone", || threads_named("hk9") == 0);
}

/// A hundred runs at a fixed rate and a hundred with a fixed delay; the last of each fails, and with it the job gives up.
#[test]
fn hk_10_every_run_of_a_job_goes_through_the_decorator() {
    let decorated = Count::new();
    let counted = decorated.clone();
    let decorate = move |_: &TaskInfo<'_>| -> Wrap {
        let counted = counted.clone();
        Box::new(move |body| {
            counted.up();
            body();
        })
    };
    let pool = Pool::builder().workers(2..=2).decorate(decorate).build().unwrap();
    let job = |rate| {
        let schedule = pool.every(Duration::from_millis(1)).give_up_after(1);
        let schedule = if rate { schedule.rate() } else { schedule.delay() };
        let mut runs = 0;
        let body = move |_: &common::Me<'_>| {
            runs += 1;
            if runs < 100 { Ok(()) } else { Err("the hundredth") }
        };
        schedule.start_fallible(body).unwrap()
    };
    let jobs = [job(true), job(false)];
    for job in &jobs {
        until("it gave up", || job.stats().state == JobState::Over(JobEnd::GaveUp));
        job.wait_idle(Some(common::LONG)).unwrap();
        let stats = job.stats();
        assert_eq!((stats.runs, stats.outcomes.completed, stats.outcomes.failed), (100, 99, 1));
        assert_eq!(stats.last.unwrap().error.as_deref(), Some("the task failed: the hundredth"));
    }
    assert_eq!(decorated.get(), 200);
    let report = common::over(&pool.shutdown(Shutdown::drain()));
    assert_eq!((report.accepted, report.outcomes.failed, report.law_holds()), (200, 2, true));
}

#[test]
fn hk_12_paused_nothing_starts_and_what_runs_ends() {
    let (pool, ledger, gate, ran) = (Pool::new(2), Ledger::new(), Gate::new(), Count::new());
    let pass = gate.clone();
    let running = ledger.keep(pool.submit(move |_| pass.pass()).unwrap());
    gate.await_comers(1);
    pool.pause();
    assert!(pool.stats().paused);
    let queued: Vec<_> = (0..5)
        .map(|_| {
            let ran = ran.clone();
            ledger.keep(pool.submit(move |_| ran.up()).unwrap())
        })
        .collect();
    gate.open();
    value(running);
    some_time();
    assert_eq!((ran.get(), pool.stats().queued), (0, 5));
    pool.resume();
    queued.into_iter().for_each(|handle| assert!(value(handle) > 0));
    assert_eq!(ran.get(), 5);
    ledger.close(&pool);
}
