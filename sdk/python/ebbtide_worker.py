# SPDX-License-Identifier: MIT OR Apache-2.0
"""The Python side of an ebbtide pool: runs your functions in a worker process.

One file without dependencies. The pool sends it to the interpreter it starts; installed or run directly it is the same worker. What goes over the socket is in
docs/PROTOCOL.md. A function takes the request, and a `Task` if it asks for one:

    def shout(body):                        async def crawl(body, task):
        return body.upper()                     task.progress("half"); return {"pages": 2}

Who does what: the main thread runs your code, and reads the socket itself before each task. A second thread looks after the socket only when something has come
and the main thread did not fetch it for a few milliseconds, which is when your code runs for long. So short tasks pay for no second thread, and during long ones
questions are still answered and the end of the pool still ends the process. (Code that keeps the interpreter lock for long, in C, holds that up.)
"""

from __future__ import annotations

import sys

_DIRECT = __name__ == "__main__"
if _DIRECT:
    # Started as a script: user code that imports the SDK has to get this very module, and classes have to say its name.
    __name__ = "ebbtide_worker"
    sys.modules[__name__] = sys.modules["__main__"]

import _thread
import json
import os
import select
import signal
import socket
import struct
import time
from collections import deque
from typing import Any, Callable

__version__ = "0.1.0"
__all__ = ["Cancelled", "DecodeError", "EncodeError", "MissingFunction", "Task", "current_task", "log", "main", "on_restore", "on_snapshot", "on_start", "on_stop", "worker_data"]

worker_data: Any = None
"""What the pool was given as the data of its workers, decoded."""

_TASK, _BATCH, _CANCEL, _RECALL, _PING, _SNAPSHOT_ASKED, _STOP = 1, 2, 3, 4, 5, 6, 7
_HELLO, _READY, _START, _RESULT, _ERROR, _RETURNED, _SNAPSHOT, _PROGRESS, _LOG, _PONG = 65, 66, 67, 68, 69, 70, 71, 72, 73, 74
_FLAG = 1  # of SNAPSHOT: RESTORE in the one direction, NONE in the other

_HEADER = struct.Struct("<IBBHQ")
_ITEM = struct.Struct("<IQ")
_LEN = struct.Struct("<I")
_HEAD = 16
_COUNTED_HEAD = 12  # of the header, what `len` counts
_CHUNK = 1 << 16
_APART = 1 << 14  # a body from here on is written from where it lies, instead of being copied behind its header
_LOOK_S = 0.005  # how long the main thread may leave unread what has come
_MESSAGE_MAX, _STACK_MAX, _NAME_MAX, _META_MAX = 8192, 16384, 256, 65535
_MALFORMED = 70  # exit code

_NOW = socket.MSG_DONTWAIT | getattr(socket, "MSG_NOSIGNAL", 0)
_JSON = "application/json"
_OCTETS_META = b'{"content_type":"application/octet-stream"}'
_NO_META: dict = {}
_PLAIN = frozenset((str, dict, list, int, float, bool, type(None)))
_NONE = type(None)
_META_TYPES = {"fn": (str, _NONE), "content_type": (str, _NONE), "key": (str, _NONE), "reason": (str, _NONE), "attempt": (int, _NONE), "deadline_ms": (int, float, _NONE), "each": (bool, _NONE)}
_FILE = (lambda: 0).__code__.co_filename
_Function = type(lambda: 0)
_LEVELS = {"debug": "debug", "info": "info", "warn": "warn", "warning": "warn", "error": "error", "critical": "error"}


class Cancelled(Exception):
    """Raised by `Task.check()` after the pool has asked for the end of the task."""


class DecodeError(ValueError):
    """The request says it is JSON and is not."""


class EncodeError(TypeError):
    """What the function returned cannot be sent."""


class MissingFunction(LookupError):
    """The task names a function that the module does not have."""


class _LoadError(Exception):
    """The worker cannot be started; the message is for the user."""

    def __init__(self, message: str, name: str = "LoadError", stack: str = "") -> None:
        super().__init__(message)
        self.name, self.stack = name, stack


class Task:
    """One task, as far as the function needs to know it.

    `cancelled` turns true while the function runs, once the pool asks for its end; `cancel_reason` says why.
    `deadline_ms` is how long the task might still run when it was sent, or None.
    """

    __slots__ = ("id", "attempt", "key", "deadline_ms", "content_type", "cancelled", "cancel_reason", "_fn", "_each", "_at", "_asyncio")

    def __init__(self, id: int, meta: dict) -> None:
        self.id = id
        self.cancelled = False
        self.cancel_reason = self._asyncio = self._at = None
        if meta:
            get = meta.get
            self.attempt, self.key, self.deadline_ms = get("attempt") or 1, get("key"), get("deadline_ms")
            self.content_type, self._fn, self._each = get("content_type") or _JSON, get("fn"), get("each")
        else:
            self.attempt, self.content_type = 1, _JSON
            self.key = self.deadline_ms = self._fn = self._each = None

    def check(self) -> None:
        """Raises Cancelled if the pool has asked for the end of this task."""
        if self.cancelled:
            raise Cancelled(self.cancel_reason or "the task was cancelled")

    def progress(self, text: str) -> None:
        """Tells the pool how far the task is; may be called from any thread."""
        _worker.say(_PROGRESS, self.id, None, text)

    def log(self, level: str, text: str) -> None:
        """Writes a line to the pool's log, as of this task. Levels: debug, info, warn, error."""
        _worker.say(_LOG, self.id, level, text)

    def _cancel(self, reason: str | None) -> None:
        self.cancel_reason = reason  # before `cancelled`: who sees the one finds the other
        self.cancelled = True
        if self._asyncio is not None:  # before that it looks by itself, in its first step
            _worker.loop.call_soon_threadsafe(self._asyncio.cancel)


_Method = type(Task(0, {}).check)  # a bound method: it shows the code of its function, whose first parameter it has filled

_hooks: dict[str, Callable] = {}


def _hook(name: str) -> Callable[[Callable], Callable]:
    def keep(function: Callable) -> Callable:
        _hooks[name] = function
        return function

    return keep


on_start = _hook("start")  #: decorator: called once before the worker is ready; builds its state
on_snapshot = _hook("snapshot")  #: decorator: gives the state for a successor, as a JSON value or bytes; None: there is none
on_restore = _hook("restore")  #: decorator: takes over the state of a predecessor, after `on_start`
on_stop = _hook("stop")  #: decorator: called after the last task of a worker that stops


def current_task() -> Task | None:
    """The task that runs, for a function that is not given it: where several run at once, that of the `async def` this is called in. None where none runs."""
    return _worker.current_task()


def log(level: str, text: str) -> None:
    """Writes a line to the pool's log, as of no task."""
    _worker.say(_LOG, 0, level, text)


# --- values and errors as bytes ------------------------------------------------------------------------------------------------------------------------------


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_decoder = json.JSONDecoder(parse_constant=_refuse_constant)
_scan = _decoder.scan_once
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def _from_json(raw: bytes | memoryview) -> Any:
    try:
        text = str(raw, "utf-8")
        try:
            value, end = _scan(text, 0)
            if end == len(text):
                return value
        except StopIteration:
            pass
        return _decoder.decode(text)  # white space around the value, or an error with its place
    except ValueError as e:
        raise DecodeError(f"the body is not JSON: {e}; send JSON, or name another content type") from None


def _to_bytes(value: Any, what: str) -> tuple[bytes, bytes]:
    """The value as (meta, body)."""
    if value is None:
        return b"", b"null"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return _OCTETS_META, value if isinstance(value, bytes) else bytes(value)
    try:
        return b"", _encode(value).encode()
    except (TypeError, ValueError) as e:
        place, why = _culprit(value)
        why = why or str(e)
    raise EncodeError(f"{what} cannot be sent as JSON: {why}{place}; return what JSON has (dict, list, str, int, float, bool, None), or bytes")


def _culprit(value: Any) -> tuple[str, str]:
    """Where in the value the first thing is that JSON does not have, and what: for a message that helps."""
    todo: list[tuple[str, Any]] = [("", value)]
    seen: set[int] = set()
    while todo and len(seen) < 100_000:
        path, v = todo.pop()
        if isinstance(v, str) and not _is_unicode(v):
            return f" at {path}" if path else "", "it has a lone surrogate, which UTF-8 has no form for,"
        if isinstance(v, float) and (v != v or v in (float("inf"), float("-inf"))):
            return f" at {path}" if path else "", f"{v!r} is not a JSON number"
        if isinstance(v, (dict, list, tuple)):
            if id(v) not in seen:
                seen.add(id(v))
                bad = [k for k in v if not _is_key(k)] if isinstance(v, dict) else ()
                if bad:
                    return f" at {path}" if path else "", f"{_cut(repr(bad[0]), _NAME_MAX)} is no key for JSON"
                items = list(v.items() if isinstance(v, dict) else enumerate(v))
                todo.extend((f"{path}[{k!r}]", x) for k, x in reversed(items))
        elif not isinstance(v, (str, int, float, type(None))):
            return f" at {path}" if path else "", f"{_class_name(type(v))} has no JSON form"
    return "", ""


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_key(key: Any) -> bool:
    return _is_unicode(key) if isinstance(key, str) else key is None or isinstance(key, (int, float))


def _class_name(cls: type) -> str:
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def _cut(text: str, most: int, tail: bool = False) -> str:
    """At most so many bytes, cut at a character; lone surrogates, which UTF-8 does not have, are written out."""
    raw = text.encode("utf-8", "backslashreplace")
    if len(raw) > most:
        raw = b"..." + raw[3 - most :] if tail else raw[: most - 3] + b"..."
    return raw.decode("utf-8", "ignore")


def _frame(kind: int, id: int, meta: dict | None = None, body: bytes = b"", flags: int = 0) -> bytes:
    raw = _encode(meta).encode() if meta else b""
    return _HEADER.pack(_COUNTED_HEAD + len(raw) + len(body), kind, flags, len(raw), id) + raw + body


def _error_frame(id: int, name: str, message: str, stack: str = "", retryable: bool = False, cancelled: bool = False) -> bytes:
    meta = {"name": _cut(name, _NAME_MAX), "message": _cut(message, _MESSAGE_MAX)}
    if stack:
        meta["stack"] = _cut(stack, _STACK_MAX, tail=True)  # the place of an error is at the end of a Python traceback
    if retryable:
        meta["retryable"] = True
    if cancelled:
        meta["cancelled"] = True
    # Control characters take six bytes each in JSON: within the limits of the texts, and yet too much for meta.
    for part in ("stack", "message", "name"):
        while part in meta and meta[part] and len(_encode(meta).encode()) > _META_MAX:
            meta[part] = meta[part][: len(meta[part]) // 2]
    return _frame(_ERROR, id, meta)


def _stack_of(e: BaseException) -> str:
    """The traceback with causes, without the SDK's own frames."""
    try:
        import traceback

        whole = traceback.TracebackException(type(e), e, e.__traceback__)
        todo, seen = [whole], set()
        while todo:
            part = todo.pop()
            if part is None or id(part) in seen:
                continue
            seen.add(id(part))
            part.stack = traceback.StackSummary.from_list([f for f in part.stack if f.filename != _FILE])
            todo += [part.__cause__, part.__context__, *(getattr(part, "exceptions", None) or ())]
        return "".join(whole.format())
    except Exception:  # no memory left, or a class whose text fails: the error itself matters more than its traceback
        return ""


_Group = getattr(sys.modules["builtins"], "BaseExceptionGroup", ())  # from Python 3.11 on


def _text_of(e: BaseException) -> str:
    try:
        if not isinstance(e, _Group):
            return str(e)
        # "unhandled errors in a TaskGroup (1 sub-exception)" alone says nothing.
        members = [f"{_class_name(type(m))}: {m}" for m in e.exceptions[:3]]
        more = f"; and {len(e.exceptions) - 3} more" if len(e.exceptions) > 3 else ""
        return f"{e}: {'; '.join(members)}{more}"
    except Exception as in_text:
        return f"(its text could not be made: {type(in_text).__name__})"


def _true_attribute(e: BaseException, name: str) -> bool:
    try:
        return bool(getattr(e, name, False))
    except Exception:
        return False


def _exception_frame(task: Task, e: BaseException) -> bytes:
    name = _class_name(type(e))
    stack = "" if isinstance(e, (DecodeError, EncodeError, MissingFunction)) else _stack_of(e)  # those happen in the SDK: no line of the user's to show
    cancelled = task.cancelled and (isinstance(e, Cancelled) or name == "asyncio.exceptions.CancelledError")
    message = _text_of(e) or (task.cancel_reason if cancelled and task.cancel_reason else "")
    if task._at is not None and not cancelled:
        message = f"item {task._at}: {message}"
    return _error_frame(task.id, name, message, stack, _true_attribute(e, "retryable"), cancelled)


# --- the ends of the process ---------------------------------------------------------------------------------------------------------------------------------


def _gone() -> None:
    """The pool is gone. Nobody reads what would still be said, and flushing could wait for ever."""
    os._exit(0)


def _malformed(why: str) -> None:
    os.write(2, f"ebbtide_worker: the pool sent what the protocol does not allow: {why}; are pool and SDK of the same version?\n".encode())
    os._exit(_MALFORMED)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # replaced by user code with something else, or closed: no reason to fail a task
            pass


def _exit_like(e: SystemExit) -> None:
    """Ends as Python would, without waiting for threads and hooks of exit."""
    code = e.code
    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    _flush()
    os._exit((code or 0) & 0xFF)


# --- the socket ----------------------------------------------------------------------------------------------------------------------------------------------


class _Wire:
    """The socket, what has come and was not started, and what is still to be said.

    Any thread may read (`reading` is held while frames are taken apart) and any thread may write (`writing`: whole frames). A thread that cannot write goes on
    reading while it waits, so that two large bodies that meet do not wait for each other. Reading never writes: answers go to `replies`, and whoever writes next
    takes them along.
    """

    def __init__(self, sock: socket.socket, max_frame: int) -> None:
        self.sock = sock
        self.max_frame = max_frame
        self.reading = _thread.allocate_lock()
        self.writing = _thread.allocate_lock()
        self.rest = b""  # of a frame that has not come to its end
        self.large: memoryview | None = None  # the same for one that is larger than a read
        self.large_filled = 0
        self.large_expected = False  # the last frame was large, so the next may be
        self.metas: dict[bytes, dict] = {}
        self.todo: deque[tuple[int, dict, Any]] = deque()
        self.active: dict[int, Task] = {}
        self.replies: deque[bytes] = deque()
        self.snapshots: deque[int] = deque()
        self.restore: Any = None
        self.loaded = False
        self.stopping = False
        self.reads = 0  # by the main thread
        self.loop: Any = None  # asyncio's, where there is one

    # reading

    def read(self, flags: int) -> None:
        """Takes all that has come; without flags waits for something. `reading` is held."""
        while True:
            try:
                if self.large is not None:
                    n = want = self.sock.recv_into(self.large[self.large_filled :], 0, flags)
                    self.large_filled += n
                    if self.large_filled == len(self.large):
                        raw, self.large = self.large, None
                        self.large_expected = True
                        self.feed(raw)
                elif self.large_expected and not self.rest and self.read_large(flags):
                    n = want = 1
                else:
                    data = self.sock.recv(_CHUNK, flags)
                    n, want = len(data), _CHUNK
                    if n:
                        self.feed(self.rest + data if self.rest else data)
            except BlockingIOError:
                return
            except OSError:
                _gone()
            if not n:
                _gone()
            if n < want:
                return
            flags = _NOW

    def read_large(self, flags: int) -> bool:
        """Takes a large frame that nothing was read of, its body straight into the bytes that the function gets: a stream of large ones is not copied about."""
        head = self.sock.recv(_HEAD, flags | socket.MSG_PEEK)
        self.large_expected = False
        if len(head) < _HEAD:
            return False
        length, kind, frame_flags, meta_len, id = _HEADER.unpack(head)
        if length > self.max_frame or length < _COUNTED_HEAD + meta_len:
            self.check_length(length, meta_len)
        if length + 4 <= _CHUNK:
            return False
        self.large_expected = True
        front = self.sock.recv(_HEAD + meta_len, socket.MSG_WAITALL)
        rest = length + 4 - _HEAD - meta_len
        body = self.sock.recv(rest, socket.MSG_WAITALL) if len(front) == _HEAD + meta_len else b""
        if len(body) == rest:
            self.take(kind, frame_flags, id, front[_HEAD:], body)
        else:  # a signal came between, or the pool has gone
            self.large = memoryview(bytearray(length + 4))
            self.large_filled = len(front) + len(body)
            self.large[: self.large_filled] = front + body
        return True

    def read_if_free(self) -> bool:
        """Reads what has come unless another thread is at it."""
        if not self.reading.acquire(False):
            return False
        try:
            self.read(_NOW)
        finally:
            self.reading.release()
        if self.loop is not None and (self.todo or self.stopping or self.snapshots):
            self.loop.call_soon_threadsafe(_worker.pump)
        return True

    def feed(self, data: bytes | memoryview) -> None:
        unpack, todo = _HEADER.unpack_from, self.todo
        at, end = 0, len(data)
        while at < end:
            if end - at < _HEAD:
                if end - at >= 4:
                    self.check_length(_LEN.unpack_from(data, at)[0], 0)
                break
            length, kind, flags, meta_len, id = unpack(data, at)
            if length > self.max_frame or length < _COUNTED_HEAD + meta_len:
                self.check_length(length, meta_len)
            stop = at + 4 + length
            if stop > end:
                break
            if kind == _TASK and not meta_len:
                todo.append((id, _NO_META, data[at + _HEAD : stop]))
            else:
                body = at + _HEAD + meta_len
                self.take(kind, flags, id, bytes(data[at + _HEAD : body]), data[body:stop])
            at = stop
        self.rest = b""
        if at < end:
            self.keep(data, at, end)

    def keep(self, data: bytes | memoryview, at: int, end: int) -> None:
        """Keeps the beginning of a frame; a large one gets its place now, once its length is known to be allowed."""
        if end - at >= _HEAD:
            length = _LEN.unpack_from(data, at)[0]
            if length + 4 > _CHUNK:
                self.large = memoryview(bytearray(length + 4))
                self.large[: end - at] = data[at:]
                self.large_filled = end - at
                return
        self.rest = bytes(data[at:])

    def check_length(self, length: int, meta_len: int) -> None:
        if length > self.max_frame:
            _malformed(f"a frame of {length} bytes, {self.max_frame} are allowed")
        if length < _COUNTED_HEAD + meta_len:
            _malformed(f"a frame of {length} bytes, which is less than its header and meta")

    def meta(self, raw: bytes) -> dict:
        """Meta decoded; remembered, because the tasks of a pool say mostly the same."""
        known = self.metas.get(raw)
        if known is None:
            try:
                known = _from_json(raw)
            except DecodeError as e:
                _malformed(f"meta that is not JSON ({e})")
            if not isinstance(known, dict):
                _malformed("meta that is not an object")
            for name, types in _META_TYPES.items():
                if not isinstance(known.get(name), types):
                    _malformed(f"meta whose {name} is {known[name]!r}")
            if len(self.metas) >= 64:
                self.metas.clear()
            self.metas[raw] = known
        return known

    def take(self, kind: int, flags: int, id: int, raw_meta: bytes, body: Any) -> None:
        """One frame. `reading` is held."""
        meta = self.meta(raw_meta) if raw_meta else _NO_META
        if kind == _TASK:
            self.todo.append((id, meta, body))
        elif kind == _BATCH:
            self.batch(meta, body)
        elif kind == _CANCEL:
            self.cancel(id, meta.get("reason"))
        elif kind == _RECALL:
            self.recall(id, body)
        elif kind == _PING:
            self.replies.append(_frame(_PONG, id))
        elif kind == _SNAPSHOT_ASKED:
            self.snapshot_asked(id, flags, body)
        elif kind == _STOP:
            self.stopping = True
        else:
            _malformed(f"a frame of the unknown type {kind}")

    def batch(self, meta: dict, body: Any) -> None:
        at, end = 0, len(body)
        while at < end:
            if end - at < _ITEM.size:
                _malformed("a batch that ends within the head of an item")
            length, id = _ITEM.unpack_from(body, at)
            at += _ITEM.size
            if length > end - at:
                _malformed(f"a batch with an item of {length} bytes, where {end - at} are left")
            self.todo.append((id, meta, body[at : at + length]))
            at += length

    def cancel(self, id: int, reason: Any) -> None:
        reason = None if reason is None else str(reason)
        task = self.active.get(id)
        if task is not None:
            task._cancel(reason)
            return
        for waiting in self.todo:
            if waiting[0] == id:
                self.todo.remove(waiting)
                self.replies.append(_error_frame(id, "ebbtide_worker.Cancelled", reason or "cancelled before it started", cancelled=True))
                return

    def recall(self, id: int, body: Any) -> None:
        if len(body) % 8:
            _malformed(f"a RECALL with a body of {len(body)} bytes, which is no list of ids")
        wanted = {i for (i,) in struct.iter_unpack("<Q", body)}
        back = [w for w in self.todo if not wanted or w[0] in wanted]
        if back:
            kept = [w for w in self.todo if wanted and w[0] not in wanted]
            self.todo.clear()
            self.todo.extend(kept)
        self.replies.append(_frame(_RETURNED, id, body=struct.pack(f"<{len(back)}Q", *(w[0] for w in back))))

    def snapshot_asked(self, id: int, flags: int, body: Any) -> None:
        if not flags & _FLAG:
            self.snapshots.append(id)
        elif self.loaded or self.restore is not None:
            _malformed("a state to restore after the worker was ready, or twice")
        else:
            self.restore = bytes(body)

    # writing

    def send(self, *parts: bytes) -> None:
        """Writes whole frames, synchronously, and the answers that have gathered."""
        with self.writing:
            for part in parts:
                self.write(part)
            while self.replies:
                self.write(self.replies.popleft())

    def write(self, data: bytes) -> None:
        try:
            n = self.sock.send(data, _NOW)
        except BlockingIOError:
            n = 0
        except OSError:
            _gone()
        if n < len(data):
            self.write_slowly(memoryview(data)[n:])

    def write_slowly(self, view: memoryview) -> None:
        """The socket is full: reads on while it waits, or two large bodies would wait for each other."""
        poll = select.poll()
        poll.register(self.sock.fileno(), select.POLLIN | select.POLLOUT)
        while view:
            events = poll.poll()[0][1]
            if events & ~select.POLLOUT and not self.read_if_free():
                time.sleep(0.0002)  # another thread is reading it at this moment
            if events & ~select.POLLIN:
                try:
                    view = view[self.sock.send(view, _NOW) :]
                except BlockingIOError:
                    pass
                except OSError:
                    _gone()

    def say(self, kind: int, id: int, level: str | None, text: str) -> None:
        """PROGRESS and LOG, from any thread of the user's."""
        meta = None
        if level is not None:
            known = _LEVELS.get(str(level).lower())
            if known is None:
                raise ValueError(f"{level!r} is not a level; there are debug, info, warn and error")
            meta = {"level": known} if known != "info" else None
        text = _cut(str(text), min(_CHUNK, self.max_frame - 64))
        self.send(_frame(kind, id, meta, text.encode()))

    # beside the main thread

    def watch(self) -> None:
        """A thread: reads what has come if the main thread has not read for a while, which is when user code runs for long."""
        poll = select.poll()
        poll.register(self.sock.fileno(), select.POLLIN)
        seen = -1
        while True:
            poll.poll()
            if self.reads != seen or self.loop is not None:
                seen = self.reads
                time.sleep(_LOOK_S)
                if self.reads != seen or not poll.poll(0):
                    continue
            # The main thread has left it unread, or has not read since the last look: it is in user code.
            if not self.read_if_free():
                seen = -1
            elif self.replies:
                self.send()


# --- the user's code -----------------------------------------------------------------------------------------------------------------------------------------


class _Target:
    """What EBBTIDE_TARGET names: the module, and its functions as they are asked for."""

    def __init__(self, text: str, export: str | None) -> None:
        where, colon, function = text.rpartition(":")
        if not colon or "/" in function or function.endswith(".py"):
            where, function = text, ""
        if not where:
            raise _LoadError(f"EBBTIDE_TARGET is {text!r} and names no module; write module:function or path/to/file.py:function")
        self.where, self.default = where, export or function
        self.found: dict[str | None, tuple[Callable, bool, bool]] = {}
        self.module: Any = None

    def load(self) -> None:
        try:
            self.module = self._from_file() if self.where.endswith(".py") else self._by_name()
        except _LoadError:
            raise
        except SystemExit as e:
            how = f"saying {e.code!r}" if isinstance(e.code, str) else f"exit code {e.code or 0}"
            raise _LoadError(f"{self.where} ended the process while it was loaded ({how}); guard its script part with if __name__ == '__main__'") from e
        except BaseException as e:
            raise _LoadError(self._why_not(e), _class_name(type(e)), _stack_of(e)) from e

    def _by_name(self) -> Any:
        import importlib

        return importlib.import_module(self.where)

    def _from_file(self) -> Any:
        from importlib import util

        path = os.path.abspath(self.where)
        if not os.path.isfile(path):
            raise _LoadError(f"there is no file {path}; the target {self.where!r} is looked for from {os.getcwd()}: name it from there or as an absolute path")
        # As with a script, its neighbours can be imported; and so can it be by name, as the children of multiprocessing do.
        folder = os.path.dirname(path)
        if folder not in sys.path:
            sys.path.insert(1, folder)
        name = os.path.basename(path)[:-3]
        if name == "ebbtide_worker":
            raise _LoadError(f"{path} has the name of the SDK; rename it")
        if name in sys.modules and name != "__main__":
            name += "_py"  # in place of a module that is loaded already (io, types) it would break whoever uses that; a script does not either
        spec = util.spec_from_file_location(name, path)
        module = util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        return module

    def _why_not(self, e: BaseException) -> str:
        if isinstance(e, ModuleNotFoundError) and e.name and (self.where == e.name or self.where.startswith(e.name + ".")):
            return (
                f"there is no module {e.name!r} (target {self.where!r}); looked in {os.getcwd()} and where Python keeps packages ({sys.executable}): "
                "start the pool in the folder of the module, set PYTHONPATH, install it, or name a file: path/to/file.py:function"
            )
        if isinstance(e, SyntaxError):
            return f"{e.filename}, line {e.lineno}: {type(e).__name__}: {e.msg}; correct it there (this is Python {sys.version.split()[0]})"
        place = _place_of(e)
        if isinstance(e, ModuleNotFoundError):
            remedy = f"install {e.name!r} for {sys.executable}"
        elif isinstance(e, ImportError) and "relative import" in str(e):
            remedy = "a file of a package is not imported by its path: name the module, package.module:function, from the folder above the package"
        else:
            remedy = "python -c 'import ...' of the same module shows the same error"
        return f"{place or self.where}: {type(e).__name__}: {_text_of(e)} (while {self.where} was loaded); {remedy}"

    def find(self, name: str | None) -> tuple[Callable, bool, bool]:
        """(function, it wants the task, it is async), remembered."""
        known = self.found.get(name)
        if known is None:
            known = self.found[name] = self._find(name or self.default)
        return known

    def _find(self, name: str) -> tuple[Callable, bool, bool]:
        where = f"{self.where} ({getattr(self.module, '__file__', None) or 'no file'})"
        have = ", ".join(sorted(_functions_of(self.module))) or "none"
        if not name:
            raise MissingFunction(f"neither the target nor the task names a function of {where}; it has: {have}")
        value: Any = self.module
        for part in name.split("."):
            value = getattr(value, part, None)
            if value is None:
                raise MissingFunction(f"{where} has no function {name!r}; it has: {have}")
        if not callable(value):
            raise MissingFunction(f"{name!r} of {where} is no function but {_class_name(type(value))}; the functions there are: {have}")
        return value, _wants_task(value), _is_async(value)

    def any_async(self) -> bool:
        """Whether the worker needs an event loop."""
        try:
            if self.find(None)[2]:
                return True
        except MissingFunction:
            pass
        return any(_is_async(f) for f in _functions_of(self.module).values())


def _functions_of(module: Any) -> dict[str, Any]:
    name = module.__name__
    hooks = set(map(id, _hooks.values()))
    return {
        k: v
        for k, v in vars(module).items()
        if not k.startswith("_") and callable(v) and not isinstance(v, type) and getattr(v, "__module__", None) == name and id(v) not in hooks
    }


def _is_async(function: Any) -> bool:
    while hasattr(function, "func"):  # functools.partial
        function = function.func
    for f in (function, getattr(type(function), "__call__", None)):
        code = getattr(getattr(f, "__func__", f), "__code__", None)
        if code is not None and code.co_flags & 0x80:  # CO_COROUTINE, without the time that importing inspect takes
            return True
    return False


def _wants_task(function: Any, bound: int = 0) -> bool:
    """Whether a second positional parameter has no default, or is `task=None`. Any other default is the function's own: others call it with one argument.

    `bound` is how many of the first parameters have their value already. A decorator's `*args` takes what the function in it takes.
    """
    if type(function) is _Method:
        return _wants_task(function.__func__, bound + 1)
    if type(function) is not _Function:
        return _wants_task_by_signature(function, bound)
    code, defaults = function.__code__, function.__defaults__ or ()
    second = bound + 1
    if code.co_argcount > second:
        default = second - (code.co_argcount - len(defaults))
        return default < 0 or (code.co_varnames[second] == "task" and defaults[default] is None)
    inner = getattr(function, "__wrapped__", None)
    return inner is not None and code.co_flags & 0x04 != 0 and _wants_task(inner, bound)  # CO_VARARGS


def _wants_task_by_signature(function: Any, bound: int) -> bool:
    import inspect

    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # of some built-in functions nobody knows
        return False
    at = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)][bound:]
    return len(at) >= 2 and (at[1].default is at[1].empty or (at[1].name == "task" and at[1].default is None))


def _place_of(e: BaseException) -> str:
    """File and line of the user's code where it happened."""
    place, tb = "", e.__traceback__
    while tb is not None:
        file = tb.tb_frame.f_code.co_filename
        if file != _FILE and not file.startswith("<"):
            place = f"{file}, line {tb.tb_lineno}"
        tb = tb.tb_next
    return place


# --- the worker ----------------------------------------------------------------------------------------------------------------------------------------------


class _Worker:
    def __init__(self, wire: _Wire) -> None:
        self.wire = wire
        self.say = wire.say
        self.loop: Any = None
        self.concurrency = 1
        self.target: Any = None
        self.between_tasks = False
        self.synchronous: Task | None = None  # the task whose function runs with the event loop out of sight
        self.beside: Any = None  # the loop that asyncio.get_event_loop() finds there

    # the life before READY

    def load(self) -> None:
        global worker_data
        try:
            worker_data = _from_json(os.environ.get("EBBTIDE_DATA", "null").encode())
        except DecodeError as e:
            raise _LoadError(f"EBBTIDE_DATA: {e}") from None
        text = os.environ.get("EBBTIDE_TARGET")
        if not text:
            raise _LoadError("EBBTIDE_TARGET is not set; it says what to run, as module:function")
        self.target = _Target(text, os.environ.get("EBBTIDE_EXPORT"))
        self.target.load()
        if self.target.any_async() or any(_is_async(f) for f in self.hooks().values()):
            import asyncio

            self.loop = asyncio.new_event_loop()
            asyncio.set_event_loop(self.loop)
        self.call_hook("start")
        if os.environ.get("EBBTIDE_RESTORE") == "1":
            self.restore()

    def hooks(self) -> dict[str, Callable]:
        """Decorated functions; for the state also functions of the module with these very names."""
        named = {k: f for k in ("snapshot", "restore") for f in (getattr(self.target.module, k, None),) if callable(f) and getattr(f, "__module__", "") == self.target.module.__name__}
        return {**named, **_hooks}

    def call_hook(self, name: str, *args: Any) -> Any:
        hook = self.hooks().get(name)
        if hook is None:
            return None
        try:
            return self.wait_for(hook(*args))
        except SystemExit as e:
            raise _LoadError(f"the hook {name} of {self.target.where} ended the process (exit code {e.code})") from e
        except BaseException as e:
            message = f"{_place_of(e) or self.target.where}: {type(e).__name__}: {_text_of(e)} (in the hook {name}); correct it there"
            raise _LoadError(message, _class_name(type(e)), _stack_of(e)) from e

    def wait_for(self, value: Any) -> Any:
        """What a function gave, or what the coroutine it gave gives."""
        if not hasattr(value, "__await__"):
            return value
        import asyncio

        if self.loop is None:  # a function that did not look asynchronous gave something to wait for
            return asyncio.run(_awaiting(value))
        return self.loop.run_until_complete(_awaiting(value))

    def restore(self) -> None:
        wire = self.wire
        while wire.restore is None:
            with wire.reading:
                if wire.restore is None:
                    wire.read(0)
            wire.send()
        state = wire.restore
        if state[:1] == b"\0":
            try:
                value = _from_json(state[1:])
            except (DecodeError, RecursionError) as e:
                raise _LoadError(f"the state to restore: {e}; start this worker without it", "ebbtide_worker.DecodeError") from None
            self.call_hook("restore", value)
        elif state[:1] == b"\1":
            self.call_hook("restore", state[1:])
        elif state:
            raise _LoadError(f"the state to restore was written by another SDK (its first byte is {state[0]}); start this worker without it")

    # one task

    def current_task(self) -> Task | None:
        if self.synchronous is not None:
            return self.synchronous
        active = list(self.wire.active.values())
        if self.loop is None or len(active) == 1:
            return active[0] if active else None
        import asyncio

        try:
            running = asyncio.current_task()
        except RuntimeError:  # called by a thread of the user's
            return None
        return next((task for task in active if task._asyncio is running), None) if running is not None else None

    def run(self, task: Task, body: Any) -> bytes | tuple:
        """Runs the function; its end, as bytes to write."""
        try:
            function, wants_task, _ = self.target.found.get(task._fn) or self.target.find(task._fn)
            if task.content_type == _JSON:
                body = _from_json(body)
            elif type(body) is not bytes:
                body = bytes(body)
            if task._each:
                value = self.each(function, wants_task, task, body)
            else:
                value = function(body, task) if wants_task else function(body)
                if type(value) not in _PLAIN:
                    value = self.wait_for(value)
        except SystemExit as e:
            _exit_like(e)
        except BaseException as e:
            return self.failed(task, e)
        return self.ended(task, value)

    def each(self, function: Callable, wants_task: bool, task: Task, items: Any) -> list:
        """Calls the function with one item after the other."""
        values: list = []
        if not isinstance(items, list):
            raise DecodeError("the request of a task for each item is not an array")
        try:
            for item in items:
                value = function(item, task) if wants_task else function(item)
                values.append(value if type(value) in _PLAIN else self.wait_for(value))
        except Exception:
            task._at = len(values)
            raise
        return values

    def call_out_of_loop(self, function: Callable, wants_task: bool, task: Task, body: Any) -> Any:
        """Calls a synchronous function as if no event loop ran: it may run one of its own, as in a worker without any `async def`."""
        import asyncio

        step = asyncio.current_task()
        asyncio.tasks._leave_task(self.loop, step)  # from Python 3.14 on a thread has one current task, not one for each loop
        asyncio._set_running_loop(None)
        if self.beside is None:
            self.beside = asyncio.new_event_loop()
            asyncio.set_event_loop(self.beside)
        self.synchronous = task
        try:
            value = function(body, task) if wants_task else function(body)
            # As of asyncio.gather(): it belongs to the loop that was in sight when it was made.
            return self.beside.run_until_complete(value) if isinstance(value, asyncio.Future) and value.get_loop() is self.beside else value
        finally:
            self.synchronous = None
            asyncio._set_running_loop(self.loop)
            asyncio.tasks._enter_task(self.loop, step)

    async def each_async(self, call: Callable, function: Callable, wants_task: bool, task: Task, items: Any) -> list:
        values: list = []
        if not isinstance(items, list):
            raise DecodeError("the request of a task for each item is not an array")
        try:
            for item in items:
                value = call(function, wants_task, task, item)
                values.append(await value if hasattr(value, "__await__") else value)
        except Exception:
            task._at = len(values)
            raise
        return values

    async def run_async(self, task: Task, body: Any) -> None:
        end: Any = b""
        try:
            function, wants_task, is_async = self.target.find(task._fn)
            call = _call if is_async else self.call_out_of_loop
            body = _from_json(body) if task.content_type == _JSON else bytes(body)
            task.check()
            if task._each:
                value = await self.each_async(call, function, wants_task, task, body)
            else:
                value = call(function, wants_task, task, body)
                if hasattr(value, "__await__"):
                    value = await value
        except SystemExit as e:
            _exit_like(e)
        except BaseException as e:
            end = self.failed(task, e)
        else:
            end = self.ended(task, value)
        task._asyncio = None
        self.finish(task, end)

    def failed(self, task: Task, e: BaseException) -> bytes:
        """Without memory or stack left the error is told in its shortest form."""
        try:
            return _exception_frame(task, e)
        except Exception:
            return _error_frame(task.id, _class_name(type(e)), "")

    def ended(self, task: Task, value: Any) -> bytes | tuple:
        try:
            if type(value) in _PLAIN and value is not None:
                meta, body = b"", _encode(value).encode()
            else:
                meta, body = _to_bytes(value, f"what {task._fn or self.target.default} of {self.target.where} returned")
        except BaseException as e:
            return self.not_encoded(task, value, e)
        length = _COUNTED_HEAD + len(meta) + len(body)
        if length > self.wire.max_frame:
            return _error_frame(task.id, "ebbtide_worker.EncodeError", f"the reply has {len(body)} bytes, and a frame may have {self.wire.max_frame}; return less, or where it lies")
        head = _HEADER.pack(length, _RESULT, 0, len(meta), task.id) + meta
        return head + body if length < _APART else (head, body)

    def not_encoded(self, task: Task, value: Any, e: BaseException) -> bytes:
        if isinstance(e, (TypeError, ValueError)) and not isinstance(e, EncodeError):
            try:  # the long way, which says where
                _to_bytes(value, f"what {task._fn or self.target.default} of {self.target.where} returned")
            except BaseException as explained:
                e = explained
        return self.failed(task, e)

    # one after the other

    def serve(self) -> None:
        wire, todo, active, reading = self.wire, self.wire.todo, self.wire.active, self.wire.reading
        run, send, header = self.run, wire.send, _HEADER.pack
        poll = select.poll()
        poll.register(wire.sock.fileno(), select.POLLIN)
        something_came = poll.poll  # a third of the time of a read that finds nothing
        end: Any = b""  # of the last task; goes with the start of the next, or at once if there is none
        while True:
            wire.reads += 1
            if not todo or wire.snapshots:
                if end:
                    send(*end) if type(end) is tuple else send(end)
                    end = b""
                self.between()
            with reading:
                if not todo and not (wire.stopping or wire.snapshots):
                    wire.read(0)
                elif something_came(0):
                    wire.read(_NOW)
                if todo and not wire.snapshots:
                    id, meta, body = todo.popleft()
                    active[id] = task = Task(id, meta)
                else:
                    task = None
            if task is None:
                send()
                continue
            start = header(_COUNTED_HEAD, _START, 0, 0, id)
            send(*end, start) if type(end) is tuple else send(end + start)
            end = run(task, body)
            body = task = None
            active.pop(id, None)
            _flush()

    def between(self) -> None:
        """What is done between two tasks; all that was to be written is written."""
        wire = self.wire
        while wire.snapshots:
            wire.send(*self.snapshot(wire.snapshots.popleft()))
        if wire.stopping and not wire.todo and not wire.active:
            self.stop()

    def snapshot(self, id: int) -> tuple[bytes, ...]:
        """The state as frames; a state that cannot be had is logged, and is none."""
        try:
            value = self.call_hook("snapshot")
            meta, body = _to_bytes(value, "the snapshot")
            body = (b"\1" if meta else b"\0") + body
            if len(body) + _COUNTED_HEAD > self.wire.max_frame:
                raise EncodeError(f"the snapshot has {len(body)} bytes, and a frame may have {self.wire.max_frame}")
            if value is not None:
                return (_frame(_SNAPSHOT, id, body=body),)
        except Exception as e:
            why = _frame(_LOG, 0, {"level": "error"}, _cut(f"no snapshot: {_text_of(e)}", _MESSAGE_MAX).encode())
            return why, _frame(_SNAPSHOT, id, flags=_FLAG)
        return (_frame(_SNAPSHOT, id, flags=_FLAG),)

    def stop(self) -> None:
        """Ends the process. Threads and hooks of exit that user code left behind could hold it up for ever: they are not waited for."""
        try:
            self.call_hook("stop")
        except _LoadError as e:
            print(f"ebbtide_worker: {e}\n{e.stack}", file=sys.stderr)
        _flush()
        os._exit(0)

    # several at once

    def serve_loop(self) -> None:
        loop, wire = self.loop, self.wire
        loop.add_reader(wire.sock.fileno(), self.readable)
        wire.loop = loop
        import asyncio

        while True:
            self.between_tasks = True
            asyncio.set_event_loop(loop)  # for hooks
            self.between()
            if self.beside is not None:
                asyncio.set_event_loop(self.beside)
            self.between_tasks = False
            loop.call_soon(self.pump)
            loop.run_forever()

    def readable(self) -> None:
        self.wire.reads += 1
        self.pump()

    def finish(self, task: Task, end: Any) -> None:
        del self.wire.active[task.id]
        _flush()
        self.pump(end if type(end) is tuple else (end,))

    def pump(self, ends: tuple = ()) -> None:
        """Reads what has come, writes the ends of tasks with the starts of the next, and starts them."""
        wire = self.wire
        starting, parts = [], list(ends)
        with wire.reading:
            wire.read(_NOW)
            while wire.todo and not (wire.snapshots or self.between_tasks) and len(wire.active) < self.concurrency:
                id, meta, body = wire.todo.popleft()
                wire.active[id] = task = Task(id, meta)
                starting.append((task, body))
                parts.append(_HEADER.pack(_COUNTED_HEAD, _START, 0, 0, id))
        if len(parts) > 1 and sum(map(len, parts)) < _CHUNK:
            parts = [b"".join(parts)]
        wire.send(*parts)
        for task, body in starting:
            task._asyncio = self.loop.create_task(self.run_async(task, body))
        if not wire.active and not self.between_tasks and (wire.snapshots or wire.stopping):
            self.loop.stop()  # hooks may want to run the loop themselves


def _call(function: Callable, wants_task: bool, task: Task, body: Any) -> Any:
    return function(body, task) if wants_task else function(body)


async def _awaiting(value: Any) -> Any:
    return await value


# --- the process ---------------------------------------------------------------------------------------------------------------------------------------------


def _open_socket() -> socket.socket:
    path = os.environ.get("EBBTIDE_SOCKET")
    if path:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.connect(path)
        return sock
    import fcntl

    given = int(os.environ.get("EBBTIDE_FD", "0"))
    # High up, where nobody expects it and no program that user code starts inherits it.
    sock = socket.socket(fileno=fcntl.fcntl(given, fcntl.F_DUPFD_CLOEXEC, 100))
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.close(null)
    if given != 0:
        os.close(given)
    return sock


def _settings() -> tuple[int, int, str]:
    """(max frame, concurrency, what is wrong with the environment)."""
    values, wrong = [], ""
    for name, usual, least in (("EBBTIDE_MAX_FRAME", 67108864, 1024), ("EBBTIDE_CONCURRENCY", 1, 1)):
        text = os.environ.get(name) or str(usual)
        value = int(text) if text.isdecimal() else 0
        if value < least:
            wrong = f"{name} is {text!r}; it has to be a whole number, at least {least}"
            value = usual
        values.append(value)
    if os.environ.get("EBBTIDE_PROTO", "1") != "1":
        wrong = f"the pool speaks version {os.environ['EBBTIDE_PROTO']} of the protocol and this SDK ({__version__}) version 1; use an SDK of the pool's version"
    return values[0], values[1], wrong


def _in_forked_child() -> None:
    """A child that user code forked must not keep the socket open: the pool reads it to its end to know that the worker is gone."""
    wire = _worker.wire
    wire.sock.close()
    wire.reading, wire.writing = _thread.allocate_lock(), _thread.allocate_lock()  # whoever held them is not in this process
    _worker.say = _say_in_child


def _say_in_child(*_: Any) -> None:
    raise RuntimeError("only the worker itself can speak to the pool, not a process that it started; give the text to the worker")


def _offer_to_children(source: bytes) -> None:
    """Makes the SDK importable in children that user code spawns.

    The pool has sent this module through the socket: there is no file that a new interpreter could import, and a child of multiprocessing that cannot import its
    module is started again and again. So the source lies in memory as an archive that children reach by its name under /proc, and that ends with this process.
    """
    if not hasattr(os, "memfd_create"):  # not Linux: children need the package installed
        return
    import binascii

    name, size = b"ebbtide_worker.py", len(source)
    # An archive of one member, stored: version, flags, method, time, date (1980-01-01), checksum, sizes, length of the name, and nothing else.
    member = struct.pack("<HHHHHIIIHH", 20, 0, 0, 0, 33, binascii.crc32(source), size, size, len(name), 0)
    first = b"PK\3\4" + member + name + source
    index = b"PK\1\2\24\0" + member + struct.pack("<HHHII", 0, 0, 0, 0, 0) + name
    try:
        fd = os.memfd_create("ebbtide_worker")
        os.write(fd, first + index + b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(index), len(first), 0))
    except OSError:
        return
    sys.path.append(f"/proc/{os.getpid()}/fd/{fd}")


def _prepare_process() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal's foreground group; the supervisor decides what it means
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    here = os.getcwd()
    if _DIRECT:
        # What Python put first is the folder of this file; children of multiprocessing still have to find it.
        sys.path.append(os.path.dirname(os.path.abspath(_FILE)))
    if sys.path[:1] == [""] or (_DIRECT and sys.path[:1] == [sys.path[-1]]):
        del sys.path[0]
    if sys.path[:1] != [here]:
        sys.path.insert(0, here)
    source = globals().get("_source")  # set by the bootstrap
    if source:
        _offer_to_children(source)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.reconfigure(line_buffering=True)  # so that a line is read while the task runs that wrote it
        except (AttributeError, ValueError):
            pass
    os.register_at_fork(after_in_child=_in_forked_child)


def main() -> None:
    """Serves the pool until it says STOP or is gone. Does not return."""
    global _worker
    try:
        sock = _open_socket()
        sock.setblocking(True)
    except (OSError, ValueError) as e:
        print(f"ebbtide_worker: no socket of a pool (descriptor 0, EBBTIDE_FD or EBBTIDE_SOCKET): {e}; a pool starts this, not a shell", file=sys.stderr)
        os._exit(1)
    max_frame, concurrency, wrong = _settings()
    wire = _Wire(sock, max_frame)
    _worker = worker = _Worker(wire)
    worker.concurrency = concurrency
    hello = {"proto": 1, "pid": os.getpid(), "lang": "python", "credits": concurrency}
    if "EBBTIDE_NONCE" in os.environ:
        hello["nonce"] = os.environ["EBBTIDE_NONCE"]
    wire.send(_frame(_HELLO, 0, hello))
    _prepare_process()
    _thread.start_new_thread(wire.watch, ())
    try:
        if wrong:
            raise _LoadError(wrong)
        worker.load()
    except _LoadError as e:
        _flush()
        wire.send(_error_frame(0, e.name, str(e), e.stack))
        os._exit(1)
    wire.loaded = True
    _flush()
    wire.send(_frame(_READY, 0))
    try:
        worker.serve() if worker.loop is None else worker.serve_loop()
    except SystemExit as e:  # of a callback in the event loop
        _exit_like(e)
    except BaseException:
        import traceback

        traceback.print_exc()
        _flush()
        os._exit(_MALFORMED)


def _say_to_nobody(kind: int, _id: int, level: str | None, text: str) -> None:
    """In a child of a worker it is an error; where there is no pool, as in a test of the functions, it is told to whoever looks on."""
    if "EBBTIDE_PROTO" in os.environ:
        _say_in_child()
    print(f"ebbtide_worker: {'progress' if kind == _PROGRESS else level}: {text}", file=sys.stderr)


class _Nobody:
    """In place of the worker where this module is only imported: in children of multiprocessing, or where there is no pool."""

    say = staticmethod(_say_to_nobody)
    current_task = staticmethod(lambda: None)


_worker: Any = _Nobody

if _DIRECT:
    main()
