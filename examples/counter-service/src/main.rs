//! The program: options in, an application that runs until it is told to stop, its report out.

use std::{
    error::Error,
    fs,
    io::{self, Write as _},
    process::ExitCode,
};

use clap::Parser as _;
use counter_service::{assemble::assemble, options::Options};
use ebbtide::http::bind;

/// A wrong option or address: code 78 of ebbtide's table.
const CONFIGURATION: u8 = 78;

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(io::stderr(), "counter-service: {error}");
            ExitCode::from(CONFIGURATION)
        }
    }
}

fn run(options: &Options) -> Result<ExitCode, Box<dyn Error + Send + Sync>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let _here = runtime.enter();
    let (api, health) = (bind(&options.listen)?, bind(&options.health)?);
    let (at, health_at) = (api.local_addr()?, health.local_addr()?);
    let app = assemble(options, api, health)?.build()?;
    let mut out = io::stdout();
    if options.plan {
        let plan = app.plan();
        writeln!(out, "{plan}")?;
        return Ok(ExitCode::from(plan.exit_code()));
    }
    writeln!(out, "listening on http://{at}, health on http://{health_at}")?;
    let report = app.run().wait();
    // Nobody may read it any more; the exit code still says how it ended.
    let _ = writeln!(io::stderr(), "{report}");
    if let Some(file) = &options.report {
        fs::write(file, report.to_json()).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(report.code())
}
