// RUN: fulgur-opt %s --split-input-file --fulgur-plan-memory --verify-diagnostics

func.func private @use(memref<?xf32>)
func.func private @count() -> index
func.func private @main(%call: !llvm.ptr) -> i32 {
  %size = call @count() : () -> index
  // expected-error@+1 {{has a size that is not a function of the model's symbols}}
  %buffer = memref.alloc(%size) : memref<?xf32>
  call @use(%buffer) : (memref<?xf32>) -> ()
  %ok = arith.constant 0 : i32
  return %ok : i32
}

// -----

func.func private @use(memref<8xf32>)
func.func private @main(%call: !llvm.ptr) -> i32 {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  scf.for %i = %zero to %one step %one {
    // expected-error@+1 {{is inside a region of @main}}
    %buffer = memref.alloc() : memref<8xf32>
    func.call @use(%buffer) : (memref<8xf32>) -> ()
  }
  %ok = arith.constant 0 : i32
  return %ok : i32
}

// -----

func.func private @count() -> index
func.func private @main(%call: !llvm.ptr) -> i32 {
  %zero = arith.constant 0 : index
  %count = call @count() : () -> index
  // expected-error@+1 {{has a dim that is not a function of the model's symbols}}
  %output = fulgur.buffer %call output(%zero) [%count] : !llvm.ptr -> memref<?xf32>
  %ok = arith.constant 0 : i32
  return %ok : i32
}
