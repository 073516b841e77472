//! Applications that tests stop with real signals. `application SCENARIO`; writes lines about what happens to its standard output, and its
//! report as JSON into the file named by `REPORT`.

mod scenarios;

use std::{
    io::{self, Write as _},
    process::ExitCode,
    thread,
    time::Duration,
};

use ebbtide::{App, AppBuilder, AppReport};

fn main() -> ExitCode {
    ebbtide::init();
    let mut args = std::env::args().skip(1);
    let scenario = args.next().unwrap_or_default();
    if args.next().as_deref() == Some("--plan") {
        return plan(scenarios::declare(&scenario));
    }
    let report = match &*scenario {
        "blocking-async" => scenarios::blocking_async(),
        "blocking-thread" => scenarios::blocking_thread(),
        "deadlocked" => scenarios::deadlocked(),
        _ => run(scenarios::declare(&scenario)),
    };
    write_report(&report);
    say(&format!("over {}", report.exit_code));
    report.code()
}

/// Offers its plan, as a user's program may.
fn plan(app: AppBuilder) -> ExitCode {
    match app.build() {
        Ok(app) => {
            let plan: ebbtide::AppPlan = App::plan(&app);
            say(&plan.to_string());
            ExitCode::from(plan.exit_code())
        }
        Err(error) => {
            say(&error.to_string());
            ExitCode::from(78)
        }
    }
}

fn run(app: AppBuilder) -> AppReport {
    tell_when_ready(&app);
    app.run().wait()
}

/// Says `ready` when it is.
fn tell_when_ready(app: &AppBuilder) {
    let status = app.status();
    let watch = move || {
        while !status.is_ready() {
            nap(Duration::from_millis(2));
        }
        say("ready");
    };
    drop(thread::Builder::new().spawn(watch));
}

fn write_report(report: &AppReport) {
    if let Some(path) = std::env::var_os("REPORT") {
        std::fs::write(path, report.to_json()).expect("the report can be written");
    }
}

#[expect(clippy::disallowed_methods, reason = "a program sleeps as its user would")]
fn nap(time: Duration) {
    thread::sleep(time);
}

fn say(line: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}
