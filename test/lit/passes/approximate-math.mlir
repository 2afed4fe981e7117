// RUN: fulgur-opt %s --fulgur-approximate-math | FileCheck %s

// CHECK-LABEL: @vectors
// CHECK-NOT: math.{{exp|erf|sin|cos|tanh|log|powf}}
// CHECK: return
func.func @vectors(%x: vector<8xf32>) -> vector<8xf32> {
  %0 = math.exp %x : vector<8xf32>
  %1 = math.erf %0 : vector<8xf32>
  %2 = math.sin %1 : vector<8xf32>
  %3 = math.cos %2 : vector<8xf32>
  %4 = math.tanh %3 : vector<8xf32>
  %5 = math.log %4 : vector<8xf32>
  %6 = math.powf %5, %x : vector<8xf32>
  %7 = math.sinh %6 : vector<8xf32>
  %8 = math.log10 %7 : vector<8xf32>
  return %8 : vector<8xf32>
}

// Narrow floats are computed in f32.
// CHECK-LABEL: @half
// CHECK: arith.extf
// CHECK-NOT: math.exp
// CHECK: arith.truncf
func.func @half(%x: f16) -> f16 {
  %0 = math.exp %x : f16
  return %0 : f16
}

// CHECK-LABEL: @negative_double
// CHECK: math.exp
func.func @negative_double(%x: f64) -> f64 {
  %0 = math.exp %x : f64
  return %0 : f64
}

// The loop is there for small angles too, where the arithmetic is of f32 only.
// CHECK-LABEL: @angles
// CHECK: %[[LARGE:.*]] = scf.for {{.*}} -> (i1)
// CHECK: cmpf uge
// CHECK: scf.if %[[LARGE]]
// CHECK: arith.extf {{.*}} to f64
// CHECK: else
// CHECK-NOT: f64
// CHECK: return
func.func @angles(%x: memref<?xf32>, %y: memref<?xf32>, %n: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  scf.for %i = %c0 to %n step %c1 {
    %0 = memref.load %x[%i] : memref<?xf32>
    %1 = arith.addf %0, %0 : f32
    %2 = math.sin %1 : f32
    memref.store %2, %y[%i] : memref<?xf32>
  }
  return
}

// What the loop reads is not known before it runs.
// CHECK-LABEL: @angles_in_place
// CHECK-NOT: scf.if
// CHECK: arith.extf {{.*}} to f64
// CHECK: return
func.func @angles_in_place(%x: memref<?xf32>, %n: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  scf.for %i = %c0 to %n step %c1 {
    %0 = memref.load %x[%i] : memref<?xf32>
    %1 = math.tan %0 : f32
    memref.store %1, %x[%i] : memref<?xf32>
  }
  return
}

// CHECK-LABEL: @angles_of_vectors
// CHECK: %[[ANY:.*]] = vector.reduction <or>
// CHECK: scf.if %[[ANY]]
// CHECK: arith.extf
// CHECK: else
func.func @angles_of_vectors(%x: vector<8xf32>) -> vector<8xf32> {
  %0 = math.cos %x : vector<8xf32>
  return %0 : vector<8xf32>
}

// What is rounded to bfloat16 and may be approximate has fewer terms, unless somebody sees it before.
// CHECK-LABEL: @rounded
// CHECK-DAG: arith.constant 7.55{{.*}}E-6
// CHECK-DAG: arith.constant 2.616
// CHECK-NOT: arith.constant 0.00209
// CHECK: arith.truncf
func.func @rounded(%x: f32) -> bf16 {
  %one = arith.constant 1.0 : f32
  %0 = math.erf %x fastmath<afn> : f32
  %1 = arith.addf %0, %one : f32
  %2 = arith.mulf %1, %x : f32
  %3 = arith.truncf %2 : f32 to bf16
  return %3 : bf16
}
// A factor is in the coefficients.
// CHECK-LABEL: @rounded_of_product
// CHECK-DAG: arith.constant 8.34{{.*}}E-8
// CHECK-DAG: arith.constant 3.70
// CHECK-NOT: arith.constant 0.707
// CHECK: arith.truncf
func.func @rounded_of_product(%x: f32) -> bf16 {
  %factor = arith.constant 0.707106769 : f32
  %scaled = arith.mulf %x, %factor : f32
  %0 = math.erf %scaled fastmath<afn> : f32
  %1 = arith.truncf %0 : f32 to bf16
  return %1 : bf16
}
// CHECK-LABEL: @seen
// CHECK: arith.constant 0.00209
func.func @seen(%x: f32) -> (bf16, f32) {
  %0 = math.erf %x fastmath<afn> : f32
  %1 = arith.truncf %0 : f32 to bf16
  return %1, %0 : bf16, f32
}
// CHECK-LABEL: @exact
// CHECK: arith.constant 0.00209
func.func @exact(%x: f32) -> bf16 {
  %0 = math.erf %x : f32
  %1 = arith.truncf %0 : f32 to bf16
  return %1 : bf16
}

// Rounding and converting are one instruction, of f32 that become i32.
// CHECK-LABEL: @whole
// CHECK: llvm.intr.lrint(%{{.*}}) : (vector<8xf32>) -> vector<8xi32>
// CHECK: math.roundeven
// CHECK-NEXT: arith.fptosi
func.func @whole(%x: vector<8xf32>, %y: f64) -> (vector<8xi32>, i32) {
  %0 = math.roundeven %x : vector<8xf32>
  %1 = arith.fptosi %0 : vector<8xf32> to vector<8xi32>
  %2 = math.roundeven %y : f64
  %3 = arith.fptosi %2 : f64 to i32
  return %1, %3 : vector<8xi32>, i32
}
