"""The functions that the transcripts call, for the Python worker. `conformance.rs` and `worker.js` have the same."""

import os
import sys
import time

import ebbtide_worker

total = 0


class Oops(Exception):
    def __init__(self, request):
        super().__init__(request["message"] * request.get("times", 1))
        self.retryable = request.get("retryable", False)


@ebbtide_worker.on_start
def begin():
    global data
    data = ebbtide_worker.worker_data or {}
    if "fail" in data:
        raise RuntimeError(data["fail"])


@ebbtide_worker.on_snapshot
def give():
    return None if data.get("stateless") else total


@ebbtide_worker.on_restore
def take_over(state):
    global total
    total = state


def wait_cancelled(task):
    while not task.cancelled:
        time.sleep(0.001)


def default(request):
    return request


echo = default


def fail(request):
    raise Oops(request)


def sleep(request, task):
    wait_cancelled(task)
    task.check()


def nap(ms, task):
    end = time.monotonic() + ms / 1000
    while time.monotonic() < end:
        task.check()
        time.sleep(0.0002)
    return ms


def gate(name):
    while not os.path.exists(os.path.join(os.environ["CONFORMANCE_GATES"], name)):
        pass
    return name


def stubborn(request, task):
    wait_cancelled(task)
    return task.cancel_reason


def count(by):
    global total
    total += by
    return total


def bytes(body, task):
    return task.content_type.encode() + b":" + body


def unencodable(request):
    return {"set": {1}}


def about(request, task):
    return {
        "attempt": task.attempt,
        "key": task.key,
        "deadline": task.deadline_ms is not None and task.deadline_ms > 0,
        "content_type": task.content_type,
    }


def given(request):
    return data


def say(request, task):
    task.progress("half é")
    for level in ("debug", "info", "warn", "error"):
        task.log(level, f"a {level}")


def noise(request):
    print("noise on stdout")
    print("noise on stderr", file=sys.stderr)


def stdin(request):
    return len(os.read(0, 100))


def exit(code):
    os._exit(code)
