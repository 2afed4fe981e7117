"""Fulgur, ONNX Runtime, OpenVINO and torch on one model: same inputs, threads and precision, in turns.

    compare.py MODEL.onnx --dim batch=1 --dim sequence=128 --threads 1 2
    compare.py CORPUS/minilm --threads 2 --corpus-scripts FOLDER

A folder is an entry of the model corpus: with inputs, and with reference outputs for the column "difference"; without them the
last engine's outputs are the reference. How it is measured: turns.py.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

import case as cases
import costs
import engines
import roofline
import stats
import table
import turns


def add_options(parser):
    root = Path(__file__).resolve().parents[1]
    parser.add_argument("--threads", type=int, nargs="+", default=[1], metavar="N")
    parser.add_argument("--seconds", type=float, default=20, metavar="S", help="of measuring, for all engines together (default: 20)")
    parser.add_argument("--precision", choices=("f32", "bf16"), default="f32", help="to compute in; the model is the same")
    parser.add_argument("--engines", nargs="+", choices=engines.ALL, default=list(engines.DEFAULT), metavar="NAME",
                        help=f"of {', '.join(engines.ALL)} (default: {' '.join(engines.DEFAULT)})")
    parser.add_argument("--dynamic", action="store_true", help="leave symbolic dims symbolic, for all engines")
    parser.add_argument("--corpus-scripts", default="", metavar="DIR", help="folder with make_models.py, which torch needs")
    parser.add_argument("--fulgurc", default=str(root / "build" / "dev" / "bin" / "fulgurc"), metavar="FILE")
    parser.add_argument("--fulgur-args", default="", metavar="ARGS", help="more arguments for fulgurc, in one string")
    parser.add_argument("--load-weights", action="store_true", help="load Fulgur's weights into huge pages instead of mapping the file")
    parser.add_argument("--no-roofline", action="store_true", help="do not measure what the machine can do")


def options_of(arguments):
    return {"seconds": arguments.seconds, "fulgurc": arguments.fulgurc, "fulgur_args": arguments.fulgur_args}


def measure(case, arguments, roof):
    """Measures a case at all thread counts; yields a record each, and prints it."""
    cost = None if arguments.no_roofline or case.narrowed else costs.of(case)
    options = {**options_of(arguments), "built": {}}
    kind = case.kind or arguments.precision
    with tempfile.TemporaryDirectory(prefix="fulgur-bench-") as built:
        options["keep"] = built  # one compilation for all thread counts
        for threads in arguments.threads:
            control = None if arguments.no_roofline else roofline.Control(threads, stats.reads(cost, roof, threads, kind))
            try:
                results, missing, machine = turns.measure(case, arguments.engines, threads, arguments.precision, options, control)
            finally:
                if control:
                    control.close()
            record = {"case": case.name, "threads": threads, "precision": arguments.precision, "kind": kind,
                      "dynamic": arguments.dynamic, "model_bytes": case.model_bytes(), "cost": cost, "engines": results,
                      "missing": missing, "memory_gbs": stats.percentile(machine["rates"], 50) if machine["rates"] else None,
                      "machine": {"reads": control.kind == "r", **machine} if machine["rounds"] else None,
                      "load": os.getloadavg()[0]}
            least = stats.roofline_seconds(cost, roof, threads, kind, record["memory_gbs"])
            print("\n".join(table.case(record, least)) + "\n", flush=True)
            yield record


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="an ONNX file, or an entry of the corpus")
    parser.add_argument("--inputs", type=Path, metavar="FILE", help=".npz with the inputs by name (default: made up, or the entry's)")
    parser.add_argument("--dim", action="append", default=[], metavar="NAME=N", help="size of a symbolic dim; picks an entry's set")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured")
    add_options(parser)
    arguments = parser.parse_args()
    dims = {name: int(size) for name, size in (dim.rsplit("=", 1) for dim in arguments.dim)}
    with tempfile.TemporaryDirectory(prefix="fulgur-bench-") as scratch:
        try:
            if arguments.model.is_dir():
                case = cases.of_entry(arguments.model, None, dims, not arguments.dynamic, arguments.corpus_scripts)
            else:
                inputs = arguments.inputs or cases.made_up(arguments.model, dims, scratch)
                case = cases.Case(arguments.model.stem, arguments.model, inputs, {})
                case.dims = {} if arguments.dynamic else cases.sizes(case.model, case.arrays())
        except cases.Missing as error:
            sys.exit(f"compare.py: error: {error}")
        case.load_weights = arguments.load_weights
        roof = None if arguments.no_roofline else roofline.measured(max(arguments.threads))
        records = list(measure(case, arguments, roof))
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": roofline.machine(), "roofline": roof, "measurements": records}))
    return any(not record["engines"] for record in records)


if __name__ == "__main__":
    sys.exit(main())
