// RUN: fulgur-opt %s --split-input-file --fulgur-fold-requantization | FileCheck %s
// RUN: fulgur-opt %s --split-input-file --fulgur-fold-requantization --verify-numerics-each -o /dev/null

// A number that is quantized and dequantized again is rounded and clamped, to bounds without the zero point.
// CHECK-LABEL: @stays
// CHECK-DAG: %[[LEAST:.*]] = arith.constant -1.290000e+02 : f32
// CHECK-DAG: %[[GREATEST:.*]] = arith.constant 1.260000e+02 : f32
// CHECK: %[[R:.*]] = math.roundeven
// CHECK-NEXT: %[[C:.*]] = arith.cmpf olt, %[[LEAST]], %[[R]] : f32
// CHECK-NEXT: %[[L:.*]] = arith.select %[[C]], %[[R]], %[[LEAST]] : f32
// CHECK-NEXT: %[[D:.*]] = arith.cmpf olt, %[[L]], %[[GREATEST]] : f32
// CHECK-NEXT: %[[G:.*]] = arith.select %[[D]], %[[L]], %[[GREATEST]] : f32
// CHECK-NEXT: arith.mulf %[[G]]
#id = affine_map<(m) -> (m)>
func.func @stays(%x: tensor<16xf32>) -> tensor<16xf32> {
  %s = arith.constant 0.3 : f32
  %z = arith.constant 129.0 : f32
  %n = arith.constant 129 : i32
  %least = arith.constant 0.0 : f32
  %greatest = arith.constant 255.0 : f32
  %e = tensor.empty() : tensor<16xf32>
  %y = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]} ins(%x : tensor<16xf32>) outs(%e : tensor<16xf32>) {
  ^bb0(%i: f32, %o: f32):
    %0 = arith.divf %i, %s : f32
    %1 = math.roundeven %0 : f32
    %2 = arith.addf %1, %z : f32
    %3 = arith.cmpf olt, %least, %2 : f32
    %4 = arith.select %3, %2, %least : f32
    %5 = arith.cmpf olt, %4, %greatest : f32
    %6 = arith.select %5, %4, %greatest : f32
    %7 = arith.fptosi %6 : f32 to i32
    %8 = arith.trunci %7 : i32 to i8
    %9 = arith.extui %8 : i8 to i32
    %10 = arith.subi %9, %n : i32
    %11 = arith.sitofp %10 : i32 to f32
    %12 = arith.mulf %11, %s : f32
    linalg.yield %12 : f32
  } -> tensor<16xf32>
  return %y : tensor<16xf32>
}

// -----

// A byte that is read with another sign than it was written with, and one that is clamped to numbers beyond a byte, are bytes.
// CHECK-LABEL: @wraps
// CHECK: arith.trunci
// CHECK: arith.extsi
// CHECK: arith.trunci
// CHECK: arith.extui
#id = affine_map<(m) -> (m)>
func.func @wraps(%x: tensor<16xf32>) -> (tensor<16xf32>, tensor<16xf32>) {
  %least = arith.constant 0.0 : f32
  %greatest = arith.constant 255.0 : f32
  %more = arith.constant 256.0 : f32
  %e = tensor.empty() : tensor<16xf32>
  %y:2 = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel"]} ins(%x : tensor<16xf32>) outs(%e, %e : tensor<16xf32>, tensor<16xf32>) {
  ^bb0(%i: f32, %o: f32, %p: f32):
    %0 = math.roundeven %i : f32
    %1 = arith.cmpf olt, %least, %0 : f32
    %2 = arith.select %1, %0, %least : f32
    %3 = arith.cmpf olt, %2, %greatest : f32
    %4 = arith.select %3, %2, %greatest : f32
    %5 = arith.fptosi %4 : f32 to i32
    %6 = arith.trunci %5 : i32 to i8
    %7 = arith.extsi %6 : i8 to i32
    %8 = arith.sitofp %7 : i32 to f32
    %9 = arith.cmpf olt, %2, %more : f32
    %10 = arith.select %9, %2, %more : f32
    %11 = arith.fptosi %10 : f32 to i32
    %12 = arith.trunci %11 : i32 to i8
    %13 = arith.extui %12 : i8 to i32
    %14 = arith.sitofp %13 : i32 to f32
    linalg.yield %8, %14 : f32, f32
  } -> (tensor<16xf32>, tensor<16xf32>)
  return %y#0, %y#1 : tensor<16xf32>, tensor<16xf32>
}

// -----

// The sums of a product of bytes are multiplied by the reciprocal; other numbers are divided.
// CHECK-LABEL: @sums
// CHECK-DAG: %[[R:.*]] = arith.constant 4.000000e+00 : f32
// CHECK: arith.sitofp
// CHECK-NEXT: arith.mulf %{{.*}}, %[[R]] : f32
// CHECK-NEXT: math.roundeven
// CHECK: arith.divf
// CHECK-NEXT: math.roundeven
#id = affine_map<(m, n) -> (m, n)>
func.func @sums(%x: tensor<4x3xi8>, %w: tensor<3x2xi8>, %f: tensor<4x2xf32>) -> (tensor<4x2xf32>, tensor<4x2xf32>) {
  %s = arith.constant 0.25 : f32
  %zero = arith.constant 0 : i32
  %g = tensor.empty() : tensor<4x2xi32>
  %e = tensor.empty() : tensor<4x2xf32>
  %init = linalg.fill ins(%zero : i32) outs(%g : tensor<4x2xi32>) -> tensor<4x2xi32>
  %p = linalg.generic {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>],
      iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %w : tensor<4x3xi8>, tensor<3x2xi8>) outs(%init : tensor<4x2xi32>) {
  ^bb0(%i: i8, %j: i8, %o: i32):
    %0 = arith.extui %i : i8 to i32
    %1 = arith.extsi %j : i8 to i32
    %2 = arith.muli %0, %1 : i32
    %3 = arith.addi %o, %2 : i32
    linalg.yield %3 : i32
  } -> tensor<4x2xi32>
  %y = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%p : tensor<4x2xi32>) outs(%e : tensor<4x2xf32>) {
  ^bb0(%i: i32, %o: f32):
    %0 = arith.sitofp %i : i32 to f32
    %1 = arith.divf %0, %s : f32
    %2 = math.roundeven %1 : f32
    linalg.yield %2 : f32
  } -> tensor<4x2xf32>
  %z = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%f : tensor<4x2xf32>) outs(%e : tensor<4x2xf32>) {
  ^bb0(%i: f32, %o: f32):
    %0 = arith.divf %i, %s : f32
    %1 = math.roundeven %0 : f32
    linalg.yield %1 : f32
  } -> tensor<4x2xf32>
  return %y, %z : tensor<4x2xf32>, tensor<4x2xf32>
}

// -----

// Factors and shifts of the sums, and of what is added to them, are one each; what fits 32 bits is clamped as an integer.
// CHECK-LABEL: @forms
// CHECK-DAG: %[[S:.*]] = arith.constant dense<[2.500000e-01, 1.250000e-01]> : tensor<2xf32>
// CHECK-DAG: %[[B:.*]] = arith.constant dense<[-1.450000e+01, -1.500000e+01]> : tensor<2xf32>
// CHECK-DAG: %[[R:.*]] = arith.constant 1.500000e+00 : f32
// CHECK: linalg.generic {{.*}} ins(%{{.*}}, %{{.*}}, %[[B]], %[[S]] :
// CHECK-NEXT: ^bb0(%[[I:.*]]: i32, %[[J:.*]]: i8, %[[BI:.*]]: f32, %[[SI:.*]]: f32, %{{.*}}: i8):
// CHECK: %[[F:.*]] = arith.sitofp %[[I]] : i32 to f32
// CHECK: %[[A:.*]] = math.fma %[[F]], %[[SI]], %[[BI]] : f32
// CHECK: %[[C:.*]] = math.fma %{{.*}}, %[[R]], %[[A]] : f32
// CHECK-NEXT: %[[W:.*]] = math.roundeven %[[C]] : f32
// CHECK-NEXT: arith.fptosi %[[W]]
// CHECK-NEXT: arith.addi %{{.*}}, %c3_i32
// CHECK-NEXT: arith.maxsi %{{.*}}, %c0_i32
// CHECK-NEXT: arith.minsi %{{.*}}, %c255_i32
// CHECK-NEXT: arith.trunci
#id = affine_map<(m, n) -> (m, n)>
#n = affine_map<(m, n) -> (n)>
func.func @forms(%x: tensor<4x3xi8>, %w: tensor<3x2xi8>, %r: tensor<4x2xi8>) -> tensor<4x2xi8> {
  %factors = arith.constant dense<[0.125, 0.0625]> : tensor<2xf32>
  %bias = arith.constant dense<[0.25, 0.0]> : tensor<2xf32>
  %three = arith.constant 0.75 : f32
  %half = arith.constant 0.5 : f32
  %z = arith.constant 10 : i32
  %offset = arith.constant 3.0 : f32
  %least = arith.constant 0.0 : f32
  %greatest = arith.constant 255.0 : f32
  %zero = arith.constant 0 : i32
  %g = tensor.empty() : tensor<4x2xi32>
  %e = tensor.empty() : tensor<4x2xi8>
  %init = linalg.fill ins(%zero : i32) outs(%g : tensor<4x2xi32>) -> tensor<4x2xi32>
  %p = linalg.generic {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>],
      iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %w : tensor<4x3xi8>, tensor<3x2xi8>) outs(%init : tensor<4x2xi32>) {
  ^bb0(%i: i8, %j: i8, %o: i32):
    %0 = arith.extui %i : i8 to i32
    %1 = arith.extsi %j : i8 to i32
    %2 = arith.muli %0, %1 : i32
    %3 = arith.addi %o, %2 : i32
    linalg.yield %3 : i32
  } -> tensor<4x2xi32>
  %y = linalg.generic {indexing_maps = [#id, #n, #n, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%p, %factors, %bias, %r : tensor<4x2xi32>, tensor<2xf32>, tensor<2xf32>, tensor<4x2xi8>) outs(%e : tensor<4x2xi8>) {
  ^bb0(%i: i32, %f: f32, %b: f32, %j: i8, %o: i8):
    %0 = arith.sitofp %i : i32 to f32
    %1 = arith.mulf %0, %f : f32
    %2 = arith.addf %1, %b : f32
    %3 = arith.extui %j : i8 to i32
    %4 = arith.subi %3, %z : i32
    %5 = arith.sitofp %4 : i32 to f32
    %6 = arith.mulf %5, %three : f32
    %7 = arith.addf %2, %6 : f32
    %8 = arith.divf %7, %half : f32
    %9 = math.roundeven %8 : f32
    %10 = arith.addf %9, %offset : f32
    %11 = arith.cmpf olt, %least, %10 : f32
    %12 = arith.select %11, %10, %least : f32
    %13 = arith.cmpf olt, %12, %greatest : f32
    %14 = arith.select %13, %12, %greatest : f32
    %15 = arith.fptosi %14 : f32 to i32
    %16 = arith.trunci %15 : i32 to i8
    linalg.yield %16 : i8
  } -> tensor<4x2xi8>
  return %y : tensor<4x2xi8>
}

// -----

// What may be too large for 32 bits, or no number, is clamped first; bounds are without the zero point.
// CHECK-LABEL: @clamped
// CHECK-DAG: %[[LEAST:.*]] = arith.constant -1.300000e+02 : f32
// CHECK-DAG: %[[GREATEST:.*]] = arith.constant 1.250000e+02 : f32
// CHECK: %[[C:.*]] = arith.cmpf olt, %[[LEAST]], %[[X:.*]] : f32
// CHECK-NEXT: %[[L:.*]] = arith.select %[[C]], %[[X]], %[[LEAST]] : f32
// CHECK-NEXT: %[[D:.*]] = arith.cmpf olt, %[[L]], %[[GREATEST]] : f32
// CHECK-NEXT: %[[G:.*]] = arith.select %[[D]], %[[L]], %[[GREATEST]] : f32
// CHECK-NEXT: %[[W:.*]] = math.roundeven %[[G]] : f32
// CHECK-NEXT: %[[I:.*]] = arith.fptosi %[[W]]
// CHECK-NEXT: %[[Z:.*]] = arith.addi %[[I]], %c2_i32
// CHECK-NEXT: arith.trunci %[[Z]]
#id = affine_map<(m) -> (m)>
func.func @clamped(%x: tensor<16xf32>) -> tensor<16xi8> {
  %z = arith.constant 2.0 : f32
  %least = arith.constant -128.0 : f32
  %greatest = arith.constant 127.0 : f32
  %e = tensor.empty() : tensor<16xi8>
  %y = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]} ins(%x : tensor<16xf32>) outs(%e : tensor<16xi8>) {
  ^bb0(%i: f32, %o: i8):
    %1 = math.roundeven %i : f32
    %2 = arith.addf %1, %z : f32
    %3 = arith.cmpf olt, %least, %2 : f32
    %4 = arith.select %3, %2, %least : f32
    %5 = arith.cmpf olt, %4, %greatest : f32
    %6 = arith.select %5, %4, %greatest : f32
    %7 = arith.fptosi %6 : f32 to i32
    %8 = arith.trunci %7 : i32 to i8
    linalg.yield %8 : i8
  } -> tensor<16xi8>
  return %y : tensor<16xi8>
}

// -----

// A byte that is dequantized and quantized again with the same scale and zero point is that byte; with another one it is not.
// CHECK-LABEL: @same
// CHECK: ^bb0(%[[I:.*]]: i8, %{{.*}}: i8, %{{.*}}: i8):
// CHECK: %[[OTHER:.*]] = arith.trunci
// CHECK: linalg.yield %[[I]], %[[OTHER]] : i8, i8
#id = affine_map<(m) -> (m)>
func.func @same(%x: tensor<16xi8>) -> (tensor<16xi8>, tensor<16xi8>) {
  %s = arith.constant 0.3 : f32
  %z = arith.constant 7.0 : f32
  %n = arith.constant 7 : i32
  %least = arith.constant 0.0 : f32
  %greatest = arith.constant 255.0 : f32
  %other = arith.constant 254.0 : f32
  %e = tensor.empty() : tensor<16xi8>
  %y:2 = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel"]} ins(%x : tensor<16xi8>) outs(%e, %e : tensor<16xi8>, tensor<16xi8>) {
  ^bb0(%i: i8, %o: i8, %p: i8):
    %0 = arith.extui %i : i8 to i32
    %1 = arith.subi %0, %n : i32
    %2 = arith.sitofp %1 : i32 to f32
    %3 = arith.mulf %2, %s : f32
    %4 = arith.divf %3, %s : f32
    %5 = math.roundeven %4 : f32
    %6 = arith.addf %5, %z : f32
    %7 = arith.cmpf olt, %least, %6 : f32
    %8 = arith.select %7, %6, %least : f32
    %9 = arith.cmpf olt, %8, %greatest : f32
    %10 = arith.select %9, %8, %greatest : f32
    %11 = arith.fptosi %10 : f32 to i32
    %12 = arith.trunci %11 : i32 to i8
    %13 = arith.cmpf olt, %8, %other : f32
    %14 = arith.select %13, %8, %other : f32
    %15 = arith.fptosi %14 : f32 to i32
    %16 = arith.trunci %15 : i32 to i8
    linalg.yield %12, %16 : i8, i8
  } -> (tensor<16xi8>, tensor<16xi8>)
  return %y#0, %y#1 : tensor<16xi8>, tensor<16xi8>
}
