//! The wire between supervisor and guardian: pure encoding and decoding, no I/O.
//!
//! Requests go down a stream socket: `len u32 | kind u8 | stdio u8 | flags u8 | 0 u8 | task u64 | body`, little-endian, `len` =
//! bytes after itself. A spawn's descriptors (its report pipe, then those `stdio` has a bit for) travel with its first byte.
//! Answers come as fixed records, each written at once, through the report pipe of the task: `Started` or `Failed`, then `Ended`.

use std::ffi::CStr;
use std::os::unix::ffi::OsStrExt;

use super::spec::{Bounds, CommandSpec, EnvBase, Privileges};

/// What the guardian says first on its socket; anything after it is the reason why it ends.
pub(super) const HELLO: [u8; 4] = *b"ebg1";
/// Bytes of the header, with its length.
pub(super) const HEADER: usize = 16;
/// No frame is longer. Linux takes 6 MiB of arguments and environment at the very most.
pub(super) const LONGEST: usize = 8 << 20;
/// Bytes of a record: below `PIPE_BUF`, so it is written and read whole.
pub(super) const RECORD: usize = 40;
/// Most descriptors with one frame: the report pipe, three standard ones, a control group.
pub(super) const FDS: usize = 5;

const SPAWN: u8 = 1;
const SIGNAL: u8 = 2;
const FLAG_CWD: u8 = 1;
const FLAG_EMPTY_ENV: u8 = 2;
const FLAG_NO_NEW_PRIVILEGES: u8 = 4;
const FLAG_CGROUP: u8 = 8;
/// Bytes of the bounds: umask, niceness, data.
const BOUNDS: usize = 16;

/// What a supervisor asks for.
#[derive(Debug)]
pub(super) enum Request<'a> {
    Spawn(Spawn<'a>),
    Signal { task: u64, signal: i32 },
}

/// A command to start; borrows from the frame.
#[derive(Debug)]
pub(super) struct Spawn<'a> {
    pub(super) task: u64,
    /// Bit n: standard descriptor n is passed.
    pub(super) stdio: u8,
    pub(super) base: EnvBase,
    pub(super) bounds: Bounds,
    /// A control group's descriptor is passed, after the standard ones.
    pub(super) cgroup: bool,
    pub(super) cwd: Option<&'a CStr>,
    /// The program first, as `argv` has it.
    pub(super) args: Vec<&'a CStr>,
    /// `NAME=value` sets, `NAME` removes.
    pub(super) env: Vec<&'a CStr>,
}

/// Why a frame is none.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    #[error("a frame of {0} bytes, outside {HEADER}..={LONGEST}")]
    Length(u64),
    #[error("unknown frame kind {0}")]
    Kind(u8),
    #[error("a frame body that ends too early or too late")]
    Body,
    #[error("a spawn without its descriptors")]
    Descriptors,
}

/// Where a start failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// The descriptors did not arrive.
    Receive = 1,
    /// No process.
    Fork = 2,
    /// Descriptors, group, limits.
    Prepare = 3,
    /// The working directory.
    Directory = 4,
    /// The program.
    Exec = 5,
}

/// What the guardian reports of one task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Record {
    Started { pid: i32 },
    Failed { stage: Stage, errno: i32 },
    Ended(EndRecord),
}

/// How a process ended, as `wait4` tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EndRecord {
    pub(super) status: i32,
    pub(super) max_rss_bytes: u64,
    pub(super) user_us: u64,
    pub(super) system_us: u64,
}

/// Writes a spawn frame, or says what cannot be written.
pub(super) fn encode_spawn(task: u64, spec: &CommandSpec) -> Result<Vec<u8>, Refused> {
    let mut frame = vec![0; HEADER];
    let argc = u32::try_from(spec.args.len() + 1).map_err(|_| Refused::TooLong)?;
    let envc = u32::try_from(spec.env.len()).map_err(|_| Refused::TooLong)?;
    frame.extend_from_slice(&argc.to_le_bytes());
    frame.extend_from_slice(&envc.to_le_bytes());
    frame.extend_from_slice(&spec.bounds.umask.unwrap_or(u32::MAX).to_le_bytes());
    frame.extend_from_slice(&spec.bounds.nice.to_le_bytes());
    frame.extend_from_slice(&spec.bounds.data.unwrap_or(u64::MAX).to_le_bytes());
    let mut flags = 0;
    if spec.base == EnvBase::Empty {
        flags |= FLAG_EMPTY_ENV;
    }
    if spec.bounds.privileges == Privileges::NoNew {
        flags |= FLAG_NO_NEW_PRIVILEGES;
    }
    if spec.cgroup.is_some() {
        flags |= FLAG_CGROUP;
    }
    if let Some(cwd) = &spec.cwd {
        flags |= FLAG_CWD;
        push(&mut frame, cwd.as_os_str().as_bytes(), "the working directory")?;
    }
    if spec.program.is_empty() {
        return Err(Refused::Invalid("the program's name is empty".to_owned()));
    }
    push(&mut frame, spec.program.as_bytes(), "the program's name")?;
    for (index, arg) in spec.args.iter().enumerate() {
        push(&mut frame, arg.as_bytes(), format_args!("argument {}", index + 1))?;
    }
    for (name, value) in &spec.env {
        if name.is_empty() || name.as_bytes().contains(&b'=') {
            return Err(Refused::Invalid(format!(
                "{:?} is no name for an environment variable",
                name.display()
            )));
        }
        match value {
            Some(value) => {
                refuse_nul(name.as_bytes(), "the name of an environment variable")?;
                frame.extend_from_slice(name.as_bytes());
                frame.push(b'=');
                push(&mut frame, value.as_bytes(), format_args!("environment variable {}", name.display()))?;
            }
            None => push(&mut frame, name.as_bytes(), "the name of an environment variable")?,
        }
    }
    let stdio = (0..3).filter(|&n| spec.stdio[n].is_some()).fold(0, |bits, n| bits | 1 << n);
    seal(&mut frame, [SPAWN, stdio, flags, 0], task)?;
    Ok(frame)
}

/// Writes a signal frame.
pub(super) fn encode_signal(task: u64, signal: i32) -> [u8; HEADER + 4] {
    let mut frame = [0; HEADER + 4];
    frame[..4].copy_from_slice(&(HEADER as u32).to_le_bytes());
    frame[4] = SIGNAL;
    frame[8..16].copy_from_slice(&task.to_le_bytes());
    frame[16..].copy_from_slice(&signal.to_le_bytes());
    frame
}

/// Why a specification cannot be sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    TooLong,
    Invalid(String),
}

/// How long the frame at the start of `bytes` is, all included; `None` = not known yet.
pub(super) fn frame_length(bytes: &[u8]) -> Result<Option<usize>, Malformed> {
    let Some(len) = bytes.first_chunk::<4>() else { return Ok(None) };
    let total = u64::from(u32::from_le_bytes(*len)) + 4;
    match usize::try_from(total) {
        Ok(total) if (HEADER..=LONGEST).contains(&total) => Ok(Some(total)),
        _ => Err(Malformed::Length(total)),
    }
}

/// Reads one whole frame.
pub(super) fn decode(frame: &[u8]) -> Result<Request<'_>, Malformed> {
    let (header, body) = frame.split_first_chunk::<HEADER>().ok_or(Malformed::Body)?;
    let [_, _, _, _, kind, stdio, flags, _, task @ ..] = *header;
    let task = u64::from_le_bytes(task);
    match kind {
        SPAWN => decode_spawn(task, stdio, flags, body).map(Request::Spawn),
        SIGNAL => {
            let signal = <[u8; 4]>::try_from(body).map_err(|_| Malformed::Body)?;
            Ok(Request::Signal { task, signal: i32::from_le_bytes(signal) })
        }
        other => Err(Malformed::Kind(other)),
    }
}

impl Record {
    pub(super) fn encode(self) -> [u8; RECORD] {
        let (kind, a, b, wide) = match self {
            Record::Started { pid } => (1, pid, 0, [0; 3]),
            Record::Failed { stage, errno } => (2, stage as i32, errno, [0; 3]),
            Record::Ended(end) => (3, end.status, 0, [end.max_rss_bytes, end.user_us, end.system_us]),
        };
        let mut bytes = [0; RECORD];
        for (slot, value) in bytes.chunks_exact_mut(4).zip([kind, a, b]) {
            slot.copy_from_slice(&value.to_le_bytes());
        }
        for (slot, value) in bytes[16..].chunks_exact_mut(8).zip(wide) {
            slot.copy_from_slice(&value.to_le_bytes());
        }
        bytes
    }

    pub(super) fn decode(bytes: &[u8; RECORD]) -> Option<Record> {
        let narrow = |at: usize| Some(i32::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
        let wide = |at: usize| Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
        match narrow(0)? {
            1 => Some(Record::Started { pid: narrow(4)? }),
            2 => Some(Record::Failed { stage: Stage::from_number(narrow(4)?)?, errno: narrow(8)? }),
            3 => Some(Record::Ended(EndRecord {
                status: narrow(4)?,
                max_rss_bytes: wide(16)?,
                user_us: wide(24)?,
                system_us: wide(32)?,
            })),
            _ => None,
        }
    }
}

impl Stage {
    pub(super) fn from_number(number: i32) -> Option<Stage> {
        [Stage::Receive, Stage::Fork, Stage::Prepare, Stage::Directory, Stage::Exec]
            .into_iter()
            .find(|stage| *stage as i32 == number)
    }
}

fn decode_spawn(task: u64, stdio: u8, flags: u8, body: &[u8]) -> Result<Spawn<'_>, Malformed> {
    let (argc, rest) = body.split_first_chunk::<4>().ok_or(Malformed::Body)?;
    let (envc, rest) = rest.split_first_chunk::<4>().ok_or(Malformed::Body)?;
    let (bounds, rest) = rest.split_first_chunk::<BOUNDS>().ok_or(Malformed::Body)?;
    let (argc, envc) = (u32::from_le_bytes(*argc) as usize, u32::from_le_bytes(*envc) as usize);
    // Every string takes a byte at least: a count beyond that is a lie, and nothing is allocated for it.
    if argc == 0 || argc.saturating_add(envc) > rest.len() || stdio > 7 {
        return Err(Malformed::Body);
    }
    let mut strings = Strings(rest);
    let cwd = if flags & FLAG_CWD != 0 { Some(strings.next().ok_or(Malformed::Body)?) } else { None };
    let args: Vec<_> = strings.by_ref().take(argc).collect();
    let env: Vec<_> = strings.by_ref().take(envc).collect();
    if args.len() != argc || env.len() != envc || !strings.0.is_empty() {
        return Err(Malformed::Body);
    }
    let base = if flags & FLAG_EMPTY_ENV != 0 { EnvBase::Empty } else { EnvBase::Inherited };
    let (bounds, cgroup) = (decode_bounds(bounds, flags), flags & FLAG_CGROUP != 0);
    Ok(Spawn { task, stdio, base, bounds, cgroup, cwd, args, env })
}

fn decode_bounds(bytes: &[u8; BOUNDS], flags: u8) -> Bounds {
    let [a, b, c, d, e, f, g, h, data @ ..] = *bytes;
    let (umask, data) = (u32::from_le_bytes([a, b, c, d]), u64::from_le_bytes(data));
    let privileges =
        if flags & FLAG_NO_NEW_PRIVILEGES != 0 { Privileges::NoNew } else { Privileges::MayGain };
    Bounds {
        umask: (umask != u32::MAX).then_some(umask),
        nice: i32::from_le_bytes([e, f, g, h]),
        data: (data != u64::MAX).then_some(data),
        privileges,
    }
}

/// NUL-terminated strings, one after the other.
struct Strings<'a>(&'a [u8]);

impl<'a> Iterator for Strings<'a> {
    type Item = &'a CStr;

    fn next(&mut self) -> Option<&'a CStr> {
        let string = CStr::from_bytes_until_nul(self.0).ok()?;
        self.0 = &self.0[string.to_bytes_with_nul().len()..];
        Some(string)
    }
}

fn push(frame: &mut Vec<u8>, bytes: &[u8], what: impl std::fmt::Display) -> Result<(), Refused> {
    refuse_nul(bytes, what)?;
    if frame.len() + bytes.len() >= LONGEST {
        return Err(Refused::TooLong);
    }
    frame.extend_from_slice(bytes);
    frame.push(0);
    Ok(())
}

fn refuse_nul(bytes: &[u8], what: impl std::fmt::Display) -> Result<(), Refused> {
    match bytes.iter().position(|&byte| byte == 0) {
        Some(at) => {
            Err(Refused::Invalid(format!("{what} has a NUL byte at {at}, which no program can be given")))
        }
        None => Ok(()),
    }
}

fn seal(frame: &mut [u8], kind: [u8; 4], task: u64) -> Result<(), Refused> {
    if frame.len() > LONGEST {
        return Err(Refused::TooLong);
    }
    let len = u32::try_from(frame.len() - 4).map_err(|_| Refused::TooLong)?;
    frame[..4].copy_from_slice(&len.to_le_bytes());
    frame[4..8].copy_from_slice(&kind);
    frame[8..16].copy_from_slice(&task.to_le_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> CommandSpec {
        CommandSpec::new("tool").args(["one", "", "three"]).cwd("/tmp").env("A", "b=c").env_remove("D")
    }

    #[test]
    fn a_spawn_arrives_as_it_was_sent() {
        let null = std::fs::File::open("/dev/null").unwrap();
        let frame =
            encode_spawn(u64::MAX, &spec().stderr(null).env_clear().env("A", "b=c").env_remove("D")).unwrap();
        assert_eq!(frame_length(&frame), Ok(Some(frame.len())));
        let Ok(Request::Spawn(spawn)) = decode(&frame) else { panic!("{frame:?}") };
        assert_eq!((spawn.task, spawn.stdio, spawn.base), (u64::MAX, 0b100, EnvBase::Empty));
        assert_eq!(spawn.cwd, Some(c"/tmp"));
        assert_eq!(spawn.args, [c"tool", c"one", c"", c"three"]);
        assert_eq!(spawn.env, [c"A=b=c", c"D"]);
    }

    #[test]
    fn a_signal_arrives_as_it_was_sent() {
        let frame = encode_signal(7, -1);
        assert_eq!(frame_length(&frame), Ok(Some(frame.len())));
        assert!(matches!(decode(&frame), Ok(Request::Signal { task: 7, signal: -1 })));
    }

    #[test]
    fn records_arrive_as_they_were_sent() {
        let end = EndRecord { status: 0x8b, max_rss_bytes: u64::MAX, user_us: 1, system_us: 2 };
        for record in [
            Record::Started { pid: i32::MAX },
            Record::Failed { stage: Stage::Directory, errno: 2 },
            Record::Ended(end),
        ] {
            assert_eq!(Record::decode(&record.encode()), Some(record));
        }
        assert_eq!(Record::decode(&[9; RECORD]), None);
    }

    #[test]
    fn a_frame_cut_anywhere_is_no_frame() {
        let whole = encode_spawn(1, &spec()).unwrap();
        for cut in 0..whole.len() {
            let frame = whole[..cut].to_vec();
            // What has come of it asks for more …
            assert!(
                matches!(frame_length(&frame), Ok(None)) || frame_length(&frame) == Ok(Some(whole.len()))
            );
            // … and as a whole frame it is refused, whatever its header says.
            assert!(decode(&frame).is_err(), "{cut}");
        }
    }

    #[test]
    fn no_byte_can_be_flipped_into_a_panic() {
        let whole = encode_spawn(1, &spec()).unwrap();
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut frame = whole.clone();
                frame[at] ^= 1 << bit;
                let _ = (frame_length(&frame), decode(&frame));
            }
        }
    }

    #[test]
    fn lengths_are_checked_before_anything_is_allocated() {
        assert_eq!(frame_length(&[0, 0, 0]), Ok(None));
        assert_eq!(frame_length(&[0; 4]), Err(Malformed::Length(4)));
        assert_eq!(frame_length(&[255; 4]), Err(Malformed::Length(u64::from(u32::MAX) + 4)));
        assert_eq!(encode_spawn(1, &CommandSpec::new("x".repeat(LONGEST))).unwrap_err(), Refused::TooLong);
    }
}
