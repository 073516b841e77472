//! Everything that is looked at, in the order in which it is told.

use ebbtide::process::{MemoryCaps, memory_caps};
use rustix::process::{PidfdFlags, Resource, getpid, getrlimit, pidfd_open};

use super::finding::{Finding, Question};
use super::interpreter::version;
use crate::args::Workers;
use crate::prepare::descriptors_wanted;
use crate::runner::Launcher;

/// Looks at all of it.
pub(super) fn all() -> Vec<Finding> {
    let launcher = Launcher::new(1);
    let mut findings = vec![guardian(&launcher), pidfd(), privileges(), memory(), data_limit(), statm()];
    findings.extend([
        interpreter(&launcher, &NODE, "node", (18, 0)),
        interpreter(&launcher, &PYTHON, "python3", (3, 9)),
    ]);
    findings.extend([open_files(), spool(), first_process(), container()]);
    findings
}

const NODE: Question = Question {
    what: "node",
    needed: false,
    yes: "workers in JavaScript can be run (--worker node:FILE)",
    no: "workers in JavaScript cannot be run",
    remedy: "install Node.js 18 or newer and put it into the PATH",
};
const PYTHON: Question = Question {
    what: "python3",
    needed: false,
    yes: "workers in Python can be run (--worker python:MODULE:FUNCTION)",
    no: "workers in Python cannot be run",
    remedy: "install Python 3.9 or newer and put it into the PATH",
};

fn guardian(launcher: &Result<Launcher, ebbtide::process::StartError>) -> Finding {
    let question = Question {
        what: "guardian",
        needed: true,
        yes: "commands and workers are held: nothing that they start outlives ebbtide, also when it is killed",
        no: "nothing can be started",
        remedy: "ebbtide starts itself once more: is /proc mounted, and may this user start one more process (ulimit -u)?",
    };
    question.answer(match launcher {
        Ok(_) => Ok("starts and reports for duty".to_owned()),
        Err(error) => Err(error.to_string()),
    })
}

fn pidfd() -> Finding {
    let question = Question {
        what: "pidfd",
        needed: false,
        yes: "the end of a process is seen at once, and none is mistaken for another of the same number",
        no: "processes without a guardian cannot be watched",
        remedy: "Linux 5.3 or newer; in a sandbox, let it allow pidfd_open",
    };
    question.answer(match pidfd_open(getpid(), PidfdFlags::empty()) {
        Ok(_) => Ok("the kernel gives one".to_owned()),
        Err(error) => Err(format!("the kernel gives none: {error}")),
    })
}

fn privileges() -> Finding {
    let question = Question {
        what: "no_new_privs",
        needed: false,
        yes: "workers cannot gain privileges through set-user-id programs",
        no: "workers keep what set-user-id programs give them",
        remedy: "Linux 4.10 or newer, with /proc mounted",
    };
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let there = status.lines().any(|line| line.starts_with("NoNewPrivs:"));
    question.answer(if there {
        Ok("the kernel has it".to_owned())
    } else {
        Err("the kernel does not tell of it".to_owned())
    })
}

fn memory() -> Finding {
    let question = Question {
        what: "memory caps",
        needed: false,
        yes: "--memory-hard is held by the kernel, exactly, for workers of every kind",
        no: "--memory-hard is looked at every 100 ms: a Node.js worker can be above it for a moment",
        remedy: "let ebbtide make control groups: under systemd `systemd-run --user --scope -p Delegate=yes ebbtide …`, in a container a \
                 writable cgroup mount (memory in cgroup.subtree_control), or run it as root",
    };
    question.answer(match memory_caps() {
        MemoryCaps::CgroupV2 { group } => Ok(format!("control groups, version 2, below {}", group.display())),
        MemoryCaps::CgroupV1 { group } => Ok(format!("control groups, version 1, below {}", group.display())),
        _ => Err("no control group can be made".to_owned()),
    })
}

fn data_limit() -> Finding {
    let question = Question {
        what: "RLIMIT_DATA",
        needed: false,
        yes: "without control groups it holds --memory-hard for Python and programs, with 128 MiB to spare",
        no: "without control groups --memory-hard is looked at only",
        remedy: "Linux 4.7 or newer, where it counts all private memory",
    };
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned();
    let mut numbers = release.split(['.', '-']).map_while(|number| number.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let found = format!("Linux {release}");
    question.answer(if version >= (4, 7) { Ok(found) } else { Err(found) })
}

fn statm() -> Finding {
    let question = Question {
        what: "memory measured",
        needed: false,
        yes: "workers that grow past --memory-soft are replaced",
        no: "--memory-soft and --memory-hard cannot be looked at",
        remedy: "mount /proc",
    };
    let read = std::fs::read_to_string("/proc/self/statm");
    question.answer(
        read.map(|_| "/proc/PID/statm can be read".to_owned())
            .map_err(|error| format!("/proc/self/statm: {error}")),
    )
}

fn interpreter(
    launcher: &Result<Launcher, ebbtide::process::StartError>,
    question: &Question,
    program: &str,
    least: (u32, u32),
) -> Finding {
    question.answer(match launcher {
        Ok(launcher) => version(launcher, program, least),
        Err(_) => Err("cannot be asked without a guardian".to_owned()),
    })
}

fn open_files() -> Finding {
    let question = Question {
        what: "open files",
        needed: true,
        yes: "enough for a worker per processor, and what waits to be printed",
        no: "`ebbtide run` refuses as many workers as there are processors",
        remedy: "raise the hard limit (ulimit -Hn, LimitNOFILE= under systemd), or give fewer --workers",
    };
    let limit = getrlimit(Resource::Nofile);
    let max = std::thread::available_parallelism().map_or(1, usize::from);
    let wanted = descriptors_wanted(Workers { min: 1, max });
    let shown = |limit: Option<u64>| limit.map_or("no limit".to_owned(), |limit| limit.to_string());
    let found = format!(
        "{}, raised to {} by `ebbtide run`; {max} workers may need {wanted}",
        shown(limit.current),
        shown(limit.maximum)
    );
    question.answer(if limit.maximum.is_none_or(|most| most >= wanted) { Ok(found) } else { Err(found) })
}

fn spool() -> Finding {
    let question = Question {
        what: "spool",
        needed: true,
        yes: "outputs beyond 1 MiB wait on disk for their turn",
        no: "outputs beyond 1 MiB cannot be kept, and end the run",
        remedy: "set TMPDIR to a directory that can be written",
    };
    let folder = std::env::temp_dir();
    let made = tempfile::tempfile().and_then(|mut file| std::io::Write::write_all(&mut file, b"x"));
    question.answer(match made {
        Ok(()) => Ok(format!("{} takes files", folder.display())),
        Err(error) => Err(format!("{}: {error}", folder.display())),
    })
}

fn first_process() -> Finding {
    let question = Question {
        what: "not PID 1",
        needed: false,
        yes: "somebody else reaps what other processes leave behind",
        no: "ebbtide stops on signals as everywhere, but nobody reaps what others leave behind in this container",
        remedy: "start the container with an init (docker run --init)",
    };
    let pid = getpid().as_raw_nonzero().get();
    let found = format!("our process id is {pid}");
    question.answer(if pid == 1 { Err(found) } else { Ok(found) })
}

fn container() -> Finding {
    let question = Question {
        what: "no container",
        needed: false,
        yes: "limits are those of the machine, or of systemd",
        no: "limits are those of the container: what it is killed by (memory, the time after docker stop) ebbtide does not see",
        remedy: "give the container more memory than the workers together, and more time to stop than --deadline (docker stop -t)",
    };
    let files = ["/.dockerenv", "/run/.containerenv"];
    let file = files.into_iter().find(|file| std::path::Path::new(file).exists());
    let groups = std::fs::read_to_string("/proc/1/cgroup").unwrap_or_default();
    let group =
        ["docker", "kubepods", "containerd", "lxc", "podman"].into_iter().find(|name| groups.contains(name));
    let variable = std::env::var("container").ok();
    question.answer(match (file, group, variable) {
        (Some(file), _, _) => Err(format!("there is {file}")),
        (_, Some(group), _) => Err(format!("the control group of PID 1 is one of {group}")),
        (_, _, Some(kind)) => Err(format!("the environment says container={kind}")),
        (None, None, None) => Ok("no sign of one".to_owned()),
    })
}
