// Makes one product of several that multiply the same rows by weights, such as
// the projections to queries, keys and values: their weights lie next to each
// other, and the rows are read once. Who reads the results reads slices of the
// one result; so only products are merged whose readers take slices where they
// are, without a copy. Of weights of few bits, codes and scales are joined.
#include "dialects/Fulgur.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Utils/Utils.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "passes/Dims.h"
#include "passes/NodeName.h"
#include "passes/Passes.h"
#include "passes/Remarks.h"
#include "passes/WeightStore.h"
#include "passes/kernel/builders/View.h"

using namespace mlir;

namespace fulgur {
#define GEN_PASS_DEF_MERGEPRODUCTS
#include "passes/Passes.h.inc"

namespace {

/// One of the products, with what is added to its columns.
struct Branch {
  linalg::LinalgOp product;
  SmallVector<ElementsAttr, 3> parts; ///< the weight, or what it is made of
  DequantizeOp blocks;                ///< what makes it; null: nothing
  unsigned columnDim;                 ///< of the weight and its parts
  int64_t columns;
  Value result;
  ElementsAttr bias{}; ///< null: none
};

/// The constant that `value` is, with all of its elements, or one of a splat.
ElementsAttr weightOf(Value value) {
  ElementsAttr weight;
  if (!matchPattern(value, m_Constant(&weight)) || weightBytes(weight).empty())
    return {};
  return weight;
}

/// The constant that `value` is, with `columns` along `dim`, as many as are in
/// the model or in bytes of several each; null if it is no such, or a splat,
/// which has one element only.
ElementsAttr partOf(Value value, unsigned dim, int64_t columns,
                    int64_t perByte) {
  ElementsAttr weight = weightOf(value);
  if (!weight)
    return {};
  ShapedType type = weight.getShapedType();
  if (type.getElementType().isInteger() && dim + 1 == type.getRank())
    columns = columns % perByte == 0 ? columns / perByte : -1;
  return type.getDimSize(dim) == columns &&
                 int64_t(weightBytes(weight).size()) * 8 ==
                     type.getNumElements() * type.getElementTypeBitWidth()
             ? weight
             : ElementsAttr();
}

/// Finds the constants that the branch's weight is made of.
bool takeParts(Branch &branch) {
  Value weight = branch.product.getDpsInputs()[1];
  branch.blocks = weight.getDefiningOp<DequantizeOp>();
  if (branch.blocks && branch.blocks.getPack() != 0)
    return false;
  int64_t perByte = branch.blocks ? branch.blocks.getPerByte() : 1;
  for (Value value : branch.blocks ? ValueRange(branch.blocks->getOperands())
                                   : ValueRange(weight)) {
    branch.parts.push_back(
        partOf(value, branch.columnDim, branch.columns, perByte));
    if (!branch.parts.back())
      return false;
  }
  return true;
}

/// Takes the addition of a constant row that alone reads the product.
void takeBias(Branch &branch) {
  if (!branch.result.hasOneUse())
    return;
  auto add = dyn_cast<linalg::GenericOp>(*branch.result.user_begin());
  if (!add || !linalg::isElementwise(add) || add.getNumDpsInputs() != 2 ||
      add.getNumResults() != 1 ||
      add.getResult(0).getType() != branch.result.getType())
    return;
  Block &body = *add.getBody();
  auto sum = dyn_cast<arith::AddFOp>(body.front());
  if (!sum || body.getTerminator()->getOperand(0) != sum.getResult() ||
      !llvm::all_of(sum->getOperands(), llvm::IsaPred<BlockArgument>) ||
      sum.getLhs() == sum.getRhs())
    return;
  unsigned number = add.getDpsInputOperand(0)->get() == branch.result ? 0 : 1;
  SmallVector<AffineMap> maps = add.getIndexingMapsArray();
  auto row = AffineMap::get(2, 0, getAffineDimExpr(1, add.getContext()));
  if (!maps[number].isIdentity() || maps[1 - number] != row)
    return;
  branch.bias = weightOf(add.getDpsInputOperand(1 - number)->get());
  if (branch.bias)
    branch.result = add.getResult(0);
}

/// A product of rows with one weight.
std::optional<Branch> branchOf(linalg::LinalgOp op) {
  if (!op.hasPureTensorSemantics() || !linalg::isaContractionOpInterface(op) ||
      op.getNumLoops() != 3 || op.getNumDpsInputs() != 2)
    return std::nullopt;
  auto fill = op.getDpsInits()[0].getDefiningOp<linalg::FillOp>();
  if (!fill || !matchPattern(fill.value(), m_AnyZeroFloat()))
    return std::nullopt;
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  if (llvm::any_of(maps,
                   [](AffineMap map) { return map.getNumResults() != 2; }))
    return std::nullopt;
  std::optional<unsigned> column =
      maps[1].getResultPosition(maps[2].getResult(1));
  if (!column)
    return std::nullopt;
  auto weight = cast<RankedTensorType>(op.getDpsInputs()[1].getType());
  Branch branch{
      op, {}, {}, *column, weight.getDimSize(*column), op->getResult(0)};
  if (!takeParts(branch))
    return std::nullopt;
  takeBias(branch);
  return branch;
}

/// Whether both compute the same with other weights.
bool isAlike(const Branch &a, const Branch &b) {
  linalg::LinalgOp first = a.product, second = b.product;
  auto areAlike = [&](ElementsAttr x, ElementsAttr y) {
    SmallVector<int64_t> shape(x.getShapedType().getShape());
    shape[a.columnDim] = y.getShapedType().getDimSize(a.columnDim);
    return x.getElementType() == y.getElementType() &&
           ArrayRef(shape) == y.getShapedType().getShape();
  };
  return first.getDpsInputs()[0] == second.getDpsInputs()[0] &&
         a.columnDim == b.columnDim && !a.blocks == !b.blocks &&
         (!a.blocks || a.blocks->getAttrDictionary() ==
                           DequantizeOp(b.blocks)->getAttrDictionary()) &&
         a.parts.size() == b.parts.size() &&
         llvm::all_of_zip(a.parts, b.parts, areAlike) &&
         first.getIndexingMapsArray() == second.getIndexingMapsArray() &&
         OperationEquivalence::isRegionEquivalentTo(
             &first->getRegion(0), &second->getRegion(0),
             OperationEquivalence::IgnoreLocations);
}

/// Whether `value` is only moved to its place in a concatenation or a state,
/// whose kernel takes it from wherever it is.
bool isPart(Value value) {
  if (!value.hasOneUse())
    return false;
  Operation *user = *value.user_begin();
  auto insertion = dyn_cast<tensor::InsertSliceOp>(user);
  return isa<tensor::ConcatOp>(user) ||
         (insertion && insertion.getSource() == value) ||
         ((isViewOperation(user) || isa<linalg::TransposeOp>(user)) &&
          isPart(user->getResult(0)));
}

/// A reader of `value`, through reshapes, that would have to copy a slice; null
/// when there is none.
Operation *copyingReader(Value value, bool sliced = false) {
  if (isPart(value))
    return nullptr;
  for (OpOperand &use : value.getUses()) {
    Operation *user = use.getOwner();
    if (isa<AttentionOp>(user) && use.getOperandNumber() < 3)
      continue; // query, key or value
    if (sliced && isa<linalg::GenericOp>(user) && isPart(user->getResult(0)))
      continue; // a half that is rotated
    if (!isViewOperation(user))
      return user;
    if (Operation *reader = copyingReader(
            user->getResult(0), sliced || isa<tensor::ExtractSliceOp>(user)))
      return reader;
  }
  return nullptr;
}

std::string readerName(Operation *reader) {
  std::string name = nodeName(reader->getLoc());
  return name.empty() ? reader->getName().getStringRef().str() : name;
}

struct MergeProducts : impl::MergeProductsBase<MergeProducts> {
  void runOnOperation() override {
    SmallVector<SmallVector<Branch>> groups;
    getOperation().walk([&](linalg::LinalgOp op) {
      std::optional<Branch> branch = branchOf(op);
      if (!branch)
        return;
      auto *group = llvm::find_if(
          groups, [&](auto &group) { return isAlike(group[0], *branch); });
      if (group == groups.end())
        groups.emplace_back(), group = &groups.back();
      group->push_back(*branch);
    });
    for (ArrayRef<Branch> branches : groups) {
      if (branches.size() < 2)
        continue;
      SmallVector<Branch> merged;
      for (Branch branch : branches)
        if (Operation *reader = copyingReader(branch.result))
          remark(branch.product, getArgument(),
                 "shares its rows with other products, but " +
                     readerName(reader) +
                     " does not read slices where they are");
        else
          merged.push_back(branch);
      if (merged.size() > 1)
        merge(merged);
    }
  }

private:
  void merge(ArrayRef<Branch> branches) {
    linalg::LinalgOp first = branches[0].product;
    Value rows = first.getDpsInputs()[0];
    OpBuilder builder(first);
    Location loc = first.getLoc();
    FailureOr<SmallVector<OpFoldResult>> dims =
        dimsOf(builder, first->getResult(0));
    if (failed(dims))
      return;
    int64_t columns = 0;
    for (const Branch &branch : branches)
      columns += branch.columns;
    auto single = cast<RankedTensorType>(first->getResult(0).getType());
    auto type = RankedTensorType::get({single.getDimSize(0), columns},
                                      single.getElementType());
    SmallVector<Value> parts;
    for (unsigned part : llvm::seq(branches[0].parts.size()))
      parts.push_back(arith::ConstantOp::create(
          builder, loc, cast<TypedAttr>(joined(branches, part))));
    Value weight = parts[0];
    if (DequantizeOp blocks = branches[0].blocks) {
      RankedTensorType one = blocks.resultType();
      SmallVector<int64_t> shape(one.getShape());
      shape[branches[0].columnDim] = columns;
      weight = DequantizeOp::create(builder, loc, one.clone(shape), parts,
                                    blocks->getAttrs());
    }
    (*dims)[1] = builder.getIndexAttr(columns);
    Value empty = tensor::EmptyOp::create(
        builder, loc, type, dynamicDims(builder, loc, type, *dims));
    Value zero = first.getDpsInits()[0].getDefiningOp<linalg::FillOp>().value(),
          init = linalg::FillOp::create(builder, loc, zero, empty).getResult(0);
    Operation *product = builder.clone(*first);
    product->setOperands({rows, weight, init});
    product->getResult(0).setType(type);
    Value result = product->getResult(0);
    if (llvm::any_of(branches, [](const Branch &b) { return bool(b.bias); }))
      result = addBias(builder, loc, result, empty, branches);

    int64_t from = 0;
    for (Branch branch : branches) {
      // As static as the type says, no more.
      OpFoldResult count = (*dims)[0];
      if (!type.isDynamicDim(0))
        count = builder.getIndexAttr(type.getDimSize(0));
      auto slice = tensor::ExtractSliceOp::create(
          builder, branch.product.getLoc(),
          cast<RankedTensorType>(branch.result.getType()), result,
          SmallVector<OpFoldResult>{builder.getIndexAttr(0),
                                    builder.getIndexAttr(from)},
          SmallVector<OpFoldResult>{count,
                                    builder.getIndexAttr(branch.columns)},
          SmallVector<OpFoldResult>(2, builder.getIndexAttr(1)));
      branch.result.replaceAllUsesWith(slice);
      from += branch.columns;
    }
    for (const Branch &branch : branches) {
      if (Operation *add = branch.result.getDefiningOp(); add != branch.product)
        add->erase();
      branch.product->erase();
      for (ElementsAttr part : branch.parts)
        releaseWeight(part);
    }
  }

  /// All weights, or one part of each, behind each other along their columns.
  static ElementsAttr joined(ArrayRef<Branch> branches, unsigned part) {
    auto first = cast<RankedTensorType>(branches[0].parts[part].getType());
    unsigned dim = branches[0].columnDim;
    auto columnsOf = [&](const Branch &branch) {
      return branch.parts[part].getShapedType().getDimSize(dim);
    };
    SmallVector<int64_t> shape(first.getShape());
    shape[dim] = 0;
    for (const Branch &branch : branches)
      shape[dim] += columnsOf(branch);
    // What lies in front of the columns is repeated, what lies behind them is
    // theirs.
    int64_t rows = dim == 0 ? 1 : shape[0],
            bytes =
                first.getElementTypeBitWidth() / 8 * (dim == 0 ? shape[1] : 1);
    return addWeight(RankedTensorType::get(shape, first.getElementType()),
                     "joined", [&](MutableArrayRef<char> to) {
                       size_t at = 0;
                       for (int64_t row : llvm::seq(rows))
                         for (const Branch &branch : branches) {
                           size_t length = columnsOf(branch) * bytes;
                           memcpy(to.data() + at,
                                  weightBytes(branch.parts[part]).data() +
                                      row * length,
                                  length);
                           at += length;
                         }
                     });
  }

  static Value addBias(OpBuilder &builder, Location loc, Value result,
                       Value empty, ArrayRef<Branch> branches) {
    auto type = cast<RankedTensorType>(result.getType());
    SmallVector<float> all;
    for (const Branch &branch : branches) {
      // To add -0.0 changes no number.
      if (!branch.bias) {
        all.append(branch.columns, -0.0f);
        continue;
      }
      ArrayRef<float> bias = weightFloats(branch.bias);
      if (bias.size() == 1)
        all.append(branch.columns, bias[0]);
      else
        llvm::append_range(all, bias);
    }
    Value bias = arith::ConstantOp::create(
        builder, loc,
        DenseElementsAttr::get(
            RankedTensorType::get({type.getDimSize(1)}, builder.getF32Type()),
            ArrayRef(all)));
    AffineMap identity = builder.getMultiDimIdentityMap(2),
              row = AffineMap::get(2, 0, builder.getAffineDimExpr(1));
    SmallVector<utils::IteratorType> kinds(2, utils::IteratorType::parallel);
    return linalg::GenericOp::create(
               builder, loc, type, ValueRange{result, bias}, empty,
               ArrayRef<AffineMap>{identity, row, identity}, kinds,
               [&](OpBuilder &inside, Location, ValueRange v) {
                 linalg::YieldOp::create(
                     inside, loc,
                     arith::AddFOp::create(inside, loc, v[0], v[1])
                         .getResult());
               })
        .getResult(0);
  }
};
} // namespace
} // namespace fulgur
