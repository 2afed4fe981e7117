// RUN: fulgur-opt %s --split-input-file --fulgur-bufferize | FileCheck %s
// Kernels get buffers; their bodies stay on tensors, as the specification of the loops.

// CHECK-LABEL: @kernels
// CHECK: %[[FIRST:.*]] = memref.alloc() {{.*}}: memref<4x8xf32>
// CHECK: fulgur.kernel ins(%{{.*}} : memref<4x8xf32>) outs(%[[FIRST]] : memref<4x8xf32>) {
// CHECK-NEXT: ^bb0(%[[A:.*]]: tensor<4x8xf32>, %{{.*}}: tensor<4x8xf32>):
// CHECK-NEXT: fulgur.softmax %[[A]]
// CHECK: fulgur.kernel ins(%[[FIRST]] : memref<4x8xf32>)
// CHECK-NOT: memref.copy
func.func @kernels(%in: memref<4x8xf32>, %result: memref<4x8xf32>) {
  %x = bufferization.to_tensor %in restrict : memref<4x8xf32> to tensor<4x8xf32>
  %place = bufferization.to_tensor %result restrict writable : memref<4x8xf32> to tensor<4x8xf32>
  %out = tensor.empty() : tensor<4x8xf32>
  %r = fulgur.kernel ins(%x : tensor<4x8xf32>) outs(%out : tensor<4x8xf32>) {
  ^bb0(%a: tensor<4x8xf32>, %o: tensor<4x8xf32>):
    %s = fulgur.softmax %a {axis = 1 : i64} : tensor<4x8xf32>
    fulgur.yield %s : tensor<4x8xf32>
  } -> tensor<4x8xf32>
  %q = fulgur.kernel ins(%r : tensor<4x8xf32>) outs(%place : tensor<4x8xf32>) {
  ^bb0(%a: tensor<4x8xf32>, %o: tensor<4x8xf32>):
    %s = fulgur.softmax %a {axis = 1 : i64} : tensor<4x8xf32>
    fulgur.yield %s : tensor<4x8xf32>
  } -> tensor<4x8xf32>
  bufferization.materialize_in_destination %q in restrict writable %result : (tensor<4x8xf32>, memref<4x8xf32>) -> ()
  return
}

// -----

// What was computed in place, seen through a reshape, is not copied onto itself.
// CHECK-LABEL: @reshaped_output
// CHECK: fulgur.kernel
// CHECK-NOT: memref.copy
// CHECK: return
func.func @reshaped_output(%in: memref<8xf32>, %result: memref<2x4xf32>) {
  %x = bufferization.to_tensor %in restrict : memref<8xf32> to tensor<8xf32>
  %flat = memref.collapse_shape %result [[0, 1]] : memref<2x4xf32> into memref<8xf32>
  %place = bufferization.to_tensor %flat restrict writable : memref<8xf32> to tensor<8xf32>
  %r = fulgur.kernel ins(%x : tensor<8xf32>) outs(%place : tensor<8xf32>) {
  ^bb0(%a: tensor<8xf32>, %o: tensor<8xf32>):
    %s = fulgur.softmax %a {axis = 0 : i64} : tensor<8xf32>
    fulgur.yield %s : tensor<8xf32>
  } -> tensor<8xf32>
  %y = tensor.expand_shape %r [[0, 1]] output_shape [2, 4] : tensor<8xf32> into tensor<2x4xf32>
  bufferization.materialize_in_destination %y in restrict writable %result : (tensor<2x4xf32>, memref<2x4xf32>) -> ()
  return
}

// -----

// An input that is an output as well is copied.
// CHECK-LABEL: @negative_passthrough
// CHECK: memref.copy
func.func @negative_passthrough(%in: memref<8xf32>, %result: memref<8xf32>) {
  %x = bufferization.to_tensor %in restrict : memref<8xf32> to tensor<8xf32>
  bufferization.materialize_in_destination %x in restrict writable %result : (tensor<8xf32>, memref<8xf32>) -> ()
  return
}

// -----

// CHECK-LABEL: @check
// CHECK: fulgur.check_bounds %{{.*}} in {{.*}} : memref<4xi64>
func.func @check(%in: memref<4xi64>, %lower: index, %upper: index) {
  %x = bufferization.to_tensor %in restrict : memref<4xi64> to tensor<4xi64>
  fulgur.check_bounds %x in %lower to %upper, "index outside the table" : tensor<4xi64>
  return
}

// -----

// Two kernels that share an empty tensor write buffers of their own, each of which is in use only from its kernel to its reader.
// CHECK-LABEL: @shared_destination
// CHECK-COUNT-3: memref.alloc()
// CHECK: fulgur.kernel ins(%{{.*}}) outs(%[[A:.*]] :
// CHECK: fulgur.kernel ins(%[[A]] : memref<4x8xf32>) outs(%[[B:.*]] :
// CHECK-NOT: outs(%[[A]] :
// CHECK: fulgur.kernel ins(%[[B]] : memref<4x8xf32>) outs(%[[C:.*]] :
// CHECK: fulgur.kernel ins(%[[C]] :
func.func @shared_destination(%in: memref<4x8xf32>, %result: memref<4x8xf32>) {
  %x = bufferization.to_tensor %in restrict : memref<4x8xf32> to tensor<4x8xf32>
  %place = bufferization.to_tensor %result restrict writable : memref<4x8xf32> to tensor<4x8xf32>
  %one = tensor.empty() : tensor<4x8xf32>
  %other = tensor.empty() : tensor<4x8xf32>
  %p = fulgur.kernel ins(%x : tensor<4x8xf32>) outs(%one : tensor<4x8xf32>) {
  ^bb0(%a: tensor<4x8xf32>, %o: tensor<4x8xf32>):
    %s = fulgur.softmax %a {axis = 1 : i64} : tensor<4x8xf32>
    fulgur.yield %s : tensor<4x8xf32>
  } -> tensor<4x8xf32>
  %q = fulgur.kernel ins(%p : tensor<4x8xf32>) outs(%other : tensor<4x8xf32>) {
  ^bb0(%a: tensor<4x8xf32>, %o: tensor<4x8xf32>):
    %s = fulgur.softmax %a {axis = 1 : i64} : tensor<4x8xf32>
    fulgur.yield %s : tensor<4x8xf32>
  } -> tensor<4x8xf32>
  %r = fulgur.kernel ins(%q : tensor<4x8xf32>) outs(%one : tensor<4x8xf32>) {
  ^bb0(%a: tensor<4x8xf32>, %o: tensor<4x8xf32>):
    %s = fulgur.softmax %a {axis = 1 : i64} : tensor<4x8xf32>
    fulgur.yield %s : tensor<4x8xf32>
  } -> tensor<4x8xf32>
  %t = fulgur.kernel ins(%r : tensor<4x8xf32>) outs(%place : tensor<4x8xf32>) {
  ^bb0(%a: tensor<4x8xf32>, %o: tensor<4x8xf32>):
    %s = fulgur.softmax %a {axis = 1 : i64} : tensor<4x8xf32>
    fulgur.yield %s : tensor<4x8xf32>
  } -> tensor<4x8xf32>
  bufferization.materialize_in_destination %t in restrict writable %result : (tensor<4x8xf32>, memref<4x8xf32>) -> ()
  return
}

// -----

// A kernel that keeps the rest of its destination writes into what is there, unless somebody reads that later as it was.
// CHECK-LABEL: @keeps
// CHECK-NOT: memref.copy
// CHECK: fulgur.kernel ins(%{{.*}}) outs(%{{.*}} : memref<4xf32>) keeps
// CHECK-NOT: memref.copy
// CHECK: return
func.func @keeps(%from: memref<1xf32>, %buffer: memref<4xf32>) {
  %x = bufferization.to_tensor %from restrict : memref<1xf32> to tensor<1xf32>
  %state = bufferization.to_tensor %buffer restrict writable : memref<4xf32> to tensor<4xf32>
  %r = fulgur.kernel ins(%x : tensor<1xf32>) outs(%state : tensor<4xf32>) keeps {
  ^bb0(%a: tensor<1xf32>, %o: tensor<4xf32>):
    %s = tensor.insert_slice %a into %o[2] [1] [1] : tensor<1xf32> into tensor<4xf32>
    fulgur.yield %s : tensor<4xf32>
  } -> tensor<4xf32>
  bufferization.materialize_in_destination %r in restrict writable %buffer : (tensor<4xf32>, memref<4xf32>) -> ()
  return
}

// CHECK-LABEL: @negative_keeps
// CHECK: %[[COPY:.*]] = memref.alloc() {{.*}}: memref<4xf32>
// CHECK: memref.copy %{{.*}}, %[[COPY]]
// CHECK: fulgur.kernel ins(%{{.*}}) outs(%[[COPY]] : memref<4xf32>) keeps
func.func @negative_keeps(%from: memref<1xf32>, %buffer: memref<4xf32>, %out: memref<4xf32>) {
  %x = bufferization.to_tensor %from restrict : memref<1xf32> to tensor<1xf32>
  %state = bufferization.to_tensor %buffer restrict writable : memref<4xf32> to tensor<4xf32>
  %r = fulgur.kernel ins(%x : tensor<1xf32>) outs(%state : tensor<4xf32>) keeps {
  ^bb0(%a: tensor<1xf32>, %o: tensor<4xf32>):
    %s = tensor.insert_slice %a into %o[2] [1] [1] : tensor<1xf32> into tensor<4xf32>
    fulgur.yield %s : tensor<4xf32>
  } -> tensor<4xf32>
  bufferization.materialize_in_destination %state in restrict writable %out : (tensor<4xf32>, memref<4xf32>) -> ()
  bufferization.materialize_in_destination %r in restrict writable %buffer : (tensor<4xf32>, memref<4xf32>) -> ()
  return
}

// -----

// Who reads a state as it was, behind what changes it, reads a copy, whose size is that of the state.
// CHECK-LABEL: @state
// CHECK: %[[N:.*]] = fulgur.symbol "n"
// CHECK: %[[STATE:.*]] = fulgur.buffer
// CHECK: %[[COPY:.*]] = memref.alloc(%[[N]])
// CHECK-NOT: memref.dim
func.func @state(%call: !llvm.ptr, %result: memref<?xf32>) {
  %n = fulgur.symbol "n"
  %0 = fulgur.buffer %call output(%n) [%n] : !llvm.ptr -> memref<?xf32>
  %state = bufferization.to_tensor %0 restrict writable : memref<?xf32> to tensor<?xf32>
  %place = bufferization.to_tensor %result restrict writable : memref<?xf32> to tensor<?xf32>
  %out = tensor.empty(%n) : tensor<?xf32>
  %new = fulgur.kernel outs(%state : tensor<?xf32>) keeps {
  ^bb0(%o: tensor<?xf32>):
    fulgur.yield %o : tensor<?xf32>
  } -> tensor<?xf32>
  %old = fulgur.kernel ins(%state : tensor<?xf32>) outs(%place : tensor<?xf32>) {
  ^bb0(%a: tensor<?xf32>, %o: tensor<?xf32>):
    fulgur.yield %a : tensor<?xf32>
  } -> tensor<?xf32>
  bufferization.materialize_in_destination %old in restrict writable %result : (tensor<?xf32>, memref<?xf32>) -> ()
  bufferization.materialize_in_destination %new in restrict writable %0 : (tensor<?xf32>, memref<?xf32>) -> ()
  return
}
