//! The timetable on invented times: by hand, against a model that keeps its points in a list, and through a year of cron lines.

use std::{collections::VecDeque, time::Duration};

use proptest::prelude::*;

use super::*;

fn at(millis: u64) -> Moment {
    Moment::from_nanos(millis * 1_000_000)
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Points that somebody wrote down.
struct Dates(Vec<u64>);

impl Calendar for Dates {
    fn next_after(&self, moment: Moment) -> Option<Moment> {
        self.0.iter().map(|date| at(*date)).find(|date| *date > moment)
    }
}

fn plan(rhythm: Rhythm, first: u64) -> Plan {
    Plan {
        rhythm,
        first: at(first),
        missed: MissedTicks::Skip,
        places: 1,
        jitter: Duration::ZERO,
        seed: 7,
        give_up_after: None,
        paused: Paused::No,
    }
}

fn fires(fire: u32) -> Step {
    Step { fire, ..Step::default() }
}

fn fires_and_missed(fire: u32, ticks: u64) -> Step {
    Step { fire, missed: Some((ticks, MissedBecause::Late)), over: None }
}

const DONE: Event = Event::Ended(Outcome::Completed);
const FAILED: Event = Event::Ended(Outcome::Failed);

#[test]
fn once_is_once() {
    let mut once = Timetable::new(plan(Rhythm::Once, 50));
    assert_eq!(once.alarm(), Some(at(50)));
    assert_eq!(once.step(Event::Rang, at(49)), Step::default(), "it rang early");
    assert_eq!(once.step(Event::Rang, at(51)), fires(1));
    assert_eq!(once.alarm(), None);
    assert_eq!(once.step(DONE, at(60)).over, Some(JobEnd::Done));
    assert!(!once.run_now(), "it is over");
}

#[test]
fn a_fixed_delay_counts_from_the_end() {
    let mut job = Timetable::new(plan(Rhythm::Delay(ms(100)), 10));
    assert_eq!(job.step(Event::Rang, at(10)), fires(1));
    assert_eq!(job.alarm(), None, "it depends on the end");
    assert_eq!(job.step(DONE, at(350)), Step::default());
    assert_eq!(job.alarm(), Some(at(450)));
    assert!(job.run_now(), "out of turn");
    assert_eq!(job.alarm(), None, "the run it waited for is this one");
    let _ = job.step(FAILED, at(400));
    assert_eq!(job.alarm(), Some(at(500)), "a failure is not the end");
}

#[test]
fn what_is_held_begins_as_if_it_had_been_started_when_it_is_released() {
    for rhythm in [|| Rhythm::Rate(ms(100)), || Rhythm::Delay(ms(100)), || Rhythm::Once] {
        let mut job = Timetable::new(plan(rhythm(), 30));
        let _ = job.step(Event::Held, at(10));
        let _ = job.step(Event::Held, at(40));
        assert_eq!((job.alarm(), job.is_paused()), (None, true));
        assert_eq!(job.step(Event::Rang, at(35)), Step::default(), "it rang all the same");
        assert_eq!(job.step(Event::Released, at(500)), Step::default(), "one of two");
        assert_eq!(job.alarm(), None);
        assert_eq!(job.step(Event::Released, at(1_010)), Step::default());
        assert_eq!((job.alarm(), job.tally().skipped), (Some(at(1_030)), 0), "20 ms after, as it was to be");
        assert_eq!(job.step(Event::Released, at(1_020)), Step::default(), "nobody held it");
        assert_eq!(job.step(Event::Rang, at(1_030)), fires(1));
    }
    let mut due = Timetable::new(plan(Rhythm::Rate(ms(100)), 10));
    let _ = due.step(Event::Held, at(10));
    assert_eq!(due.step(Event::Released, at(750)), fires(1), "due at once");
    assert_eq!(due.alarm(), None);
    let _ = due.step(DONE, at(760));
    assert_eq!(due.alarm(), Some(at(850)));
}

#[test]
fn what_is_held_obeys_its_owner_too() {
    let mut job = Timetable::new(plan(Rhythm::Delay(ms(100)), 10));
    let _ = job.step(Event::Held, at(10));
    assert!(job.run_now(), "by hand it may");
    assert_eq!(job.step(DONE, at(20)), Step::default());
    let _ = job.step(Event::Paused, at(30));
    assert_eq!(job.step(Event::Resumed, at(200)), Step::default(), "it is held still");
    assert_eq!(job.step(Event::Released, at(210)), fires(1), "due since 120");
    let _ = job.step(DONE, at(220));
    let _ = job.step(Event::Held, at(230));
    let _ = job.step(Event::Paused, at(240));
    assert_eq!(job.step(Event::Released, at(900)), Step::default(), "paused still");
    assert_eq!(job.step(Event::Resumed, at(910)), fires(1));
    let mut calendar = Timetable::new(plan(Rhythm::Calendar(Box::new(Dates(vec![100, 200, 300]))), 100));
    let _ = calendar.step(Event::Held, at(10));
    assert_eq!(calendar.step(Event::Released, at(250)), Step::default());
    assert_eq!((calendar.alarm(), calendar.tally().skipped), (Some(at(300)), 2));
    let _ = calendar.step(Event::Held, at(260));
    let _ = calendar.step(Event::Over(JobEnd::Stopped), at(270));
    assert_eq!(calendar.step(Event::Released, at(400)), Step::default(), "it is over");
}

#[test]
fn a_fixed_rate_keeps_to_its_grid() {
    let mut job = Timetable::new(plan(Rhythm::Rate(ms(100)), 0));
    for n in 0..5 {
        assert_eq!(job.alarm(), Some(at(n * 100)));
        assert_eq!(job.step(Event::Rang, at(n * 100 + 3)), fires(1), "a little late, as always");
        assert_eq!(job.step(DONE, at(n * 100 + 50)), Step::default());
    }
    assert_eq!(
        job.step(Event::Rang, at(930)),
        fires_and_missed(1, 4),
        "held up: 500 runs, 600 to 900 are gone"
    );
    assert_eq!(job.tally().missed, 4);
}

/// A run of 250 ms at a rate of 100 ms: what becomes of the points at 100 and 200.
#[test]
fn missed_ticks_are_skipped_put_together_or_made_up_for() {
    let late = |missed| {
        let mut job = Timetable::new(Plan { missed, ..plan(Rhythm::Rate(ms(100)), 0) });
        let _ = job.step(Event::Rang, at(0));
        assert_eq!(job.alarm(), None, "no alarm while it cannot run");
        let step = job.step(DONE, at(250));
        (step, job.alarm(), job)
    };
    let (step, alarm, _) = late(MissedTicks::Skip);
    assert_eq!((step, alarm), (fires_and_missed(0, 2), Some(at(300))));
    let (step, alarm, mut job) = late(MissedTicks::Delay);
    assert_eq!((step, alarm), (fires_and_missed(1, 1), None));
    let _ = job.step(DONE, at(260));
    assert_eq!(job.alarm(), Some(at(350)), "counted anew");
    let (step, _, mut job) = late(MissedTicks::Burst);
    assert_eq!(step, fires(1));
    assert_eq!(job.step(DONE, at(260)), fires(1));
    assert_eq!(job.step(DONE, at(270)), fires(0), "it has caught up");
    assert_eq!((job.alarm(), job.tally().missed), (Some(at(300)), 0));
}

#[test]
fn what_is_missed_shows_while_the_run_still_goes_on() {
    let counts = |missed| {
        let mut job = Timetable::new(Plan { missed, ..plan(Rhythm::Rate(ms(100)), 0) });
        assert_eq!(job.missed(at(1_050)), 0, "it is free, and its alarm is on the way");
        let _ = job.step(Event::Rang, at(0));
        let counts = [99, 100, 1_050].map(|now| job.missed(at(now)));
        let _ = job.step(Event::Paused, at(1_050));
        assert_eq!(job.missed(at(1_050)), 0, "what passes in a pause is skipped");
        counts
    };
    assert_eq!(counts(MissedTicks::Skip), [0, 1, 10]);
    assert_eq!(counts(MissedTicks::Delay), [0, 0, 9], "one of them is made up for");
    assert_eq!(counts(MissedTicks::Burst), [0, 0, 0], "all of them are");
}

#[test]
fn who_looks_sees_the_next_point_and_whether_it_is_paused() {
    let mut job = Timetable::new(plan(Rhythm::Rate(ms(100)), 30));
    assert_eq!((job.next(), job.is_paused()), (Some(at(30)), false));
    let _ = job.step(Event::Paused, at(1));
    assert_eq!((job.next(), job.is_paused(), job.alarm()), (Some(at(30)), true, None));
    let _ = job.step(Event::Resumed, at(2));
    let _ = job.step(Event::Rang, at(30));
    assert_eq!((job.next(), job.is_paused(), job.alarm()), (Some(at(130)), false, None), "it is busy");
    let _ = job.step(Event::Over(JobEnd::Stopped), at(31));
    let _ = job.step(Event::Held, at(32));
    assert_eq!((job.next(), job.is_paused(), job.over()), (None, false, Some(JobEnd::Stopped)));
}

/// A run that ends between a point and its jitter: the point is lost if there was no place, and yet to come if there was one.
#[test]
fn a_point_that_is_put_off_is_not_fired_before_its_time() {
    for (places, missed, next) in [(1, Some((1, MissedBecause::Late)), 200), (2, None, 100)] {
        let jitter = ms(40);
        let mut job = Timetable::new(Plan { places, jitter, ..plan(Rhythm::Rate(ms(100)), 0) });
        assert_eq!(job.step(Event::Rang, job.next().expect("it has one")), fires(1));
        assert!(job.next() > Some(at(100)), "it is put off");
        assert_eq!(job.step(DONE, at(100)), Step { fire: 0, missed, over: None }, "{places} places");
        assert!(job.next() >= Some(at(next)) && job.next() < Some(at(next).plus(jitter)), "{places} places");
    }
}

#[test]
fn it_overlaps_as_far_as_it_was_told_to() {
    let mut job = Timetable::new(Plan { places: 3, ..plan(Rhythm::Rate(ms(10)), 0) });
    let fired: u32 = (0..5).map(|n| job.step(Event::Rang, at(n * 10)).fire).sum();
    assert_eq!((fired, job.under_way()), (3, 3));
    assert!(!job.run_now());
    assert_eq!(job.step(DONE, at(45)), fires_and_missed(0, 2));
    assert_eq!(job.alarm(), Some(at(50)));
}

#[test]
fn a_pause_skips_a_grid_and_holds_a_delay() {
    let mut rate = Timetable::new(plan(Rhythm::Rate(ms(100)), 0));
    let _ = rate.step(Event::Paused, at(0));
    assert_eq!(rate.alarm(), None);
    assert_eq!(rate.step(Event::Rang, at(5)), Step::default());
    assert_eq!(rate.step(Event::Resumed, at(250)), Step::default());
    assert_eq!((rate.alarm(), rate.tally().skipped, rate.tally().missed), (Some(at(300)), 3, 0));
    let mut delay = Timetable::new(Plan { paused: Paused::Yes, ..plan(Rhythm::Delay(ms(100)), 0) });
    assert!(delay.run_now(), "by hand it may, also while it is paused");
    let _ = delay.step(DONE, at(20));
    assert_eq!(delay.step(Event::Resumed, at(250)), fires(1), "due since 120");
}

#[test]
fn it_gives_up_after_failures_in_a_row_and_not_before() {
    let mut job = Timetable::new(Plan { give_up_after: Some(3), ..plan(Rhythm::Rate(ms(10)), 0) });
    let ends = [FAILED, FAILED, DONE, FAILED, Event::Ended(Outcome::Cancelled), FAILED];
    for (n, end) in (0..).zip(ends) {
        assert_eq!(job.step(Event::Rang, at(n * 10)), fires(1));
        assert_eq!(job.step(end, at(n * 10 + 1)).over, None);
    }
    assert_eq!(
        (job.tally().failures, job.tally().failures_in_row),
        (4, 2),
        "a cancelled run is nobody's failure"
    );
    let _ = job.step(Event::Rang, at(60));
    assert_eq!(job.step(Event::Ended(Outcome::Panicked), at(61)).over, Some(JobEnd::GaveUp));
    assert_eq!((job.alarm(), job.step(Event::Rang, at(70))), (None, Step::default()));
}

#[test]
fn an_abandoned_run_holds_its_place_until_its_body_has_ended() {
    let mut job = Timetable::new(plan(Rhythm::Rate(ms(10)), 0));
    let _ = job.step(Event::Rang, at(0));
    assert_eq!(job.step(Event::Abandoned, at(5)), Step::default());
    assert_eq!(
        (job.under_way(), job.alarm(), job.run_now()),
        (1, None, false),
        "it does not overlap with itself"
    );
    assert_eq!(job.step(Event::Left, at(45)), fires_and_missed(0, 4));
    assert_eq!((job.under_way(), job.alarm(), job.tally().failures), (0, Some(at(50)), 1));
}

#[test]
fn a_run_that_the_pool_refuses_is_missed_and_not_tried_at_once() {
    for missed in [MissedTicks::Skip, MissedTicks::Delay, MissedTicks::Burst] {
        let mut job = Timetable::new(Plan { missed, ..plan(Rhythm::Rate(ms(10)), 0) });
        assert_eq!(job.step(Event::Rang, at(25)).fire, 1);
        let step = job.step(Event::Refused, at(26));
        assert_eq!((step.fire, step.missed.map(|(_, why)| why)), (0, Some(MissedBecause::Refused)));
        assert!(job.alarm().is_some_and(|alarm| alarm > at(26)), "{missed:?}");
        assert_eq!((job.tally().missed, job.tally().fired), (3, 0));
    }
    let mut once = Timetable::new(plan(Rhythm::Once, 0));
    let _ = once.step(Event::Rang, at(0));
    assert_eq!(once.step(Event::Refused, at(1)).over, Some(JobEnd::Refused));
}

#[test]
fn a_calendar_ends_when_it_has_no_more_dates() {
    let dates = || Rhythm::Calendar(Box::new(Dates(vec![10, 20, 30])));
    let mut job = Timetable::new(plan(dates(), 10));
    assert_eq!(job.step(Event::Rang, at(10)), fires(1));
    assert_eq!(job.step(DONE, at(25)), fires_and_missed(0, 1));
    assert_eq!(job.step(Event::Rang, at(30)), fires(1));
    assert_eq!(job.step(DONE, at(31)).over, Some(JobEnd::Done));
}

#[test]
fn a_clock_that_is_set_back_does_not_run_a_date_twice_nor_wait_for_years() {
    let hour = 3_600_000;
    let dates = || Rhythm::Calendar(Box::new(Dates((0..2_000).map(|n| n * hour).collect())));
    let mut job = Timetable::new(plan(dates(), 1_000 * hour));
    assert_eq!(job.step(Event::Rang, at(1_000 * hour)), fires(1));
    let _ = job.step(DONE, at(1_000 * hour));
    // Ten minutes back: what ran at 1000 does not run again.
    assert_eq!(job.step(Event::Rang, at(1_000 * hour - 600_000)), Step::default());
    assert_eq!(job.alarm(), Some(at(1_001 * hour)));
    // Five hundred hours back: the clock was wrong, and the job goes on from where it is now.
    assert_eq!(job.step(Event::Rang, at(500 * hour + 5)), Step::default());
    assert_eq!(job.alarm(), Some(at(501 * hour)));
}

#[test]
fn jitter_puts_off_within_its_bound_and_does_not_add_up() {
    let mut job = Timetable::new(Plan { jitter: ms(40), ..plan(Rhythm::Rate(ms(100)), 0) });
    let mut drawn = Vec::new();
    for n in 0..200 {
        let alarm = job.alarm().expect("it is free");
        drawn.push(alarm.since(at(n * 100)));
        assert!(alarm >= at(n * 100) && drawn[drawn.len() - 1] < ms(40), "{alarm:?}");
        assert_eq!(job.step(Event::Rang, alarm), fires(1));
        let _ = job.step(DONE, alarm);
    }
    assert_eq!(
        drawn[..3],
        [15_593_189, 671_531, 36_030_427].map(Duration::from_nanos),
        "for a seed always the same"
    );
    let wide = Timetable::new(Plan { jitter: ms(3_600_000), ..plan(Rhythm::Rate(ms(100)), 0) });
    assert_eq!(wide.next(), Some(Moment::from_nanos(1_403_387_094_208)));
    let (early, late) = (drawn.iter().filter(|drawn| **drawn < ms(10)).count(), drawn.len() / 4);
    assert!(early.abs_diff(late) < 25, "{early} of {} in the first quarter", drawn.len());
}

#[test]
fn a_rhythm_says_what_it_is() {
    let dates = Rhythm::Calendar(Box::new(Dates(Vec::new())));
    let said = [Rhythm::Once, Rhythm::Delay(ms(50)), Rhythm::Rate(ms(70)), dates]
        .map(|rhythm| format!("{rhythm:?}"));
    assert_eq!(said, ["once", "fixed delay 50ms", "fixed rate 70ms", "calendar"]);
}

/// What a person would do who keeps the points of a job in a list.
struct Model {
    points: VecDeque<u64>,
    period: u64,
    fixed_delay: bool,
    missed: MissedTicks,
    places: u32,
    busy: u32,
    active: bool,
    counted_missed: u64,
    counted_skipped: u64,
}

const HORIZON: u64 = 100_000;

impl Model {
    fn grid(from: u64, period: u64) -> VecDeque<u64> {
        (0..).map(|n| from + n * period).take_while(|point| *point <= HORIZON).collect()
    }

    fn passed(&mut self, now: u64) -> VecDeque<u64> {
        let later = self.points.iter().position(|point| *point > now).unwrap_or(self.points.len());
        let rest = self.points.split_off(later);
        std::mem::replace(&mut self.points, rest)
    }

    fn look(&mut self, now: u64, mut was_busy: bool) -> u32 {
        let mut fired = 0;
        while self.active && self.busy < self.places {
            let mut due = self.passed(now);
            let Some(first) = due.pop_front() else { break };
            let more = due.len() as u64;
            match self.missed {
                MissedTicks::Skip if was_busy => {
                    self.counted_missed += more + 1;
                    was_busy = false;
                    continue;
                }
                MissedTicks::Skip => self.counted_missed += more,
                MissedTicks::Delay => {
                    self.counted_missed += more;
                    if !self.fixed_delay && (was_busy || more > 0) {
                        self.points = Self::grid(now + self.period, self.period);
                    }
                }
                MissedTicks::Burst => {
                    due.append(&mut self.points);
                    self.points = due;
                }
            }
            assert!(first <= now);
            was_busy = false;
            self.busy += 1;
            fired += 1;
        }
        fired
    }

    fn ended(&mut self, now: u64) -> u32 {
        let was_busy = self.busy == self.places;
        self.busy -= 1;
        if self.fixed_delay && self.points.is_empty() {
            self.points.push_back(now + self.period);
        }
        self.look(now, was_busy)
    }
}

#[derive(Clone, Copy, Debug)]
enum Do {
    Pass(u64),
    End,
    Refuse,
    Pause,
    Resume,
    RunNow,
}

fn what() -> impl Strategy<Value = Do> {
    prop_oneof![
        6 => (1_u64..60).prop_map(Do::Pass),
        4 => Just(Do::End),
        1 => Just(Do::Refuse),
        1 => Just(Do::Pause),
        2 => Just(Do::Resume),
        1 => Just(Do::RunNow),
    ]
}

/// Does one thing to both; gives what they fired.
fn both(table: &mut Timetable, model: &mut Model, act: Do, now: u64) -> (u32, u32) {
    let Model { fixed_delay, period, .. } = *model;
    match act {
        Do::Pass(_) => (table.step(Event::Rang, at(now)).fire, model.look(now, false)),
        Do::End if model.busy > 0 => (table.step(DONE, at(now)).fire, model.ended(now)),
        Do::Refuse if model.busy > 0 => {
            let fired = table.step(Event::Refused, at(now)).fire;
            model.busy -= 1;
            model.counted_missed += 1;
            if fixed_delay && model.points.is_empty() {
                model.points.push_back(now + period);
            } else {
                model.counted_missed += model.passed(now).len() as u64;
            }
            (fired, 0)
        }
        Do::Pause => {
            model.active = false;
            (table.step(Event::Paused, at(now)).fire, 0)
        }
        Do::Resume if !model.active => {
            model.active = true;
            if !fixed_delay {
                model.counted_skipped += model.passed(now).len() as u64;
            }
            (table.step(Event::Resumed, at(now)).fire, model.look(now, false))
        }
        Do::RunNow => {
            let may = model.busy < model.places;
            assert_eq!(table.run_now(), may);
            if may {
                model.busy += 1;
                if fixed_delay {
                    model.points.clear();
                }
            }
            (0, 0)
        }
        _ => (0, 0),
    }
}

fn hold(what: &[Do], missed: MissedTicks, fixed_delay: bool, places: u32, period: u64, first: u64) {
    let rhythm = if fixed_delay { Rhythm::Delay(ms(period)) } else { Rhythm::Rate(ms(period)) };
    let places = if fixed_delay { 1 } else { places };
    let mut table = Timetable::new(Plan { missed, places, ..plan(rhythm, first) });
    let points = if fixed_delay { VecDeque::from([first]) } else { Model::grid(first, period) };
    let (busy, counted_missed, counted_skipped) = (0, 0, 0);
    let mut model = Model {
        points,
        period,
        fixed_delay,
        missed,
        places,
        busy,
        active: true,
        counted_missed,
        counted_skipped,
    };
    let mut now = 0;
    for (step, act) in what.iter().enumerate() {
        if let Do::Pass(millis) = act {
            now += millis;
        }
        let (fired, expected) = both(&mut table, &mut model, *act, now);
        assert_eq!(fired, expected, "fired at step {step}: {act:?} at {now}");
        assert_eq!(table.under_way(), model.busy, "step {step}: {act:?} at {now}");
        let tally = table.tally();
        assert_eq!(
            (tally.missed, tally.skipped),
            (model.counted_missed, model.counted_skipped),
            "step {step}: {act:?}"
        );
        let waits = model.active && model.busy < model.places;
        let alarm = model.points.front().filter(|_| waits).map(|point| at(*point));
        assert_eq!(table.alarm(), alarm, "step {step}: {act:?} at {now}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn it_does_what_a_list_of_points_would(
        what in prop::collection::vec(what(), 1..60),
        missed in prop_oneof![Just(MissedTicks::Skip), Just(MissedTicks::Delay), Just(MissedTicks::Burst)],
        fixed_delay in any::<bool>(),
        places in 1_u32..4,
        period in 1_u64..80,
        first in 0_u64..100,
    ) {
        hold(&what, missed, fixed_delay, places, period, first);
    }
}

#[cfg(feature = "cron")]
mod a_year {
    use jiff::{Timestamp, Zoned, tz::TimeZone};

    use super::*;
    use crate::timer::cron::Line;

    /// All runs of a line between two times, on the timetable, each taking no time.
    fn runs(line: &str, zone: &str, from: &str, to: &str) -> Vec<Zoned> {
        let moment = |text: &str| {
            let time: Zoned = text.parse().expect("a zoned time");
            Moment::from_nanos(time.timestamp().as_nanosecond().try_into().expect("after 1970"))
        };
        let line = Line::parse("cron", line, zone).expect("parses");
        let first = line.next_after(moment(from)).expect("it comes");
        let mut job = Timetable::new(Plan { first, ..plan(Rhythm::Calendar(Box::new(line)), 0) });
        let zone = TimeZone::get(zone).expect("known");
        let mut ran = Vec::new();
        while let Some(now) = job.alarm().filter(|alarm| *alarm < moment(to)) {
            assert_eq!(job.step(Event::Rang, now), fires(1));
            assert_eq!(job.step(DONE, now), Step::default());
            let stamp = Timestamp::from_nanosecond(now.nanos().into()).expect("in range");
            ran.push(stamp.to_zoned(zone.clone()));
        }
        ran
    }

    fn clock(runs: &[Zoned]) -> Vec<String> {
        runs.iter().map(|run| run.strftime("%m-%d %H:%M%:z").to_string()).collect()
    }

    const FROM: &str = "2026-01-01T00:00:00[Europe/Berlin]";
    const TO: &str = "2027-01-01T00:00:00[Europe/Berlin]";

    #[test]
    fn a_daily_job_runs_once_a_day_by_the_clock_on_the_wall() {
        let runs = runs("30 4 * * *", "Europe/Berlin", FROM, TO);
        assert_eq!(runs.len(), 365);
        assert!(runs.iter().all(|run| (run.hour(), run.minute()) == (4, 30)));
    }

    /// 02:30 does not exist on 29 March and comes twice on 25 October.
    #[test]
    fn a_job_in_the_hour_that_is_left_out_or_repeated_runs_once_that_day() {
        let runs = runs("30 2 * * *", "Europe/Berlin", FROM, TO);
        assert_eq!(runs.len(), 365);
        let day = |month, day| -> Vec<_> {
            let that = runs.iter().filter(|run| (run.month(), run.day()) == (month, day));
            clock(&that.cloned().collect::<Vec<_>>())
        };
        assert_eq!(day(3, 29), ["03-29 03:00+02:00"], "when the hour that is left out is over");
        assert_eq!(day(10, 25), ["10-25 02:30+02:00"], "the first of the two");
    }

    #[test]
    fn a_job_within_the_hour_keeps_to_real_time_through_both_changes() {
        let evenly = |runs: &[Zoned], secs| {
            runs.windows(2).all(|two| two[0].duration_until(&two[1]).as_secs() == secs)
        };
        let hourly = runs("0 * * * *", "Europe/Berlin", FROM, TO);
        assert_eq!(hourly.len(), 365 * 24 - 1, "midnight itself is not after midnight");
        assert!(evenly(&hourly, 3_600), "the same distance all through the year");
        for (day, hours) in [("03-29", 23), ("10-25", 25)] {
            let from = format!("2026-{day}T00:00:00[Europe/Berlin]");
            let to = format!("2026-{}T00:00:00[Europe/Berlin]", day.replace("29", "30").replace("25", "26"));
            let runs = runs("*/5 * * * *", "Europe/Berlin", &from, &to);
            assert_eq!(runs.len(), hours * 12 - 1, "a day of {hours} hours");
            assert!(evenly(&runs, 300));
        }
    }

    #[test]
    fn other_zones_change_at_other_times_or_never() {
        let lord_howe = runs("15 2 * * *", "Australia/Lord_Howe", FROM, TO);
        assert_eq!(lord_howe.len(), 365, "a zone that changes by half an hour");
        let tokyo = runs("0 9 * * 1-5", "Asia/Tokyo", FROM, TO);
        assert_eq!(tokyo.len(), 261);
        let leap = runs("0 0 29 2 *", "UTC", FROM, "2033-01-01T00:00:00[UTC]");
        assert_eq!(clock(&leap), ["02-29 00:00+00:00", "02-29 00:00+00:00"], "2028 and 2032");
        let seconds = runs("*/10 * * * * *", "UTC", FROM, "2026-01-01T00:10:00[Europe/Berlin]");
        assert_eq!(seconds.len(), 59, "six fields: seconds first");
    }
}
