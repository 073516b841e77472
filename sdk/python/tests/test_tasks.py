"""Tasks: bodies, errors, cancel, recall, ping, snapshots, batches, and what is answered while a task runs."""

import os
import signal
import socket
import struct
import sys
import threading
import time
import unittest

from pool import *

ECHO = "def f(body): return body\n"
OCTETS = {"content_type": "application/octet-stream"}
# Waits for a file, in two ways: one gives the interpreter lock away, one only when it is taken.
GATE = """
import os, time
def f(body):
    open("in", "w").close()
    while not os.path.exists("go"): time.sleep(0.001)
    return body
def busy(body):
    open("in", "w").close()
    while not os.path.exists("go"):
        for _ in range(100000): pass
    return body
"""


class Bodies(unittest.TestCase):
    def test_json(self):
        with Worker(ECHO) as w:
            w.ready()
            for value in (None, True, 0, -1.5, "", "ü\U0001f600\n", [], {"a": [{"b": None}]}, 2**70):
                result = w.call(1, value)
                self.assertEqual((result.value, result.meta), (value, {}))
            self.assertEqual(w.call(1, body=b' \n{"a" : 1}\t').value, {"a": 1})
            self.assertEqual(w.call(1, "ü").body, '"ü"'.encode())

    def test_other_content_types_are_bytes(self):
        with Worker("def f(body, task): return [type(body).__name__, len(body), task.content_type]\n") as w:
            w.ready()
            self.assertEqual(w.call(1, body=b"\0\xff", content_type="image/png").value, ["bytes", 2, "image/png"])
            self.assertEqual(w.call(1, body=bytes(200_000), content_type="image/png").value, ["bytes", 200_000, "image/png"])

    def test_bytes_returned(self):
        with Worker("def f(body): return {'b': b'x', 'a': bytearray(b'y'), 'm': memoryview(b'z')}[body]\n") as w:
            w.ready()
            for kind, body in (("b", b"x"), ("a", b"y"), ("m", b"z")):
                result = w.call(1, kind)
                self.assertEqual((result.body, result.meta), (body, OCTETS))

    def test_what_cannot_be_sent(self):
        source = """
import datetime, decimal
class Own: pass
def f(body):
    loop = []; loop.append(loop)
    deep = []
    for _ in range(100000): deep = [deep]
    return {
        "set": {"a": [1, {2}]}, "date": [datetime.datetime.now()], "nan": {"x": float("nan")}, "inf": -float("inf"), "own": Own(),
        "loop": loop, "deep": deep, "bytes inside": [b"x"], "key": {"a": [{(1, 2): 3}]}, "surrogate": {"a": ["\\ud800"]}, "surrogate key": [{"\\ud800": 1}], "lambda": [lambda: 1],
    }[body]
"""
        wanted = {
            "set": "set has no JSON form at ['a'][1]",
            "date": "datetime.datetime has no JSON form at [0]",
            "nan": "nan is not a JSON number at ['x']",
            "inf": "-inf is not a JSON number",
            "own": "mod.Own has no JSON form",
            "loop": "Circular",
            "deep": "recursion",
            "bytes inside": "bytes has no JSON form at [0]",
            "key": "(1, 2) is no key for JSON at ['a'][0]",
            "surrogate": "it has a lone surrogate, which UTF-8 has no form for, at ['a'][0]",
            "surrogate key": "'\\ud800' is no key for JSON at [0]",
            "lambda": "function has no JSON form at [0]",
        }
        with Worker(source) as w:
            w.ready()
            for kind, text in wanted.items():
                with self.subTest(kind):
                    meta = w.fails(1, kind)
                    self.assertIn(text, meta["message"])
                    self.assertEqual(meta["name"], "RecursionError" if kind == "deep" else "ebbtide_worker.EncodeError")
                    self.assertNotIn("retryable", meta)
            self.assertIn("bytes", w.fails(1, "set")["message"])  # a remedy

    def test_what_is_no_json(self):
        with Worker(ECHO) as w:
            w.ready()
            for body in (b"", b"{", b"1 2", b"\xff", b"NaN", b"[Infinity]"):
                with self.subTest(body):
                    meta = w.fails(1, body=body)
                    self.assertEqual(meta["name"], "ebbtide_worker.DecodeError")
                    self.assertIn("not JSON", meta["message"])
            self.assertEqual(w.fails(1, body=b"[" * 100_000)["name"], "RecursionError")
            self.assertEqual(w.call(1, 1).value, 1)

    def test_a_reply_over_the_limit(self):
        with Worker("def f(body): return bytes(body)\n", env={"EBBTIDE_MAX_FRAME": "5000"}) as w:
            w.ready()
            most = 5000 - 12 - len(json.dumps(OCTETS, separators=(",", ":")))
            self.assertEqual(len(w.call(1, most).body), most)
            self.assertIn("5000", w.fails(2, most + 1)["message"])

    def test_sizes_around_every_border(self):
        with Worker(ECHO) as w:
            w.ready()
            for border in (1 << 14, 1 << 16, 1 << 18):
                for n in range(border - 17, border + 18):
                    body = os.urandom(16) * (n // 16) + b"x" * (n % 16)
                    self.assertTrue(w.call(n, body=body, **OCTETS).body == body, n)

    def test_a_mebibyte_both_ways_at_once(self):
        # Four requests and four replies are more than two socket buffers: who only writes or only reads stands still.
        for source in (ECHO, "async def f(body): return body\n"):
            with self.subTest(source), Worker(source) as w:
                w.ready()
                body = os.urandom(1 << 20)
                w.raw(encode(TASK, 0, OCTETS, body))
                w.expect(START, 0)  # from now on it answers, and nobody reads
                for i in range(1, 5):
                    w.raw(encode(TASK, i, OCTETS, body))
                for i in range(5):
                    if i:
                        w.expect(START, i)
                    self.assertTrue(w.expect(RESULT, i).body == body)
                w.stop()

    def test_who_cannot_write_reads_by_itself(self):
        # Without the watching thread, which would come to help after a while.
        sys.path.insert(0, str(SDK))
        import ebbtide_worker as sdk

        ours, theirs = socket.socketpair()
        wire = sdk._Wire(theirs, 1 << 26)
        body = os.urandom(4 << 20)
        writer = threading.Thread(target=wire.send, args=(body,), daemon=True)
        writer.start()
        ours.settimeout(NET)
        ours.sendall(encode(TASK, 1, OCTETS, body))
        got = b""
        while len(got) < len(body):
            got += ours.recv(1 << 20)
        writer.join(NET)
        self.assertTrue(got == body)
        self.assertTrue(wire.todo and bytes(wire.todo[0][2]) == body)
        ours.close()
        theirs.close()

    def test_it_reads_while_a_thread_of_the_user_cannot_write(self):
        source = "def f(body, task):\n    for _ in range(300): task.log('info', 'x' * 10000)\n    return len(body)\n"
        with Worker(source) as w:
            w.ready()
            w.task(1, body=b"x", **OCTETS)
            w.expect(START, 1)
            for i in (2, 3, 4):
                w.raw(encode(TASK, i, OCTETS, bytes(1 << 20)))
            for i, n in ((1, 1), (2, 1 << 20), (3, 1 << 20), (4, 1 << 20)):
                if i > 1:
                    w.expect(START, i)
                for _ in range(300):
                    w.expect(LOG, i)
                self.assertEqual(w.expect(RESULT, i).value, n)


class Functions(unittest.TestCase):
    def test_named_and_missing(self):
        with Worker("X = 3\ndef f(body): return 'f'\ndef g(body): return 'g'\ndef _h(body): return 'h'\nimport os\n") as w:
            w.ready()
            self.assertEqual([w.call(1).value, w.call(1, fn="g").value, w.call(1, fn="_h").value], ["f", "g", "h"])
            meta = w.fails(1, fn="nix")
            self.assertEqual(meta["name"], "ebbtide_worker.MissingFunction")
            for part in ("'nix'", "mod (", "mod.py", "f, g"):
                self.assertIn(part, meta["message"])
            self.assertNotIn("os", meta["message"].split("it has:")[1])
            self.assertIn("no function but int", w.fails(1, fn="X")["message"])

    def test_export(self):
        with Worker("def f(body): return 'f'\ndef g(body): return 'g'\n", env={"EBBTIDE_EXPORT": "g"}) as w:
            w.ready()
            self.assertEqual(w.call(1).value, "g")

    def test_a_missing_default_is_found_out_at_the_call(self):
        for target in ("mod:nix", "mod"):
            with self.subTest(target), Worker(ECHO, target=target) as w:
                w.ready()
                self.assertIn("it has: f", w.fails(1)["message"])
                self.assertEqual(w.call(2, 5, fn="f").value, 5)

    def test_who_gets_the_task(self):
        source = """
import functools
def two(body, t): return t.id
def named(body, task=None): return task.id
def other(body, x=1): return x
def one(body): return "one"
def rest(*all): return len(all)
def deco(g):
    @functools.wraps(g)
    def inner(*a): return g(*a)
    return inner
@deco
def wrapped(body, task): return task.id
class C:
    def __call__(self, body, task): return task.id
    def method(self, body, task): return task.id
called = C()
method = C().method
part = functools.partial(two)
builtin = len
def kind(body, task="sum"): return task
def strict_two(body, t): return t
@deco
def wrapped_one(body): return "one"
@deco
def wrapped_own(body, x=1): return x
def strict(g):
    @functools.wraps(g)
    def inner(body): return g(body, "given")
    return inner
@strict
def wrapped_strict(body, x): return x
def asks(g):
    @functools.wraps(g)
    def inner(body, task): return [task.id, g(body)]
    return inner
@asks
def wrapped_asks(body): return "one"
class Model:
    def predict(self, x): return x
    def scaled(self, x, scale=10): return scale
    def optional(self, x, task=None): return task.id
    @classmethod
    def of(cls, x): return cls.__name__
    @classmethod
    def of_task(cls, x, task): return task.id
    @staticmethod
    def alone(x): return x
    async def later(self, x): return x
    async def later_scaled(self, x, scale=10): return scale
    async def later_task(self, x, task): return task.id
    @deco
    def decorated(self, x): return x
    @deco
    def decorated_task(self, x, task): return task.id
    def __call__(self, x, scale=10): return scale
predict, scaled, optional, of, of_task, alone = Model().predict, Model().scaled, Model().optional, Model.of, Model().of_task, Model().alone
later, later_scaled, later_task, decorated, decorated_task, instance = Model().later, Model().later_scaled, Model().later_task, Model().decorated, Model().decorated_task, Model()
filled = functools.partial(Model().predict)
first_filled = functools.partial(other, 5)
second_filled = functools.partial(strict_two, t=4)
bound_builtin, total = [1, 1, 2].count, sum
"""
        wanted = {"two": 9, "named": 9, "other": 1, "one": "one", "rest": 1, "wrapped": 9, "called": 9, "method": 9, "part": 9, "builtin": 2}
        wanted.update(kind="sum", wrapped_one="one", wrapped_own=1, wrapped_strict="given", wrapped_asks=[9, "one"])
        wanted.update(predict=[1, 2], scaled=10, optional=9, of="Model", of_task=9, alone=[1, 2], later=[1, 2], later_scaled=10, later_task=9)
        wanted.update(decorated=[1, 2], decorated_task=9, instance=10, filled=[1, 2], first_filled=[1, 2], second_filled=4, bound_builtin=0, total=3)
        with Worker(source) as w:
            w.ready()
            self.assertEqual({name: w.call(9, [1, 2], fn=name).value for name in wanted}, wanted)

    def test_what_a_task_knows(self):
        source = "def f(body, task): return [task.id, task.attempt, task.key, task.deadline_ms, task.content_type, task.cancelled, task.cancel_reason]\n"
        with Worker(source) as w:
            w.ready()
            self.assertEqual(w.call(2**63 + 1).value, [2**63 + 1, 1, None, None, "application/json", False, None])
            self.assertEqual(w.call(3, attempt=2, key="k", deadline_ms=500).value, [3, 2, "k", 500, "application/json", False, None])

    def test_asynchronous_one_at_a_time(self):
        with Worker("import asyncio\nasync def f(body):\n    await asyncio.sleep(0)\n    return body\ndef g(body): return [body]\n") as w:
            w.ready()
            w.raw(encode(TASK, 1, None, b"1") + encode(TASK, 2, {"fn": "g"}, b"2"))
            for i, value in ((1, 1), (2, [2])):
                w.expect(START, i)
                self.assertEqual(w.expect(RESULT, i).value, value)
            self.assertEqual(w.fails(3, body=b"{")["name"], "ebbtide_worker.DecodeError")
            self.assertEqual(w.fails(3, fn="nix")["name"], "ebbtide_worker.MissingFunction")
            w.stop()

    def test_several_at_once(self):
        source = "import asyncio\nall = []\nasync def f(body):\n    e = asyncio.Event(); all.append(e)\n    if len(all) == 3:\n        for x in reversed(all): x.set()\n    await e.wait()\n    return body\n"
        with Worker(source, env={"EBBTIDE_CONCURRENCY": "3"}) as w:
            self.assertEqual(w.hello.meta["credits"], 3)
            w.ready()
            w.raw(b"".join(encode(TASK, i, None, b"1") for i in range(5)))
            self.assertEqual([w.expect(START).id for _ in range(3)], [0, 1, 2])  # and not a fourth
            ends, starts = [], []
            while len(ends) < 3 or len(starts) < 2:
                frame = w.frame()
                (starts if frame.kind == START else ends).append(frame.id)
                self.assertLessEqual(len(starts), len(ends))  # never a fourth at once
            # The later ones find more than three in the list, and wait for ever.
            self.assertEqual((starts, sorted(ends)), ([3, 4], [0, 1, 2]))

    def test_a_plain_function_that_gives_a_coroutine(self):
        with Worker("async def _g(b): return b + 1\ndef f(body): return _g(body)\n") as w:
            w.ready()
            self.assertEqual(w.call(1, 2).value, 3)

    def test_a_synchronous_function_beside_asynchronous_ones_may_run_a_loop_of_its_own(self):
        source = """
import asyncio, ebbtide_worker, os
@ebbtide_worker.on_start
def start(): asyncio.run(add(1, 2))
@ebbtide_worker.on_snapshot
def snapshot(): return asyncio.get_event_loop().run_until_complete(add(20, 1))
async def add(a, b):
    await asyncio.sleep(0.001)
    return a + b
async def meet(name):
    open(name, "w").close()
    while not os.path.exists("go"): await asyncio.sleep(0.001)
    return asyncio.get_running_loop() is asyncio.get_event_loop() and asyncio.current_task() is not None
def runs(x): return asyncio.run(add(x, 1))
def old(x): return asyncio.get_event_loop().run_until_complete(add(x, 2))
def fails(x):
    asyncio.run(add(x, 1))
    raise ValueError("own")
def gives(x): return add(x, 3)
def gathers(x): return asyncio.gather(add(x, 1), add(x, 2))
def sees(x):
    try: return str(asyncio.get_running_loop())
    except RuntimeError: return None
"""
        with Worker(source, env={"EBBTIDE_CONCURRENCY": "3"}) as w:
            w.ready()
            for id, name in ((1, "one"), (2, "two")):
                w.task(id, name, fn="meet")
                w.expect(START, id)
                w.wait_for_file(name)
            self.assertEqual(w.call(4, 5, fn="old").value, 7)
            for _ in range(2):
                self.assertIsNone(w.call(3, 0, fn="sees").value)
                self.assertEqual(w.call(5, 5, fn="runs").value, 6)
                w.task(6, 0, fn="fails")
                w.expect(START, 6)
                self.assertEqual(w.expect(ERROR, 6).meta["message"], "own")
                self.assertEqual(w.call(7, 5, fn="gives").value, 8)
                self.assertEqual(w.call(8, [1, 2], fn="runs", each=True).value, [2, 3])
            w.send(CANCEL, 2, {"reason": "not needed"})
            self.assertTrue(w.expect(ERROR, 2).meta["cancelled"])
            (w.cwd / "go").touch()
            self.assertTrue(w.expect(RESULT, 1).value)
            w.send(SNAPSHOT_ASKED, 9)
            self.assertEqual(w.expect(SNAPSHOT, 9).body, b"\x0021")
            self.assertEqual(w.call(10, 5, fn="old").value, 7)
        with Worker(source) as w:
            w.ready()
            self.assertEqual(w.call(1, 5, fn="gathers").value, [6, 7])

    def test_who_is_not_given_the_task_asks_for_it(self):
        plain = """
import ebbtide_worker
def id(): return getattr(ebbtide_worker.current_task(), "id", None)
at_load = id()
def sync(*all): return [len(all), id()]
def loaded(x): return at_load
def same(x, task): return ebbtide_worker.current_task() is task
"""
        with Worker(plain) as w:
            w.ready()
            self.assertEqual([w.call(7, 0, fn=fn).value for fn in ("sync", "same", "loaded")], [[1, 7], True, None])
        source = plain + """
import asyncio
here = 0
async def both(x):
    global here
    here += 1
    first = id()
    while here < 2: await asyncio.sleep(0.001)
    return [first, id()]
"""
        with Worker(source, env={"EBBTIDE_CONCURRENCY": "2"}) as w:
            w.ready()
            w.task(1, fn="both")
            w.expect(START, 1)
            self.assertEqual(w.call(2, 0, fn="sync").value, [1, 2])
            w.task(3, fn="both")
            w.expect(START, 3)
            ends = [w.frame(), w.frame()]
            self.assertEqual({end.id: end.value for end in ends}, {1: [1, 1], 3: [3, 3]})

    def test_contexts_of_asynchronous_tasks_are_their_own(self):
        with Worker("import contextvars\nv = contextvars.ContextVar('v', default=0)\nasync def f(body):\n    old = v.get(); v.set(old + 1); return old\n") as w:
            w.ready()
            self.assertEqual([w.call(1).value, w.call(2).value], [0, 0])


class Errors(unittest.TestCase):
    SOURCE = """
import sys, os
class Own(Exception):
    retryable = True
class Bad(Exception):
    def __str__(self): raise ValueError("no text")
    @property
    def retryable(self): raise ValueError
def f(body):
    if body == "value": raise ValueError("fön")
    if body == "own": raise Own("again")
    if body == "bad": raise Bad()
    if body == "cause":
        try: {}["deep"]
        except KeyError as e: raise Own("outer") from e
    if body == "several": raise ExceptionGroup("all failed", [ValueError("one"), KeyError(2), OSError(), TypeError()])
    if body == "recursion": return f(body)
    if body == "memory": return bytearray(1 << 60)
    if body == "long": raise ValueError("ü" * 20000)
    if body == "control": raise ValueError("\\0" * 8000)
    if body == "surrogate": raise ValueError("\\ud800")
    if body == "interrupt": raise KeyboardInterrupt
    if body == "generator": raise GeneratorExit
    if body == "exit": print("out", end=""); sys.exit(3)
    if body == "exit text": sys.exit("bye")
    if body == "os exit": os._exit(5)
    return body
"""

    def test_errors(self):
        for source in (self.SOURCE, self.SOURCE.replace("def f(", "async def f(").replace("return f(body)", "return await f(body)")):
            with self.subTest(source[-30:]), Worker(source) as w:
                w.ready()
                meta = w.fails(1, "value")
                self.assertEqual((meta["name"], meta["message"]), ("ValueError", "fön"))
                self.assertIn("mod.py", meta["stack"])
                self.assertNotIn("<ebbtide_worker>", meta["stack"])
                self.assertNotIn("retryable", meta)
                self.assertNotIn("cancelled", meta)
                meta = w.fails(1, "own")
                self.assertEqual((meta["name"], meta["retryable"]), ("mod.Own", True))
                meta = w.fails(1, "bad")
                self.assertEqual(meta["name"], "mod.Bad")
                self.assertIn("text could not be made", meta["message"])
                meta = w.fails(1, "cause")
                self.assertIn("KeyError: 'deep'", meta["stack"])
                self.assertIn("direct cause", meta["stack"])
                if sys.version_info >= (3, 11):
                    self.assertEqual(w.fails(1, "several")["message"], "all failed (4 sub-exceptions): ValueError: one; KeyError: 2; OSError: ; and 1 more")
                for kind, name in (("recursion", "RecursionError"), ("memory", "MemoryError"), ("interrupt", "KeyboardInterrupt"), ("generator", "GeneratorExit")):
                    self.assertEqual(w.fails(1, kind)["name"], name)
                self.assertEqual(w.call(1, "fine").value, "fine")

    def test_limits_of_texts(self):
        with Worker(self.SOURCE) as w:
            w.ready()
            meta = w.fails(1, "long")
            self.assertLessEqual(len(meta["message"].encode()), 8192)
            self.assertGreater(len(meta["message"].encode()), 8180)
            self.assertLessEqual(len(meta["stack"].encode()), 16384)
            self.assertTrue(set(meta["message"]) <= set("ü."))
            self.assertEqual(w.fails(1, "control")["message"][:100], "\0" * 100)  # six bytes each in JSON: has to fit meta all the same
            self.assertEqual(w.fails(1, "surrogate")["message"], "\\ud800")

    def test_exit_in_a_task(self):
        for source in (self.SOURCE, self.SOURCE.replace("def f(", "async def f(")):
            for kind, code, out, err in (("exit", 3, b"out", b""), ("exit text", 1, b"", b"bye\n"), ("os exit", 5, b"", b"")):
                with self.subTest(kind), Worker(source) as w:
                    w.ready()
                    w.task(1, kind)
                    w.expect(START, 1)
                    self.assertEqual(w.exit_code(), code)
                    self.assertEqual((w.process.stdout.read(), w.process.stderr.read()), (out, err))
                    self.assertEqual(w.sock.recv(1), b"")  # no end was written


class Asked(unittest.TestCase):
    """CANCEL, RECALL, PING, SNAPSHOT, STOP: between tasks and while one runs."""

    def running(self, fn="f", source=GATE, **kwargs):
        w = Worker(source, **kwargs)
        self.addCleanup(w.__exit__)
        w.ready()
        w.task(1, 1, fn=fn)
        w.expect(START, 1)
        w.wait_for_file("in")
        return w

    def go(self, w):
        (w.cwd / "go").touch()

    def test_ping_while_a_task_runs(self):
        for fn in ("f", "busy"):
            with self.subTest(fn):
                w = self.running(fn)
                for i in range(3):
                    w.send(PING, 2**64 - 1 - i)
                    w.expect(PONG, 2**64 - 1 - i)
                self.go(w)
                w.expect(RESULT, 1)
                w.send(PING, 5)
                w.expect(PONG, 5)

    def test_ping_while_it_loads(self):
        with Worker("import os, time\nwhile not os.path.exists('go'): time.sleep(0.001)\n" + ECHO) as w:
            w.send(PING, 1)
            w.expect(PONG, 1)
            self.go(w)
            w.ready()

    def test_recall_while_a_task_runs(self):
        for fn in ("f", "busy"):
            with self.subTest(fn):
                w = self.running(fn)
                w.raw(b"".join(encode(TASK, i, None, b"1") for i in (2, 3, 4, 5)) + encode(RECALL, 77, None, struct.pack("<3Q", 3, 1, 99)))
                self.assertEqual(w.expect(RETURNED, 77).body, struct.pack("<Q", 3))
                w.send(RECALL, 78)
                self.assertEqual(w.expect(RETURNED, 78).body, struct.pack("<3Q", 2, 4, 5))
                w.send(RECALL, 79)
                self.assertEqual(w.expect(RETURNED, 79).body, b"")
                self.go(w)
                w.expect(RESULT, 1)
                self.assertEqual(w.call(6, 1, fn="f").value, 1)  # and nothing of 2 to 5
                w.stop()

    def test_recall_that_came_before_the_start_counts(self):
        for source in (ECHO, "async def f(body): return body\n"):
            with self.subTest(source), Worker(source) as w:
                w.ready()
                w.raw(encode(TASK, 1, None, b"1") + encode(TASK, 2, None, b"1") + encode(RECALL, 5))
                self.assertEqual(w.expect(RETURNED, 5).body, struct.pack("<2Q", 1, 2))
                w.stop()

    def test_what_came_during_a_short_task_counts_before_the_next_start(self):
        # Sleeps with the interpreter lock held, so that only the main thread itself can have read before the next START.
        source = "import ctypes, sys\nsys.setswitchinterval(1000)\ndef f(body): ctypes.PyDLL(None).usleep(200000)\n"
        with Worker(source) as w:
            w.ready()
            w.raw(encode(TASK, 1, None, b"1") + encode(TASK, 2, None, b"2") + encode(TASK, 3, None, b"3"))
            w.expect(START, 1)
            w.raw(encode(CANCEL, 2) + encode(RECALL, 9))
            came = [w.frame() for _ in range(3)]
            self.assertEqual({(f.kind, f.id) for f in came}, {(RESULT, 1), (ERROR, 2), (RETURNED, 9)})
            w.stop()

    def test_cancel_before_the_start(self):
        w = self.running()
        w.raw(encode(TASK, 2, None, b"1") + encode(CANCEL, 2, {"reason": "why not"}) + encode(CANCEL, 99))
        meta = w.expect(ERROR, 2).meta
        self.assertEqual((meta["cancelled"], meta["message"]), (True, "why not"))
        self.go(w)
        w.expect(RESULT, 1)
        self.assertEqual(w.call(3, 1).value, 1)

    LOOKS = """
import time, ebbtide_worker
def f(body, task):
    open("in", "w").close()
    while True:
        time.sleep(0.001)
        if body == "check": task.check()
        elif task.cancelled and body == "own": raise RuntimeError("own")
        elif task.cancelled: return task.cancel_reason
def early(body): raise ebbtide_worker.Cancelled("not asked")
"""

    def test_cancel_that_the_task_looks_for(self):
        with Worker(self.LOOKS) as w:
            w.ready()
            for how in ("check", "look", "own"):
                w.task(1, how)
                w.expect(START, 1)
                w.send(CANCEL, 1, {"reason": "late"})
                end = w.frame()
                if how == "look":
                    self.assertEqual((end.kind, end.value), (RESULT, "late"))
                elif how == "own":
                    self.assertEqual((end.kind, end.meta["name"], end.meta.get("cancelled")), (ERROR, "RuntimeError", None))
                else:
                    self.assertEqual((end.kind, end.meta["name"], end.meta["message"], end.meta["cancelled"]), (ERROR, "ebbtide_worker.Cancelled", "late", True))
            self.assertNotIn("cancelled", w.fails(2, fn="early"))  # nobody had asked
            w.stop()

    def test_cancel_of_an_asynchronous_task(self):
        source = """
import asyncio
async def f(body, task):
    open("in", "w").close()
    try:
        await asyncio.sleep(1000)
    except asyncio.CancelledError:
        if body == "swallow": return task.cancel_reason
        raise
async def own(body): raise asyncio.CancelledError
async def g(body): return body
"""
        with Worker(source, env={"EBBTIDE_CONCURRENCY": "2"}) as w:
            w.ready()
            w.task(1, 1)
            w.expect(START, 1)
            w.wait_for_file("in")
            w.send(CANCEL, 1, {"reason": "late"})
            meta = w.expect(ERROR, 1).meta
            self.assertEqual((meta["cancelled"], meta["message"]), (True, "late"))
            w.raw(encode(TASK, 2, None, b'"swallow"') + encode(TASK, 4, {"fn": "g"}, b"4"))
            self.assertEqual({w.expect(START).id, w.expect(START).id}, {2, 4})
            w.expect(RESULT, 4)
            w.send(CANCEL, 2, {"reason": "late"})
            self.assertEqual(w.expect(RESULT, 2).value, "late")
            self.assertNotIn("cancelled", w.fails(3, fn="own"))
            w.stop()

    def test_cancel_right_behind_an_asynchronous_task(self):
        with Worker("import asyncio\nasync def f(body): await asyncio.sleep(1000)\n") as w:
            w.ready()
            for i in range(200):
                w.send(TASK, i, None, b"1")
                w.send(CANCEL, i)
                frame = w.frame()
                if frame.kind == START:
                    frame = w.frame()
                self.assertEqual((frame.kind, frame.id, frame.meta["cancelled"]), (ERROR, i, True))

    def test_cancel_between_the_start_and_the_first_step_of_a_coroutine(self):
        # The hog is always ahead in the loop: when START of the other is out, 100 ms pass before its first step.
        source = "import asyncio, time\nasync def f(body): await asyncio.sleep(1000)\nasync def hog(body):\n    while True:\n        time.sleep(0.1)\n        await asyncio.sleep(0)\n"
        with Worker(source, env={"EBBTIDE_CONCURRENCY": "2"}) as w:
            w.ready()
            w.task(1, fn="hog")
            w.expect(START, 1)
            for i in range(10, 14):
                w.task(i)
                w.expect(START, i)
                w.send(CANCEL, i)
                self.assertTrue(w.expect(ERROR, i).meta["cancelled"])

    def test_a_coroutine_that_blocks_is_read_for(self):
        source = GATE.replace("def f", "async def f").replace("def busy", "async def busy")
        for fn in ("f", "busy"):
            with self.subTest(fn):
                w = self.running(fn, source, env={"EBBTIDE_CONCURRENCY": "1"})
                w.raw(encode(TASK, 2, None, b"2") + encode(TASK, 3, {"fn": "f"}, b"3") + encode(RECALL, 7, None, struct.pack("<Q", 2)) + encode(PING, 8))
                self.assertEqual(w.expect(RETURNED, 7).body, struct.pack("<Q", 2))
                w.expect(PONG, 8)
                self.go(w)
                w.expect(RESULT, 1)
                w.expect(START, 3)
                w.expect(RESULT, 3)
                w.stop()

    def test_stop_while_a_task_runs(self):
        for source in (GATE, GATE.replace("def f", "async def f")):
            with self.subTest(source[:60]):
                w = self.running(source=source)
                w.raw(encode(TASK, 2, None, b"2") + encode(STOP))
                w.nothing(0.05)
                self.go(w)
                w.expect(RESULT, 1)
                w.expect(START, 2)
                w.expect(RESULT, 2)
                self.assertEqual(w.exit_code(), 0)

    def test_start_comes_before_the_code_and_the_end_before_the_next(self):
        source = "import os, time\ndef f(body):\n    while not os.path.exists(str(body)): time.sleep(0.001)\n"
        for kind in ("def", "async def"):
            with self.subTest(kind), Worker(source.replace("def", kind)) as w:
                w.ready()
                w.raw(encode(TASK, 1, None, b"1") + encode(TASK, 2, None, b"2"))
                w.expect(START, 1)  # and the code waits for us
                w.nothing(0.03)
                (w.cwd / "1").touch()
                w.expect(RESULT, 1)  # while the next one waits
                w.expect(START, 2)
                w.nothing(0.03)
                (w.cwd / "2").touch()
                w.expect(RESULT, 2)

    def test_progress_and_log(self):
        source = """
import ebbtide_worker, threading
def f(body, task):
    task.progress("half ü")
    for level in ("debug", "info", "warn", "WARNING", "error"): task.log(level, level)
    t = threading.Thread(target=ebbtide_worker.log, args=("error", "outside")); t.start(); t.join()
    task.log("loud", "x")
"""
        with Worker(source) as w:
            w.ready()
            w.task(4)
            w.expect(START, 4)
            self.assertEqual(w.expect(PROGRESS, 4).body.decode(), "half ü")
            self.assertEqual([w.expect(LOG, 4).meta.get("level", "info") for _ in range(5)], ["debug", "info", "warn", "warn", "error"])
            self.assertEqual(w.expect(LOG, 0).body, b"outside")
            self.assertIn("'loud' is not a level", w.expect(ERROR, 4).meta["message"])

    def test_frames_of_many_threads_stay_whole(self):
        source = """
import threading
import time
def f(body, task):
    def many(n):
        for i in range(40): task.log("info", str(n) * 60000)
    ts = [threading.Thread(target=many, args=(n,)) for n in range(4)]
    for t in ts: t.start()
    for t in ts: t.join()
"""
        with Worker(source) as w:
            w.ready()
            w.task(1)
            w.expect(START, 1)
            for i in range(50):
                w.send(PING, i)
            pongs = logs = 0
            while logs < 160:
                frame = w.frame()
                pongs += frame.kind == PONG
                if frame.kind == LOG:
                    logs += 1
                    self.assertEqual((len(frame.body), len(set(frame.body))), (60000, 1))
            while pongs < 50:
                frame = w.frame()
                pongs += frame.kind == PONG


class Snapshots(unittest.TestCase):
    STATE = """
import ebbtide_worker as e
state = {"n": 0}
def f(body):
    state["n"] += 1
    return state["n"]
def snapshot(): return state
def restore(value): state.update(value)
"""

    def test_json_from_one_to_the_next(self):
        for source in (self.STATE, self.STATE.replace("def snapshot()", "@e.on_snapshot\ndef give()").replace("def restore(", "@e.on_restore\ndef build("), self.STATE.replace("def ", "async def ")):
            with self.subTest(source[-60:]):
                with Worker(source) as w:
                    w.ready()
                    w.call(1)
                    w.call(2)
                    w.send(SNAPSHOT_ASKED, 9)
                    snapshot = w.expect(SNAPSHOT, 9)
                    self.assertEqual(snapshot.flags, 0)
                with Worker(source, env={"EBBTIDE_RESTORE": "1"}) as w:
                    w.nothing(0.1)  # not ready without it
                    w.send(SNAPSHOT_ASKED, 0, None, snapshot.body, flags=1)
                    w.ready()
                    self.assertEqual(w.call(1).value, 3)

    def test_bytes(self):
        source = "s = b'\\xff' * 300000\ndef f(body):\n    return s[:3]\ndef snapshot(): return b'a\\xff' + s\ndef restore(v):\n    global s\n    s = v\n"
        with Worker(source) as w:
            w.ready()
            w.send(SNAPSHOT_ASKED, 9)
            body = w.expect(SNAPSHOT, 9).body
        with Worker(source, env={"EBBTIDE_RESTORE": "1"}) as w:
            w.send(SNAPSHOT_ASKED, 0, None, body, flags=1)
            w.ready()
            self.assertEqual(w.call(1).body, b"a\xff\xff")

    def test_none(self):
        for source in (ECHO, ECHO + "def snapshot(): return None\n"):
            with self.subTest(source), Worker(source) as w:
                w.ready()
                w.send(SNAPSHOT_ASKED, 9)
                snapshot = w.expect(SNAPSHOT, 9)
                self.assertEqual((snapshot.flags, snapshot.body), (1, b""))

    def test_a_snapshot_that_fails_is_logged(self):
        for bad in ("1/0", "return {1, 2}", "return bytes(5000)"):
            with self.subTest(bad), Worker(ECHO + f"def snapshot(): {bad}\n", env={"EBBTIDE_MAX_FRAME": "5000"}) as w:
                w.ready()
                w.send(SNAPSHOT_ASKED, 9)
                self.assertEqual(w.expect(LOG, 0).meta, {"level": "error"})
                self.assertEqual(w.expect(SNAPSHOT, 9).flags, 1)
                self.assertEqual(w.call(1, 1).value, 1)

    def test_between_two_tasks(self):
        source = GATE + "def snapshot(): return os.path.exists('go')\n"
        for source in (source, source.replace("def f", "async def f")):
            with self.subTest(source[:60]), Worker(source) as w:
                w.ready()
                w.raw(encode(TASK, 1, None, b"1") + encode(TASK, 2, None, b"2"))
                w.expect(START, 1)
                w.wait_for_file("in")
                w.send(SNAPSHOT_ASKED, 9)
                w.nothing(0.05)
                (w.cwd / "go").touch()
                w.expect(RESULT, 1)
                self.assertEqual(w.expect(SNAPSHOT, 9).body, b"\0true")  # the tag of JSON, and the state after the first
                w.expect(START, 2)
                w.expect(RESULT, 2)
                w.stop()

    def test_between_all_of_several_at_once(self):
        source = "import asyncio, os\nn = 0\nasync def f(body):\n    global n\n    n += 1\n    while not os.path.exists(str(body)): await asyncio.sleep(0.001)\n    n -= 1\nasync def snapshot():\n    await asyncio.sleep(0.01)\n    return n\n"
        with Worker(source, env={"EBBTIDE_CONCURRENCY": "2"}) as w:
            w.ready()
            w.raw(encode(TASK, 1, None, b"1") + encode(TASK, 2, None, b"2"))
            w.expect(START, 1)
            w.expect(START, 2)
            w.raw(encode(SNAPSHOT_ASKED, 9) + encode(TASK, 3, None, b"1"))
            (w.cwd / "1").touch()
            w.expect(RESULT, 1)
            w.nothing(0.05)  # 3 waits for the snapshot, and that for 2
            (w.cwd / "2").touch()
            w.expect(RESULT, 2)
            self.assertEqual(w.expect(SNAPSHOT, 9).body, b"\x000")
            w.expect(START, 3)
            w.expect(RESULT, 3)
            w.stop()

    def test_restore_fails(self):
        with Worker(self.STATE, env={"EBBTIDE_RESTORE": "1"}) as w:
            w.send(SNAPSHOT_ASKED, 0, None, b"\0[1]", flags=1)
            self.assertIn("hook restore", w.expect(ERROR, 0).meta["message"])
            self.assertEqual(w.exit_code(), 1)
        with Worker(self.STATE, env={"EBBTIDE_RESTORE": "1"}) as w:
            w.send(SNAPSHOT_ASKED, 0, None, b"\0{", flags=1)
            self.assertIn("not JSON", w.expect(ERROR, 0).meta["message"])
            self.assertEqual(w.exit_code(), 1)
        with Worker(self.STATE, env={"EBBTIDE_RESTORE": "1"}) as w:
            w.send(SNAPSHOT_ASKED, 0, None, b"\x09", flags=1)
            self.assertIn("another SDK", w.expect(ERROR, 0).meta["message"])
            self.assertEqual(w.exit_code(), 1)

    def test_an_empty_state_restores_nothing(self):
        with Worker(self.STATE, env={"EBBTIDE_RESTORE": "1"}) as w:
            w.send(SNAPSHOT_ASKED, 0, None, b"", flags=1)
            w.ready()
            self.assertEqual(w.call(1).value, 1)


class Large(unittest.TestCase):
    def test_a_stream_of_large_bodies_cut_anywhere(self):
        """After a large frame the next header is looked at before anything is taken; whatever comes then, and however it is cut, arrives as it was."""
        sizes = [300_000, 70_000, 65_520, 65_521, 200_000, 5, 400_000, 0, 150_000]
        bodies = [os.urandom(n) for n in sizes]
        for cut in (1, 3, 15, 16, 17, 60, 65_536):
            with self.subTest(cut), Worker(ECHO) as w:
                w.ready()
                for i, body in enumerate(bodies):
                    frame = encode(TASK, i, OCTETS, body)
                    w.raw(frame[:cut])
                    time.sleep(0.003)
                    w.raw(frame[cut:])
                    w.expect(START, i)
                    self.assertEqual(w.expect(RESULT, i).body, body)
                w.stop()

    def test_a_signal_in_the_middle_of_a_large_body(self):
        source = "import signal\nsignal.signal(signal.SIGUSR1, lambda *_: None)\n" + ECHO
        with Worker(source) as w:
            w.ready()
            body = os.urandom(1 << 20)
            for i in range(3):
                frame = encode(TASK, i, OCTETS, body)
                w.raw(frame[: 500_000])
                time.sleep(0.05)
                w.process.send_signal(signal.SIGUSR1)
                time.sleep(0.05)
                w.raw(frame[500_000:])
                w.expect(START, i)
                self.assertEqual(w.expect(RESULT, i).body, body)

    def test_after_a_large_body_the_limit_holds_as_before(self):
        with Worker(ECHO, env={"EBBTIDE_MAX_FRAME": "200000"}) as w:
            w.ready()
            self.assertEqual(len(w.call(1, body=bytes(150_000), content_type="application/octet-stream").body), 150_000)
            w.raw(struct.pack("<IBBHQ", 200_001, TASK, 0, 0, 2))
            self.assertIn(b"200000 are allowed", w.process.stderr.read())
            self.assertEqual(w.process.wait(NET), 70)


class Many(unittest.TestCase):
    def test_batch(self):
        with Worker("def f(body, task): return [body, task.attempt]\n") as w:
            w.ready()
            items = b"".join(struct.pack("<IQ", len(b), i) + b for i, b in ((1, b"1"), (2, b'"two"'), (3, b"{"), (4, b"4")))
            w.send(BATCH, 0, {"attempt": 3}, items)
            for i, value in ((1, [1, 3]), (2, ["two", 3]), (3, None), (4, [4, 3])):
                w.expect(START, i)
                if value:
                    self.assertEqual(w.expect(RESULT, i).value, value)
                else:
                    self.assertEqual(w.expect(ERROR, i).meta["name"], "ebbtide_worker.DecodeError")
            w.send(BATCH, 0, None, b"")
            self.assertEqual(w.call(5, 5).value, [5, 1])

    def test_a_large_batch(self):
        with Worker(ECHO) as w:
            w.ready()
            n = 3000
            items = b"".join(struct.pack("<IQ", 100, i) + b"x" * 100 for i in range(n))
            w.send(BATCH, 0, OCTETS, items)
            for i in range(n):
                w.expect(START, i)
                self.assertEqual(w.expect(RESULT, i).body, b"x" * 100)

    def test_many_pipelined_answers_in_order(self):
        for source in (ECHO, "async def f(body): return body\n"):
            with self.subTest(source), Worker(source) as w:
                w.ready()
                n = 5000
                frames = b"".join(encode(TASK, i, None, b"%d" % i) for i in range(n))
                sender = threading.Thread(target=w.raw, args=(frames,))
                sender.start()
                for i in range(n):
                    w.expect(START, i)
                    self.assertEqual(w.expect(RESULT, i).value, i)
                sender.join()
                w.stop()


class Output(unittest.TestCase):
    def test_a_flood_of_output_corrupts_nothing(self):
        with Worker("import sys\ndef f(body):\n    for _ in range(2000): print('x' * 999)\n    sys.stderr.write('e' * 100000)\n    return 'done'\n") as w:
            got = {}

            def take(name, stream):
                got[name] = stream.read()

            readers = [threading.Thread(target=take, args=x) for x in (("out", w.process.stdout), ("err", w.process.stderr))]
            for r in readers:
                r.start()
            w.ready()
            self.assertEqual(w.call(1).value, "done")
            w.send(STOP)
            for r in readers:
                r.join(NET)
            self.assertEqual(w.exit_code(), 0)
            self.assertEqual((len(got["out"]), len(got["err"])), (2_000_000, 100_000))

    def test_lines_come_while_the_task_runs_and_the_rest_before_its_end(self):
        source = "import os, time\ndef f(body):\n    print('line')\n    while not os.path.exists('go'): time.sleep(0.001)\n    print('rest', end='')\n"
        with Worker(source) as w:
            w.ready()
            w.task(1)
            w.expect(START, 1)
            self.assertEqual(os.read(w.process.stdout.fileno(), 100), b"line\n")
            (w.cwd / "go").touch()
            w.expect(RESULT, 1)
            os.set_blocking(w.process.stdout.fileno(), False)
            self.assertEqual(os.read(w.process.stdout.fileno(), 100), b"rest")  # it is there when the end is

    def test_replaced_and_closed_streams_fail_no_task(self):
        with Worker("import sys, os\ndef f(body):\n    sys.stdout = None\n    sys.stderr.close()\n    os.close(1)\n    return 1\ndef g(body): return 2\n") as w:
            w.ready()
            self.assertEqual(w.call(1).value, 1)
            self.assertEqual(w.call(2, fn="g").value, 2)
            w.send(STOP)
            self.assertEqual(w.exit_code(), 0)


class Children(unittest.TestCase):
    SOURCE = """
import multiprocessing
def double(x): return x * 2
def f(body):
    with multiprocessing.get_context(body).Pool(1) as pool:
        return pool.map(double, [1, 2])
"""

    def test_multiprocessing(self):
        for direct in (False, True):
            for how in ("spawn", "fork", "forkserver"):
                with self.subTest(how, direct=direct), Worker(self.SOURCE, direct=direct) as w:
                    w.ready()
                    self.assertEqual(w.call(1, how).value, [2, 4])
                    w.stop()

    def test_multiprocessing_of_a_file_target_that_imports_the_sdk(self):
        # A child that cannot import the module is started again and again by multiprocessing: this would hang.
        for direct in (False, True):
            with self.subTest(direct=direct), Worker(files={"deep/job.py": "import ebbtide_worker\n" + self.SOURCE}, target="deep/job.py:f", direct=direct) as w:
                w.ready()
                self.assertEqual(w.call(1, "spawn").value, [2, 4])


if __name__ == "__main__":
    unittest.main()
