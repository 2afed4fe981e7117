// RUN: fulgur-opt %s --fulgur-pack-weights | FileCheck %s
// Two columns a panel: the columns of a 2x3 weight become the panels (0, 1) and (2, nothing), each step after step.

// CHECK-LABEL: @columns_last
// CHECK: arith.constant dense_resource<[[PACKED:.*]]> : tensor<2x2x2xf32>
// CHECK: ^bb0(%{{.*}}: tensor<?x2xf32>, %[[W:.*]]: tensor<2x2x2xf32>, %{{.*}}: tensor<?x3xf32>)
// CHECK: %[[B:.*]] = linalg.unpack %[[W]] outer_dims_perm = [1, 0] inner_dims_pos = [1] inner_tiles = [2] {{.*}} -> tensor<2x3xf32>
// CHECK: linalg.matmul ins(%{{.*}}, %[[B]]
// The second kernel has the same weight in the same layout.
// CHECK: dense_resource<[[PACKED]]>
func.func @columns_last(%a: tensor<?x2xf32>, %out: tensor<?x3xf32>) -> (tensor<?x3xf32>, tensor<?x3xf32>) {
  %weight = arith.constant dense<[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]> : tensor<2x3xf32>
  %r = fulgur.kernel ins(%a, %weight : tensor<?x2xf32>, tensor<2x3xf32>) outs(%out : tensor<?x3xf32>)
      schedule(<kind = "gemm", tile = [6, 2], pack = 2>) {
  ^bb0(%x: tensor<?x2xf32>, %w: tensor<2x3xf32>, %o: tensor<?x3xf32>):
    %zero = arith.constant 0.0 : f32
    %init = linalg.fill ins(%zero : f32) outs(%o : tensor<?x3xf32>) -> tensor<?x3xf32>
    %p = linalg.matmul ins(%x, %w : tensor<?x2xf32>, tensor<2x3xf32>) outs(%init : tensor<?x3xf32>) -> tensor<?x3xf32>
    fulgur.yield %p : tensor<?x3xf32>
  } -> tensor<?x3xf32>
  %s = fulgur.kernel ins(%a, %weight : tensor<?x2xf32>, tensor<2x3xf32>) outs(%out : tensor<?x3xf32>)
      schedule(<kind = "gemm", tile = [6, 2], pack = 2>) {
  ^bb0(%x: tensor<?x2xf32>, %w: tensor<2x3xf32>, %o: tensor<?x3xf32>):
    %zero = arith.constant 0.0 : f32
    %init = linalg.fill ins(%zero : f32) outs(%o : tensor<?x3xf32>) -> tensor<?x3xf32>
    %p = linalg.matmul ins(%x, %w : tensor<?x2xf32>, tensor<2x3xf32>) outs(%init : tensor<?x3xf32>) -> tensor<?x3xf32>
    fulgur.yield %p : tensor<?x3xf32>
  } -> tensor<?x3xf32>
  return %r, %s : tensor<?x3xf32>, tensor<?x3xf32>
}

// An operand that is computed stays as it is.
// CHECK-LABEL: @negative_no_weight
// CHECK-NOT: linalg.unpack
// CHECK: return
func.func @negative_no_weight(%a: tensor<?x2xf32>, %b: tensor<2x3xf32>, %out: tensor<?x3xf32>) -> tensor<?x3xf32> {
  %r = fulgur.kernel ins(%a, %b : tensor<?x2xf32>, tensor<2x3xf32>) outs(%out : tensor<?x3xf32>)
      schedule(<kind = "gemm", tile = [6, 2], pack = 2>) {
  ^bb0(%x: tensor<?x2xf32>, %w: tensor<2x3xf32>, %o: tensor<?x3xf32>):
    %zero = arith.constant 0.0 : f32
    %init = linalg.fill ins(%zero : f32) outs(%o : tensor<?x3xf32>) -> tensor<?x3xf32>
    %p = linalg.matmul ins(%x, %w : tensor<?x2xf32>, tensor<2x3xf32>) outs(%init : tensor<?x3xf32>) -> tensor<?x3xf32>
    fulgur.yield %p : tensor<?x3xf32>
  } -> tensor<?x3xf32>
  return %r : tensor<?x3xf32>
}

// The bytes: (1, 2) and (4, 5), then (3, 0) and (6, 0).
// CHECK: [[PACKED]]: "0x400000000000803F0000004000008040{{0000A0400000404000000000}}0000C04000000000"
