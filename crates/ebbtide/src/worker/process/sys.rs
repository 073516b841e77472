//! The unsafe part of this room: the few system calls that `rustix` does not offer safely. Each wrapper is safe to call.
#![expect(unsafe_code, reason = "clone, exec, wait4, signalfd and close_range have no safe wrapper")]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};

use rustix::io::Errno;
use rustix::process::{
    Pid, Resource, Rlimit, Signal, chdir, getppid, set_parent_process_death_signal, setpgid, setrlimit,
};

use super::frame::{EndRecord, Stage};
use super::spec::{Bounds, Privileges};

/// What a new process is to become. All of it is laid out before the process exists.
#[derive(Debug)]
pub(super) struct Image<'a> {
    /// Tried in order, as `execvp` does.
    pub(super) paths: &'a [&'a CStr],
    pub(super) args: &'a [&'a CStr],
    pub(super) env: &'a [&'a CStr],
    pub(super) cwd: Option<&'a CStr>,
    /// Put onto 0, 1 and 2, where given.
    pub(super) stdio: [Option<BorrowedFd<'a>>; 3],
    pub(super) bounds: Bounds,
    /// A control group's list of members, to be written to.
    pub(super) cgroup: Option<BorrowedFd<'a>>,
    /// The descriptor limit to give back, where the guardian raised its own.
    pub(super) nofile: Option<Rlimit>,
    /// The guardian.
    pub(super) parent: Pid,
}

/// The stack a child runs on between its birth and its program.
#[derive(Debug)]
pub(super) struct Stack(Box<[u128]>);

impl Stack {
    pub(super) fn new() -> Stack {
        // 64 KiB; the child calls nothing but thin wrappers of system calls.
        Stack(vec![0; 4096].into_boxed_slice())
    }
}

/// Starts a process and returns once its program has replaced it, or says at which stage with which error it failed.
///
/// The child borrows our memory until then, which spares copying page tables and makes its error a plain store.
pub(super) fn launch(image: &Image<'_>, stack: &mut Stack) -> Result<Pid, (Stage, Errno)> {
    let args = pointers(image.args);
    let env = pointers(image.env);
    let plan = Plan { image, args: &args, env: &env, stage: AtomicI32::new(0), errno: AtomicI32::new(0) };
    let top = stack.0.as_mut_ptr_range().end.cast::<c_void>();
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: `top` is the 16-byte aligned end of a stack that is ours alone (`&mut`) and that outlives the child's use of it:
    // CLONE_VFORK holds us here until the child has exec'd or exited. For the same reason `plan`, and all it borrows, lives
    // longer than the child looks at it. The child shares our memory (CLONE_VM) but only runs `child`, which allocates nothing,
    // takes no lock, does not unwind, and writes nothing but its stack, `errno`, and two atomics. All signals are blocked here and
    // hence in the child, so that no handler runs in it; the process is single-threaded, so nobody else sees the shared memory.
    let pid = unsafe { libc::clone(child, top, flags, ptr::from_ref(&plan).cast_mut().cast()) };
    let Some(pid) = Pid::from_raw(pid.max(0)) else { return Err((Stage::Fork, last_errno())) };
    match Stage::from_number(plan.stage.load(Ordering::Relaxed)) {
        None => Ok(pid),
        Some(stage) => {
            let _ = wait4(pid);
            Err((stage, Errno::from_raw_os_error(plan.errno.load(Ordering::Relaxed))))
        }
    }
}

/// A child of ours that has ended and is not reaped yet; it stays so.
pub(super) fn ended_child() -> Result<Option<Pid>, Errno> {
    // SAFETY: all-zero is a valid siginfo_t, a plain C struct.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: `info` is valid for writes for the duration of the call.
    check(unsafe { libc::waitid(libc::P_ALL, 0, &raw mut info, options) })?;
    // SAFETY: waitid has filled the child's part, or left it zero when nobody has ended.
    Ok(Pid::from_raw(unsafe { info.si_pid() }))
}

/// Reaps a child of ours; waits for its end.
pub(super) fn wait4(pid: Pid) -> Result<EndRecord, Errno> {
    let mut status = 0;
    // SAFETY: all-zero is a valid rusage, a plain C struct.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: both places are valid for writes for the duration of the call.
        let waited = unsafe { libc::wait4(pid.as_raw_nonzero().get(), &raw mut status, 0, &raw mut usage) };
        match check(waited) {
            Ok(_) => break,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    let whole = |part| u64::try_from(part).unwrap_or(0);
    let micros = |time: libc::timeval| whole(time.tv_sec) * 1_000_000 + whole(time.tv_usec);
    Ok(EndRecord {
        status,
        max_rss_bytes: whole(usage.ru_maxrss) * 1024,
        user_us: micros(usage.ru_utime),
        system_us: micros(usage.ru_stime),
    })
}

/// Gives every signal its default action and blocks it: none will interrupt or end this process but SIGKILL.
pub(super) fn silence_signals() {
    // Past the C library, which keeps two signals to itself and would leave them ignored if our parent had them so. On every
    // architecture all-zero is the default action, and larger than the kernel's structure.
    let default = [0u64; 8];
    for number in 1..=64 {
        // SAFETY: `default` is valid for reads, the old action is not asked for, and SIG_DFL runs no code of ours; numbers that
        // cannot be set are refused by the kernel.
        unsafe {
            libc::syscall(libc::SYS_rt_sigaction, number, default.as_ptr(), ptr::null_mut::<c_void>(), 8usize)
        };
    }
    // SAFETY: `all` is initialised by sigfillset before it is read; the old mask is not asked for.
    unsafe {
        let mut all = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const all, ptr::null_mut());
    }
}

/// A descriptor that is readable when a child has ended. SIGCHLD has to be blocked.
pub(super) fn child_signals() -> Result<OwnedFd, Errno> {
    // SAFETY: `set` is initialised by sigemptyset before it is read; the descriptor returned is new and nobody else's.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGCHLD);
        let fd = check(libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK))?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// Closes every descriptor from 3 on. To be called before the process has opened any itself.
pub(super) fn close_inherited() {
    // SAFETY: the guardian has just begun: no value in it owns a descriptor from 3 on.
    let done = unsafe { libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, 0u32) };
    if done == 0 {
        return;
    }
    // Linux before 5.9.
    let listed: Vec<RawFd> = std::fs::read_dir("/proc/self/fd")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|&fd| fd > 2)
        .collect();
    for fd in listed {
        // SAFETY: as above; the one that listed the directory is closed already, which close reports and does not mind.
        unsafe { libc::close(fd) };
    }
}

/// The descriptor this process was given as its standard input.
pub(super) fn standard_input() -> BorrowedFd<'static> {
    // SAFETY: 0 is open for as long as the process lives: it is only ever replaced by dup2.
    unsafe { BorrowedFd::borrow_raw(0) }
}

/// What the child needs, in the form the system wants it.
struct Plan<'a> {
    image: &'a Image<'a>,
    args: &'a [*const c_char],
    env: &'a [*const c_char],
    /// Where it failed, 0 = it did not.
    stage: AtomicI32,
    errno: AtomicI32,
}

/// The life of a child until its program. Async-signal-safe calls only.
extern "C" fn child(plan: *mut c_void) -> c_int {
    // SAFETY: `launch` passes its plan, which lives until we have exec'd or exited.
    let plan: &Plan<'_> = unsafe { &*plan.cast_const().cast() };
    if let Err((stage, errno)) = become_program(plan) {
        plan.errno.store(errno.raw_os_error(), Ordering::Relaxed);
        plan.stage.store(stage as i32, Ordering::Relaxed);
    }
    // SAFETY: ends the process at once and runs nothing.
    unsafe { libc::_exit(127) }
}

fn become_program(plan: &Plan<'_>) -> Result<(), (Stage, Errno)> {
    let image = plan.image;
    let prepare = |errno| (Stage::Prepare, errno);
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(prepare)?;
    if getppid() != Some(image.parent) {
        // The guardian died before the line above; nobody is there to read an error.
        return Err((Stage::Prepare, Errno::SRCH));
    }
    setpgid(None, None).map_err(prepare)?;
    for (target, fd) in (0..).zip(&image.stdio) {
        if let Some(fd) = fd {
            // SAFETY: a system call on numbers. The guardian's own 0, 1 and 2 are taken, so the source is another number and the
            // copy stays open over exec; what it replaces is the child's copy of the null device, which no value owns.
            check(unsafe { libc::dup2(fd.as_raw_fd(), target) }).map_err(prepare)?;
        }
    }
    if let Some(cwd) = image.cwd {
        chdir(cwd).map_err(|errno| (Stage::Directory, errno))?;
    }
    if let Some(limit) = image.nofile {
        setrlimit(Resource::Nofile, limit).map_err(prepare)?;
    }
    bind(image).map_err(prepare)?;
    // SAFETY: `none` is initialised by sigemptyset before it is read; the old mask is not asked for.
    unsafe {
        let mut none = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        check(libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut())).map_err(prepare)?;
    }
    Err((Stage::Exec, exec(plan)))
}

/// What the program is bound to from its first instruction.
fn bind(image: &Image<'_>) -> Result<(), Errno> {
    if let Some(group) = image.cgroup {
        // "0" is whoever writes it.
        rustix::io::write(group, b"0")?;
    }
    let Bounds { umask, nice, data, privileges } = image.bounds;
    if let Some(mask) = umask {
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(mask));
    }
    if nice > 0 {
        rustix::process::nice(nice)?;
    }
    if let Some(bytes) = data {
        let maximum = rustix::process::getrlimit(Resource::Data).maximum;
        let bytes = maximum.map_or(bytes, |most| most.min(bytes));
        setrlimit(Resource::Data, Rlimit { current: Some(bytes), maximum: Some(bytes) })?;
    }
    if privileges == Privileges::NoNew {
        rustix::thread::set_no_new_privs(true)?;
    }
    Ok(())
}

/// Tries every path. Returns only when none could be run, with the error that tells most.
fn exec(plan: &Plan<'_>) -> Errno {
    let mut verdict = Errno::NOENT;
    for path in plan.image.paths {
        // SAFETY: `args` and `env` are null-terminated arrays of C strings that `launch` keeps alive.
        unsafe { libc::execve(path.as_ptr(), plan.args.as_ptr(), plan.env.as_ptr()) };
        match last_errno() {
            // Somewhere else it may be allowed; if not, this is the reason to give.
            Errno::ACCESS => verdict = Errno::ACCESS,
            Errno::NOENT | Errno::NOTDIR | Errno::STALE | Errno::NODEV | Errno::TIMEDOUT => {}
            errno => return errno,
        }
    }
    verdict
}

fn pointers(strings: &[&CStr]) -> Vec<*const c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
}

fn check(returned: c_int) -> Result<c_int, Errno> {
    if returned < 0 { Err(last_errno()) } else { Ok(returned) }
}

fn last_errno() -> Errno {
    // SAFETY: the thread's errno is always there to be read.
    Errno::from_raw_os_error(unsafe { *libc::__errno_location() })
}
