// A kernel read as one matrix product per point of some outer loops, with an
// elementwise epilogue.
#pragma once
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "passes/kernel/builders/Builder.h"
#include "passes/kernel/builders/Gather.h"
#include <optional>

namespace fulgur {
/// out[outer, row, column] = epilogue(sum over reduction of a[outer, row,
/// reduction] * b[outer, reduction, column])
///
/// Dims of the contraction that lie next to each other in every operand are one
/// loop here. Of the loops that only `a` (or only `b`) and the result have, the
/// last is the row (the column) and the others are outer loops.
struct Product {
  mlir::linalg::LinalgOp contraction;
  mlir::linalg::GenericOp epilogue; ///< may be null
  unsigned a, b;                    ///< numbers of the contraction's inputs
  bool unsignedA = false; ///< of a product of bytes, whether a's are unsigned,
                          ///< and b's signed, or the other way round
  mlir::linalg::UnPackOp packed; ///< what b is unpacked from, [..., columns /
                                 ///< pack, reduction / depth, pack] and depth,
                                 ///< if it is not 1; may be null
  DequantizeOp blocks;   ///< what makes b of codes of few bits; may be null
  RoundBlocksOp rounded; ///< what makes a's elements bytes with scales, for
                         ///< `blocks`: a's value is its input; may be null
  std::optional<RowGather>
      gather; ///< how b's first dim, an outer loop, is picked from a table:
              ///< b's value is the table then
  mlir::BlockArgument out;        ///< the kernel's destination
  mlir::BlockArgument roundedOut; ///< where the same goes as bfloat16, in the
                                  ///< same order; may be null

  /// What elements are multiplied as; float16 as f32.
  mlir::Type elementType() const {
    mlir::Type type = mlir::getElementTypeOrSelf(aOperand.value);
    return type.isF16() ? mlir::Float32Type::get(type.getContext()) : type;
  }
  /// How many steps of the reduction lie together in packed operands: narrow
  /// numbers are multiplied in pairs, bytes in fours.
  int64_t depth() const {
    mlir::Type element = elementType();
    return element.isInteger(8) ? 4 : element.isBF16() ? 2 : 1;
  }

  /// A loop and the dims of the contraction that it runs over, outermost first.
  using Loop = llvm::SmallVector<unsigned, 2>;
  llvm::SmallVector<Loop>
      loops; ///< outer loops, then row (no dims: one row), column, reduction
  unsigned row() const { return loops.size() - 3; }
  unsigned column() const { return loops.size() - 2; }
  unsigned reduction() const { return loops.size() - 1; }

  /// An operand: a value of the kernel's body and for each of its dims the dim
  /// of the contraction (-1: size 1).
  struct Operand {
    mlir::Value value;
    llvm::SmallVector<int> dims;
    bool has(unsigned dim) const { return llvm::is_contained(dims, int(dim)); }
  };
  Operand aOperand, bOperand, outOperand;
  llvm::SmallVector<Operand>
      epilogueInputs; ///< in the order of the epilogue's inputs; the product's
                      ///< value is null
  llvm::SmallVector<int> epilogueDims; ///< for each loop of the epilogue the
                                       ///< dim of the contraction

  /// Whether the epilogue reads another matrix of rows and columns.
  bool epilogueReadsRows() const;
  /// Whether it computes functions such as erf.
  bool epilogueHasFunction() const;

  /// Number of iterations of a loop, when it is static.
  std::optional<int64_t> size(unsigned loop) const;
  std::optional<int64_t> size(const Loop &loop) const;
  /// Whether consecutive iterations of `loop` touch consecutive elements of b.
  bool bContiguousIn(unsigned loop) const {
    return !loops[loop].empty() &&
           bOperand.dims.back() == int(loops[loop].back());
  }
};

/// Reads the kernel's body; nothing when it is not such a product of f32, of
/// bfloat16 with sums in f32, or of an unsigned and a signed byte with sums in
/// i32.
std::optional<Product> matchProduct(KernelOp kernel);
} // namespace fulgur
