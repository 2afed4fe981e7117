"""Models with one thing or a few wrong: run_mutants.py [--only N] [--keep FOLDER] [COUNT]

fulgurc has to end by itself with exit code 0, 1, 3 or 5, after one line "error: ..." unless it is 0, within 10 s of CPU time and
2 GiB of memory. The mutants are made from ONNX's backend tests and the models in hostile_seeds.py, the same for every COUNT; 1500 by
default. Those that fail are kept in build/mutants.
"""

import argparse
import random
import re
import sys
from pathlib import Path

import backend
import hostile_seeds
import mutate
import toolchain

ALLOWED = {0, 1, 3, 5}  # compiled, model error, unsupported, resource limit
SECONDS, BYTES = 10, 2 << 30
STUCK = 120  # seconds by the clock, on a machine that does other things too


def check(data, folder):
    """None, or what is wrong with the way fulgurc took this file."""
    (folder / "model.onnx").write_bytes(data)
    (folder / "data.bin").write_bytes(bytes(4096))
    (folder / "out").mkdir()
    ended = toolchain.call(toolchain.COMPILER, folder / "model.onnx", "-o", folder / "out" / "m", "--emit=obj", timeout=STUCK)
    if ended.code not in ALLOWED:
        return ended.reason()
    if ended.cpu_seconds > SECONDS:
        return f"took {ended.cpu_seconds:.1f} s"
    if ended.peak_bytes > BYTES:
        return f"took {ended.peak_bytes >> 20} MiB"
    if ended.code and len(re.findall(r"\berror:", ended.output)) != 1:
        return f"has no single line 'error:' but {ended.output[:300]!r}"
    left = sorted(path.name for path in (folder / "out").iterdir())
    return f"left {' '.join(left)}" if ended.code and left else None


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", type=int, help="this mutant only")
    options.add_argument("--keep", type=Path, default=toolchain.ROOT / "build" / "mutants", help="for mutants that fail")
    options.add_argument("count", type=int, nargs="?", default=1500)
    options = options.parse_args()
    seeds = hostile_seeds.models()
    for case in backend.load_cases():
        if case.model.ByteSize() < 100_000:
            seeds.append((case.name, case.model))

    def one(number):
        source = random.Random(f"mutant {number}")
        # Often one of the few seeds that have everything.
        pool = seeds[: hostile_seeds.COUNT] if source.random() < 0.3 else seeds
        name, model = source.choice(pool)
        data = mutate.mutant(source, model)
        with toolchain.scratch() as scratch:
            wrong = check(data, Path(scratch))
        if wrong:
            options.keep.mkdir(parents=True, exist_ok=True)
            (options.keep / f"{number}.onnx").write_bytes(data)
            wrong = f"FAIL mutant {number} of {name}: {wrong}"
        return wrong

    numbers = range(options.count) if options.only is None else [options.only]
    failures = 0
    for _, wrong in toolchain.in_parallel(one, numbers):
        if wrong:
            print(wrong, flush=True)
            failures += 1
    print(f"{len(numbers) - failures} of {len(numbers)} mutants taken as they should be")
    return failures > 0


if __name__ == "__main__":
    sys.exit(main())
