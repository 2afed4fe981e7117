"""Says how far the embeddings are from ONNX Runtime's, and how long that takes: compare.py MODEL TOKENS EMBEDDINGS

Fails when the largest difference exceeds 1e-4 of the largest value.
"""

import os
import statistics
import sys
import time

import numpy as np
import onnxruntime

TOLERANCE, TOKENS, RUNS = 1e-4, 128, 30


def session(model, threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def read_tokens(path):
    rows = []
    for line in open(path, encoding="utf-8"):
        words = line.split()
        rows.append([int(word) for word in words[1 : 1 + int(words[0])]])
    return rows


def feeds(rows):
    length = max(map(len, rows))
    ids = np.array([row + [0] * (length - len(row)) for row in rows], np.int64)
    mask = np.array([[1] * len(row) + [0] * (length - len(row)) for row in rows], np.int64)
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}


def median_latency(run, data):
    times = []
    for _ in range(RUNS + 2):
        start = time.perf_counter()
        run(None, data)
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times[2:])


def main(model, tokens, embeddings):
    onnxruntime.disable_telemetry_events()
    timed = feeds([[1000 + 37 * i for i in range(TOKENS)]])
    threads = len(os.sched_getaffinity(0))
    for count, label in [(1, "1 thread"), (threads, "all threads")]:
        print(f"  ONNX Runtime, {label:<14}{median_latency(session(model, count).run, timed):7.2f} ms")

    data = feeds(read_tokens(tokens))
    expected = session(model, 1).run(None, data)[0]
    ours = np.fromfile(embeddings, np.float32).reshape(expected.shape)
    difference = float(np.abs(ours - expected).max() / np.abs(expected).max())
    print(f"\n  largest difference from ONNX Runtime {onnxruntime.__version__}: {difference:.1e} of the largest value")
    if not difference <= TOLERANCE:
        sys.exit(f"error: the difference exceeds {TOLERANCE:.0e}")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
