// RUN: fulgur-opt %s --fulgur-narrow-weights | FileCheck %s
// RUN: fulgur-opt %s --fulgur-narrow-weights --remarks-filter-missed=.* --remark-format=emitRemark -o %t 2>&1 | FileCheck %s --check-prefix=REMARK

// A product reads a weight as float16; so does a loop that picks rows of it.
// CHECK-LABEL: @product
// CHECK-SAME: %[[x:.*]]: tensor<1x16xf32>
// CHECK: %[[w:.*]] = arith.constant dense_resource<half{{.*}}> : tensor<2x16xf16>
// CHECK: tensor.extract %[[w]]
// CHECK-NEXT: arith.extf
// CHECK: linalg.generic {{.*}} ins(%[[x]], %[[w]] : tensor<1x16xf32>, tensor<2x16xf16>)
// CHECK-NEXT: ^bb0(%{{.*}}: f32, %[[n:.*]]: f16, %{{.*}}: f32)
// CHECK-NEXT: arith.extf %[[n]] : f16 to f32
func.func @product(%x: tensor<1x16xf32>, %sums: tensor<1x2xf32>, %i: tensor<3xi64>) -> (tensor<1x2xf32>, tensor<3x16xf32>) {
  %w = arith.constant dense<0.3> : tensor<2x16xf32>
  %e = tensor.empty() : tensor<3x16xf32>
  %picked = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
      ins(%i : tensor<3xi64>) outs(%e : tensor<3x16xf32>) {
  ^bb0(%n: i64, %o: f32):
    %row = arith.index_cast %n : i64 to index
    %column = linalg.index 1 : index
    %v = tensor.extract %w[%row, %column] : tensor<2x16xf32>
    linalg.yield %v : f32
  } -> tensor<3x16xf32>
  %y = linalg.matmul indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]
    ins(%x, %w : tensor<1x16xf32>, tensor<2x16xf32>) outs(%sums : tensor<1x2xf32>) -> tensor<1x2xf32>
  return %y, %picked : tensor<1x2xf32>, tensor<3x16xf32>
}

// Matrices that data picks stay picked, as float16.
// CHECK-LABEL: @experts
// CHECK: linalg.generic {{.*}} outs(%{{.*}} : tensor<3x16x2xf16>)
// CHECK: linalg.yield %{{.*}} : f16
// CHECK: ins(%{{.*}}, %{{.*}} : tensor<3x1x16xf32>, tensor<3x16x2xf16>)
func.func @experts(%x: tensor<3x1x16xf32>, %i: tensor<3xi64>, %sums: tensor<3x1x2xf32>) -> tensor<3x1x2xf32> {
  %w = arith.constant dense<0.3> : tensor<5x16x2xf32>
  %e = tensor.empty() : tensor<3x16x2xf32>
  %picked = linalg.generic {indexing_maps = [affine_map<(i, j, k) -> (i)>, affine_map<(i, j, k) -> (i, j, k)>],
      iterator_types = ["parallel", "parallel", "parallel"]} ins(%i : tensor<3xi64>) outs(%e : tensor<3x16x2xf32>) {
  ^bb0(%n: i64, %o: f32):
    %matrix = arith.index_cast %n : i64 to index
    %row = linalg.index 1 : index
    %column = linalg.index 2 : index
    %v = tensor.extract %w[%matrix, %row, %column] : tensor<5x16x2xf32>
    linalg.yield %v : f32
  } -> tensor<3x16x2xf32>
  %y = linalg.batch_matmul ins(%x, %picked : tensor<3x1x16xf32>, tensor<3x16x2xf32>) outs(%sums : tensor<3x1x2xf32>) -> tensor<3x1x2xf32>
  return %y : tensor<3x1x2xf32>
}

// What float16 cannot hold, short sums, and matrices that are no constants.
// CHECK-LABEL: @negative
// CHECK-NOT: f16>
func.func @negative(%x: tensor<1x16xf32>, %z: tensor<1x2xf32>, %v: tensor<16x2xf32>, %sums: tensor<1x2xf32>)
    -> (tensor<1x2xf32>, tensor<1x2xf32>, tensor<1x2xf32>) {
  %w = arith.constant dense<1.0e5> : tensor<16x2xf32>
  %short = arith.constant dense<0.3> : tensor<2x2xf32>
  %a = linalg.matmul ins(%x, %w : tensor<1x16xf32>, tensor<16x2xf32>) outs(%sums : tensor<1x2xf32>) -> tensor<1x2xf32>
  %b = linalg.matmul ins(%z, %short : tensor<1x2xf32>, tensor<2x2xf32>) outs(%sums : tensor<1x2xf32>) -> tensor<1x2xf32>
  %c = linalg.matmul ins(%x, %v : tensor<1x16xf32>, tensor<16x2xf32>) outs(%sums : tensor<1x2xf32>) -> tensor<1x2xf32>
  return %a, %b, %c : tensor<1x2xf32>, tensor<1x2xf32>, tensor<1x2xf32>
}

// Nor do those of convolutions, which is said.
// REMARK-DAG: remark: {{.*}}float16 cannot hold
// REMARK-DAG: remark: [Missed]{{.*}}the weights of convolutions stay float32
// CHECK-LABEL: @negative_convolution
// CHECK: arith.constant dense<1.000000e+00> : tensor<3x3x16x2xf32>
func.func @negative_convolution(%x: tensor<1x5x5x16xf32>, %sums: tensor<1x3x3x2xf32>) -> tensor<1x3x3x2xf32> {
  %w = arith.constant dense<1.0> : tensor<3x3x16x2xf32>
  %y = linalg.conv_2d_nhwc_hwcf ins(%x, %w : tensor<1x5x5x16xf32>, tensor<3x3x16x2xf32>) outs(%sums : tensor<1x3x3x2xf32>) -> tensor<1x3x3x2xf32>
  return %y : tensor<1x3x3x2xf32>
}
