"""The tools of the tests as a Python worker: a request is [tool, argument]. The same as in tools.js and rust.rs."""

import os
import re
import signal
import subprocess
import sys
import threading
import time

import ebbtide_worker as sdk

if os.path.exists(os.environ.get("EBBTIDE_TEST_BLOCK", "/no/such/file")):
    raise RuntimeError("blocked by the test")
while os.path.exists(os.environ.get("EBBTIDE_TEST_WAIT", "/no/such/file")):
    time.sleep(0.005)
_count = 0
_kept = []


def _echo(value, task):
    return value


def _attempt(_, task):
    return [task.attempt, task.key]


def _gate(path, task):
    """Until the file is there, or the task is asked to end."""
    while not os.path.exists(path):
        task.check()
        time.sleep(0.002)
    return path


def _deaf(path, task):
    while not os.path.exists(path):
        time.sleep(0.002)
    return path


def _why(path, task):
    while not os.path.exists(path) and not task.cancelled:
        time.sleep(0.002)
    return task.cancel_reason


def _busy(_, task):
    """In native code, which does not give the interpreter to another thread."""
    return re.match(r"(a+)+$", "a" * 80 + "b")


def _stubborn(_, task):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        pass


def _spin(ms, task):
    until = time.monotonic() + ms / 1000
    while time.monotonic() < until:
        pass
    return ms


def _fail(text, task):
    raise ValueError(text)


def _fail_after(text, task):
    def later():
        time.sleep(0.02)
        raise ValueError(text)

    threading.Thread(target=later).start()
    return "returned"


def _exit(code, task):
    sys.exit(code)


def _exit_after(code, task):
    threading.Timer(0.02, os._exit, [code]).start()
    return "returned"


def _kill(_, task):
    os.kill(os.getpid(), signal.SIGKILL)
    while True:
        pass


def to_the_pool(data):
    """Writes into the socket of the worker itself, behind the back of what serves it."""
    for fd in os.listdir("/proc/self/fd"):
        try:
            is_socket = os.readlink(f"/proc/self/fd/{fd}").startswith("socket:")
        except OSError:
            continue  # it was the one of the listing itself
        if is_socket:
            os.write(int(fd), data)


def _garbage(_, task):
    to_the_pool(b"\0\xff" * 64)


def _half(_, task):
    to_the_pool(bytes.fromhex("7000000044000000ffff000000000000") + b"1" * 8)
    _kill(_, task)


def _kill_first(_, task):
    return _kill(_, task) if task.attempt == 1 else task.attempt


def _pid(_, task):
    return os.getpid()


def _counted(by, task):
    global _count
    _count += by
    return _count


def _env(name, task):
    return os.environ.get(name)


def _data(_, task):
    return sdk.worker_data


def _argv(_, task):
    return [f"-X{name}" for name in sys._xoptions]


def _nice(_, task):
    return os.nice(0)


def _note(arguments, task):
    path, line = arguments
    with open(path, "a") as file:
        file.write(f"{line}\n")
    return line


def _say(text, task):
    os.write(1, f"{text}\n".encode())
    os.write(2, f"{text}!\n".encode())


def _log(arguments, task):
    task.log(*arguments)


def _log_outside(arguments, task):
    threading.Timer(0.005, sdk.log, arguments).start()


def _progress(arguments, task):
    text, path = arguments
    task.progress(text)
    return _gate(path, task)


def _flood(size, task):
    chunk = (b"x" * 79 + b"\n") * 13107
    done = 0
    while done < size:
        done += os.write(1, chunk) + os.write(2, chunk)
    os.write(2, b"\nthe last line\n")
    return size


def _hog(mib, task):
    for _ in range(mib):
        _kept.append(bytearray(b"\1") * (1 << 20))
    return len(_kept)


def _orphan(_, task):
    return subprocess.Popen(["setsid", "sleep", "1000"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).pid


def _refuse(_, task):
    return {"back": object()}


def _bytes(size, task):
    return b"\7" * size


_TOOLS = {
    name[1:]: tool for name, tool in list(globals().items()) if name[0] == "_" and name[1] != "_" and callable(tool)
}
_TOOLS["count"] = _counted
_TOOLS["fail_later"] = _fail


def tool(request, task):
    name, argument = request
    return _TOOLS[name](argument, task)


def hello(name):
    return f"hello {name}"


def raw(data, task):
    return task.content_type.encode() + b":" + bytes(data) if isinstance(data, (bytes, bytearray, memoryview)) else data


def snapshot():
    return {"count": _count}


def restore(state):
    global _count
    _count = state["count"]
