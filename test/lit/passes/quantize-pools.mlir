// RUN: fulgur-opt %s --split-input-file --fulgur-quantize-pools | FileCheck %s
// RUN: fulgur-opt %s --split-input-file --fulgur-quantize-pools --verify-numerics-each -o /dev/null
// RUN: fulgur-opt %s --split-input-file --fulgur-quantize-pools --remarks-filter-missed=.* --remark-format=emitRemark 2>&1 | FileCheck %s --check-prefix=REMARK

// The pool takes bytes, which are padded with the lowest there is, and gives them to what dequantizes.
// CHECK-LABEL: @pool
// CHECK-SAME: %[[X:.*]]: tensor<1x6x6x4xi8>
// CHECK: %[[LOWEST:.*]] = arith.constant -128 : i8
// CHECK: tensor.pad %[[X]] low[0, 1, 1, 0] high[0, 0, 0, 0]
// CHECK: tensor.yield %[[LOWEST]] : i8
// CHECK: linalg.fill ins(%[[LOWEST]] : i8)
// CHECK: arith.maxsi
// CHECK: linalg.generic {{.*}} ins(%{{.*}} : tensor<1x3x3x4xi8>) outs(%{{.*}} : tensor<1x3x3x4xf32>)
// CHECK: arith.extsi
// CHECK: arith.subi %{{.*}}, %c3_i32
// CHECK: arith.mulf
#id = affine_map<(n, h, w, c) -> (n, h, w, c)>
func.func @pool(%x: tensor<1x6x6x4xi8>) -> tensor<1x3x3x4xf32> {
  %s = arith.constant 0.5 : f32
  %z = arith.constant 3 : i32
  %lowest = arith.constant 0xFF800000 : f32
  %e = tensor.empty() : tensor<1x6x6x4xf32>
  %d = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%x : tensor<1x6x6x4xi8>) outs(%e : tensor<1x6x6x4xf32>) {
  ^bb0(%i: i8, %o: f32):
    %0 = arith.extsi %i : i8 to i32
    %1 = arith.subi %0, %z : i32
    %2 = arith.sitofp %1 : i32 to f32
    %3 = arith.mulf %2, %s : f32
    linalg.yield %3 : f32
  } -> tensor<1x6x6x4xf32>
  %p = tensor.pad %d low[0, 1, 1, 0] high[0, 0, 0, 0] {
  ^bb0(%a: index, %b: index, %c: index, %f: index):
    tensor.yield %lowest : f32
  } : tensor<1x6x6x4xf32> to tensor<1x7x7x4xf32>
  %window = tensor.empty() : tensor<3x3xf32>
  %g = tensor.empty() : tensor<1x3x3x4xf32>
  %init = linalg.fill ins(%lowest : f32) outs(%g : tensor<1x3x3x4xf32>) -> tensor<1x3x3x4xf32>
  %y = linalg.pooling_nhwc_max {strides = dense<2> : tensor<2xi64>} ins(%p, %window : tensor<1x7x7x4xf32>, tensor<3x3xf32>) outs(%init : tensor<1x3x3x4xf32>) -> tensor<1x3x3x4xf32>
  return %y : tensor<1x3x3x4xf32>
}

// -----

// A negative scale makes a maximum of a minimum.
// REMARK: remark: {{.*}}its scale is not one positive number that is known
// CHECK-LABEL: @negative_scale
// CHECK: linalg.pooling_nhwc_max
#id = affine_map<(n, h, w, c) -> (n, h, w, c)>
func.func @negative_scale(%x: tensor<1x6x6x4xi8>) -> tensor<1x2x2x4xf32> {
  %s = arith.constant -0.5 : f32
  %lowest = arith.constant 0xFF800000 : f32
  %e = tensor.empty() : tensor<1x6x6x4xf32>
  %d = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%x : tensor<1x6x6x4xi8>) outs(%e : tensor<1x6x6x4xf32>) {
  ^bb0(%i: i8, %o: f32):
    %0 = arith.sitofp %i : i8 to f32
    %1 = arith.mulf %0, %s : f32
    linalg.yield %1 : f32
  } -> tensor<1x6x6x4xf32>
  %window = tensor.empty() : tensor<3x3xf32>
  %g = tensor.empty() : tensor<1x2x2x4xf32>
  %init = linalg.fill ins(%lowest : f32) outs(%g : tensor<1x2x2x4xf32>) -> tensor<1x2x2x4xf32>
  %y = linalg.pooling_nhwc_max {strides = dense<3> : tensor<2xi64>} ins(%d, %window : tensor<1x6x6x4xf32>, tensor<3x3xf32>) outs(%init : tensor<1x2x2x4xf32>) -> tensor<1x2x2x4xf32>
  return %y : tensor<1x2x2x4xf32>
}

// -----

// A window of nothing but padding gives minus infinity, which is no byte.
// REMARK: remark: {{.*}}a window may have nothing but padding
// CHECK-LABEL: @negative_padding
// CHECK: linalg.pooling_nhwc_max
#id = affine_map<(n, h, w, c) -> (n, h, w, c)>
func.func @negative_padding(%x: tensor<1x6x6x4xi8>) -> tensor<1x3x3x4xf32> {
  %s = arith.constant 0.5 : f32
  %lowest = arith.constant 0xFF800000 : f32
  %e = tensor.empty() : tensor<1x6x6x4xf32>
  %d = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%x : tensor<1x6x6x4xi8>) outs(%e : tensor<1x6x6x4xf32>) {
  ^bb0(%i: i8, %o: f32):
    %0 = arith.sitofp %i : i8 to f32
    %1 = arith.mulf %0, %s : f32
    linalg.yield %1 : f32
  } -> tensor<1x6x6x4xf32>
  %p = tensor.pad %d low[0, 3, 3, 0] high[0, 0, 0, 0] {
  ^bb0(%a: index, %b: index, %c: index, %f: index):
    tensor.yield %lowest : f32
  } : tensor<1x6x6x4xf32> to tensor<1x9x9x4xf32>
  %window = tensor.empty() : tensor<3x3xf32>
  %g = tensor.empty() : tensor<1x3x3x4xf32>
  %init = linalg.fill ins(%lowest : f32) outs(%g : tensor<1x3x3x4xf32>) -> tensor<1x3x3x4xf32>
  %y = linalg.pooling_nhwc_max {strides = dense<3> : tensor<2xi64>} ins(%p, %window : tensor<1x9x9x4xf32>, tensor<3x3xf32>) outs(%init : tensor<1x3x3x4xf32>) -> tensor<1x3x3x4xf32>
  return %y : tensor<1x3x3x4xf32>
}
