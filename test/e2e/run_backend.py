"""ONNX's own backend tests: run_backend.py [--all | --record] [PATTERN]

By default the cases listed in backend_passing.txt run, and all of them must pass: those marked `symbolic` also with symbols for the
sizes of their inputs. --all runs every case, prints what is wrong or crashes, and counts; cases that are refused with exit code 3 are
no failure. --record does the same and rewrites the list, without the cases that repeat another one with its function expanded.
`./dev conformance` reports on all cases.
"""

import argparse
import collections
import sys
from pathlib import Path

import backend
import toolchain

LIST = Path(__file__).resolve().parent / "backend_passing.txt"


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--all", action="store_true")
    options.add_argument("--record", action="store_true")
    options.add_argument("pattern", nargs="?", default="")
    options = options.parse_args()
    everything = options.all or options.record
    lines = LIST.read_text(encoding="utf-8").splitlines() if LIST.exists() else []
    listed = {name: mark == "symbolic" for name, _, mark in (line.partition(" ") for line in lines)}
    work = []
    for case in backend.load_cases(options.pattern):
        if everything or case.name in listed:
            work.append((case, False))
        if (options.record or listed.get(case.name) and not options.all) and backend.with_symbols(case.model):
            work.append((case, True))
    if not work:
        toolchain.skip(f"no case is chosen by {LIST.name}")

    names = collections.defaultdict(list)
    for (case, symbolic), verdict in toolchain.in_parallel(lambda item: backend.judge(*item), work):
        names[symbolic, verdict.result].append(case.name)
        if verdict.result in backend.WRONG or verdict.result != "pass" and not everything:
            print(f"{verdict.result} {case.name}{' with symbols' if symbolic else ''}: {verdict.reason}", flush=True)
    for symbolic, title in (False, ""), (True, "with symbols for sizes: "):
        counts = [f"{len(names[symbolic, result])} {result}" for result in backend.RESULTS if names[symbolic, result]]
        if counts:
            print(title + ", ".join(counts))
    if options.record:
        chosen = sorted(name for name in names[False, "pass"] if not name.endswith("_expanded"))
        symbolic = set(names[True, "pass"])
        LIST.write_text("".join(name + (" symbolic" if name in symbolic else "") + "\n" for name in chosen), encoding="utf-8")
    bad = backend.WRONG if everything else [result for result in backend.RESULTS if result != "pass"]
    return any(names[symbolic, result] for symbolic in (False, True) for result in bad)


if __name__ == "__main__":
    sys.exit(main())
