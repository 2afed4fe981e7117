"""Lists what has no test: passes whose flag no RUN line names, and operations that the dialect's round trip lacks."""

import pathlib
import re

root = pathlib.Path(__file__).resolve().parents[3]
tests = [path for path in (root / "test" / "lit").rglob("*") if path.suffix in (".mlir", ".test", ".onnxtxt")]
runs = "\n".join(line for path in tests for line in path.read_text().splitlines() if "RUN:" in line)
round_trip = (root / "test" / "lit" / "dialects" / "round-trip.mlir").read_text()

passes = re.findall(r"^def \w+ : Pass<\"([\w-]+)\"", (root / "passes" / "Passes.td").read_text(), re.M)
ops = re.findall(r"^def \w+ : Fulgur_(?:Row)?Op<\"(\w+)\"", (root / "dialects" / "Fulgur.td").read_text(), re.M)
assert passes and ops, "no passes or operations were found"
untested = [f"pass --{name}" for name in passes if not re.search(rf"--{name}(?![\w-])", runs)]
untested += [f"operation fulgur.{name}" for name in ops if not re.search(rf"^[^/]*\bfulgur\.{name}\b", round_trip, re.M)]
print("\n".join(f"{name} has no test" for name in untested) or f"{len(passes)} passes and {len(ops)} operations have tests")
