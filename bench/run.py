"""Measures a suite of models, as compare.py does one, and keeps everything in one JSON file for report.py.

    run.py --corpus build/corpus/full --suite dense --threads 1 2 --seconds 20 --json out.json

The file is written after every case. Cases that it has already are measured again and replaced, or left alone with --keep, so a run
can be interrupted, continued, and repeated in part with --only.
"""

import argparse
import json
import sys
from pathlib import Path

import case as cases
import compare
import roofline
import stats
import table


def read(path):
    """What is in the file already."""
    if path.exists():
        return json.loads(path.read_text())
    return {"machine": {}, "roofline": None, "measurements": []}


def key(record):
    return record["case"], record["threads"], record["kind"], record["dynamic"]


def put(results, record):
    """Adds a record, in the place of an older one of the same case."""
    for i, other in enumerate(results["measurements"]):
        if key(other) == key(record):
            results["measurements"][i] = record
            return
    results["measurements"].append(record)


def ratios(results):
    """One row per measured case: what is in the last lines of a run."""
    rows = [["", "threads", "kind", "best peer / Fulgur", "95 %", "of minima", "of CPU time", "best peer"]]
    found = []
    for record in results["measurements"]:
        if standing := stats.against(record["engines"]):
            low, high = standing["interval"]
            rows.append([record["case"], str(record["threads"]), record["kind"], f"{standing['ratio']:.2f}",
                         f"{low:.2f}–{high:.2f}", f"{standing['ratio_of_minima']:.2f}", f"{standing['ratio_of_cpu']:.2f}",
                         standing["peer_name"]])
            found.append(standing["ratio"])
    if found:
        rows.append(["geometric mean", "", "", f"{stats.geometric_mean(found):.2f}", "", "", "", ""])
    return rows


def main():
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True, metavar="DIR", help="folder with the entries, made at the scale to measure")
    parser.add_argument("--suite", default="dense", metavar="NAME", help="of suite.json, or a file like it (default: dense)")
    parser.add_argument("--only", default="", metavar="TEXT", help="only cases whose name has this in it")
    parser.add_argument("--keep", action="store_true", help="measure only what the file does not have")
    parser.add_argument("--json", type=Path, required=True, metavar="FILE")
    compare.add_options(parser)
    arguments = parser.parse_args()
    if arguments.suite.endswith(".json"):
        suite = json.loads(Path(arguments.suite).read_text())
    else:
        suite = json.loads((here / "suite.json").read_text()).get(arguments.suite)
    if not suite:
        sys.exit(f"run.py: error: there is no suite '{arguments.suite}'")
    results = read(arguments.json)
    results["machine"] = roofline.machine()
    if not arguments.no_roofline:
        results["roofline"] = roofline.measured(max(arguments.threads))
    threads, names, more = arguments.threads, arguments.engines, arguments.fulgur_args
    for described in suite:
        if arguments.only not in described["name"]:
            continue
        try:
            case = cases.of_entry(arguments.corpus / described["entry"], described["name"], described.get("dims"),
                                  not arguments.dynamic, arguments.corpus_scripts)
            case.load_weights = arguments.load_weights or described.get("load_weights", False)
            case.kind, case.narrowed = described.get("kind", ""), "fulgur_args" in described
        except cases.Missing as missing:
            print(f"{described['name']}: left out, {missing}\n")
            continue
        known = {key(record) for record in results["measurements"] if record["engines"]} if arguments.keep else set()
        arguments.threads = [n for n in threads if (case.name, n, case.kind or arguments.precision, arguments.dynamic) not in known]
        arguments.engines = described.get("engines", names)
        arguments.fulgur_args = f"{more} {described.get('fulgur_args', '')}"
        for record in compare.measure(case, arguments, results["roofline"]) if arguments.threads else ():
            put(results, record)
            arguments.json.write_text(json.dumps(results))
    print("\n".join(table.aligned(ratios(results))))
    return not results["measurements"]


if __name__ == "__main__":
    sys.exit(main())
