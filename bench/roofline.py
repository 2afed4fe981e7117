"""What this machine can do, by roofline.c, compiled on the fly: peaks of arithmetic and of reading, for 1..N threads."""

import json
import os
import platform
import shutil
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


class Reader:
    """Reads memory with so many threads, in huge pages, whenever it is its turn; None in `process` where it cannot be built."""

    def __init__(self, threads):
        with tempfile.TemporaryDirectory(prefix="fulgur-bench-") as folder:
            program = built(folder)
            self.process = program and subprocess.Popen([program, str(threads), str(memory_bytes())], stdin=subprocess.PIPE,
                                                        stdout=subprocess.PIPE, text=True)
            if self.process:
                self.gbs()  # it runs: the file may go

    def gbs(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

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
