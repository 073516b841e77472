//! ebbtide, with its accounting on and its defaults left alone: sampled timing, deadlines, reports.

use std::{any::Any, time::Duration};

use ebbtide::{Handle, MissedTicks, Pool, Shutdown, Stateless};

use crate::contender::{Contender, NotOffered, Room, Setup, Wait};

/// A stateless thread pool of fixed size.
pub(crate) struct Ebbtide(Pool<Stateless>);

impl Contender for Ebbtide {
    fn start(setup: Setup) -> Result<Self, NotOffered> {
        let (Room::Plenty(queue) | Room::Bounded(queue)) = setup.queue;
        let pool = Pool::builder().name("race").workers(setup.workers..=setup.workers).queue(queue).warm();
        Ok(Self(pool.build().expect("the options are consistent")))
    }

    fn execute<F: FnOnce() + Send + 'static>(&self, task: F) {
        let accepted = self.0.execute(move |_| task());
        assert!(accepted.is_ok(), "an open pool accepts");
    }

    fn submit<T: Send + 'static, F: FnOnce() -> T + Send + 'static>(&self, task: F) -> Handle<T> {
        self.0.submit(move |_| task()).unwrap_or_else(|_| panic!("an open pool accepts"))
    }

    fn submit_many<T: Send + 'static, F: FnOnce() -> T + Send + 'static, I: Iterator<Item = F>>(
        &self,
        tasks: I,
    ) -> Vec<Handle<T>> {
        let tasks = tasks.map(|task| move |_: &ebbtide::Context<'_, Stateless>| task());
        self.0.submit_many(tasks).unwrap_or_else(|_| panic!("an open pool accepts"))
    }

    fn every(&self, period: Duration, mut run: impl FnMut() + Send + 'static) -> Result<(), NotOffered> {
        let job = self.0.every(period).rate().first_after(period).missed(MissedTicks::Burst);
        let started = job.start(move |_| run());
        assert!(started.is_ok(), "an open pool takes jobs");
        Ok(())
    }

    fn drain(self) -> Result<(), NotOffered> {
        let report = self.0.shutdown(Shutdown::drain()).wait().expect("not on a worker");
        assert!(report.law_holds(), "{report}");
        Ok(())
    }

    fn abort(&self, release: impl FnOnce()) -> Result<(usize, Box<dyn Any>), NotOffered> {
        let closing = self.0.shutdown(Shutdown::abort());
        release();
        let report = closing.wait().expect("not on a worker");
        assert!(report.law_holds(), "{report}");
        let returned = self.0.take_returned();
        Ok((returned.len(), Box::new(returned)))
    }
}

impl<T: Send + 'static> Wait<T> for Handle<T> {
    fn wait(self) -> T {
        Self::wait(self).expect("no task of the race fails")
    }
}
