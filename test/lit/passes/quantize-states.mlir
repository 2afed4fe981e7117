// RUN: fulgur-opt %s --split-input-file --fulgur-quantize-states --cse | FileCheck %s
// RUN: fulgur-opt %s --split-input-file --fulgur-quantize-states --remarks-filter-missed=.* --remark-format=emitRemark -o /dev/null 2>&1 | FileCheck %s --check-prefix=REMARK

// A cache of rows becomes bytes and a scale for each row: two states. What is appended is quantized, what is read is made of both.
// CHECK-DAG: #[[ALL:.*]] = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>
// CHECK-DAG: #[[ROW:.*]] = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2)>
// CHECK-LABEL: @appends
// CHECK-SAME: %[[CODES:.*]]: tensor<1x2x?x4xi8> {fulgur.dims = ["1", "2", "capacity", "4"], fulgur.name = "past.k", fulgur.state = 0 : i64}
// CHECK-SAME: %[[NEW:.*]]: tensor<1x2x?x4xf32>
// CHECK-SAME: %[[SCALES:.*]]: tensor<1x2x?xf32> {fulgur.dims = ["1", "2", "capacity"], fulgur.name = "past.k.scale", fulgur.scales_of = 0 : i64, fulgur.state = 2 : i64}
// CHECK-SAME: -> (tensor<1x2x?x4xi8> {fulgur.dims = ["1", "2", "capacity", "4"], fulgur.name = "present.k"}, tensor<1x2x?x4xf32>, tensor<1x2x?xf32> {fulgur.dims = ["1", "2", "capacity"], fulgur.name = "present.k.scale"})
// CHECK: %[[GREATEST:.*]] = linalg.generic {indexing_maps = [#[[ALL]], #[[ROW]]]
// CHECK-SAME: ins(%[[NEW]]
// CHECK: arith.maximumf
// CHECK: %[[NEWSCALES:.*]] = linalg.generic
// CHECK-SAME: ins(%[[GREATEST]]
// CHECK: %[[NEWCODES:.*]] = linalg.generic {indexing_maps = [#[[ALL]], #[[ROW]], #[[ALL]]]
// CHECK-SAME: ins(%[[NEW]], %[[GREATEST]]
// CHECK: math.roundeven
// CHECK: arith.fptosi %{{.*}} : f32 to i8
// CHECK: %[[AFTER:.*]] = tensor.insert_slice %[[NEWCODES]] into %[[CODES]][0, 0, %[[PAST:.*]], 0] [1, 2, %[[N:.*]], 4] [1, 1, 1, 1]
// CHECK: %[[SCALESAFTER:.*]] = tensor.insert_slice %[[NEWSCALES]] into %[[SCALES]][0, 0, %[[PAST]]] [1, 2, %[[N]]] [1, 1, 1]
// CHECK: %[[THERE:.*]] = tensor.extract_slice %[[AFTER]][0, 0, 0, 0] [1, 2, %[[TOTAL:.*]], 4] [1, 1, 1, 1]
// CHECK: %[[SCALESTHERE:.*]] = tensor.extract_slice %[[SCALESAFTER]][0, 0, 0] [1, 2, %[[TOTAL]]] [1, 1, 1]
// CHECK: %[[NUMBERS:.*]] = linalg.generic {indexing_maps = [#[[ALL]], #[[ROW]], #[[ALL]]]
// CHECK-SAME: ins(%[[THERE]], %[[SCALESTHERE]]
// CHECK: fulgur.softmax %[[NUMBERS]]
// CHECK: return %[[AFTER]], %{{.*}}, %[[SCALESAFTER]]
func.func @appends(%state: tensor<1x2x?x4xf32> {fulgur.name = "past.k", fulgur.dims = ["1", "2", "capacity", "4"], fulgur.state = 0 : i64},
                   %new: tensor<1x2x?x4xf32> {fulgur.name = "new", fulgur.dims = ["1", "2", "n", "4"]})
    -> (tensor<1x2x?x4xf32> {fulgur.name = "present.k", fulgur.dims = ["1", "2", "capacity", "4"]}, tensor<1x2x?x4xf32>) {
  %past = fulgur.symbol "past"
  %n = fulgur.symbol "n"
  %total = arith.addi %past, %n : index
  %stored = tensor.insert_slice %new into %state[0, 0, %past, 0] [1, 2, %n, 4] [1, 1, 1, 1] : tensor<1x2x?x4xf32> into tensor<1x2x?x4xf32>
  %all = tensor.extract_slice %stored[0, 0, 0, 0] [1, 2, %total, 4] [1, 1, 1, 1] : tensor<1x2x?x4xf32> to tensor<1x2x?x4xf32>
  %read = fulgur.softmax %all {axis = 3 : i64} : tensor<1x2x?x4xf32>
  return %stored, %read : tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>
}

// -----

// Who reads more than whole rows reads numbers in memory.
// REMARK: remark: {{.*}}fulgur-quantize-states{{.*}}reads a state in another way than by whole rows: it becomes numbers in memory first
// CHECK-LABEL: @parts_of_rows
// CHECK: tensor.insert_slice %{{.*}} into %arg2
// CHECK: %[[NUMBERS:.*]] = linalg.generic
// CHECK-SAME: ins(%arg0, %arg2 : tensor<9x4xi8>, tensor<9xf32>)
// CHECK: tensor.extract_slice %[[NUMBERS]][0, 0] [9, 2]
func.func @parts_of_rows(%state: tensor<9x4xf32> {fulgur.state = 0 : i64}, %a: tensor<1x4xf32>) -> (tensor<9x4xf32>, tensor<9x2xf32>) {
  %stored = tensor.insert_slice %a into %state[5, 0] [1, 4] [1, 1] : tensor<1x4xf32> into tensor<9x4xf32>
  %part = tensor.extract_slice %state[0, 0] [9, 2] [1, 1] : tensor<9x4xf32> to tensor<9x2xf32>
  %read = fulgur.softmax %part {axis = 1 : i64} : tensor<9x2xf32>
  return %stored, %read : tensor<9x4xf32>, tensor<9x2xf32>
}

// -----

// A name that is there already gets something behind it.
// CHECK-LABEL: @names
// CHECK-SAME: fulgur.name = "k.scale_"
func.func @names(%state: tensor<9x4xf32> {fulgur.name = "k", fulgur.state = 0 : i64}, %a: tensor<1x4xf32> {fulgur.name = "k.scale"}) -> tensor<9x4xf32> {
  %stored = tensor.insert_slice %a into %state[5, 0] [1, 4] [1, 1] : tensor<1x4xf32> into tensor<9x4xf32>
  return %stored : tensor<9x4xf32>
}

// -----

// A state that is written as a whole, columns that are appended, and other types stay.
// REMARK: remark: {{.*}}fulgur-quantize-states{{.*}}'memory' stays as it is: it is no cache of rows of f32, of a known length, that the model appends to at one place for all sequences
// CHECK-LABEL: @negative
// CHECK-SAME: tensor<4xf32> {{.*}}, %{{.*}}: tensor<2x9xf32> {{.*}}, %{{.*}}: tensor<9x2xf16> {{.*}})
// CHECK-NOT: i8
func.func @negative(%memory: tensor<4xf32> {fulgur.name = "memory", fulgur.state = 0 : i64}, %columns: tensor<2x9xf32> {fulgur.state = 1 : i64},
                    %half: tensor<9x2xf16> {fulgur.state = 2 : i64}) -> (tensor<4xf32>, tensor<2x9xf32>, tensor<9x2xf16>) {
  %new = arith.constant dense<1.0> : tensor<2x1xf32>
  %row = arith.constant dense<1.0> : tensor<1x2xf16>
  %next = fulgur.softmax %memory {axis = 0 : i64} : tensor<4xf32>
  %wider = tensor.insert_slice %new into %columns[0, 3] [2, 1] [1, 1] : tensor<2x1xf32> into tensor<2x9xf32>
  %longer = tensor.insert_slice %row into %half[3, 0] [1, 2] [1, 1] : tensor<1x2xf16> into tensor<9x2xf16>
  return %next, %wider, %longer : tensor<4xf32>, tensor<2x9xf32>, tensor<9x2xf16>
}
