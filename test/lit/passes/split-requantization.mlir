// RUN: fulgur-opt %s --split-input-file --fulgur-split-requantization | FileCheck %s
// RUN: fulgur-opt %s --split-input-file --fulgur-split-requantization --verify-numerics-each -o /dev/null

// The earlier one of two products under a loop gets one of its own; its sums are quantized there.
// CHECK-LABEL: @two
// CHECK: %[[P:.*]] = linalg.generic {{.*}} outs(%{{.*}} : tensor<4x2xi32>)
// CHECK: %[[Q:.*]] = linalg.generic {{.*}} outs(%{{.*}} : tensor<4x2xi32>)
// CHECK: %[[B:.*]] = linalg.generic {{.*}} ins(%[[P]], %{{.*}} : tensor<4x2xi32>, tensor<2xf32>) outs(%{{.*}} : tensor<4x2xi8>)
// CHECK: math.roundeven
// CHECK: arith.trunci
// CHECK: linalg.generic {{.*}} ins(%[[Q]], %[[B]] : tensor<4x2xi32>, tensor<4x2xi8>) outs(%{{.*}} : tensor<4x2xf32>)
// CHECK-NOT: arith.trunci
// CHECK: arith.extsi %{{.*}} : i8 to i32
#a = affine_map<(m, n, k) -> (m, k)>
#b = affine_map<(m, n, k) -> (k, n)>
#c = affine_map<(m, n, k) -> (m, n)>
#id = affine_map<(m, n) -> (m, n)>
#n = affine_map<(m, n) -> (n)>
func.func @two(%x: tensor<4x3xi8>, %w: tensor<3x2xi8>) -> tensor<4x2xf32> {
  %s = arith.constant dense<[0.125, 0.25]> : tensor<2xf32>
  %zero = arith.constant 0 : i32
  %g = tensor.empty() : tensor<4x2xi32>
  %e = tensor.empty() : tensor<4x2xf32>
  %init = linalg.fill ins(%zero : i32) outs(%g : tensor<4x2xi32>) -> tensor<4x2xi32>
  %p = linalg.generic {indexing_maps = [#a, #b, #c], iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %w : tensor<4x3xi8>, tensor<3x2xi8>) outs(%init : tensor<4x2xi32>) {
  ^bb0(%i: i8, %j: i8, %o: i32):
    %0 = arith.extui %i : i8 to i32
    %1 = arith.extsi %j : i8 to i32
    %2 = arith.muli %0, %1 : i32
    %3 = arith.addi %o, %2 : i32
    linalg.yield %3 : i32
  } -> tensor<4x2xi32>
  %q = linalg.generic {indexing_maps = [#a, #b, #c], iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %w : tensor<4x3xi8>, tensor<3x2xi8>) outs(%init : tensor<4x2xi32>) {
  ^bb0(%i: i8, %j: i8, %o: i32):
    %0 = arith.extui %i : i8 to i32
    %1 = arith.extsi %j : i8 to i32
    %2 = arith.muli %0, %1 : i32
    %3 = arith.addi %o, %2 : i32
    linalg.yield %3 : i32
  } -> tensor<4x2xi32>
  %y = linalg.generic {indexing_maps = [#id, #id, #n, #id], iterator_types = ["parallel", "parallel"]}
      ins(%p, %q, %s : tensor<4x2xi32>, tensor<4x2xi32>, tensor<2xf32>) outs(%e : tensor<4x2xf32>) {
  ^bb0(%i: i32, %j: i32, %k: f32, %o: f32):
    %0 = arith.sitofp %i : i32 to f32
    %1 = arith.mulf %0, %k : f32
    %2 = math.roundeven %1 : f32
    %3 = arith.fptosi %2 : f32 to i32
    %4 = arith.trunci %3 : i32 to i8
    %5 = arith.extsi %4 : i8 to i32
    %6 = arith.addi %5, %j : i32
    %7 = arith.sitofp %6 : i32 to f32
    linalg.yield %7 : f32
  } -> tensor<4x2xf32>
  return %y : tensor<4x2xf32>
}

// -----

// A loop that adds up along a dim is no product's: it reads bytes.
// CHECK-LABEL: @sum
// CHECK: %[[P:.*]] = linalg.generic {{.*}} outs(%{{.*}} : tensor<4x2xi32>)
// CHECK: %[[B:.*]] = linalg.generic {{.*}} ins(%[[P]] : tensor<4x2xi32>) outs(%{{.*}} : tensor<4x2xi8>)
// CHECK: linalg.generic {{.*}} ins(%[[B]] : tensor<4x2xi8>) outs(%{{.*}} : tensor<2xi32>)
#a = affine_map<(m, n, k) -> (m, k)>
#b = affine_map<(m, n, k) -> (k, n)>
#c = affine_map<(m, n, k) -> (m, n)>
func.func @sum(%x: tensor<4x3xi8>, %w: tensor<3x2xi8>, %start: tensor<2xi32>) -> tensor<2xi32> {
  %zero = arith.constant 0 : i32
  %g = tensor.empty() : tensor<4x2xi32>
  %init = linalg.fill ins(%zero : i32) outs(%g : tensor<4x2xi32>) -> tensor<4x2xi32>
  %p = linalg.generic {indexing_maps = [#a, #b, #c], iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %w : tensor<4x3xi8>, tensor<3x2xi8>) outs(%init : tensor<4x2xi32>) {
  ^bb0(%i: i8, %j: i8, %o: i32):
    %0 = arith.extui %i : i8 to i32
    %1 = arith.extsi %j : i8 to i32
    %2 = arith.muli %0, %1 : i32
    %3 = arith.addi %o, %2 : i32
    linalg.yield %3 : i32
  } -> tensor<4x2xi32>
  %y = linalg.generic {indexing_maps = [affine_map<(m, n) -> (m, n)>, affine_map<(m, n) -> (n)>], iterator_types = ["reduction", "parallel"]}
      ins(%p : tensor<4x2xi32>) outs(%start : tensor<2xi32>) {
  ^bb0(%i: i32, %o: i32):
    %0 = arith.trunci %i : i32 to i8
    %1 = arith.extsi %0 : i8 to i32
    %2 = arith.addi %o, %1 : i32
    linalg.yield %2 : i32
  } -> tensor<2xi32>
  return %y : tensor<2xi32>
}

// -----

// One product keeps its loop, and so do sums that something else reads as well.
// CHECK-LABEL: @negative
// CHECK-COUNT-2: linalg.generic
// CHECK-NOT: linalg.generic
#a = affine_map<(m, n, k) -> (m, k)>
#b = affine_map<(m, n, k) -> (k, n)>
#c = affine_map<(m, n, k) -> (m, n)>
#id = affine_map<(m, n) -> (m, n)>
func.func @negative(%x: tensor<4x3xi8>, %w: tensor<3x2xi8>) -> tensor<4x2xi8> {
  %zero = arith.constant 0 : i32
  %g = tensor.empty() : tensor<4x2xi32>
  %e = tensor.empty() : tensor<4x2xi8>
  %init = linalg.fill ins(%zero : i32) outs(%g : tensor<4x2xi32>) -> tensor<4x2xi32>
  %p = linalg.generic {indexing_maps = [#a, #b, #c], iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %w : tensor<4x3xi8>, tensor<3x2xi8>) outs(%init : tensor<4x2xi32>) {
  ^bb0(%i: i8, %j: i8, %o: i32):
    %0 = arith.extui %i : i8 to i32
    %1 = arith.extsi %j : i8 to i32
    %2 = arith.muli %0, %1 : i32
    %3 = arith.addi %o, %2 : i32
    linalg.yield %3 : i32
  } -> tensor<4x2xi32>
  %y = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%p : tensor<4x2xi32>) outs(%e : tensor<4x2xi8>) {
  ^bb0(%i: i32, %o: i8):
    %0 = arith.trunci %i : i32 to i8
    linalg.yield %0 : i8
  } -> tensor<4x2xi8>
  return %y : tensor<4x2xi8>
}
