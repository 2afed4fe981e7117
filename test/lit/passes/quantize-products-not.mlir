// What stays in float, and why.
// RUN: fulgur-opt %s --split-input-file --fulgur-quantize-products --remarks-filter-missed=.* --remark-format=emitRemark 2>&1 | FileCheck %s --check-prefix=REMARK
// RUN: fulgur-opt %s --split-input-file --fulgur-quantize-products | FileCheck %s

// REMARK: remark: {{.*}}only one of its operands is quantized
// CHECK-LABEL: @one
// CHECK: linalg.matmul {{.*}} outs(%{{.*}} : tensor<4x3xf32>)
#id = affine_map<(m, n) -> (m, n)>
func.func @one(%x: tensor<4x3xf32>, %y: tensor<3x3xi8>) -> tensor<4x3xf32> {
  %s = arith.constant 0.5 : f32
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<4x3xf32>
  %f = tensor.empty() : tensor<3x3xf32>
  %b = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%y : tensor<3x3xi8>) outs(%f : tensor<3x3xf32>) {
  ^bb0(%i: i8, %o: f32):
    %0 = arith.sitofp %i : i8 to f32
    %1 = arith.mulf %0, %s : f32
    linalg.yield %1 : f32
  } -> tensor<3x3xf32>
  %init = linalg.fill ins(%zero : f32) outs(%e : tensor<4x3xf32>) -> tensor<4x3xf32>
  %p = linalg.matmul ins(%x, %b : tensor<4x3xf32>, tensor<3x3xf32>) outs(%init : tensor<4x3xf32>) -> tensor<4x3xf32>
  return %p : tensor<4x3xf32>
}

// -----

// REMARK: remark: {{.*}}a scale or zero point changes along its sums
// CHECK-LABEL: @along
// CHECK: linalg.matmul {{.*}} outs(%{{.*}} : tensor<3x3xf32>)
#id = affine_map<(m, n) -> (m, n)>
#row = affine_map<(m, n) -> (m)>
func.func @along(%x: tensor<3x3xi8>, %y: tensor<3x3xi8>) -> tensor<3x3xf32> {
  %t = arith.constant dense<[1.0, 2.0, 4.0]> : tensor<3xf32>
  %s = arith.constant 0.5 : f32
  %zero = arith.constant 0.0 : f32
  %f = tensor.empty() : tensor<3x3xf32>
  %a = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%x : tensor<3x3xi8>) outs(%f : tensor<3x3xf32>) {
  ^bb0(%i: i8, %o: f32):
    %0 = arith.uitofp %i : i8 to f32
    %1 = arith.mulf %0, %s : f32
    linalg.yield %1 : f32
  } -> tensor<3x3xf32>
  %b = linalg.generic {indexing_maps = [#id, #row, #id], iterator_types = ["parallel", "parallel"]} ins(%y, %t : tensor<3x3xi8>, tensor<3xf32>) outs(%f : tensor<3x3xf32>) {
  ^bb0(%i: i8, %j: f32, %o: f32):
    %0 = arith.sitofp %i : i8 to f32
    %1 = arith.mulf %0, %j : f32
    linalg.yield %1 : f32
  } -> tensor<3x3xf32>
  %init = linalg.fill ins(%zero : f32) outs(%f : tensor<3x3xf32>) -> tensor<3x3xf32>
  %p = linalg.matmul ins(%a, %b : tensor<3x3xf32>, tensor<3x3xf32>) outs(%init : tensor<3x3xf32>) -> tensor<3x3xf32>
  return %p : tensor<3x3xf32>
}

// -----

// REMARK: remark: {{.*}}its sums may be too long for 32 bits
// CHECK-LABEL: @long
// CHECK: linalg.matmul {{.*}} outs(%{{.*}} : tensor<4x3xf32>)
#id = affine_map<(m, n) -> (m, n)>
func.func @long(%x: tensor<4x40000xi8>, %y: tensor<40000x3xi8>) -> tensor<4x3xf32> {
  %s = arith.constant 0.5 : f32
  %zero = arith.constant 0.0 : f32
  %d = tensor.empty() : tensor<4x40000xf32>
  %e = tensor.empty() : tensor<40000x3xf32>
  %f = tensor.empty() : tensor<4x3xf32>
  %a = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%x : tensor<4x40000xi8>) outs(%d : tensor<4x40000xf32>) {
  ^bb0(%i: i8, %o: f32):
    %0 = arith.uitofp %i : i8 to f32
    %1 = arith.mulf %0, %s : f32
    linalg.yield %1 : f32
  } -> tensor<4x40000xf32>
  %b = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%y : tensor<40000x3xi8>) outs(%e : tensor<40000x3xf32>) {
  ^bb0(%i: i8, %o: f32):
    %0 = arith.uitofp %i : i8 to f32
    %1 = arith.mulf %0, %s : f32
    linalg.yield %1 : f32
  } -> tensor<40000x3xf32>
  %init = linalg.fill ins(%zero : f32) outs(%f : tensor<4x3xf32>) -> tensor<4x3xf32>
  %p = linalg.matmul ins(%a, %b : tensor<4x40000xf32>, tensor<40000x3xf32>) outs(%init : tensor<4x3xf32>) -> tensor<4x3xf32>
  return %p : tensor<4x3xf32>
}

// -----

// Integers that do not fit bytes.
// CHECK-LABEL: @wide
// CHECK: linalg.matmul {{.*}} : tensor<4x2xi32>, tensor<2x2xi32>)
func.func @wide(%x: tensor<4x2xi32>) -> tensor<4x2xi32> {
  %w = arith.constant dense<[[-128, 300], [28, 4]]> : tensor<2x2xi32>
  %zero = arith.constant 0 : i32
  %e = tensor.empty() : tensor<4x2xi32>
  %init = linalg.fill ins(%zero : i32) outs(%e : tensor<4x2xi32>) -> tensor<4x2xi32>
  %p = linalg.matmul ins(%x, %w : tensor<4x2xi32>, tensor<2x2xi32>) outs(%init : tensor<4x2xi32>) -> tensor<4x2xi32>
  return %p : tensor<4x2xi32>
}

// -----

// The builders of convolutions of f32 are faster than loops over single channels.
// REMARK: remark: {{.*}}its channels are not a multiple of four
// CHECK-LABEL: @channels
// CHECK: linalg.generic {{.*}} ins(%{{.*}}, %{{.*}} : tensor<1x4x2xf32>, tensor<3x3x2xf32>) outs(%{{.*}} : tensor<1x2x3xf32>)
#id3 = affine_map<(l, m, n) -> (l, m, n)>
func.func @channels(%x: tensor<1x4x2xi8>) -> tensor<1x2x3xf32> {
  %w = arith.constant dense<2> : tensor<3x3x2xi8>
  %s = arith.constant 0.5 : f32
  %zero = arith.constant 0.0 : f32
  %d = tensor.empty() : tensor<1x4x2xf32>
  %e = tensor.empty() : tensor<3x3x2xf32>
  %g = tensor.empty() : tensor<1x2x3xf32>
  %a = linalg.generic {indexing_maps = [#id3, #id3], iterator_types = ["parallel", "parallel", "parallel"]} ins(%x : tensor<1x4x2xi8>) outs(%d : tensor<1x4x2xf32>) {
  ^bb0(%i: i8, %o: f32):
    %0 = arith.uitofp %i : i8 to f32
    %1 = arith.mulf %0, %s : f32
    linalg.yield %1 : f32
  } -> tensor<1x4x2xf32>
  %b = linalg.generic {indexing_maps = [#id3, #id3], iterator_types = ["parallel", "parallel", "parallel"]} ins(%w : tensor<3x3x2xi8>) outs(%e : tensor<3x3x2xf32>) {
  ^bb0(%i: i8, %o: f32):
    %0 = arith.sitofp %i : i8 to f32
    %1 = arith.mulf %0, %s : f32
    linalg.yield %1 : f32
  } -> tensor<3x3x2xf32>
  %init = linalg.fill ins(%zero : f32) outs(%g : tensor<1x2x3xf32>) -> tensor<1x2x3xf32>
  %p = linalg.generic {indexing_maps = [affine_map<(n, o, f, w, c) -> (n, o + w, c)>, affine_map<(n, o, f, w, c) -> (f, w, c)>, affine_map<(n, o, f, w, c) -> (n, o, f)>],
      iterator_types = ["parallel", "parallel", "parallel", "reduction", "reduction"]} ins(%a, %b : tensor<1x4x2xf32>, tensor<3x3x2xf32>) outs(%init : tensor<1x2x3xf32>) {
  ^bb0(%l: f32, %q: f32, %o: f32):
    %0 = arith.mulf %l, %q : f32
    %1 = arith.addf %o, %0 : f32
    linalg.yield %1 : f32
  } -> tensor<1x2x3xf32>
  return %p : tensor<1x2x3xf32>
}
