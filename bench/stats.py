"""Figures out of measured times. Percentiles are nearest-rank: real measurements, never interpolated ones."""

import math

import numpy as np


def percentile(values, percent):
    ordered = sorted(values)
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


def summary(rounds):
    """Of all runs of all rounds, in milliseconds."""
    times = [spent for block in rounds for spent in block]
    return {"runs": len(times), "p50": percentile(times, 50), "p90": percentile(times, 90), "p99": percentile(times, 99),
            "min": min(times)}


# A run is disturbed when others kept its threads from running for more than this share of what the fastest of its block takes: a tenth
# of what takes a tail to the bar that it is held against.
DISTURBED = 0.02


def undisturbed(measured):
    """The rounds with those runs only that nobody disturbed, while the machine was as usual; None where that is not known."""
    if not measured.get("lost"):
        return None
    steady = measured.get("steady") or [True] * len(measured["rounds"])
    return [[spent for spent, lost in zip(times, losses) if as_usual and lost <= DISTURBED * min(times)]
            for times, losses, as_usual in zip(measured["rounds"], measured["lost"], steady)]


def tails(measured):
    """p99 / p50 of all runs, that of undisturbed ones, and the share of the others; the last two are None where they are not known."""

    def tail(rounds):
        figures = summary(rounds)
        return figures["p99"] / figures["p50"]

    quiet, runs = undisturbed(measured), sum(map(len, measured["rounds"]))
    if quiet is None:
        return tail(measured["rounds"]), None, None
    left = sum(map(len, quiet))
    return tail(measured["rounds"]), tail(quiet) if left else None, (runs - left) / runs


def ratio_interval(theirs, ours, confidence=0.95, samples=1000, seed=0):
    """The confidence interval of median(theirs) / median(ours), by bootstrap.

    Rounds are drawn, not runs: what disturbs the machine lasts longer than a run, so the runs of a block are not independent of each
    other, and both engines' blocks of a round have been disturbed alike.
    """
    generator = np.random.default_rng(seed)
    count = min(len(theirs), len(ours))
    theirs, ours = [[np.asarray(block) for block in side[:count]] for side in (theirs, ours)]
    ratios = []
    for _ in range(samples):
        drawn = generator.integers(0, count, count)
        a, b = (np.median(np.concatenate([side[i] for i in drawn])) for side in (theirs, ours))
        ratios.append(a / b)
    tail = (1 - confidence) / 2 * 100
    return float(np.percentile(ratios, tail)), float(np.percentile(ratios, 100 - tail))


def geometric_mean(values):
    values = list(values)
    return math.exp(sum(map(math.log, values)) / len(values)) if values else float("nan")


def against(results, ours="fulgur"):
    """How `ours` stands against the fastest other engine; None when either is not there."""
    by_name = {result["engine"]: result for result in results}
    peers = [result for name, result in by_name.items() if name != ours]
    if ours not in by_name or not peers:
        return None
    us = by_name[ours]
    mine = summary(us["rounds"])
    best = min(peers, key=lambda result: summary(result["rounds"])["p50"])
    theirs = summary(best["rounds"])
    return {"peer": best["engine"], "peer_name": best["name"], "ratio": theirs["p50"] / mine["p50"],
            "interval": ratio_interval(best["rounds"], us["rounds"]), "ratio_of_minima":
            min(summary(peer["rounds"])["min"] for peer in peers) / mine["min"],
            "ratio_of_cpu": min(peer["cpu_ms"] for peer in peers) / us["cpu_ms"]}


# What a kind of models multiplies with, at most: 4-bit weights with activations of bytes.
PEAKS = {"f32": "f32_gflops", "bf16": "bf16_gflops", "int8": "int8_gops", "int4": "int8_gops"}


def groups(measurements):
    """What is shown together: [(kind, title, records)], a group for each kind of models and number of threads."""
    found = {}
    for record in measurements:
        if record["engines"]:
            found.setdefault((record["kind"], record["threads"], record["dynamic"]), []).append(record)
    ordered = sorted(found.items(), key=lambda item: (list(PEAKS).index(item[0][0]), *item[0][1:]))
    return [(kind, f"{kind}, {threads} thread{'s' * (threads > 1)}{', symbolic dims' * dynamic}", records)
            for (kind, threads, dynamic), records in ordered]


def least_seconds(cost, roof, threads, kind, memory_gbs=None):
    """The least times of this machine for a case's arithmetic and for reading its weights; None when either is unknown.

    `memory_gbs` is the rate of reading that was measured in turns with the case, which varies more than those of arithmetic do.
    """
    if not cost or not roof:
        return None
    at = str(min(threads, max(map(int, roof["threads"]))))
    rates = roof["threads"][at]
    peak = rates.get(PEAKS[kind])
    # Weights of float32 may be stored as bfloat16: the least is half. Inputs and outputs, such as caches, stay as the model has them.
    read = cost["bytes"] - cost.get("weights", cost["bytes"]) / 2 if kind == "bf16" else cost["bytes"]
    cached = read < roof["cache_bytes"] / 2
    bandwidth = rates["cache_gbs"] if cached else memory_gbs or rates["memory_gbs"]
    return peak and (cost["flops"] / (peak * 1e9), read / (bandwidth * 1e9))


def roofline_seconds(cost, roof, threads, kind="f32", memory_gbs=None):
    """The least time in which this machine could do both at once."""
    least = least_seconds(cost, roof, threads, kind, memory_gbs)
    return least and max(least)


def reads(cost, roof, threads, kind="f32"):
    """Whether a case takes its time for reading, at the best."""
    least = least_seconds(cost, roof, threads, kind)
    return bool(least) and least[1] > least[0]
