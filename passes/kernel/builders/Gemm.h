// The loops of a matrix product: what the ways of computing it share.
#pragma once
#include "passes/kernel/builders/Elementwise.h"
#include "passes/kernel/builders/Multiply.h"
#include "passes/kernel/builders/Product.h"

namespace fulgur {
struct Gemm {
  KernelSite &site;
  Product &product;
  ScheduleAttr schedule;
  Emitter e{site.builder, site.loc};
  int64_t rows = schedule.getTile()[0], vectors = schedule.getTile()[1],
          lanes = schedule.getLanes(), width = vectors * lanes;
  int64_t unroll = schedule.getUnroll(), taskRows = schedule.getGrain();
  Multiplication elements{mlir::getElementTypeOrSelf(product.aOperand.value),
                          product.unsignedA, lanes, site.target};
  int64_t depth = elements.depth;

  enum class Layout { Packed, OnStack, InPlace };
  Layout layout = Layout::Packed;
  int64_t blockSteps = 0; // of the reduction; 0: it is not cut
  llvm::SmallVector<mlir::Value> sizes{};
  Access a{}, b{}, out{};
  llvm::SmallVector<Access> epilogueInputs{};
  // One task.
  llvm::SmallVector<mlir::Value>
      point{}; // the indices of the outer loops; the others are null
  mlir::Value sums{}, panel{};
  mlir::Value picked{}; ///< the index of b's first dim, where data picks it

  mlir::VectorType vectorType() {
    return mlir::VectorType::get(lanes, elements.sumType());
  }
  unsigned row() { return product.row(); }
  unsigned column() { return product.column(); }
  unsigned reduction() { return product.reduction(); }
  int64_t packWidth() {
    return product.packed ? product.packed.getStaticInnerTiles()[0] : width;
  }
  bool wholePanels() {
    return known(sizes[column()]) && *known(sizes[column()]) % width == 0;
  }

  /// The loop over what data picks.
  unsigned gatherLoop() {
    return llvm::find(product.loops,
                      Product::Loop{unsigned(product.bOperand.dims[0])}) -
           product.loops.begin();
  }
  /// The position in b of `point`.
  mlir::Value positionInB() {
    llvm::SmallVector<mlir::Value> at = point;
    if (picked)
      at[gatherLoop()] = picked;
    return b.at(e, at);
  }

  void build();
  void access();
  void task(mlir::Value outer, mlir::Value rowFrom, mlir::Value rowTo,
            mlir::Value panelFrom, mlir::Value panelTo);
  void panelTask(mlir::Value panelIndex, mlir::Value rowFrom,
                 mlir::Value rowTo);
  void rowTiles(mlir::Value panelIndex, mlir::Value rowFrom, mlir::Value rowTo,
                mlir::Value from, mlir::Value to);
  void tile(mlir::Value panelIndex, mlir::Value rowFrom, mlir::Value row,
            int64_t count, mlir::Value from, mlir::Value to);
  void pack(mlir::Value panelIndex, mlir::Value from, mlir::Value to);
  void packSteps(mlir::Value panelIndex, mlir::Value from, mlir::Value to);
  void finish(mlir::Value panelIndex, mlir::Value sumsFrom, mlir::Value row,
              mlir::Value count);
  void finishRow(mlir::Value sumsAt, mlir::Value row, mlir::Value column0,
                 bool masked);
  mlir::Value indexOf(unsigned epilogueLoop);
  mlir::Value columnMask(mlir::Value column0, int64_t vector);
  mlir::Value vectorOfB(mlir::Value base, mlir::Value step, mlir::Value column0,
                        int64_t vector);
  /// Whether the last step of the reduction may be of fewer elements.
  bool hasPartialStep() {
    auto steps = known(sizes[reduction()]);
    return depth > 1 && (!steps || *steps % depth != 0);
  }
  struct Prefetch {
    mlir::Value start{}; ///< an element; null: nothing to fetch
    int64_t lines = 0;   ///< per `unroll` steps
  };
  static constexpr int64_t kLineBytes = 64; ///< of a cache line
  int64_t lineElements() const { return kLineBytes / 4 * depth; }
  Prefetch prefetchOf(mlir::Value rowFrom, mlir::Value row, mlir::Value bBase,
                      mlir::Value from, mlir::Value to);
  void prefetch(const Prefetch &what, mlir::Value from, mlir::Value step);
};

/// The heuristic choice among the schedules of the plain product.
ScheduleAttr schedulePlainProduct(KernelOp kernel, const Target &target);
} // namespace fulgur
