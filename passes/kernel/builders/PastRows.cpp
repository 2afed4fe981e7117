#include "passes/kernel/builders/PastRows.h"
#include "dialects/States.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace fulgur;

static constexpr int64_t kLine = 64; // bytes

AttentionOp fulgur::attentionThatCopies(Value past, Value rows) {
  auto type = cast<RankedTensorType>(rows.getType());
  int64_t rank = type.getRank();
  if (!isa<BlockArgument>(past) || isStateArgument(past) ||
      !type.getElementType().isF32() || rank < 2 ||
      type.isDynamicDim(rank - 1) ||
      type.getDimSize(rank - 1) * int64_t(sizeof(float)) % kLine != 0)
    return {};
  AttentionOp attention;
  for (OpOperand &use : rows.getUses()) {
    if (use.getOwner()->hasTrait<OpTrait::IsTerminator>())
      continue;
    auto reader = dyn_cast<AttentionOp>(use.getOwner());
    if (!reader || attention ||
        (use != reader.getKeyMutable() && use != reader.getValueMutable()))
      return {};
    attention = reader;
  }
  // All rows are copied, so all are read, in the order of memory, by the tasks
  // of both keys and values.
  if (!attention || attention.getWindow() ||
      !getElementTypeOrSelf(attention.getQuery().getType()).isF32())
    return {};
  AffineMap key = attention.mapList()[1], value = attention.mapList()[2];
  auto isWhole = [&](AffineMap map) {
    return map.isProjectedPermutation(/*allowZeroInResults=*/true) &&
           llvm::all_of(llvm::enumerate(map.getResults()), [&](auto result) {
             return isa<AffineDimExpr>(result.value()) ||
                    type.getDimSize(result.index()) == 1;
           });
  };
  auto isLoop = [](AffineMap map, int64_t dim, unsigned loop) {
    return map.getResult(dim) == getAffineDimExpr(loop, map.getContext());
  };
  bool inOrder = key.getNumResults() == rank && value.getNumResults() == rank &&
                 isWhole(key) && isWhole(value) &&
                 key.dropResult(rank - 1) == value.dropResult(rank - 1) &&
                 isLoop(key, rank - 2, attention.keyLoop()) &&
                 isLoop(key, rank - 1, attention.depthLoop()) &&
                 isLoop(value, rank - 1, attention.columnLoop());
  return inOrder ? attention : AttentionOp();
}

tensor::InsertSliceOp fulgur::insertedPast(Value rows) {
  auto insertion = rows.getDefiningOp<tensor::InsertSliceOp>();
  bool isAtFront =
      insertion && isa<BlockArgument>(insertion.getSource()) &&
      insertion.hasUnitStride() &&
      insertion.getSourceType().getRank() == insertion.getType().getRank() &&
      llvm::all_of(insertion.getMixedOffsets(),
                   [](OpFoldResult offset) { return isZeroInteger(offset); });
  return isAtFront ? insertion : tensor::InsertSliceOp();
}

static void copyVectors(Emitter &e, Place from, Place to, Value count,
                        int64_t lanes, bool around) {
  constexpr int64_t together = 4; // vectors
  OpBuilder &b = e.builder;
  auto type = VectorType::get(lanes, b.getF32Type());
  auto copy = [&](Value at, int64_t vectors) {
    SmallVector<Value> read;
    for (int64_t v : llvm::seq(vectors))
      read.push_back(
          vector::LoadOp::create(b, e.loc, type, from.flat,
                                 e.add(e.add(from.position, at), v * lanes)));
    for (auto [v, vector] : llvm::enumerate(read)) {
      auto store = vector::StoreOp::create(
          b, e.loc, vector, to.flat,
          e.add(e.add(to.position, at), int64_t(v) * lanes));
      if (around) {
        store.setNontemporal(true);
        store.setAlignment(lanes * int64_t(sizeof(float)));
      }
    }
  };
  Value many = e.sub(count, e.remainder(count, e.index(together * lanes)));
  e.loop(e.index(0), many, together * lanes,
         [&](Value at) { copy(at, together); });
  e.loop(many, count, lanes, [&](Value at) { copy(at, 1); });
}

void fulgur::copyElements(Emitter &e, Place from, Place to, Value count,
                          int64_t lanes) {
  copyVectors(e, from, to, count, lanes, /*around=*/false);
}

void fulgur::copyAroundCaches(Emitter &e, Place from, Place to, Value count,
                              int64_t lanes) {
  Value address = e.add(
      memref::ExtractAlignedPointerAsIndexOp::create(e.builder, e.loc, to.flat),
      e.mul(to.position, sizeof(float)));
  Value isAligned = e.builder.createOrFold<arith::CmpIOp>(
      e.loc, arith::CmpIPredicate::eq, e.remainder(address, e.index(kLine)),
      e.index(0));
  auto copy = [&](bool around) {
    copyVectors(e, from, to, count, lanes, around);
  };
  e.branch(isAligned, [&] { copy(true); }, [&] { copy(false); });
}

void fulgur::fenceCopies(Emitter &e) {
  LLVM::FenceOp::create(e.builder, e.loc, LLVM::AtomicOrdering::seq_cst, "");
}
