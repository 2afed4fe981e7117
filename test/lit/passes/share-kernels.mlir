// RUN: fulgur-opt %s --split-input-file --fulgur-share-kernels | FileCheck %s
// Kernels that differ in numbers only are one function that gets the numbers. The same number in several places is one argument.

// CHECK-LABEL: module @scales
// CHECK: func.func @main(%[[X:.*]]: memref<4xf32>)
// CHECK: %[[A:.*]] = arith.constant 2.500000e-01 : f32
// CHECK: %[[P:.*]] = arith.constant 7 : i32
// CHECK: call @kernel_0(%[[X]], %[[A]], %[[P]])
// CHECK: %[[B:.*]] = arith.constant 1.250000e-01 : f32
// CHECK: %[[Q:.*]] = arith.constant 9 : i32
// CHECK: call @kernel_0(%[[X]], %[[B]], %[[Q]])
// CHECK: func.func private @kernel_0(%[[MEMORY:.*]]: memref<4xf32>, %[[SCALE:.*]]: f32, %[[ZERO:.*]]: i32)
// CHECK-DAG: %[[SAME:.*]] = arith.constant 3.000000e+00 : f32
// CHECK-DAG: %[[SCALES:.*]] = vector.broadcast %[[SCALE]] : f32 to vector<4xf32>
// CHECK: arith.mulf %{{.*}}, %[[SCALES]]
// CHECK: arith.mulf %[[SCALE]], %[[SAME]]
// CHECK: arith.sitofp %[[ZERO]]
// CHECK-NOT: func.func
module @scales {
  func.func @main(%x: memref<4xf32>) {
    call @kernel_0(%x) : (memref<4xf32>) -> ()
    call @kernel_1(%x) : (memref<4xf32>) -> ()
    return
  }
  func.func private @kernel_0(%x: memref<4xf32>) {
    %i = arith.constant 0 : index
    %scale = arith.constant 0.25 : f32
    %scales = arith.constant dense<0.25> : vector<4xf32>
    %zero = arith.constant 7 : i32
    %same = arith.constant 3.0 : f32
    %v = vector.load %x[%i] : memref<4xf32>, vector<4xf32>
    %w = arith.mulf %v, %scales : vector<4xf32>
    vector.store %w, %x[%i] : memref<4xf32>, vector<4xf32>
    %s = arith.mulf %scale, %same : f32
    %z = arith.sitofp %zero : i32 to f32
    %t = arith.addf %s, %z : f32
    memref.store %t, %x[%i] : memref<4xf32>
    return
  }
  func.func private @kernel_1(%x: memref<4xf32>) {
    %i = arith.constant 0 : index
    %scale = arith.constant 0.125 : f32
    %scales = arith.constant dense<0.125> : vector<4xf32>
    %zero = arith.constant 9 : i32
    %same = arith.constant 3.0 : f32
    %v = vector.load %x[%i] : memref<4xf32>, vector<4xf32>
    %w = arith.mulf %v, %scales : vector<4xf32>
    vector.store %w, %x[%i] : memref<4xf32>, vector<4xf32>
    %s = arith.mulf %scale, %same : f32
    %z = arith.sitofp %zero : i32 to f32
    %t = arith.addf %s, %z : f32
    memref.store %t, %x[%i] : memref<4xf32>
    return
  }
}

// -----

// A factor of one, another index, another distance to shift by, another operation, and a bound that must not be a NaN.
// CHECK-LABEL: module @negative_special
// CHECK: call @kernel_0(%{{[^,]*}})
// CHECK: call @kernel_1(%{{[^,]*}})
// CHECK: call @kernel_2(%{{[^,]*}})
// CHECK: call @kernel_3(%{{[^,]*}})
// CHECK: call @kernel_4(%{{[^,]*}})
// CHECK: call @kernel_5(%{{[^,]*}})
// CHECK: call @kernel_6(%{{[^,]*}})
// CHECK: arith.constant 2.000000e+00 : f32
// CHECK: arith.constant 1.000000e+00 : f32
// CHECK: arith.constant 2.000000e+00 : f32
// CHECK: arith.constant 3 : i32
// CHECK: arith.constant 4 : i32
// CHECK: arith.constant 2.000000e+00 : f32
// CHECK: arith.constant 6.000000e+00 : f32
module @negative_special {
  func.func @main(%x: memref<4xf32>) {
    call @kernel_0(%x) : (memref<4xf32>) -> ()
    call @kernel_1(%x) : (memref<4xf32>) -> ()
    call @kernel_2(%x) : (memref<4xf32>) -> ()
    call @kernel_3(%x) : (memref<4xf32>) -> ()
    call @kernel_4(%x) : (memref<4xf32>) -> ()
    call @kernel_5(%x) : (memref<4xf32>) -> ()
    call @kernel_6(%x) : (memref<4xf32>) -> ()
    return
  }
  func.func private @kernel_0(%x: memref<4xf32>) {
    %i = arith.constant 0 : index
    %c = arith.constant 2.0 : f32
    %v = memref.load %x[%i] : memref<4xf32>
    %w = arith.mulf %v, %c : f32
    memref.store %w, %x[%i] : memref<4xf32>
    return
  }
  func.func private @kernel_1(%x: memref<4xf32>) {
    %i = arith.constant 0 : index
    %c = arith.constant 1.0 : f32
    %v = memref.load %x[%i] : memref<4xf32>
    %w = arith.mulf %v, %c : f32
    memref.store %w, %x[%i] : memref<4xf32>
    return
  }
  func.func private @kernel_2(%x: memref<4xf32>) {
    %i = arith.constant 1 : index
    %lanes = arith.constant dense<2> : vector<4xindex>
    %c = arith.constant 2.0 : f32
    %v = memref.load %x[%i] : memref<4xf32>
    %w = arith.mulf %v, %c : f32
    memref.store %w, %x[%i] : memref<4xf32>
    return
  }
  func.func private @kernel_3(%x: memref<4xf32>) {
    %i = arith.constant 0 : index
    %c = arith.constant 3 : i32
    %v = memref.load %x[%i] : memref<4xf32>
    %n = arith.fptosi %v : f32 to i32
    %s = arith.shli %n, %c : i32
    %w = arith.sitofp %s : i32 to f32
    memref.store %w, %x[%i] : memref<4xf32>
    return
  }
  func.func private @kernel_4(%x: memref<4xf32>) {
    %i = arith.constant 0 : index
    %c = arith.constant 4 : i32
    %v = memref.load %x[%i] : memref<4xf32>
    %n = arith.fptosi %v : f32 to i32
    %s = arith.shli %n, %c : i32
    %w = arith.sitofp %s : i32 to f32
    memref.store %w, %x[%i] : memref<4xf32>
    return
  }
  func.func private @kernel_5(%x: memref<4xf32>) {
    %i = arith.constant 0 : index
    %c = arith.constant 2.0 : f32
    %v = memref.load %x[%i] : memref<4xf32>
    %w = arith.minimumf %v, %c : f32
    memref.store %w, %x[%i] : memref<4xf32>
    return
  }
  func.func private @kernel_6(%x: memref<4xf32>) {
    %i = arith.constant 0 : index
    %c = arith.constant 6.0 : f32
    %v = memref.load %x[%i] : memref<4xf32>
    %w = arith.minimumf %v, %c : f32
    memref.store %w, %x[%i] : memref<4xf32>
    return
  }
}
