// RUN: fulgur-opt %s --fulgur-choose-schedules="vector-bytes=64 vector-registers=32 bf16" | FileCheck %s
// RUN: fulgur-opt %s --fulgur-choose-schedules="vector-bytes=64 vector-registers=32" | FileCheck %s --check-prefix=WIDE
// RUN: fulgur-opt %s --fulgur-choose-schedules="vector-bytes=64 vector-registers=32 bf16 amx" | FileCheck %s --check-prefix=AMX
// Panels of products of bfloat16 fit the columns, and tiles the rows; few steps are written out.

#x = affine_map<(m, n, k) -> (m, k)>
#w = affine_map<(m, n, k) -> (n, k)>
#y = affine_map<(m, n, k) -> (m, n)>

// The last vector is half a one.
// CHECK-LABEL: @half
// CHECK: schedule(<kind = "gemm", tile = [8, 2], lanes = 16, unroll = 4, pack = 24,
// Without the instruction it would take as long as a whole one.
// WIDE-LABEL: @half
// WIDE: schedule(<kind = "gemm", tile = [8, 2], lanes = 16, unroll = 4, pack = 32,
// AMX-LABEL: @half
// AMX: schedule(<kind = "amx", tile = [32, 2], lanes = 16, pack = 32,
func.func @half(%x: tensor<?x96xbf16>, %out: tensor<?x24xf32>) -> tensor<?x24xf32> {
  %w = arith.constant dense_resource<weight> : tensor<24x96xbf16>
  %r = fulgur.kernel ins(%x, %w : tensor<?x96xbf16>, tensor<24x96xbf16>) outs(%out : tensor<?x24xf32>) {
  ^bb0(%a: tensor<?x96xbf16>, %b: tensor<24x96xbf16>, %o: tensor<?x24xf32>):
    %zero = arith.constant 0.0 : f32
    %init = linalg.fill ins(%zero : f32) outs(%o : tensor<?x24xf32>) -> tensor<?x24xf32>
    %p = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%a, %b : tensor<?x96xbf16>, tensor<24x96xbf16>) outs(%init : tensor<?x24xf32>) {
    ^bb1(%l: bf16, %m: bf16, %s: f32):
      %f = arith.extf %l : bf16 to f32
      %g = arith.extf %m : bf16 to f32
      %h = arith.mulf %f, %g : f32
      %t = arith.addf %s, %h : f32
      linalg.yield %t : f32
    } -> tensor<?x24xf32>
    fulgur.yield %p : tensor<?x24xf32>
  } -> tensor<?x24xf32>
  return %r : tensor<?x24xf32>
}

// Two panels of five vectors have no column that does not exist, and nine tiles of five rows leave four, not one.
// CHECK-LABEL: @five
// CHECK: schedule(<kind = "gemm", tile = [5, 5], lanes = 16, unroll = 16, pack = 80,
// WIDE-LABEL: @five
// WIDE: schedule(<kind = "gemm", tile = [6, 4], lanes = 16, unroll = 4, pack = 64,
// AMX-LABEL: @five
// AMX: schedule(<kind = "amx", tile = [32, 2], lanes = 16, pack = 64,
func.func @five(%x: tensor<49x32xbf16>, %out: tensor<49x160xf32>) -> tensor<49x160xf32> {
  %w = arith.constant dense_resource<other> : tensor<160x32xbf16>
  %r = fulgur.kernel ins(%x, %w : tensor<49x32xbf16>, tensor<160x32xbf16>) outs(%out : tensor<49x160xf32>) {
  ^bb0(%a: tensor<49x32xbf16>, %b: tensor<160x32xbf16>, %o: tensor<49x160xf32>):
    %zero = arith.constant 0.0 : f32
    %init = linalg.fill ins(%zero : f32) outs(%o : tensor<49x160xf32>) -> tensor<49x160xf32>
    %p = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%a, %b : tensor<49x32xbf16>, tensor<160x32xbf16>) outs(%init : tensor<49x160xf32>) {
    ^bb1(%l: bf16, %m: bf16, %s: f32):
      %f = arith.extf %l : bf16 to f32
      %g = arith.extf %m : bf16 to f32
      %h = arith.mulf %f, %g : f32
      %t = arith.addf %s, %h : f32
      linalg.yield %t : f32
    } -> tensor<49x160xf32>
    fulgur.yield %p : tensor<49x160xf32>
  } -> tensor<49x160xf32>
  return %r : tensor<49x160xf32>
}
