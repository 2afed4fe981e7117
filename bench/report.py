"""Writes docs/performance.md and its chart, docs/performance.svg, from what run.py measured: report.py out.json [--out FOLDER]"""

import argparse
import json
import sys
from pathlib import Path

import chart
import stats
import table

# What we want to reach on every model of a kind, and in the mean of all.
BARS, MEAN_BAR = {"f32": 1.10, "bf16": 1.25, "int8": 1.20, "int4": 1.10}, 1.25


def engine_names(records):
    """{engine: name with version}, in the order of the first record that has it."""
    return {result["engine"]: f"{result['name']} {result['version']}" for record in records for result in record["engines"]}


def by_engine(record, names, cell):
    """A cell for every engine, a dash where it is missing."""
    results = {result["engine"]: result for result in record["engines"]}
    return [cell(results[engine]) if engine in results else "–" for engine in names]


def p50(result):
    return table.milliseconds(stats.summary(result["rounds"])["p50"])


def latency(records, roof):
    names = engine_names(records)
    rows = [["p50 in ms", *names.values(), "best peer / Fulgur", "95 % interval", "of roofline"]]
    ratios = []
    for record in records:
        standing, least = stats.against(record["engines"]), None
        cells = ["–", "–", "–"]
        if standing:
            ours = next(result for result in record["engines"] if result["engine"] == "fulgur")
            least = stats.roofline_seconds(record["cost"], roof, record["threads"], record["kind"], record.get("memory_gbs"))
            ratios.append(standing["ratio"])
            shown = f"{standing['ratio']:.2f}"
            reached = standing["ratio"] >= BARS[record["kind"]]
            cells = [f"**{shown}**" if reached else shown, "{:.2f}–{:.2f}".format(*standing["interval"]),
                     table.share(least and least / stats.summary(ours["rounds"])["p50"] * 1e3)]
        rows.append([record["case"], *by_engine(record, names, p50), *cells])
    if ratios:
        mean = stats.geometric_mean(ratios)
        rows.append(["geometric mean", *[""] * len(names), f"**{mean:.2f}**" if mean >= MEAN_BAR else f"{mean:.2f}", "", ""])
    return table.markdown(rows)


def tail_cells(measured):
    """p99 / p50 of all runs, of undisturbed ones, and the share of the others, as text."""
    ratios = ["–" if ratio is None else f"{ratio:.2f}" for ratio in stats.tails(measured)[:2]]
    return [*ratios, table.share(stats.tails(measured)[2])]


def tails(records):
    """What the machine itself does is in the last column, if it was measured."""
    names = engine_names(records)
    measured = any(record.get("machine") for record in records)

    def cell(result):
        return " · ".join([*tail_cells(result), table.milliseconds(result["cpu_ms"])])

    rows = [["p99 / p50 of all runs · of undisturbed ones · share of runs disturbed · CPU ms of a run", *names.values(),
             *["the machine itself"] * measured]]
    for record in records:
        machine = record.get("machine")
        own = [f"{' · '.join(tail_cells(machine))}, {'reading' if machine['reads'] else 'computing'}" if machine else "–"]
        rows.append([record["case"], *by_engine(record, names, cell), *own * measured])
    return table.markdown(rows)


def memory(records):
    names = engine_names(records)

    def cell(result):
        return f"{table.size(result['peak_bytes'])} · {table.milliseconds(result['first_ms'])}"

    return table.markdown([["peak RSS · ms to the first result", *names.values()],
                           *([record["case"], *by_engine(record, names, cell)] for record in records)])


def artefacts(records):
    rows = [["Fulgur's library", "kind", "code", "weights", "arena", "model file", "compiled in", "peak of compiling"]]
    for record in records:
        for ours in record["engines"]:
            if ours["engine"] == "fulgur":
                sizes = [table.size(ours[key]) for key in ("code_bytes", "weights_bytes", "arena_bytes")]
                rows.append([record["case"], record["kind"], *sizes,
                             table.size(record["model_bytes"]), f"{ours['compile_seconds']:.1f} s", table.size(ours["compile_peak_bytes"])])
    return table.markdown(rows)


def left_out(measurements):
    lines = []
    for record in measurements:
        for engine, reason in record["missing"].items():
            line = f"- {engine}, {record['case']}: {reason}"
            if line not in lines:
                lines.append(line)
    return lines


def machine(results):
    about, roof = results["machine"], results["roofline"]
    loads = [record["load"] for record in results["measurements"]]
    lines = [f"{about['cpu']}, {about['cpus']} CPUs ({', '.join(about['features'])}), Linux {about['kernel']}; the machine's load was "
             f"{min(loads):.1f} to {max(loads):.1f} after a model, of which the engines' own is up to the number of threads."]
    if roof:
        rows = [["measured peaks", "f32 GFLOP/s", "bf16 GFLOP/s", "int8 GOP/s", "cache GB/s", "memory GB/s"]]
        for threads, rates in roof["threads"].items():
            rows.append([f"{threads} thread{'s' * (threads != '1')}", *(f"{rates[key]:.0f}" if key in rates else "–" for key in
                        ("f32_gflops", "bf16_gflops", "int8_gops", "cache_gbs", "memory_gbs"))])
        lines += ["", *table.markdown(rows)]
    return lines


def report(results):
    """The page, as text."""
    lines = ["# Performance", "",
             "Written by `bench/report.py` from what `bench/run.py` measured; `bench/README.md` says how to measure again, and how fair "
             "it is.", "", *machine(results), "",
             "![Speed of every engine on every model, as a multiple of the fastest peer's](performance.svg)", ""]
    groups = stats.groups(results["measurements"])
    for _, title, records in groups:
        lines += [f"## {title}", "", *latency(records, results["roofline"]), "", *tails(records), "", *memory(records), ""]
    seen = {}
    for _, _, records in groups:
        for record in records:
            seen.setdefault((record["case"], record["kind"]), record)
    lines += ["## What the compiler makes", "", *artefacts(seen.values()), ""]
    if missing := left_out(results["measurements"]):
        lines += ["## Left out", "", *missing, ""]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parents[1] / "docs", metavar="FOLDER")
    arguments = parser.parse_args()
    results = json.loads(arguments.results.read_text())
    if not results["measurements"]:
        sys.exit(f"report.py: error: {arguments.results} has no measurements")
    (arguments.out / "performance.md").write_text(report(results))
    (arguments.out / "performance.svg").write_text(chart.svg(results["measurements"]))


if __name__ == "__main__":
    main()
