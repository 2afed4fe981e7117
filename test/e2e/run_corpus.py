"""Real architectures, as exporters and quantizers write them, against the outputs of PyTorch: run_corpus.py [ENTRY...]

The models are a folder per entry (FULGUR_CORPUS, or build/corpus/tiny, which `./dev corpus` makes); its meta.json says how exact its
reference is. Where rounding at one quantizer moves values at the next, two correct engines differ in single values; such an entry
has the float model's outputs too, and it is enough that the error to them is hardly larger than the one that ONNX's semantics make.
"""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np

import toolchain

LOSS = 1.25  # the allowed error to the float model, as a multiple of what ONNX's semantics make
ROUNDING = 1e-5  # the same as a share of the float model's values, where ONNX's semantics make next to none


def float_outputs(folder, index):
    """The outputs of the model before it was quantized, in the order of the model's."""
    path = folder / f"outputs_f32{f'_{index}' if index else ''}.npz"
    return list(np.load(path).values()) if path.exists() else []


class Errors:
    """Errors over all data sets of an entry."""

    def __init__(self):
        self.largest = []
        self.squares = np.zeros(3)  # of the reference's and of our error to the float model, of the float model's values

    def add(self, actual, expected, exact):
        self.largest.append(toolchain.worst(actual, expected))
        for ours, reference, want in zip(actual, expected, exact) if np.isfinite(self.largest[-1]) else []:
            ours, reference, want = (value.astype(np.float64) for value in (ours, reference, want))
            self.squares += [np.mean((reference - want) ** 2), np.mean((ours - want) ** 2), np.mean(want**2)]

    def judge(self, tolerance):
        text = "largest differences " + " ".join(f"{error:.1e}" for error in self.largest)
        right = bool(self.largest) and max(self.largest) <= tolerance
        if self.squares[2] and np.isfinite(self.largest).all():
            reference, ours = np.sqrt(self.squares[:2] / self.squares[2])
            text += f", error to the float model {ours:.2e} (reference {reference:.2e})"
            right |= ours <= LOSS * reference + ROUNDING
        return right, text


def check(folder):
    """Whether the entry is right, and a line about how it went."""
    about = json.loads((folder / "meta.json").read_text())
    with toolchain.scratch() as scratch:
        start = time.monotonic()
        ended = toolchain.compile_model(folder / "model.onnx", f"{scratch}/model")
        seconds = time.monotonic() - start
        if ended.code:
            return False, "does not compile: " + ended.reason()
        errors = Errors()
        for index, data_set in enumerate(sorted(folder.glob("test_data_set_*"))):
            ended, outputs = toolchain.run_model(f"{scratch}/model.so", data_set, f"{scratch}/{data_set.name}")
            if ended.code:
                return False, f"{data_set.name} does not run: {ended.reason()}"
            errors.add(outputs, toolchain.read_tensors(data_set, "output"), float_outputs(folder, index))
        # Where the reference is float32's, we are held to more than the entry's tolerance allows.
        right, text = errors.judge(toolchain.TOLERANCE if about["tolerance"] < 1e-3 else about["tolerance"])
        return right, f"compiled in {seconds:.1f} s, {text}"


def main(names):
    corpus = Path(os.environ.get("FULGUR_CORPUS", toolchain.ROOT / "build" / "corpus" / "tiny"))
    if not corpus.is_dir():
        toolchain.skip(f"there is no model corpus in {corpus}; `./dev corpus` makes it")
    work = [path.parent for path in sorted(corpus.glob("*/meta.json")) if not names or path.parent.name in names]
    return not toolchain.all_right(check, work, lambda folder: folder.name, "models")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
