// func, cf, affine and scf.
#include "Run.h"

TEST(Control, CallsAndBranches) {
  Result result = runText(R"(
    func.func @main() -> i32 {
      %a = arith.constant 1 : i32
      %b = arith.constant 10 : i32
      %c = call @count(%a, %b) : (i32, i32) -> i32
      return %c : i32
    }
    func.func private @count(%a: i32, %b: i32) -> i32 {
      cf.br ^loop(%a : i32)
    ^loop(%x: i32):
      %y = arith.addi %x, %x : i32
      %more = arith.cmpi slt, %y, %b : i32
      cf.cond_br %more, ^loop(%y : i32), ^end(%y, %x : i32, i32)
    ^end(%u: i32, %v: i32):
      %w = arith.subi %u, %v : i32
      return %w : i32
    })");
  EXPECT_EQ(result.reason, "");
  EXPECT_EQ(result.numbers, std::vector<double>{8});
}

TEST(Control, AffineMapsDivideDownwards) {
  expectNumbers("index", R"(
    %a = arith.constant -7 : index
    %b = affine.apply affine_map<(d) -> (d floordiv 2 + (d mod 4) * 10)>(%a)
    return %b : index )",
                {6});
}

TEST(Scf, LoopsCarryValues) {
  expectNumbers("index", R"(
    %0 = arith.constant 0 : index
    %1 = arith.constant 1 : index
    %3 = arith.constant 3 : index
    %10 = arith.constant 10 : index
    %sum, %product = scf.for %i = %1 to %10 step %3 iter_args(%s = %0, %p = %1) -> (index, index) {
      %s1 = arith.addi %s, %i : index
      %p1 = arith.muli %p, %i : index
      scf.yield %s1, %p1 : index, index
    }
    %both = arith.addi %sum, %product : index
    return %both : index )",
                {12 + 28});
  expectNumbers("i32", R"(
    %1 = arith.constant 1 : i32
    %100 = arith.constant 100 : i32
    %r = scf.while (%x = %1) : (i32) -> i32 {
      %go = arith.cmpi slt, %x, %100 : i32
      scf.condition(%go) %x : i32
    } do {
    ^bb0(%x: i32):
      %y = arith.addi %x, %x : i32
      scf.yield %y : i32
    }
    return %r : i32 )",
                {128});
}

TEST(Scf, BranchesGiveValues) {
  expectNumbers("i32", R"(
    %c = arith.constant 2 : index
    %r = scf.index_switch %c -> i32
    case 1 { %a = arith.constant 10 : i32  scf.yield %a : i32 }
    case 2 { %a = arith.constant 20 : i32  scf.yield %a : i32 }
    default { %a = arith.constant 30 : i32  scf.yield %a : i32 }
    return %r : i32 )",
                {20});
}

TEST(Scf, ParallelIterationsShareTheirTensor) {
  expectNumbers("tensor<4xi32>", R"(
    %e = tensor.empty() : tensor<4xi32>
    %r = scf.forall (%i) in (4) shared_outs(%o = %e) -> tensor<4xi32> {
      %n = arith.index_cast %i : index to i32
      %t = tensor.from_elements %n : tensor<1xi32>
      scf.forall.in_parallel {
        tensor.parallel_insert_slice %t into %o[%i] [1] [1] : tensor<1xi32> into tensor<4xi32>
      }
    }
    return %r : tensor<4xi32> )",
                {0, 1, 2, 3});
}

TEST(Control, WhatIsNotKnownIsSaid) {
  expectEnd("i32", R"(
    %a = arith.constant 1 : i32
    %b = llvm.intr.bswap(%a) : (i32) -> i32
    return %b : i32 )",
            "no interpretation of op 'llvm.intr.bswap'");
}
