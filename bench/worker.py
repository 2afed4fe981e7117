"""One engine in a process of its own. Reads commands as lines of JSON, answers each with a line: see turns.py for the other side."""

import json
import os
import sys
import time

import numpy as np

import disturbance
import engines

IDLE = 0.02  # share of a CPU below which the engine's threads are taken to sleep
SETTLE_SECONDS = 2.0


def memory(field):
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
    return 0


def forget_peak():
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        pass  # the peak is then that of the whole process


def settle():
    """Waits until the threads of this process sleep, and says how long that took and how much CPU time."""
    start, cpu = time.monotonic(), time.process_time()
    while time.monotonic() - start < SETTLE_SECONDS:
        before, began = time.process_time(), time.monotonic()
        time.sleep(0.01)
        if time.process_time() - before < IDLE * (time.monotonic() - began):
            break
    return {"settle_seconds": time.monotonic() - start, "settle_cpu_ms": (time.process_time() - cpu) * 1e3}


class Worker:
    def __init__(self):
        self.threads = disturbance.Threads()

    def load(self, engine, case, threads, precision, built):
        with np.load(case["inputs"]) as stored:
            case["inputs"] = dict(stored)
        module = engines.load(engine)
        forget_peak()
        self.baseline = memory("VmRSS")
        if reason := module.missing():  # imports what it needs
            raise engines.Unavailable(reason)
        start = time.perf_counter()
        self.engine = module.Engine(case, threads, precision, built)
        loaded = time.perf_counter()
        if self.engine.not_its_own:
            forget_peak()
        first = time.perf_counter()
        self.engine.run()
        done = time.perf_counter()
        facts = self.engine.facts
        load_ms = None if facts.get("built") else (loaded - start) * 1e3
        return {"version": self.engine.version, "load_ms": load_ms, "first_ms": load_ms and load_ms + (done - first) * 1e3,
                "facts": facts}

    def block(self, runs, warm):
        """`runs` measured runs after `warm` others; gives the turn back when all threads sleep.

        How long the engine's threads waited for a CPU is read between the runs, and is in neither time. What the hypervisor stole takes
        longer to read, and is shared out to all runs of the block.
        """
        run, clock, times, waits = self.engine.run, time.perf_counter, [], []
        for _ in range(warm):
            run()
        self.threads.update()
        waited, stolen = self.threads.waited, self.threads.stolen()
        cpu, before = time.process_time(), waited()
        began = clock()
        for _ in range(runs):
            start = clock()
            run()
            times.append((clock() - start) * 1e3)
            after = waited()
            waits.append(after - before)
            before = after
        reading = (clock() - began) * 1e3 - sum(times)
        cpu = ((time.process_time() - cpu) * 1e3 - reading) / runs
        stolen = self.threads.stolen() - stolen
        return {"times": times, "lost": [(wait + stolen / runs) / 1e6 for wait in waits], "cpu_ms": cpu, **settle()}

    def results(self, path):
        peak = memory("VmHWM") - self.baseline - self.engine.not_its_own
        np.savez(path, *self.engine.outputs())
        return {"peak_bytes": max(0, peak)}


def main():
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever an engine prints goes elsewhere
    worker = Worker()
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer = getattr(worker, command.pop("do"))(**command)
        except engines.Unavailable as error:
            answer = {"error": str(error)}
        except Exception as error:  # an engine may raise anything
            answer = {"error": f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
