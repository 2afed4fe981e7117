"""The measuring scripts of bench/, without measuring: statistics, tables, the chart, the file of results, and one engine in its worker."""

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import xml.etree.ElementTree
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))

import case as cases  # noqa: E402
import chart  # noqa: E402
import costs  # noqa: E402
import disturbance  # noqa: E402
import gguf_model  # noqa: E402
import report  # noqa: E402
import roofline  # noqa: E402
import run  # noqa: E402
import stats  # noqa: E402
import table  # noqa: E402
import turns  # noqa: E402


def result(engine, rounds, **more):
    return {"engine": engine, "name": engine.title(), "version": "1", "rounds": rounds, "cpu_ms": 2.0, "load_ms": 5.0, "first_ms": 9.0,
            "peak_bytes": 3_000_000, "difference": 1e-6, "compile_seconds": 1.5, "compile_cpu_seconds": 1.6,
            "compile_peak_bytes": 10**8, "code_bytes": 5000, "weights_bytes": 4 * 10**6, "arena_bytes": 1024, **more}


def record(name, engines, threads=1):
    return {"case": name, "threads": threads, "precision": "f32", "kind": "f32", "dynamic": False, "model_bytes": 10**6,
            "cost": {"flops": 10**9, "bytes": 10**8}, "engines": engines, "missing": {"iree": "not <installed>"}, "load": 1.5}


ROOF = {"cache_bytes": 1 << 25, "threads": {"1": {"f32_gflops": 100.0, "cache_gbs": 90.0, "memory_gbs": 20.0}}}
OURS, PEER, SLOW = [[1.0, 1.1, 0.9]] * 6, [[1.5, 1.6, 1.4]] * 6, [[9.0, 9.1, 8.9]] * 6


class Statistics(unittest.TestCase):
    def test_percentiles_are_measurements(self):
        self.assertEqual(stats.percentile([4, 1, 3, 2], 50), 2)
        self.assertEqual(stats.percentile(range(1, 101), 99), 99)
        self.assertEqual(stats.percentile([7], 1), 7)

    def test_summary_is_of_all_rounds(self):
        self.assertEqual(stats.summary([[3, 1], [2]]), {"runs": 3, "p50": 2, "p90": 3, "p99": 3, "min": 1})

    def test_the_interval_holds_the_ratio(self):
        generator = np.random.default_rng(1)
        theirs, ours = (list(generator.normal(mean, 0.1, (12, 8))) for mean in (3, 2))
        low, high = stats.ratio_interval(theirs, ours)
        self.assertTrue(1.4 < low < 1.5 < high < 1.6, (low, high))

    def test_the_fastest_peer_counts(self):
        standing = stats.against([result("torch", SLOW), result("fulgur", OURS), result("openvino", PEER, cpu_ms=3.0)])
        self.assertEqual(standing["peer"], "openvino")
        self.assertAlmostEqual(standing["ratio"], 1.5)
        self.assertAlmostEqual(standing["ratio_of_minima"], 1.4 / 0.9)
        self.assertAlmostEqual(standing["ratio_of_cpu"], 1.0)
        self.assertIsNone(stats.against([result("torch", SLOW)]))
        self.assertIsNone(stats.against([result("fulgur", SLOW)]))

    def test_roofline(self):
        self.assertAlmostEqual(stats.roofline_seconds({"flops": 10**9, "bytes": 0}, ROOF, 1), 0.01)
        self.assertAlmostEqual(stats.roofline_seconds({"flops": 0, "bytes": 10**9}, ROOF, 4), 0.05)
        self.assertAlmostEqual(stats.roofline_seconds({"flops": 0, "bytes": 10**9}, ROOF, 4, memory_gbs=10), 0.1)
        self.assertIsNone(stats.roofline_seconds({"flops": 1, "bytes": 1}, ROOF, 1, "bf16"))
        self.assertIsNone(stats.roofline_seconds(None, ROOF, 1))

    def test_only_weights_are_halved(self):
        roof = {**ROOF, "threads": {threads: {**rates, "bf16_gflops": 100} for threads, rates in ROOF["threads"].items()}}
        least = stats.roofline_seconds({"flops": 0, "bytes": 10**9, "weights": 6 * 10**8}, roof, 4, "bf16", memory_gbs=10)
        self.assertAlmostEqual(least, 0.07)

    def test_what_bounds_a_case(self):
        self.assertFalse(stats.reads({"flops": 10**9, "bytes": 10**8}, ROOF, 1))
        self.assertTrue(stats.reads({"flops": 10**9, "bytes": 10**9}, ROOF, 1))
        self.assertFalse(stats.reads(None, ROOF, 1))

    def test_tails(self):
        measured = {"rounds": [[2.0] * 98, [3.0, 3.0]]}
        self.assertEqual(stats.tails(measured), (1.5, None, None))
        measured["lost"] = [[0.0] * 98, [0.06, 0.07]]
        self.assertEqual(stats.undisturbed(measured), [[2.0] * 98, [3.0]])
        self.assertEqual(stats.tails(measured), (1.5, 1.5, 0.01))
        measured["steady"] = [True, False]
        self.assertEqual(stats.undisturbed(measured), [[2.0] * 98, []])
        self.assertEqual(stats.tails(measured), (1.5, 1.0, 0.02))
        measured["steady"] = [False, False]
        self.assertEqual(stats.tails(measured), (1.5, None, 1.0))

    def test_the_usual_state_of_the_machine(self):
        same_cache, other_cache, same_core, slow = (2.0, 0.13), (2.0, 0.35), (4.0, 0.05), (2.3, 0.13)
        self.assertEqual(turns.usual([same_cache, other_cache, same_cache, same_core, same_cache, slow]),
                         [True, False, True, False, True, False])

    def test_geometric_mean(self):
        self.assertAlmostEqual(stats.geometric_mean([1, 4]), 2)


class Machine(unittest.TestCase):
    def test_its_runs_have_times(self):
        for reads in (False, True):
            control = roofline.Control(2, reads)
            if control.process:
                control.aim(0.002)
                times, lost = control.block(7)
                self.assertEqual((len(times), len(lost)), (7, 7))
                self.assertGreater(min(times), 0)
                self.assertGreater(min(control.state()), 0)
            control.close()


class Disturbance(unittest.TestCase):
    def setUp(self):
        self.threads = disturbance.Threads()
        self.addCleanup(self.threads.close)

    def test_threads_come_and_go(self):
        self.threads.update()
        before, done = len(self.threads.files), threading.Event()
        thread = threading.Thread(target=done.wait)
        thread.start()
        self.threads.update()
        self.assertEqual(len(self.threads.files), before + 1)
        self.threads.update()
        self.assertEqual(len(self.threads.active), 1)  # this one
        done.set()
        thread.join()
        self.threads.stolen()
        self.threads.update()
        self.assertEqual(len(self.threads.files), before)

    def test_a_wait_for_a_cpu_is_lost(self):
        """Two processes on one CPU: this one waits for about half of the time."""
        cpus = os.sched_getaffinity(0)
        self.addCleanup(os.sched_setaffinity, 0, cpus)
        os.sched_setaffinity(0, {min(cpus)})
        self.threads.update()
        other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
        self.addCleanup(other.wait)
        self.addCleanup(other.kill)
        waited, end = self.threads.waited(), time.monotonic() + 0.3
        while time.monotonic() < end:
            pass
        self.assertGreater(self.threads.waited() - waited, 0.02e9)


class Text(unittest.TestCase):
    def test_numbers(self):
        self.assertEqual([table.milliseconds(n) for n in (None, 0.1234, 1.234, 123.4, 1234)], ["–", "0.123", "1.23", "123.4", "1234"])
        self.assertEqual([table.size(n) for n in (None, 12, 1234, 5 * 10**6, 25 * 10**8)], ["–", "12 B", "1.23 kB", "5 MB", "2.5 GB"])

    def test_columns(self):
        self.assertEqual(table.aligned([["a", "bb"], ["ccc", "d"]]), ["a    bb", "ccc   d"])
        self.assertEqual(table.markdown([["a", "b"], ["c", "d"]]), ["| a | b |", "| --- | ---: |", "| c | d |"])

    def test_a_case(self):
        text = "\n".join(table.case(record("bert", [result("fulgur", OURS), result("openvino", PEER)]), 0.0005))
        self.assertIn("bert, f32, 1 thread, 1.00 GFLOP, 100 MB of weights and ports", text)
        self.assertIn("best peer / Fulgur: 1.50, 95 % interval 1.50 to 1.50", text)
        self.assertIn("50 %", text)
        self.assertIn("arena 1.02 kB", text)

    def test_the_machine_is_in_the_table(self):
        measured = record("bert", [result("fulgur", OURS)])
        self.assertNotIn("the machine itself", "\n".join(table.case(measured, None)))
        measured["machine"] = {"reads": True, "rounds": [[2.0, 4.0]], "lost": [[0.0, 1.9]], "steady": [True]}
        line = next(line for line in table.case(measured, None) if "the machine itself" in line)
        self.assertEqual(line.split()[3:11], ["reading", "2.00", "4.00", "4.00", "2.00", "2.00", "1.00", "50"])
        self.assertIn("| bert | 1.10 · – · – · 2.00 | 2.00 · 1.00 · 50 %, reading |", "\n".join(report.tails([measured])))

    def test_a_case_without_engines(self):
        self.assertIn("no ratio", "\n".join(table.case(record("bert", []), None)))


class Results(unittest.TestCase):
    def results(self):
        return {"machine": {"cpu": "C", "cpus": 2, "features": ["avx2"], "kernel": "6"}, "roofline": ROOF,
                "measurements": [record("a & b", [result("fulgur", OURS), result("openvino", PEER)]),
                                 record("no peer", [result("fulgur", OURS)]), record("nothing", [])]}

    def test_a_new_record_replaces_the_old_one(self):
        results = self.results()
        run.put(results, record("no peer", []))
        run.put(results, record("no peer", [], threads=2))
        self.assertEqual([(r["case"], r["threads"], len(r["engines"])) for r in results["measurements"]],
                         [("a & b", 1, 2), ("no peer", 1, 0), ("nothing", 1, 0), ("no peer", 2, 0)])

    def test_ratios(self):
        rows = run.ratios(self.results())
        self.assertEqual([row[0] for row in rows[1:]], ["a & b", "geometric mean"])
        self.assertEqual(rows[2][3], "1.50")

    def test_the_page_and_its_chart(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "out.json"
            path.write_text(json.dumps(self.results()))
            sys.argv = ["report.py", str(path), "--out", folder]
            report.main()
            page = (Path(folder) / "performance.md").read_text()
            self.assertIn("| a & b | 1.00 | 1.50 | **1.50** | 1.50–1.50 |", page)
            self.assertIn("| no peer | 1.00 | – | – | – | – |", page)
            self.assertIn("- iree, a & b: not <installed>", page)
            drawn = xml.etree.ElementTree.parse(Path(folder) / "performance.svg")
            bars = [bar for bar in drawn.iter("{http://www.w3.org/2000/svg}rect") if bar.find("{http://www.w3.org/2000/svg}title") is not None]
            self.assertEqual(len(bars), 3)

    def test_kinds_are_shown_one_after_the_other(self):
        measurements = [{**record("q", [result("fulgur", OURS)]), "kind": "int8"}, record("f", [result("fulgur", OURS)], threads=2),
                        record("f", [result("fulgur", OURS)]), {**record("nothing", []), "kind": "bf16"}]
        self.assertEqual([title for _, title, _ in stats.groups(measurements)], ["f32, 1 thread", "f32, 2 threads", "int8, 1 thread"])
        places = [(float(t.get("x")), float(t.get("y"))) for t in xml.etree.ElementTree.fromstring(chart.svg(measurements)).iter(
            "{http://www.w3.org/2000/svg}text") if "thread" in t.text]
        self.assertEqual(places[0][1], places[1][1])
        self.assertEqual(places[0][0], places[2][0])
        self.assertLess(places[1][1], places[2][1])

    def test_speeds(self):
        self.assertEqual([round(speed, 2) for _, _, speed in chart.speeds(self.results()["measurements"][0])], [1.5, 1.0])

    def test_the_suites_name_entries(self):
        for suite in json.loads((ROOT / "bench" / "suite.json").read_text()).values():
            self.assertEqual(len({case["name"] for case in suite}), len(suite))
            self.assertTrue(all(case["entry"] for case in suite))


def entry(folder):
    """A corpus entry with y = x · w and two sets of inputs."""
    folder = Path(folder) / "product"
    folder.mkdir()
    weight = np.arange(12, dtype=np.float32).reshape(4, 3)
    graph = helper.make_graph(
        [helper.make_node("Transpose", ["w"], ["wt"], "turn", perm=[1, 0]), helper.make_node("MatMul", ["x", "wt"], ["y"], "multiply")],
        "product", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 3])],
        [onnx.numpy_helper.from_array(np.ascontiguousarray(weight.T), "w")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), folder / "model.onnx")
    described = {"inputs": [{"name": "x", "type": "FLOAT", "shape": ["rows", 4]}]}
    (folder / "meta.json").write_text(json.dumps(described))
    for index, rows in enumerate((2, 5)):
        x = np.ones((rows, 4), np.float32)
        suffix = f"_{index}" if index else ""
        np.savez(folder / f"inputs{suffix}.npz", x=x)
        np.savez(folder / f"outputs{suffix}.npz", y=x @ weight)
    return folder


class Cases(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def test_dims_pick_the_set(self):
        folder = entry(self.folder.name)
        self.assertEqual(cases.of_entry(folder).dims, {"rows": 2})
        case = cases.of_entry(folder, "five", {"rows": 5})
        self.assertEqual((case.name, case.set, case.reference.name), ("five", 1, "outputs_1.npz"))
        self.assertEqual(cases.of_entry(folder, fixed=False).dims, {})
        with self.assertRaises(cases.Missing):
            cases.of_entry(folder, "seven", {"rows": 7})
        with self.assertRaises(cases.Missing):
            cases.of_entry(folder / "elsewhere")

    def test_inputs_are_made_up(self):
        model = entry(self.folder.name) / "model.onnx"
        with np.load(cases.made_up(model, {"rows": 6}, self.folder.name)) as arrays:
            self.assertEqual(arrays["x"].shape, (6, 4))
        with self.assertRaises(cases.Missing):
            cases.made_up(model, {}, self.folder.name)

    def test_difference(self):
        ones = np.ones(3, np.float32)
        self.assertEqual(cases.difference([ones], [ones]), 0)
        self.assertAlmostEqual(cases.difference([ones * 3], [ones * 2]), 0.5)
        self.assertEqual(cases.difference([ones], [ones[:2]]), np.inf)
        self.assertEqual(cases.difference([], [ones]), np.inf)
        self.assertEqual(cases.difference([ones * np.nan], [ones]), np.inf)

    def test_operations_are_counted(self):
        folder = entry(self.folder.name)
        cost = costs.count(str(folder / "model.onnx"), {"x": np.ones((2, 4), np.float32)})
        self.assertEqual(cost, {"flops": 2 * 2 * 4 * 3, "bytes": 48 + 32 + 24, "weights": 48})

    def test_of_experts_those_that_are_picked_are_counted(self):
        path = Path(self.folder.name) / "experts.onnx"
        nodes = [helper.make_node("GatherND", ["experts", "pick"], ["picked"], "gather"),
                 helper.make_node("MatMul", ["x", "picked"], ["y"], "product")]
        x, pick, y = (helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in (
            ("x", TensorProto.FLOAT, [1, 2, 3]), ("pick", TensorProto.INT64, [1, 1]), ("y", TensorProto.FLOAT, [1, 2, 5])))
        experts = helper.make_tensor("experts", TensorProto.FLOAT, (4, 3, 5), np.zeros(60))
        graph = helper.make_graph(nodes, "experts", [x, pick], [y], [experts])
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), path)
        cost = costs.count(str(path), {"x": np.ones((1, 2, 3), np.float32), "pick": np.array([[2]])})
        self.assertEqual((cost["flops"], cost["weights"]), (2 * 2 * 3 * 5, 3 * 5 * 4))

    def test_shapes_of_a_decoder(self):
        """As an exporter and as a quantizer write it."""
        hidden, mlp, kv, words = 64, 96, 32, 40
        sizes = {"q": (hidden, hidden), "k": (hidden, kv), "v": (hidden, kv), "o": (hidden, hidden), "gate": (hidden, mlp),
                 "up": (hidden, mlp), "down": (mlp, hidden)}
        ports = [helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", 1])] + [
            helper.make_tensor_value_info(f"past.{kind}", TensorProto.FLOAT, ["batch", 2, "past", 16]) for kind in ("key", "value")]
        for quantized in (False, True):
            nodes = [helper.make_node("Gather", ["table", "ids"], ["x"])]
            weights = [helper.make_tensor("table", TensorProto.FLOAT, (words, hidden), np.zeros(words * hidden))]
            for name, (k, n) in sizes.items():
                if quantized:
                    nodes.append(helper.make_node("MatMulNBits", ["x", name, name], [name + "y"], domain="com.microsoft", K=k, N=n))
                else:
                    nodes.append(helper.make_node("MatMul", ["x", name], [name + "y"]))
                    weights.append(helper.make_tensor(name, TensorProto.FLOAT, (k, n), np.zeros(k * n)))
            path = Path(self.folder.name) / "decoder.onnx"
            onnx.save(helper.make_model(helper.make_graph(nodes, "decoder", ports, [], weights)), path)
            self.assertEqual(gguf_model.shapes(path), {"layers": 1, "hidden": hidden, "heads": 4, "kv_heads": 2, "head": 16, "mlp": mlp,
                                                       "vocabulary": words})
        with self.assertRaises(gguf_model.Unlike):
            gguf_model.shapes(entry(self.folder.name) / "model.onnx")

    def test_engines_take_turns(self):
        """ONNX Runtime in its worker, and an engine that cannot run the case."""
        case = cases.of_entry(entry(self.folder.name))
        options = {"seconds": 0, "fulgurc": "/nowhere/fulgurc", "fulgur_args": "", "built": {}}
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            control = roofline.Control(1)
            results, missing, machine = turns.measure(case, ["fulgur", "onnxruntime"], 1, "f32", options, control)
            control.close()
            if control.process:
                self.assertEqual(len(machine["rates"]), len(results[0]["rounds"]))
                self.assertGreater(min(machine["rates"]), 0)
                self.assertEqual([len(block) for block in machine["rounds"]], [len(block) for block in results[0]["rounds"]])
                self.assertEqual([len(block) for block in results[0]["lost"]], [len(block) for block in results[0]["rounds"]])
                self.assertEqual(len(results[0]["steady"]), len(results[0]["rounds"]))
        self.assertIn("there is no", missing["fulgur"])
        self.assertIn("Fulgur is left out", said.getvalue())
        self.assertEqual([r["engine"] for r in results], ["onnxruntime"])
        self.assertEqual(len(results[0]["rounds"]), turns.FEWEST_ROUNDS)
        self.assertEqual(results[0]["difference"], 0)

    def test_a_worker_that_dies_is_left_out(self):
        worker = turns.Worker("onnxruntime", 1)
        worker.process.kill()
        with self.assertRaises(turns.engines.Unavailable):
            worker.ask("block", runs=1, warm=0)
            worker.ask("block", runs=1, warm=0)
        worker.close()


if __name__ == "__main__":
    unittest.main()
