// Walks from a tensor to the operation that gave it its shape.
#include "passes/Dims.h"
#include "dialects/Fulgur.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace fulgur;

using Sizes = FailureOr<SmallVector<OpFoldResult>>;

static OpFoldResult add(OpBuilder &b, Location loc, OpFoldResult x,
                        OpFoldResult y) {
  auto cx = getConstantIntValue(x), cy = getConstantIntValue(y);
  if (cx && cy)
    return b.getIndexAttr(*cx + *cy);
  return arith::AddIOp::create(b, loc,
                               getValueOrCreateConstantIndexOp(b, loc, x),
                               getValueOrCreateConstantIndexOp(b, loc, y))
      .getResult();
}

OpFoldResult fulgur::multiply(OpBuilder &b, Location loc, OpFoldResult x,
                              OpFoldResult y) {
  auto cx = getConstantIntValue(x), cy = getConstantIntValue(y);
  if (cx && cy)
    return b.getIndexAttr(*cx * *cy);
  if (cx && *cx == 1)
    return y;
  if (cy && *cy == 1)
    return x;
  return arith::MulIOp::create(b, loc,
                               getValueOrCreateConstantIndexOp(b, loc, x),
                               getValueOrCreateConstantIndexOp(b, loc, y))
      .getResult();
}

SmallVector<OpFoldResult>
fulgur::collapseDims(OpBuilder &b, Location loc, ArrayRef<OpFoldResult> dims,
                     ArrayRef<ReassociationIndices> groups) {
  SmallVector<OpFoldResult> collapsed;
  for (const ReassociationIndices &group : groups) {
    OpFoldResult product = b.getIndexAttr(1);
    for (int64_t dim : group)
      product = multiply(b, loc, product, dims[dim]);
    collapsed.push_back(product);
  }
  return collapsed;
}

/// The dims of a function argument: fulgur.sized says them, or they are symbols
/// that `fulgur.dims` names.
static Sizes argumentDims(OpBuilder &b, BlockArgument argument) {
  auto type = cast<RankedTensorType>(argument.getType());
  for (Operation *user : argument.getUsers())
    if (auto sized = dyn_cast<SizedOp>(user))
      return getMixedValues(type.getShape(), sized.getSizes(), b);
  auto function =
      dyn_cast<FunctionOpInterface>(argument.getOwner()->getParentOp());
  auto names = function ? function.getArgAttrOfType<ArrayAttr>(
                              argument.getArgNumber(), kDimsAttr)
                        : ArrayAttr();
  auto packed = function ? function.getArgAttrOfType<DenseI64ArrayAttr>(
                               argument.getArgNumber(), kPackedAttr)
                         : DenseI64ArrayAttr();
  SmallVector<int64_t> shape(type.getShape());
  if (packed)
    shape.assign(packed.asArrayRef().begin() + 1, packed.asArrayRef().end());
  if (!names || names.size() != shape.size())
    return failure();
  SmallVector<OpFoldResult> dims;
  for (auto [size, name] : llvm::zip(shape, names.getAsRange<StringAttr>())) {
    if (ShapedType::isDynamic(size))
      dims.push_back(SymbolOp::create(b, argument.getLoc(), name).getResult());
    else
      dims.push_back(b.getIndexAttr(size));
  }
  if (!packed)
    return dims;
  // The bytes: ceil(elements * bits / 8).
  OpFoldResult bits = b.getIndexAttr(packed[0]);
  for (OpFoldResult dim : dims)
    bits = multiply(b, argument.getLoc(), bits, dim);
  Value eight = arith::ConstantIndexOp::create(b, argument.getLoc(), 8);
  return SmallVector<OpFoldResult>{
      arith::CeilDivUIOp::create(
          b, argument.getLoc(),
          getValueOrCreateConstantIndexOp(b, argument.getLoc(), bits), eight)
          .getResult()};
}

Sizes fulgur::dimsOf(OpBuilder &b, Value tensor) {
  auto type = dyn_cast<RankedTensorType>(tensor.getType());
  if (!type)
    return failure();
  if (type.hasStaticShape())
    return getAsIndexOpFoldResult(b.getContext(), type.getShape());
  if (auto argument = dyn_cast<BlockArgument>(tensor)) {
    if (auto loop = dyn_cast<scf::ForOp>(argument.getOwner()->getParentOp());
        loop && argument.getArgNumber() > 0)
      return dimsOf(b, loop.getInitArgs()[argument.getArgNumber() - 1]);
    return argumentDims(b, argument);
  }
  unsigned number = cast<OpResult>(tensor).getResultNumber();
  return TypeSwitch<Operation *, Sizes>(tensor.getDefiningOp())
      .Case([&](bufferization::ToTensorOp op)
                -> Sizes { // an input, once ports are bound
        auto buffer = op.getBuffer().getDefiningOp<BufferOp>();
        if (!buffer)
          return failure();
        return getMixedValues(type.getShape(), buffer.getSizes(), b);
      })
      .Case([&](tensor::EmptyOp op) { return op.getMixedSizes(); })
      .Case([&](tensor::ExpandShapeOp op) { return op.getMixedOutputShape(); })
      .Case([&](tensor::ExtractSliceOp op) -> Sizes {
        SmallVector<OpFoldResult> dims;
        llvm::SmallBitVector dropped = op.getDroppedDims();
        for (auto [i, size] : llvm::enumerate(op.getMixedSizes()))
          if (!dropped.test(i))
            dims.push_back(size);
        return dims;
      })
      .Case([&](tensor::InsertSliceOp op) { return dimsOf(b, op.getDest()); })
      .Case([&](tensor::InsertOp op) { return dimsOf(b, op.getDest()); })
      .Case([&](tensor::CastOp op) { return dimsOf(b, op.getSource()); })
      .Case([&](tensor::GenerateOp op) -> Sizes {
        return getMixedValues(type.getShape(), op.getDynamicExtents(), b);
      })
      .Case([&](tensor::CollapseShapeOp op) -> Sizes {
        Sizes source = dimsOf(b, op.getSrc());
        if (failed(source))
          return failure();
        return collapseDims(b, op.getLoc(), *source,
                            op.getReassociationIndices());
      })
      .Case([&](tensor::PadOp op) -> Sizes {
        Sizes source = dimsOf(b, op.getSource());
        if (failed(source))
          return failure();
        for (auto [dim, low, high] :
             llvm::zip(*source, op.getMixedLowPad(), op.getMixedHighPad()))
          dim = add(b, op.getLoc(), add(b, op.getLoc(), dim, low), high);
        return source;
      })
      .Case([&](tensor::ConcatOp op) -> Sizes {
        Sizes dims = dimsOf(b, op.getInputs().front());
        for (Value input : op.getInputs().drop_front()) {
          Sizes more = dimsOf(b, input);
          if (failed(dims) || failed(more))
            return failure();
          (*dims)[op.getDim()] =
              add(b, op.getLoc(), (*dims)[op.getDim()], (*more)[op.getDim()]);
        }
        return dims;
      })
      .Case([&](scf::ForOp op) { return dimsOf(b, op.getInitArgs()[number]); })
      .Case<SoftmaxOp, LayerNormOp, RMSNormOp, RoundBlocksOp>(
          [&](auto op) { return dimsOf(b, op.getInput()); })
      .Case([&](AttentionOp op) -> Sizes {
        // Each dim of the result is a loop that the query or the value has too.
        SmallVector<AffineMap> maps = op.mapList();
        SmallVector<OpFoldResult> dims(type.getRank(), b.getIndexAttr(1));
        SmallVector<Value> operands{op.getQuery(), op.getValue(), op.getKey()};
        llvm::append_range(operands, op.getExtras());
        SmallVector<AffineMap> order{maps[0], maps[2], maps[1]};
        llvm::append_range(order,
                           ArrayRef(maps).slice(3, op.getExtras().size()));
        for (auto [dim, expr] : llvm::zip(dims, op.resultMap().getResults())) {
          auto *at = llvm::find_if(order, [&](AffineMap map) {
            return map.getResultPosition(expr).has_value();
          });
          if (isa<AffineConstantExpr>(expr))
            continue;
          if (at == order.end())
            return failure();
          Sizes sizes = dimsOf(b, operands[at - order.begin()]);
          if (failed(sizes))
            return failure();
          dim = (*sizes)[*at->getResultPosition(expr)];
        }
        return dims;
      })
      .Case([&](DestinationStyleOpInterface op) {
        return dimsOf(b, op.getDpsInits()[number]);
      })
      .Default([](Operation *) { return failure(); });
}

bool fulgur::dependsOnData(Value size) { return DataDependence()(size); }

bool DataDependence::operator()(Value size) {
  SmallVector<Value> open{size};
  while (!open.empty()) {
    Value value = open.back();
    Operation *op = value.getDefiningOp();
    bool depends = !op || isa<BoundedOp>(op) || !isMemoryEffectFree(op),
         settled = true;
    if (!depends && !known.contains(value))
      for (Value operand : op->getOperands()) {
        auto found = known.find(operand);
        if (found == known.end()) {
          open.push_back(operand);
          settled = false;
        } else {
          depends |= found->second;
        }
      }
    if (!settled)
      continue;
    open.pop_back();
    known.try_emplace(value, depends);
  }
  return known.lookup(size);
}

SmallVector<Value> fulgur::dynamicDims(OpBuilder &b, Location loc, Type type,
                                       ArrayRef<OpFoldResult> dims) {
  SmallVector<Value> sizes;
  for (auto [size, dim] : llvm::zip(cast<ShapedType>(type).getShape(), dims))
    if (ShapedType::isDynamic(size))
      sizes.push_back(getValueOrCreateConstantIndexOp(b, loc, dim));
  return sizes;
}
