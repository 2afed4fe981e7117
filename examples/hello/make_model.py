"""Writes the smallest model worth the name, y = Relu(x · W + b) with any number of rows: make_model.py MODEL.onnx"""

import sys

import onnx
import onnx.parser

TEXT = """
<ir_version: 9, opset_import: ["" : 20]>
hello (float[rows, 3] x) => (float[rows, 2] y)
<float[3, 2] W = {1, -1, 2, -2, 3, -3}, float[2] b = {0.5, 0.5}>
{
  product = MatMul(x, W)
  sum = Add(product, b)
  y = Relu(sum)
}
"""

onnx.save(onnx.parser.parse_model(TEXT), sys.argv[1])
