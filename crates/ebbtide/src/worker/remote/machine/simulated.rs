//! A machine without a kernel: its processes are threads of the simulation's, its sockets and pipes are buffers, and its time is invented.
//!
//! Whoever waits here waits on a condition that the scheduler sees, never by parking: a park would take the token of whoever wakes the thread for
//! something else, which no system call does. One condition for each process, since few ever wait for it.

use std::{cell::RefCell, collections::VecDeque, ffi::OsString, sync::Arc, time::Duration};

use rustix::io::Errno;

use crate::{
    clock::{Moment, simulated},
    sync::{self, Condvar, Mutex, MutexGuard},
    worker::{
        process::{Ended, Exit, Signal, Usage},
        remote::{
            boot::Start,
            ear::Ear,
            outgoing::Patience,
            plan::{Plan, Wishes},
            process::Wire,
        },
    },
};

/// What a process does from its birth on; returning ends it.
pub(crate) type Body = Box<dyn FnOnce(Life) + Send>;
/// Asked for each process that is to be started; `None` = the machine can start none now.
pub(crate) type Program = Arc<dyn Fn(u32) -> Option<Body>>;

struct Machine {
    program: Program,
    processes: Vec<Arc<Process>>,
    /// What a socket takes in each direction.
    room: usize,
    /// It has control groups, which hold hard limits.
    caps: bool,
}

std::thread_local! {
    static MACHINE: RefCell<Option<Machine>> = const { RefCell::new(None) };
}

/// From here on this run has a machine of its own.
pub(crate) fn begin(program: Program, room: usize, caps: bool) {
    MACHINE.replace(Some(Machine { program, processes: Vec::new(), room, caps }));
}

/// The run is over. Gives the processes that are still alive.
pub(crate) fn end() -> usize {
    let alive = alive();
    MACHINE.take();
    alive
}

/// How many processes are alive.
pub(crate) fn alive() -> usize {
    let processes = MACHINE
        .with_borrow(|machine| machine.as_ref().map(|machine| machine.processes.clone()).unwrap_or_default());
    processes.iter().filter(|process| process.state.lock().ended.is_none()).count()
}

struct Process {
    pid: u32,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// On the way to the process, and from it.
    down: VecDeque<u8>,
    up: VecDeque<u8>,
    room: usize,
    /// The pool's end of the socket is open; the process's.
    ours: bool,
    theirs: bool,
    outputs: [VecDeque<u8>; 2],
    ended: Option<Ended>,
    /// The signal that ends it as soon as it runs again.
    fatal: Option<i32>,
    deaf_to_term: bool,
    /// Somebody it started holds its socket open after its end.
    heir: bool,
    size: u64,
    /// Above this the machine ends it.
    cap: Option<u64>,
}

impl Process {
    fn sleep<'g>(
        self: &Arc<Self>,
        state: MutexGuard<'g, State>,
        until: Option<Moment>,
    ) -> MutexGuard<'g, State> {
        let alarm = until.and_then(|until| {
            let me = Arc::clone(self);
            let ring = move || {
                drop(me.state.lock());
                me.changed.notify_all();
            };
            simulated::insert(until, Box::new(ring))
        });
        let state = self.changed.wait(state).expect("nobody panics with it");
        alarm.into_iter().for_each(simulated::remove);
        state
    }
}

/// Our end of a worker's socket.
pub(crate) struct Socket(Arc<Process>);

/// The end of a worker's output that is read.
pub(crate) struct Pipe(Arc<Process>, usize);

/// The process as the pool holds it: as one behind a guardian, which does not end with this.
pub(crate) struct Kin(Arc<Process>);

pub(crate) struct Meter(Option<Arc<Process>>);

/// Its control group.
pub(crate) struct Cap(Arc<Process>);

/// What a pool holds of this machine: whether a control group caps the memory of its workers.
pub(crate) struct Host {
    caps: bool,
}

/// What there is to read.
pub(crate) struct Ready {
    pub(crate) socket: bool,
    pub(crate) ended: bool,
    pub(crate) outputs: bool,
}

impl Host {
    pub(crate) fn new(_: &Wishes) -> Self {
        let caps = MACHINE.with_borrow(|machine| machine.as_ref().is_some_and(|machine| machine.caps));
        Self { caps }
    }
}

/// Starts a process.
pub(in crate::worker::remote) fn start(plan: &Plan, what: &Start) -> Result<(Arc<Wire>, Ear), String> {
    let cap = plan.wishes.memory.hard.filter(|_| plan.host.caps);
    let (program, pid, room) = MACHINE.with_borrow(|machine| {
        let machine = machine.as_ref().expect("a machine was begun");
        (Arc::clone(&machine.program), machine.processes.len() as u32 + 1, machine.room)
    });
    let body = program(pid).ok_or("no worker process: the machine has no room for one")?;
    let state = State {
        down: VecDeque::new(),
        up: VecDeque::new(),
        room,
        ours: true,
        theirs: true,
        outputs: [VecDeque::new(), VecDeque::new()],
        ended: None,
        fatal: None,
        deaf_to_term: false,
        heir: false,
        size: 1 << 20,
        cap,
    };
    let process = Arc::new(Process { pid, state: Mutex::new(state), changed: Condvar::new() });
    MACHINE.with_borrow_mut(|machine| {
        let machine = machine.as_mut().expect("a machine was begun");
        machine.processes.push(Arc::clone(&process));
    });
    let line = [&what.program].into_iter().chain(&what.args).cloned().collect();
    let life = Life { process: Arc::clone(&process), line, env: what.env.clone(), code: 0 };
    drop(sync::spawn("process".to_owned(), None, move || body(life)).expect("a thread of the model's"));
    let cap = cap.map(|_| Cap(Arc::clone(&process)));
    let [stdout, stderr] = [0, 1].map(|number| Pipe(Arc::clone(&process), number));
    let (kin, socket, most) = (Kin(Arc::clone(&process)), Socket(process), plan.wishes.most);
    Ok((Arc::new(Wire::new(kin, socket, most, cap)), Ear::new(most, stdout, stderr)))
}

/// Waits until one of them has something, so long at most.
pub(crate) fn wait(
    socket: &Socket,
    _: &Kin,
    outputs: [Option<&Pipe>; 2],
    patience: Option<Duration>,
) -> Ready {
    let process = &socket.0;
    let until = patience.map(|patience| Moment::now().plus(patience));
    let mut state = process.state.lock();
    loop {
        let ended = state.ended.is_some();
        let speaks = |pipe: &Pipe| ended || !state.outputs[pipe.1].is_empty();
        let ready = Ready {
            socket: !state.up.is_empty() || !state.theirs,
            ended,
            outputs: outputs.into_iter().flatten().any(speaks),
        };
        if ready.socket || ready.ended || ready.outputs || until.is_some_and(|until| Moment::now() >= until) {
            return ready;
        }
        state = process.sleep(state, until);
    }
}

impl Socket {
    /// Gives how many bytes it took, which may be fewer.
    pub(in crate::worker::remote) fn send(
        &self,
        pieces: [&[u8]; 3],
        patience: Patience,
    ) -> Result<usize, Errno> {
        let bytes = &*pieces.concat();
        let mut state = self.0.state.lock();
        loop {
            if !state.theirs || !state.ours {
                return Err(Errno::PIPE);
            }
            let took = bytes.len().min(state.room - state.down.len());
            if took > 0 {
                state.down.extend(&bytes[..took]);
                drop(state);
                self.0.changed.notify_all();
                return Ok(took);
            }
            if patience == Patience::DoNotWait {
                return Err(Errno::AGAIN);
            }
            state = self.0.sleep(state, None);
        }
    }

    /// Ends it for everybody who holds either end.
    pub(crate) fn hang_up(&self) {
        self.0.state.lock().ours = false;
        self.0.changed.notify_all();
    }

    /// What is there already; 0 = the other end is closed.
    pub(crate) fn receive(&self, space: &mut [u8]) -> Result<usize, Errno> {
        let mut state = self.0.state.lock();
        if state.up.is_empty() {
            // One that closed it with something unread resets it.
            let unread = !state.down.is_empty();
            return match (state.theirs, unread) {
                (true, _) => Err(Errno::AGAIN),
                (false, true) => Err(Errno::CONNRESET),
                (false, false) => Ok(0),
            };
        }
        let n = take(&mut state.up, space);
        drop(state);
        self.0.changed.notify_all();
        Ok(n)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.hang_up();
    }
}

impl Pipe {
    /// What is there already; 0 = nobody writes any more.
    pub(crate) fn read(&self, space: &mut [u8]) -> Result<usize, Errno> {
        let mut state = self.0.state.lock();
        match take(&mut state.outputs[self.1], space) {
            0 if state.ended.is_none() => Err(Errno::AGAIN),
            n => Ok(n),
        }
    }
}

fn take(from: &mut VecDeque<u8>, space: &mut [u8]) -> usize {
    let n = from.len().min(space.len());
    space.iter_mut().zip(from.drain(..n)).for_each(|(place, byte)| *place = byte);
    n
}

impl Kin {
    pub(crate) fn pid(&self) -> u32 {
        self.0.pid
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let mut state = self.0.state.lock();
        if signal == Signal::KILL || !state.deaf_to_term {
            state.fatal.get_or_insert(signal.as_raw());
        }
        drop(state);
        self.0.changed.notify_all();
    }

    /// How it ended, waiting so long for it; `None` = it still runs.
    pub(crate) fn wait(&self, patience: Duration) -> Option<Exit> {
        let until = Moment::now().plus(patience);
        let mut state = self.0.state.lock();
        while state.ended.is_none() && Moment::now() < until {
            state = self.0.sleep(state, Some(until));
        }
        state.ended.map(|ended| Exit { ended, usage: Usage::default() })
    }
}

impl Meter {
    pub(crate) fn of(pid: u32) -> Self {
        Self(MACHINE.with_borrow(|machine| {
            let place = usize::try_from(pid).ok()?.checked_sub(1)?;
            machine.as_ref()?.processes.get(place).cloned()
        }))
    }

    /// In bytes; `None` once the process has ended.
    pub(crate) fn read(&self) -> Option<u64> {
        let state = self.0.as_ref()?.state.lock();
        state.ended.is_none().then_some(state.size)
    }
}

impl Cap {
    /// True if the machine has ended it for want of memory.
    pub(crate) fn has_killed(&self) -> bool {
        let state = self.0.state.lock();
        state.cap.is_some_and(|cap| state.size > cap)
    }
}

/// A process as it is to itself. Whatever it does, it may find that it is no more.
pub(crate) struct Life {
    process: Arc<Process>,
    line: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    code: i32,
}

/// It was ended by a signal, or nobody is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gone;

/// What a look at the socket gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Came {
    Bytes(usize),
    Nothing,
    /// The pool has closed its end.
    End,
}

impl Life {
    pub(crate) fn pid(&self) -> u32 {
        self.process.pid
    }

    /// The program and its arguments.
    pub(crate) fn line(&self) -> &[OsString] {
        &self.line
    }

    pub(crate) fn variable(&self, name: &str) -> String {
        let found = self.env.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.to_string_lossy().into_owned()).unwrap_or_default()
    }

    fn state(&self) -> Result<MutexGuard<'_, State>, Gone> {
        let state = self.process.state.lock();
        if state.fatal.is_some() { Err(Gone) } else { Ok(state) }
    }

    pub(crate) fn ignore_term(&self) {
        self.process.state.lock().deaf_to_term = true;
    }

    pub(crate) fn leave_an_heir(&self) {
        self.process.state.lock().heir = true;
    }

    /// Uses so much from now on.
    pub(crate) fn grow_to(&self, size: u64) -> Result<(), Gone> {
        let mut state = self.state()?;
        state.size = size;
        if state.cap.is_some_and(|cap| size > cap) {
            state.fatal = Some(Signal::KILL.as_raw());
            return Err(Gone);
        }
        Ok(())
    }

    pub(crate) fn size(&self) -> u64 {
        self.process.state.lock().size
    }

    pub(crate) fn read(&self, space: &mut [u8]) -> Result<Came, Gone> {
        let mut state = self.state()?;
        if state.down.is_empty() {
            return Ok(if state.ours { Came::Nothing } else { Came::End });
        }
        let n = take(&mut state.down, space);
        drop(state);
        self.process.changed.notify_all();
        Ok(Came::Bytes(n))
    }

    /// Writes all of it, waiting where there is no room. `written` is called at the moment the last byte is there to be read.
    pub(crate) fn write(&self, mut bytes: &[u8], written: impl FnOnce()) -> Result<(), Gone> {
        let mut state = self.state()?;
        loop {
            if state.fatal.is_some() || !state.ours || !state.theirs {
                return Err(Gone);
            }
            let took = bytes.len().min(state.room - state.up.len());
            state.up.extend(&bytes[..took]);
            bytes = &bytes[took..];
            if bytes.is_empty() {
                written();
                drop(state);
                self.process.changed.notify_all();
                return Ok(());
            }
            self.process.changed.notify_all();
            state = self.process.sleep(state, None);
        }
    }

    /// Prints; what the pipe does not take is lost, so that nobody has to read it.
    pub(crate) fn print(&self, output: usize, text: &str) -> Result<(), Gone> {
        let mut state = self.state()?;
        let room = state.room.saturating_sub(state.outputs[output].len());
        state.outputs[output].extend(text.bytes().take(room));
        drop(state);
        self.process.changed.notify_all();
        Ok(())
    }

    pub(crate) fn close_socket(&self) {
        self.process.state.lock().theirs = false;
        self.process.changed.notify_all();
    }

    /// Waits until something can be read, or the pool closes its end, or it is time.
    pub(crate) fn wait(&self, until: Option<Moment>) -> Result<(), Gone> {
        let mut state = self.state()?;
        while state.down.is_empty() && state.ours && until.is_none_or(|until| Moment::now() < until) {
            state = self.process.sleep(state, until);
            if state.fatal.is_some() {
                return Err(Gone);
            }
        }
        Ok(())
    }

    /// Does nothing, whatever comes, until it is time.
    pub(crate) fn nap(&self, until: Option<Moment>) -> Result<(), Gone> {
        let mut state = self.state()?;
        while until.is_none_or(|until| Moment::now() < until) {
            state = self.process.sleep(state, until);
            if state.fatal.is_some() {
                return Err(Gone);
            }
        }
        Ok(())
    }

    pub(crate) fn exit(mut self, code: i32) {
        self.code = code;
    }

    /// Dies of a signal that nobody sent.
    pub(crate) fn die(self, signal: i32) {
        self.process.state.lock().fatal.get_or_insert(signal);
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        let mut state = self.process.state.lock();
        state.ended = Some(match state.fatal {
            Some(signal) => Ended::Signaled { signal, core_dumped: false },
            None => Ended::Exited { code: self.code },
        });
        state.theirs &= state.heir;
        drop(state);
        self.process.changed.notify_all();
    }
}
