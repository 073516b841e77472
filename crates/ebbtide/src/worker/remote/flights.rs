//! Decision: what is under way at a worker process, and how many more may be sent.
//!
//! A task is *sent*, then *begun* (its START has come), then ended. Who has not begun can be called back. More than one is sent ahead only while
//! tasks are short: the next one then need not wait for the pool, and hardly ever waits for a long one before it.

use std::{collections::VecDeque, time::Duration};

use crate::{
    clock::Moment,
    task::{entry::Entry, id::TaskId, isolation::Isolation},
};

/// A task that is shorter than this may have others sent behind it.
const SHORT: Duration = Duration::from_millis(1);
/// So many short ones in a row, and more are sent ahead.
const IN_A_ROW: u32 = 4;
/// So many are sent ahead while tasks are short; more only while all of them together are.
const FEW: usize = if cfg!(any(shuttle, loom)) { 2 } else { 16 };
/// What has been sent behind one that has run for so long is called back.
const BLOCKED: Duration = Duration::from_millis(5);

pub(super) struct Flight<I: Isolation> {
    pub(super) entry: Entry<I>,
    pub(super) attempt: u32,
    pub(super) sent: Moment,
    pub(super) begun: Option<Moment>,
    /// Its timeout runs.
    pub(super) armed: bool,
}

/// Everything under way at one worker, in the order in which it was sent.
pub(super) struct Flights<I: Isolation> {
    list: VecDeque<Flight<I>>,
    /// What the worker asked for: never less is sent.
    least: usize,
    most: usize,
    credits: usize,
    short: u32,
    turn: Turnover,
    lately: Turnover,
    /// What has been sent ahead turned out to be long together.
    too_much: bool,
    /// So many on the list have begun.
    begun: usize,
    /// When the last one ended.
    ended: Moment,
    /// A RECALL that has not been answered.
    recalling: Option<u64>,
    /// It gave back what it had not begun: nothing more is sent until one of those that run has ended, or until it is let go; else it would come and
    /// go without end.
    held: bool,
    number: u64,
}

/// How many were run in how long. Ends that are read together have no times of their own, but one for all of them.
#[derive(Default)]
struct Turnover {
    tasks: usize,
    took: Duration,
}

/// A worker said something of a task that cannot be.
pub(super) type Wrong = String;

impl<I: Isolation> Flights<I> {
    pub(super) fn new(least: usize, most: usize) -> Self {
        let most = most.max(least);
        Self {
            list: VecDeque::new(),
            least,
            most,
            credits: least,
            short: 0,
            turn: Turnover::default(),
            lately: Turnover::default(),
            too_much: false,
            begun: 0,
            ended: Moment::default(),
            recalling: None,
            held: false,
            number: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// How many more may be sent now, where so many wait for each worker: who takes many leaves as many to the others.
    pub(super) fn room(&self, each: usize) -> usize {
        let most = self.credits.min(each.max(FEW).max(self.least));
        if self.recalling.is_some() || self.held { 0 } else { most.saturating_sub(self.list.len()) }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Flight<I>> {
        self.list.iter()
    }

    pub(super) fn find(&mut self, id: TaskId) -> Option<&mut Flight<I>> {
        self.list.iter_mut().find(|flight| flight.entry.id == id)
    }

    pub(super) fn send(&mut self, flight: Flight<I>) {
        self.list.push_back(flight);
    }

    /// Takes back what could not be sent after all.
    pub(super) fn unsend(&mut self, id: TaskId) -> Option<Flight<I>> {
        let place = self.list.iter().position(|flight| flight.entry.id == id)?;
        let flight = self.list.remove(place)?;
        self.begun -= usize::from(flight.begun.is_some());
        Some(flight)
    }

    /// True if none has begun. It is known without looking at each: most of the time none of many has.
    pub(super) fn none_has_begun(&self) -> bool {
        self.begun == 0
    }

    /// The oldest that has begun.
    pub(super) fn oldest_begun(&self) -> Option<&Flight<I>> {
        if self.none_has_begun() { None } else { self.list.iter().find(|flight| flight.begun.is_some()) }
    }

    /// A START has come.
    pub(super) fn begin(&mut self, id: TaskId, now: Moment) -> Result<&mut Flight<I>, Wrong> {
        match self.list.iter_mut().find(|flight| flight.entry.id == id) {
            None => Err(format!("a START of task {id}, which it does not have")),
            Some(flight) if flight.begun.is_some() => Err(format!("a second START of task {id}")),
            Some(flight) => {
                flight.begun = Some(now);
                self.begun += 1;
                Ok(flight)
            }
        }
    }

    /// Those of which it turns out that they have begun, although their START could not be read.
    pub(super) fn begin_those(&mut self, began: impl Fn(TaskId) -> bool, now: Moment) {
        let unbegun = self.list.iter_mut().filter(|flight| flight.begun.is_none());
        for flight in unbegun.filter(|flight| began(flight.entry.id)) {
            flight.begun = Some(now);
            self.begun += 1;
        }
    }

    /// An end has come. Learns how long tasks are.
    pub(super) fn end(&mut self, id: TaskId, now: Moment) -> Result<Flight<I>, Wrong> {
        let mut flight =
            self.unsend(id).ok_or_else(|| format!("an end of task {id}, which it does not have"))?;
        if let Some(begun) = &mut flight.begun {
            // Both were read together, so the beginning was earlier; at most as early as it could be.
            if *begun == now {
                *begun = flight.sent.max(self.ended).min(now);
            }
            let took = now.since(*begun);
            self.learn(took);
            self.look_ahead(took);
        }
        (self.ended, self.held) = (now, false);
        Ok(flight)
    }

    fn learn(&mut self, took: Duration) {
        if took >= SHORT {
            (self.short, self.credits, self.turn) = (0, self.least, Turnover::default());
            return;
        }
        self.short += 1;
        if self.credits < FEW {
            if self.short >= IN_A_ROW {
                (self.short, self.credits) = (0, (self.credits * 2).min(self.most));
            }
            return;
        }
        self.turn.tasks += 1;
        self.turn.took += took;
        if self.turn.tasks >= self.credits {
            let Turnover { tasks, took } = std::mem::take(&mut self.turn);
            let fit =
                (SHORT.as_nanos() * tasks as u128 / took.as_nanos().max(1)).min(self.most as u128) as usize;
            self.credits = fit.clamp(FEW, self.credits * 2).min(self.most).max(self.least);
        }
    }

    /// Looks now and then how long what is sent ahead would take if it were like the last ones. One that is late does not count for much: its worker
    /// may only have had no core.
    fn look_ahead(&mut self, took: Duration) {
        self.too_much &= self.many_wait();
        self.lately.tasks += 1;
        self.lately.took += took;
        if self.lately.took >= BLOCKED {
            let Turnover { tasks, took } = std::mem::take(&mut self.lately);
            let at_a_time = self.least.max(1);
            self.too_much = took.as_nanos() * self.list.len() as u128
                >= (2 * BLOCKED).as_nanos() * (tasks * at_a_time) as u128;
        }
    }

    /// A RECALL is to be sent, if anything has not begun and none is under way; its number.
    pub(super) fn recall(&mut self) -> Option<u64> {
        (self.credits, self.too_much) = (self.least, false);
        if self.recalling.is_some() || self.begun == self.list.len() {
            return None;
        }
        self.number += 1;
        self.recalling = Some(self.number);
        self.recalling
    }

    /// True if something has waited for a while behind a task that has run for long, or more than a few wait for those before them, which are not
    /// short together.
    pub(super) fn is_blocked(&self, now: Moment) -> bool {
        let long = |flight: &Flight<I>| flight.begun.is_some_and(|begun| now.since(begun) >= BLOCKED);
        let late = |flight: &Flight<I>| flight.begun.is_none() && now.since(flight.sent) >= BLOCKED;
        let blocked = || !self.none_has_begun() && self.list.iter().any(long) && self.list.iter().any(late);
        self.recalling.is_none() && (self.too_much && self.many_wait() || blocked())
    }

    /// More have not begun than are sent ahead of tasks that are only short one by one.
    fn many_wait(&self) -> bool {
        self.list.len() - self.begun > FEW.max(self.least)
    }

    /// Whoever was held may get more: it may run several at a time, and only have been slow to begin. True if it was.
    pub(super) fn let_go(&mut self) -> bool {
        std::mem::take(&mut self.held)
    }

    /// True if something was sent and has not begun.
    pub(super) fn has_waiting(&self) -> bool {
        self.list.len() > 1 && self.begun < self.list.len()
    }

    /// The answer to a RECALL has come: gives what comes back.
    pub(super) fn returned(
        &mut self,
        number: u64,
        ids: impl Iterator<Item = u64>,
    ) -> Result<Vec<Flight<I>>, Wrong> {
        if self.recalling != Some(number) {
            return Err(format!("a RETURNED with the number {number}, which nobody asked for"));
        }
        self.recalling = None;
        let mut back = Vec::new();
        let wrong = ids.map(TaskId).find_map(|id| match self.find(id) {
            None => Some(format!("giving back task {id}, which it does not have")),
            Some(flight) if flight.begun.is_some() => Some(format!("giving back task {id}, which has begun")),
            Some(_) => {
                back.extend(self.unsend(id));
                None
            }
        });
        match wrong {
            None => {
                self.held = !back.is_empty();
                Ok(back)
            }
            // They are under way still, and end with the worker: what is dropped here would never end.
            Some(wrong) => {
                self.list.extend(back);
                Err(wrong)
            }
        }
    }

    /// Everything that is under way, for the worker is no more.
    pub(super) fn take_all(&mut self) -> Vec<Flight<I>> {
        (self.recalling, self.begun) = (None, 0);
        self.list.drain(..).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::{
        context::Context,
        entry::{Loose, Offer},
        gate::Ticket,
        isolation::{Plain, Stateless},
    };

    fn at(micros: u64) -> Moment {
        Moment::from_nanos(1).plus(Duration::from_micros(micros))
    }

    fn flight(number: u64, sent: Moment) -> Flight<Stateless> {
        let ticket = Ticket { id: TaskId(number), lane: 1, accepted_at: Moment::default() };
        let entry = Loose(Plain::new(|_: &Context<'_, Stateless>| ())).enter(ticket);
        Flight { entry, attempt: 1, sent, begun: None, armed: false }
    }

    /// These are under way, sent in this order at the beginning.
    fn flights(numbers: impl IntoIterator<Item = u64>) -> Flights<Stateless> {
        let mut flights = Flights::new(1, 8);
        numbers.into_iter().for_each(|number| flights.send(flight(number, at(0))));
        flights
    }

    fn numbers<'f>(flights: impl IntoIterator<Item = &'f Flight<Stateless>>) -> Vec<u64> {
        flights.into_iter().map(|flight| flight.entry.id.0).collect()
    }

    /// One after the other begins and takes so long, from `from` on. Gives how many may be sent after each.
    fn run(flights: &mut Flights<Stateless>, took: &[u64], from: u64) -> Vec<usize> {
        let mut now = from;
        let one = |&took: &u64| {
            flights.send(flight(now, at(now)));
            let _ = flights.begin(TaskId(now), at(now)).expect("it was sent");
            let ended = flights.end(TaskId(now), at(now + took)).expect("it is under way");
            assert_eq!(ended.begun, Some(at(now)));
            now += took;
            flights.room(usize::MAX)
        };
        took.iter().map(one).collect()
    }

    #[test]
    fn more_is_sent_ahead_while_tasks_are_short_and_less_after_a_long_one() {
        let mut flights = Flights::new(1, 8);
        assert_eq!(flights.room(usize::MAX), 1);
        assert_eq!(run(&mut flights, &[999; 13], 0), [1, 1, 1, 2, 2, 2, 2, 4, 4, 4, 4, 8, 8]);
        assert_eq!(run(&mut flights, &[999; 8], 20_000).last(), Some(&8), "not more than the most");
        assert_eq!(run(&mut flights, &[1_000], 40_000), [1], "it was as long as a long one");
        assert_eq!(run(&mut flights, &[999; 3], 50_000), [1; 3], "and they are counted from there on");
        assert_eq!(run(&mut flights, &[1_000, 999, 999, 999, 999], 60_000), [1, 1, 1, 1, 2]);
        assert_eq!(Flights::<Stateless>::new(4, 2).room(usize::MAX), 4, "what it asked for is the least");
    }

    #[test]
    fn beyond_a_few_as_many_are_sent_ahead_as_are_short_together() {
        let mut flights = Flights::new(1, 256);
        let mut now = 0;
        // Sixteen at a time, each batch read at once: only the first of them has a time.
        let mut turn = |flights: &mut Flights<Stateless>, tasks: u64, took: u64| {
            for number in now..now + tasks {
                flights.send(flight(number, at(now)));
            }
            for number in now..now + tasks {
                let _ = flights.begin(TaskId(number), at(now + took)).expect("it was sent");
                let _ = flights.end(TaskId(number), at(now + took)).expect("it is under way");
            }
            now += tasks.max(took);
            flights.room(usize::MAX)
        };
        assert_eq!([1, 4, 4, 4, 4].map(|tasks| turn(&mut flights, tasks, 4)), [1, 2, 4, 8, 16]);
        assert_eq!(
            [16, 32, 64, 128, 256].map(|tasks| turn(&mut flights, tasks, tasks)),
            [32, 64, 128, 256, 256]
        );
        assert_eq!([0, 20, 300].map(|each| flights.room(each)), [16, 20, 256], "the others have as many");
        assert_eq!(
            [300; 16].map(|took| turn(&mut flights, 16, took)).last(),
            Some(&53),
            "4.8 ms are too long"
        );
        let slower = [640; 4].map(|took| turn(&mut flights, 16, took));
        assert!((17..=26).contains(&slower[3]), "40 µs each: {slower:?}");
        assert_eq!([990; 8].map(|took| turn(&mut flights, 16, took)).last(), Some(&16));
        assert_eq!(turn(&mut flights, 1, 1_000), 1, "one that is long itself");
    }

    /// 256 have been sent, for those before were short.
    fn many(least: usize) -> Flights<Stateless> {
        let mut flights = Flights::new(least, 256);
        let _ = run(&mut flights, &[1; 600], 0);
        assert_eq!(flights.room(usize::MAX), 256);
        (1_000_000..1_000_256).for_each(|number| flights.send(flight(number, at(2_000))));
        flights
    }

    /// After how many ends the others are called back, if they are: so many at a time take so long.
    fn called_back_after(took: impl Fn(usize) -> u64, at_a_time: usize) -> Option<usize> {
        called_back(&mut many(1), took, at_a_time)
    }

    fn called_back(
        flights: &mut Flights<Stateless>,
        took: impl Fn(usize) -> u64,
        at_a_time: usize,
    ) -> Option<usize> {
        let mut now = 2_000;
        let numbers: Vec<_> = (1_000_000..1_000_256).map(TaskId).collect();
        for (turn, batch) in numbers.chunks(at_a_time).enumerate() {
            now += took(turn);
            for &id in batch {
                let _ = flights.begin(id, at(now)).expect("it was sent");
                let _ = flights.end(id, at(now)).expect("it has begun");
            }
            if flights.is_blocked(at(now)) {
                assert!(flights.recall().is_some());
                return Some((turn + 1) * at_a_time);
            }
        }
        None
    }

    #[test]
    fn many_that_turn_out_long_together_do_not_wait_for_each_other() {
        assert!(called_back_after(|_| 4_900, 1).is_some_and(|ends| ends <= 3), "none of them is blocked");
        assert!(called_back_after(|_| 900, 1).is_some_and(|ends| ends <= 12), "each is short");
        assert!(called_back_after(|_| 200, 1).is_some_and(|ends| ends <= 50));
        assert_eq!(called_back_after(|_| 4, 1), None);
        assert_eq!(called_back_after(|_| 64, 16), None);
        assert_eq!(
            called_back_after(|turn| if turn == 100 { 3_000 } else { 4 }, 1),
            None,
            "one that was late"
        );
        assert_eq!(called_back_after(|_| 30, 1), None, "7 ms in all");
        let hundred = |least| called_back(&mut many(least), |_| 100, 1);
        assert_eq!((hundred(1).is_some(), hundred(4)), (true, None), "four of them run at a time");
        assert_eq!(called_back_after(|_| 9_000, 256), None, "nothing is left to be called back");
        let mut flights = many(1);
        for number in 1_000_000..1_000_256 {
            let _ = flights.begin(TaskId(number), at(9_000)).expect("it was sent");
            let _ = flights.end(TaskId(number), at(9_000)).expect("it has begun");
        }
        (1..20).for_each(|number| flights.send(flight(number, at(9_000))));
        assert!(!flights.is_blocked(at(9_000)), "those before are over, however long they took");
    }

    /// So many are left of those that were sent, after two that took long together.
    fn left(count: u64) -> Flights<Stateless> {
        let mut flights = flights(0..count + 2);
        for (number, end) in [(0, 4_900), (1, 9_800)] {
            let _ = flights.begin(TaskId(number), at(end)).expect("it was sent");
            let _ = flights.end(TaskId(number), at(end)).expect("it has begun");
        }
        flights
    }

    #[test]
    fn a_few_that_wait_are_left_where_they_are() {
        let now = at(9_800);
        assert!(left(17).is_blocked(now));
        assert!(!left(16).is_blocked(now));
        let mut flights = left(17);
        let _ = flights.begin(TaskId(2), now).expect("it was sent");
        assert!(!flights.is_blocked(now), "one of them has begun");
    }

    #[test]
    fn it_is_known_who_has_begun() {
        let mut flights = flights([1, 2, 3]);
        let oldest = |flights: &Flights<Stateless>| flights.oldest_begun().map(|flight| flight.entry.id.0);
        assert_eq!((flights.none_has_begun(), oldest(&flights)), (true, None));
        let _ = flights.begin(TaskId(2), at(1)).expect("it was sent");
        assert_eq!((flights.none_has_begun(), oldest(&flights)), (false, Some(2)));
        flights.begin_those(|id| id != TaskId(2), at(2));
        assert_eq!((flights.recall(), oldest(&flights)), (None, Some(1)), "all have begun");
        assert_eq!(flights.take_all().len(), 3);
        assert_eq!((flights.none_has_begun(), oldest(&flights)), (true, None));
    }

    #[test]
    fn whoever_was_asked_to_give_back_gets_nothing_more_until_it_has() {
        let mut flights = flights([1, 2]);
        run(&mut flights, &[10; 8], 100);
        assert_eq!(flights.room(usize::MAX), 2);
        let number = flights.recall().expect("neither has begun");
        assert_eq!((flights.room(usize::MAX), flights.recall()), (0, None), "one question at a time");
        assert_eq!(
            flights.returned(number + 1, [].into_iter()).err().map(|wrong| wrong.contains("asked")),
            Some(true)
        );
        let back = flights.returned(number, [2].into_iter()).expect("it has it");
        assert_eq!((numbers(&back), numbers(flights.iter())), (vec![2], vec![1]));
        assert_eq!(flights.room(usize::MAX), 0, "it is back at the least, and one is there");
        assert!(flights.returned(number, [1].into_iter()).is_err(), "an answer is given once");
        let second = flights.recall().expect("the first one still waits");
        assert_ne!(second, number);
        assert_eq!(flights.returned(second, [].into_iter()).map(|back| back.len()), Ok(0));
        assert!(flights.begin(TaskId(1), at(1)).is_ok());
        assert_eq!(flights.recall(), None, "all have begun");
        assert_eq!(numbers(&flights.take_all()), [1]);
        assert_eq!((flights.len(), flights.recall(), flights.room(usize::MAX)), (0, None, 1));
    }

    #[test]
    fn a_worker_that_is_no_more_answers_no_recall() {
        let mut flights = flights([1]);
        let number = flights.recall().expect("it has not begun");
        assert_eq!(numbers(&flights.take_all()), [1]);
        assert_eq!(flights.room(usize::MAX), 1);
        assert!(flights.returned(number, [].into_iter()).is_err());
    }

    #[test]
    fn whoever_lies_about_what_it_gives_back_keeps_everything_under_way() {
        for (lie, why) in [
            (&[2, 9][..], "does not have"),
            (&[2, 2], "does not have"),
            (&[2, 3, 1], "has begun"),
            (&[1], "has begun"),
        ] {
            let mut flights = flights([1, 2, 3]);
            assert!(flights.begin(TaskId(1), at(1)).is_ok());
            let number = flights.recall().expect("two have not begun");
            let wrong = flights.returned(number, lie.iter().copied()).err().unwrap_or_default();
            assert!(wrong.contains(why), "{lie:?}: {wrong}");
            let mut left = numbers(&flights.take_all());
            left.sort_unstable();
            assert_eq!(left, [1, 2, 3], "{lie:?}: each ends with its worker, none is lost");
        }
    }

    #[test]
    fn whoever_gave_back_gets_nothing_ahead_until_one_of_its_own_has_ended() {
        let mut flights = Flights::new(3, 8);
        flights.send(flight(1, at(0)));
        flights.send(flight(2, at(0)));
        assert!(flights.begin(TaskId(1), at(1)).is_ok());
        let number = flights.recall().expect("the second has not begun");
        assert_eq!(flights.returned(number, [].into_iter()).map(|back| back.len()), Ok(0));
        assert_eq!(flights.room(usize::MAX), 1, "it kept what it has");
        let number = flights.recall().expect("the second has not begun still");
        assert_eq!(flights.returned(number, [2].into_iter()).map(|back| back.len()), Ok(1));
        assert_eq!(flights.room(usize::MAX), 0, "else it would come and go");
        assert!(flights.let_go() && !flights.let_go());
        assert_eq!(flights.room(usize::MAX), 2, "it may have been slow to begin");
        flights.held = true;
        assert!(flights.end(TaskId(1), at(2)).is_ok());
        assert_eq!(flights.room(usize::MAX), 3);
    }

    #[test]
    fn those_whose_start_is_found_late_have_begun_then_and_the_others_not() {
        let mut flights = flights([1, 2, 3]);
        assert!(flights.begin(TaskId(1), at(1)).is_ok());
        flights.begin_those(|id| id != TaskId(3), at(5));
        let begun: Vec<_> = flights.iter().map(|flight| flight.begun).collect();
        assert_eq!(begun, [Some(at(1)), Some(at(5)), None]);
    }

    #[test]
    fn starts_and_ends_are_of_tasks_it_has() {
        let mut flights = flights([1, 2]);
        let begun = flights.begin(TaskId(2), at(7)).expect("it has it");
        assert_eq!((begun.entry.id, begun.begun), (TaskId(2), Some(at(7))));
        let wrong = |result: Result<&mut Flight<Stateless>, Wrong>| result.err().unwrap_or_default();
        assert!(wrong(flights.begin(TaskId(2), at(8))).contains("second START"));
        assert!(wrong(flights.begin(TaskId(3), at(8))).contains("does not have"));
        assert!(flights.end(TaskId(3), at(8)).err().unwrap_or_default().contains("does not have"));
        assert!(flights.find(TaskId(1)).is_some() && flights.find(TaskId(3)).is_none());
        assert!(flights.unsend(TaskId(3)).is_none());
        assert_eq!(flights.unsend(TaskId(1)).map(|flight| flight.entry.id), Some(TaskId(1)));
        assert_eq!((flights.len(), numbers(flights.iter())), (1, vec![2]));
    }

    #[test]
    fn a_start_and_an_end_that_come_together_began_when_the_one_before_ended() {
        let mut flights = flights([1, 2]);
        let mut both = |number, now| {
            let _ = flights.begin(TaskId(number), now).expect("it has it");
            flights.end(TaskId(number), now).expect("it has begun").begun
        };
        assert_eq!(both(1, at(300)), Some(at(0)), "when it was sent");
        assert_eq!(both(2, at(500)), Some(at(300)), "it was sent before, but the worker was at the other");
        flights.send(flight(3, at(600)));
        let _ = flights.begin(TaskId(3), at(700)).expect("it has it");
        assert_eq!(flights.end(TaskId(3), at(800)).ok().and_then(|flight| flight.begun), Some(at(700)));
        flights.send(flight(4, at(900)));
        assert_eq!(flights.end(TaskId(4), at(901)).ok().and_then(|flight| flight.begun), None);
    }

    #[test]
    fn who_waits_behind_a_long_one_is_seen() {
        let mut flights = flights([1]);
        assert!(flights.begin(TaskId(1), at(0)).is_ok());
        assert!(!flights.has_waiting() && !flights.is_blocked(at(9_000)), "nobody is behind it");
        flights.send(flight(2, at(0)));
        assert!(flights.has_waiting() && !flights.is_blocked(at(4_999)) && flights.is_blocked(at(5_000)));
        let number = flights.recall().expect("the second has not begun");
        assert!(!flights.is_blocked(at(9_000)), "it was asked");
        let _ = flights.returned(number, [].into_iter()).map(|back| assert!(back.is_empty()));
        assert!(flights.begin(TaskId(2), at(6_000)).is_ok());
        assert!(!flights.has_waiting() && !flights.is_blocked(at(9_000)), "both run");
        let mut flights = self::flights([1]);
        assert!(!flights.has_waiting(), "it is alone, and next");
        flights.send(flight(2, at(0)));
        assert!(flights.has_waiting() && !flights.is_blocked(at(9_000)), "nobody has begun");
    }
}
