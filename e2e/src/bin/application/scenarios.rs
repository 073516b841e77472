//! The applications: each a few components that behave in one way.

use std::{
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use ebbtide::{
    App, AppBuilder, AppReport, BoxError, Cancelled, Killed, Pool, WorkerCommand,
    process::{CommandSpec, Guardian, Signal},
};

use crate::{nap, say, tell_when_ready};

const SECOND: Duration = Duration::from_secs(1);
const MILLI: Duration = Duration::from_millis(1);

struct Redis;

impl Redis {
    fn open() -> Result<Self, BoxError> {
        say("open redis");
        Ok(Self)
    }

    fn close(self) {
        say("close redis");
    }
}

/// The application of a name.
pub(crate) fn declare(scenario: &str) -> AppBuilder {
    match scenario {
        "idle" => idle(),
        "slow-run" => slow_run(),
        "hung-thread" => hung_thread(),
        "hung-command" => hung_command(),
        "hung-process" => hung_process(),
        "hung-pools" => hung_pools(),
        "connecting" => connecting(),
        "half-a-second" => tasks(App::builder("counter"), 1, 500 * MILLI),
        "minute" => tasks(App::builder("counter"), 1, 60 * SECOND),
        "steady" => tasks(App::builder("steady"), 12, 300 * MILLI),
        "stuck" => tasks(App::builder("stuck"), 1, 20 * SECOND),
        "five-seconds" => tasks(App::builder("five"), 1, 5 * SECOND),
        "orphans" => orphans(),
        "planned" => planned(),
        other => panic!("there is no scenario {other:?}"),
    }
}

fn idle() -> AppBuilder {
    let app = App::builder("idle");
    let redis = app.resource("redis", Redis::open, Redis::close);
    let pool = app.pool("increments", Pool::builder().workers(1..=4).using(&redis)).expect("options");
    app.schedule("refresh", pool.every(3_600 * SECOND).delay().start(|_, _| ()).expect("a schedule"));
    app
}

/// So many tasks on one worker that take so long each, look whether they are asked to end, and use a resource.
fn tasks(app: AppBuilder, count: u32, each: Duration) -> AppBuilder {
    let redis = app.resource("redis", Redis::open, Redis::close);
    let pool = app.pool("increments", Pool::builder().workers(1..=1).using(&redis)).expect("options");
    for _ in 0..count {
        let task = move |_: &mut ebbtide::Lease<Redis>, task: &ebbtide::Context<'_, _>| {
            say("begun");
            task.sleep(each)?;
            Ok::<_, Cancelled>(())
        };
        drop(pool.task("increment").submit_fallible(task).expect("room"));
    }
    app
}

/// A run of a schedule that is under way when the signal comes, and does not look.
fn slow_run() -> AppBuilder {
    let app = App::builder("slow-run").deadline(10 * SECOND);
    let redis = app.resource("redis", Redis::open, Redis::close);
    let pool = app.pool("refresh", Pool::builder().workers(1..=1).using(&redis)).expect("options");
    let run = |_: &mut ebbtide::Lease<Redis>, _: &ebbtide::Context<'_, _>| {
        say("begun");
        nap(2 * SECOND);
        say("ended");
    };
    app.schedule("every", pool.every(MILLI).delay().start(run).expect("a schedule"));
    app
}

/// A task that ignores everybody.
fn hung_thread() -> AppBuilder {
    let app = App::builder("hung").deadline(2 * SECOND);
    let redis = app.resource("redis", Redis::open, Redis::close);
    let pool = app.pool("increments", Pool::builder().workers(1..=1).using(&redis)).expect("options");
    let task = |_: &mut ebbtide::Lease<Redis>, _: &ebbtide::Context<'_, _>| {
        say("begun");
        loop {
            thread::park();
        }
    };
    drop(pool.task("for-ever").submit(task).expect("room"));
    app
}

/// A command that ignores SIGTERM: asked, and killed when its time is up.
fn hung_command() -> AppBuilder {
    let app = App::builder("hung-command").deadline(4 * SECOND);
    let redis = app.resource("redis", Redis::open, Redis::close);
    let pool = app.pool("commands", Pool::builder().workers(1..=2).using(&redis)).expect("options");
    let hung = |_: &mut ebbtide::Lease<Redis>, task: &ebbtide::Context<'_, _>| -> Result<(), BoxError> {
        let guardian = Guardian::start()?;
        let script = "trap '' TERM; echo begun; while :; do sleep 0.1; done";
        let child = guardian.spawn(CommandSpec::new("/bin/sh").args(["-c", script]))?;
        say("begun");
        while child.wait_timeout(10 * MILLI).is_none() {
            if task.is_cancelled() {
                child.signal(Signal::TERM)?;
                if child.wait_timeout(300 * MILLI).is_none() {
                    child.kill()?;
                    child.wait();
                    return Err(Killed::new("it ignored SIGTERM").into());
                }
            }
        }
        Ok(())
    };
    drop(pool.task("hung").submit_fallible(hung).expect("room"));
    drop(pool.task("quick").submit(|_, _| ()).expect("room"));
    app
}

/// A worker process in a busy loop, one that obeys, and an idle one.
fn hung_process() -> AppBuilder {
    const SCRIPT: &str = "import time\ndef spin(_):\n    open('spins', 'w').close()\n    while True: pass\n\
        def nap(_, task):\n    open('naps', 'w').close()\n    while not task.cancelled: time.sleep(0.01)\n    task.check()\n\
        def quick(x):\n    return x\n";
    let app = App::builder("hung-process").deadline(4 * SECOND);
    app.resource("redis", Redis::open, Redis::close);
    // The test's own folder.
    let report = PathBuf::from(std::env::var_os("REPORT").expect("where the report goes"));
    let folder = report.parent().expect("a folder").to_owned();
    std::fs::write(folder.join("hung.py"), SCRIPT).expect("a file");
    let command = WorkerCommand::python("hung.py:quick").cwd(&folder);
    let builder = Pool::processes(command).typed::<u32, u32>().workers(3..=3);
    let pool = app.pool("scripts", builder).expect("options");
    app.part("scripts").depends_on("redis");
    let quick = pool.task("quick").submit(7).expect("room");
    for function in ["spin", "nap"] {
        drop(pool.task(function).function(function).submit(0).expect("room"));
    }
    let watch = move || {
        say(&format!("quick {:?}", quick.wait().ok()));
        while !["spins", "naps"].iter().all(|name| folder.join(name).exists()) {
            nap(10 * MILLI);
        }
        say("begun");
    };
    drop(thread::Builder::new().spawn(watch));
    app
}

/// Two pools whose tasks ignore everybody, one after the other in one stop.
fn hung_pools() -> AppBuilder {
    let app = App::builder("hung-pools").deadline(3 * SECOND);
    let redis = app.resource("redis", Redis::open, Redis::close);
    for name in ["first", "second"] {
        let pool = app.pool(name, Pool::builder().workers(1..=1).using(&redis)).expect("options");
        let task = move |_: &mut ebbtide::Lease<Redis>, _: &ebbtide::Context<'_, _>| {
            say(&format!("begun {name}"));
            loop {
                thread::park();
            }
        };
        drop(pool.task(format!("{name}-for-ever")).submit(task).expect("room"));
    }
    app.part("first").depends_on("second");
    app
}

/// A resource that cannot be reached and does not say so.
fn connecting() -> AppBuilder {
    let app = App::builder("connecting").deadline(4 * SECOND);
    let base = app.resource("base", Redis::open, Redis::close);
    let connect = || -> Result<(), BoxError> {
        say("connecting");
        loop {
            thread::park();
        }
    };
    app.resource("redis", connect, |(): ()| say("close what was never open"));
    app.part("redis").depends_on("base");
    drop(base);
    app
}

/// Leaves a grandchild behind that ends: whoever is process 1 has to reap it.
fn orphans() -> AppBuilder {
    let app = App::builder("orphans");
    let pool = app.pool("shells", Pool::builder().workers(1..=1)).expect("options");
    let task = |_: &ebbtide::Context<'_, _>| {
        #[expect(clippy::disallowed_methods, reason = "a user's own child")]
        let mut command = std::process::Command::new("/bin/sh");
        let status = command.args(["-c", "(sleep 0.2; exit 3) & exit 7"]).status().expect("a shell");
        say(&format!("own child {:?}", status.code()));
        nap(SECOND);
        say(&format!("zombies {}", zombies()));
    };
    drop(pool.submit(task).expect("room"));
    app
}

fn zombies() -> usize {
    let states = std::fs::read_dir("/proc").expect("/proc").filter_map(|entry| {
        let text = std::fs::read_to_string(entry.ok()?.path().join("stat")).ok()?;
        text.rsplit_once(") ").map(|(_, rest)| rest.starts_with('Z'))
    });
    states.filter(|zombie| *zombie).count()
}

/// Everybody says what a stop may take.
fn planned() -> AppBuilder {
    let app = App::builder("planned").deadline(20 * SECOND).deregistration_delay(SECOND);
    let redis = app.resource("redis", Redis::open, Redis::close);
    app.part("redis").stop_within(SECOND);
    app.pool("increments", Pool::builder().deadline(8 * SECOND).using(&redis)).expect("options");
    app
}

/// An asynchronous task that blocks its thread.
pub(crate) fn blocking_async() -> AppReport {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let app = App::builder("blocking").deadline(2 * SECOND);
        app.resource("redis", Redis::open, Redis::close);
        let tasks = app.tasks("consumers");
        app.part("consumers").depends_on("redis");
        tasks.spawn(async {
            say("begun");
            nap(30 * SECOND);
        });
        tell_when_ready(&app);
        let report = app.run().await;
        crate::write_report(&report);
        report
    })
    // Here the runtime is dropped, which waits for the task.
}

/// A task that ends when it is forced, and what it waits for on a blocking thread does not.
pub(crate) fn blocking_thread() -> AppReport {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let app = App::builder("blocking-thread").deadline(2 * SECOND);
        let tasks = app.tasks("consumers");
        tasks.spawn(async {
            let hang = || -> () {
                say("begun");
                loop {
                    thread::park();
                }
            };
            let _ = tokio::task::spawn_blocking(hang).await;
        });
        tell_when_ready(&app);
        let report = app.run().await;
        crate::write_report(&report);
        report
    })
    // Here the runtime is dropped, which waits for the blocking thread for ever.
}

/// The thread that should go on is blocked for ever, and so is a stop hook.
pub(crate) fn deadlocked() -> AppReport {
    let app = App::builder("deadlocked");
    let close = |_: Redis| -> Result<(), BoxError> {
        loop {
            thread::park();
        }
    };
    app.resource("redis", Redis::open, close);
    tell_when_ready(&app);
    let _running = app.run();
    #[expect(clippy::disallowed_methods, reason = "so that it cannot be forgotten for ever")]
    let end = Instant::now() + 60 * SECOND;
    #[expect(clippy::disallowed_methods, reason = "so that it cannot be forgotten for ever")]
    while Instant::now() < end {
        nap(SECOND);
    }
    panic!("nobody ended it");
}
