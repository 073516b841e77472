"""The life of a worker: start, load, READY, STOP, end of file, and how it is started."""

import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import unittest

from pool import *

ECHO = "def f(body): return body\n"


class Start(unittest.TestCase):
    def test_hello_says_who_it_is(self):
        for direct in (False, True):
            with self.subTest(direct=direct), Worker(ECHO, direct=direct) as w:
                self.assertEqual(w.hello.meta, {"proto": 1, "pid": w.process.pid, "lang": "python", "nonce": "n-1", "credits": 1})
                self.assertEqual((w.hello.id, w.hello.body), (0, b""))
                w.ready()
                self.assertEqual(w.call(5, [1, "ü"]).value, [1, "ü"])
                self.assertEqual(w.stop(), ("", ""))

    def test_hello_comes_before_the_code_is_loaded(self):
        with Worker("import time, os\nwhile not os.path.exists('go'): time.sleep(0.002)\n" + ECHO) as w:
            w.nothing()
            (w.cwd / "go").touch()
            w.ready()

    def test_started_as_a_module(self):
        with Worker(ECHO, argv=[sys.executable, "-m", "ebbtide_worker"], env={"PYTHONPATH": str(SDK)}) as w:
            w.ready()
            self.assertEqual(w.call(1, 2).value, 2)
            w.stop()

    def test_socket_at_another_descriptor(self):
        with Worker(ECHO, direct=True, fd=37) as w:
            w.ready()
            self.assertEqual(w.call(1, 2).value, 2)
            self.assertFalse(os.path.exists(f"/proc/{w.process.pid}/fd/37"))
            w.stop()

    def test_socket_with_a_path(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "s")
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(path)
            listener.listen()
            listener.settimeout(NET)
            with Worker(ECHO, direct=True, path=path, env={"EBBTIDE_SOCKET": path}, hello=False) as w:
                w.sock.close()
                w.sock = listener.accept()[0]
                w.sock.settimeout(NET)
                w.expect(HELLO)
                w.ready()
                self.assertEqual(w.call(1, 2).value, 2)
                w.stop()
            listener.close()

    def test_without_a_socket_it_says_so(self):
        run = subprocess.run([sys.executable, str(FILE)], stdin=subprocess.DEVNULL, capture_output=True, timeout=NET, text=True)
        self.assertEqual(run.returncode, 1)
        self.assertIn("no socket of a pool", run.stderr)

    def test_the_socket_is_high_up_and_not_inherited_and_stdin_is_empty(self):
        source = """
import os, subprocess, sys
def f(body):
    fds = {int(n): os.readlink(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{n}")}
    sockets = [n for n, to in fds.items() if to.startswith("socket:")]
    child = subprocess.run(["ls", "-l", "/proc/self/fd"], close_fds=False, capture_output=True, text=True).stdout
    return [fds[0], sockets, "socket:" in child, sys.stdin.read()]
"""
        for direct in (False, True):
            with self.subTest(direct=direct), Worker(source, direct=direct) as w:
                w.ready()
                zero, sockets, inherited, text = w.call(1).value
                self.assertEqual((zero, inherited, text), ("/dev/null", False, ""))
                self.assertEqual(len(sockets), 1)
                self.assertGreaterEqual(sockets[0], 100)

    def test_a_socket_handed_over_non_blocking_works(self):
        with tempfile.TemporaryDirectory() as folder:
            script = os.path.join(folder, "start.py")
            with open(script, "w") as f:
                f.write(f"import os, runpy\nos.set_blocking(0, False)\nrunpy.run_path({str(FILE)!r}, run_name='__main__')\n")
            with Worker(ECHO, argv=[sys.executable, script]) as w:
                w.ready()
                before = w.cpu_seconds()
                w.nothing(0.5)
                self.assertLess(w.cpu_seconds() - before, 0.2)  # it waits, and does not ask again and again
                self.assertEqual(w.call(1, 2).value, 2)

    def test_working_directory_is_first_on_the_path(self):
        source = "import sys, helper\ndef f(body): return [sys.path[0], helper.X]\n"
        for argv in (None, [sys.executable, str(FILE)], [sys.executable, "-m", "ebbtide_worker"]):
            with self.subTest(argv=argv), Worker(source, files={"helper.py": "X = 4"}, argv=argv, env={"PYTHONPATH": str(SDK)}) as w:
                w.ready()
                self.assertEqual(w.call(1).value, [str(w.cwd), 4])

    def test_target_is_a_file(self):
        files = {"deep/er/job.py": "import neighbour\ndef run(body): return [neighbour.N, body, __name__]\n", "deep/er/neighbour.py": "N = 1"}
        with Worker(files=files, target="deep/er/job.py:run") as w:
            w.ready()
            self.assertEqual(w.call(1, 2).value, [1, 2, "job"])

    def test_target_in_a_package(self):
        with Worker(files={"pack/__init__.py": "", "pack/job.py": "class C:\n  @staticmethod\n  def run(body): return body * 2\n"}, target="pack.job:C.run") as w:
            w.ready()
            self.assertEqual(w.call(1, 2).value, 4)

    def test_user_code_imports_the_very_sdk_that_runs(self):
        source = "import ebbtide_worker as e, sys\ndef f(body): return [e.worker_data, e.Cancelled.__module__, e is sys.modules['ebbtide_worker']]\n"
        for direct in (False, True):
            with self.subTest(direct=direct), Worker(source, direct=direct, env={"EBBTIDE_DATA": '{"a": [1]}'}) as w:
                w.ready()
                self.assertEqual(w.call(1).value, [{"a": [1]}, "ebbtide_worker", True])

    def test_worker_data_is_there_while_the_code_loads(self):
        with Worker("from ebbtide_worker import worker_data\ndef f(body): return worker_data\n", env={"EBBTIDE_DATA": "7"}) as w:
            w.ready()
            self.assertEqual(w.call(1).value, 7)

    def test_on_start_builds_the_state_before_ready(self):
        source = """
import ebbtide_worker as e
state = None
@e.on_start
def build():
    global state
    state = e.worker_data * 2
def f(body): return state
"""
        with Worker(source, env={"EBBTIDE_DATA": "21"}) as w:
            w.ready()
            self.assertEqual(w.call(1).value, 42)

    def test_asynchronous_on_start(self):
        source = "import asyncio, ebbtide_worker as e\ns = []\n@e.on_start\nasync def build():\n    await asyncio.sleep(0)\n    s.append(3)\ndef f(body): return s\n"
        with Worker(source) as w:
            w.ready()
            self.assertEqual(w.call(1).value, [3])

    def test_the_bootstrap_is_small(self):
        self.assertLess(len((SDK / "bootstrap.py").read_bytes()), 500)

    def test_frames_right_behind_the_source_are_not_swallowed(self):
        with Worker(ECHO, hello=False) as w:
            w.task(1, 5)
            w.expect(HELLO)
            w.ready()
            w.expect(START, 1)
            self.assertEqual(w.expect(RESULT, 1).value, 5)


class Quiet(unittest.TestCase):
    def test_an_idle_worker_and_one_whose_task_waits_take_no_time(self):
        source = "import asyncio, time\ndef f(body): time.sleep(1000)\n"
        for source in (source, source.replace("def", "async def").replace("time.sleep", "await asyncio.sleep")):
            with self.subTest(source), Worker(source) as w:
                w.ready()
                before = w.cpu_seconds()
                w.nothing(0.5)
                w.task(1)
                w.expect(START, 1)
                w.nothing(0.5)
                self.assertLess(w.cpu_seconds() - before, 0.3)


class LoadFails(unittest.TestCase):
    def failure(self, *parts, **kwargs):
        with Worker(**kwargs) as w:
            error = w.expect(ERROR, 0)
            for part in parts:
                self.assertIn(part, error.meta["message"])
            self.assertEqual(w.exit_code(), 1)
            return error.meta

    def test_no_such_module(self):
        self.failure("there is no module 'nix'", "PYTHONPATH", target="nix:f")

    def test_no_such_file(self):
        self.failure("there is no file", "no/where.py", "absolute path", target="no/where.py:f")

    def test_syntax_error(self):
        meta = self.failure("mod.py, line 2", "SyntaxError", "correct it", source="x = 1\ndef f(:\n")
        self.assertEqual(meta["name"], "SyntaxError")

    def test_a_module_it_needs_is_missing(self):
        self.failure("mod.py, line 3", "install 'not_there'", source="\n\nimport not_there\n")

    def test_an_error_while_it_loads(self):
        meta = self.failure("mod.py, line 2", "ZeroDivisionError", source="\n1/0\n")
        self.assertIn("1/0", meta["stack"])
        self.assertNotIn("ebbtide_worker", meta["stack"])

    def test_exit_while_it_loads(self):
        self.failure("ended the process", "exit code 3", "__main__", source="import sys\nsys.exit(3)\n")
        self.failure("ended the process", "saying 'no config'", source="import sys\nsys.exit('no config')\n")

    def test_a_file_may_have_the_name_of_a_module_of_python(self):
        for name in ("io", "types", "socket"):
            source = "async def f(body): return body\n"  # asyncio is loaded behind it, and needs them all
            with self.subTest(name), Worker(files={f"jobs/{name}.py": source}, target=f"jobs/{name}.py:f") as w:
                w.ready()
                self.assertEqual(w.call(1, 2).value, 2)

    def test_on_start_fails(self):
        meta = self.failure("mod.py, line 4", "no database", source="import ebbtide_worker as e\n@e.on_start\ndef s():\n    raise OSError('no database')\n")
        self.assertEqual(meta["name"], "OSError")

    def test_no_target(self):
        self.failure("EBBTIDE_TARGET is not set", target=None)

    def test_bad_settings(self):
        for name, value in (("EBBTIDE_CONCURRENCY", "0"), ("EBBTIDE_CONCURRENCY", "many"), ("EBBTIDE_MAX_FRAME", "-1"), ("EBBTIDE_DATA", "{"), ("EBBTIDE_PROTO", "2")):
            with self.subTest(name=name):
                self.failure(name if name != "EBBTIDE_PROTO" else "version 2", source=ECHO, env={name: value})

    def test_what_was_printed_before_is_not_lost(self):
        with Worker("print('here', end='')\n1/0\n") as w:
            w.expect(ERROR, 0)
            w.exit_code()
            self.assertEqual(w.process.stdout.read(), b"here")


class End(unittest.TestCase):
    def test_stop_finishes_what_it_has(self):
        with Worker(ECHO) as w:
            w.ready()
            w.raw(b"".join(encode(TASK, i, None, b"%d" % i) for i in range(5)) + encode(STOP))
            for i in range(5):
                w.expect(START, i)
                self.assertEqual(w.expect(RESULT, i).value, i)
            self.assertEqual(w.exit_code(), 0)

    def test_threads_and_children_left_behind_do_not_hold_up_stop(self):
        source = """
import threading, time, atexit, concurrent.futures
def f(body):
    threading.Thread(target=time.sleep, args=(1000,)).start()
    concurrent.futures.ThreadPoolExecutor().submit(time.sleep, 1000)
    print("no newline", end="")
"""
        with Worker(source) as w:
            w.ready()
            w.call(1)
            self.assertEqual(w.stop()[0], "no newline")

    def test_on_stop_is_called(self):
        with Worker("import ebbtide_worker as e\n@e.on_stop\ndef bye(): print('bye', end='')\n" + ECHO) as w:
            w.ready()
            self.assertEqual(w.stop()[0], "bye")

    def test_end_of_file_ends_it_whatever_it_does(self):
        bodies = {
            "idle": None,
            "busy": "while True: pass",
            "sleep": "time.sleep(1000)",
            "asynchronous": "await asyncio.sleep(1000)",
            "blocking in a coroutine": "while True: pass",
        }
        for name, code in bodies.items():
            kind = "async def" if "corout" in name or name == "asynchronous" else "def"
            source = f"import time, asyncio\n{kind} f(body):\n    open('in', 'w').close()\n    {code or 'pass'}\n"
            with self.subTest(name), Worker(source) as w:
                w.ready()
                if code:
                    w.task(1)
                    w.expect(START, 1)
                    w.wait_for_file("in")
                w.sock.close()
                self.assertEqual(w.exit_code(), 0)

    def test_end_of_file_while_it_loads(self):
        with Worker("open('in', 'w').close()\nwhile True: pass\n") as w:
            w.wait_for_file("in")
            w.sock.close()
            self.assertEqual(w.exit_code(), 0)

    def test_end_of_file_in_the_bootstrap(self):
        ours, theirs = socket.socketpair()
        process = subprocess.Popen([sys.executable, "-c", (SDK / "bootstrap.py").read_text()], stdin=theirs)
        theirs.close()
        ours.sendall(struct.pack("<I", 100) + b"half")
        ours.close()
        self.assertEqual(process.wait(NET), 0)

    def test_a_forked_child_does_not_keep_the_socket(self):
        source = """
import os, time
def f(body):
    pid = os.fork()
    if pid == 0:
        time.sleep(1000)
        os._exit(0)
    return pid
"""
        with Worker(source) as w:
            w.ready()
            child = w.call(1).value
            try:
                w.process.kill()
                self.assertEqual(w.sock.recv(1), b"")  # and not a wait for a child that sleeps
            finally:
                os.kill(child, signal.SIGKILL)

    def test_a_forked_child_cannot_speak(self):
        source = """
import os
def f(body, task):
    r, out = os.pipe()
    if os.fork() == 0:
        try:
            task.progress("x")
        except RuntimeError as e:
            os.write(out, str(e).encode())
        os._exit(0)
    os.close(out)
    return os.read(r, 1000).decode()
"""
        with Worker(source) as w:
            w.ready()
            self.assertIn("only the worker itself", w.call(1).value)

    def test_where_there_is_no_pool_what_is_said_goes_to_standard_error(self):
        source = "import ebbtide_worker as e\ne.log('warn', 'late')\ne.Task(1, {}).progress('half')\n"
        env = {k: v for k, v in os.environ.items() if k != "EBBTIDE_PROTO"}
        said = subprocess.run([sys.executable, "-c", source], cwd=FILE.parent, env=env, capture_output=True, text=True)
        self.assertEqual((said.returncode, said.stderr), (0, "ebbtide_worker: warn: late\nebbtide_worker: progress: half\n"))

    def test_interrupt_is_ignored_and_terminate_ends_it(self):
        with Worker(ECHO) as w:
            w.ready()
            w.process.send_signal(signal.SIGINT)
            self.assertEqual(w.call(1, 2).value, 2)
            w.process.send_signal(signal.SIGTERM)
            self.assertEqual(w.exit_code(), -signal.SIGTERM)


class Malformed(unittest.TestCase):
    def end_of(self, data, before=b"", ready=True, env=None):
        with Worker(ECHO, env=env) as w:
            if ready:
                w.ready()
            w.raw(before + data)
            self.assertEqual(w.exit_code(), 70)
            text = w.process.stderr.read().decode()
            self.assertIn("protocol", text)
            return text

    def test_garbage(self):
        self.end_of(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")

    def test_huge_length_before_the_rest_of_the_header(self):
        self.assertIn("4294967295", self.end_of(b"\xff\xff\xff\xff"))

    def test_length_over_the_limit(self):
        self.assertIn("5000", self.end_of(struct.pack("<IBBHQ", 5000, TASK, 0, 0, 1), env={"EBBTIDE_MAX_FRAME": "4999"}))

    def test_length_less_than_the_header(self):
        self.end_of(b"\x03\0\0\0")

    def test_length_less_than_meta(self):
        self.end_of(struct.pack("<IBBHQ", 20, TASK, 0, 9, 1) + b"x" * 8)

    def test_unknown_type(self):
        self.assertIn("99", self.end_of(encode(99)))

    def test_types_of_the_other_direction(self):
        self.end_of(encode(RESULT, 1))

    def test_meta_is_no_json(self):
        self.end_of(struct.pack("<IBBHQ", 15, TASK, 0, 3, 1) + b"{a}")

    def test_meta_is_no_object(self):
        self.end_of(struct.pack("<IBBHQ", 15, TASK, 0, 3, 1) + b"[1]")

    def test_meta_is_no_utf8(self):
        self.end_of(struct.pack("<IBBHQ", 15, TASK, 0, 3, 1) + b'"\xff"')

    def test_fields_of_the_wrong_type(self):
        for meta in ({"fn": 7}, {"attempt": "1"}, {"content_type": []}, {"deadline_ms": "x"}):
            with self.subTest(meta):
                self.end_of(encode(TASK, 1, meta, b"1"))

    def test_batch_with_half_an_item(self):
        self.end_of(encode(BATCH, 0, None, b"\x01\0\0\0"))

    def test_batch_with_an_item_too_long(self):
        self.end_of(encode(BATCH, 0, None, struct.pack("<IQ", 5, 1) + b"1234"))

    def test_recall_with_half_an_id(self):
        self.end_of(encode(RECALL, 0, None, b"1234"))

    def test_state_after_ready(self):
        self.end_of(encode(SNAPSHOT_ASKED, 1, None, b"\0{}", flags=1))

    def test_during_a_task(self):
        with Worker("import time\ndef f(body): time.sleep(1000)\n") as w:
            w.ready()
            w.task(1)
            w.expect(START, 1)
            w.raw(encode(99))
            self.assertEqual(w.exit_code(), 70)

    def test_half_a_frame_and_then_the_end(self):
        with Worker(ECHO) as w:
            w.ready()
            w.raw(encode(TASK, 1, None, b"1")[:-1])
            w.nothing(0.1)
            w.sock.shutdown(socket.SHUT_WR)
            self.assertEqual(w.exit_code(), 0)

    def test_unknown_flags_and_fields_are_ignored(self):
        with Worker(ECHO) as w:
            w.ready()
            w.send(TASK, 1, {"new": {"x": 1}}, b"1", flags=0xFE)
            w.expect(START, 1)
            self.assertEqual(w.expect(RESULT, 1).value, 1)

    def test_frames_byte_by_byte(self):
        with Worker(ECHO) as w:
            w.ready()
            w.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            for b in encode(TASK, 1, {"attempt": 2}, b'"abc"') + encode(PING, 4):
                w.raw(bytes([b]))
            w.expect(START, 1)
            self.assertEqual(w.expect(RESULT, 1).value, "abc")
            w.expect(PONG, 4)

    def test_a_frame_of_exactly_the_limit(self):
        with Worker(ECHO, env={"EBBTIDE_MAX_FRAME": "5000"}) as w:
            w.ready()
            body = b'"' + b"x" * (5000 - 12 - 2) + b'"'
            self.assertEqual(w.call(1, body=body).body, body)


if __name__ == "__main__":
    unittest.main()
