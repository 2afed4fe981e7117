"""Real architectures, as exporters write them, against the outputs that PyTorch gave: run_corpus.py [ENTRY...]

The models are a folder per entry (FULGUR_CORPUS, or build/corpus/tiny, which `./dev corpus` makes). Those in SUPPORTED must be
right on every data set; those in UNSUPPORTED must be refused with exit code 3 and a message that names operator and node.
"""

import os
import sys
import time
from pathlib import Path

import toolchain

SUPPORTED = """
    bert-base bert-base-hf bert-base-legacy bert-base-op14 bert-base-op23 bert-base-sp24 bert-base-sp80 bert-base-sp80b4x4
    clip-text clip-vision gpt2-decode gpt2-decode-sp24 gpt2-decode-sp80 gpt2-prefill llama-decode llama-decode-op23 minilm
    mixtral-decode mobilenet qwen3-moe-decode resnet50 resnet50-legacy resnet50-sp80 t5-small-decoder t5-small-encoder vit-b16
    whisper-tiny-decoder whisper-tiny-encoder
    bert-base-ortopt clip-text-ortopt gpt2-decode-ortopt llama-decode-ortopt llama-genai-fp32 vit-b16-ortopt
    resnet50-ortopt whisper-tiny-encoder-ortopt
""".split()

UNSUPPORTED = """
    bert-base-dynq bert-base-qdq bert-base-qdq-ortopt bert-base-sp80-qdq gpt2-decode-int4 llama-decode-int4
    llama-decode-int4-asym llama-decode-int4-qdq llama-genai-int4 minilm-qdq mixtral-decode-int4 mobilenet-qdq
    resnet50-qdq vit-b16-qdq
""".split()


def check_supported(folder):
    """None, or what is wrong; and a line about how it went."""
    with toolchain.scratch() as scratch:
        start = time.monotonic()
        ended = toolchain.compile_model(folder / "model.onnx", f"{scratch}/model")
        seconds = time.monotonic() - start
        if ended.code:
            return False, "does not compile: " + ended.reason()
        errors = []
        for data_set in sorted(folder.glob("test_data_set_*")):
            ended, outputs = toolchain.run_model(f"{scratch}/model.so", data_set, f"{scratch}/{data_set.name}")
            if ended.code:
                return False, f"{data_set.name} does not run: {ended.reason()}"
            errors.append(toolchain.worst(outputs, toolchain.read_tensors(data_set, "output")))
        right = bool(errors) and max(errors) <= toolchain.TOLERANCE
        return right, f"compiled in {seconds:.1f} s, largest differences " + " ".join(f"{error:.1e}" for error in errors)


def check_unsupported(folder):
    with toolchain.scratch() as scratch:
        ended = toolchain.compile_model(folder / "model.onnx", f"{scratch}/model")
        clear = ended.code == toolchain.UNSUPPORTED and "error:" in ended.output and "node" in ended.output
        return clear and not os.listdir(scratch), ended.reason()


def main(names):
    corpus = Path(os.environ.get("FULGUR_CORPUS", toolchain.ROOT / "build" / "corpus" / "tiny"))
    if not corpus.is_dir():
        toolchain.skip(f"there is no model corpus in {corpus}; `./dev corpus` makes it")
    work = [(name, check_supported) for name in SUPPORTED] + [(name, check_unsupported) for name in UNSUPPORTED]
    work = [(corpus / name, check) for name, check in work if (corpus / name).is_dir() and (not names or name in names)]
    failures = 0
    for (folder, _), (right, text) in toolchain.in_parallel(lambda item: item[1](item[0]), work):
        print(f"{'ok  ' if right else 'FAIL'} {folder.name}: {text}", flush=True)
        failures += not right
    print(f"{len(work) - failures} of {len(work)} models as they should be")
    return failures > 0 or not work


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
