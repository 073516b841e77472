//! All rounds: everybody has a turn in each, in another order each time.

use std::{env, error::Error, path::Path, time::Duration};

use super::{
    jdk,
    results::{Contender, Results},
    round::{Program, round},
    servers::Servers,
};
use crate::{args::Cli, contenders};

/// Time under load before the signal, at least,
const BEFORE_MIN: u64 = 400;
/// and less than so much more.
const BEFORE_SPAN: u64 = 500;

/// A round in which this machine stood still is tried again, so often in all.
const TRIES: u32 = 5;

/// Runs what the command line says.
#[tokio::main]
pub(crate) async fn run(cli: &Cli) -> Result<Results, Box<dyn Error>> {
    let servers = Servers::start().await?;
    let (programs, absent) = programs(cli, servers.folder.path())?;
    let mut results = Results {
        absent,
        contenders: programs
            .iter()
            .map(|program| Contender {
                name: program.name.clone(),
                about: program.about.clone(),
                rounds: Vec::new(),
            })
            .collect(),
    };
    for number in 0..cli.rounds {
        let turn = number as usize % programs.len();
        for index in (0..programs.len()).map(|index| (index + turn) % programs.len()) {
            let program = &programs[index];
            let report =
                cli.reports.as_ref().map(|to| to.join(format!("{}-{}.json", program.name, number + 1)));
            let wrong = |error| format!("{}, round {}: {error}", program.name, number + 1);
            let mut done =
                round(program, &servers, before(number), report.as_deref()).await.map_err(wrong)?;
            for _ in 1..TRIES {
                if !done.disturbed {
                    break;
                }
                done = round(program, &servers, before(number), report.as_deref()).await.map_err(wrong)?;
            }
            results.contenders[index].rounds.push(done);
        }
    }
    Ok(results)
}

/// The moment of the signal: another one each round, the same one for everybody.
fn before(round: u32) -> Duration {
    let mixed = u64::from(round).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    Duration::from_millis(BEFORE_MIN + mixed % BEFORE_SPAN)
}

/// Who takes part, and why somebody does not.
fn programs(cli: &Cli, folder: &Path) -> Result<(Vec<Program>, Option<String>), Box<dyn Error>> {
    let own = env::current_exe()?;
    let mut programs: Vec<Program> = contenders::ALL
        .iter()
        .map(|entry| Program {
            name: entry.name.to_owned(),
            about: entry.about.to_owned(),
            path: own.clone(),
            args: vec!["serve".to_owned(), entry.name.to_owned()],
        })
        .collect();
    let wanted = cli.contender.is_empty() || cli.contender.iter().any(|name| name == jdk::NAME);
    let absent = match wanted.then(|| jdk::prepare(folder)) {
        Some(Ok(program)) => {
            programs.push(program);
            None
        }
        Some(Err(why)) => Some(format!("{}: {why}", jdk::NAME)),
        None => None,
    };
    programs.extend(cli.program.iter().map(|(name, path)| Program {
        name: name.clone(),
        about: path.display().to_string(),
        path: path.clone(),
        args: Vec::new(),
    }));
    let mut known: Vec<&str> = programs.iter().map(|program| program.name.as_str()).collect();
    known.push(jdk::NAME);
    known.dedup();
    if let Some(wrong) = cli.contender.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(format!("there is no contender `{wrong}`; there are {}", known.join(", ")).into());
    }
    programs.retain(|program| cli.contender.is_empty() || cli.contender.contains(&program.name));
    Ok((programs, absent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signal_comes_at_another_moment_each_round() {
        let moments: std::collections::BTreeSet<Duration> = (0..20).map(before).collect();
        assert!(moments.len() >= 15, "{moments:?}");
        let most = Duration::from_millis(BEFORE_MIN + BEFORE_SPAN);
        assert!(moments.iter().all(|moment| *moment >= Duration::from_millis(BEFORE_MIN) && *moment < most));
    }
}
