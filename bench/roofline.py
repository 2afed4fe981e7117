"""What this machine can do, by roofline.c, compiled on the fly: peaks of arithmetic and of reading, for 1..N threads."""

import json
import os
import platform
import shutil
import statistics
import subprocess
import tempfile
from pathlib import Path

import stats

DEFAULT_CACHE = 32 << 20


def last_level_cache():
    """Bytes of the largest cache of this CPU."""
    found = [DEFAULT_CACHE] * (not os.path.isdir("/sys/devices/system/cpu/cpu0/cache"))
    for path in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"):
        text = path.read_text().strip()
        found.append(int(text[:-1]) << {"K": 10, "M": 20}[text[-1]])
    return max(found)


def built(folder):
    """The program, or None."""
    compiler = next(filter(None, map(shutil.which, ("clang-22", "clang"))), None)
    if not compiler:
        print("no roofline: it needs clang")
        return None
    program = f"{folder}/roofline"
    source = Path(__file__).with_name("roofline.c")
    subprocess.run([compiler, "-O2", "-march=native", "-ffp-contract=fast", "-pthread", source, "-o", program], check=True)
    return program


def memory_bytes():
    """So many that no cache has a share of them that matters."""
    return max(8 * last_level_cache(), 256 << 20)


def measured(threads):
    """{"cache_bytes", "threads": {"1": {"f32_gflops", "bf16_gflops", "int8_gops", "cache_gbs", "memory_gbs"}, ...}}, or None."""
    cache = last_level_cache()
    with tempfile.TemporaryDirectory(prefix="fulgur-bench-") as folder:
        program = built(folder)
        if not program:
            return None
        done = subprocess.run([program, str(threads), str(cache // 4), str(memory_bytes())], check=True, text=True,
                              capture_output=True)
    return {"cache_bytes": cache, "threads": json.loads(done.stdout)}


class Control:
    """The machine itself: a fixed piece of work by so many threads, without any engine, whenever it is its turn.

    The work is reading memory, in huge pages, or multiply-adds with what is in a core's cache and what comes from memory; each thread has
    an equal part, and a run is over when all are through with theirs. `process` is None where it cannot be built.
    """

    CALIBRATION = 300_000  # steps
    SAMPLE_SECONDS, SAMPLES = 0.002, 5
    HAND_OVERS, TRIES = 100, 3

    def __init__(self, threads, reads=False):
        self.threads, self.kind, self.amount, self.sample = threads, "r" if reads else "c", None, None
        with tempfile.TemporaryDirectory(prefix="fulgur-bench-") as folder:
            program = built(folder)
            self.process = program and subprocess.Popen([program, str(threads), str(memory_bytes())], stdin=subprocess.PIPE,
                                                        stdout=subprocess.PIPE, text=True)
            if self.process:
                self.gbs()  # it runs: the file may go

    def _times(self, runs, kind, amount):
        """Milliseconds of each run, and for how many of them its threads were kept from running."""
        self.process.stdin.write(f"{runs} {kind} {amount}\n")
        self.process.stdin.flush()
        numbers = [float(number) for number in self.process.stdout.readline().split()]
        return numbers[::2], numbers[1::2]

    def gbs(self):
        """The rate of reading all of the memory once."""
        return memory_bytes() / self._times(1, "r", memory_bytes())[0][0] / 1e6

    def aim(self, seconds):
        """Makes a run take about so long."""
        if self.kind == "r":
            rate = statistics.median(self.gbs() for _ in range(5)) * 1e9
        else:
            rate = self.CALIBRATION * 1e3 / statistics.median(self._times(21, "c", self.CALIBRATION)[0])
        self.amount, self.sample = (max(1, int(rate * spent)) for spent in (seconds, self.SAMPLE_SECONDS))

    def block(self, runs, warm=1):
        """Times of runs in milliseconds, and what of them was lost."""
        times, lost = self._times(warm + runs, self.kind, self.amount)
        return times[warm:], lost[warm:]

    def state(self):
        """How long short pieces of the work take now at the most, and how long a word from thread to thread.

        The slowest piece tells of what others do now and then; those that a thread was kept from do not count. The word tells where
        the host has the CPUs: on an EPYC 7 microseconds when two cores share a cache, and 3 when both are one core's, which then
        computes half as fast.
        """
        pieces = list(zip(*self._times(self.SAMPLES, self.kind, self.sample)))
        piece = max([spent for spent, lost in pieces if lost <= stats.DISTURBED * spent] or [min(pieces)[0]])
        return piece, min(self._times(self.TRIES, "x", self.HAND_OVERS)[0]) if self.threads > 1 else 1.0

    def close(self):
        if self.process:
            self.process.stdin.close()
            self.process.wait()
            self.process.stdout.close()


def machine():
    """What a reader wants to know of it."""
    fields = {}
    with open("/proc/cpuinfo") as lines:
        for line in lines:
            key, _, value = line.partition(":")
            fields.setdefault(key.strip(), value.strip())
    flags = fields.get("flags", "").split()
    return {"cpu": fields.get("model name", platform.machine()), "cpus": len(os.sched_getaffinity(0)),
            "features": [flag for flag in ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile") if flag in flags],
            "kernel": platform.release()}


if __name__ == "__main__":
    print(json.dumps(measured(len(os.sched_getaffinity(0))), indent=1))
