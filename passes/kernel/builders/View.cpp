#include "passes/kernel/builders/View.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace fulgur;

/// The dim among those that collapse into one which is more than 1, or the last
/// of them; none when there are several.
static std::optional<int64_t> movingDim(tensor::CollapseShapeOp collapse,
                                        ArrayRef<int64_t> group) {
  std::optional<int64_t> moving;
  for (int64_t dim : group) {
    if (collapse.getSrcType().getDimSize(dim) == 1)
      continue;
    if (moving)
      return std::nullopt;
    moving = dim;
  }
  return moving ? moving : std::optional(group.back());
}

bool fulgur::isViewOperation(Operation *op) {
  if (auto slice = dyn_cast_or_null<tensor::ExtractSliceOp>(op))
    return slice.hasUnitStride();
  if (auto collapse = dyn_cast_or_null<tensor::CollapseShapeOp>(op))
    return llvm::all_of(collapse.getReassociationIndices(), [&](auto &group) {
      return movingDim(collapse, group).has_value();
    });
  return isa_and_nonnull<tensor::ExpandShapeOp>(op);
}

bool fulgur::isView(Value value) {
  while (Operation *op = value.getDefiningOp()) {
    if (!isViewOperation(op) ||
        !llvm::all_of(op->getOperands().drop_front(), [](Value size) {
          return isa<BlockArgument>(size) || matchPattern(size, m_Constant());
        }))
      return false;
    value = op->getOperand(0);
  }
  return isa<KernelOp>(value.getParentBlock()->getParentOp());
}

Access View::access(ArrayRef<int> loops, unsigned count) const {
  Access access{flat, SmallVector<Value>(count), base};
  for (auto [loop, size, stride] : llvm::zip(loops, sizes, strides))
    if (loop >= 0 && known(size) != 1)
      access.steps[loop] = stride;
  return access;
}

View fulgur::viewOf(Emitter &e, const KernelSite &site, Value value) {
  Operation *op = value.getDefiningOp();
  if (!op) {
    Value buffer = site.operand(value);
    unsigned rank = cast<MemRefType>(buffer.getType()).getRank();
    View view{e.flatten(buffer), {}, {}, SmallVector<Value>(rank)};
    Value stride = e.index(1);
    for (unsigned dim : llvm::seq(rank))
      view.sizes.push_back(e.dim(buffer, dim));
    for (unsigned dim = rank; dim-- > 0;) {
      view.strides[dim] = stride;
      stride = e.mul(view.sizes[dim], stride);
    }
    return view;
  }
  View source = viewOf(e, site, op->getOperand(0)),
       view{source.flat, source.base, {}, {}};
  auto number = [&](OpFoldResult size) -> Value {
    if (auto constant = getConstantIntValue(size))
      return e.index(*constant);
    return site.operand(cast<Value>(size));
  };
  if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op)) {
    llvm::SmallBitVector dropped = slice.getDroppedDims();
    for (auto [dim, offset, size] :
         llvm::enumerate(slice.getMixedOffsets(), slice.getMixedSizes())) {
      if (getConstantIntValue(offset) != 0) {
        Value moved = e.mul(number(offset), source.strides[dim]);
        view.base = view.base ? e.add(view.base, moved) : moved;
      }
      if (dropped[dim])
        continue;
      view.sizes.push_back(number(size));
      view.strides.push_back(source.strides[dim]);
    }
    return view;
  }
  if (auto collapse = dyn_cast<tensor::CollapseShapeOp>(op)) {
    for (auto &group : collapse.getReassociationIndices()) {
      int64_t dim = *movingDim(collapse, group);
      view.sizes.push_back(source.sizes[dim]);
      view.strides.push_back(source.strides[dim]);
    }
    return view;
  }
  auto expand = cast<tensor::ExpandShapeOp>(op);
  for (OpFoldResult size : expand.getMixedOutputShape())
    view.sizes.push_back(number(size));
  view.strides.resize(view.sizes.size());
  for (auto [dim, group] : llvm::enumerate(expand.getReassociationIndices())) {
    Value stride = source.strides[dim];
    for (int64_t part : llvm::reverse(group)) {
      view.strides[part] = stride;
      stride = e.mul(view.sizes[part], stride);
    }
  }
  return view;
}
