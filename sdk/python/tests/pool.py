"""The pool's end of the socket, for tests: starts the real worker as a real process and speaks frames, byte by byte."""

import json
import os
import pathlib
import socket
import struct
import subprocess
import sys
import tempfile
import time

SDK = pathlib.Path(__file__).resolve().parent.parent
FILE = SDK / "ebbtide_worker.py"
TASK, BATCH, CANCEL, RECALL, PING, SNAPSHOT_ASKED, STOP = range(1, 8)
HELLO, READY, START, RESULT, ERROR, RETURNED, SNAPSHOT, PROGRESS, LOG, PONG = range(65, 75)
NET = 30  # seconds: the safety net of every wait


class Frame:
    def __init__(self, kind, flags, id, meta, body):
        self.kind, self.flags, self.id, self.meta, self.body = kind, flags, id, meta, body

    @property
    def value(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"Frame({self.kind}, flags={self.flags}, id={self.id}, {self.meta}, {self.body[:200]!r})"


class Gone(Exception):
    """The worker closed its end."""


def encode(kind, id=0, meta=None, body=b"", flags=0):
    raw = json.dumps(meta).encode() if meta is not None else b""
    return struct.pack("<IBBHQ", 12 + len(raw) + len(body), kind, flags, len(raw), id) + raw + body


class Worker:
    """One worker process. With `source` its module is called `mod`."""

    def __init__(self, source=None, target="mod:f", direct=False, env=None, files=None, hello=True, argv=None, fd=None, path=None):
        self.folder = tempfile.TemporaryDirectory()
        self.cwd = pathlib.Path(self.folder.name).resolve()
        for name, text in {**({"mod.py": source} if source is not None else {}), **(files or {})}.items():
            (self.cwd / name).parent.mkdir(parents=True, exist_ok=True)
            (self.cwd / name).write_text(text)
        self.sock, theirs = socket.socketpair()
        self.sock.settimeout(NET)
        whole = {"PATH": os.environ["PATH"], "EBBTIDE_PROTO": "1", "EBBTIDE_NONCE": "n-1", "EBBTIDE_TARGET": target, "PYTHONDONTWRITEBYTECODE": "1", **(env or {})}
        if argv is None:
            argv = [sys.executable, str(FILE)] if direct else [sys.executable, "-c", (SDK / "bootstrap.py").read_text()]
        pass_fds = ()
        if fd is not None:
            os.dup2(theirs.fileno(), fd)
            pass_fds, whole["EBBTIDE_FD"] = (fd,), str(fd)
        self.process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL if fd is not None or path else theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.cwd,
            env={k: v for k, v in whole.items() if v is not None},
            pass_fds=pass_fds,
            start_new_session=True,
        )
        if fd is not None:
            os.close(fd)
        theirs.close()
        self.buffer = b""
        if "-c" in argv:
            source_bytes = FILE.read_bytes()
            self.sock.sendall(struct.pack("<I", len(source_bytes)) + source_bytes)
        if hello:
            self.hello = self.expect(HELLO)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(NET)
        self.process.stdout.close()
        self.process.stderr.close()
        self.sock.close()
        self.folder.cleanup()

    def send(self, *args, **kwargs):
        self.sock.sendall(encode(*args, **kwargs))

    def raw(self, data):
        self.sock.sendall(data)

    def task(self, id, value=None, body=None, **meta):
        self.send(TASK, id, meta or None, json.dumps(value).encode() if body is None else body)

    def fill(self, n):
        while len(self.buffer) < n:
            try:
                data = self.sock.recv(1 << 20)
            except ConnectionResetError:
                data = b""
            if not data:
                raise Gone(self.process.stderr.read().decode(errors="replace") if self.process.wait(NET) is not None else "")
            self.buffer += data

    def frame(self):
        self.fill(4)
        (length,) = struct.unpack_from("<I", self.buffer)
        self.fill(4 + length)
        length, kind, flags, meta_len, id = struct.unpack_from("<IBBHQ", self.buffer)
        meta, body = self.buffer[16 : 16 + meta_len], self.buffer[16 + meta_len : 4 + length]
        self.buffer = self.buffer[4 + length :]
        return Frame(kind, flags, id, json.loads(meta) if meta else {}, body)

    def expect(self, kind, id=None):
        frame = self.frame()
        assert frame.kind == kind and (id is None or frame.id == id), f"wanted {kind} of {id}, came {frame}"
        return frame

    def nothing(self, seconds=0.2):
        """Nothing comes for a while. Can only be wrong in the direction of passing."""
        assert not self.buffer, self.buffer
        self.sock.settimeout(seconds)
        try:
            data = self.sock.recv(1 << 16)
            raise AssertionError(f"came: {data!r}")
        except socket.timeout:
            pass
        finally:
            self.sock.settimeout(NET)

    def ready(self):
        return self.expect(READY, 0)

    def call(self, id, value=None, body=None, **meta):
        """A task that succeeds: its RESULT."""
        self.task(id, value, body, **meta)
        self.expect(START, id)
        return self.expect(RESULT, id)

    def fails(self, id, value=None, body=None, **meta):
        """A task that fails: the meta of its ERROR."""
        self.task(id, value, body, **meta)
        self.expect(START, id)
        return self.expect(ERROR, id).meta

    def exit_code(self):
        return self.process.wait(NET)

    def stop(self):
        """STOP, and what was printed."""
        self.send(STOP)
        out = self.process.communicate(timeout=NET)
        assert self.process.returncode == 0, (self.process.returncode, out)
        return out[0].decode(), out[1].decode()

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def wait_for_file(self, name):
        """A gate: the worker's code says by a file where it is."""
        until = time.monotonic() + NET
        while not (self.cwd / name).exists():
            assert time.monotonic() < until, f"{name} did not come"
            time.sleep(0.002)
