//! What people read: whole reports word for word, and odd ones by the hundred.

use super::{
    super::value::{TimelineEntry, Turn, WorkerEnd},
    *,
};
use crate::task::{
    id::{TaskId, WorkerId},
    outcome::Outcomes,
};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A shutdown that was asked to drain and did.
fn report(duration: Duration) -> Report {
    Report {
        pool: "thumbnails".into(),
        procedure: Procedure::Shutdown,
        mode: Some(Mode::Drain),
        asked: Some(Mode::Drain),
        generation: 1,
        duration,
        deadline: ms(30_000),
        grace: ms(5_000),
        failed: None,
        accepted: 0,
        queued: 0,
        running: 0,
        rejected: 0,
        outcomes: Outcomes::default(),
        during: Outcomes::default(),
        workers: Vec::new(),
        timeline: Vec::new(),
        slowest: None,
    }
}

fn worker(id: u32, end: WorkerEnd, ended: Option<Duration>, ran: Option<LongRun>) -> WorkerReport {
    let name = format!("thumbnails-{id}").into();
    WorkerReport { id: WorkerId(id), name, generation: 1, end, ended, tasks: 7, ran }
}

fn joined(id: u32, ended: u64, ran: Option<LongRun>) -> WorkerReport {
    worker(id, WorkerEnd::Joined, Some(ms(ended)), ran)
}

fn run(task: u64, name: &str, on: u32, ended: Option<u64>, cost: u64) -> LongRun {
    LongRun {
        task: TaskId(task),
        name: (!name.is_empty()).then(|| name.into()),
        worker: WorkerId(on),
        ended: ended.map(ms),
        ran: ms(6_200),
        cost: ms(cost),
    }
}

fn turn(at: u64, turn: Turn) -> TimelineEntry {
    TimelineEntry { at: ms(at), turn }
}

fn asked(mode: Mode, queued: u64, running: u64) -> TimelineEntry {
    turn(0, Turn::Asked { mode: Some(mode), queued, running })
}

fn drained() -> Report {
    let slow = run(88, "render", 3, Some(1_229), 620);
    Report {
        accepted: 1_204,
        rejected: 7,
        outcomes: Outcomes { completed: 1_198, failed: 4, timed_out: 2, ..Outcomes::default() },
        during: Outcomes { completed: 312, failed: 1, ..Outcomes::default() },
        workers: vec![
            joined(1, 410, None),
            joined(2, 610, Some(run(87, "", 2, Some(609), 0))),
            joined(3, 1_230, Some(slow.clone())),
        ],
        timeline: vec![
            asked(Mode::Drain, 310, 3),
            turn(410, Turn::Ended { worker: WorkerId(1) }),
            turn(1_230, Turn::Over),
        ],
        slowest: Some(slow),
        ..report(ms(1_230))
    }
}

fn stopped() -> Report {
    Report {
        mode: Some(Mode::Stop),
        asked: Some(Mode::Stop),
        accepted: 1_000_000,
        outcomes: Outcomes { completed: 987_655, returned: 12_345, ..Outcomes::default() },
        during: Outcomes { completed: 2, returned: 12_345, ..Outcomes::default() },
        workers: vec![joined(1, 12, Some(run(987_654, "page \"7\"\n", 1, Some(12), 0))), joined(2, 1, None)],
        timeline: vec![
            asked(Mode::Stop, 12_345, 2),
            turn(0, Turn::Returned { tasks: 12_000 }),
            turn(1, Turn::Ended { worker: WorkerId(2) }),
            turn(1, Turn::Returned { tasks: 345 }),
        ],
        slowest: Some(run(987_654, "page \"7\"\n", 1, Some(12), 0)),
        ..report(Duration::from_micros(12_345))
    }
}

fn aborted() -> Report {
    let stuck = run(88, "render", 3, None, 25_200);
    let abandoned = Turn::Abandoned { worker: WorkerId(3), task: Some(TaskId(88)) };
    Report {
        mode: Some(Mode::Abort),
        accepted: 40,
        outcomes: Outcomes { completed: 30, cancelled: 1, abandoned: 1, returned: 8, ..Outcomes::default() },
        during: Outcomes { completed: 20, cancelled: 1, abandoned: 1, returned: 8, ..Outcomes::default() },
        workers: vec![
            joined(1, 1_800, None),
            joined(2, 22_300, Some(run(31, "fetch", 2, Some(22_300), 0))),
            worker(3, WorkerEnd::Abandoned, None, Some(stuck.clone())),
        ],
        timeline: vec![
            asked(Mode::Drain, 26, 3),
            turn(22_000, Turn::Escalated { mode: Mode::Abort, why: "the deadline came near".into() }),
            turn(22_001, Turn::Returned { tasks: 8 }),
            turn(27_000, abandoned),
        ],
        slowest: Some(stuck),
        ..report(ms(27_001))
    }
}

fn many(count: u32) -> Report {
    let slow = run(88, "render", 40, Some(1_230), 30);
    let end = |id: u32| if id == 40 { 1_230 } else { 500 + u64::from(id * 37 % 64) * 11 };
    let ran = |id: u32| if id == 40 { Some(slow.clone()) } else { None };
    Report {
        accepted: 64,
        outcomes: Outcomes { completed: 64, ..Outcomes::default() },
        during: Outcomes { completed: 64, ..Outcomes::default() },
        workers: (1..=count).map(|id| joined(id, end(id), ran(id))).collect(),
        timeline: vec![asked(Mode::Drain, 0, 64)],
        slowest: Some(slow.clone()),
        ..report(ms(1_230))
    }
}

fn not_rolled() -> Report {
    let failed = |at, id| {
        let cause = "the state could not be built: no route to 10.0.0.7:6379".into();
        turn(at, Turn::StartFailed { worker: WorkerId(id), cause })
    };
    let asked = Turn::Asked { mode: None, queued: 1_500, running: 2 };
    Report {
        procedure: Procedure::RollingRestart,
        mode: None,
        asked: None,
        generation: 4,
        failed: Some("5 worker starts failed within 10 s: no route to 10.0.0.7:6379".to_owned()),
        accepted: 9_502,
        queued: 1_500,
        running: 2,
        outcomes: Outcomes { completed: 8_000, ..Outcomes::default() },
        during: Outcomes { completed: 900, ..Outcomes::default() },
        workers: vec![
            joined(1, 700, None),
            worker(2, WorkerEnd::Serving, None, None),
            WorkerReport { generation: 5, ..worker(3, WorkerEnd::Serving, None, None) },
        ],
        timeline: vec![
            turn(0, asked),
            turn(600, Turn::Started { worker: WorkerId(3) }),
            failed(800, 4),
            failed(1_200, 5),
            failed(1_900, 8),
        ],
        ..report(ms(1_901))
    }
}

#[track_caller]
fn reads(report: &Report, lines: &[&str]) {
    let text = report.to_string();
    assert!(text.lines().eq(lines.iter().copied()), "it reads:\n{text}\n\ninstead of:\n{}", lines.join("\n"));
}

#[test]
fn a_clean_drain() {
    reads(
        &drained(),
        &[
            r#"pool "thumbnails": drained and shut down in 1.23 s (deadline 30 s), all 1_204 tasks accounted for"#,
            r#"task 88 "render" on thumbnails-3 held it up by 0.62 s: without it 0.61 s"#,
            "  tasks        in this shutdown  in the pool's life",
            "    completed               312               1_198",
            "    failed                    1                   4",
            "    timed out                 0                   2",
            "    rejected                                      7  never accepted",
            "  workers         0 --------------------- 1.23 s",
            "    thumbnails-1  ██████████                      joined 0.41 s",
            "    thumbnails-2  ███████████████                 joined 0.61 s  task 87",
            r#"    thumbnails-3  ██████████████████████████████  joined 1.23 s  task 88 "render""#,
            "  turns",
            "    0 s  asked to drain: 310 waiting, 3 running",
        ],
    );
}

#[test]
fn a_stop_that_returned_tasks() {
    reads(
        &stopped(),
        &[
            r#"pool "thumbnails": stopped and shut down in 12.3 ms (deadline 30 s),"#,
            "    all 1_000_000 tasks accounted for",
            r#"task 987654 "page \"7\"\n" on thumbnails-1 was the last to end, after 12 ms, and held nothing up"#,
            "  tasks        in this shutdown  in the pool's life",
            "    completed                 2             987_655",
            "    returned             12_345              12_345",
            "  workers         0 -------------------- 12.3 ms",
            r#"    thumbnails-1  █████████████████████████████   joined 12 ms  task 987654 "page \"7\"\n""#,
            "    thumbnails-2  ██▌                             joined 1 ms",
            "  turns",
            "    0 s  asked to stop: 12_345 waiting, 2 running",
            "    0 s  12_345 tasks returned",
        ],
    );
}

#[test]
fn an_abort_that_abandoned_a_worker() {
    reads(
        &aborted(),
        &[
            r#"pool "thumbnails": asked to drain, came to abort after 22 s, shut down in 27.0 s"#,
            "    (deadline 30 s, grace 5 s), all 40 tasks accounted for",
            r#"abandoned: thumbnails-3 with task 88 "render", running for at least 6.20 s; without it 1.80 s"#,
            "  tasks        in this shutdown  in the pool's life",
            "    completed                20                  30",
            "    cancelled                 1                   1",
            "    abandoned                 1                   1",
            "    returned                  8                   8",
            "  workers         0 --------------------- 27.0 s",
            "    thumbnails-1  ██                              joined 1.80 s",
            r#"    thumbnails-2  █████████████████████████       joined 22.3 s   task 31 "fetch""#,
            r#"    thumbnails-3  xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx  ABANDONED 27 s  task 88 "render""#,
            "  turns",
            "       0 s  asked to drain: 26 waiting, 3 running",
            "      22 s  came to abort: the deadline came near",
            "    22.0 s  8 tasks returned",
        ],
    );
}

#[test]
fn many_workers_are_folded() {
    reads(
        &many(64),
        &[
            r#"pool "thumbnails": drained and shut down in 1.23 s (deadline 30 s), all 64 tasks accounted for"#,
            r#"task 88 "render" on thumbnails-40 held it up by 30 ms: without it 1.20 s"#,
            "  tasks        in this shutdown  in the pool's life",
            "    completed                64                  64",
            "  workers          0 --------------------- 1.23 s",
            "    thumbnails-5   ███████████████████████████▌    joined 1.12 s",
            "    thumbnails-10  █████████████████████████▌      joined 1.05 s",
            "    thumbnails-12  ████████████████████████████▌   joined 1.16 s",
            "    thumbnails-17  ██████████████████████████▌     joined 1.08 s",
            "    thumbnails-19  █████████████████████████████   joined 1.19 s",
            "    thumbnails-24  ███████████████████████████     joined 1.11 s",
            "    thumbnails-29  █████████████████████████▌      joined 1.03 s",
            "    thumbnails-31  ████████████████████████████    joined 1.14 s",
            "    thumbnails-36  ██████████████████████████      joined 1.07 s",
            "    thumbnails-38  █████████████████████████████   joined 1.18 s",
            r#"    thumbnails-40  ██████████████████████████████  joined 1.23 s  task 88 "render""#,
            "    thumbnails-43  ███████████████████████████     joined 1.10 s",
            "    thumbnails-50  ████████████████████████████    joined 1.13 s",
            "    thumbnails-55  ██████████████████████████      joined 1.06 s",
            "    thumbnails-57  ████████████████████████████▌   joined 1.17 s",
            "    thumbnails-62  ██████████████████████████▌     joined 1.09 s",
            "    … 48 more, all joined by 1.02 s",
            "  turns",
            "    0 s  asked to drain: 0 waiting, 64 running",
        ],
    );
}

#[test]
fn a_rolling_restart_that_failed() {
    reads(
        &not_rolled(),
        &[
            r#"pool "thumbnails", generation 4: rolling restart FAILED after 1.90 s (deadline 30 s),"#,
            "    all 9_502 tasks accounted for",
            "failed: 5 worker starts failed within 10 s: no route to 10.0.0.7:6379",
            "  tasks        in this restart  in the pool's life",
            "    completed              900               8_000",
            "    waiting                                  1_500",
            "    running                                      2",
            "  workers         0 --------------------- 1.90 s",
            "    thumbnails-1  ███████████                     joined 0.70 s",
            "    thumbnails-2  ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░  NOT REPLACED",
            "    thumbnails-3           ░░░░░░░░░░░░░░░░░░░░░  serves since 0.60 s",
            "  turns",
            "       0 s  asked for a rolling restart: 1_500 waiting, 2 running",
            "    0.80 s  3 workers (4 to 8) did not start: the state could not be built: no route to",
            "            10.0.0.7:6379",
        ],
    );
}

#[test]
fn nothing_to_do() {
    reads(
        &report(Duration::ZERO),
        &[r#"pool "thumbnails": drained and shut down in 0 s (deadline 30 s), no task was ever accepted"#],
    );
}

#[test]
fn headlines_say_what_was_asked_and_what_it_came_to() {
    let said = |report: &Report| deed(report, "1 s");
    let drain = report(ms(1_000));
    let restart = Report { procedure: Procedure::Restart, ..drain.clone() };
    let rolling = Report { procedure: Procedure::RollingRestart, mode: None, asked: None, ..drain.clone() };
    let stronger = Report { mode: Some(Mode::Stop), ..restart.clone() };
    let superseded = Report { failed: Some("superseded by a shutdown".to_owned()), ..stronger.clone() };
    assert_eq!(said(&drain), "drained and shut down in 1 s");
    assert_eq!(said(&restart), "drained and restarted in 1 s");
    assert_eq!(said(&rolling), "restarted one by one in 1 s");
    assert_eq!(said(&stronger), "asked to drain, came to stop, restarted in 1 s");
    assert_eq!(said(&superseded), "restart (asked to drain) FAILED after 1 s");
    assert!(superseded.to_string().contains("\nfailed: superseded by a shutdown"), "{superseded}");
    let late = Report { deadline: ms(900), ..drain };
    assert!(late.to_string().contains("(0.10 s past its deadline of 0.90 s)"), "{late}");
}

#[test]
fn a_broken_law_is_loud() {
    let missing = Report { accepted: 1_205, ..drained() };
    assert!(!missing.law_holds());
    let text = missing.to_string();
    let loud = "!!! THE LAW IS BROKEN: accepted 1_205, but 0 waiting + 0 running + 1_204 ended = 1_204: 1 task\n    \
                missing. This is a bug in ebbtide; please report it.\n";
    assert!(text.contains(loud), "{text}");
    let surplus = Report { accepted: 1_203, ..drained() };
    assert!(surplus.to_string().contains(" = 1_204: 1 task too\n    many."), "{surplus}");
}

#[test]
fn whoever_was_abandoned_is_shown_among_many() {
    let mut report = many(64);
    for id in [20, 30, 50, 60] {
        report.workers[id] = worker(1 + id as u32, WorkerEnd::Abandoned, None, None);
    }
    report.workers[10].end = WorkerEnd::Serving;
    let text = report.to_string();
    assert_eq!(text.matches("ABANDONED").count(), 4, "{text}");
    assert!(text.contains("STILL SERVING"), "{text}");
    assert!(text.contains("abandoned: thumbnails-21, which hung outside of any task\n"), "{text}");
    assert!(text.contains("abandoned: 1 more worker\n"), "{text}");
}

#[test]
fn the_fold_tells_ends_apart() {
    let mut report = many(64);
    for worker in &mut report.workers[..30] {
        worker.end = WorkerEnd::Abandoned;
    }
    let text = report.to_string();
    assert!(text.contains("    … 48 more: 14 ABANDONED, 34 joined by 1.23 s\n"), "{text}");
}

/// Small numbers in a reproducible order: the linear congruence of MMIX.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn any<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize].clone()
    }

    fn name(&mut self) -> String {
        let parts = [
            "",
            "a",
            "page 7",
            "\n",
            "\u{1b}[31m",
            "日本語",
            "\u{1F389}",
            "e\u{301}",
            "\u{202e}",
            "\"\\'",
            "łódź",
        ];
        let length = self.any(&[0, 1, 2, 5, 60]);
        (0..length).map(|_| self.any(&parts)).collect()
    }

    fn time(&mut self) -> Duration {
        let odd = [
            Duration::ZERO,
            Duration::MAX,
            ms(1),
            ms(1_230),
            ms(30_000),
            ms(125_000),
            Duration::from_nanos(1),
        ];
        self.any(&odd)
    }

    fn count(&mut self) -> u64 {
        self.any(&[0, 0, 1, 7, 1_204, u64::MAX])
    }

    fn outcomes(&mut self) -> Outcomes {
        let mut outcomes = Outcomes::default();
        Outcome::ALL.iter().for_each(|outcome| outcomes.add(*outcome, self.count()));
        outcomes
    }

    fn run(&mut self) -> Option<LongRun> {
        let (task, on) = (self.count(), self.below(70) as u32);
        let run = LongRun { ran: self.time(), cost: self.time(), ..run(task, &self.name(), on, None, 0) };
        let ended = self.any(&[None, Some(ms(7)), Some(Duration::MAX)]);
        self.any(&[None, Some(LongRun { ended, ..run })])
    }

    fn worker(&mut self, id: u32) -> WorkerReport {
        let end = self.any(&[WorkerEnd::Joined, WorkerEnd::Abandoned, WorkerEnd::Serving]);
        let ended = self.any(&[None, Some(Duration::ZERO), Some(ms(7)), Some(Duration::MAX)]);
        let generation = self.below(3) as u32;
        WorkerReport { generation, name: self.name().into(), ..worker(id, end, ended, self.run()) }
    }

    fn turn(&mut self) -> TimelineEntry {
        let (worker, mode) =
            (WorkerId(self.below(70) as u32), self.any(&[Mode::Drain, Mode::Stop, Mode::Abort]));
        let asked =
            Turn::Asked { mode: self.any(&[None, Some(mode)]), queued: self.count(), running: self.count() };
        let turn = self.any(&[
            asked,
            Turn::Escalated { mode, why: "somebody asked".into() },
            Turn::Returned { tasks: u64::MAX },
            Turn::Started { worker },
            Turn::StartFailed { worker, cause: "no threads".into() },
            Turn::Ended { worker },
            Turn::Abandoned { worker, task: None },
            Turn::Over,
        ]);
        let turn = match turn {
            Turn::StartFailed { worker, .. } => Turn::StartFailed { worker, cause: self.name().into() },
            turn => turn,
        };
        TimelineEntry { at: self.time(), turn }
    }

    fn report(&mut self) -> Report {
        let modes = [None, Some(Mode::Drain), Some(Mode::Stop), Some(Mode::Abort)];
        let (workers, turns) = (self.any(&[0, 1, 3, 64, 300]), self.any(&[0, 1, 5, 40]));
        Report {
            pool: self.name().into(),
            procedure: self.any(&[Procedure::Shutdown, Procedure::Restart, Procedure::RollingRestart]),
            mode: self.any(&modes),
            asked: self.any(&modes),
            deadline: self.time(),
            grace: self.time(),
            failed: {
                let name = self.name();
                self.any(&[None, Some(name)])
            },
            accepted: self.count(),
            queued: self.count(),
            running: self.count(),
            rejected: self.count(),
            outcomes: self.outcomes(),
            during: self.outcomes(),
            workers: (1..=workers).map(|id| self.worker(id)).collect(),
            timeline: (0..turns).map(|_| self.turn()).collect(),
            slowest: self.run(),
            ..report(self.time())
        }
    }
}

#[test]
fn whatever_happened_it_fits_on_a_screen() {
    for seed in 0..1_000 {
        let report = Dice(seed).report();
        let text = report.to_string();
        let lines: Vec<&str> = text.split('\n').collect();
        for line in &lines {
            assert!(columns(line) <= WIDTH, "seed {seed}: {} columns: {line}", columns(line));
            assert!(!line.is_empty() && line.trim_end() == *line, "seed {seed}: {line:?}");
            assert!(!line.contains(|c: char| c.is_control() || c == '\u{202e}'), "seed {seed}: {line:?}");
        }
        // All nine outcomes, a broken law, a failure, abandoned workers: it may scroll, but not away.
        assert!(lines.len() <= 48, "seed {seed}: {} lines:\n{text}", lines.len());
        let loud = text.matches("THE LAW IS BROKEN").count() == 2;
        assert_eq!(loud, found(&report) != u128::from(report.accepted), "seed {seed}:\n{text}");
    }
}

#[test]
fn a_report_can_be_read_back_from_its_json() {
    let mut report = drained();
    report.timeline.push(turn(7, Turn::Escalated { mode: Mode::Abort, why: "another reason".into() }));
    let read: Report = serde_json::from_str(&report.to_json()).unwrap();
    assert_eq!(read.to_json(), report.to_json());
    assert_eq!(read.to_string(), report.to_string());
    let wrong = report.to_json().replace("\"duration_ms\":", "\"duration_ms\":-1,\"x\":");
    assert!(serde_json::from_str::<Report>(&wrong).unwrap_err().to_string().contains("-1 ms"));
}
