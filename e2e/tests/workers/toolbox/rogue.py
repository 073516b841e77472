"""A worker that does not keep to the protocol, written against the protocol's page alone. Arguments: the fault of its start, or none; a file that mends it."""

import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time

fault = sys.argv[1] if len(sys.argv) > 1 else "none"
if len(sys.argv) > 2 and os.path.exists(sys.argv[2]):
    fault = "none"
# What the first is, and what everybody is who comes after it: one that never says a word, or one that leaves somebody behind.
FIRST = {"only-the-first": ("none", "silent"), "heir": ("heir", "none")}
if fault in FIRST:
    first, others = FIRST[fault]
    try:
        os.close(os.open(sys.argv[2] + "-first", os.O_CREAT | os.O_EXCL))
        fault = first
    except FileExistsError:
        fault = others
pool = socket.socket(fileno=0)


def frame(kind, id=0, meta=b"", body=b""):
    meta = json.dumps(meta).encode() if isinstance(meta, dict) else meta
    return struct.pack("<IBBHQ", 12 + len(meta) + len(body), kind, 0, len(meta), id) + meta + body


def exactly(n):
    data = b""
    while len(data) < n:
        more = pool.recv(n - len(data))
        if not more:
            os._exit(0)
        data += more
    return data


def came(wanted):
    """The next frame of this kind: its id."""
    while True:
        length, kind, _, _, id = struct.unpack("<IBBHQ", exactly(16))
        exactly(length - 12)
        if kind == wanted:
            return id


def sleep_for_ever():
    while True:
        time.sleep(1000)


HELLO, READY, START, RESULT, ERROR, RETURNED, SNAPSHOT = 65, 66, 67, 68, 69, 70, 71
CREDITS = 2 if fault == "two-credits" else 1
hello = {"credits": CREDITS, "proto": 1, "pid": os.getpid(), "nonce": os.environ["EBBTIDE_NONCE"]}

STARTS = {
    "silent": lambda: sleep_for_ever(),
    "no-ready": lambda: (pool.sendall(frame(HELLO, 0, hello)), sleep_for_ever()),
    "ready-first": lambda: (pool.sendall(frame(READY)), sleep_for_ever()),
    "nonce": lambda: (pool.sendall(frame(HELLO, 0, {**hello, "nonce": "guessed"})), sleep_for_ever()),
    "proto": lambda: (pool.sendall(frame(HELLO, 0, {**hello, "proto": 7})), sleep_for_ever()),
    "garbage": lambda: (pool.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), sleep_for_ever()),
    "error": lambda: (pool.sendall(frame(HELLO, 0, hello) + frame(ERROR, 0, {"name": "Oops", "message": "no database"})), os._exit(1)),
    "exit": lambda: (os.write(2, b"I cannot go on\n"), os._exit(5)),
    "result-first": lambda: (pool.sendall(frame(HELLO, 0, hello) + frame(RESULT, 1, b"", b"1")), sleep_for_ever()),
}
if fault in STARTS:
    STARTS[fault]()
if fault == "heir":
    # It has this socket as its own standard input, and is in no group of ours, which would be ended with it.
    subprocess.Popen(["sleep", "1000"], start_new_session=True)
pool.sendall(frame(HELLO, 0, hello) + frame(READY))
if fault == "heir":
    # Of what comes it reads nothing.
    select.select([pool], [], [])
    os.kill(os.getpid(), signal.SIGKILL)

FAULTS = {
    "garbage": lambda id: b"\x00\xff" * 64,
    "huge": lambda id: struct.pack("<IBBHQ", 0xFFFFFFF0, RESULT, 0, 0, id),
    "over-limit": lambda id: struct.pack("<IBBHQ", (64 << 20) + 1, RESULT, 0, 0, id),
    "short": lambda id: struct.pack("<IBBHQ", 5, RESULT, 0, 0, id),
    "meta-too-long": lambda id: struct.pack("<IBBHQ", 20, RESULT, 0, 60000, id) + b"12345678",
    "bad-meta": lambda id: frame(ERROR, id, b"{not json"),
    "unknown-type": lambda id: frame(99, id),
    "a-pools-type": lambda id: frame(1, id, b"", b"1"),
    "a-strangers-result": lambda id: frame(RESULT, 999_999, b"", b"1"),
    "a-strangers-start": lambda id: frame(START, 999_999),
    "start-twice": lambda id: frame(START, id),
    "returned-unasked": lambda id: frame(RETURNED, 5),
    "snapshot-unasked": lambda id: frame(SNAPSHOT, 1),
    "hello-again": lambda id: frame(HELLO, 0, hello),
    "ready-again": lambda id: frame(READY),
    "result-twice": lambda id: frame(RESULT, id, b"", b'"first"') + frame(RESULT, id, b"", b'"second"'),
}

asked = []

while True:
    length, kind, _, meta_len, id = struct.unpack("<IBBHQ", exactly(16))
    body = exactly(length - 12)[meta_len:]
    if kind == 7:
        os._exit(0)
    if kind == 4:
        pool.sendall(frame(RETURNED, id))
    if kind == 6:
        # Both answers come when it is asked for the second time.
        asked.append(id)
        if len(asked) == 2:
            pool.sendall(b"".join(frame(SNAPSHOT, id, b"", f"answer {id}".encode()) for id in asked))
    if kind != 1:
        continue
    tool, argument = json.loads(body)
    if tool == "no-start":
        pool.sendall(frame(RESULT, id, b"", b"1"))
        continue
    pool.sendall(frame(START, id))
    if tool == "half":
        pool.sendall(frame(RESULT, id, b"", b"1" * 100)[:40])
        os._exit(0)
    elif tool == "half-and-wait":
        pool.sendall(frame(RESULT, id, b"", b"1" * 100)[:40])
        sleep_for_ever()
    elif tool == "garbage-and-go-on":
        # It begins the next task behind bytes that are no frame.
        length, _, _, meta_len, behind = struct.unpack("<IBBHQ", exactly(16))
        _, path = json.loads(exactly(length - 12)[meta_len:])
        with open(path, "a") as notes:
            notes.write("begun\n")
        pool.sendall(b"\x00\xff" * 64 + frame(START, behind))
    elif tool == "slow-to-begin":
        # It runs two at a time, and begins the second so late that it is called back. This ends after the second.
        second = came(1)
        pool.sendall(frame(RETURNED, came(4), b"", struct.pack("<Q", second)))
        second = came(1)
        pool.sendall(frame(START, second) + frame(RESULT, second, b"", b'"second"') + frame(RESULT, id, b"", b'"first"'))
    elif tool == "note":
        with open(argument, "a") as notes:
            notes.write("run\n")
        pool.sendall(frame(RESULT, id, b"", b"1"))
    elif tool == "close":
        pool.close()
        sleep_for_ever()
    elif tool in FAULTS:
        pool.sendall(FAULTS[tool](id))
        sleep_for_ever()
    else:
        pool.sendall(frame(RESULT, id, b"", json.dumps(argument).encode()))
