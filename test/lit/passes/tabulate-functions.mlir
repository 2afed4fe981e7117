// RUN: fulgur-opt %s --fulgur-tabulate-functions=vector-bytes=64 --canonicalize | FileCheck %s
// RUN: fulgur-opt %s --fulgur-tabulate-functions=vector-bytes=32 | FileCheck %s --check-prefix=NARROW
// NARROW-NOT: vpermi2var

// All of it from the sum on is one function.
// CHECK-LABEL: @gelu
// CHECK: %[[X:.*]] = arith.addf %arg0, %arg1
// CHECK: %[[SUM:.*]] = arith.addf {{.*}}, %{{.*}} : vector<16xf32>
// CHECK: %[[NUMBER:.*]] = arith.bitcast %[[SUM]] : vector<16xf32> to vector<16xi32>
// CHECK-COUNT-3: vpermi2var.ps.512"(%{{.*}}, %[[NUMBER]], %{{.*}})
// CHECK: arith.truncf
// CHECK-NOT: math.erf
func.func @gelu(%a: vector<16xf32>, %b: vector<16xf32>) -> vector<16xbf16> {
  %half = arith.constant dense<0.5> : vector<16xf32>
  %one = arith.constant dense<1.0> : vector<16xf32>
  %root = arith.constant dense<0.70710678> : vector<16xf32>
  %x = arith.addf %a, %b : vector<16xf32>
  %0 = arith.mulf %x, %root : vector<16xf32>
  %1 = math.erf %0 fastmath<afn> : vector<16xf32>
  %2 = arith.addf %1, %one : vector<16xf32>
  %3 = arith.mulf %x, %half : vector<16xf32>
  %4 = arith.mulf %3, %2 : vector<16xf32>
  %5 = arith.truncf %4 : vector<16xf32> to vector<16xbf16>
  return %5 : vector<16xbf16>
}

// CHECK-LABEL: @tanh
// CHECK-NOT: math.tanh
func.func @tanh(%x: vector<16xf32>) -> vector<16xbf16> {
  %half = arith.constant dense<0.5> : vector<16xf32>
  %one = arith.constant dense<1.0> : vector<16xf32>
  %cubic = arith.constant dense<0.044715> : vector<16xf32>
  %root = arith.constant dense<0.7978845608> : vector<16xf32>
  %0 = arith.mulf %x, %x : vector<16xf32>
  %1 = arith.mulf %0, %x : vector<16xf32>
  %2 = arith.mulf %1, %cubic : vector<16xf32>
  %3 = arith.addf %x, %2 : vector<16xf32>
  %4 = arith.mulf %3, %root : vector<16xf32>
  %5 = math.tanh %4 fastmath<afn> : vector<16xf32>
  %6 = arith.addf %5, %one : vector<16xf32>
  %7 = arith.mulf %x, %half : vector<16xf32>
  %8 = arith.mulf %7, %6 : vector<16xf32>
  %9 = arith.truncf %8 : vector<16xf32> to vector<16xbf16>
  return %9 : vector<16xbf16>
}

// What has to be exact, is not rounded to bfloat16, for other readers neither,
// depends on two numbers, or bends too much.
// CHECK-LABEL: @not
// CHECK-COUNT-5: math.{{erf|tanh|exp}}
// CHECK-NOT: vpermi2var
func.func @not(%x: vector<16xf32>, %y: vector<16xf32>) -> (vector<16xbf16>, vector<16xf32>, vector<16xbf16>, vector<16xf32>, vector<16xbf16>, vector<16xbf16>) {
  %0 = math.erf %x : vector<16xf32>
  %1 = arith.truncf %0 : vector<16xf32> to vector<16xbf16>
  %2 = math.erf %y fastmath<afn> : vector<16xf32>
  %3 = math.tanh %x fastmath<afn> : vector<16xf32>
  %4 = arith.truncf %3 : vector<16xf32> to vector<16xbf16>
  %5 = math.tanh %y fastmath<afn> : vector<16xf32>
  %6 = arith.addf %5, %5 : vector<16xf32>
  %7 = arith.mulf %6, %x : vector<16xf32>
  %8 = arith.addf %7, %y : vector<16xf32>
  %9 = arith.truncf %8 : vector<16xf32> to vector<16xbf16>
  %10 = math.exp %x fastmath<afn> : vector<16xf32>
  %11 = arith.truncf %10 : vector<16xf32> to vector<16xbf16>
  return %1, %2, %4, %3, %9, %11 : vector<16xbf16>, vector<16xf32>, vector<16xbf16>, vector<16xf32>, vector<16xbf16>, vector<16xbf16>
}

// One number times another function is not one; the function of it is not
// rounded itself.
// CHECK-LABEL: @factor
// CHECK: math.tanh
func.func @factor(%x: vector<16xf32>, %y: vector<16xf32>) -> vector<16xbf16> {
  %0 = math.tanh %x fastmath<afn> : vector<16xf32>
  %1 = arith.mulf %0, %y : vector<16xf32>
  %2 = arith.truncf %1 : vector<16xf32> to vector<16xbf16>
  return %2 : vector<16xbf16>
}
