"""Writes the seeds of the fuzz targets: make_corpus.py FOLDER"""

import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
import backend
import hostile_seeds


def words(size, *texts):
    return bytes([size]) + b"\0".join(text.encode() for text in texts) + b"\0"


def seeds():
    """Target -> name -> bytes."""
    models = hostile_seeds.models() + [(case.name, case.model) for case in backend.load_cases(r"_example$|^test_basic|LSTM|sequence")]
    yield "fuzz_import", {name: model.SerializeToString() for name, model in models if model.ByteSize() < 4096}
    yield "fuzz_external_data", {
        "plain": words(1, "location", "d"),
        "inner": words(2, "location", "inner/d", "offset", "64", "length", "64"),
        "up": words(1, "location", "../secret"),
        "through": words(1, "location", "inner/../../secret"),
        "link": words(1, "location", "l"),
        "linked": words(1, "location", "up/secret", "length", "32"),
        "hard": words(1, "location", "h"),
        "itself": words(1, "location", "#", "offset", "0", "length", "32"),
        "settled": words(1, "location", "#0"),
        "overflow": words(1, "location", "d", "offset", "18446744073709551608", "length", "32"),
    }
    nothing = 0xEF46DB3751D8E999  # XXH64 of no bytes
    header = struct.pack("<8sIIQQ", b"FULGURW1", 1, 4096, 0, nothing).ljust(64, b"\0")
    yield "fuzz_weights", {"sound": b"\0\1" + header, "short": b"\0\0" + header, "empty": b"\0\0"}


def main(folder):
    for target, files in seeds():
        (folder / target).mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            (folder / target / name).write_bytes(data)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
