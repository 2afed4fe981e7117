// tensor, linalg, memref, bufferization, vector and fulgur.
#include "Run.h"

static const char *const six =
    "%x = arith.constant dense<[[1, 2, 3], [4, 5, 6]]> : tensor<2x3xi32>\n";
static const char *const buffer =
    "%x0 = arith.constant dense<[[1, 2, 3], [4, 5, 6]]> : tensor<2x3xi32>\n"
    "%x = bufferization.to_buffer %x0 : tensor<2x3xi32> to memref<2x3xi32>\n"
    "%0 = arith.constant 0 : index\n%1 = arith.constant 1 : index\n"
    "%2 = arith.constant 2 : index\n%9 = arith.constant 9 : i32\n";

TEST(Tensor, SlicesAndReshapes) {
  expectNumbers("tensor<4xi32>", std::string(six) + R"(
    %a = tensor.extract_slice %x[0, 1] [2, 2] [1, 1] : tensor<2x3xi32> to tensor<2x2xi32>
    %b = tensor.collapse_shape %a [[0, 1]] : tensor<2x2xi32> into tensor<4xi32>
    return %b : tensor<4xi32> )",
                {2, 3, 5, 6});
  expectNumbers("tensor<2x3xi32>", std::string(six) + R"(
    %n = arith.constant dense<[[9], [8]]> : tensor<2x1xi32>
    %b = tensor.insert_slice %n into %x[0, 2] [2, 1] [1, 1] : tensor<2x1xi32> into tensor<2x3xi32>
    return %b : tensor<2x3xi32> )",
                {1, 2, 9, 4, 5, 8});
  expectNumbers("tensor<2x5xi32>", std::string(six) + R"(
    %n = arith.constant dense<[[9, 7], [8, 6]]> : tensor<2x2xi32>
    %b = tensor.concat dim(1) %x, %n : (tensor<2x3xi32>, tensor<2x2xi32>) -> tensor<2x5xi32>
    return %b : tensor<2x5xi32> )",
                {1, 2, 3, 9, 7, 4, 5, 6, 8, 6});
}

TEST(Tensor, PaddingIsComputedFromItsIndex) {
  expectNumbers("tensor<3x4xi32>", std::string(six) + R"(
    %b = tensor.pad %x low[1, 0] high[0, 1] {
    ^bb0(%i: index, %j: index):
      %s = arith.addi %i, %j : index
      %n = arith.index_cast %s : index to i32
      tensor.yield %n : i32
    } : tensor<2x3xi32> to tensor<3x4xi32>
    return %b : tensor<3x4xi32> )",
                {0, 1, 2, 3, 1, 2, 3, 4, 4, 5, 6, 5});
}

TEST(Tensor, ATensorIsNotChangedByWhatIsMadeOfIt) {
  expectNumbers("i32", R"(
    %i = arith.constant 1 : index
    %n = arith.constant 7 : i32
    %x = tensor.splat %n : tensor<3xi32>
    %m = arith.constant 8 : i32
    %y = tensor.insert %m into %x[%i] : tensor<3xi32>
    %a = tensor.extract %x[%i] : tensor<3xi32>
    %b = tensor.extract %y[%i] : tensor<3xi32>
    %c = arith.subi %b, %a : i32
    return %c : i32 )",
                {1});
}

TEST(Tensor, AnIndexOutsideIsAnError) {
  expectEnd("i32", std::string(six) + R"(
    %i = arith.constant 2 : index
    %a = tensor.extract %x[%i, %i] : tensor<2x3xi32>
    return %a : i32 )",
            "'tensor.extract' has index 2 in dim 0, which is of size 2");
}

TEST(Linalg, StructuredOperationsFollowTheirMaps) {
  expectNumbers("tensor<2x2xi32>", std::string(six) + R"(
    %y = arith.constant dense<[[1, 0], [0, 1], [1, 1]]> : tensor<3x2xi32>
    %z = arith.constant dense<0> : tensor<2x2xi32>
    %b = linalg.matmul ins(%x, %y : tensor<2x3xi32>, tensor<3x2xi32>) outs(%z : tensor<2x2xi32>) -> tensor<2x2xi32>
    return %b : tensor<2x2xi32> )",
                {4, 5, 10, 11});
  // A window, a reduction and the index of the iteration.
  expectNumbers("tensor<2xi32>", R"(
    %x = arith.constant dense<[1, 2, 3, 4, 5]> : tensor<5xi32>
    %w = tensor.empty() : tensor<3xi32>
    %z = arith.constant dense<0> : tensor<2xi32>
    %b = linalg.generic {indexing_maps = [affine_map<(i, k) -> (i * 2 + k)>, affine_map<(i, k) -> (k)>, affine_map<(i, k) -> (i)>],
                         iterator_types = ["parallel", "reduction"]}
        ins(%x, %w : tensor<5xi32>, tensor<3xi32>) outs(%z : tensor<2xi32>) {
    ^bb0(%a: i32, %unused: i32, %sum: i32):
      %k = linalg.index 1 : index
      %n = arith.index_cast %k : index to i32
      %p = arith.muli %a, %n : i32
      %s = arith.addi %sum, %p : i32
      linalg.yield %s : i32
    } -> tensor<2xi32>
    return %b : tensor<2xi32> )",
                {2 + 6, 4 + 10});
  expectNumbers("tensor<1x3x4xi32>", R"(
    %x = arith.constant dense<[[1, 2], [3, 4], [5, 6]]> : tensor<3x2xi32>
    %p = arith.constant 0 : i32
    %e = tensor.empty() : tensor<1x3x4xi32>
    %b = linalg.pack %x padding_value(%p : i32) outer_dims_perm = [1, 0] inner_dims_pos = [1] inner_tiles = [4] into %e : tensor<3x2xi32> -> tensor<1x3x4xi32>
    return %b : tensor<1x3x4xi32> )",
                {1, 2, 0, 0, 3, 4, 0, 0, 5, 6, 0, 0});
  expectNumbers("tensor<3x2xi32>", R"(
    %x = arith.constant dense<[[[1, 2, 0, 0], [3, 4, 0, 0], [5, 6, 0, 0]]]> : tensor<1x3x4xi32>
    %e = tensor.empty() : tensor<3x2xi32>
    %b = linalg.unpack %x outer_dims_perm = [1, 0] inner_dims_pos = [1] inner_tiles = [4] into %e : tensor<1x3x4xi32> -> tensor<3x2xi32>
    return %b : tensor<3x2xi32> )",
                {1, 2, 3, 4, 5, 6});
}

TEST(MemRef, ViewsShareMemory) {
  expectNumbers("memref<2x3xi32>", std::string(buffer) + R"(
    %v = memref.subview %x[0, 1] [2, 2] [1, 1] : memref<2x3xi32> to memref<2x2xi32, strided<[3, 1], offset: 1>>
    memref.store %9, %v[%1, %0] : memref<2x2xi32, strided<[3, 1], offset: 1>>
    %c = memref.collapse_shape %x [[0, 1]] : memref<2x3xi32> into memref<6xi32>
    memref.store %9, %c[%0] : memref<6xi32>
    return %x : memref<2x3xi32> )",
                {9, 2, 3, 4, 9, 6});
  expectNumbers("memref<2xi32>", std::string(buffer) + R"(
    %v = memref.reinterpret_cast %x to offset: [1], sizes: [2], strides: [3] : memref<2x3xi32> to memref<2xi32, strided<[3], offset: 1>>
    %r = memref.alloc() : memref<2xi32>
    memref.copy %v, %r : memref<2xi32, strided<[3], offset: 1>> to memref<2xi32>
    return %r : memref<2xi32> )",
                {2, 5});
}

TEST(MemRef, AnAccessOutsideIsAnError) {
  expectEnd("i32", std::string(buffer) + R"(
    %a = memref.load %x[%0, %2] : memref<2x3xi32>
    %b = memref.load %x[%2, %0] : memref<2x3xi32>
    return %b : i32 )",
            "'memref.load' has index 2 in dim 0");
}

TEST(Vector, MemoryAndMasks) {
  expectNumbers("vector<4xi32>", std::string(buffer) + R"(
    %a = vector.load %x[%0, %1] : memref<2x3xi32>, vector<4xi32>
    return %a : vector<4xi32> )",
                {2, 3, 4, 5});
  expectNumbers("vector<4xi32>", std::string(buffer) + R"(
    %m = vector.create_mask %2 : vector<4xi1>
    %p = vector.broadcast %9 : i32 to vector<4xi32>
    %a = vector.maskedload %x[%1, %1], %m, %p : memref<2x3xi32>, vector<4xi1>, vector<4xi32> into vector<4xi32>
    return %a : vector<4xi32> )",
                {5, 6, 9, 9});
  expectEnd("vector<4xi32>", std::string(buffer) + R"(
    %a = vector.load %x[%1, %1] : memref<2x3xi32>, vector<4xi32>
    return %a : vector<4xi32> )",
            "'vector.load' touches element 6");
  expectNumbers("vector<2x4xi32>", std::string(buffer) + R"(
    %a = vector.transfer_read %x[%0, %1], %9 : memref<2x3xi32>, vector<2x4xi32>
    return %a : vector<2x4xi32> )",
                {2, 3, 9, 9, 5, 6, 9, 9});
}

TEST(Vector, LanesMove) {
  expectNumbers("vector<4xi32>", R"(
    %a = arith.constant dense<[1, 2, 3]> : vector<3xi32>
    %b = arith.constant dense<[4, 5]> : vector<2xi32>
    %c = vector.shuffle %a, %b [4, 0, 3, 2] : vector<3xi32>, vector<2xi32>
    return %c : vector<4xi32> )",
                {5, 1, 4, 3});
  expectNumbers("f32", R"(
    %a = arith.constant dense<[1.0, -2.0, 4.0]> : vector<3xf32>
    %c = vector.reduction <maximumf>, %a : vector<3xf32> into f32
    return %c : f32 )",
                {4});
  expectNumbers("vector<3x2xi32>", R"(
    %a = arith.constant dense<[[1, 2, 3], [4, 5, 6]]> : vector<2x3xi32>
    %c = vector.transpose %a, [1, 0] : vector<2x3xi32> to vector<3x2xi32>
    return %c : vector<3x2xi32> )",
                {1, 4, 2, 5, 3, 6});
  expectNumbers("vector<2xi32>", R"(
    %a = arith.constant dense<[[1, 2], [4, 5]]> : vector<2x2xi32>
    %c = vector.extract %a[1] : vector<2xi32> from vector<2x2xi32>
    return %c : vector<2xi32> )",
                {4, 5});
}

TEST(Fulgur, SymbolsAndRequirements) {
  expectNumbers("index", R"(
    %n = fulgur.symbol "n"
    return %n : index )",
                {5});
  expectEnd("index", R"(
    %n = fulgur.symbol "n"
    %c = arith.cmpi eq, %n, %n : index
    %false = arith.constant false
    fulgur.require %c, "holds"
    fulgur.require %false, "does not hold"
    return %n : index )",
            "does not hold");
}

TEST(Fulgur, KernelsRunTheirBodies) {
  expectNumbers("tensor<2xf32>", R"(
    %x = arith.constant dense<[0.0, 0.0]> : tensor<2xf32>
    %e = tensor.empty() : tensor<2xf32>
    %r = fulgur.kernel ins(%x : tensor<2xf32>) outs(%e : tensor<2xf32>) {
    ^bb0(%a: tensor<2xf32>, %o: tensor<2xf32>):
      %s = fulgur.softmax %a {axis = 0 : i64} : tensor<2xf32>
      fulgur.yield %s : tensor<2xf32>
    } -> tensor<2xf32>
    return %r : tensor<2xf32> )",
                {0.5, 0.5});
}
