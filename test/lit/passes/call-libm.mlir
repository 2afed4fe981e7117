// RUN: fulgur-opt %s --fulgur-call-libm | FileCheck %s

// CHECK-DAG: func.func private @erf(f64) -> f64
// CHECK-LABEL: func.func @double
func.func @double(%x: f64) -> f64 {
  // CHECK: call @erf
  %0 = math.erf %x : f64
  return %0 : f64
}

// LLVM has an intrinsic, and with it instructions or its own call.
// CHECK-LABEL: func.func @negative_exp
func.func @negative_exp(%x: f64) -> f64 {
  // CHECK: math.exp
  %0 = math.exp %x : f64
  return %0 : f64
}
