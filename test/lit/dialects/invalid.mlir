// RUN: fulgur-opt %s --split-input-file --verify-diagnostics
// What the verifiers refuse.

func.func @softmax_axis(%x: tensor<2x3xf32>) {
  // expected-error@+1 {{axis 2 is outside a tensor of rank 2}}
  %0 = fulgur.softmax %x {axis = 2 : i64} : tensor<2x3xf32>
  return
}

// -----

func.func @negative_axis(%x: tensor<2x3xf32>) {
  // expected-error@+1 {{axis -1 is outside a tensor of rank 2}}
  %0 = fulgur.softmax %x {axis = -1 : i64} : tensor<2x3xf32>
  return
}

// -----

func.func @norm_scale(%x: tensor<2x3xf32>, %scale: tensor<2xf32>) {
  // expected-error@+1 {{scale has the type 'tensor<2xf32>', not the shape of the dims from axis 1 on}}
  %0 = fulgur.rms_norm %x, %scale {axis = 1 : i64, epsilon = 1.0e-5 : f32} : tensor<2x3xf32>, tensor<2xf32>
  return
}

// -----

func.func @norm_bias(%x: tensor<2x3xf32>, %scale: tensor<3xf32>, %bias: tensor<1x3xf32>) {
  // expected-error@+1 {{bias has the type 'tensor<1x3xf32>', not the shape of the dims from axis 1 on}}
  %0 = fulgur.layer_norm %x, %scale, %bias {axis = 1 : i64, epsilon = 1.0e-5 : f32} : tensor<2x3xf32>, tensor<3xf32>, tensor<1x3xf32>
  return
}

// -----

func.func @body_arguments(%x: tensor<8xf32>) {
  // expected-error@+1 {{has 2 operands but a body with 1 arguments}}
  %0 = fulgur.kernel ins(%x : tensor<8xf32>) outs(%x : tensor<8xf32>) {
  ^bb0(%a: tensor<8xf32>):
    fulgur.yield %a : tensor<8xf32>
  } -> tensor<8xf32>
  return
}

// -----

func.func @body_types(%x: memref<8xf32>) {
  // expected-error@+1 {{argument 0 of the body is 'tensor<4xf32>', its operand 'memref<8xf32>'}}
  fulgur.kernel ins(%x : memref<8xf32>) outs(%x : memref<8xf32>) {
  ^bb0(%a: tensor<4xf32>, %o: tensor<8xf32>):
    fulgur.yield %o : tensor<8xf32>
  }
  return
}

// -----

func.func @yield_count(%x: tensor<8xf32>) {
  // expected-error@+1 {{yields 2 values to 1 destinations}}
  %0 = fulgur.kernel outs(%x : tensor<8xf32>) {
  ^bb0(%o: tensor<8xf32>):
    fulgur.yield %o, %o : tensor<8xf32>, tensor<8xf32>
  } -> tensor<8xf32>
  return
}

// -----

func.func @yield_type(%x: tensor<4xf32>, %y: tensor<8xf32>) {
  // expected-error@+1 {{yields 'tensor<4xf32>' to a destination of type 'tensor<8xf32>'}}
  %0 = fulgur.kernel ins(%x : tensor<4xf32>) outs(%y : tensor<8xf32>) {
  ^bb0(%a: tensor<4xf32>, %o: tensor<8xf32>):
    fulgur.yield %a : tensor<4xf32>
  } -> tensor<8xf32>
  return
}

// -----

func.func @uses_from_above(%x: tensor<8xf32>) {
  // expected-note@+1 {{required by region isolation constraints}}
  %0 = fulgur.kernel outs(%x : tensor<8xf32>) {
  ^bb0(%o: tensor<8xf32>):
    // expected-error@+1 {{using value defined outside the region}}
    fulgur.yield %x : tensor<8xf32>
  } -> tensor<8xf32>
  return
}

// -----

// expected-error@+1 {{a schedule has no field 'depth'}}
func.func @schedule_field() attributes {schedule = #fulgur.schedule<kind = "gemm", depth = 2>} {
  return
}

// -----

func.func @segment(%call: !llvm.ptr, %at: index) {
  // expected-error@+2 {{to be one of: input, output, arena, weights}}
  // expected-error@+1 {{failed to parse Fulgur_SegmentAttr}}
  %0 = fulgur.buffer %call stack(%at) : !llvm.ptr -> memref<f32>
  return
}

// -----

func.func @attention_map(%q: tensor<4x8xf32>, %k: tensor<6x8xf32>) -> tensor<4x8xf32> {
  // expected-error@+1 {{the map of the key has to have loop 2}}
  %r = fulgur.attention %q, %k, %k maps [affine_map<(i, d, j, n) -> (i, d)>, affine_map<(i, d, j, n) -> (d, 0)>,
      affine_map<(i, d, j, n) -> (j, n)>, affine_map<(i, d, j, n) -> (i, n)>] {
  ^bb0(%s: f32, %i: index, %j: index):
    fulgur.yield %s : f32
  } : tensor<4x8xf32>, tensor<6x8xf32>, tensor<6x8xf32> -> tensor<4x8xf32>
  return %r : tensor<4x8xf32>
}

// -----

func.func @attention_sizes(%q: tensor<4x8xf32>, %k: tensor<6x7xf32>) -> tensor<4x7xf32> {
  // expected-error@+1 {{loop 1 has the size 8 in one operand and 7 in another}}
  %r = fulgur.attention %q, %k, %k maps [affine_map<(i, d, j, n) -> (i, d)>, affine_map<(i, d, j, n) -> (j, d)>,
      affine_map<(i, d, j, n) -> (j, n)>, affine_map<(i, d, j, n) -> (i, n)>] {
  ^bb0(%s: f32, %i: index, %j: index):
    fulgur.yield %s : f32
  } : tensor<4x8xf32>, tensor<6x7xf32>, tensor<6x7xf32> -> tensor<4x7xf32>
  return %r : tensor<4x7xf32>
}

// -----

func.func @attention_score(%q: tensor<4x8xf32>, %k: tensor<6x8xf32>) -> tensor<4x8xf32> {
  // expected-error@+1 {{the score's arguments are not the product, two indices and an element of each extra operand}}
  %r = fulgur.attention %q, %k, %k maps [affine_map<(i, d, j, n) -> (i, d)>, affine_map<(i, d, j, n) -> (j, d)>,
      affine_map<(i, d, j, n) -> (j, n)>, affine_map<(i, d, j, n) -> (i, n)>] {
  ^bb0(%s: f32, %i: index):
    fulgur.yield %s : f32
  } : tensor<4x8xf32>, tensor<6x8xf32>, tensor<6x8xf32> -> tensor<4x8xf32>
  return %r : tensor<4x8xf32>
}

// -----

func.func @attention_window(%q: tensor<4x8xf32>, %k: tensor<6x8xf32>) -> tensor<4x8xf32> {
  // expected-error@+1 {{has a window, which needs an offset and a positive size}}
  %r = fulgur.attention %q, %k, %k maps [affine_map<(i, d, j, n) -> (i, d)>, affine_map<(i, d, j, n) -> (j, d)>,
      affine_map<(i, d, j, n) -> (j, n)>, affine_map<(i, d, j, n) -> (i, n)>] attributes {window = 3 : i64} {
  ^bb0(%s: f32, %i: index, %j: index):
    fulgur.yield %s : f32
  } : tensor<4x8xf32>, tensor<6x8xf32>, tensor<6x8xf32> -> tensor<4x8xf32>
  return %r : tensor<4x8xf32>
}

// -----

func.func @attention_empty(%q: tensor<4x8xf32>, %k: tensor<6x8xf32>) -> tensor<4x8xf32> {
  // expected-error@+1 {{has two results for rows that see nothing}}
  %r = fulgur.attention %q, %k, %k maps [affine_map<(i, d, j, n) -> (i, d)>, affine_map<(i, d, j, n) -> (j, d)>,
      affine_map<(i, d, j, n) -> (j, n)>, affine_map<(i, d, j, n) -> (i, n)>] attributes {zero_empty_rows, average_empty_rows} {
  ^bb0(%s: f32, %i: index, %j: index):
    fulgur.yield %s : f32
  } : tensor<4x8xf32>, tensor<6x8xf32>, tensor<6x8xf32> -> tensor<4x8xf32>
  return %r : tensor<4x8xf32>
}

// -----

func.func @attention_offsets(%q: tensor<4x8xf32>, %k: tensor<6x8xf32>, %p: tensor<i64>) -> tensor<4x8xf32> {
  // expected-error@+1 {{has offsets, which need one that they add to}}
  %r = fulgur.attention %q, %k, %k offsets(%p : tensor<i64>) maps [affine_map<(i, d, j, n) -> (i, d)>, affine_map<(i, d, j, n) -> (j, d)>,
      affine_map<(i, d, j, n) -> (j, n)>, affine_map<(i, d, j, n) -> ()>, affine_map<(i, d, j, n) -> (i, n)>] {
  ^bb0(%s: f32, %i: index, %j: index):
    fulgur.yield %s : f32
  } : tensor<4x8xf32>, tensor<6x8xf32>, tensor<6x8xf32> -> tensor<4x8xf32>
  return %r : tensor<4x8xf32>
}

// -----

func.func @codes_axis(%codes: tensor<2x3x8xi8>, %scale: tensor<1x3x8xf32>) {
  // expected-error@+1 {{axis 0 is not one of the last two of 3 dims}}
  %0 = fulgur.dequantize %codes, %scale {axis = 0 : i64, bits = 8 : i64, block = 2 : i64} : tensor<2x3x8xi8>, tensor<1x3x8xf32> -> tensor<2x3x8xf32>
  return
}

// -----

func.func @codes_in_bytes(%codes: tensor<3x8xi8>, %scale: tensor<3x4xf32>) {
  // expected-error@+1 {{has 2 codes of 8 bits in a byte}}
  %0 = fulgur.dequantize %codes, %scale {axis = 1 : i64, bits = 8 : i64, block = 4 : i64, per_byte = 2 : i64} : tensor<3x8xi8>, tensor<3x4xf32> -> tensor<3x16xf32>
  return
}

// -----

func.func @scales_of_blocks(%codes: tensor<3x8xi8>, %scale: tensor<3x8xf32>) {
  // expected-error@+1 {{scales have the type 'tensor<3x8xf32>', not 'tensor<3x2xf32>'}}
  %0 = fulgur.dequantize %codes, %scale {axis = 1 : i64, bits = 8 : i64, block = 4 : i64} : tensor<3x8xi8>, tensor<3x8xf32> -> tensor<3x8xf32>
  return
}

// -----

func.func @zeros_of_blocks(%codes: tensor<3x8xi8>, %scale: tensor<3x2xf32>, %zero: tensor<3x1xi8>) {
  // expected-error@+1 {{zeros have the type 'tensor<3x1xi8>'}}
  %0 = fulgur.dequantize %codes, %scale, %zero {axis = 1 : i64, bits = 8 : i64, block = 4 : i64} : tensor<3x8xi8>, tensor<3x2xf32>, tensor<3x1xi8> -> tensor<3x8xf32>
  return
}

// -----

func.func @panels(%codes: tensor<1x1x16x4xi8>, %scale: tensor<1x2x16xf32>) {
  // expected-error@+1 {{codes have the type 'tensor<1x1x16x4xi8>', not 'tensor<1x2x16x4xi8>'}}
  %0 = fulgur.dequantize %codes, %scale {axis = 1 : i64, bits = 4 : i64, block = 8 : i64, pack = 16 : i64} : tensor<1x1x16x4xi8>, tensor<1x2x16xf32> -> tensor<3x16xf32>
  return
}

// -----

func.func @part_of_a_block(%x: tensor<3x40xf32>) {
  // expected-error@+1 {{has a last dim of 'tensor<3x40xf32>' that is no whole number of blocks of 16}}
  %0 = fulgur.round_blocks %x {block = 16 : i64} : tensor<3x40xf32>
  return
}

// -----

func.func @rounded_halves(%x: tensor<3x32xf16>) {
  // expected-error@+1 {{takes a tensor of f32 with a last dim, not 'tensor<3x32xf16>'}}
  %0 = fulgur.round_blocks %x {block = 16 : i64} : tensor<3x32xf16>
  return
}
