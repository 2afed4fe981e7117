// RUN: fulgur-opt %s | fulgur-opt | FileCheck %s
// RUN: fulgur-opt %s --mlir-print-op-generic | fulgur-opt | FileCheck %s
// Every operation and attribute of the dialect is printed as it is read.

// CHECK-LABEL: @sizes
// CHECK: %[[BATCH:.*]] = fulgur.symbol "batch"
// CHECK: %[[ROWS:.*]] = fulgur.bounded %{{.*}} at most %[[BATCH]], "too many rows"
// CHECK: fulgur.require %{{.*}}, "'batch' is odd"
// CHECK: fulgur.check_bounds %{{.*}} in %{{.*}} to %[[BATCH]], "index outside the table" : tensor<?xi64>
func.func @sizes(%count: index, %even: i1, %indices: tensor<?xi64>) {
  %zero = arith.constant 0 : index
  %batch = fulgur.symbol "batch"
  %rows = fulgur.bounded %count at most %batch, "too many rows"
  fulgur.require %even, "'batch' is odd"
  fulgur.check_bounds %indices in %zero to %batch, "index outside the table" : tensor<?xi64>
  return
}

// CHECK-LABEL: @row_operations
// CHECK: fulgur.layer_norm %{{.*}}, %{{.*}}, %{{.*}} {axis = 1 : i64, epsilon = {{.*}} : f32} : tensor<?x8xf32>, tensor<8xf32>, tensor<8xf32>
// CHECK: fulgur.layer_norm %{{.*}}, %{{.*}} {axis = 1 : i64, epsilon = {{.*}} : f32} : tensor<?x8xf32>, tensor<8xf32>
// CHECK: fulgur.rms_norm %{{.*}}, %{{.*}} {axis = 1 : i64, epsilon = {{.*}} : f32} : tensor<?x8xf32>, tensor<8xf32>
// CHECK: fulgur.softmax %{{.*}} {axis = 0 : i64} : tensor<?x8xf32>
func.func @row_operations(%x: tensor<?x8xf32>, %scale: tensor<8xf32>, %bias: tensor<8xf32>) -> tensor<?x8xf32> {
  %0 = fulgur.layer_norm %x, %scale, %bias {axis = 1 : i64, epsilon = 1.0e-5 : f32} : tensor<?x8xf32>, tensor<8xf32>, tensor<8xf32>
  %1 = fulgur.layer_norm %0, %scale {axis = 1 : i64, epsilon = 1.0e-5 : f32} : tensor<?x8xf32>, tensor<8xf32>
  %2 = fulgur.rms_norm %1, %scale {axis = 1 : i64, epsilon = 1.0e-5 : f32} : tensor<?x8xf32>, tensor<8xf32>
  %3 = fulgur.softmax %2 {axis = 0 : i64} : tensor<?x8xf32>
  return %3 : tensor<?x8xf32>
}

// What has its default value is left out.
// CHECK-LABEL: @kernels
// CHECK: fulgur.kernel ins(%{{.*}} : tensor<8xf32>) outs(%{{.*}} : tensor<8xf32>) schedule(<kind = "gemm", tile = [6, 2], lanes = 8, unroll = 4, pack = 16, grain = 96>) {
// CHECK: fulgur.yield %{{.*}} : tensor<8xf32>
// CHECK: } -> tensor<8xf32>
// CHECK: fulgur.kernel ins(%{{.*}} : memref<8xf32>) outs(%{{.*}} : memref<8xf32>) schedule(<kind = "softmax">) attributes {note = "bufferized"} {
// CHECK-NEXT: ^bb0(%{{.*}}: tensor<8xf32>, %{{.*}}: tensor<8xf32>):
// CHECK: fulgur.kernel outs(%{{.*}} : tensor<8xf32>) keeps schedule(<kind = "assemble">) {
// CHECK: fulgur.kernel outs(%{{.*}} : tensor<8xf32>) {
func.func @kernels(%x: tensor<8xf32>, %from: memref<8xf32>, %to: memref<8xf32>) -> tensor<8xf32> {
  %0 = fulgur.kernel ins(%x : tensor<8xf32>) outs(%x : tensor<8xf32>)
      schedule(<grain = 96, kind = "gemm", pack = 16, tile = [6, 2], unroll = 4, lanes = 8>) {
  ^bb0(%a: tensor<8xf32>, %o: tensor<8xf32>):
    fulgur.yield %a : tensor<8xf32>
  } -> tensor<8xf32>
  fulgur.kernel ins(%from : memref<8xf32>) outs(%to : memref<8xf32>) schedule(<kind = "softmax", lanes = 1, pack = 0>) attributes {note = "bufferized"} {
  ^bb0(%a: tensor<8xf32>, %o: tensor<8xf32>):
    fulgur.yield %a : tensor<8xf32>
  }
  %kept = fulgur.kernel outs(%0 : tensor<8xf32>) keeps schedule(<kind = "assemble">) {
  ^bb0(%o: tensor<8xf32>):
    fulgur.yield %o : tensor<8xf32>
  } -> tensor<8xf32>
  %1 = fulgur.kernel outs(%kept : tensor<8xf32>) {
  ^bb0(%o: tensor<8xf32>):
    fulgur.yield %o : tensor<8xf32>
  } -> tensor<8xf32>
  return %1 : tensor<8xf32>
}

// CHECK-LABEL: @buffers
// CHECK: fulgur.buffer %{{.*}} input(%{{.*}}) [%{{.*}}] : !llvm.ptr -> memref<?xf32>
// CHECK: fulgur.buffer %{{.*}} output(%{{.*}}) : !llvm.ptr -> memref<f32>
// CHECK: fulgur.buffer %{{.*}} arena(%{{.*}}) [%{{.*}}, %{{.*}}] : !llvm.ptr -> memref<?x?xf32>
// CHECK: fulgur.buffer %{{.*}} weights(%{{.*}}) : !llvm.ptr -> memref<4xf32>
func.func @buffers(%call: !llvm.ptr, %at: index, %n: index) {
  %0 = fulgur.buffer %call input(%at) [%n] : !llvm.ptr -> memref<?xf32>
  %1 = fulgur.buffer %call output(%at) : !llvm.ptr -> memref<f32>
  %2 = fulgur.buffer %call arena(%at) [%n, %n] : !llvm.ptr -> memref<?x?xf32>
  %3 = fulgur.buffer %call weights(%at) : !llvm.ptr -> memref<4xf32>
  return
}

// CHECK-LABEL: @task
// CHECK: fulgur.arguments %{{.*}} : !llvm.ptr -> memref<?xf32>, index
func.func @task(%packed: !llvm.ptr, %i: index) {
  %x, %n = fulgur.arguments %packed : !llvm.ptr -> memref<?xf32>, index
  return
}

// CHECK-LABEL: @launches
// CHECK: fulgur.launch %{{.*}} @task(%{{.*}}) with %{{.*}}, %{{.*}} : memref<?xf32>, index : !llvm.ptr
// CHECK: fulgur.launch %{{.*}} @task(%{{.*}}) : !llvm.ptr
func.func @launches(%call: !llvm.ptr, %x: memref<?xf32>, %n: index) {
  fulgur.launch %call @task(%n) with %x, %n : memref<?xf32>, index : !llvm.ptr
  fulgur.launch %call @task(%n) : !llvm.ptr
  return
}

// CHECK-LABEL: @drive
// CHECK: fulgur.none
// CHECK: fulgur.run @piece
// CHECK: fulgur.output @piece
// CHECK: fulgur.define_dim "n" = %{{.*}}[0]
// CHECK: fulgur.define_element "m" = %{{.*}}[2]
// CHECK: fulgur.read
// CHECK: fulgur.extent %{{.*}}[1]
// CHECK: fulgur.write %{{.*}} {dtype = 7 : i32, rank = 0 : i32}
// CHECK: fulgur.step "take"(%{{.*}}) numbers(%{{.*}}) [0 : i32] : !fulgur.value
func.func @drive(%x: !fulgur.value) {
  %none = fulgur.none
  fulgur.run @piece(%x)
  %y = fulgur.output @piece[0]
  fulgur.define_dim "n" = %y[0]
  fulgur.define_element "m" = %y[2]
  %i = fulgur.read %y
  %n = fulgur.extent %y[1]
  %w = fulgur.write %n {dtype = 7 : i32, rank = 0 : i32}
  %t = fulgur.step "take"(%y) numbers(%i) [0 : i32] : !fulgur.value
  return
}

// CHECK-LABEL: func.func @piece
// CHECK: fulgur.sized %{{.*}}[%{{.*}}] : tensor<?xf32>
func.func @piece(%x: tensor<?xf32>, %n: index) {
  fulgur.sized %x[%n] : tensor<?xf32>
  return
}

// CHECK-LABEL: func.func @packs
// CHECK: fulgur.packed_output 0 [-1, 3][%{{.*}}]
func.func @packs(%n: index) {
  fulgur.packed_output 0 [-1, 3] [%n]
  return
}

// Grouped queries: a key's head (loop 1) serves all of loop 2; the rows of a causal window behind a past, with a sink and a mask.
// CHECK-LABEL: func.func @attends
// CHECK: fulgur.attention %{{.*}}, %{{.*}}, %{{.*}} extras(%{{.*}} : tensor<?x?xi1>) sink(%{{.*}} : tensor<2x3xf32>) causal(%{{.*}}) maps
// CHECK-SAME: attributes {window = 8 : i64, zero_empty_rows}
func.func @attends(%q: tensor<?x?x2x3x64xf32>, %k: tensor<?x2x?x64xf32>, %v: tensor<?x2x?x32xf32>, %mask: tensor<?x?xi1>,
                   %sink: tensor<2x3xf32>, %past: index) -> tensor<?x?x2x3x32xf32> {
  %r = fulgur.attention %q, %k, %v extras(%mask : tensor<?x?xi1>) sink(%sink : tensor<2x3xf32>) causal(%past)
      maps [affine_map<(b, h, g, i, d, j, n) -> (b, i, h, g, d)>, affine_map<(b, h, g, i, d, j, n) -> (b, h, j, d)>,
            affine_map<(b, h, g, i, d, j, n) -> (b, h, j, n)>, affine_map<(b, h, g, i, d, j, n) -> (b, j)>,
            affine_map<(b, h, g, i, d, j, n) -> (h, g)>, affine_map<(b, h, g, i, d, j, n) -> (b, i, h, g, n)>]
      attributes {window = 8 : i64, zero_empty_rows} {
  ^bb0(%s: f32, %i: index, %j: index, %m: i1):
    %lowest = arith.constant 0xFF800000 : f32
    %x = arith.select %m, %s, %lowest : f32
    fulgur.yield %x : f32
  } : tensor<?x?x2x3x64xf32>, tensor<?x2x?x64xf32>, tensor<?x2x?x32xf32> -> tensor<?x?x2x3x32xf32>
  return %r : tensor<?x?x2x3x32xf32>
}

// Every sequence of the batch has a past of its own.
// CHECK-LABEL: func.func @attends_sequences
// CHECK: fulgur.attention %{{.*}}, %{{.*}}, %{{.*}} offsets(%{{.*}} : tensor<?xi64>) causal(%{{.*}}) maps
// CHECK-SAME: attributes {average_empty_rows}
func.func @attends_sequences(%q: tensor<?x?x64xf32>, %k: tensor<?x?x64xf32>, %pasts: tensor<?xi64>) -> tensor<?x?x64xf32> {
  %zero = arith.constant 0 : index
  %r = fulgur.attention %q, %k, %k offsets(%pasts : tensor<?xi64>) causal(%zero)
      maps [affine_map<(b, i, d, j, n) -> (b, i, d)>, affine_map<(b, i, d, j, n) -> (b, j, d)>, affine_map<(b, i, d, j, n) -> (b, j, n)>,
            affine_map<(b, i, d, j, n) -> (b)>, affine_map<(b, i, d, j, n) -> (b, i, n)>]
      attributes {average_empty_rows} {
  ^bb0(%s: f32, %i: index, %j: index):
    fulgur.yield %s : f32
  } : tensor<?x?x64xf32>, tensor<?x?x64xf32>, tensor<?x?x64xf32> -> tensor<?x?x64xf32>
  return %r : tensor<?x?x64xf32>
}

// CHECK-LABEL: @few_bits
// CHECK: fulgur.dequantize %{{.*}}, %{{.*}} {axis = 1 : i64, bits = 4 : i64, block = 16 : i64, offset = 8 : i64, per_byte = 2 : i64} : tensor<3x16xi8>, tensor<3x2xf32> -> tensor<3x32xf32>
// CHECK: fulgur.dequantize %{{.*}}, %{{.*}}, %{{.*}} {axis = 0 : i64, bits = 8 : i64, block = 16 : i64, is_signed} : tensor<32x3xi8>, tensor<2x3xf16>, tensor<2x3xi8> -> tensor<32x3xf32>
// CHECK: fulgur.dequantize %{{.*}}, %{{.*}} {axis = 1 : i64, bits = 4 : i64, block = 16 : i64, pack = 16 : i64} : tensor<1x4x16x4xi8>, tensor<1x2x16xf32> -> tensor<3x32xf32>
func.func @few_bits(%codes: tensor<3x16xi8>, %scale: tensor<3x2xf32>, %bytes: tensor<32x3xi8>, %scales: tensor<2x3xf16>, %zero: tensor<2x3xi8>,
                    %panels: tensor<1x4x16x4xi8>, %inPanels: tensor<1x2x16xf32>) {
  %0 = fulgur.dequantize %codes, %scale {axis = 1 : i64, bits = 4 : i64, block = 16 : i64, offset = 8 : i64, per_byte = 2 : i64} : tensor<3x16xi8>, tensor<3x2xf32> -> tensor<3x32xf32>
  %1 = fulgur.dequantize %bytes, %scales, %zero {axis = 0 : i64, bits = 8 : i64, block = 16 : i64, is_signed} : tensor<32x3xi8>, tensor<2x3xf16>, tensor<2x3xi8> -> tensor<32x3xf32>
  %2 = fulgur.dequantize %panels, %inPanels {axis = 1 : i64, bits = 4 : i64, block = 16 : i64, pack = 16 : i64} : tensor<1x4x16x4xi8>, tensor<1x2x16xf32> -> tensor<3x32xf32>
  return
}

// CHECK-LABEL: @round_blocks
// CHECK: fulgur.round_blocks %{{.*}} {block = 16 : i64} : tensor<?x32xf32>
func.func @round_blocks(%x: tensor<?x32xf32>) -> tensor<?x32xf32> {
  %0 = fulgur.round_blocks %x {block = 16 : i64} : tensor<?x32xf32>
  return %0 : tensor<?x32xf32>
}
