"""Tables as text: aligned for a terminal, or as Markdown."""

import stats


def aligned(rows, gap="  "):
    """Rows of cells as lines; the first column to the left, the others to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [gap.join(cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in enumerate(zip(row, widths))).rstrip()
            for row in rows]


def markdown(rows):
    """The same as Markdown; the first row is the head."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return [lines[0], "| --- |" + " ---: |" * (len(rows[0]) - 1), *lines[1:]]


def milliseconds(value):
    if value is None:
        return "–"
    return f"{value:.0f}" if value >= 1000 else f"{value:.1f}" if value >= 100 else f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def size(count):
    if count is None:
        return "–"
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.3g} {unit}"
    return f"{count:.0f} B"


def share(part):
    return "–" if part is None else f"{100 * part:.0f} %"


HEAD = ["", "p50 ms", "p90", "p99", "min", "p99/p50", "undisturbed", "disturbed", "CPU ms", "CPUs", "roofline", "load ms", "first ms", "peak RSS",
        "difference"]


def times(measured):
    """The cells about times that engines and the machine itself have."""
    figures = stats.summary(measured["rounds"])
    everywhere, undisturbed, disturbed = stats.tails(measured)
    return [*(milliseconds(figures[key]) for key in ("p50", "p90", "p99", "min")), f"{everywhere:.2f}",
            "–" if undisturbed is None else f"{undisturbed:.2f}", share(disturbed)]


def engines(measurement, least):
    """One row per engine of a measured case."""
    rows = [HEAD]
    for result in measurement["engines"]:
        p50 = stats.summary(result["rounds"])["p50"]
        rows.append([f"{result['name']} {result['version']}", *times(result), milliseconds(result["cpu_ms"]), f"{result['cpu_ms'] / p50:.2f}",
                     share(least and least / p50 * 1e3), milliseconds(result["load_ms"]), milliseconds(result["first_ms"]),
                     size(result["peak_bytes"]), "–" if result["difference"] is None else f"{result['difference']:.1e}"])
    if machine := measurement.get("machine"):
        own = [f"the machine itself, {'reading' if machine['reads'] else 'computing'}", *times(machine)]
        rows.append([*own, *["–"] * (len(HEAD) - len(own))])
    return rows


def verdict(measurement):
    """A sentence on the ratio to the fastest peer."""
    standing = stats.against(measurement["engines"])
    if not standing:
        return "no ratio: Fulgur or every peer is missing"
    low, high = standing["interval"]
    return (f"best peer / Fulgur: {standing['ratio']:.2f}, 95 % interval {low:.2f} to {high:.2f}, of minima "
            f"{standing['ratio_of_minima']:.2f}, of CPU time {standing['ratio_of_cpu']:.2f} ({standing['peer_name']})")


def compiled(measurement):
    """A sentence on what Fulgur's compiler made, or nothing."""
    ours = next((result for result in measurement["engines"] if result["engine"] == "fulgur"), None)
    if not ours:
        return ""
    return (f"Fulgur compiled in {ours['compile_seconds']:.1f} s ({ours['compile_cpu_seconds']:.1f} s of CPU, peak "
            f"{size(ours['compile_peak_bytes'])}): code {size(ours['code_bytes'])}, weights {size(ours['weights_bytes'])}, arena "
            f"{size(ours['arena_bytes'])}; the model file has {size(measurement['model_bytes'])}")


def case(measurement, least):
    """All about one case, as lines for a terminal."""
    cost = measurement.get("cost")
    work = f", {cost['flops'] / 1e9:.2f} GFLOP, {size(cost['bytes'])} of weights and ports" if cost else ""
    if measurement.get("memory_gbs"):
        work += f", memory read at {measurement['memory_gbs']:.1f} GB/s"
    threads = measurement["threads"]
    lines = [f"{measurement['case']}, {measurement['kind']}, {threads} thread{'s' * (threads > 1)}{work}"]
    lines += aligned(engines(measurement, least)) if measurement["engines"] else []
    return lines + [verdict(measurement)] + list(filter(None, [compiled(measurement)]))
