// RUN: fulgur-opt %s --split-input-file --fulgur-bind-ports --verify-diagnostics --allow-unregistered-dialect

// expected-error@+1 {{argument 0 has dims without names}}
func.func @main(%x: tensor<?xf32>) {
  return
}

// -----

func.func @main(%x: tensor<?xf32> {fulgur.name = "x", fulgur.dims = ["n"]}) -> tensor<?xf32> {
  %r = "test.unknown"(%x) : (tensor<?xf32>) -> tensor<?xf32>
  // expected-error@+1 {{result 0 has dims that are not functions of the model's symbols}}
  return %r : tensor<?xf32>
}

// -----

func.func @main(%x: tensor<4xf32> {fulgur.name = "x", fulgur.dims = ["4"], fulgur.state = 0 : i64},
                %y: tensor<4xf32> {fulgur.name = "y", fulgur.dims = ["4"], fulgur.state = 1 : i64}) -> (tensor<4xf32>, tensor<4xf32>) {
  // expected-error@+1 {{the new content of state 0 is that of state 1, which changes, too; this is not supported}}
  return %y, %x : tensor<4xf32>, tensor<4xf32>
}
