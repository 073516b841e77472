"""Python's pools in the race of worker processes.

`python3 processes.py CONTENDER` reads laps, one per line (`KIND PRODUCERS WORKERS SIZE`, the size in milliseconds), and answers each with
`= VALUE…` or `! WHY NOT`. The function is the one that ebbtide's Python processes run.
"""

import collections
import os
import sys
import time

from echo import echo

KIB, MIB = 1 << 10, 1 << 20
CHUNKED = 10_000
CHUNK = 100


class NotOffered(Exception):
    pass


def tree_cpu():
    """CPU time of this process, its threads and all its descendants, in nanoseconds."""
    parents = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", encoding="latin-1") as stat:
                parents[int(pid)] = int(stat.read().rpartition(")")[2].split()[1])
        except OSError:
            pass  # It has ended in between.

    def ours(pid):
        while pid and pid != os.getpid():
            pid = parents.get(pid)
        return bool(pid)

    total = 0
    for pid in filter(ours, list(parents)):
        try:
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/schedstat", encoding="latin-1") as stat:
                    total += int(stat.read().split()[0])
        except OSError:
            pass
    return total


class Executor:
    """What has `submit` and futures: the standard library's and loky's."""

    def __init__(self, pool, has_map=True):
        self.pool, self.has_map = pool, has_map

    def submit(self, value):
        return self.pool.submit(echo, value).result

    def map(self, values):
        return self.pool.map(echo, values, chunksize=CHUNK)

    def end(self):
        self.pool.shutdown()


class Multiprocessing:
    def __init__(self, workers):
        import multiprocessing

        self.pool = multiprocessing.Pool(workers)

    def submit(self, value):
        return self.pool.apply_async(echo, (value,)).get

    def map(self, values):
        return self.pool.map(echo, values, chunksize=CHUNK)

    def end(self):
        self.pool.terminate()


class Pebble:
    def __init__(self, workers):
        import pebble

        self.pool = pebble.ProcessPool(workers)

    def submit(self, value):
        return self.pool.schedule(echo, (value,)).result

    def map(self, values):
        return self.pool.map(echo, values, chunksize=CHUNK).result()

    def end(self):
        self.pool.stop()
        self.pool.join()


def concurrent_futures(workers):
    import concurrent.futures

    return Executor(concurrent.futures.ProcessPoolExecutor(workers))


def loky(workers):
    import loky

    return Executor(loky.ProcessPoolExecutor(workers))


CONTENDERS = {
    "concurrent.futures": concurrent_futures,
    "multiprocessing": Multiprocessing,
    "loky": loky,
    "pebble": Pebble,
}


def timed(ms, run):
    """`run(end)` gives how many tasks it has done: nanoseconds and CPU nanoseconds per task."""
    cpu, begin = tree_cpu(), time.perf_counter()
    done = run(begin + ms / 1000)
    wall = (time.perf_counter() - begin) * 1e9
    return wall / done, (tree_cpu() - cpu) / done


def in_flight(pool, ms, window, values):
    """So many at a time; the oldest is waited for, as on ebbtide's side."""

    def run(end):
        waiting, done = collections.deque(), 0
        while time.perf_counter() < end:
            value = values[done % len(values)]
            if len(waiting) == window:
                sent, result = waiting.popleft()
                check(sent, result())
            waiting.append((value, pool.submit(value)))
            done += 1
        for sent, result in waiting:
            check(sent, result())
        return done

    return timed(ms, run)


def chunked(pool, ms, values):
    def run(end):
        done = 0
        while True:
            back = list(pool.map(values))
            if back != values:
                raise ValueError("a wrong value came back")
            done += len(back)
            if time.perf_counter() >= end:
                return done

    return timed(ms, run)


def check(sent, back):
    if len(sent) != len(back):
        raise ValueError("a wrong value came back")


def distinct(count):
    """Strings of 1 KiB; the same object again and again would be pickled once for a whole chunk."""
    return [f"{number:08}" * (KIB // 8) for number in range(count)]


class Contender:
    def __init__(self, name):
        self.name, self.pool, self.values = name, None, None

    def lap(self, kind, workers, ms):
        courses = {
            "process-python": lambda: in_flight(self.pool, ms, 64, self.values),
            "process-python-chunked": lambda: chunked(self.pool, ms, self.values),
            "process-python-mib": lambda: in_flight(self.pool, ms, 4, [b"x" * MIB]),
        }
        if kind not in courses:
            raise NotOffered("this scenario is not for Python")
        if self.pool is None:
            self.pool = CONTENDERS[self.name](workers)
            self.values = distinct(CHUNKED)
            # All workers are there.
            for result in [self.pool.submit("x") for _ in range(100)]:
                result()
        return courses[kind]()


def main():
    contender = Contender(sys.argv[1])
    for line in sys.stdin:
        kind, _producers, workers, size = line.split()
        try:
            answer = "= " + " ".join(map(str, contender.lap(kind, int(workers), int(size))))
        except NotOffered as why:
            answer = f"! {why}"
        except Exception as error:
            answer = f"! FAILED: {type(error).__name__}: {error}"
        print(answer, flush=True)
    if contender.pool is not None:
        contender.pool.end()


if __name__ == "__main__":
    main()
