"""What becomes of every one of ONNX's backend tests: run_conformance.py [--static] [PATTERN]

Prints the totals, each operator's and what the compiler needs in time; writes everything to build/conformance.json and, when all
cases ran, docs/operators.md. Every case runs as it is and again with a symbol for every size of its inputs.
"""

import argparse
import collections
import json
import re
import sys

import numpy as np
import onnx
import onnx.defs

import backend
import toolchain

RECORD = toolchain.ROOT / "build" / "conformance.json"
DOCUMENT = toolchain.ROOT / "docs" / "operators.md"
EXPANDED = re.compile(r"_expanded(_ver\d+)?$")
OPERATORS = {schema.name for schema in onnx.defs.get_all_schemas_with_history()}
MOST_REASONS = 3  # for an operator in the document
SEVERAL = "(several)"


def nodes_of(graph):
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for subgraph in [attribute.g, *attribute.graphs] if attribute.HasField("g") else attribute.graphs:
                yield from nodes_of(subgraph)


def full_name(domain, op):
    return op if domain in ("", "ai.onnx") else f"{domain}.{op}"


def operators_of(model):
    """Operator -> the version that the model means, for every operator in it but constants beside others."""
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    operators = {}
    for node in nodes_of(model.graph):
        try:
            version = onnx.defs.get_schema(node.op_type, opsets[node.domain], node.domain).since_version
        except (onnx.defs.SchemaError, KeyError):
            continue
        operators[full_name(node.domain, node.op_type)] = version
    if len(operators) > 1:
        operators.pop("Constant", None)
    return operators


def type_name(kind):
    what = kind.WhichOneof("value")
    if what == "tensor_type":
        return onnx.TensorProto.DataType.Name(kind.tensor_type.elem_type).lower()
    if what in ("sequence_type", "optional_type"):
        return f"{what.removesuffix('_type')}({type_name(getattr(kind, what).elem_type)})"
    return what or "unknown"


def run(cases, static, timeout):
    """Case name -> everything known about it."""
    work = [(case, symbolic) for case in cases for symbolic in ((False,) if static else (False, True))]
    work = [(case, symbolic) for case, symbolic in work if not symbolic or backend.with_symbols(case.model)]
    tested = {EXPANDED.sub("", case.name): operators_of(case.model) for case in cases if not EXPANDED.search(case.name)}
    record = {}
    for done, ((case, symbolic), verdict) in enumerate(toolchain.in_parallel(lambda item: backend.judge(*item, timeout), work)):
        if sys.stderr.isatty() and done % 50 == 0:
            print(f"\r{done} of {len(work)}", end="\r", file=sys.stderr, flush=True)
        if not symbolic:
            graph = case.model.graph
            record[case.name] = {
                "kind": case.kind,
                "operators": tested.get(EXPANDED.sub("", case.name)) or operators_of(case.model),
                "types": sorted({type_name(value.type) for value in [*graph.input, *graph.output]}),
                "result": verdict.result,
                "reason": verdict.reason,
                "compile_seconds": round(verdict.seconds, 3),
            }
        else:
            record[case.name]["symbolic"] = {"result": verdict.result, "reason": verdict.reason}
    return record


def by_operator(record):
    """Operator -> its cases. A case of several operators is one of each, unless the cases are about single ones."""
    cases = collections.defaultdict(list)
    for case in record.values():
        names = list(case["operators"])
        if len(names) > 1 and case["kind"] == "light":
            names = []
        for name in names or [SEVERAL]:
            cases[name].append(case)
    return cases


def count(cases):
    counts = collections.Counter(case["result"] for case in cases)
    return {result: counts[result] for result in backend.RESULTS}


def print_report(record):
    bad = [(name, case) for name, case in record.items() if case["result"] in backend.WRONG]
    for name, case in bad:
        print(f"{case['result']} {name}: {case['reason']}")
    for name, case in record.items():
        symbolic = case.get("symbolic", {"result": "pass"})
        if symbolic["result"] in backend.WRONG and case["result"] not in backend.WRONG:
            print(f"{symbolic['result']} {name} with symbols for sizes: {symbolic['reason']}")
    print("\noperators that do not pass everything:")
    for name, cases in sorted(by_operator(record).items()):
        counts = count(cases)
        if counts["pass"] < len(cases):
            print(f"  {name}: " + ", ".join(f"{counts[result]} {result}" for result in counts if counts[result]))
    print("\n" + ", ".join(f"{number} {result}" for result, number in count(record.values()).items()))
    symbolic = [case["symbolic"] for case in record.values() if "symbolic" in case and case["result"] == "pass"]
    if symbolic:
        counts = count(symbolic)
        print("those that pass, with symbols for sizes: " + ", ".join(f"{number} {result}" for result, number in counts.items()))
    seconds = [case["compile_seconds"] for case in record.values() if case["result"] == "pass"]
    if seconds:
        print(f"compile time, CPU: median {np.median(seconds):.3f} s, 99 % below {np.quantile(seconds, 0.99):.3f} s")


HEAD = """# Operators

What fulgurc makes of ONNX's own backend tests, of the Python package onnx {version}. `./dev conformance` runs them and writes this page.

- A case *passes* when its outputs agree with ONNX's within the case's own tolerance. It is *refused* when fulgurc says that it cannot
  compile it (exit code 3), with the node and what to do. The other columns are our mistakes.
- *With symbols*: of the cases that pass and have sizes above 1, those that pass too when every such size of every input is a symbol of
  its own. The others need sizes fixed (`--dim`, `--shape`).
- *Versions* of an operator are those of the cases that pass; so are *types*, of inputs and outputs.

"""


def table(columns, rows):
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def symbolic_share(cases):
    outcomes = [case["symbolic"]["result"] for case in cases if "symbolic" in case and case["result"] == "pass"]
    return f"{outcomes.count('pass')} of {len(outcomes)}" if outcomes else "–"


def without_names(reason):
    """The reason without the names of one model, so that equal reasons are one."""
    reason = re.sub(r" \(\d+ nodes?: [^()]*\)", "", reason)
    return re.sub(r"'([^']*)'", lambda quoted: quoted[0] if quoted[1].rpartition(".")[2] in OPERATORS else "'…'", reason)


def missing(cases):
    """Why cases do not pass, the most frequent reasons first."""
    reasons = collections.Counter()
    for case in cases:
        if case["result"] != "pass":
            outcome, where = case, ""
        elif case.get("symbolic", case)["result"] != "pass":
            outcome, where = case["symbolic"], "with symbols: "
        else:
            continue
        kind = "" if outcome["result"] == "refused" else outcome["result"] + ": "
        reasons[where + kind + without_names(outcome["reason"])] += 1
    texts = [f"{reason} ({number})" for reason, number in sorted(reasons.items(), key=lambda item: (-item[1], item[0]))]
    more = [f"and {len(texts) - MOST_REASONS} more reasons"] if len(texts) > MOST_REASONS else []
    return "<br>".join(text.replace("<", "&lt;") for text in texts[:MOST_REASONS] + more)


def write_document(record):
    text = HEAD.format(version=onnx.__version__)
    kinds = collections.defaultdict(list)
    for case in record.values():
        kinds[case["kind"]].append(case)
    rows = [[kind, len(cases), *count(cases).values(), symbolic_share(cases)] for kind, cases in kinds.items()]
    everything = list(record.values())
    rows.append(["all", len(everything), *count(everything).values(), symbolic_share(everything)])
    text += table(["kind", "cases", *backend.RESULTS, "with symbols"], rows)

    operators = by_operator(record)
    names = {full_name(schema.domain, schema.name) for schema in onnx.defs.get_all_schemas_with_history() if not schema.deprecated}
    rows = []
    for name in sorted(names | set(operators), key=lambda name: ("." in name, name)):
        cases = operators.get(name, [])
        passing = [case for case in cases if case["result"] == "pass"]
        versions = sorted({case["operators"].get(name, 0) for case in passing} - {0})
        types = sorted({kind for case in passing for kind in case["types"]})
        share = f"{len(passing)} of {len(cases)}" if cases else "no case"
        rows.append([name, share, symbolic_share(cases), " ".join(map(str, versions)), " ".join(types), missing(cases)])
    text += f"\n{len(names)} operators:\n\n"
    text += table(["operator", "pass", "with symbols", "versions", "types", "missing"], rows)
    DOCUMENT.write_text(text, encoding="utf-8")


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--static", action="store_true", help="leave out the runs with symbols")
    options.add_argument("--timeout", type=float, default=20, help="seconds of CPU time that the compiler and a run have each (default: 20)")
    options.add_argument("pattern", nargs="?", default="", help="a regular expression that chooses cases")
    options = options.parse_args()
    cases = list(backend.load_cases(options.pattern))
    record = run(cases, options.static, options.timeout)
    print_report(record)
    RECORD.parent.mkdir(exist_ok=True)
    RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {RECORD.relative_to(toolchain.ROOT)}", end="")
    if not options.pattern and not options.static:
        write_document(record)
        print(f" and {DOCUMENT.relative_to(toolchain.ROOT)}", end="")
    print()
    return any(case["result"] in backend.WRONG for case in record.values())


if __name__ == "__main__":
    sys.exit(main())
