#include "passes/kernel/builders/WinogradWeights.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace fulgur;

// The points are 0, 1, -1 and infinity.
static const double kInput2[] = {1, 0,  -1, 0, 0, 1, 1, 0,
                                 0, -1, 1,  0, 0, 1, 0, -1};
static const double kWeights2[] = {1,   0,    0,   0.5, 0.5, 0.5,
                                   0.5, -0.5, 0.5, 0,   0,   1};
static const double kOutput2[] = {1, 1, 1, 0, 0, 1, -1, -1};
// With two taps the same points, and the same Bᵀ, give one output more.
static const double kWeights3Of2[] = {1, 0, 0.5, 0.5, 0.5, -0.5, 0, 1};
static const double kOutput3Of2[] = {1, 1, 1, 0, 0, 1, -1, 0, 0, 1, 1, -1};
static const float kRestoring3Of2[] = {1, 0, 0, 0, 0, 0, 0, 1};
static const float kRestoring2[] = {1, 0, 0, 0, 0, 1, -1, 0, 0, 0, 0, 1};

// The points are 1/2, -1/2, 4/3, -4/3 and infinity: numbers that are rounded
// once they are transformed err by 1.4 times of what they do with m = 2, with
// 0, 1, -1 and 2 or 1/2 by 2.5 times of that. Denominators are in Aᵀ, where
// they cost nothing.
static const double kInput3[] = {
    -8 / 9., -16 / 9., 1 / 2.,    1, 0, -8 / 9., 16 / 9., 1 / 2., -1, 0,
    -1 / 3., -1 / 4.,  4 / 3.,    1, 0, -1 / 3., 1 / 4.,  4 / 3., -1, 0,
    4 / 9.,  0,        -73 / 36., 0, 1};
static const double kWeights3[] = {1,       1 / 2.,  1 / 4., 1,       -1 / 2.,
                                   1 / 4.,  1,       4 / 3., 16 / 9., 1,
                                   -4 / 3., 16 / 9., 0,      0,       1};
static const double kOutput3[] = {-36 / 55., -36 / 55., 27 / 110., 27 / 110.,
                                  0,         -18 / 55., 18 / 55.,  18 / 55.,
                                  -18 / 55., 0,         -9 / 55.,  -9 / 55.,
                                  24 / 55.,  24 / 55.,  1};
static const float kRestoring3[] = {0.5, 0.5, 0, 0, -0.25, 1, -1, 0,
                                    0,   0,   0, 0, 0,     0, 1};

// The points are 0, 2/3, -2/3, 3/2, -3/2 and infinity: errors are 0.35 of those
// with 0, 1, -1, 2, -2, and 0.7 of those with 0, 1, -1, 1/2, -2.
static const double kInput4[] = {
    1, 0,      -97 / 36., 0,       1, 0, 0, -3 / 2., -9 / 4., 2 / 3.,    1, 0,
    0, 3 / 2., -9 / 4.,   -2 / 3., 1, 0, 0, -2 / 3., -4 / 9., 3 / 2.,    1, 0,
    0, 2 / 3., -4 / 9.,   -3 / 2., 1, 0, 0, 1,       0,       -97 / 36., 0, 1};
static const double kWeights4[] = {1, 0,       0,      1, 2 / 3., 4 / 9.,
                                   1, -2 / 3., 4 / 9., 1, 3 / 2., 9 / 4.,
                                   1, -3 / 2., 9 / 4., 0, 0,      1};
static const double kOutput4[] = {
    1, -81 / 130., -81 / 130., 8 / 65.,  8 / 65.,   0,
    0, -27 / 65.,  27 / 65.,   12 / 65., -12 / 65., 0,
    0, -18 / 65.,  -18 / 65.,  18 / 65., 18 / 65.,  0,
    0, -12 / 65.,  12 / 65.,   27 / 65., -27 / 65., 1};
static const double kWeights5Of2[] = {1, 0,      1, 2 / 3.,  1, -2 / 3.,
                                      1, 3 / 2., 1, -3 / 2., 0, 1};
static const double kOutput5Of2[] = {
    1, -81 / 130., -81 / 130., 8 / 65.,   8 / 65.,   0,
    0, -27 / 65.,  27 / 65.,   12 / 65.,  -12 / 65., 0,
    0, -18 / 65.,  -18 / 65.,  18 / 65.,  18 / 65.,  0,
    0, -12 / 65.,  12 / 65.,   27 / 65.,  -27 / 65., 0,
    0, -8 / 65.,   -8 / 65.,   81 / 130., 81 / 130., 1};
static const float kRestoring5Of2[] = {1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
static const float kRestoring4[] = {1, 0, 0, 0, 0, 0, 0, 0.75, -0.75,
                                    0, 0, 0, 0, 0, 0, 0, 0,    1};

// With a stride of 2 the points are 0, 1 and infinity for what even elements
// are multiplied with, the first tap and the last; odd ones stay what they are.
static const double kInputOfStride[] = {1, 0, -1, 0, 0, 0, 0, 1, 0, 0, 0, 0, -1,
                                        0, 1, 0,  1, 0, 0, 0, 0, 0, 0, 1, 0};
static const double kWeightsOfStride[] = {1, 0, 0, 1, 0, 1, 0, 0,
                                          1, 0, 1, 0, 0, 1, 0};
static const double kOutputOfStride[] = {1, 1, 0, 1, 0, 0, 1, 1, 0, 1};
static const float kRestoringOfStride[] = {1, 0, 0, 0, 0, 0, 0, 0,
                                           1, 0, 0, 0, 1, 0, 0};

// Those of integers for bytes, see WinogradBytes.h. L has integers, too.
static const double kWeightsOfBytes[] = {6, 0, 0, 1, 1,  1, 1, -1, 1,
                                         1, 2, 4, 1, -2, 4, 0, 0,  1};
static const float kRestoringOfBytes[] = {0, 2, 0,  -1, 0, 2, 0, -1, 0,
                                          1, 0, -3, 0,  0, 0, 0, 0,  1};

const WinogradForm &fulgur::winogradForm(const Convolution &c,
                                         int64_t outputs) {
  static const WinogradForm forms[] = {
      {2, 3, kInput2, kWeights2, kOutput2, kRestoring2},
      {3, 3, kInput3, kWeights3, kOutput3, kRestoring3},
      {4, 3, kInput4, kWeights4, kOutput4, kRestoring4},
      {3, 2, kInput2, kWeights3Of2, kOutput3Of2, kRestoring3Of2},
      {5, 2, kInput4, kWeights5Of2, kOutput5Of2, kRestoring5Of2},
      {2, 3, kInputOfStride, kWeightsOfStride, kOutputOfStride,
       kRestoringOfStride, 2}};
  static const WinogradForm fourOfBytes{
      4, 3, {}, kWeightsOfBytes, {}, kRestoringOfBytes};
  if (c.isOfBytes()) {
    assert(outputs == 4 && "no other form is written down");
    return fourOfBytes;
  }
  return *llvm::find_if(forms, [&](const WinogradForm &form) {
    return form.outputs == outputs &&
           form.taps == c.size(c.plane()[0].window) &&
           form.stride == c.plane()[0].stride;
  });
}

SmallVector<float, 36> fulgur::transformWindow(const WinogradForm &form,
                                               ArrayRef<float> window) {
  int64_t size = form.size(), taps = form.taps;
  SmallVector<float, 36> result;
  for (int64_t row : llvm::seq(size))
    for (int64_t column : llvm::seq(size)) {
      double sum = 0;
      for (int64_t tap : llvm::seq(taps * taps))
        sum += form.weights[row * taps + tap / taps] *
               form.weights[column * taps + tap % taps] * window[tap];
      result.push_back(float(sum));
    }
  return result;
}

/// L, in numbers of `type`.
static DenseElementsAttr restoring(Type type, const WinogradForm &form) {
  auto matrix = RankedTensorType::get({form.taps, form.size()}, type);
  if (!type.isInteger()) {
    SmallVector<Attribute> factors;
    for (float factor : form.restoring)
      factors.push_back(FloatAttr::get(type, factor));
    return DenseElementsAttr::get(matrix, factors);
  }
  SmallVector<int8_t> factors(form.restoring.begin(), form.restoring.end());
  return DenseElementsAttr::get(matrix, ArrayRef<int8_t>(factors));
}

/// The maps of the generic: both Ls, the transformed weights, the weights.
static SmallVector<AffineMap> restoringMaps(const Convolution &c,
                                            MLIRContext *context) {
  auto loop = [&](unsigned ofConvolution) {
    unsigned dim =
        llvm::find(c.weightLoops, int(ofConvolution)) - c.weightLoops.begin();
    return getAffineDimExpr(dim, context);
  };
  unsigned rank = c.weightLoops.size();
  AffineExpr a = getAffineDimExpr(rank, context),
             b = getAffineDimExpr(rank + 1, context);
  auto map = [&](ArrayRef<AffineExpr> at) {
    return AffineMap::get(rank + 2, 0, at, context);
  };
  SmallVector<AffineExpr> transformed{a, b, loop(*c.filter)};
  if (c.hasFrames())
    transformed.push_back(loop(c.spatial[0].window));
  transformed.push_back(loop(*c.channel));
  return {map({loop(c.plane()[0].window), a}),
          map({loop(c.plane()[1].window), b}), map(transformed),
          AffineMap::getMultiDimIdentityMap(rank + 2, context)
              .getMajorSubMap(rank)};
}

Value fulgur::restoreWeights(OpBuilder &builder, Location loc,
                             const Convolution &c, const WinogradForm &form,
                             Value transformed, RankedTensorType type) {
  Value matrix = arith::ConstantOp::create(
      builder, loc, restoring(type.getElementType(), form));
  Value empty = tensor::EmptyOp::create(builder, loc, type.getShape(),
                                        type.getElementType());
  Value zero = arith::ConstantOp::create(
      builder, loc, builder.getZeroAttr(type.getElementType()));
  Value init = linalg::FillOp::create(builder, loc, zero, empty).getResult(0);
  SmallVector<utils::IteratorType> kinds(type.getRank(),
                                         utils::IteratorType::parallel);
  kinds.append(2, utils::IteratorType::reduction);
  auto restore = linalg::GenericOp::create(
      builder, loc, type, ValueRange{matrix, matrix, transformed}, init,
      restoringMaps(c, builder.getContext()), kinds,
      [](OpBuilder &b, Location loc, ValueRange v) {
        // Bytes are exact modulo 256.
        if (v[3].getType().isInteger()) {
          Value number = arith::TruncIOp::create(b, loc, v[3].getType(), v[2]);
          Value factor = arith::MulIOp::create(b, loc, v[0], v[1]);
          Value product = arith::MulIOp::create(b, loc, factor, number);
          Value sum = arith::AddIOp::create(b, loc, v[3], product);
          linalg::YieldOp::create(b, loc, sum);
          return;
        }
        Value factor = arith::MulFOp::create(b, loc, v[0], v[1]);
        Value product = arith::MulFOp::create(b, loc, factor, v[2]);
        Value sum = arith::AddFOp::create(b, loc, v[3], product);
        linalg::YieldOp::create(b, loc, sum);
      });
  return restore.getResult(0);
}

std::pair<Value, int64_t> fulgur::transformedWeights(const Convolution &c) {
  auto restore = c.weights.getDefiningOp<linalg::GenericOp>();
  if (!restore || restore.getNumDpsInputs() != 3 ||
      restore.getNumReductionLoops() != 2 || c.spatial.size() < 2 ||
      !c.filter || !c.channel || c.group ||
      c.weightLoops.size() != c.spatial.size() + 2 || c.plane()[0].stride > 2 ||
      restore.getIndexingMapsArray() != restoringMaps(c, restore.getContext()))
    return {};
  // No other generic takes two such matrices to such maps.
  Attribute left, right;
  if (!matchPattern(restore.getInputs()[0], m_Constant(&left)) ||
      !matchPattern(restore.getInputs()[1], m_Constant(&right)) ||
      left != right)
    return {};
  Type type = getElementTypeOrSelf(c.weights);
  SmallVector<int64_t> known{4};
  if (!c.isOfBytes())
    known = c.plane()[0].stride == 2           ? SmallVector<int64_t>{2}
            : c.size(c.plane()[0].window) == 2 ? SmallVector<int64_t>{3, 5}
                                               : SmallVector<int64_t>{2, 3, 4};
  for (int64_t outputs : known)
    if (left == restoring(type, winogradForm(c, outputs)))
      return {restore.getInputs()[2], outputs};
  return {};
}
