#include "passes/kernel/builders/Elementwise.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace fulgur;

Value Access::at(Emitter &e, ArrayRef<Value> indices) const {
  Value position = base;
  for (auto [index, step] : llvm::zip(indices, steps)) {
    if (!index || !step)
      continue;
    Value moved = e.mul(step, index);
    position = position ? e.add(position, moved) : moved;
  }
  return position ? position : e.index(0);
}

Access fulgur::accessOf(Emitter &e, Value buffer, ArrayRef<int> loops,
                        unsigned count) {
  Access access{e.flatten(buffer), SmallVector<Value>(count), {}};
  Value stride = e.index(1);
  for (int p = int(loops.size()) - 1; p >= 0; --p) {
    Value size = e.dim(buffer, p);
    if (loops[p] >= 0 && known(size) != 1)
      access.steps[loops[p]] = stride;
    stride = e.mul(size, stride);
  }
  return access;
}

Value fulgur::pointerTo(Emitter &e, Value flat, Value position, int64_t bytes) {
  Value base =
      memref::ExtractAlignedPointerAsIndexOp::create(e.builder, e.loc, flat);
  Value address =
      arith::IndexCastOp::create(e.builder, e.loc, e.builder.getI64Type(),
                                 e.add(base, e.mul(position, bytes)));
  return LLVM::IntToPtrOp::create(
      e.builder, e.loc, LLVM::LLVMPointerType::get(e.builder.getContext()),
      address);
}

/// Booleans are bytes in memory,
/// but a vector of i1 would be read as bits: reads and writes them as i8.
/// Masked accesses to bfloat16 are those of their bits: a CPU that does not
/// compute with the type would call functions for them.
static Value byteVector(Emitter &e, int64_t value, VectorType type) {
  return arith::ConstantOp::create(
      e.builder, e.loc,
      DenseElementsAttr::get(type, e.builder.getI8IntegerAttr(value)));
}

/// Where the lanes of a strided access lie from its start, and which of them
/// there are.
static std::pair<Value, Value> stridedLanes(Emitter &e, Value step,
                                            const Columns &columns) {
  OpBuilder &b = e.builder;
  Value lanes = e.iota(columns.lanes, b.getIndexType());
  Value offsets =
      arith::MulIOp::create(b, e.loc, lanes, e.broadcast(step, columns.lanes));
  if (columns.mask)
    return {offsets, columns.mask};
  auto all = DenseElementsAttr::get(
      VectorType::get(columns.lanes, b.getI1Type()), true);
  return {offsets, arith::ConstantOp::create(b, e.loc, all)};
}

Value fulgur::readColumns(Emitter &e, Value flat, Value position, Value step,
                          Columns columns) {
  OpBuilder &b = e.builder;
  Type element = cast<MemRefType>(flat.getType()).getElementType();
  auto type = VectorType::get(columns.lanes, element);
  if (!step)
    return e.broadcast(memref::LoadOp::create(b, e.loc, flat, position),
                       columns.lanes);
  if (element.isInteger(1)) {
    auto bytes = VectorType::get(columns.lanes, b.getI8Type());
    Value zero = byteVector(e, 0, bytes),
          pointer = pointerTo(e, flat, position, 1), loaded;
    if (columns.mask)
      loaded = LLVM::MaskedLoadOp::create(b, e.loc, bytes, pointer,
                                          columns.mask, zero, 1);
    else
      loaded = LLVM::LoadOp::create(b, e.loc, bytes, pointer, 1);
    return arith::CmpIOp::create(b, e.loc, arith::CmpIPredicate::ne, loaded,
                                 zero);
  }
  if (known(step) == 1 && !columns.mask)
    return vector::LoadOp::create(b, e.loc, type, flat, position);
  if (known(step) == 1 && element.isBF16()) {
    auto bits = VectorType::get(columns.lanes, b.getI16Type());
    Value loaded = LLVM::MaskedLoadOp::create(
        b, e.loc, bits, pointerTo(e, flat, position, 2), columns.mask,
        arith::ConstantOp::create(b, e.loc, b.getZeroAttr(bits)), 2);
    return arith::BitcastOp::create(b, e.loc, type, loaded);
  }
  Value zero = arith::ConstantOp::create(b, e.loc, b.getZeroAttr(type));
  if (known(step) == 1)
    return vector::MaskedLoadOp::create(b, e.loc, type, flat, position,
                                        columns.mask, zero);
  auto [offsets, mask] = stridedLanes(e, step, columns);
  return vector::GatherOp::create(b, e.loc, type, flat, position, offsets, mask,
                                  zero);
}

void fulgur::writeColumns(Emitter &e, Value vector, Value flat, Value position,
                          Value step, Columns columns) {
  OpBuilder &b = e.builder;
  if (cast<MemRefType>(flat.getType()).getElementType().isInteger(1)) {
    auto bytes = VectorType::get(columns.lanes, b.getI8Type());
    Value stored = arith::ExtUIOp::create(b, e.loc, bytes, vector),
          pointer = pointerTo(e, flat, position, 1);
    if (columns.mask)
      LLVM::MaskedStoreOp::create(b, e.loc, stored, pointer, columns.mask, 1);
    else
      LLVM::StoreOp::create(b, e.loc, stored, pointer, 1);
    return;
  }
  if (!step || known(step) == 1) {
    if (columns.mask && getElementTypeOrSelf(vector.getType()).isBF16())
      LLVM::MaskedStoreOp::create(
          b, e.loc,
          arith::BitcastOp::create(
              b, e.loc, VectorType::get(columns.lanes, b.getI16Type()), vector),
          pointerTo(e, flat, position, 2), columns.mask, 2);
    else if (columns.mask)
      vector::MaskedStoreOp::create(b, e.loc, flat, position, columns.mask,
                                    vector);
    else
      vector::StoreOp::create(b, e.loc, vector, flat, position);
    return;
  }
  auto [offsets, mask] = stridedLanes(e, step, columns);
  vector::ScatterOp::create(b, e.loc, /*resultType=*/Type(), flat, position,
                            offsets, mask, vector);
}

static void prefetchColumns(Emitter &e, Value flat, Value position,
                            int64_t count, bool isWrite) {
  constexpr int64_t kLineBits = 512; // of a cache line
  Type element = cast<MemRefType>(flat.getType()).getElementType();
  if (!element.isIntOrFloat())
    return;
  int64_t ofLine = kLineBits / element.getIntOrFloatBitWidth();
  for (int64_t column = 0; column < count; column += ofLine)
    memref::PrefetchOp::create(e.builder, e.loc, flat, e.add(position, column),
                               isWrite, /*localityHint=*/3,
                               /*isDataCache=*/true);
}

void fulgur::prefetchEpilogueOf(Emitter &e, const Access &out,
                                ArrayRef<Access> inputs, ArrayRef<Value> point,
                                unsigned row, unsigned column, int64_t count) {
  auto ask = [&](const Access &access, bool isWrite) {
    if (access.flat && access.steps[row] && known(access.steps[column]) == 1)
      prefetchColumns(e, access.flat, access.at(e, point), count, isWrite);
  };
  ask(out, /*isWrite=*/true);
  for (const Access &input : inputs)
    ask(input, /*isWrite=*/false);
}

FirstAddition
fulgur::firstAddition(linalg::GenericOp epilogue, ArrayRef<Access> inputs,
                      llvm::function_ref<bool(const Access &)> isFixed) {
  if (!epilogue)
    return {};
  for (auto [access, argument] :
       llvm::zip(inputs, epilogue.getRegionInputArgs())) {
    if (access.flat)
      continue;
    auto add = argument.hasOneUse()
                   ? dyn_cast<arith::AddFOp>(*argument.user_begin())
                   : arith::AddFOp();
    if (!add || !argument.getType().isF32())
      return {};
    auto other = dyn_cast<BlockArgument>(
        add.getLhs() == argument ? add.getRhs() : add.getLhs());
    if (!other || other.getOwner() != epilogue.getBody() ||
        other.getArgNumber() >= inputs.size())
      return {};
    const Access &added = inputs[other.getArgNumber()];
    if (!added.flat || !isFixed(added))
      return {};
    return {add, other.getArgNumber()};
  }
  return {};
}

SmallVector<int> fulgur::loopsOf(linalg::LinalgOp op, unsigned number) {
  SmallVector<int> loops;
  for (AffineExpr result : op.getIndexingMapsArray()[number].getResults()) {
    auto dim = dyn_cast<AffineDimExpr>(result);
    loops.push_back(dim ? int(dim.getPosition()) : -1);
  }
  return loops;
}

static bool isScalar(Type type) { return type.isIntOrIndexOrFloat(); }

bool fulgur::isLanewise(linalg::GenericOp op) {
  if (op.getNumParallelLoops() != op.getNumLoops())
    return false;
  for (AffineMap map : op.getIndexingMapsArray())
    if (!map.isProjectedPermutation(/*allowZeroInResults=*/true))
      return false;
  for (OpOperand &init : op.getDpsInitsMutable())
    if (!op.getMatchingIndexingMap(&init).isPermutation())
      return false;
  for (BlockArgument init : op.getRegionOutputArgs())
    if (!init.use_empty())
      return false;
  return isLanewise(*op.getBody());
}

bool fulgur::isLanewise(Block &body) {
  for (Operation &nested : body.without_terminator()) {
    bool lanewise = isa<linalg::IndexOp>(nested) ||
                    (nested.getNumRegions() == 0 &&
                     (nested.hasTrait<OpTrait::ConstantLike>() ||
                      OpTrait::hasElementwiseMappableTraits(&nested)));
    if (!lanewise || !llvm::all_of(nested.getResultTypes(), isScalar))
      return false;
  }
  bool known = true;
  body.walk([&](Operation *nested) {
    for (Value operand : nested->getOperands()) {
      if (operand.getParentBlock() == &body)
        continue;
      auto argument = dyn_cast<BlockArgument>(operand);
      bool scalarOperand = argument &&
                           isa<KernelOp>(argument.getOwner()->getParentOp()) &&
                           isScalar(argument.getType());
      known &= scalarOperand || matchPattern(operand, m_Constant());
    }
  });
  return known;
}

SmallVector<Value>
fulgur::computeLanes(Emitter &e, const KernelSite &site, linalg::GenericOp op,
                     ArrayRef<Value> arguments, int64_t lanes,
                     llvm::function_ref<Value(unsigned)> loopIndex,
                     std::pair<Operation *, Value> computed) {
  IRMapping lanewise;
  for (auto [argument, vector] : llvm::zip(op.getRegionInputArgs(), arguments))
    lanewise.map(argument, vector);
  for (auto index : op.getBody()->getOps<linalg::IndexOp>())
    lanewise.map(index.getResult(), loopIndex(index.getDim()));
  if (computed.first)
    lanewise.map(computed.first->getResult(0), computed.second);
  return computeLanes(e, site, *op.getBody(), lanewise, lanes);
}

SmallVector<Value> fulgur::computeLanes(Emitter &e, const KernelSite &site,
                                        Block &body, IRMapping &lanewise,
                                        int64_t lanes) {
  OpBuilder &b = e.builder;
  auto splat = [&](Value value) -> Value {
    Attribute attr;
    if (!matchPattern(value, m_Constant(&attr)))
      return e.broadcast(site.operand(value), lanes);
    auto type = VectorType::get(lanes, value.getType());
    return arith::ConstantOp::create(b, e.loc,
                                     DenseElementsAttr::get(type, attr));
  };
  auto valueOf = [&](Value value) {
    if (!lanewise.contains(value))
      lanewise.map(value, splat(value));
    return lanewise.lookup(value);
  };
  for (Operation &nested : body.without_terminator()) {
    // A constant is a splat where it is used.
    if (nested.hasTrait<OpTrait::ConstantLike>() ||
        llvm::all_of(nested.getResults(),
                     [&](Value value) { return lanewise.contains(value); }))
      continue;
    for (Value operand : nested.getOperands())
      valueOf(operand);
    Operation *vector = b.clone(nested, lanewise);
    vector->setLoc(e.loc);
    for (Value result : vector->getResults())
      result.setType(VectorType::get(lanes, result.getType()));
  }
  SmallVector<Value> results;
  for (Value yielded : body.getTerminator()->getOperands())
    results.push_back(valueOf(yielded));
  return results;
}
