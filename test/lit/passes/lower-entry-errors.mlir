// RUN: fulgur-opt %s --fulgur-lower-entry --verify-diagnostics

module attributes {fulgur.symbols = [{name = "batch", min = 1 : i64, max = 8 : i64}]} {
  func.func private @plan(%symbols: !llvm.ptr, %arena: !llvm.ptr, %dims: !llvm.ptr) -> i32 {
    %ok = arith.constant 0 : i32
    return %ok : i32
  }
  func.func private @main(%call: !llvm.ptr) -> i32 {
    // expected-error@+1 {{names no symbol of the module}}
    %length = fulgur.symbol "length"
    %ok = arith.constant 0 : i32
    return %ok : i32
  }
}
