//! A worker process of the simulation's: speaks the protocol through the codec that is shipped, and does by the dice everything that
//! processes do to their pools.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use ebbtide_worker::frame::{
    Decoder, FLAG_NONE, FLAG_RESTORE, FrameType, VERSION, meta, write_frame, write_ids,
};

use super::{
    director::Dice,
    town::{End, Leaf, Town},
};
use crate::{
    clock::Moment,
    worker::remote::machine::simulated::{Body, Came, Gone, Life},
};

/// What happens when a task runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Plain,
    /// Takes so long, unless it is asked to cancel.
    Nap(Duration),
    /// Takes so long, whatever it is asked.
    Stubborn(Duration),
    /// Never ends.
    Stick,
    Fail,
    /// Answers with what nobody asked for.
    BadReply,
    /// Its process is gone, with a signal or with a code.
    Die,
    Exit,
    DieBeforeStart,
    DieInStart,
    DieInEnd,
    /// Writes half of the end, and nothing more.
    HalfAndStall,
    Garbage,
    /// Uses more from now on.
    Grow(u64),
    /// Closes the socket, and lives on.
    Close,
    /// Says and prints things.
    Talk,
    EndTwice,
    EndWithoutStart,
}

impl Deed {
    pub(super) fn roll(dice: &mut Dice) -> Self {
        match dice.below(40) {
            0..=9 => Self::Plain,
            10..=13 => Self::Nap(dice.span() / 8),
            14 | 15 => Self::Stubborn(dice.span() / 8),
            16 => Self::Stick,
            17 | 18 => Self::Fail,
            19 => Self::BadReply,
            20..=22 => Self::Die,
            23 | 24 => Self::Exit,
            25 | 26 => Self::DieBeforeStart,
            27 => Self::DieInStart,
            28 | 29 => Self::DieInEnd,
            30 => Self::HalfAndStall,
            31 => Self::Garbage,
            32 | 33 => Self::Grow(1 << (20 + dice.below(10))),
            34 => Self::Close,
            35..=37 => Self::Talk,
            38 => Self::EndTwice,
            _ => Self::EndWithoutStart,
        }
    }

    /// What it is once the faults have stopped.
    fn mended(self) -> Self {
        match self {
            Self::Nap(_) | Self::Stubborn(_) | Self::Fail | Self::Talk => self,
            _ => Self::Plain,
        }
    }
}

/// How a process begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Birth {
    Well,
    Late(Duration),
    NoHello,
    NoReady,
    BadNonce,
    BadVersion,
    Error,
    Exit,
    Die,
    Garbage,
}

/// What it is like.
#[derive(Clone, Debug)]
struct Habits {
    birth: Birth,
    credits: u32,
    /// Reads nothing while it runs a task.
    busy: bool,
    /// Reads nothing at all once it is ready.
    deaf: bool,
    ignores_cancel: bool,
    ignores_term: bool,
    ignores_stop: bool,
    /// Does not end when its pool is gone.
    outlives: bool,
    silent: bool,
    heir: bool,
    slow: Duration,
    /// Dies while it has nothing to do.
    dies_idle: Option<Duration>,
}

impl Habits {
    fn roll(dice: &mut Dice, faults: bool) -> Self {
        let slow = if dice.once_in(3) { dice.span() / 64 } else { Duration::ZERO };
        let mut habits = Self {
            birth: Birth::Well,
            credits: 1 + if dice.once_in(4) { dice.below(3) as u32 } else { 0 },
            busy: dice.once_in(4),
            deaf: false,
            ignores_cancel: dice.once_in(6),
            ignores_term: false,
            ignores_stop: false,
            outlives: false,
            silent: false,
            heir: false,
            slow,
            dies_idle: None,
        };
        if !faults {
            return habits;
        }
        if dice.once_in(6) {
            let late = Birth::Late(dice.span() / 4);
            let births = [
                late,
                late,
                Birth::NoHello,
                Birth::NoReady,
                Birth::BadNonce,
                Birth::BadVersion,
                Birth::Error,
                Birth::Exit,
                Birth::Die,
                Birth::Garbage,
            ];
            habits.birth = dice.pick(&births);
        }
        habits.deaf = dice.once_in(24);
        habits.ignores_term = dice.once_in(4);
        habits.ignores_stop = dice.once_in(8);
        habits.outlives = dice.once_in(8);
        habits.silent = dice.once_in(6);
        habits.heir = dice.once_in(16);
        habits.dies_idle = dice.once_in(10).then(|| dice.span() / 4);
        habits
    }
}

/// Program and arguments of every worker.
pub(super) const LINE: [&str; 2] = ["simulated", "--worker"];

/// A task that has come and not begun.
struct Sent {
    id: u64,
    leaf: Arc<Leaf>,
    attempt: u32,
    cancelled: bool,
}

struct Child {
    life: Life,
    town: Arc<Town>,
    dice: Dice,
    habits: Habits,
    decoder: Decoder,
    queue: VecDeque<Sent>,
    /// The task that runs, and whether it was asked to cancel.
    runs: Option<(u64, bool)>,
    /// How many tasks have come to it.
    came: u32,
    stops: bool,
    /// What it says after it broke the protocol nobody need believe.
    lies: bool,
}

/// How a process ends by itself.
enum Leave {
    Exit(i32),
    Die(i32),
    /// It has nothing more to say: it was ended, or its pool is gone.
    Gone,
}

impl From<Gone> for Leave {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

/// A process, if the machine can start one.
pub(super) fn start(town: &Arc<Town>, pid: u32) -> Option<Body> {
    let faults = town.has_faults();
    let mut dice = town.roll(Dice::fork);
    if faults && dice.once_in(32) {
        return None;
    }
    let habits = Habits::roll(&mut dice, faults);
    if town.verbose {
        eprintln!("{:>14?} process {pid}: {habits:?}", Moment::now());
    }
    let town = Arc::clone(town);
    Some(Box::new(move |life| {
        if habits.ignores_term {
            life.ignore_term();
        }
        if habits.heir {
            life.leave_an_heir();
        }
        let mut child = Child {
            life,
            town,
            dice,
            habits,
            decoder: Decoder::new(),
            queue: VecDeque::new(),
            runs: None,
            came: 0,
            stops: false,
            lies: false,
        };
        let how = child.be_born().and_then(|()| child.live());
        match how {
            Ok(()) => child.life.exit(0),
            Err(Leave::Exit(code)) => child.life.exit(code),
            Err(Leave::Die(signal)) => child.life.die(signal),
            Err(Leave::Gone) => {}
        }
    }))
}

impl Child {
    fn be_born(&mut self) -> Result<(), Leave> {
        assert_eq!(self.life.line(), LINE, "what was started is not what was asked for");
        let birth = self.habits.birth;
        let nonce =
            if birth == Birth::BadNonce { "?".to_owned() } else { self.life.variable("EBBTIDE_NONCE") };
        match birth {
            Birth::Late(span) => self.life.nap(Some(Moment::now().plus(span)))?,
            Birth::NoHello => self.life.nap(None)?,
            Birth::Exit => return Err(Leave::Exit(3)),
            Birth::Die => return Err(Leave::Die(11)),
            _ => {}
        }
        let hello = meta::HelloMeta {
            proto: if birth == Birth::BadVersion { VERSION + 1 } else { VERSION },
            nonce: nonce.into(),
            credits: self.habits.credits,
            ..meta::HelloMeta::default()
        };
        self.say(FrameType::Hello, 0, 0, &hello.to_bytes(), &[], || ())?;
        match birth {
            Birth::NoReady => self.life.nap(None)?,
            Birth::Garbage => self.babble()?,
            Birth::Error => {
                self.error(0, "no such module", false, || ())?;
                return Err(Leave::Exit(1));
            }
            _ => {}
        }
        self.life.nap(Some(Moment::now().plus(self.habits.slow)))?;
        self.say(FrameType::Ready, 0, 0, &[], &[], || ())?;
        Ok(())
    }

    fn live(&mut self) -> Result<(), Leave> {
        if self.habits.deaf {
            self.life.nap(None)?;
        }
        loop {
            self.hear()?;
            if let Some(sent) = self.queue.pop_front() {
                self.perform(&sent)?;
                continue;
            }
            if self.stops && !self.habits.ignores_stop {
                self.life.nap(Some(Moment::now().plus(self.habits.slow)))?;
                return Ok(());
            }
            let dies = self.habits.dies_idle.map(|span| Moment::now().plus(span));
            self.life.wait(dies)?;
            if dies.is_some_and(|dies| Moment::now() >= dies) && self.town.has_faults() {
                return Err(Leave::Die(6));
            }
        }
    }

    /// All that has come.
    fn hear(&mut self) -> Result<(), Leave> {
        loop {
            match self.life.read(self.decoder.space())? {
                Came::Bytes(n) => self.decoder.filled(n),
                Came::Nothing => return Ok(()),
                Came::End if self.habits.outlives => self.life.nap(None)?,
                Came::End => return Err(Leave::Exit(0)),
            }
            let mut frames = Vec::new();
            while let Some(frame) = self.decoder.next().expect("the pool keeps to the protocol") {
                if frame.flags & FLAG_RESTORE != 0 {
                    continue;
                }
                frames.push((frame.kind, frame.id, frame.meta.to_vec(), frame.body.to_vec()));
            }
            for (kind, id, meta, body) in frames {
                self.take(kind, id, &meta, &body)?;
            }
        }
    }

    fn take(&mut self, kind: FrameType, id: u64, meta: &[u8], body: &[u8]) -> Result<(), Leave> {
        match kind {
            FrameType::Task => {
                let meta = meta::TaskMeta::read(meta).expect("the pool writes it right");
                let number = serde_json::from_slice(body).expect("a number of ours");
                let leaf = self.town.find(number);
                self.came += 1;
                assert!(!self.stops, "task {number} comes after STOP");
                assert!(meta.attempt == 1 || self.came == 1, "task {number} is tried again, and not alone");
                leaf.arrives(self.life.pid(), meta.attempt);
                self.queue.push_back(Sent { id, leaf, attempt: meta.attempt, cancelled: false });
            }
            FrameType::Cancel => {
                if let Some((_, asked)) = self.runs.as_mut().filter(|(running, _)| *running == id) {
                    *asked = true;
                } else if let Some(sent) = self.queue.iter_mut().find(|sent| sent.id == id) {
                    sent.cancelled = true;
                }
            }
            FrameType::Recall => {
                let back: Vec<Sent> = self.queue.drain(..).collect();
                let mut ids = Vec::new();
                write_ids(&mut ids, back.iter().map(|sent| sent.id));
                let (pid, lies) = (self.life.pid(), self.lies);
                self.say(FrameType::Returned, 0, id, &[], &ids, || {
                    back.iter()
                        .filter(|_| !lies)
                        .for_each(|sent| sent.leaf.note(pid, |one| one.returned = true));
                })?;
            }
            FrameType::Ping if self.habits.silent => {}
            FrameType::Ping => self.say(FrameType::Pong, 0, id, &[], &[], || ())?,
            FrameType::Snapshot if self.habits.silent => {}
            FrameType::Snapshot if self.dice.once_in(4) => {
                self.say(FrameType::State, FLAG_NONE, id, &[], &[], || ())?;
            }
            FrameType::Snapshot => self.say(FrameType::State, 0, id, &[], b"learnt", || ())?,
            FrameType::Stop => self.stops = true,
            _ => {}
        }
        Ok(())
    }

    fn perform(&mut self, sent: &Sent) -> Result<(), Leave> {
        let (id, leaf, pid) = (sent.id, &sent.leaf, self.life.pid());
        if sent.cancelled && !self.habits.ignores_cancel {
            return self.end(sent, End::Obeyed);
        }
        let place = usize::from(sent.attempt > 1);
        let deed = if self.town.has_faults() { leaf.deeds[place] } else { leaf.deeds[place].mended() };
        if self.town.verbose {
            eprintln!("{:>14?} process {pid}: task {} does {deed:?}", Moment::now(), leaf.number);
        }
        match deed {
            Deed::DieBeforeStart => return Err(Leave::Die(9)),
            Deed::DieInStart => return self.half(FrameType::Start, id, &[]).and(Err(Leave::Die(7))),
            Deed::EndWithoutStart => {
                self.end(sent, End::Wrong)?;
                self.lies = true;
                return Ok(());
            }
            _ => {}
        }
        // Whoever it begins after it broke the protocol has begun all the same.
        self.say(FrameType::Start, 0, id, &[], &[], || leaf.note(pid, |one| one.started = true))?;
        self.runs = Some((id, sent.cancelled));
        let end = self.run(deed, sent)?;
        self.runs = None;
        self.end(sent, end)?;
        if deed == Deed::EndTwice {
            self.lies = true;
            self.result(id, b"0", || ())?;
        }
        Ok(())
    }

    fn run(&mut self, deed: Deed, sent: &Sent) -> Result<End, Leave> {
        match deed {
            Deed::Nap(span) => return self.nap(Some(span), !self.habits.ignores_cancel),
            Deed::Stubborn(span) => return self.nap(Some(span), false),
            Deed::Stick => return self.nap(None, false),
            Deed::Fail => return Ok(End::Error),
            Deed::BadReply => return Ok(End::Wrong),
            Deed::Die => return Err(Leave::Die(11)),
            Deed::Exit => {
                self.life.print(1, "it did not go well\n")?;
                return Err(Leave::Exit(7));
            }
            Deed::DieInEnd => return self.half(FrameType::Result, sent.id, b"0").and(Err(Leave::Die(11))),
            Deed::HalfAndStall => {
                self.half(FrameType::Result, sent.id, b"0")?;
                self.life.nap(None)?;
            }
            Deed::Garbage => self.babble()?,
            Deed::Grow(size) => self.life.grow_to(self.life.size().max(size))?,
            Deed::Close => {
                self.life.close_socket();
                self.life.nap(None)?;
            }
            Deed::Talk => {
                self.say(FrameType::Progress, 0, sent.id, &[], b"half", || ())?;
                self.say(FrameType::Log, 0, sent.id, &[], b"so far", || ())?;
                self.life.print(0, "hello\nwor")?;
            }
            _ => {}
        }
        Ok(End::Value)
    }

    /// Runs so long. One that is not busy hears what is asked meanwhile.
    fn nap(&mut self, span: Option<Duration>, obeys: bool) -> Result<End, Leave> {
        let until = span.map(|span| Moment::now().plus(span));
        loop {
            if self.habits.busy {
                self.life.nap(until)?;
            } else {
                self.hear()?;
            }
            if obeys && self.runs.is_some_and(|(_, asked)| asked) {
                return Ok(End::Obeyed);
            }
            if until.is_some_and(|until| Moment::now() >= until) {
                return Ok(End::Value);
            }
            self.life.wait(until)?;
        }
    }

    fn end(&self, sent: &Sent, end: End) -> Result<(), Leave> {
        let (pid, lies) = (self.life.pid(), self.lies);
        let note = || {
            if !lies {
                sent.leaf.note(pid, |one| one.end = Some(end));
            }
        };
        match end {
            End::Value => self.result(sent.id, sent.leaf.number.to_string().as_bytes(), note),
            End::Wrong => self.result(sent.id, b"\"no number\"", note),
            End::Error => self.error(sent.id, "on purpose", false, note),
            End::Obeyed => self.error(sent.id, "cancelled", true, note),
        }
    }

    fn result(&self, id: u64, body: &[u8], written: impl FnOnce()) -> Result<(), Leave> {
        self.say(FrameType::Result, 0, id, &[], body, written)
    }

    fn error(&self, id: u64, message: &str, cancelled: bool, written: impl FnOnce()) -> Result<(), Leave> {
        let meta = meta::ErrorMeta {
            name: "Error".into(),
            message: message.into(),
            cancelled,
            ..meta::ErrorMeta::default()
        };
        self.say(FrameType::Error, 0, id, &meta.to_bytes(), &[], written)
    }

    fn say(
        &self,
        kind: FrameType,
        flags: u8,
        id: u64,
        meta: &[u8],
        body: &[u8],
        written: impl FnOnce(),
    ) -> Result<(), Leave> {
        let mut frame = Vec::new();
        write_frame(&mut frame, kind, flags, id, meta, body).expect("it fits");
        Ok(self.life.write(&frame, written)?)
    }

    /// A frame that breaks off.
    fn half(&mut self, kind: FrameType, id: u64, body: &[u8]) -> Result<(), Leave> {
        let mut frame = Vec::new();
        write_frame(&mut frame, kind, 0, id, &[], body).expect("it fits");
        self.lies = true;
        let cut = 1 + self.dice.below(frame.len() - 1);
        Ok(self.life.write(&frame[..cut], || ())?)
    }

    fn babble(&mut self) -> Result<(), Leave> {
        self.lies = true;
        let bytes: Vec<u8> = (0..1 + self.dice.below(40)).map(|_| self.dice.next() as u8).collect();
        Ok(self.life.write(&bytes, || ())?)
    }
}
