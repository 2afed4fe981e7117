// RUN: fulgur-opt %s --fulgur-choose-schedules | FileCheck %s
// RUN: fulgur-opt %s --fulgur-choose-schedules="vector-bytes=64 vector-registers=32" | FileCheck %s --check-prefix=WIDE
// RUN: fulgur-opt %s --fulgur-choose-schedules="vector-bytes=64 vector-registers=32 halves" | FileCheck %s --check-prefix=HALVES
// RUN: fulgur-opt %s --fulgur-choose-schedules="vector-bytes=64 vector-registers=32 strassen" | FileCheck %s --check-prefix=STRASSEN
// RUN: fulgur-opt %s --fulgur-choose-schedules="vector-bytes=64 vector-registers=32 bf16 vnni amx" | FileCheck %s --check-prefix=AMX
// RUN: fulgur-opt %s --fulgur-choose-schedules --remarks-filter-missed=fulgur.* --remark-format=emitRemark -o %t 2>&1 | FileCheck %s --check-prefix=REMARK
// The tile of a product fits the registers; weights get a packing.

// CHECK-LABEL: @product_with_weight
// CHECK: schedule(<kind = "gemm", tile = [6, 2], lanes = 8, unroll = 4, pack = 16, grain = 132>)
// WIDE-LABEL: @product_with_weight
// WIDE: schedule(<kind = "gemm", tile = [6, 4], lanes = 16, unroll = 4, pack = 64, grain = 48>)
func.func @product_with_weight(%a: tensor<?x64xf32>, %out: tensor<?x256xf32>) -> tensor<?x256xf32> {
  %weight = arith.constant dense<1.0> : tensor<64x256xf32>
  %r = fulgur.kernel ins(%a, %weight : tensor<?x64xf32>, tensor<64x256xf32>) outs(%out : tensor<?x256xf32>) {
  ^bb0(%x: tensor<?x64xf32>, %w: tensor<64x256xf32>, %o: tensor<?x256xf32>):
    %zero = arith.constant 0.0 : f32
    %init = linalg.fill ins(%zero : f32) outs(%o : tensor<?x256xf32>) -> tensor<?x256xf32>
    %p = linalg.matmul ins(%x, %w : tensor<?x64xf32>, tensor<64x256xf32>) outs(%init : tensor<?x256xf32>) -> tensor<?x256xf32>
    fulgur.yield %p : tensor<?x256xf32>
  } -> tensor<?x256xf32>
  return %r : tensor<?x256xf32>
}

// Large products, where the target gains by it: with two equal halves of panels and of steps.
// WIDE-LABEL: @large
// WIDE: schedule(<kind = "gemm", tile = [6, 4], lanes = 16, unroll = 4, pack = 64, grain = 48>)
// STRASSEN-LABEL: @large
// STRASSEN: schedule(<kind = "strassen", tile = [6, 4], lanes = 16, unroll = 2, pack = 64, grain = 66>)
func.func @large(%a: tensor<128x384xf32>, %out: tensor<128x384xf32>) -> tensor<128x384xf32> {
  %weight = arith.constant dense<1.0> : tensor<384x384xf32>
  %r = fulgur.kernel ins(%a, %weight : tensor<128x384xf32>, tensor<384x384xf32>) outs(%out : tensor<128x384xf32>) {
  ^bb0(%x: tensor<128x384xf32>, %w: tensor<384x384xf32>, %o: tensor<128x384xf32>):
    %zero = arith.constant 0.0 : f32
    %init = linalg.fill ins(%zero : f32) outs(%o : tensor<128x384xf32>) -> tensor<128x384xf32>
    %p = linalg.matmul ins(%x, %w : tensor<128x384xf32>, tensor<384x384xf32>) outs(%init : tensor<128x384xf32>) -> tensor<128x384xf32>
    fulgur.yield %p : tensor<128x384xf32>
  } -> tensor<128x384xf32>
  return %r : tensor<128x384xf32>
}

// STRASSEN-LABEL: @odd_number_of_panels
// STRASSEN: kind = "gemm"
func.func @odd_number_of_panels(%a: tensor<128x384xf32>, %out: tensor<128x320xf32>) -> tensor<128x320xf32> {
  %weight = arith.constant dense<1.0> : tensor<384x320xf32>
  %r = fulgur.kernel ins(%a, %weight : tensor<128x384xf32>, tensor<384x320xf32>) outs(%out : tensor<128x320xf32>) {
  ^bb0(%x: tensor<128x384xf32>, %w: tensor<384x320xf32>, %o: tensor<128x320xf32>):
    %zero = arith.constant 0.0 : f32
    %init = linalg.fill ins(%zero : f32) outs(%o : tensor<128x320xf32>) -> tensor<128x320xf32>
    %p = linalg.matmul ins(%x, %w : tensor<128x384xf32>, tensor<384x320xf32>) outs(%init : tensor<128x320xf32>) -> tensor<128x320xf32>
    fulgur.yield %p : tensor<128x320xf32>
  } -> tensor<128x320xf32>
  return %r : tensor<128x320xf32>
}

// AMX's tiles take 32 steps of bfloat16 at a time, packed as for the plain product.
// AMX-LABEL: @narrow
// AMX: schedule(<kind = "amx", tile = [32, 2], lanes = 16, pack = 64, grain = 128>)
func.func @narrow(%a: tensor<?x64xbf16>, %out: tensor<?x256xf32>) -> tensor<?x256xf32> {
  %weight = arith.constant dense<1.0> : tensor<64x256xbf16>
  %r = fulgur.kernel ins(%a, %weight : tensor<?x64xbf16>, tensor<64x256xbf16>) outs(%out : tensor<?x256xf32>) {
  ^bb0(%x: tensor<?x64xbf16>, %w: tensor<64x256xbf16>, %o: tensor<?x256xf32>):
    %zero = arith.constant 0.0 : f32
    %init = linalg.fill ins(%zero : f32) outs(%o : tensor<?x256xf32>) -> tensor<?x256xf32>
    %p = linalg.matmul ins(%x, %w : tensor<?x64xbf16>, tensor<64x256xbf16>) outs(%init : tensor<?x256xf32>) -> tensor<?x256xf32>
    fulgur.yield %p : tensor<?x256xf32>
  } -> tensor<?x256xf32>
  return %r : tensor<?x256xf32>
}

// AMX-LABEL: @steps_that_fill_no_tile
// AMX: kind = "gemm"
func.func @steps_that_fill_no_tile(%a: tensor<?x48xbf16>, %out: tensor<?x256xf32>) -> tensor<?x256xf32> {
  %weight = arith.constant dense<1.0> : tensor<48x256xbf16>
  %r = fulgur.kernel ins(%a, %weight : tensor<?x48xbf16>, tensor<48x256xbf16>) outs(%out : tensor<?x256xf32>) {
  ^bb0(%x: tensor<?x48xbf16>, %w: tensor<48x256xbf16>, %o: tensor<?x256xf32>):
    %zero = arith.constant 0.0 : f32
    %init = linalg.fill ins(%zero : f32) outs(%o : tensor<?x256xf32>) -> tensor<?x256xf32>
    %p = linalg.matmul ins(%x, %w : tensor<?x48xbf16>, tensor<48x256xbf16>) outs(%init : tensor<?x256xf32>) -> tensor<?x256xf32>
    fulgur.yield %p : tensor<?x256xf32>
  } -> tensor<?x256xf32>
  return %r : tensor<?x256xf32>
}

// Weights for too few rows: reading them is what takes time.
// AMX-LABEL: @few_rows
// AMX: kind = "gemm"
func.func @few_rows(%a: tensor<4x64xbf16>, %out: tensor<4x256xf32>) -> tensor<4x256xf32> {
  %weight = arith.constant dense<1.0> : tensor<64x256xbf16>
  %r = fulgur.kernel ins(%a, %weight : tensor<4x64xbf16>, tensor<64x256xbf16>) outs(%out : tensor<4x256xf32>) {
  ^bb0(%x: tensor<4x64xbf16>, %w: tensor<64x256xbf16>, %o: tensor<4x256xf32>):
    %zero = arith.constant 0.0 : f32
    %init = linalg.fill ins(%zero : f32) outs(%o : tensor<4x256xf32>) -> tensor<4x256xf32>
    %p = linalg.matmul ins(%x, %w : tensor<4x64xbf16>, tensor<64x256xbf16>) outs(%init : tensor<4x256xf32>) -> tensor<4x256xf32>
    fulgur.yield %p : tensor<4x256xf32>
  } -> tensor<4x256xf32>
  return %r : tensor<4x256xf32>
}

// One row: more columns at once instead. Nothing to pack.
// CHECK-LABEL: @one_row
// CHECK: schedule(<kind = "gemm", tile = [1, 4], lanes = 8, unroll = 4, grain = 256>)
func.func @one_row(%a: tensor<1x64xf32>, %b: tensor<64x256xf32>, %out: tensor<1x256xf32>) -> tensor<1x256xf32> {
  %r = fulgur.kernel ins(%a, %b : tensor<1x64xf32>, tensor<64x256xf32>) outs(%out : tensor<1x256xf32>) {
  ^bb0(%x: tensor<1x64xf32>, %y: tensor<64x256xf32>, %o: tensor<1x256xf32>):
    %zero = arith.constant 0.0 : f32
    %init = linalg.fill ins(%zero : f32) outs(%o : tensor<1x256xf32>) -> tensor<1x256xf32>
    %p = linalg.matmul ins(%x, %y : tensor<1x64xf32>, tensor<64x256xf32>) outs(%init : tensor<1x256xf32>) -> tensor<1x256xf32>
    fulgur.yield %p : tensor<1x256xf32>
  } -> tensor<1x256xf32>
  return %r : tensor<1x256xf32>
}

// CHECK-LABEL: @softmax
// CHECK: schedule(<kind = "softmax", lanes = 8, unroll = 4, grain = 256>)
func.func @softmax(%x: tensor<?x128xf32>, %out: tensor<?x128xf32>) -> tensor<?x128xf32> {
  %r = fulgur.kernel ins(%x : tensor<?x128xf32>) outs(%out : tensor<?x128xf32>) {
  ^bb0(%a: tensor<?x128xf32>, %o: tensor<?x128xf32>):
    %s = fulgur.softmax %a {axis = 1 : i64} : tensor<?x128xf32>
    fulgur.yield %s : tensor<?x128xf32>
  } -> tensor<?x128xf32>
  return %r : tensor<?x128xf32>
}

// No builder computes in f64 or along another axis.
// REMARK: no builder takes this softmax of f64: generic loops compute it
// REMARK: no builder takes this softmax in this form or with what is fused to it: generic loops compute it
// CHECK-LABEL: @negative
// CHECK-NOT: schedule
func.func @negative(%x: tensor<8x8xf64>, %y: tensor<8x8xf32>, %out: tensor<8x8xf64>, %out2: tensor<8x8xf32>) -> (tensor<8x8xf64>, tensor<8x8xf32>) {
  %r = fulgur.kernel ins(%x : tensor<8x8xf64>) outs(%out : tensor<8x8xf64>) {
  ^bb0(%a: tensor<8x8xf64>, %o: tensor<8x8xf64>):
    %s = fulgur.softmax %a {axis = 1 : i64} : tensor<8x8xf64>
    fulgur.yield %s : tensor<8x8xf64>
  } -> tensor<8x8xf64>
  %t = fulgur.kernel ins(%y : tensor<8x8xf32>) outs(%out2 : tensor<8x8xf32>) {
  ^bb0(%a: tensor<8x8xf32>, %o: tensor<8x8xf32>):
    %s = fulgur.softmax %a {axis = 0 : i64} : tensor<8x8xf32>
    fulgur.yield %s : tensor<8x8xf32>
  } -> tensor<8x8xf32>
  return %r, %t : tensor<8x8xf64>, tensor<8x8xf32>
}

// Rows of pixels times vectors of filters; several rows a task.
// CHECK-LABEL: @strided
// CHECK: schedule(<kind = "convolution"
// WIDE-LABEL: @strided
// WIDE: schedule(<kind = "convolution"
func.func @strided(%a: tensor<1x57x57x64xf32>, %b: tensor<128x64x3x3xf32>, %out: tensor<1x28x28x128xf32>) -> tensor<1x28x28x128xf32> {
  %r = fulgur.kernel ins(%a, %b : tensor<1x57x57x64xf32>, tensor<128x64x3x3xf32>) outs(%out : tensor<1x28x28x128xf32>) {
  ^bb0(%x: tensor<1x57x57x64xf32>, %y: tensor<128x64x3x3xf32>, %o: tensor<1x28x28x128xf32>):
    %zero = arith.constant 0.0 : f32
    %init = linalg.fill ins(%zero : f32) outs(%o : tensor<1x28x28x128xf32>) -> tensor<1x28x28x128xf32>
    %p = linalg.generic {indexing_maps = [affine_map<(n, h, w, f, i, j, c) -> (n, h * 2 + i, w * 2 + j, c)>, affine_map<(n, h, w, f, i, j, c) -> (f, c, i, j)>, affine_map<(n, h, w, f, i, j, c) -> (n, h, w, f)>],
        iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"]}
        ins(%x, %y : tensor<1x57x57x64xf32>, tensor<128x64x3x3xf32>) outs(%init : tensor<1x28x28x128xf32>) {
    ^bb0(%in: f32, %by: f32, %sum: f32):
      %m = arith.mulf %in, %by : f32
      %s = arith.addf %sum, %m : f32
      linalg.yield %s : f32
    } -> tensor<1x28x28x128xf32>
    fulgur.yield %p : tensor<1x28x28x128xf32>
  } -> tensor<1x28x28x128xf32>
  return %r : tensor<1x28x28x128xf32>
}

// Many channels, a window of 3x3 that moves by one: 16 products for 4 elements.
// CHECK-LABEL: @no_stride
// CHECK: schedule(<kind = "winograd"
// WIDE-LABEL: @no_stride
// WIDE: schedule(<kind = "winograd"
func.func @no_stride(%a: tensor<1x28x28x128xf32>, %b: tensor<128x128x3x3xf32>, %out: tensor<1x28x28x128xf32>) -> tensor<1x28x28x128xf32> {
  %r = fulgur.kernel ins(%a, %b : tensor<1x28x28x128xf32>, tensor<128x128x3x3xf32>) outs(%out : tensor<1x28x28x128xf32>) {
  ^bb0(%x: tensor<1x28x28x128xf32>, %y: tensor<128x128x3x3xf32>, %o: tensor<1x28x28x128xf32>):
    %zero = arith.constant 0.0 : f32
    %padded = tensor.pad %x low[0, 1, 1, 0] high[0, 1, 1, 0] {
    ^bb0(%n: index, %h: index, %v: index, %c: index):
      tensor.yield %zero : f32
    } : tensor<1x28x28x128xf32> to tensor<1x30x30x128xf32>
    %init = linalg.fill ins(%zero : f32) outs(%o : tensor<1x28x28x128xf32>) -> tensor<1x28x28x128xf32>
    %p = linalg.generic {indexing_maps = [affine_map<(n, h, w, f, i, j, c) -> (n, h + i, w + j, c)>, affine_map<(n, h, w, f, i, j, c) -> (f, c, i, j)>, affine_map<(n, h, w, f, i, j, c) -> (n, h, w, f)>],
        iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"]}
        ins(%padded, %y : tensor<1x30x30x128xf32>, tensor<128x128x3x3xf32>) outs(%init : tensor<1x28x28x128xf32>) {
    ^bb0(%in: f32, %by: f32, %sum: f32):
      %m = arith.mulf %in, %by : f32
      %s = arith.addf %sum, %m : f32
      linalg.yield %s : f32
    } -> tensor<1x28x28x128xf32>
    fulgur.yield %p : tensor<1x28x28x128xf32>
  } -> tensor<1x28x28x128xf32>
  return %r : tensor<1x28x28x128xf32>
}

// Tiles of three vectors where four would leave a quarter of the lanes to nobody.
// CHECK-LABEL: @narrow_panels
// CHECK: schedule(<kind = "winograd", tile = [{{[0-9]+}}, 2, {{.*}}pack = 16
// WIDE-LABEL: @narrow_panels
// WIDE: schedule(<kind = "winograd", tile = [{{[0-9]+}}, 3, {{.*}}pack = 48
func.func @narrow_panels(%a: tensor<1x28x28x96xf32>, %b: tensor<96x96x3x3xf32>, %out: tensor<1x28x28x96xf32>) -> tensor<1x28x28x96xf32> {
  %r = fulgur.kernel ins(%a, %b : tensor<1x28x28x96xf32>, tensor<96x96x3x3xf32>) outs(%out : tensor<1x28x28x96xf32>) {
  ^bb0(%x: tensor<1x28x28x96xf32>, %y: tensor<96x96x3x3xf32>, %o: tensor<1x28x28x96xf32>):
    %zero = arith.constant 0.0 : f32
    %padded = tensor.pad %x low[0, 1, 1, 0] high[0, 1, 1, 0] {
    ^bb0(%n: index, %h: index, %v: index, %c: index):
      tensor.yield %zero : f32
    } : tensor<1x28x28x96xf32> to tensor<1x30x30x96xf32>
    %init = linalg.fill ins(%zero : f32) outs(%o : tensor<1x28x28x96xf32>) -> tensor<1x28x28x96xf32>
    %p = linalg.generic {indexing_maps = [affine_map<(n, h, w, f, i, j, c) -> (n, h + i, w + j, c)>, affine_map<(n, h, w, f, i, j, c) -> (f, c, i, j)>, affine_map<(n, h, w, f, i, j, c) -> (n, h, w, f)>],
        iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"]}
        ins(%padded, %y : tensor<1x30x30x96xf32>, tensor<96x96x3x3xf32>) outs(%init : tensor<1x28x28x96xf32>) {
    ^bb0(%in: f32, %by: f32, %sum: f32):
      %m = arith.mulf %in, %by : f32
      %s = arith.addf %sum, %m : f32
      linalg.yield %s : f32
    } -> tensor<1x28x28x96xf32>
    fulgur.yield %p : tensor<1x28x28x96xf32>
  } -> tensor<1x28x28x96xf32>
  return %r : tensor<1x28x28x96xf32>
}

// Of bfloat16, tiles are three by three where that spares a tenth of the products, but for few channels.
// CHECK-LABEL: @pairs_of_large_images
// CHECK: schedule(<kind = "winograd", tile = [{{.*}}, 3]
func.func @pairs_of_large_images(%a: tensor<1x28x28x128xbf16>, %b: tensor<128x128x3x3xbf16>, %out: tensor<1x28x28x128xf32>) -> tensor<1x28x28x128xf32> {
  %r = fulgur.kernel ins(%a, %b : tensor<1x28x28x128xbf16>, tensor<128x128x3x3xbf16>) outs(%out : tensor<1x28x28x128xf32>) {
  ^bb0(%x: tensor<1x28x28x128xbf16>, %y: tensor<128x128x3x3xbf16>, %o: tensor<1x28x28x128xf32>):
    %zero = arith.constant 0.0 : f32
    %none = arith.constant 0.0 : bf16
    %padded = tensor.pad %x low[0, 1, 1, 0] high[0, 1, 1, 0] {
    ^bb0(%n: index, %h: index, %v: index, %c: index):
      tensor.yield %none : bf16
    } : tensor<1x28x28x128xbf16> to tensor<1x30x30x128xbf16>
    %init = linalg.fill ins(%zero : f32) outs(%o : tensor<1x28x28x128xf32>) -> tensor<1x28x28x128xf32>
    %p = linalg.generic {indexing_maps = [affine_map<(n, h, w, f, i, j, c) -> (n, h + i, w + j, c)>, affine_map<(n, h, w, f, i, j, c) -> (f, c, i, j)>, affine_map<(n, h, w, f, i, j, c) -> (n, h, w, f)>],
        iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"]}
        ins(%padded, %y : tensor<1x30x30x128xbf16>, tensor<128x128x3x3xbf16>) outs(%init : tensor<1x28x28x128xf32>) {
    ^bb0(%in: bf16, %by: bf16, %sum: f32):
      %l = arith.extf %in : bf16 to f32
      %k = arith.extf %by : bf16 to f32
      %m = arith.mulf %l, %k : f32
      %s = arith.addf %sum, %m : f32
      linalg.yield %s : f32
    } -> tensor<1x28x28x128xf32>
    fulgur.yield %p : tensor<1x28x28x128xf32>
  } -> tensor<1x28x28x128xf32>
  return %r : tensor<1x28x28x128xf32>
}

// CHECK-LABEL: @pairs_three
// CHECK: schedule(<kind = "winograd", tile = [{{.*}}, 3]
func.func @pairs_three(%a: tensor<1x14x14x128xbf16>, %b: tensor<128x128x3x3xbf16>, %out: tensor<1x14x14x128xf32>) -> tensor<1x14x14x128xf32> {
  %r = fulgur.kernel ins(%a, %b : tensor<1x14x14x128xbf16>, tensor<128x128x3x3xbf16>) outs(%out : tensor<1x14x14x128xf32>) {
  ^bb0(%x: tensor<1x14x14x128xbf16>, %y: tensor<128x128x3x3xbf16>, %o: tensor<1x14x14x128xf32>):
    %zero = arith.constant 0.0 : f32
    %none = arith.constant 0.0 : bf16
    %padded = tensor.pad %x low[0, 1, 1, 0] high[0, 1, 1, 0] {
    ^bb0(%n: index, %h: index, %v: index, %c: index):
      tensor.yield %none : bf16
    } : tensor<1x14x14x128xbf16> to tensor<1x16x16x128xbf16>
    %init = linalg.fill ins(%zero : f32) outs(%o : tensor<1x14x14x128xf32>) -> tensor<1x14x14x128xf32>
    %p = linalg.generic {indexing_maps = [affine_map<(n, h, w, f, i, j, c) -> (n, h + i, w + j, c)>, affine_map<(n, h, w, f, i, j, c) -> (f, c, i, j)>, affine_map<(n, h, w, f, i, j, c) -> (n, h, w, f)>],
        iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"]}
        ins(%padded, %y : tensor<1x16x16x128xbf16>, tensor<128x128x3x3xbf16>) outs(%init : tensor<1x14x14x128xf32>) {
    ^bb0(%in: bf16, %by: bf16, %sum: f32):
      %l = arith.extf %in : bf16 to f32
      %k = arith.extf %by : bf16 to f32
      %m = arith.mulf %l, %k : f32
      %s = arith.addf %sum, %m : f32
      linalg.yield %s : f32
    } -> tensor<1x14x14x128xf32>
    fulgur.yield %p : tensor<1x14x14x128xf32>
  } -> tensor<1x14x14x128xf32>
  return %r : tensor<1x14x14x128xf32>
}

// CHECK-LABEL: @pairs_two
// CHECK: schedule(<kind = "winograd", tile = [{{.*}}, 2]
func.func @pairs_two(%a: tensor<1x28x28x64xbf16>, %b: tensor<64x64x3x3xbf16>, %out: tensor<1x28x28x64xf32>) -> tensor<1x28x28x64xf32> {
  %r = fulgur.kernel ins(%a, %b : tensor<1x28x28x64xbf16>, tensor<64x64x3x3xbf16>) outs(%out : tensor<1x28x28x64xf32>) {
  ^bb0(%x: tensor<1x28x28x64xbf16>, %y: tensor<64x64x3x3xbf16>, %o: tensor<1x28x28x64xf32>):
    %zero = arith.constant 0.0 : f32
    %none = arith.constant 0.0 : bf16
    %padded = tensor.pad %x low[0, 1, 1, 0] high[0, 1, 1, 0] {
    ^bb0(%n: index, %h: index, %v: index, %c: index):
      tensor.yield %none : bf16
    } : tensor<1x28x28x64xbf16> to tensor<1x30x30x64xbf16>
    %init = linalg.fill ins(%zero : f32) outs(%o : tensor<1x28x28x64xf32>) -> tensor<1x28x28x64xf32>
    %p = linalg.generic {indexing_maps = [affine_map<(n, h, w, f, i, j, c) -> (n, h + i, w + j, c)>, affine_map<(n, h, w, f, i, j, c) -> (f, c, i, j)>, affine_map<(n, h, w, f, i, j, c) -> (n, h, w, f)>],
        iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"]}
        ins(%padded, %y : tensor<1x30x30x64xbf16>, tensor<64x64x3x3xbf16>) outs(%init : tensor<1x28x28x64xf32>) {
    ^bb0(%in: bf16, %by: bf16, %sum: f32):
      %l = arith.extf %in : bf16 to f32
      %k = arith.extf %by : bf16 to f32
      %m = arith.mulf %l, %k : f32
      %s = arith.addf %sum, %m : f32
      linalg.yield %s : f32
    } -> tensor<1x28x28x64xf32>
    fulgur.yield %p : tensor<1x28x28x64xf32>
  } -> tensor<1x28x28x64xf32>
  return %r : tensor<1x28x28x64xf32>
}

// Bytes, too, which are integers of 16 bits once transformed.
// CHECK-LABEL: @bytes
// CHECK: schedule(<kind = "winograd"
// WIDE-LABEL: @bytes
// WIDE: schedule(<kind = "winograd"
// AMX-LABEL: @bytes
// AMX: schedule(<kind = "amx_convolution"
func.func @bytes(%a: tensor<1x28x28x64xi8>, %b: tensor<64x64x3x3xi8>, %out: tensor<1x28x28x64xi32>) -> tensor<1x28x28x64xi32> {
  %r = fulgur.kernel ins(%a, %b : tensor<1x28x28x64xi8>, tensor<64x64x3x3xi8>) outs(%out : tensor<1x28x28x64xi32>) {
  ^bb0(%x: tensor<1x28x28x64xi8>, %y: tensor<64x64x3x3xi8>, %o: tensor<1x28x28x64xi32>):
    %zero = arith.constant 0 : i32
    %point = arith.constant 9 : i8
    %padded = tensor.pad %x low[0, 1, 1, 0] high[0, 1, 1, 0] {
    ^bb0(%n: index, %h: index, %v: index, %c: index):
      tensor.yield %point : i8
    } : tensor<1x28x28x64xi8> to tensor<1x30x30x64xi8>
    %init = linalg.fill ins(%zero : i32) outs(%o : tensor<1x28x28x64xi32>) -> tensor<1x28x28x64xi32>
    %p = linalg.generic {indexing_maps = [affine_map<(n, h, w, f, i, j, c) -> (n, h + i, w + j, c)>, affine_map<(n, h, w, f, i, j, c) -> (f, c, i, j)>, affine_map<(n, h, w, f, i, j, c) -> (n, h, w, f)>],
        iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"]}
        ins(%padded, %y : tensor<1x30x30x64xi8>, tensor<64x64x3x3xi8>) outs(%init : tensor<1x28x28x64xi32>) {
    ^bb0(%in: i8, %by: i8, %sum: i32):
      %l = arith.extui %in : i8 to i32
      %k = arith.extsi %by : i8 to i32
      %m = arith.muli %l, %k : i32
      %s = arith.addi %sum, %m : i32
      linalg.yield %s : i32
    } -> tensor<1x28x28x64xi32>
    fulgur.yield %p : tensor<1x28x28x64xi32>
  } -> tensor<1x28x28x64xi32>
  return %r : tensor<1x28x28x64xi32>
}

// Transformed weights of bytes are eight times as large: not many of them.
// CHECK-LABEL: @large_weights_of_bytes
// CHECK: schedule(<kind = "convolution"
// WIDE-LABEL: @large_weights_of_bytes
// WIDE: schedule(<kind = "convolution"
// AMX-LABEL: @large_weights_of_bytes
// AMX: schedule(<kind = "convolution"
func.func @large_weights_of_bytes(%a: tensor<1x28x28x220xi8>, %b: tensor<320x220x3x3xi8>, %out: tensor<1x28x28x320xi32>) -> tensor<1x28x28x320xi32> {
  %r = fulgur.kernel ins(%a, %b : tensor<1x28x28x220xi8>, tensor<320x220x3x3xi8>) outs(%out : tensor<1x28x28x320xi32>) {
  ^bb0(%x: tensor<1x28x28x220xi8>, %y: tensor<320x220x3x3xi8>, %o: tensor<1x28x28x320xi32>):
    %zero = arith.constant 0 : i32
    %point = arith.constant 9 : i8
    %padded = tensor.pad %x low[0, 1, 1, 0] high[0, 1, 1, 0] {
    ^bb0(%n: index, %h: index, %v: index, %c: index):
      tensor.yield %point : i8
    } : tensor<1x28x28x220xi8> to tensor<1x30x30x220xi8>
    %init = linalg.fill ins(%zero : i32) outs(%o : tensor<1x28x28x320xi32>) -> tensor<1x28x28x320xi32>
    %p = linalg.generic {indexing_maps = [affine_map<(n, h, w, f, i, j, c) -> (n, h + i, w + j, c)>, affine_map<(n, h, w, f, i, j, c) -> (f, c, i, j)>, affine_map<(n, h, w, f, i, j, c) -> (n, h, w, f)>],
        iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"]}
        ins(%padded, %y : tensor<1x30x30x220xi8>, tensor<320x220x3x3xi8>) outs(%init : tensor<1x28x28x320xi32>) {
    ^bb0(%in: i8, %by: i8, %sum: i32):
      %l = arith.extui %in : i8 to i32
      %k = arith.extsi %by : i8 to i32
      %m = arith.muli %l, %k : i32
      %s = arith.addi %sum, %m : i32
      linalg.yield %s : i32
    } -> tensor<1x28x28x320xi32>
    fulgur.yield %p : tensor<1x28x28x320xi32>
  } -> tensor<1x28x28x320xi32>
  return %r : tensor<1x28x28x320xi32>
}

// The sums of many channels stay exact where the weights are known and not all large: 120 times 9 times 240 is below 2^18.
// CHECK-LABEL: @many_small_bytes
// CHECK: schedule(<kind = "winograd"
// WIDE-LABEL: @many_small_bytes
// WIDE: schedule(<kind = "winograd"
func.func @many_small_bytes(%a: tensor<1x14x14x240xi8>, %out: tensor<1x12x12x64xi32>) -> tensor<1x12x12x64xi32> {
  %b = arith.constant dense<-120> : tensor<64x240x3x3xi8>
  %r = fulgur.kernel ins(%a, %b : tensor<1x14x14x240xi8>, tensor<64x240x3x3xi8>) outs(%out : tensor<1x12x12x64xi32>) {
  ^bb0(%x: tensor<1x14x14x240xi8>, %y: tensor<64x240x3x3xi8>, %o: tensor<1x12x12x64xi32>):
    %zero = arith.constant 0 : i32
    %init = linalg.fill ins(%zero : i32) outs(%o : tensor<1x12x12x64xi32>) -> tensor<1x12x12x64xi32>
    %p = linalg.generic {indexing_maps = [affine_map<(n, h, w, f, i, j, c) -> (n, h + i, w + j, c)>, affine_map<(n, h, w, f, i, j, c) -> (f, c, i, j)>, affine_map<(n, h, w, f, i, j, c) -> (n, h, w, f)>],
        iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"]}
        ins(%x, %y : tensor<1x14x14x240xi8>, tensor<64x240x3x3xi8>) outs(%init : tensor<1x12x12x64xi32>) {
    ^bb0(%in: i8, %by: i8, %sum: i32):
      %l = arith.extui %in : i8 to i32
      %k = arith.extsi %by : i8 to i32
      %m = arith.muli %l, %k : i32
      %s = arith.addi %sum, %m : i32
      linalg.yield %s : i32
    } -> tensor<1x12x12x64xi32>
    fulgur.yield %p : tensor<1x12x12x64xi32>
  } -> tensor<1x12x12x64xi32>
  return %r : tensor<1x12x12x64xi32>
}

// These may exceed it.
// CHECK-LABEL: @many_large_bytes
// CHECK: schedule(<kind = "convolution"
// WIDE-LABEL: @many_large_bytes
// WIDE: schedule(<kind = "convolution"
func.func @many_large_bytes(%a: tensor<1x14x14x240xi8>, %out: tensor<1x12x12x64xi32>) -> tensor<1x12x12x64xi32> {
  %b = arith.constant dense<-128> : tensor<64x240x3x3xi8>
  %r = fulgur.kernel ins(%a, %b : tensor<1x14x14x240xi8>, tensor<64x240x3x3xi8>) outs(%out : tensor<1x12x12x64xi32>) {
  ^bb0(%x: tensor<1x14x14x240xi8>, %y: tensor<64x240x3x3xi8>, %o: tensor<1x12x12x64xi32>):
    %zero = arith.constant 0 : i32
    %init = linalg.fill ins(%zero : i32) outs(%o : tensor<1x12x12x64xi32>) -> tensor<1x12x12x64xi32>
    %p = linalg.generic {indexing_maps = [affine_map<(n, h, w, f, i, j, c) -> (n, h + i, w + j, c)>, affine_map<(n, h, w, f, i, j, c) -> (f, c, i, j)>, affine_map<(n, h, w, f, i, j, c) -> (n, h, w, f)>],
        iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"]}
        ins(%x, %y : tensor<1x14x14x240xi8>, tensor<64x240x3x3xi8>) outs(%init : tensor<1x12x12x64xi32>) {
    ^bb0(%in: i8, %by: i8, %sum: i32):
      %l = arith.extui %in : i8 to i32
      %k = arith.extsi %by : i8 to i32
      %m = arith.muli %l, %k : i32
      %s = arith.addi %sum, %m : i32
      linalg.yield %s : i32
    } -> tensor<1x12x12x64xi32>
    fulgur.yield %p : tensor<1x12x12x64xi32>
  } -> tensor<1x12x12x64xi32>
  return %r : tensor<1x12x12x64xi32>
}

// Not worth it for few channels.
// CHECK-LABEL: @few_channels
// CHECK: schedule(<kind = "convolution"
// WIDE-LABEL: @few_channels
// WIDE: schedule(<kind = "convolution"
func.func @few_channels(%a: tensor<1x28x28x16xf32>, %b: tensor<128x16x3x3xf32>, %out: tensor<1x26x26x128xf32>) -> tensor<1x26x26x128xf32> {
  %r = fulgur.kernel ins(%a, %b : tensor<1x28x28x16xf32>, tensor<128x16x3x3xf32>) outs(%out : tensor<1x26x26x128xf32>) {
  ^bb0(%x: tensor<1x28x28x16xf32>, %y: tensor<128x16x3x3xf32>, %o: tensor<1x26x26x128xf32>):
    %zero = arith.constant 0.0 : f32
    %init = linalg.fill ins(%zero : f32) outs(%o : tensor<1x26x26x128xf32>) -> tensor<1x26x26x128xf32>
    %p = linalg.generic {indexing_maps = [affine_map<(n, h, w, f, i, j, c) -> (n, h + i, w + j, c)>, affine_map<(n, h, w, f, i, j, c) -> (f, c, i, j)>, affine_map<(n, h, w, f, i, j, c) -> (n, h, w, f)>],
        iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"]}
        ins(%x, %y : tensor<1x28x28x16xf32>, tensor<128x16x3x3xf32>) outs(%init : tensor<1x26x26x128xf32>) {
    ^bb0(%in: f32, %by: f32, %sum: f32):
      %m = arith.mulf %in, %by : f32
      %s = arith.addf %sum, %m : f32
      linalg.yield %s : f32
    } -> tensor<1x26x26x128xf32>
    fulgur.yield %p : tensor<1x26x26x128xf32>
  } -> tensor<1x26x26x128xf32>
  return %r : tensor<1x26x26x128xf32>
}

// A window for each channel.
// CHECK-LABEL: @channelwise
// CHECK: schedule(<kind = "depthwise"
// WIDE-LABEL: @channelwise
// WIDE: schedule(<kind = "depthwise"
func.func @channelwise(%a: tensor<1x28x28x48xf32>, %b: tensor<48x3x3xf32>, %out: tensor<1x26x26x48xf32>) -> tensor<1x26x26x48xf32> {
  %r = fulgur.kernel ins(%a, %b : tensor<1x28x28x48xf32>, tensor<48x3x3xf32>) outs(%out : tensor<1x26x26x48xf32>) {
  ^bb0(%x: tensor<1x28x28x48xf32>, %y: tensor<48x3x3xf32>, %o: tensor<1x26x26x48xf32>):
    %zero = arith.constant 0.0 : f32
    %init = linalg.fill ins(%zero : f32) outs(%o : tensor<1x26x26x48xf32>) -> tensor<1x26x26x48xf32>
    %p = linalg.generic {indexing_maps = [affine_map<(n, h, w, c, i, j) -> (n, h + i, w + j, c)>, affine_map<(n, h, w, c, i, j) -> (c, i, j)>, affine_map<(n, h, w, c, i, j) -> (n, h, w, c)>],
        iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction", "reduction"]}
        ins(%x, %y : tensor<1x28x28x48xf32>, tensor<48x3x3xf32>) outs(%init : tensor<1x26x26x48xf32>) {
    ^bb0(%in: f32, %by: f32, %sum: f32):
      %m = arith.mulf %in, %by : f32
      %s = arith.addf %sum, %m : f32
      linalg.yield %s : f32
    } -> tensor<1x26x26x48xf32>
    fulgur.yield %p : tensor<1x26x26x48xf32>
  } -> tensor<1x26x26x48xf32>
  return %r : tensor<1x26x26x48xf32>
}

// Filters that are not last are for the generic builder.
// CHECK-LABEL: @negative_channels_first
// CHECK-NOT: schedule
// WIDE-LABEL: @negative_channels_first
// WIDE-NOT: schedule
func.func @negative_channels_first(%a: tensor<1x16x28x28xf32>, %b: tensor<128x16x3x3xf32>, %out: tensor<1x128x26x26xf32>) -> tensor<1x128x26x26xf32> {
  %r = fulgur.kernel ins(%a, %b : tensor<1x16x28x28xf32>, tensor<128x16x3x3xf32>) outs(%out : tensor<1x128x26x26xf32>) {
  ^bb0(%x: tensor<1x16x28x28xf32>, %y: tensor<128x16x3x3xf32>, %o: tensor<1x128x26x26xf32>):
    %zero = arith.constant 0.0 : f32
    %init = linalg.fill ins(%zero : f32) outs(%o : tensor<1x128x26x26xf32>) -> tensor<1x128x26x26xf32>
    %p = linalg.generic {indexing_maps = [affine_map<(n, f, h, w, i, j, c) -> (n, c, h + i, w + j)>, affine_map<(n, f, h, w, i, j, c) -> (f, c, i, j)>, affine_map<(n, f, h, w, i, j, c) -> (n, f, h, w)>],
        iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"]}
        ins(%x, %y : tensor<1x16x28x28xf32>, tensor<128x16x3x3xf32>) outs(%init : tensor<1x128x26x26xf32>) {
    ^bb0(%in: f32, %by: f32, %sum: f32):
      %m = arith.mulf %in, %by : f32
      %s = arith.addf %sum, %m : f32
      linalg.yield %s : f32
    } -> tensor<1x128x26x26xf32>
    fulgur.yield %p : tensor<1x128x26x26xf32>
  } -> tensor<1x128x26x26xf32>
  return %r : tensor<1x128x26x26xf32>
}

// -----

// Groups of fewer filters than lanes share vectors; those of as many do not.
#in = affine_map<(n, h, w, g, f, x, y, c) -> (n, h + x, w + y, g, c)>
#of = affine_map<(n, h, w, g, f, x, y, c) -> (g, f, x, y, c)>
#out = affine_map<(n, h, w, g, f, x, y, c) -> (n, h, w, g, f)>
// CHECK-LABEL: func @groups_of_four
// CHECK: schedule(<kind = "grouped", tile = [7, 1, {{[0-9]+}}, 1], lanes = 8, unroll = 2, pack = 4
// WIDE-LABEL: func @groups_of_four
// WIDE: schedule(<kind = "grouped", tile = [14, 1, {{[0-9]+}}, 1], lanes = 16, unroll = 2, pack = 4
func.func @groups_of_four(%a: tensor<1x16x16x32x4xf32>, %b: tensor<32x4x3x3x4xf32>) -> tensor<1x14x14x32x4xf32> {
  %e = tensor.empty() : tensor<1x14x14x32x4xf32>
  %r = fulgur.kernel ins(%a, %b : tensor<1x16x16x32x4xf32>, tensor<32x4x3x3x4xf32>) outs(%e : tensor<1x14x14x32x4xf32>) {
  ^bb0(%x: tensor<1x16x16x32x4xf32>, %y: tensor<32x4x3x3x4xf32>, %d: tensor<1x14x14x32x4xf32>):
    %zero = arith.constant 0.0 : f32
    %init = linalg.fill ins(%zero : f32) outs(%d : tensor<1x14x14x32x4xf32>) -> tensor<1x14x14x32x4xf32>
    %s = linalg.generic {indexing_maps = [#in, #of, #out], iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"]}
        ins(%x, %y : tensor<1x16x16x32x4xf32>, tensor<32x4x3x3x4xf32>) outs(%init : tensor<1x14x14x32x4xf32>) {
    ^bb1(%p: f32, %q: f32, %o: f32):
      %m = arith.mulf %p, %q : f32
      %t = arith.addf %o, %m : f32
      linalg.yield %t : f32
    } -> tensor<1x14x14x32x4xf32>
    fulgur.yield %s : tensor<1x14x14x32x4xf32>
  } -> tensor<1x14x14x32x4xf32>
  return %r : tensor<1x14x14x32x4xf32>
}
// CHECK-LABEL: func @groups_of_sixteen
// CHECK: schedule(<kind = "convolution"
// WIDE-LABEL: func @groups_of_sixteen
// WIDE: schedule(<kind = "convolution"
func.func @groups_of_sixteen(%a: tensor<1x16x16x4x16xf32>, %b: tensor<4x16x3x3x16xf32>) -> tensor<1x14x14x4x16xf32> {
  %e = tensor.empty() : tensor<1x14x14x4x16xf32>
  %r = fulgur.kernel ins(%a, %b : tensor<1x16x16x4x16xf32>, tensor<4x16x3x3x16xf32>) outs(%e : tensor<1x14x14x4x16xf32>) {
  ^bb0(%x: tensor<1x16x16x4x16xf32>, %y: tensor<4x16x3x3x16xf32>, %d: tensor<1x14x14x4x16xf32>):
    %zero = arith.constant 0.0 : f32
    %init = linalg.fill ins(%zero : f32) outs(%d : tensor<1x14x14x4x16xf32>) -> tensor<1x14x14x4x16xf32>
    %s = linalg.generic {indexing_maps = [#in, #of, #out], iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"]}
        ins(%x, %y : tensor<1x16x16x4x16xf32>, tensor<4x16x3x3x16xf32>) outs(%init : tensor<1x14x14x4x16xf32>) {
    ^bb1(%p: f32, %q: f32, %o: f32):
      %m = arith.mulf %p, %q : f32
      %t = arith.addf %o, %m : f32
      linalg.yield %t : f32
    } -> tensor<1x14x14x4x16xf32>
    fulgur.yield %s : tensor<1x14x14x4x16xf32>
  } -> tensor<1x14x14x4x16xf32>
  return %r : tensor<1x14x14x4x16xf32>
}
// Three vectors of half the size take less time than two whole ones, where they take half the time.
// WIDE-LABEL: func @groups_of_24
// WIDE: schedule(<kind = "convolution", tile = [8, 2, {{[0-9]+}}, 1], lanes = 16, unroll = 2, pack = 32
// HALVES-LABEL: func @groups_of_24
// HALVES: schedule(<kind = "convolution", tile = [8, 3, {{[0-9]+}}, 1], lanes = 8, unroll = 2, pack = 24
func.func @groups_of_24(%a: tensor<1x16x16x4x24xf32>, %b: tensor<4x24x3x3x24xf32>) -> tensor<1x14x14x4x24xf32> {
  %e = tensor.empty() : tensor<1x14x14x4x24xf32>
  %r = fulgur.kernel ins(%a, %b : tensor<1x16x16x4x24xf32>, tensor<4x24x3x3x24xf32>) outs(%e : tensor<1x14x14x4x24xf32>) {
  ^bb0(%x: tensor<1x16x16x4x24xf32>, %y: tensor<4x24x3x3x24xf32>, %d: tensor<1x14x14x4x24xf32>):
    %zero = arith.constant 0.0 : f32
    %init = linalg.fill ins(%zero : f32) outs(%d : tensor<1x14x14x4x24xf32>) -> tensor<1x14x14x4x24xf32>
    %s = linalg.generic {indexing_maps = [#in, #of, #out], iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"]}
        ins(%x, %y : tensor<1x16x16x4x24xf32>, tensor<4x24x3x3x24xf32>) outs(%init : tensor<1x14x14x4x24xf32>) {
    ^bb1(%p: f32, %q: f32, %o: f32):
      %m = arith.mulf %p, %q : f32
      %t = arith.addf %o, %m : f32
      linalg.yield %t : f32
    } -> tensor<1x14x14x4x24xf32>
    fulgur.yield %s : tensor<1x14x14x4x24xf32>
  } -> tensor<1x14x14x4x24xf32>
  return %r : tensor<1x14x14x4x24xf32>
}
