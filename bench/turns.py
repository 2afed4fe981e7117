"""Engines measured in turns: every one in a process of its own, one block of runs each, again and again.

Why blocks with a rest: threads of ONNX Runtime and OpenMP go on spinning for a while after a run (22 ms of CPU time after a block of ONNX
Runtime's with two threads) and take the CPU from whoever comes next, so a worker gives the turn back only when its threads sleep. The
first run of a block wakes them up and fetches the weights into the caches again; it is not counted. MiniLM on two threads and a
busy machine, medians in ms: in turns run by run Fulgur 76, OpenVINO 123, ONNX Runtime 132; in blocks 47, 76, 113.

Why processes, when blocks in one process give the same times (51, 75, 108): the peak of memory is then one engine's, thread pools
(OpenMP's, TBB's, an engine's own) cannot get mixed up, nobody inherits allocator, environment or CPU affinity of another one, and
one that crashes is left out. The clock is read inside the worker, around the run only; meanwhile the others wait in a read.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import case as cases
import engines

BLOCK_SECONDS = 0.2
MOST_RUNS = 50  # in a block
FEWEST_ROUNDS = 5
SLOWER, MOVED = 1.1, 1.3  # how far the machine's state may be from the usual one: work, and a word from thread to thread


class Worker:
    """The side of the caller. Raises engines.Unavailable when the engine says so, or dies."""

    def __init__(self, engine, threads):
        here = Path(__file__).resolve().parent
        count = str(threads)
        environment = dict(os.environ, OMP_NUM_THREADS=count, MKL_NUM_THREADS=count, OPENBLAS_NUM_THREADS=count,
                           PYTHONUNBUFFERED="1", TOKENIZERS_PARALLELISM="false")
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen([sys.executable, str(here / "worker.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.log, text=True, env=environment)
        self.engine = engine

    def ask(self, do, **arguments):
        try:
            self.process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self.process.wait()
            self.log.seek(0)
            last = (self.log.read().strip().splitlines() or [""])[-1]
            raise engines.Unavailable(f"its process ended with code {self.process.returncode} {last}".strip())
        answer = json.loads(line)
        if "error" in answer:
            raise engines.Unavailable(answer["error"])
        return answer

    def close(self):
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass  # it has died already
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.log.close()


def build(module, engine, case, precision, options, folder):
    """What the engine does ahead of time, once for all thread counts; so does its failure."""
    if not hasattr(module, "build"):
        return {}
    if engine not in options["built"]:
        try:
            if reason := module.missing():
                raise engines.Unavailable(reason)
            (folder / engine).mkdir()
            described = {**case.described(), "inputs": case.arrays()}
            options["built"][engine] = module.build(described, folder / engine, {**options, "precision": precision})
        except engines.Unavailable as error:
            options["built"][engine] = error
    if isinstance(options["built"][engine], engines.Unavailable):
        raise options["built"][engine]
    return options["built"][engine]


def prepare(engine, case, threads, precision, options, folder):
    """Builds and loads an engine; returns its worker and what is known of it so far."""
    module = engines.load(engine)
    if precision not in module.PRECISIONS:
        raise engines.Unavailable(f"it does not compute in {precision}")
    built = build(module, engine, case, precision, options, folder)
    worker = Worker(engine, threads)
    try:
        loaded = worker.ask("load", engine=engine, case=case.described(), threads=threads, precision=precision, built=built)
    except engines.Unavailable:
        worker.close()
        raise
    facts = {key: value for key, value in built.items() if isinstance(value, (int, float))}
    return worker, {"engine": engine, "name": module.NAME, **facts, **loaded.pop("facts"), **loaded}


def runs_of(once):
    """How many runs a block has when one takes so many seconds."""
    return max(1, min(MOST_RUNS, round(BLOCK_SECONDS / max(once, 1e-6))))


def usual(states):
    """Which of the machine's states are the usual one."""
    piece, word = (float(np.median(figures)) for figures in zip(*states))
    return [state[0] < SLOWER * piece and word / MOVED < state[1] < word * MOVED for state in states]


def take_turns(workers, results, seconds, control=None):
    """Measures until `seconds` are over; adds the times of the runs, round by round.

    Returns what the machine itself did in its turns: the times of work as long as the fastest engine's runs, and the rates of reading.
    Its state is looked at between all turns; a block is steady when it was the usual one before and after.
    """
    control = control if control and control.process else None
    once = {worker: min(worker.ask("block", runs=2, warm=1)["times"]) / 1e3 for worker in workers}
    runs, least = {worker: runs_of(once[worker]) for worker in workers}, min(once.values())
    machine, states, blocks = {"rounds": [], "lost": [], "rates": []}, [], []
    if control:
        control.aim(least)
        states.append(control.state())

    def add(figures, times, lost):
        figures.setdefault("rounds", []).append([round(spent, 4) for spent in times])
        figures.setdefault("lost", []).append([round(part, 4) for part in lost])
        if control:
            states.append(control.state())
            blocks.append(figures)

    end, rounds = time.monotonic() + seconds, 0
    while rounds < FEWEST_ROUNDS or time.monotonic() < end:
        first = rounds % len(workers)
        for worker in workers[first:] + workers[:first]:
            block = worker.ask("block", runs=runs[worker], warm=1)
            result = results[worker.engine]
            result.setdefault("cpu_ms", []).append(block["cpu_ms"])
            result.setdefault("settle_cpu_ms", []).append(block["settle_cpu_ms"])
            add(result, block["times"], block["lost"])
        rounds += 1
        if control:
            add(machine, *control.block(runs_of(least)))
            machine["rates"].append(control.gbs())
    if control:
        as_usual = usual(states)
        for figures, before, after in zip(blocks, as_usual, as_usual[1:]):
            figures.setdefault("steady", []).append(before and after)
    return machine


def measure(case, names, threads, precision, options, control=None, say=print):
    """All engines on one case: a list of their figures, {engine: why it is missing}, and what the machine itself did meanwhile."""
    workers, results, missing = [], {}, {}
    with tempfile.TemporaryDirectory(prefix="fulgur-bench-") as scratch:
        scratch = Path(options.get("keep") or scratch)
        try:
            for name in names:
                try:
                    worker, result = prepare(name, case, threads, precision, options, scratch)
                except engines.Unavailable as error:
                    missing[name] = str(error)
                    say(f"  {engines.load(name).NAME} is left out: {error}")
                    continue
                workers.append(worker)
                results[name] = result
            if not workers:
                return [], missing, {"rounds": [], "rates": []}
            machine = take_turns(workers, results, options["seconds"], control)
            outputs = {}
            for worker in workers:
                path = scratch / f"{worker.engine}.npz"
                results[worker.engine].update(worker.ask("results", path=str(path)))
                with np.load(path) as stored:
                    outputs[worker.engine] = list(stored.values())
            same = {name: getattr(engines.load(name), "COMPUTES_THE_SAME", True) for name in outputs}
            expected = outputs[max(reversed(outputs), key=same.get)]
            if case.reference:
                with np.load(case.reference) as stored:
                    expected = list(stored.values())
            for name, arrays in outputs.items():
                results[name]["difference"] = cases.difference(arrays, expected) if same[name] else None
        finally:
            for worker in workers:
                worker.close()
    for result in results.values():
        result["cpu_ms"] = float(np.median(result["cpu_ms"]))
        result["settle_cpu_ms"] = float(np.median(result["settle_cpu_ms"]))
    return list(results.values()), missing, machine
