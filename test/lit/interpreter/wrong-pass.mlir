// A pass that changes what the model computes is named, and the IR before and after it is kept.
// RUN: mkdir -p %t && cd %t
// RUN: not fulgur-opt %s --verify-numerics-each --canonicalize --fulgur-fuse-elementwise --test-swap-subtractions --cse -o %t/out.mlir 2>&1 | FileCheck %s
// RUN: grep "subf %in, %in_0" fulgur-opt-before.mlir
// RUN: grep "subf %in_0, %in" fulgur-opt-after.mlir

// CHECK: error: pass 'test-swap-subtractions' changes what the model computes: in function 'main', output 0 of shape [3x3]: element 0 is {{.*}} instead of {{.*}}; the largest difference is 2 of the largest element, 0.0001 are allowed; with rows = 3
// CHECK-SAME: fulgur-opt-before.mlir
// CHECK-SAME: fulgur-opt-after.mlir

// So is one that makes it read outside of its memory, after passes that change nothing.
// RUN: not fulgur-opt %s --verify-numerics-each --fulgur-stage-graph --fulgur-stage-kernel --fulgur-stage-memory --test-lengthen-loops -o %t/out.mlir 2>&1 | FileCheck %s --check-prefix=OUTSIDE
// OUTSIDE: error: pass 'test-lengthen-loops' changes what the model computes: it ends with ''memref.load' has index 3 in dim 1, which is of size 3'

// Passes that are right are, up to LLVM.
// RUN: fulgur-opt %s --verify-numerics-each --fulgur-stage-graph --fulgur-stage-kernel --fulgur-stage-memory --fulgur-stage-llvm -o %t/out.mlir 2>&1 | FileCheck %s --check-prefix=RIGHT --allow-empty
// RIGHT-NOT: not checked
// RIGHT: numerics: {{[1-9][0-9]}} changes of the IR checked
// RIGHT-NOT: not checked

module attributes {fulgur.symbols = [{name = "rows", min = 1 : i64, max = 9 : i64}]} {
  func.func @main(%a: tensor<?x3xf32> {fulgur.dims = ["rows", "3"], fulgur.name = "a"},
                  %b: tensor<?x3xf32> {fulgur.dims = ["rows", "3"], fulgur.name = "b"}) -> tensor<?x3xf32> {
    %rows = fulgur.symbol "rows"
    %empty = tensor.empty(%rows) : tensor<?x3xf32>
    %c = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>],
                         iterator_types = ["parallel", "parallel"]}
        ins(%a, %b : tensor<?x3xf32>, tensor<?x3xf32>) outs(%empty : tensor<?x3xf32>) {
    ^bb0(%x: f32, %y: f32, %z: f32):
      %d = arith.subf %x, %y : f32
      linalg.yield %d : f32
    } -> tensor<?x3xf32>
    return %c : tensor<?x3xf32>
  }
}
