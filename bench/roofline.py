"""What this machine can do, by roofline.c, compiled on the fly: peaks of arithmetic and of reading, for 1..N threads."""

import json
import os
import platform
import shutil
import statistics
import subprocess
import tempfile
from pathlib import Path

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

    The work is reading memory, in huge pages, or multiply-adds; each thread has an equal part, and a run is over when all are through
    with theirs. `process` is None where it cannot be built.
    """

    CALIBRATION = 300_000  # steps

    def __init__(self, threads, reads=False):
        self.reads, self.work = reads, None
        with tempfile.TemporaryDirectory(prefix="fulgur-bench-") as folder:
            program = built(folder)
            self.process = program and subprocess.Popen([program, str(threads), str(memory_bytes())], stdin=subprocess.PIPE,
                                                        stdout=subprocess.PIPE, text=True)
            if self.process:
                self.gbs()  # it runs: the file may go

    def _times(self, runs, steps, count):
        self.process.stdin.write(f"{runs} {steps} {count}\n")
        self.process.stdin.flush()
        return [float(spent) for spent in self.process.stdout.readline().split()]

    def gbs(self):
        """The rate of reading all of the memory once."""
        return memory_bytes() / self._times(1, 0, memory_bytes())[0] / 1e6

    def aim(self, seconds):
        """Makes a run take about so long."""
        if self.reads:
            self.work = 0, int(statistics.median(self.gbs() for _ in range(5)) * seconds * 1e9)
        else:
            usual = statistics.median(self._times(21, self.CALIBRATION, 0)) / 1e3
            self.work = max(1, int(self.CALIBRATION * seconds / usual)), 0

    def block(self, runs, warm=1):
        """Times in milliseconds."""
        return self._times(warm + runs, *self.work)[warm:]

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
