// Moves transpositions of images through a function: see AssignLayouts.cpp.
#pragma once
#include "dialects/Fulgur.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/IR/LinalgInterfaces.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/IndexingUtils.h"
#include "mlir/IR/PatternMatch.h"

namespace fulgur {
using Permutation = llvm::SmallVector<int64_t>;

template <typename T>
llvm::SmallVector<T> permuted(llvm::ArrayRef<T> values,
                              llvm::ArrayRef<int64_t> permutation) {
  return mlir::applyPermutation(values, permutation);
}

/// The leftmost loop in the expression of a dim: of `place * stride + tap` the
/// place.
std::optional<unsigned> loopOf(mlir::AffineExpr expr);

/// The images of a function, and the transpositions between them.
class Layouts {
public:
  explicit Layouts(mlir::func::FuncOp function)
      : block(function.getBody().front()), rewriter(function.getContext()) {}

  /// Puts the channels of all convolutions last.
  void run();

private:
  /// Whether [batch, places..., channels] becomes what the model has, [batch,
  /// channels, places...], if `transpose`, or one in its place, permutes so.
  /// One dim of places is that of an image if it is expanded.
  static bool putsChannelsFirst(llvm::ArrayRef<int64_t> permutation,
                                mlir::Operation *transpose);
  /// The transpose that `value` comes out of and that may move down, or null.
  mlir::linalg::TransposeOp layoutOf(mlir::Value value);
  /// `value` with its dims permuted; two transposes in a row are one.
  mlir::FailureOr<mlir::Value> transposed(mlir::Value value,
                                          llvm::ArrayRef<int64_t> permutation);
  /// Replaces `op` by `result` in another order, which it is the transpose of.
  llvm::LogicalResult replace(mlir::Operation *op, mlir::Value result,
                              llvm::ArrayRef<int64_t> permutation);
  /// A transpose that only moves dims of size 1 is a reshape.
  void reshapeUnits(mlir::linalg::TransposeOp transpose);
  llvm::LogicalResult convert(mlir::linalg::LinalgOp op);
  /// Whether every so many-th element of a tensor is a result of `op`, perhaps
  /// with a bias: convolutions write such, products do not.
  static bool isPhase(mlir::Operation *op);
  /// The dims of a tensor with its channels last: batch, places, groups,
  /// channels.
  static Permutation
  channelsLast(mlir::AffineMap map,
               const mlir::linalg::ConvolutionDimensions &dims);
  /// A map whose results are permuted.
  static mlir::AffineMap reordered(mlir::AffineMap map,
                                   llvm::ArrayRef<int64_t> order);
  /// The generic with the body of `op` and only these loops; those that are
  /// missing have one iteration.
  mlir::linalg::GenericOp generic(mlir::linalg::LinalgOp op,
                                  llvm::ArrayRef<mlir::Value> inputs,
                                  mlir::Value init,
                                  llvm::ArrayRef<mlir::AffineMap> maps,
                                  llvm::ArrayRef<unsigned> loops);
  /// The weights without the dims of a window of one element, and the map that
  /// reads them.
  std::pair<mlir::Value, mlir::AffineMap>
  withoutWindow(mlir::Location loc, mlir::Value weights, mlir::AffineMap map,
                llvm::ArrayRef<unsigned> window);
  /// A collapsed tensor; of a weight the same bytes under another type.
  mlir::Value collapsed(mlir::Location loc, mlir::Value value,
                        llvm::ArrayRef<mlir::ReassociationIndices> groups);
  /// Whether the windows lie side by side in a tensor of known sizes, as in the
  /// embedding of an image's patches.
  static bool isPatches(mlir::linalg::LinalgOp op,
                        const mlir::linalg::ConvolutionDimensions &dims,
                        llvm::ArrayRef<int64_t> sizes);
  /// The elements of each window become one dim, and the convolution a product.
  llvm::LogicalResult
  convertPatches(mlir::linalg::LinalgOp op,
                 const mlir::linalg::ConvolutionDimensions &dims,
                 llvm::ArrayRef<int64_t> outOrder);
  /// Moves transposes from what `op` reads to what it gives.
  llvm::LogicalResult sink(mlir::Operation *op);
  /// Whether `op` moves parts of channels to the places that they become for a
  /// convolution.
  static bool isShuffle(mlir::linalg::TransposeOp op);
  llvm::LogicalResult sinkTranspose(mlir::linalg::TransposeOp op);
  /// Most of what is joined has to be transposed already.
  llvm::LogicalResult sinkConcat(mlir::tensor::ConcatOp op);
  /// Parts are transposed already, and so is what they are inserted into, or
  /// has no content yet.
  llvm::LogicalResult sinkInsertion(mlir::tensor::InsertSliceOp op);
  /// The padding of `op` around `source`, whose dims are those of the padded
  /// tensor in another order.
  mlir::Value padded(mlir::tensor::PadOp op, mlir::Value source,
                     llvm::ArrayRef<int64_t> order);
  llvm::LogicalResult sinkPad(mlir::tensor::PadOp op,
                              mlir::linalg::TransposeOp transpose);
  llvm::LogicalResult sinkSlice(mlir::tensor::ExtractSliceOp op,
                                mlir::linalg::TransposeOp transpose);
  llvm::LogicalResult sinkExpand(mlir::tensor::ExpandShapeOp op,
                                 mlir::linalg::TransposeOp transpose);
  /// Whether a convolution reads `value`, perhaps behind elementwise loops.
  static bool feedsConvolution(mlir::Value value);
  /// Pixels that become more pixels, of fewer channels, are moved once; then
  /// they have their channels last.
  llvm::LogicalResult shufflePixels(mlir::tensor::CollapseShapeOp op,
                                    mlir::linalg::TransposeOp transpose);
  /// Dims that become one have to be neighbours in the other order as well.
  llvm::LogicalResult sinkCollapse(mlir::tensor::CollapseShapeOp op,
                                   mlir::linalg::TransposeOp transpose);
  /// Structured operations read through maps, so a transpose of what they read
  /// disappears. The result gets the order of an operand that has all of its
  /// dims.
  llvm::LogicalResult sinkLinalg(mlir::linalg::LinalgOp op);
  /// A norm of groups of channels, see SinkNorms.cpp.
  llvm::LogicalResult sinkNorm(LayerNormOp op);
  /// The order in which the operand read through `map` has the result's dims;
  /// empty when it does not have all of them.
  static Permutation orderLike(mlir::AffineMap map,
                               llvm::ArrayRef<unsigned> outLoops);
  /// `op` with other operands and maps, its loops in the order of the result.
  llvm::LogicalResult rebuild(mlir::linalg::LinalgOp op,
                              llvm::ArrayRef<mlir::Value> inputs,
                              llvm::ArrayRef<mlir::Value> inits,
                              llvm::ArrayRef<mlir::AffineMap> maps,
                              llvm::ArrayRef<int64_t> order);
  /// The empty (or filled) tensor `init` with its dims in another order.
  mlir::FailureOr<mlir::Value> emptied(mlir::Value init,
                                       llvm::ArrayRef<int64_t> order);

  mlir::Block &block;
  mlir::IRRewriter rewriter;
  llvm::DenseSet<mlir::Operation *> layouts; ///< transposes that may move down
};
} // namespace fulgur
