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
