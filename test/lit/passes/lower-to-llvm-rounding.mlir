// A product may become one operation with a sum, unless it is to be rounded.
// RUN: fulgur-opt %s --fulgur-lower-to-llvm | FileCheck %s

// CHECK-LABEL: llvm.func @sum
// CHECK: llvm.fmul %{{.*}} {fastmathFlags = #llvm.fastmath<contract>} : f32
// CHECK: llvm.fmul %arg0, %arg1 {{.*}}: f32
// CHECK-NOT: contract
// CHECK: llvm.fadd %{{.*}} {fastmathFlags = #llvm.fastmath<nnan, contract>} : f32
func.func @sum(%a: f32, %b: f32) -> f32 {
  %free = arith.mulf %a, %a : f32
  %rounded = arith.mulf %a, %b {fulgur.rounded} : f32
  %sum = arith.addf %free, %rounded fastmath<nnan> : f32
  return %sum : f32
}

// Zeros of both signs are the same to a maximum with one of them, but not to that of two values.
// CHECK-LABEL: llvm.func @activation
// CHECK: llvm.intr.maximum(%{{.*}}) {fastmathFlags = #llvm.fastmath<nsz>}
// CHECK: llvm.intr.minimum(%{{[^)]*}}) : (vector<4xf32>
// CHECK: llvm.intr.maximum(%{{[^)]*}}) : (vector<4xf32>
func.func @activation(%a: vector<4xf32>, %b: vector<4xf32>) -> vector<4xf32> {
  %zero = arith.constant dense<0.0> : vector<4xf32>
  %six = arith.constant dense<6.0> : vector<4xf32>
  %low = arith.maximumf %a, %zero : vector<4xf32>
  %high = arith.minimumf %low, %six : vector<4xf32>
  %both = arith.maximumf %high, %b : vector<4xf32>
  return %both : vector<4xf32>
}
