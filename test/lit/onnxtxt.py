"""Turns ONNX text, the lines of a file that do not start with //, into a model file: onnxtxt.py TEXT MODEL"""

import sys

import onnx
import onnx.parser


def read(path):
    """The model that a text file describes."""
    with open(path, encoding="utf-8") as text:
        return onnx.parser.parse_model("".join(line for line in text if not line.startswith("//")))


if __name__ == "__main__":
    onnx.save(read(sys.argv[1]), sys.argv[2])
