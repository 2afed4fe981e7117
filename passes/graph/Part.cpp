#include "passes/graph/Part.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/Matchers.h"
#include "mlir/IR/OperationSupport.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "passes/Dims.h"

using namespace mlir;
using namespace fulgur;

/// Whether two sizes are equal for sure: they are computed in the same way.
static bool sameSize(OpFoldResult a, OpFoldResult b) {
  if (isEqualConstantIntOrValue(a, b))
    return true;
  auto x = dyn_cast<Value>(a), y = dyn_cast<Value>(b);
  if (!x || !y)
    return false;
  Operation *f = x.getDefiningOp(), *g = y.getDefiningOp();
  return f && g && isPure(f) &&
         OperationEquivalence::isEquivalentTo(
             f, g, [](Value v, Value w) { return success(sameSize(v, w)); },
             /*markEquivalent=*/nullptr, OperationEquivalence::IgnoreLocations);
}

bool Run::isWhole() const { return sameSize(extent, size); }

bool fulgur::isWhole(ArrayRef<DimPart> part) {
  return llvm::all_of(part, [](const DimPart &dim) { return dim.empty(); });
}

bool fulgur::isSame(const DimPart &a, const DimPart &b) {
  return a.size() == b.size() && llvm::all_of(llvm::zip(a, b), [](auto pair) {
           auto &[x, y] = pair;
           return sameSize(x.extent, y.extent) &&
                  sameSize(x.offset, y.offset) && sameSize(x.size, y.size);
         });
}

bool fulgur::isSame(ArrayRef<DimPart> a, ArrayRef<DimPart> b) {
  return a.size() == b.size() && llvm::all_of(llvm::zip(a, b), [](auto pair) {
           return isSame(std::get<0>(pair), std::get<1>(pair));
         });
}

/// The least c that is known for which y >= x - c.
static std::optional<int64_t> lagOf(Value y, Value x) {
  if (y == x)
    return 0;
  APInt number;
  if (auto sum = y.getDefiningOp<arith::AddIOp>())
    if (sum.getLhs() == x && matchPattern(sum.getRhs(), m_ConstantInt(&number)))
      return -number.getSExtValue();
  if (auto max = y.getDefiningOp<arith::MaxSIOp>()) {
    auto a = lagOf(max.getLhs(), x), b = lagOf(max.getRhs(), x);
    return a && b ? std::min(*a, *b) : a ? a : b;
  }
  return std::nullopt;
}

/// What a size is at most. That of the last row of any number of them, which
/// may be none, is max(n - max(n - 1, 0), 0).
static std::optional<int64_t> mostOf(OpFoldResult size) {
  if (auto number = getConstantIntValue(size))
    return number;
  auto value = dyn_cast<Value>(size);
  if (!value)
    return std::nullopt;
  if (auto difference = value.getDefiningOp<arith::SubIOp>())
    return lagOf(difference.getRhs(), difference.getLhs());
  if (auto max = value.getDefiningOp<arith::MaxSIOp>()) {
    auto a = mostOf(max.getLhs()), b = mostOf(max.getRhs());
    return a && b ? std::optional(std::max(*a, *b)) : std::nullopt;
  }
  if (auto min = value.getDefiningOp<arith::MinSIOp>()) {
    auto a = mostOf(min.getLhs()), b = mostOf(min.getRhs());
    return a && b ? std::min(*a, *b) : a ? a : b;
  }
  return std::nullopt;
}

bool fulgur::isSmall(ArrayRef<DimPart> part) {
  return llvm::any_of(part, [](const DimPart &runs) {
    return llvm::any_of(runs, [](const Run &run) {
      auto extent = getConstantIntValue(run.extent), size = mostOf(run.size);
      return size && (!extent || *size <= *extent / 2);
    });
  });
}

OpFoldResult fulgur::sizeOf(OpBuilder &b, Location loc, const DimPart &part,
                            OpFoldResult whole) {
  if (part.empty())
    return whole;
  OpFoldResult size = b.getIndexAttr(1);
  for (const Run &run : part)
    size = multiply(b, loc, size, run.size);
  return size;
}

/// Runs that are all of every dim are all of the dim.
static DimPart normalized(ArrayRef<Run> runs) {
  if (llvm::all_of(runs, [](const Run &run) { return run.isWhole(); }))
    return {};
  return DimPart(runs);
}

static bool isOne(OpFoldResult size) { return isConstantIntValue(size, 1); }

Part fulgur::beforeExpand(ArrayRef<DimPart> part,
                          ArrayRef<ReassociationIndices> groups,
                          ArrayRef<OpFoldResult> dims) {
  Part source;
  for (const ReassociationIndices &group : groups) {
    SmallVector<Run> runs;
    for (int64_t dim : group)
      if (!part[dim].empty())
        llvm::append_range(runs, part[dim]);
      else if (!isOne(dims[dim]))
        runs.push_back({dims[dim],
                        getAsIndexOpFoldResult(dims[dim].getContext(), 0),
                        dims[dim]});
    source.push_back(normalized(runs));
  }
  return source;
}

/// Splits the runs of a dim among the dims that it stands for, from the inner
/// one outwards; the outermost takes what is left.
static std::optional<Part> split(SmallVector<Run, 1> runs,
                                 ArrayRef<OpFoldResult> dims) {
  Part parts(dims.size());
  for (size_t i = dims.size(); i-- > 1 && !normalized(runs).empty();) {
    OpFoldResult dim = dims[i];
    Run &inner = runs.back();
    auto places = getConstantIntValue(dim),
         extent = getConstantIntValue(inner.extent);
    if (isOne(dim))
      continue;
    if (sameSize(dim, inner.extent)) {
      parts[i] = normalized(inner);
      runs.pop_back();
    } else if (inner.isWhole() && places && extent && *extent % *places == 0) {
      inner.extent = inner.size =
          getAsIndexOpFoldResult(dim.getContext(), *extent / *places);
    } else {
      return std::nullopt;
    }
  }
  parts[0] = normalized(runs);
  return parts;
}

std::optional<Part>
fulgur::beforeCollapse(ArrayRef<DimPart> part,
                       ArrayRef<ReassociationIndices> groups,
                       ArrayRef<OpFoldResult> dims) {
  Part source;
  for (auto [runs, group] : llvm::zip(part, groups)) {
    auto parts = split(runs, dims.slice(group.front(), group.size()));
    if (!parts)
      return std::nullopt;
    llvm::append_range(source, *parts);
  }
  return source;
}

Value fulgur::extract(OpBuilder &b, Location loc, Value tensor,
                      ArrayRef<DimPart> part) {
  SmallVector<OpFoldResult> dims = *dimsOf(b, tensor);
  SmallVector<OpFoldResult> extents, offsets, sizes;
  SmallVector<ReassociationIndices> groups;
  auto add = [&](const Run &run) {
    groups.back().push_back(extents.size());
    extents.push_back(run.extent);
    offsets.push_back(run.offset);
    sizes.push_back(run.size);
  };
  for (auto [dim, runs] : llvm::zip(dims, part)) {
    groups.emplace_back();
    if (runs.empty())
      add({dim, b.getIndexAttr(0), dim});
    else
      llvm::for_each(runs, add);
  }
  auto type = cast<RankedTensorType>(tensor.getType());
  bool isSplit = extents.size() != dims.size();
  if (isSplit) {
    auto [shape, sizes] = decomposeMixedValues(extents);
    auto expanded = type.clone(shape);
    auto collapsed =
        tensor::CollapseShapeOp::inferCollapsedType(expanded, groups);
    // An extent may be known better, or less well, than the type tells.
    if (collapsed != type)
      tensor = tensor::CastOp::create(b, loc, collapsed, tensor);
    tensor = tensor::ExpandShapeOp::create(b, loc, expanded, tensor, groups,
                                           extents);
  }
  SmallVector<OpFoldResult> strides(extents.size(), b.getIndexAttr(1));
  tensor =
      tensor::ExtractSliceOp::create(b, loc, tensor, offsets, sizes, strides);
  return isSplit ? tensor::CollapseShapeOp::create(b, loc, tensor, groups)
                 : tensor;
}
