// RUN: fulgur-opt %s --split-input-file --fulgur-update-states --cse | FileCheck %s
// RUN: fulgur-opt %s --split-input-file --fulgur-update-states --remarks-filter-missed=.* --remark-format=emitRemark -o /dev/null 2>&1 | FileCheck %s --check-prefix=REMARK

// New rows go behind the old ones, and who reads all rows reads the state.
// CHECK-LABEL: @appends
// CHECK-SAME: %[[STATE:.*]]: tensor<1x2x?x4xf32>{{.*}}, %[[NEW:.*]]: tensor<1x2x?x4xf32>
// CHECK-DAG: %[[PAST:.*]] = fulgur.symbol "past"
// CHECK-DAG: %[[N:.*]] = fulgur.symbol "n"
// CHECK-NOT: tensor.concat
// CHECK: %[[AFTER:.*]] = tensor.insert_slice %[[NEW]] into %[[STATE]][0, 0, %[[PAST]], 0] [1, 2, %[[N]], 4] [1, 1, 1, 1]
// CHECK: %[[ALL:.*]] = tensor.extract_slice %[[AFTER]][0, 0, 0, 0] [1, 2, %{{.*}}, 4] [1, 1, 1, 1]
// CHECK: %[[READ:.*]] = fulgur.softmax %[[ALL]]
// CHECK: return %[[AFTER]], %[[READ]]
func.func @appends(%state: tensor<1x2x?x4xf32> {fulgur.name = "past.k", fulgur.dims = ["1", "2", "capacity", "4"], fulgur.state = 0 : i64},
                   %new: tensor<1x2x?x4xf32> {fulgur.name = "new", fulgur.dims = ["1", "2", "n", "4"]})
    -> (tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>) {
  %past = fulgur.symbol "past"
  %n = fulgur.symbol "n"
  %total = arith.addi %past, %n : index
  %old = tensor.extract_slice %state[0, 0, 0, 0] [1, 2, %past, 4] [1, 1, 1, 1] : tensor<1x2x?x4xf32> to tensor<1x2x?x4xf32>
  %all = tensor.concat dim(2) %old, %new : (tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>) -> tensor<1x2x?x4xf32>
  %read = fulgur.softmax %all {axis = 3 : i64} : tensor<1x2x?x4xf32>
  %stored = tensor.insert_slice %all into %state[0, 0, 0, 0] [1, 2, %total, 4] [1, 1, 1, 1] : tensor<1x2x?x4xf32> into tensor<1x2x?x4xf32>
  return %stored, %read : tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>
}

// -----

// Several pieces behind the old rows go there together; sizes may be fixed.
// CHECK-LABEL: @pieces
// CHECK: %[[BOTH:.*]] = tensor.concat dim(0) %arg1, %arg2
// CHECK: %[[AFTER:.*]] = tensor.insert_slice %[[BOTH]] into %arg0[5, 0] [3, 4] [1, 1] : tensor<3x4xf32> into tensor<9x4xf32>
// CHECK: return %[[AFTER]]
func.func @pieces(%state: tensor<9x4xf32> {fulgur.state = 0 : i64}, %a: tensor<1x4xf32>, %b: tensor<2x4xf32>) -> tensor<9x4xf32> {
  %old = tensor.extract_slice %state[0, 0] [5, 4] [1, 1] : tensor<9x4xf32> to tensor<5x4xf32>
  %all = tensor.concat dim(0) %old, %a, %b : (tensor<5x4xf32>, tensor<1x4xf32>, tensor<2x4xf32>) -> tensor<8x4xf32>
  %stored = tensor.insert_slice %all into %state[0, 0] [8, 4] [1, 1] : tensor<8x4xf32> into tensor<9x4xf32>
  return %stored : tensor<9x4xf32>
}

// -----

// What is put in front moves all rows.
// REMARK: remark: {{.*}}fulgur-update-states{{.*}}all rows of 'past.v' are written: it is not a concatenation of what was in it
// CHECK-LABEL: @negative_in_front
// CHECK: %[[ALL:.*]] = tensor.concat dim(0)
// CHECK: tensor.insert_slice %[[ALL]] into %arg0[0, 0] [6, 4]
func.func @negative_in_front(%state: tensor<9x4xf32> {fulgur.name = "past.v", fulgur.state = 0 : i64}, %a: tensor<1x4xf32>) -> tensor<9x4xf32> {
  %old = tensor.extract_slice %state[0, 0] [5, 4] [1, 1] : tensor<9x4xf32> to tensor<5x4xf32>
  %all = tensor.concat dim(0) %a, %old : (tensor<1x4xf32>, tensor<5x4xf32>) -> tensor<6x4xf32>
  %stored = tensor.insert_slice %all into %state[0, 0] [6, 4] [1, 1] : tensor<6x4xf32> into tensor<9x4xf32>
  return %stored : tensor<9x4xf32>
}

// -----

// So do rows that are not the first ones, and those of another state.
// CHECK-LABEL: @negative_other_rows
// CHECK-COUNT-2: tensor.concat dim(0)
func.func @negative_other_rows(%k: tensor<9x4xf32> {fulgur.state = 0 : i64}, %v: tensor<9x4xf32> {fulgur.state = 1 : i64}, %a: tensor<1x4xf32>)
    -> (tensor<9x4xf32>, tensor<9x4xf32>) {
  %later = tensor.extract_slice %k[1, 0] [4, 4] [1, 1] : tensor<9x4xf32> to tensor<4x4xf32>
  %window = tensor.concat dim(0) %later, %a : (tensor<4x4xf32>, tensor<1x4xf32>) -> tensor<5x4xf32>
  %stored = tensor.insert_slice %window into %k[0, 0] [5, 4] [1, 1] : tensor<5x4xf32> into tensor<9x4xf32>
  %other = tensor.extract_slice %k[0, 0] [5, 4] [1, 1] : tensor<9x4xf32> to tensor<5x4xf32>
  %mixed = tensor.concat dim(0) %other, %a : (tensor<5x4xf32>, tensor<1x4xf32>) -> tensor<6x4xf32>
  %stored2 = tensor.insert_slice %mixed into %v[0, 0] [6, 4] [1, 1] : tensor<6x4xf32> into tensor<9x4xf32>
  return %stored, %stored2 : tensor<9x4xf32>, tensor<9x4xf32>
}

// -----

// Whoever reads the old rows by themselves is named.
// REMARK: remark: {{.*}}fulgur-update-states{{.*}}reads 'past.k' as it was before
// CHECK-LABEL: @old_rows
// CHECK: tensor.insert_slice %arg1 into %arg0[5, 0] [1, 4]
// CHECK: %[[OLD:.*]] = tensor.extract_slice %arg0[0, 0] [5, 4]
// CHECK: fulgur.softmax %[[OLD]]
func.func @old_rows(%state: tensor<9x4xf32> {fulgur.name = "past.k", fulgur.state = 0 : i64}, %a: tensor<1x4xf32>) -> (tensor<9x4xf32>, tensor<5x4xf32>) {
  %old = tensor.extract_slice %state[0, 0] [5, 4] [1, 1] : tensor<9x4xf32> to tensor<5x4xf32>
  %all = tensor.concat dim(0) %old, %a : (tensor<5x4xf32>, tensor<1x4xf32>) -> tensor<6x4xf32>
  %stored = tensor.insert_slice %all into %state[0, 0] [6, 4] [1, 1] : tensor<6x4xf32> into tensor<9x4xf32>
  %again = tensor.extract_slice %state[0, 0] [5, 4] [1, 1] : tensor<9x4xf32> to tensor<5x4xf32>
  %read = fulgur.softmax %again {axis = 1 : i64} : tensor<5x4xf32>
  return %stored, %read : tensor<9x4xf32>, tensor<5x4xf32>
}

// -----

// Rows that go where data says are inserted already, those of all sequences in a loop.
// REMARK-NOT: 'past.where'
// CHECK-LABEL: @where_data_says
// CHECK: %[[AFTER:.*]] = tensor.insert_slice %arg2 into %arg0[%arg4, 0] [1, 4]
// CHECK: %[[ALL:.*]] = scf.for
// CHECK: return %[[AFTER]], %[[ALL]]
func.func @where_data_says(%state: tensor<9x4xf32> {fulgur.name = "past.where", fulgur.state = 0 : i64},
                           %several: tensor<2x9x?xf32> {fulgur.name = "past.where", fulgur.state = 1 : i64}, %a: tensor<1x4xf32>,
                           %b: tensor<2x1x4xf32>, %start: index) -> (tensor<9x4xf32>, tensor<2x9x4xf32>) {
  %stored = tensor.insert_slice %a into %state[%start, 0] [1, 4] [1, 1] : tensor<1x4xf32> into tensor<9x4xf32>
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %known = tensor.cast %several : tensor<2x9x?xf32> to tensor<2x9x4xf32>
  %all = scf.for %i = %c0 to %c2 step %c1 iter_args(%now = %known) -> tensor<2x9x4xf32> {
    %part = tensor.extract_slice %b[%i, 0, 0] [1, 1, 4] [1, 1, 1] : tensor<2x1x4xf32> to tensor<1x1x4xf32>
    %next = tensor.insert_slice %part into %now[%i, %start, 0] [1, 1, 4] [1, 1, 1] : tensor<1x1x4xf32> into tensor<2x9x4xf32>
    scf.yield %next : tensor<2x9x4xf32>
  }
  return %stored, %all : tensor<9x4xf32>, tensor<2x9x4xf32>
}
