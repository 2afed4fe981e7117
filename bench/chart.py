"""The chart of a report: one SVG without dependencies. A bar is an engine's speed as a multiple of the fastest peer's on that model."""

from xml.sax.saxutils import escape

import stats

COLORS = {"fulgur": "#c2410c", "onnxruntime": "#64748b", "openvino": "#94a3b8", "torch": "#cbd5e1", "torch_compile": "#b6c6d9",
          "iree": "#a8a29e", "llama_cpp": "#78716c"}
LABEL, PLOT, BAR, GAP, TOP, MARGIN = 210, 330, 9, 12, 28, 16
FIRST = 48  # where the first row's titles stand, below the legend
FARTHEST = 3.0  # longer bars are cut, and say how long they are


def speeds(record):
    """[(engine, name, multiple of the fastest peer's speed)]; of the fastest engine's when there is no peer."""
    medians = {result["engine"]: stats.summary(result["rounds"])["p50"] for result in record["engines"]}
    peers = [median for engine, median in medians.items() if engine != "fulgur"]
    best = min(peers or medians.values())
    return [(result["engine"], result["name"], best / medians[result["engine"]]) for result in record["engines"]]


def text(x, y, content, anchor="start", size=11, weight="normal", fill="#334155"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" font-weight="{weight}" fill="{fill}">'
            f"{escape(content)}</text>")


def panel(left, top, title, records):
    """The bars of one group of records; returns SVG elements and where they end."""
    scale = PLOT / FARTHEST
    origin = left + LABEL
    parts, y = [text(origin, top, title, size=13, weight="bold")], top + TOP
    for record in records:
        bars = speeds(record)
        parts.append(text(origin - 8, y + len(bars) * BAR / 2 + 4, record["case"], anchor="end"))
        for engine, name, speed in bars:
            width = min(speed, FARTHEST) * scale
            parts.append(f'<rect x="{origin}" y="{y}" width="{width:.1f}" height="{BAR - 1}" fill="{COLORS.get(engine, "#888")}">'
                         f"<title>{escape(name)}: {speed:.2f}</title></rect>")
            if engine == "fulgur":
                parts.append(text(origin + width + 4, y + BAR - 1.5, f"{speed:.2f}", size=10, weight="bold", fill=COLORS["fulgur"]))
            y += BAR
        y += GAP
    for speed in (0, 1, 2, 3):
        x, dash = origin + speed * scale, "" if speed == 1 else ' stroke-dasharray="2 3"'
        parts.insert(1, f'<line x1="{x:.1f}" y1="{top + TOP - 8}" x2="{x:.1f}" y2="{y}" stroke="#94a3b8" stroke-width="0.8"{dash}/>')
        parts.append(text(x, y + 12, f"{speed}", anchor="middle", size=10))
    return parts, y + 20


def legend(left, y, records):
    parts, names = [], {}
    for record in records:
        names.update({result["engine"]: f"{result['name']} {result['version']}" for result in record["engines"]})
    x = left
    for engine, name in names.items():
        parts.append(f'<rect x="{x}" y="{y - 9}" width="10" height="10" fill="{COLORS.get(engine, "#888")}"/>')
        parts.append(text(x + 14, y, name))
        x += 30 + 6.5 * len(name)
    return parts


def svg(measurements):
    """A row for every kind of models that was measured; in it a panel for every number of threads."""
    parts, top, height, width = [], 0, FIRST, 0
    row = None
    for kind, title, records in stats.groups(measurements):
        if kind != row:
            row, top, left = kind, height, MARGIN
        elements, bottom = panel(left, top, title, records)
        parts += elements
        height, left = max(height, bottom + 20), left + LABEL + PLOT + 50
        width = max(width, left)
    parts += legend(MARGIN, 18, measurements)
    parts.append(text(MARGIN, height + 4, "Speed as a multiple of the fastest peer's on the same model: longer is faster."))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height + 14}" viewBox="0 0 {width} {height + 14}" '
            f'font-family="system-ui, sans-serif"><rect width="100%" height="100%" fill="white"/>\n' + "\n".join(parts) + "\n</svg>\n")
