// Products of quantized numbers are products of their integers. With
// a = (p - u) * s and b = (q - v) * t
//
//   sum of a * b = (sum of p * q - u * sum of (q - v) - v * sum of p) * s * t
//
// where the sum of products is exact in 32 bits, the sums of a weight are
// constants and a zero point of 0 leaves nothing to correct. What follows the
// product, such as a bias and the next quantization, stays elementwise and
// becomes its epilogue. The unsigned byte of the two is never the weight's.
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "passes/Convolution.h"
#include "passes/Dims.h"
#include "passes/Passes.h"
#include "passes/Remarks.h"
#include "passes/graph/Planes.h"
#include "passes/graph/Quantized.h"
#include "llvm/Support/CheckedArithmetic.h"

using namespace mlir;

namespace fulgur {
#define GEN_PASS_DEF_QUANTIZEPRODUCTS
#include "passes/Passes.h.inc"

namespace {

constexpr StringLiteral kName = "fulgur-quantize-products";

/// Sums of more products of differences of bytes may not fit 32 bits.
constexpr int64_t kLongestSum = INT32_MAX / (255 * 255);

/// So many bytes are multiplied at a time.
constexpr int64_t kDepth = 4;

bool isF32(Value value) {
  return getElementTypeOrSelf(value.getType()).isF32();
}

bool isI32(Value value) {
  return getElementTypeOrSelf(value.getType()).isInteger(32);
}

/// A product or convolution of f32 or i32 whose sums start from 0.
bool isProduct(linalg::LinalgOp op) {
  if (!op.hasPureTensorSemantics() || op->getNumOperands() != 3 ||
      (!llvm::all_of(op->getOperands(), isF32) &&
       !llvm::all_of(op->getOperands(), isI32)))
    return false;
  auto fill = op.getDpsInits()[0].getDefiningOp<linalg::FillOp>();
  if (!fill || (!matchPattern(fill.getInputs()[0], m_AnyZeroFloat()) &&
                !matchPattern(fill.getInputs()[0], m_Zero())))
    return false;
  return linalg::isaContractionOpInterface(op) || isConvolution(op);
}

/// The most that a size can be, if that is known.
std::optional<int64_t> bound(OpFoldResult size) {
  if (auto constant = getConstantIntValue(size))
    return constant;
  auto value = dyn_cast<Value>(size);
  Operation *op = value ? value.getDefiningOp() : nullptr;
  if (auto symbol = dyn_cast_or_null<SymbolOp>(op)) {
    auto symbols = op->getParentOfType<ModuleOp>()->getAttrOfType<ArrayAttr>(
        "fulgur.symbols");
    for (Attribute entry : symbols ? symbols.getValue() : ArrayRef<Attribute>())
      if (auto known = dyn_cast<DictionaryAttr>(entry);
          known && known.get("name") == symbol.getNameAttr())
        if (auto most = known.getAs<IntegerAttr>("max"))
          return most.getInt();
    return std::nullopt;
  }
  if (!isa_and_nonnull<arith::AddIOp, arith::MulIOp, arith::MinSIOp>(op))
    return std::nullopt;
  auto a = bound(op->getOperand(0)), b = bound(op->getOperand(1));
  if (isa<arith::MinSIOp>(op))
    return a && b ? std::min(*a, *b) : a ? a : b;
  if (!a || !b || *a < 0 || *b < 0)
    return std::nullopt;
  return isa<arith::AddIOp>(op) ? llvm::checkedAdd(*a, *b)
                                : llvm::checkedMul(*a, *b);
}

/// An operand of a product that is rewritten.
struct Operand {
  Quantized q;
  AffineMap map;    ///< from the product's loops
  Value integers{}; ///< in the order that the product reads
};

/// A number for each index of some loops of the product.
struct Factor {
  Value tensor; ///< null: `number`
  AffineMap map;
  double number = 0;
  int32_t offset = 0;      ///< added to a byte
  bool isUnsigned = false; ///< how a byte is extended
};

Value extended(OpBuilder &builder, Location loc, Value byte, bool isUnsigned) {
  Type type = builder.getI32Type();
  if (isUnsigned)
    return arith::ExtUIOp::create(builder, loc, type, byte);
  return arith::ExtSIOp::create(builder, loc, type, byte);
}

struct QuantizeProducts : impl::QuantizeProductsBase<QuantizeProducts> {
  void runOnOperation() override {
    flipped.clear();
    SmallVector<linalg::LinalgOp> products;
    getOperation().walk([&](linalg::LinalgOp op) {
      if (isProduct(op))
        products.push_back(op);
    });
    for (linalg::LinalgOp op : products)
      rewrite(op);
  }

private:
  void rewrite(linalg::LinalgOp op) {
    std::optional<Quantized> left = matchQuantized(op.getDpsInputs()[0]),
                             right = matchQuantized(op.getDpsInputs()[1]);
    bool isFloat = isF32(op.getDpsInputs()[0]);
    if (!left && !right)
      return;
    if (!left || !right)
      return remark(op, kName, "only one of its operands is quantized");
    SmallVector<AffineMap> maps = op.getIndexingMapsArray();
    Operand a{*left, maps[0]}, b{*right, maps[1]};
    if (StringRef reason = unsuitable(op, a, b, isFloat); !reason.empty())
      return remark(op, kName, reason);
    if (!build(op, a, b, isFloat))
      remark(op, kName, "the dims of an operand are not known");
  }

  /// Why the product cannot be one of integers; empty when it can.
  static StringRef unsuitable(linalg::LinalgOp op, const Operand &a,
                              const Operand &b, bool isFloat) {
    SmallVector<utils::IteratorType> kinds = op.getIteratorTypesArray();
    for (const Operand *operand : {&a, &b})
      for (int dim : {operand->q.scale.dim, operand->q.zero.dim}) {
        if (dim < 0)
          continue;
        auto loop = dyn_cast<AffineDimExpr>(operand->map.getResult(dim));
        if (!loop || kinds[loop.getPosition()] != utils::IteratorType::parallel)
          return "a scale or zero point changes along its sums";
      }
    // The sums of a window's input would be a pool of their own.
    if (!linalg::isaContractionOpInterface(op) &&
        (!b.q.constant || !zeroOfWeight(b.q).is(0)))
      return "the weights of a convolution have a zero point";
    if (isFloat && isConvolution(op) && channelsOf(op) % kDepth != 0 &&
        !planesOf(op, a) && !isDepthwise(op))
      return "its channels are not a multiple of four";
    // Integers wrap around, in both orders of the same sum.
    if (isFloat && !isShort(op, a.map))
      return "its sums may be too long for 32 bits";
    return {};
  }

  /// How many channels a convolution sums up, 1 if it has no loop over them.
  static int64_t channelsOf(linalg::LinalgOp op) {
    AffineMap input = op.getIndexingMapsArray()[0];
    int64_t channels = 1;
    for (auto [loop, size, kind] :
         llvm::enumerate(op.getStaticLoopRanges(), op.getIteratorTypesArray()))
      if (kind == utils::IteratorType::reduction &&
          llvm::is_contained(input.getResults(),
                             getAffineDimExpr(loop, op->getContext())))
        channels = size;
    return channels;
  }

  /// A convolution of each channel by itself, which lie side by side.
  static bool isDepthwise(linalg::LinalgOp op) {
    FailureOr<linalg::ConvolutionDimensions> dims =
        linalg::inferConvolutionDims(op);
    return succeeded(dims) && dims->depth.size() == 1 &&
           dims->inputChannel.empty() && dims->outputChannel.empty() &&
           op.getIndexingMapsArray()[0].getResults().back() ==
               getAffineDimExpr(dims->depth[0], op->getContext());
  }

  static std::optional<Planes> planesOf(linalg::LinalgOp op, const Operand &a) {
    if (a.q.constant || a.q.moves.size() > 1 || a.q.zero.scalar ||
        a.q.zero.numbers.size() != 1)
      return std::nullopt;
    auto pad = a.q.moves.empty() ? tensor::PadOp()
                                 : dyn_cast<tensor::PadOp>(a.q.moves[0]);
    if (!pad && !a.q.moves.empty())
      return std::nullopt;
    return matchPlanes(op, a.map, pad);
  }

  /// Puts the channels of an image last and fills them up to whole steps of the
  /// sums, and so those of the weights, with zeros.
  static bool joinPlanes(linalg::LinalgOp op, Operand &a, Operand &b,
                         Planes planes) {
    OpBuilder builder(op);
    Location loc = op.getLoc();
    Value filler = arith::ConstantIntOp::create(
        builder, loc, builder.getI8Type(), a.q.zero.numbers[0]);
    a.integers = fulgur::joinPlanes(builder, loc, a.q.source, planes, kDepth,
                                    filler, a.map);
    b.integers = moved(builder, b.q);
    if (!a.integers || !b.integers || planes.channels % kDepth == 0)
      return a.integers && b.integers;
    b.q.constant = fillChannels(b.q.constant, b.map, planes, kDepth);
    b.integers =
        arith::ConstantOp::create(builder, loc, cast<TypedAttr>(b.q.constant));
    return true;
  }

  /// The zero point of a constant when it is signed bytes.
  static Parameter<int32_t> zeroOfWeight(const Quantized &q) {
    Parameter<int32_t> zero = q.zero;
    for (int32_t &number : zero.numbers)
      number -= q.isUnsigned ? 128 : 0;
    return zero;
  }

  /// Whether 32 bits hold any of its sums.
  static bool isShort(linalg::LinalgOp op, AffineMap mapOfA) {
    OpBuilder builder(op);
    int64_t steps = 1;
    for (auto [loop, range, kind] : llvm::enumerate(
             op.getStaticLoopRanges(), op.getIteratorTypesArray())) {
      if (kind != utils::IteratorType::reduction)
        continue;
      std::optional<int64_t> size;
      if (!ShapedType::isDynamic(range)) {
        size = range;
      } else if (auto dims = dimsOf(builder, op.getDpsInputs()[0]);
                 succeeded(dims)) {
        for (auto [dim, expr] : llvm::zip(*dims, mapOfA.getResults()))
          if (expr == builder.getAffineDimExpr(loop))
            size = bound(dim);
      }
      auto product = size ? llvm::checkedMul(steps, *size) : std::nullopt;
      if (!product || *product > kLongestSum)
        return false;
      steps = *product;
    }
    return true;
  }

  bool build(linalg::LinalgOp op, Operand &a, Operand &b, bool isFloat) {
    OpBuilder builder(op);
    Location loc = op.getLoc();
    // One is unsigned, and one signed; constants are, which costs nothing.
    bool unsignedA = a.q.constant   ? false
                     : b.q.constant ? true
                                    : a.q.isUnsigned || !b.q.isUnsigned;
    Type i32 = builder.getI32Type();
    Value empty = emptyLike(builder, op.getDpsInits()[0], i32);
    if (!empty || !setUnsigned(a.q, unsignedA, flipped) ||
        !setUnsigned(b.q, !unsignedA, flipped))
      return false;
    std::optional<Planes> planes =
        isConvolution(op) ? planesOf(op, a) : std::nullopt;
    for (Operand *operand : {&a, &b}) {
      operand->map = withoutTranspose(operand->q, operand->map, builder);
      if (!planes && !(operand->integers = moved(builder, operand->q)))
        return false;
    }
    if (planes && !joinPlanes(op, a, b, *planes))
      return false;
    Value zero = arith::ConstantIntOp::create(builder, loc, i32, 0);
    Value init = linalg::FillOp::create(builder, loc, zero, empty).getResult(0);
    auto product = linalg::GenericOp::create(
        builder, loc, init.getType(), ValueRange{a.integers, b.integers}, init,
        ArrayRef<AffineMap>{a.map, b.map, op.getIndexingMapsArray().back()},
        op.getIteratorTypesArray(),
        [&](OpBuilder &inside, Location, ValueRange v) {
          Value term = arith::MulIOp::create(
              inside, loc, extended(inside, loc, v[0], a.q.isUnsigned),
              extended(inside, loc, v[1], b.q.isUnsigned));
          linalg::YieldOp::create(
              inside, loc,
              arith::AddIOp::create(inside, loc, v[2], term).getResult());
        });
    Value result = correct(op, product.getResult(0), a, b, isFloat);
    op->getResult(0).replaceAllUsesWith(result);
    op->erase();
    return true;
  }

  /// The sums without the zero points, and scaled.
  static Value correct(linalg::LinalgOp op, Value sums, const Operand &a,
                       const Operand &b, bool isFloat) {
    OpBuilder builder(op);
    Location loc = op.getLoc();
    // That of one operand is part of the sums which the other's is multiplied
    // with.
    const Operand &centred = a.q.constant ? a : b,
                  &other = a.q.constant ? b : a;
    std::optional<Factor> constant;
    SmallVector<std::pair<Factor, Factor>> terms;
    if (!other.q.zero.is(0)) {
      if (centred.q.constant && other.q.zero.numbers.size() == 1)
        constant = sumOfWeight(op, centred, -other.q.zero.numbers[0]);
      else if (centred.q.constant)
        terms.push_back({zeroOf(op, other), sumOfWeight(op, centred, 1)});
      else
        terms.push_back(timesSum(op, other, centred, /*withZero=*/true));
    }
    if (!centred.q.zero.is(0))
      terms.push_back(timesSum(op, centred, other, /*withZero=*/false));
    SmallVector<Factor> scales;
    if (isFloat)
      scales = scalesOf(op, a, b);
    else if (!constant && terms.empty())
      return sums;

    AffineMap out = op.getIndexingMapsArray().back(),
              identity = builder.getMultiDimIdentityMap(out.getNumResults());
    SmallVector<Value> inputs{sums};
    SmallVector<AffineMap> maps{identity};
    // The number of the operand that a factor is, or -1.
    auto operandFor = [&](const Factor &factor) -> int {
      if (!factor.tensor)
        return -1;
      inputs.push_back(factor.tensor);
      maps.push_back(inResult(factor.map, out));
      return int(inputs.size()) - 1;
    };
    int constantAt = constant ? operandFor(*constant) : -1;
    SmallVector<std::pair<int, int>> termsAt;
    for (auto &[zero, sum] : terms) {
      int zeroAt = operandFor(zero);
      termsAt.push_back({zeroAt, operandFor(sum)});
    }
    SmallVector<int> scalesAt = llvm::map_to_vector(scales, operandFor);
    maps.push_back(identity);
    Type type = isFloat ? Type(builder.getF32Type()) : builder.getI32Type();
    Value init = emptyLike(builder, op.getDpsInits()[0], type);
    SmallVector<utils::IteratorType> kinds(out.getNumResults(),
                                           utils::IteratorType::parallel);
    auto body = [&](OpBuilder &inside, Location, ValueRange v) {
      auto integer = [&](const Factor &factor, int at) -> Value {
        auto number = [&](int64_t n) {
          return arith::ConstantIntOp::create(inside, loc, inside.getI32Type(),
                                              n);
        };
        if (at < 0)
          return number(int64_t(factor.number));
        Value value = v[at];
        if (value.getType().isInteger(8))
          value = extended(inside, loc, value, factor.isUnsigned);
        return factor.offset ? arith::AddIOp::create(inside, loc, value,
                                                     number(factor.offset))
                             : value;
      };
      Value sum = v[0];
      if (constant)
        sum = arith::AddIOp::create(inside, loc, sum,
                                    integer(*constant, constantAt));
      for (auto [term, at] : llvm::zip(terms, termsAt)) {
        Value subtracted = integer(term.second, at.second);
        if (term.first.tensor || term.first.number != 1)
          subtracted = arith::MulIOp::create(
              inside, loc, integer(term.first, at.first), subtracted);
        sum = arith::SubIOp::create(inside, loc, sum, subtracted);
      }
      if (isFloat) {
        Value scale;
        for (auto [factor, at] : llvm::zip(scales, scalesAt)) {
          Value next =
              at >= 0 ? v[at]
                      : arith::ConstantOp::create(
                            inside, loc, inside.getF32FloatAttr(factor.number));
          scale =
              scale ? arith::MulFOp::create(inside, loc, scale, next) : next;
        }
        sum = arith::SIToFPOp::create(inside, loc, inside.getF32Type(), sum);
        sum = arith::MulFOp::create(inside, loc, sum, scale);
      }
      linalg::YieldOp::create(inside, loc, sum);
    };
    return linalg::GenericOp::create(builder, loc, init.getType(), inputs, init,
                                     maps, kinds, body)
        .getResult(0);
  }

  /// A map from the product's loops, from the dims of its result.
  static AffineMap inResult(AffineMap map, AffineMap out) {
    SmallVector<AffineExpr> exprs;
    for (AffineExpr expr : map.getResults()) {
      const auto *at = llvm::find(out.getResults(), expr);
      exprs.push_back(at == out.getResults().end()
                          ? getAffineConstantExpr(0, map.getContext())
                          : getAffineDimExpr(at - out.getResults().begin(),
                                             map.getContext()));
    }
    return AffineMap::get(out.getNumResults(), 0, exprs, map.getContext());
  }

  /// Constant numbers, one or for each index of a loop.
  template <typename T>
  static Factor tableOf(linalg::LinalgOp op, ArrayRef<T> numbers, Type element,
                        AffineExpr loop) {
    if (numbers.size() == 1)
      return {{}, {}, double(numbers[0])};
    OpBuilder builder(op);
    auto type = RankedTensorType::get(int64_t(numbers.size()), element);
    return {arith::ConstantOp::create(builder, op.getLoc(),
                                      DenseElementsAttr::get(type, numbers)),
            AffineMap::get(op.getNumLoops(), 0, loop)};
  }

  template <typename T>
  static Factor factorOf(linalg::LinalgOp op, const Parameter<T> &parameter,
                         AffineMap map, Type element) {
    if (parameter.scalar) {
      auto rank = cast<RankedTensorType>(parameter.scalar.getType()).getRank();
      SmallVector<AffineExpr> first(rank,
                                    getAffineConstantExpr(0, op->getContext()));
      return {parameter.scalar,
              AffineMap::get(op.getNumLoops(), 0, first, op->getContext())};
    }
    return tableOf(op, ArrayRef<T>(parameter.numbers), element,
                   map.getResult(std::max(parameter.dim, 0)));
  }

  static Factor zeroOf(linalg::LinalgOp op, const Operand &operand) {
    Factor zero = factorOf(op, operand.q.zero, operand.map,
                           IntegerType::get(op->getContext(), 32));
    if (operand.q.zero.scalar) {
      zero.offset = operand.q.zeroOffset;
      zero.isUnsigned = operand.q.zeroIsUnsigned;
    }
    return zero;
  }

  /// Both scales, as one where both are known.
  static SmallVector<Factor> scalesOf(linalg::LinalgOp op, const Operand &a,
                                      const Operand &b) {
    Type f32 = Float32Type::get(op->getContext());
    const Parameter<float> &s = a.q.scale, &t = b.q.scale;
    if (s.numbers.size() != 1 && t.numbers.size() != 1)
      return {factorOf(op, s, a.map, f32), factorOf(op, t, b.map, f32)};
    if (s.scalar || t.scalar)
      return {factorOf(op, s, a.map, f32), factorOf(op, t, b.map, f32)};
    const Operand &many = s.numbers.size() == 1 ? b : a;
    Parameter<float> both = many.q.scale;
    for (float &number : both.numbers)
      number *= s.numbers.size() == 1 ? s.numbers[0] : t.numbers[0];
    return {factorOf(op, both, many.map, f32)};
  }

  /// The loops of the operand that are the product's result's, and the others.
  static SmallVector<bool> isSummed(linalg::LinalgOp op, AffineMap map) {
    SmallVector<utils::IteratorType> kinds = op.getIteratorTypesArray();
    return llvm::map_to_vector(map.getResults(), [&](AffineExpr expr) {
      auto loop = dyn_cast<AffineDimExpr>(expr);
      return loop &&
             kinds[loop.getPosition()] == utils::IteratorType::reduction;
    });
  }

  /// The sums of a weight less its zero point, times `factor`.
  static Factor sumOfWeight(linalg::LinalgOp op, const Operand &operand,
                            int32_t factor) {
    ElementsAttr weight = operand.q.constant;
    ArrayRef<int64_t> shape = weight.getShapedType().getShape();
    SmallVector<int32_t> numbers = integersOf(weight, operand.q.isUnsigned);
    SmallVector<bool> summed = isSummed(op, operand.map);
    SmallVector<int64_t> kept;
    SmallVector<AffineExpr> exprs;
    for (auto [size, isSum, expr] :
         llvm::zip(shape, summed, operand.map.getResults()))
      if (!isSum) {
        kept.push_back(size);
        exprs.push_back(expr);
      }
    const Parameter<int32_t> &zero = operand.q.zero;
    std::vector<int32_t> sums(llvm::product_of(kept));
    SmallVector<int64_t> at(shape.size());
    for (int64_t k : llvm::seq(weight.getNumElements())) {
      int64_t place = 0;
      for (auto [index, size, isSum] : llvm::zip(at, shape, summed))
        if (!isSum)
          place = place * size + index;
      int32_t z = zero.numbers[zero.dim < 0 ? 0 : at[zero.dim]];
      // Wraps around, as sums do while running.
      sums[place] =
          int32_t(uint32_t(sums[place]) +
                  uint32_t(factor) *
                      uint32_t(numbers[numbers.size() == 1 ? 0 : k] - z));
      for (size_t dim = at.size(); dim-- > 0 && ++at[dim] == shape[dim];)
        at[dim] = 0;
    }
    OpBuilder builder(op);
    auto type = RankedTensorType::get(kept, builder.getI32Type());
    return {arith::ConstantOp::create(
                builder, op.getLoc(),
                DenseElementsAttr::get(type, ArrayRef<int32_t>(sums))),
            AffineMap::get(op.getNumLoops(), 0, exprs, op->getContext())};
  }

  /// The zero point of `point` and the sums of `summed`. One that is constant
  /// is multiplied with them right away.
  static std::pair<Factor, Factor> timesSum(linalg::LinalgOp op,
                                            const Operand &point,
                                            const Operand &summed,
                                            bool withZero) {
    Factor zero = zeroOf(op, point);
    if (zero.tensor)
      return {zero, sumOf(op, summed, 1, withZero)};
    return {Factor{{}, {}, 1},
            sumOf(op, summed, int32_t(zero.number), withZero)};
  }

  /// The same of what is not known yet, with its zero point or without.
  static Factor sumOf(linalg::LinalgOp op, const Operand &operand,
                      int32_t factor, bool withZero) {
    OpBuilder builder(op);
    Location loc = op.getLoc();
    Value integers = operand.integers;
    auto type = cast<RankedTensorType>(integers.getType());
    SmallVector<bool> summed = isSummed(op, operand.map);
    SmallVector<utils::IteratorType> kinds;
    SmallVector<AffineExpr> kept, exprs;
    SmallVector<OpFoldResult> sizes;
    auto dims = dimsOf(builder, integers);
    for (auto [dim, isSum] : llvm::enumerate(summed)) {
      kinds.push_back(isSum ? utils::IteratorType::reduction
                            : utils::IteratorType::parallel);
      if (isSum)
        continue;
      kept.push_back(builder.getAffineDimExpr(dim));
      exprs.push_back(operand.map.getResult(dim));
      sizes.push_back((*dims)[dim]);
    }
    Value zero =
        arith::ConstantIntOp::create(builder, loc, builder.getI32Type(), 0);
    Value empty =
        tensor::EmptyOp::create(builder, loc, sizes, builder.getI32Type());
    Value init = linalg::FillOp::create(builder, loc, zero, empty).getResult(0);
    SmallVector<Value> inputs{integers};
    SmallVector<AffineMap> maps{builder.getMultiDimIdentityMap(type.getRank())};
    const Parameter<int32_t> &offset = operand.q.zero;
    Factor point;
    if (withZero) {
      point = zeroOf(op, operand);
      if (point.tensor) {
        inputs.push_back(point.tensor);
        SmallVector<AffineExpr> at;
        for (AffineExpr expr : point.map.getResults())
          at.push_back(isa<AffineConstantExpr>(expr)
                           ? expr
                           : builder.getAffineDimExpr(offset.dim));
        maps.push_back(AffineMap::get(type.getRank(), 0, at, op->getContext()));
      }
    }
    maps.push_back(AffineMap::get(type.getRank(), 0, kept, op->getContext()));
    auto sum = linalg::GenericOp::create(
        builder, loc, init.getType(), inputs, init, maps, kinds,
        [&](OpBuilder &inside, Location, ValueRange v) {
          auto number = [&](int64_t n) {
            return arith::ConstantIntOp::create(inside, loc,
                                                inside.getI32Type(), n);
          };
          Value value = extended(inside, loc, v[0], operand.q.isUnsigned);
          if (withZero) {
            Value zero = point.tensor ? v[1] : number(int64_t(point.number));
            if (zero.getType().isInteger(8))
              zero = arith::AddIOp::create(
                  inside, loc, extended(inside, loc, zero, point.isUnsigned),
                  number(point.offset));
            value = arith::SubIOp::create(inside, loc, value, zero);
          }
          if (factor != 1)
            value = arith::MulIOp::create(inside, loc, value, number(factor));
          linalg::YieldOp::create(
              inside, loc,
              arith::AddIOp::create(inside, loc, v.back(), value).getResult());
        });
    return {sum.getResult(0),
            AffineMap::get(op.getNumLoops(), 0, exprs, op->getContext())};
  }

  FlippedBytes flipped;
};
} // namespace
} // namespace fulgur
