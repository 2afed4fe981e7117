// RUN: fulgur-opt %s --fulgur-choose-schedules | FileCheck %s
// RUN: fulgur-opt %s --fulgur-choose-schedules="vector-bytes=64 vector-registers=32" | FileCheck %s --check-prefix=WIDE
// RUN: fulgur-opt %s --fulgur-choose-schedules="vector-bytes=64 vector-registers=32 bf16" | FileCheck %s --check-prefix=PAIRS
// RUN: fulgur-opt %s --fulgur-choose-schedules="vector-bytes=64 vector-registers=32 bf16 amx" | FileCheck %s --check-prefix=TILES
// Blocks of queries and keys that stay in the cache with their rows.

#query = affine_map<(i, d, j, n) -> (i, d)>
#key = affine_map<(i, d, j, n) -> (j, d)>
#value = affine_map<(i, d, j, n) -> (j, n)>
#result = affine_map<(i, d, j, n) -> (i, n)>

// CHECK-LABEL: @usual
// CHECK: schedule(<kind = "attention", tile = [64, 96], lanes = 8>)
// WIDE-LABEL: @usual
// WIDE: schedule(<kind = "attention", tile = [64, 96], lanes = 16>)
// TILES-LABEL: @usual
// TILES: schedule(<kind = "attention", tile = [64, 96], lanes = 16>)
func.func @usual(%q: tensor<?x64xf32>, %k: tensor<?x64xf32>, %out: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %r = fulgur.kernel ins(%q, %k : tensor<?x64xf32>, tensor<?x64xf32>) outs(%out : tensor<?x64xf32>) {
  ^bb0(%a: tensor<?x64xf32>, %b: tensor<?x64xf32>, %o: tensor<?x64xf32>):
    %s = fulgur.attention %a, %b, %b maps [#query, #key, #value, #result] {
    ^bb0(%x: f32, %i: index, %j: index):
      fulgur.yield %x : f32
    } : tensor<?x64xf32>, tensor<?x64xf32>, tensor<?x64xf32> -> tensor<?x64xf32>
    fulgur.yield %s : tensor<?x64xf32>
  } -> tensor<?x64xf32>
  return %r : tensor<?x64xf32>
}

// Values are put together in pairs for every block of queries: of many, blocks are larger. For tiles, blocks are of equal size.
// PAIRS-LABEL: @pairs
// PAIRS: schedule(<kind = "attention", tile = [128, 96], lanes = 16>)
// TILES-LABEL: @pairs
// TILES: schedule(<kind = "amx_attention", tile = [224, 128], lanes = 16>)
// WIDE-LABEL: @pairs
// WIDE: schedule(<kind = "attention", tile = [64, 96], lanes = 16>)
func.func @pairs(%q: tensor<600x64xbf16>, %out: tensor<600x64xbf16>) -> tensor<600x64xbf16> {
  %r = fulgur.kernel ins(%q : tensor<600x64xbf16>) outs(%out : tensor<600x64xbf16>) {
  ^bb0(%a: tensor<600x64xbf16>, %o: tensor<600x64xbf16>):
    %s = fulgur.attention %a, %a, %a maps [#query, #key, #value, #result] {
    ^bb0(%x: f32, %i: index, %j: index):
      fulgur.yield %x : f32
    } : tensor<600x64xbf16>, tensor<600x64xbf16>, tensor<600x64xbf16> -> tensor<600x64xbf16>
    fulgur.yield %s : tensor<600x64xbf16>
  } -> tensor<600x64xbf16>
  return %r : tensor<600x64xbf16>
}

// Powers of all blocks of keys but the first are cheaper: of few keys, blocks are smaller.
// PAIRS-LABEL: @few_pairs
// PAIRS: schedule(<kind = "attention", tile = [64, 48], lanes = 16>)
func.func @few_pairs(%q: tensor<500x64xbf16>, %out: tensor<500x64xbf16>) -> tensor<500x64xbf16> {
  %r = fulgur.kernel ins(%q : tensor<500x64xbf16>) outs(%out : tensor<500x64xbf16>) {
  ^bb0(%a: tensor<500x64xbf16>, %o: tensor<500x64xbf16>):
    %s = fulgur.attention %a, %a, %a maps [#query, #key, #value, #result] {
    ^bb0(%x: f32, %i: index, %j: index):
      fulgur.yield %x : f32
    } : tensor<500x64xbf16>, tensor<500x64xbf16>, tensor<500x64xbf16> -> tensor<500x64xbf16>
    fulgur.yield %s : tensor<500x64xbf16>
  } -> tensor<500x64xbf16>
  return %r : tensor<500x64xbf16>
}

// Long rows make small blocks, a few queries no tiles.
// TILES-LABEL: @deep_pairs
// TILES: schedule(<kind = "amx_attention", tile = [32, 32], lanes = 16>)
func.func @deep_pairs(%q: tensor<?x512xbf16>, %out: tensor<?x512xbf16>) -> tensor<?x512xbf16> {
  %r = fulgur.kernel ins(%q : tensor<?x512xbf16>) outs(%out : tensor<?x512xbf16>) {
  ^bb0(%a: tensor<?x512xbf16>, %o: tensor<?x512xbf16>):
    %s = fulgur.attention %a, %a, %a maps [#query, #key, #value, #result] {
    ^bb0(%x: f32, %i: index, %j: index):
      fulgur.yield %x : f32
    } : tensor<?x512xbf16>, tensor<?x512xbf16>, tensor<?x512xbf16> -> tensor<?x512xbf16>
    fulgur.yield %s : tensor<?x512xbf16>
  } -> tensor<?x512xbf16>
  return %r : tensor<?x512xbf16>
}

// TILES-LABEL: @one_query
// TILES: schedule(<kind = "attention"
func.func @one_query(%q: tensor<1x64xbf16>, %k: tensor<?x64xbf16>, %out: tensor<1x64xbf16>) -> tensor<1x64xbf16> {
  %r = fulgur.kernel ins(%q, %k : tensor<1x64xbf16>, tensor<?x64xbf16>) outs(%out : tensor<1x64xbf16>) {
  ^bb0(%a: tensor<1x64xbf16>, %b: tensor<?x64xbf16>, %o: tensor<1x64xbf16>):
    %s = fulgur.attention %a, %b, %b maps [#query, #key, #value, #result] {
    ^bb0(%x: f32, %i: index, %j: index):
      fulgur.yield %x : f32
    } : tensor<1x64xbf16>, tensor<?x64xbf16>, tensor<?x64xbf16> -> tensor<1x64xbf16>
    fulgur.yield %s : tensor<1x64xbf16>
  } -> tensor<1x64xbf16>
  return %r : tensor<1x64xbf16>
}

// CHECK-LABEL: @deep(
// CHECK: schedule(<kind = "attention", tile = [16, 24], lanes = 8>)
func.func @deep(%q: tensor<?x512xf32>, %k: tensor<?x512xf32>, %out: tensor<?x512xf32>) -> tensor<?x512xf32> {
  %r = fulgur.kernel ins(%q, %k : tensor<?x512xf32>, tensor<?x512xf32>) outs(%out : tensor<?x512xf32>) {
  ^bb0(%a: tensor<?x512xf32>, %b: tensor<?x512xf32>, %o: tensor<?x512xf32>):
    %s = fulgur.attention %a, %b, %b maps [#query, #key, #value, #result] {
    ^bb0(%x: f32, %i: index, %j: index):
      fulgur.yield %x : f32
    } : tensor<?x512xf32>, tensor<?x512xf32>, tensor<?x512xf32> -> tensor<?x512xf32>
    fulgur.yield %s : tensor<?x512xf32>
  } -> tensor<?x512xf32>
  return %r : tensor<?x512xf32>
}

// Rows of unknown length, rows that are too long for the stack, and f64 are left to the generic builder.
// CHECK-LABEL: @negative
// CHECK-NOT: schedule
func.func @negative(%q: tensor<?x?xf32>, %v: tensor<?x64xf32>, %out: tensor<?x64xf32>, %long: tensor<8x2048xf32>, %outLong: tensor<8x2048xf32>,
                    %wide: tensor<8x64xf64>, %outWide: tensor<8x64xf64>) -> (tensor<?x64xf32>, tensor<8x2048xf32>, tensor<8x64xf64>) {
  %r = fulgur.kernel ins(%q, %v : tensor<?x?xf32>, tensor<?x64xf32>) outs(%out : tensor<?x64xf32>) {
  ^bb0(%a: tensor<?x?xf32>, %b: tensor<?x64xf32>, %o: tensor<?x64xf32>):
    %s = fulgur.attention %a, %a, %b maps [#query, #key, #value, #result] {
    ^bb0(%x: f32, %i: index, %j: index):
      fulgur.yield %x : f32
    } : tensor<?x?xf32>, tensor<?x?xf32>, tensor<?x64xf32> -> tensor<?x64xf32>
    fulgur.yield %s : tensor<?x64xf32>
  } -> tensor<?x64xf32>
  %t = fulgur.kernel ins(%long : tensor<8x2048xf32>) outs(%outLong : tensor<8x2048xf32>) {
  ^bb0(%a: tensor<8x2048xf32>, %o: tensor<8x2048xf32>):
    %s = fulgur.attention %a, %a, %a maps [#query, #key, #value, #result] {
    ^bb0(%x: f32, %i: index, %j: index):
      fulgur.yield %x : f32
    } : tensor<8x2048xf32>, tensor<8x2048xf32>, tensor<8x2048xf32> -> tensor<8x2048xf32>
    fulgur.yield %s : tensor<8x2048xf32>
  } -> tensor<8x2048xf32>
  %u = fulgur.kernel ins(%wide : tensor<8x64xf64>) outs(%outWide : tensor<8x64xf64>) {
  ^bb0(%a: tensor<8x64xf64>, %o: tensor<8x64xf64>):
    %s = fulgur.attention %a, %a, %a maps [#query, #key, #value, #result] {
    ^bb0(%x: f64, %i: index, %j: index):
      fulgur.yield %x : f64
    } : tensor<8x64xf64>, tensor<8x64xf64>, tensor<8x64xf64> -> tensor<8x64xf64>
    fulgur.yield %s : tensor<8x64xf64>
  } -> tensor<8x64xf64>
  return %r, %t, %u : tensor<?x64xf32>, tensor<8x2048xf32>, tensor<8x64xf64>
}
