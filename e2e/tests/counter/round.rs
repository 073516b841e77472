//! One round: the service is started, loaded, told to stop in the midst of it, and everybody's books are compared.

use std::{
    path::PathBuf,
    sync::{Mutex, OnceLock},
    thread,
    time::{Duration, Instant},
};

use e2e::{
    clients::{Clients, Habit, Tally},
    run::built,
    servers::{Postgres, Redis},
    service::{Ended, Service, moment},
};
use rustix::process::Signal;
use serde_json::Value;

/// Four clients, two of each habit.
pub(crate) const CROWD: [Habit; 4] = [Habit::Keeps, Habit::Renews, Habit::Keeps, Habit::Renews];

/// The service with its servers; rounds have a lane each, and each lane its own database in Redis and its own rows in PostgreSQL.
pub(crate) struct Stage {
    pub(crate) redis: Redis,
    pub(crate) postgres: Postgres,
}

/// What is different from round to round.
pub(crate) struct Plan {
    pub(crate) lane: usize,
    pub(crate) serve: Duration,
    pub(crate) delay: Duration,
    pub(crate) options: Vec<String>,
}

/// What everybody saw.
pub(crate) struct Books {
    pub(crate) ended: Ended,
    pub(crate) tally: Tally,
    pub(crate) counter: u64,
    pub(crate) asked: Instant,
    /// From the signal until the process was gone.
    pub(crate) took: Duration,
    /// Loads that the database saw, and when the last one began, in seconds after the signal.
    pub(crate) loads: i64,
    pub(crate) last_load: f64,
    pub(crate) delay: Duration,
}

pub(crate) fn program() -> &'static PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| built("counter-service", "counter-service"))
}

pub(crate) fn stage() -> Stage {
    let (redis, postgres) = (Redis::start(), Postgres::start());
    // The database keeps books of its own: a load is a call of a function that writes down when it began.
    let prepare = "CREATE TABLE items (name text PRIMARY KEY, value text NOT NULL);
        INSERT INTO items VALUES ('ebb', 'out'), ('flood', 'in');
        CREATE TABLE loads (lane int NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp());
        CREATE FUNCTION load(which int) RETURNS SETOF items LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO loads (lane) VALUES (which); RETURN QUERY SELECT * FROM items; END $$;";
    postgres.connect().unwrap().batch_execute(prepare).unwrap();
    Stage { redis, postgres }
}

impl Stage {
    pub(crate) fn options(&self, plan: &Plan) -> Vec<String> {
        let pairs = [
            ("--store", self.redis.url(plan.lane)),
            ("--database", self.postgres.url()),
            ("--query", format!("SELECT name, value FROM load({})", plan.lane)),
            ("--delay", format!("{}ms", plan.delay.as_millis())),
        ];
        let pairs = pairs.into_iter().flat_map(|(name, value)| [name.to_owned(), value]);
        pairs.chain(plan.options.iter().cloned()).collect()
    }

    /// Loads the service until it is told to stop, and goes on until it is gone.
    pub(crate) fn play(&self, plan: &Plan) -> Books {
        let mut books = self.postgres.connect().unwrap();
        self.redis.flush(plan.lane);
        let lane = i32::try_from(plan.lane).unwrap();
        books.execute("DELETE FROM loads WHERE lane = $1", &[&lane]).unwrap();
        let options = self.options(plan);
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let service = Service::start(program(), &options);
        let clients = Clients::start(service.api, "POST /incr", &CROWD);
        thread::park_timeout(plan.serve);
        let wall: f64 = seconds(&mut books, "SELECT extract(epoch FROM clock_timestamp())::float8", &[]);
        let asked = moment();
        service.signal(Signal::TERM);
        let ended = service.wait();
        let took = asked.elapsed();
        let tally = clients.stop();
        let last = "SELECT coalesce(extract(epoch FROM max(at)), 0)::float8 FROM loads WHERE lane = $1";
        let last_load = seconds(&mut books, last, &[&lane]) - wall;
        let loads = books.query_one("SELECT count(*) FROM loads WHERE lane = $1", &[&lane]).unwrap().get(0);
        let counter = self.redis.counter(plan.lane);
        Books { ended, tally, counter, asked, took, loads, last_load, delay: plan.delay }
    }
}

fn seconds(
    client: &mut postgres::Client,
    query: &str,
    values: &[&(dyn postgres::types::ToSql + Sync)],
) -> f64 {
    client.query_one(query, values).unwrap().get(0)
}

impl Books {
    pub(crate) fn component(&self, name: &str) -> &Value {
        let components = self.ended.report["components"].as_array();
        let mut components = components.unwrap_or_else(|| panic!("a report, not {:?}", self.ended)).iter();
        components.find(|one| one["name"] == name).unwrap_or_else(|| panic!("no component {name}"))
    }

    /// `answered ≤ counter ≤ answered + unanswered`, and nothing else went wrong.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut hold = |holds: bool, what: String| {
            if !holds {
                faults.push(what);
            }
        };
        let Self { tally, counter, .. } = self;
        let most = tally.answered + tally.unanswered();
        hold(tally.answered <= *counter, format!("{} answered, {counter} counted: lost", tally.answered));
        hold(*counter <= most, format!("at most {most} asked for, {counter} counted"));
        hold(tally.dropped.is_empty(), format!("accepted and not answered: {:?}", tally.dropped));
        hold(tally.others.is_empty(), format!("answered otherwise than 2xx: {:?}", tally.others));
        // The signal is sent after `asked`, so what is refused before that and the delay is refused too early.
        let early = tally.refused.iter().filter(|at| **at < self.asked + self.delay).count();
        hold(early == 0, format!("{early} refused before the delay was over"));
        hold(self.ended.code == Some(0), format!("exit code {:?}: {}", self.ended.code, self.ended.stderr));
        faults
    }

    /// What the program says of itself agrees with what the servers saw.
    pub(crate) fn report_faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut same = |what: &str, said: &Value, seen: u64| {
            if said.as_u64() != Some(seen) {
                faults.push(format!("{what}: the report says {said}, it was {seen}"));
            }
        };
        let increments = &self.component("increments")["pool"];
        same("completed increments", &increments["outcomes"]["completed"], self.counter);
        same("accepted increments", &increments["accepted"], self.counter);
        same("failed increments", &increments["outcomes"]["failed"], 0);
        let refresh = &self.component("refresh")["detail"];
        same("failed loads", &refresh["failures"], 0);
        same("loads", &refresh["outcomes"]["completed"], u64::try_from(self.loads).unwrap());
        same("loads under way", &refresh["under_way"], 0);
        let api = &self.component("api")["detail"];
        same("requests cut", &api["connections"]["cut_requests"], 0);
        if api["gap"] != "shut" {
            faults.push(format!("the listener was closed with its gap {}", api["gap"]));
        }
        faults
    }
}

/// Plays rounds in lanes at the same time, since a round waits more than it works.
pub(crate) fn in_lanes(lanes: std::ops::Range<usize>, rounds: u64, round: impl Fn(usize, u64) + Sync) {
    let next = Mutex::new(0..rounds);
    thread::scope(|scope| {
        for lane in lanes {
            let (next, round) = (&next, &round);
            scope.spawn(move || {
                while let Some(number) = { next.lock().unwrap().next() } {
                    round(lane, number);
                }
            });
        }
    });
}

pub(crate) fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}
