// Models in fewer bits, and how far they are from float32, on made-up inputs; weights and rows that are picked from them are stored once.
// RUN: rm -rf %t && mkdir %t
// RUN: fulgurc %s -o %t/half --precision=f16 --accuracy --emit=header,report 2>&1 | FileCheck %s
// RUN: fulgurc %s -o %t/bytes --precision=int8-dynamic --accuracy --emit=report 2>&1 | FileCheck %s
// RUN: fulgurc %s -o %t/four --precision=int4-weights:group=16,activations=int8 --accuracy --weights=file --emit=so,weights,report 2>&1 | FileCheck %s
// RUN: fulgurc %s -o %t/blocks --precision=int4-weights:group=32 --accuracy --emit=report 2>&1 | FileCheck %s
// CHECK: note: accuracy: output 'y' is at most {{[1-9].[0-9]*E-[0-9]*}} from float32, {{[1-9].[0-9]*E-0[1-9]}} of its largest value (rms {{.*}}), on made-up inputs
// CHECK: note: accuracy: output 'rows' is at most {{[1-9].[0-9]*E-[0-9]*}} from float32
// RUN: fulgurc %s -o %t/same --accuracy --emit=report 2>&1 | FileCheck %s --check-prefix=SAME
// SAME: note: accuracy: output 'y' is at most 0.00E+00 from float32
// RUN: ls %t | FileCheck %s --check-prefix=FILES
// FILES: four.so
// FILES-NOT: half.so
// Panels of 8 columns, half of which are there: as float16, as bytes and as 4 bits with scales, which have 64 bytes at least.
// RUN: FileCheck %s --input-file=%t/half.report.json --check-prefix=HALF
// HALF: "accuracy": {
// HALF-NEXT: "data": "made-up inputs",
// HALF: "max_absolute": 0.000{{[0-9]*[1-9]}}
// HALF: "output": "y",
// HALF: "weights": {
// HALF-NEXT: "bytes": 512,
// RUN: FileCheck %s --input-file=%t/bytes.report.json --check-prefix=BYTES
// BYTES: "weights": {
// BYTES-NEXT: "bytes": 320,
// RUN: FileCheck %s --input-file=%t/blocks.report.json --check-prefix=BLOCKS
// BLOCKS: "weights": {
// BLOCKS-NEXT: "bytes": 192,
// RUN: FileCheck %s --input-file=%t/half.report.html --check-prefix=PAGE
// PAGE: <h2>Accuracy</h2>
// PAGE: float32, on made-up inputs

// RUN: not fulgurc %s -o %t/m --precision=int5 2>&1 | FileCheck %s --check-prefix=NAME
// NAME: fulgurc: error: --precision=int5: there is no such precision; there are f32, bf16, f16, int8-dynamic and int4-weights
// RUN: not fulgurc %s -o %t/m --precision=int4-weights:group=24 2>&1 | FileCheck %s --check-prefix=GROUP
// GROUP: fulgurc: error: --precision=int4-weights:group=24: 'group=24' is neither group=N, where N is a multiple of 16, nor
// RUN: not fulgurc %s -o %t/m --precision=f16:group=32 2>&1 | FileCheck %s --check-prefix=SETTING
// SETTING: fulgurc: error: --precision=f16:group=32: 'group=32' is not for it
// RUN: not fulgurc %s -o %t/m --precision=f16 --accuracy=%t/none --emit=report 2>&1 | FileCheck %s --check-prefix=DATA
// DATA: fulgurc: error: cannot measure the accuracy: {{.*}}none

module attributes {fulgur.model = "tied", fulgur.symbols = [{max = 9223372036854775807 : i64, min = 0 : i64, name = "n"}]} {
  func.func @main(%x: tensor<?x32xf32> {fulgur.dims = ["n", "32"], fulgur.name = "x"},
                  %i: tensor<?xi64> {fulgur.dims = ["n"], fulgur.name = "i"})
      -> (tensor<?x4xf32> {fulgur.dims = ["n", "4"], fulgur.name = "y"},
          tensor<?x32xf32> {fulgur.dims = ["n", "32"], fulgur.name = "rows"}) {
    %n = fulgur.symbol "n"
    %w = arith.constant dense<[[-0.731, 0.695, 0.528, -0.490, -0.009, -0.101, 0.303, 0.577, -0.812, -0.943, 0.672, -0.134, 0.525, -0.996, -0.109, 0.443, -0.542, 0.891, 0.803, -0.939, -0.949, 0.083, 0.878, -0.238, -0.567, -0.156, -0.942, -0.557, -0.124, -0.008, -0.534, -0.538], [-0.562, -0.081, -0.420, -0.957, 0.675, 0.113, 0.285, -0.628, 0.985, 0.720, -0.758, -0.335, 0.443, 0.422, 0.873, -0.156, 0.660, 0.341, -0.393, 0.175, 0.765, 0.692, 0.011, 0.178, -0.931, -0.515, 0.595, -0.171, -0.654, 0.098, 0.406, 0.349], [-0.251, -0.122, 0.017, 0.557, 0.042, -0.213, -0.021, -0.941, -0.913, 0.407, 0.966, 0.186, -0.213, -0.659, 0.004, 0.964, 0.541, 0.079, 0.721, -0.536, 0.028, 0.905, 0.156, -0.082, -0.461, 0.096, 0.914, -0.989, 0.567, 0.641, 0.772, 0.481], [0.618, 0.037, 0.123, -0.148, -0.888, 0.740, 0.140, -0.600, 0.009, -0.030, -0.286, -0.308, 0.077, 0.247, 0.225, -0.084, -0.944, -0.541, -0.646, 0.169, 0.722, 0.597, 0.594, 0.633, -0.489, 0.683, 0.346, -0.834, -0.967, -0.971, 0.511, -0.501]]> : tensor<4x32xf32>
    %zero = arith.constant 0.0 : f32
    %e = tensor.empty(%n) : tensor<?x32xf32>
    %none = tensor.empty(%n) : tensor<?x4xf32>
    %sums = linalg.fill ins(%zero : f32) outs(%none : tensor<?x4xf32>) -> tensor<?x4xf32>
    %y = linalg.matmul indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]
      ins(%x, %w : tensor<?x32xf32>, tensor<4x32xf32>) outs(%sums : tensor<?x4xf32>) -> tensor<?x4xf32>
    %rows = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
        ins(%i : tensor<?xi64>) outs(%e : tensor<?x32xf32>) {
    ^bb0(%k: i64, %o: f32):
      %row = arith.index_cast %k : i64 to index
      %column = linalg.index 1 : index
      %v = tensor.extract %w[%row, %column] : tensor<4x32xf32>
      linalg.yield %v : f32
    } -> tensor<?x32xf32>
    return %y, %rows : tensor<?x4xf32>, tensor<?x32xf32>
  }
}
