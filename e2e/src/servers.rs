//! Real servers for tests, each on a free port of the loopback and with a folder of its own; gone when dropped.

use std::{
    io,
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::unix::{fs::chown, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;

/// How long a server may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// A Redis without persistence.
#[derive(Debug)]
pub struct Redis {
    process: Process,
}

/// A PostgreSQL that trusts everybody who reaches it, which is this machine.
#[derive(Debug)]
pub struct Postgres {
    process: Process,
}

#[derive(Debug)]
struct Process {
    child: Child,
    port: u16,
    /// What ends it in order.
    end: Signal,
    _folder: TempDir,
}

impl Redis {
    /// Starts one.
    ///
    /// # Panics
    /// When `redis-server` is missing or does not start.
    #[must_use]
    pub fn start() -> Self {
        let process = on_a_free_port("redis-server", "redis-server", Signal::TERM, |port, folder| {
            let mut redis = quiet("redis-server");
            redis.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--databases", "64"]);
            redis.arg("--port").arg(port.to_string()).arg("--dir").arg(folder);
            redis
        });
        Self { process }
    }

    /// Its URL with a database of its own.
    #[must_use]
    pub fn url(&self, database: usize) -> String {
        format!("redis://127.0.0.1:{}/{database}", self.process.port)
    }

    /// What is counted in a database.
    ///
    /// # Panics
    /// When it does not answer.
    #[must_use]
    pub fn counter(&self, database: usize) -> u64 {
        let value: Option<u64> = self.ask(database, redis::cmd("GET").arg("ebbtide:counter"));
        value.unwrap_or_default()
    }

    /// Forgets a database.
    ///
    /// # Panics
    /// When it does not answer.
    pub fn flush(&self, database: usize) {
        let () = self.ask(database, &redis::cmd("FLUSHDB"));
    }

    fn ask<T: redis::FromRedisValue>(&self, database: usize, command: &redis::Cmd) -> T {
        let client = redis::Client::open(self.url(database)).expect("a URL of ours");
        let mut connection = client.get_connection().expect("Redis answers");
        command.query(&mut connection).expect("Redis answers")
    }
}

impl Postgres {
    /// Starts one with an empty database.
    ///
    /// # Panics
    /// When PostgreSQL is missing or does not start.
    #[must_use]
    pub fn start() -> Self {
        let (initdb, postgres) = (postgres_program("initdb"), postgres_program("postgres"));
        let process = on_a_free_port("postgres", "postgresql", Signal::INT, |port, folder| {
            let data = folder.join("data");
            let mut create = as_postgres(&initdb, folder);
            create
                .args(["-A", "trust", "-U", "ebbtide", "--no-sync", "-E", "UTF8", "--locale=C", "-D"])
                .arg(&data);
            if !data.exists() {
                assert!(create.status().expect("initdb starts").success(), "initdb makes a cluster");
            }
            let mut server = as_postgres(&postgres, folder);
            server.arg("-D").arg(&data).arg("-p").arg(port.to_string()).arg("-k").arg(folder);
            server.args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "max_connections=50"]);
            server
        });
        let server = Self { process };
        let begin = now();
        while server.connect().is_err() {
            assert!(begin.elapsed() < PATIENCE, "PostgreSQL takes connections");
            thread::park_timeout(Duration::from_millis(20));
        }
        server
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://ebbtide@127.0.0.1:{}/postgres", self.process.port)
    }

    /// A connection.
    ///
    /// # Errors
    /// It does not take any, or not yet.
    pub fn connect(&self) -> Result<postgres::Client, postgres::Error> {
        postgres::Client::connect(&self.url(), postgres::NoTls)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let (Some(pid), Ok(None)) = (pid, self.child.try_wait()) {
            // It is not waited for yet, so the pid is its own.
            let _ = kill_process(pid, self.end);
        }
        let begin = now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if begin.elapsed() > PATIENCE {
                let _ = self.child.kill();
            }
            thread::park_timeout(Duration::from_millis(5));
        }
    }
}

/// Another program may take a port between its choice and its use: then another is tried.
fn on_a_free_port(
    program: &str,
    package: &str,
    end: Signal,
    command: impl Fn(u16, &Path) -> Command,
) -> Process {
    for _ in 0..5 {
        let folder = tempfile::Builder::new().prefix("ebbtide-").tempdir().expect("a folder");
        let port = free_port();
        let child = match command(port, folder.path()).spawn() {
            Ok(child) => child,
            Err(error) if error.kind() == io::ErrorKind::NotFound => missing(program, package),
            Err(error) => panic!("{program} does not start: {error}"),
        };
        let mut process = Process { child, port, end, _folder: folder };
        let begin = now();
        while begin.elapsed() < PATIENCE && matches!(process.child.try_wait(), Ok(None)) {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return process;
            }
            thread::park_timeout(Duration::from_millis(10));
        }
    }
    panic!("{program} starts on no port of five");
}

fn missing(program: &str, package: &str) -> ! {
    panic!("{program} is missing: apt-get install {package}")
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.local_addr().expect("an address").port()
}

/// Debian keeps them out of the path, one folder per version.
fn postgres_program(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let found = versions.map(|version| version.path().join("bin").join(name)).find(|path| path.exists());
    found.unwrap_or_else(|| missing(name, "postgresql"))
}

/// It refuses to run as root, who must therefore lend it another user.
fn as_postgres(program: &Path, folder: &Path) -> Command {
    let mut command = quiet(program);
    command.current_dir(folder);
    if geteuid().is_root() {
        let number = |option| {
            let output = quiet("id").args([option, "postgres"]).stdout(Stdio::piped()).output().expect("id");
            let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            text.parse::<u32>().expect("the package's user `postgres`")
        };
        let (user, group) = (number("-u"), number("-g"));
        chown(folder, Some(user), Some(group)).expect("root may give a folder away");
        command.uid(user).gid(group);
    }
    command
}

fn quiet(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = crate::run::command(program);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// The time of a test's own patience.
#[expect(clippy::disallowed_methods, reason = "outside of the library there is no other clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
