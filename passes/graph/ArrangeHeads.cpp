// Writes what attention reads head by head. Projections to queries, keys and
// values give rows of all heads, often of all three; a head's rows then lie so
// far apart that they share few places of the first-level cache, and what a
// model returns as its keys and values is copied once more. Here each part of
// such a product that attention reads becomes a product of its own, whose
// result is [heads, rows, elements of a head]: a panel of weights is a head.
#include "dialects/Fulgur.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/IndexingUtils.h"
#include "mlir/IR/Matchers.h"
#include "passes/Passes.h"
#include "passes/kernel/builders/Rows.h"

using namespace mlir;

namespace fulgur {
#define GEN_PASS_DEF_ARRANGEHEADS
#include "passes/Passes.h.inc"

namespace {

/// A head fills panels of weights: 16 lanes times 4 vectors.
constexpr int64_t kPanel = 64;
/// With fewer rows, products of all parts are faster together.
constexpr int64_t kFewestRows = 64;

/// The columns of a product that are one part, as heads, for example keys.
struct Part {
  int64_t from, heads, depth;
  SmallVector<int64_t> rows; ///< the dims in front

  bool operator==(const Part &) const = default;
};

/// A value [rows, heads, elements] that is a part.
struct Reading {
  Part part;
  Value value;
  bool isRounded;
};

bool hasStaticShape(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  return tensor && tensor.hasStaticShape();
}

class Projection {
public:
  explicit Projection(linalg::LinalgOp product) : product(product) {}

  /// Whether it is one of bfloat16 with a weight, all of whose results are
  /// parts, some for attention.
  bool matches() {
    auto maps = product.getIndexingMapsArray();
    auto weight = dyn_cast<RankedTensorType>(product->getOperand(1).getType());
    if (!product.hasPureTensorSemantics() || product.getNumLoops() != 3 ||
        !weight || !weight.getElementType().isBF16() ||
        !llvm::all_of(product->getOperandTypes(), hasStaticShape) ||
        !matchPattern(product->getOperand(1), m_Constant()) ||
        !product.getDpsInits()[0].getDefiningOp<linalg::FillOp>())
      return false;
    MLIRContext *context = product.getContext();
    AffineExpr row, column, step;
    bindDims(context, row, column, step);
    auto map = [&](AffineExpr x, AffineExpr y) {
      return AffineMap::get(3, 0, {x, y}, context);
    };
    isTransposed = maps[1] == map(column, step);
    if (maps[0] != map(row, step) || maps[2] != map(row, column) ||
        (!isTransposed && maps[1] != map(step, column)))
      return false;
    columns = weight.getDimSize(isTransposed ? 0 : 1);
    Value result = product->getResult(0);
    if (auto loop = result.hasOneUse()
                        ? dyn_cast<linalg::GenericOp>(*result.user_begin())
                        : linalg::GenericOp();
        loop && isEpilogue(loop)) {
      epilogue = loop;
      result = loop.getResult(0);
    }
    if (!find(result))
      return false;
    SmallVector<Part> parts;
    int64_t all = 0;
    bool isAttention = false;
    for (const Reading &reading : readings) {
      for (Operation *user : reading.value.getUsers())
        isAttention |= isa<AttentionOp>(user);
      if (llvm::is_contained(parts, reading.part))
        continue;
      parts.push_back(reading.part);
      all += reading.part.heads * reading.part.depth;
      if (reading.part.rows != readings[0].part.rows)
        return false;
    }
    return isAttention && all <= columns;
  }

  void rewrite() {
    SmallVector<std::pair<Part, std::pair<Value, Value>>> made;
    for (const Reading &reading : readings) {
      auto *known = llvm::find_if(
          made, [&](auto &entry) { return entry.first == reading.part; });
      if (known == made.end()) {
        bool isRounded = llvm::all_of(readings, [&](const Reading &other) {
          return other.isRounded || !(other.part == reading.part);
        });
        made.push_back({reading.part, multiply(reading.part, isRounded)});
        known = std::prev(made.end());
      }
      auto [result, rounded] = known->second;
      read(reading, reading.isRounded ? rounded : result);
    }
    for (Operation *op : views)
      op->erase();
    for (Operation *op : {rounding.getOperation(), epilogue.getOperation(),
                          product.getOperation()})
      if (op)
        op->erase();
  }

private:
  /// What only adds a bias to columns, and the like.
  bool isEpilogue(linalg::GenericOp loop) {
    if (loop.getNumResults() != 1 || loop.getNumLoops() != 2 ||
        loop.getNumParallelLoops() != 2 || isRoundingLoop(loop) ||
        !loop.getBody()->getOps<linalg::IndexOp>().empty())
      return false;
    AffineMap column =
        AffineMap::get(2, 0, getAffineDimExpr(1, loop.getContext()));
    for (OpOperand &operand : loop->getOpOperands()) {
      AffineMap map = loop.getMatchingIndexingMap(&operand);
      bool isPerColumn =
          map == column && matchPattern(operand.get(), m_Constant());
      if (!map.isIdentity() && !isPerColumn)
        return false;
      if (map.isIdentity() && !loop.isDpsInit(&operand) &&
          operand.get() != product->getResult(0))
        return false;
    }
    return loop.getDpsInits()[0].getDefiningOp<tensor::EmptyOp>() != nullptr;
  }

  /// All readings of the result.
  bool find(Value result) {
    for (Operation *user : result.getUsers()) {
      auto loop = dyn_cast<linalg::GenericOp>(user);
      if (!loop || !isRoundingLoop(loop))
        continue;
      if (rounding)
        return false;
      rounding = loop;
    }
    return follow(result, 0, /*isRounded=*/false) &&
           (!rounding || follow(rounding.getResult(0), 0, true));
  }

  bool follow(Value value, int64_t from, bool isRounded) {
    for (Operation *user : value.getUsers()) {
      if (user == rounding)
        continue;
      if (auto slice = dyn_cast<tensor::ExtractSliceOp>(user)) {
        auto type = cast<RankedTensorType>(value.getType());
        int64_t last = type.getRank() - 1;
        if (!slice.hasUnitStride() || !type.hasStaticShape() ||
            slice.getType().getRank() != type.getRank() ||
            slice.getType().getShape().drop_back() !=
                type.getShape().drop_back() ||
            ShapedType::isDynamic(slice.getStaticOffset(last)) ||
            !follow(slice.getResult(), from + slice.getStaticOffset(last),
                    isRounded))
          return false;
      } else if (auto expand = dyn_cast<tensor::ExpandShapeOp>(user)) {
        size_t inner = expand.getReassociationIndices().back().size();
        if (!expand.getType().hasStaticShape() ||
            (inner == 1 ? !follow(expand.getResult(), from, isRounded)
                        : !isPart(expand, from, isRounded)))
          return false;
      } else {
        return false;
      }
      views.push_back(user);
    }
    return true;
  }

  bool isPart(tensor::ExpandShapeOp expand, int64_t from, bool isRounded) {
    ArrayRef<int64_t> shape = expand.getType().getShape();
    if (expand.getReassociationIndices().back().size() != 2 ||
        shape.size() < 3 || shape.size() > 4 || shape.back() % kPanel != 0 ||
        shape[shape.size() - 3] < kFewestRows)
      return false;
    for (OpOperand &use : expand.getResult().getUses()) {
      Operation *user = use.getOwner();
      auto loop = dyn_cast<linalg::GenericOp>(user);
      bool isSum =
          loop && loop.getNumReductionLoops() > 0 &&
          llvm::all_of(loop.getMatchingIndexingMap(&use).getResults(),
                       llvm::IsaPred<AffineDimExpr, AffineConstantExpr>);
      if (!isa<linalg::TransposeOp>(user) && !isSum &&
          !(isa<AttentionOp>(user) && use.getOperandNumber() < 3))
        return false;
    }
    Part part{from, shape[shape.size() - 2], shape.back(),
              llvm::to_vector(shape.drop_back(2))};
    readings.push_back({part, expand.getResult(), isRounded});
    return true;
  }

  /// Some columns of what has them as dim `dim`, as heads.
  Value headsOf(OpBuilder &b, Value value, unsigned dim, const Part &part) {
    auto type = cast<RankedTensorType>(value.getType());
    SmallVector<OpFoldResult> offsets(type.getRank(), b.getIndexAttr(0)), sizes,
        strides(type.getRank(), b.getIndexAttr(1));
    SmallVector<int64_t> shape;
    SmallVector<ReassociationIndices> groups;
    for (auto [number, size] : llvm::enumerate(type.getShape())) {
      sizes.push_back(b.getIndexAttr(size));
      groups.push_back({int64_t(shape.size())});
      if (number != dim) {
        shape.push_back(size);
        continue;
      }
      groups.back().push_back(shape.size() + 1);
      shape.append({part.heads, part.depth});
    }
    offsets[dim] = b.getIndexAttr(part.from);
    sizes[dim] = b.getIndexAttr(part.heads * part.depth);
    Value slice = tensor::ExtractSliceOp::create(b, product.getLoc(), value,
                                                 offsets, sizes, strides);
    return tensor::ExpandShapeOp::create(
        b, product.getLoc(),
        RankedTensorType::get(shape, type.getElementType()), slice, groups);
  }

  /// The product for one part, if it is not only read rounded, and the same
  /// rounded, if there is a rounding; each [outer rows, heads, rows, elements].
  std::pair<Value, Value> multiply(const Part &part, bool onlyRounded) {
    OpBuilder b(epilogue ? epilogue.getOperation() : product.getOperation());
    Location loc = product.getLoc();
    Value rows = product->getOperand(0);
    if (part.rows.size() == 2) {
      auto type = cast<RankedTensorType>(rows.getType());
      rows = tensor::ExpandShapeOp::create(
          b, loc,
          RankedTensorType::get(
              {part.rows[0], part.rows[1], type.getDimSize(1)},
              type.getElementType()),
          rows, ArrayRef<ReassociationIndices>{{0, 1}, {2}});
    }
    Value weight =
        headsOf(b, product->getOperand(1), isTransposed ? 0 : 1, part);
    // Loops: perhaps outer rows, then heads, rows, elements, steps.
    unsigned outer = part.rows.size() - 1, loops = outer + 4;
    auto map = [&](ArrayRef<unsigned> dims) {
      return AffineMap::getMultiDimMapWithTargets(loops, dims, b.getContext());
    };
    SmallVector<unsigned> head{outer, outer + 1, outer + 2},
        rowDims{outer + 1, outer + 3};
    if (outer) {
      head.insert(head.begin(), 0);
      rowDims.insert(rowDims.begin(), 0);
    }
    AffineMap weightMap = isTransposed ? map({outer, outer + 2, outer + 3})
                                       : map({outer + 3, outer, outer + 2});
    SmallVector<utils::IteratorType> kinds(loops,
                                           utils::IteratorType::parallel);
    kinds.back() = utils::IteratorType::reduction;
    SmallVector<int64_t> shape(ArrayRef(part.rows).drop_back());
    shape.append({part.heads, part.rows.back(), part.depth});
    auto empty = [&](Value like) -> Value {
      return tensor::EmptyOp::create(b, loc, shape,
                                     getElementTypeOrSelf(like.getType()));
    };
    Value result = product->getResult(0);
    auto fill = product.getDpsInits()[0].getDefiningOp<linalg::FillOp>();
    Value init = linalg::FillOp::create(b, loc, fill.value(), empty(result))
                     .getResult(0);
    auto generic = linalg::GenericOp::create(
        b, loc, init.getType(), ValueRange{rows, weight}, init,
        ArrayRef<AffineMap>{map(rowDims), weightMap, map(head)}, kinds);
    IRMapping mapping;
    product->getRegion(0).cloneInto(&generic.getRegion(), mapping);
    result = generic.getResult(0);
    if (epilogue && onlyRounded && rounding) {
      Value narrow = empty(rounding.getResult(0));
      return {Value(), roundedHere(finish(b, epilogue, result, narrow, part))};
    }
    if (epilogue)
      result = finish(b, epilogue, result, empty(epilogue.getResult(0)), part);
    Value rounded;
    if (rounding)
      rounded = finish(b, rounding, result, empty(rounding.getResult(0)), part);
    return {result, rounded};
  }

  /// Makes a loop whose destination is narrower than what it yields round it.
  static Value roundedHere(Value result) {
    auto loop = result.getDefiningOp<linalg::GenericOp>();
    Operation *yield = loop.getBody()->getTerminator();
    Type narrow = getElementTypeOrSelf(result.getType());
    loop.getBody()->getArguments().back().setType(narrow);
    OpBuilder b(yield);
    yield->setOperand(0, arith::TruncFOp::create(b, loop.getLoc(), narrow,
                                                 yield->getOperand(0)));
    return result;
  }

  /// `loop` on the heads that are in `of`.
  static Value finish(OpBuilder &b, linalg::GenericOp loop, Value of,
                      Value empty, const Part &part) {
    int64_t rank = cast<RankedTensorType>(empty.getType()).getRank();
    AffineMap identity = b.getMultiDimIdentityMap(rank);
    SmallVector<Value> inputs;
    SmallVector<AffineMap> maps;
    for (OpOperand *operand : loop.getDpsInputOperands()) {
      if (loop.getMatchingIndexingMap(operand).isIdentity()) {
        inputs.push_back(of);
        maps.push_back(identity);
        continue;
      }
      auto type = cast<RankedTensorType>(operand->get().getType());
      Value slice = tensor::ExtractSliceOp::create(
          b, loop.getLoc(), operand->get(),
          ArrayRef<OpFoldResult>{b.getIndexAttr(part.from)},
          ArrayRef<OpFoldResult>{b.getIndexAttr(part.heads * part.depth)},
          ArrayRef<OpFoldResult>{b.getIndexAttr(1)});
      inputs.push_back(tensor::ExpandShapeOp::create(
          b, loop.getLoc(),
          RankedTensorType::get({part.heads, part.depth},
                                type.getElementType()),
          slice, ArrayRef<ReassociationIndices>{{0, 1}}));
      maps.push_back(AffineMap::getMultiDimMapWithTargets(
          rank, {unsigned(rank - 3), unsigned(rank - 1)}, b.getContext()));
    }
    maps.push_back(identity);
    SmallVector<utils::IteratorType> kinds(rank, utils::IteratorType::parallel);
    auto result = linalg::GenericOp::create(b, loop.getLoc(), empty.getType(),
                                            inputs, empty, maps, kinds);
    IRMapping mapping;
    loop->getRegion(0).cloneInto(&result.getRegion(), mapping);
    return result.getResult(0);
  }

  /// Who reads rows of heads reads heads of rows.
  static void read(const Reading &reading, Value heads) {
    int64_t rank = cast<RankedTensorType>(heads.getType()).getRank();
    SmallVector<int64_t> order = llvm::to_vector(llvm::seq<int64_t>(rank));
    std::swap(order[rank - 3], order[rank - 2]); // its own inverse
    auto reordered = [&](AffineMap map) {
      return AffineMap::get(
          map.getNumDims(), 0,
          applyPermutation(llvm::to_vector(map.getResults()), order),
          map.getContext());
    };
    for (OpOperand &use : llvm::make_early_inc_range(reading.value.getUses())) {
      Operation *user = use.getOwner();
      if (auto transpose = dyn_cast<linalg::TransposeOp>(user)) {
        SmallVector<int64_t> permutation;
        for (int64_t from : transpose.getPermutation())
          permutation.push_back(order[from]);
        OpBuilder b(transpose);
        if (isIdentityPermutation(permutation))
          transpose->replaceAllUsesWith(ValueRange{heads});
        else
          transpose->replaceAllUsesWith(linalg::TransposeOp::create(
              b, transpose.getLoc(), heads, transpose.getInit(), permutation));
        transpose->erase();
        continue;
      }
      unsigned number = use.getOperandNumber();
      use.set(heads);
      if (auto attention = dyn_cast<AttentionOp>(user)) {
        SmallVector<AffineMap> maps = attention.mapList();
        maps[number] = reordered(maps[number]);
        attention.setMapsAttr(OpBuilder(attention).getAffineMapArrayAttr(maps));
      } else {
        auto loop = cast<linalg::GenericOp>(user);
        SmallVector<AffineMap> maps = loop.getIndexingMapsArray();
        maps[number] = reordered(maps[number]);
        loop.setIndexingMapsAttr(OpBuilder(loop).getAffineMapArrayAttr(maps));
      }
    }
  }

  linalg::LinalgOp product;
  bool isTransposed = false;
  int64_t columns = 0;
  linalg::GenericOp epilogue{}; ///< may be null
  linalg::GenericOp rounding{}; ///< of the result, which others read as it is
  SmallVector<Reading> readings;
  SmallVector<Operation *> views; ///< users first
};

struct ArrangeHeads : impl::ArrangeHeadsBase<ArrangeHeads> {
  void runOnOperation() override {
    SmallVector<linalg::LinalgOp> products;
    getOperation().walk([&](linalg::LinalgOp op) {
      if (linalg::isaContractionOpInterface(op))
        products.push_back(op);
    });
    for (linalg::LinalgOp op : products)
      if (Projection projection(op); projection.matches())
        projection.rewrite();
  }
};
} // namespace
} // namespace fulgur
