// Keeps the rows of states as bytes: what a decoder reads most in every step,
// the keys and values of earlier tokens, becomes a quarter of it. A row, such
// as what one head has of one token, has a scale of its own, so it is quantized
// once, when it is appended. The scales are a state, too.
#include "dialects/Fulgur.h"
#include "dialects/States.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "passes/Dims.h"
#include "passes/Passes.h"
#include "passes/Remarks.h"
#include "passes/ScaledCodes.h"

using namespace mlir;

namespace fulgur {
#define GEN_PASS_DEF_QUANTIZESTATES
#include "passes/Passes.h.inc"

namespace {

/// A box of a tensor, and the same without its last dim, which it takes whole.
struct Box {
  SmallVector<OpFoldResult> offsets, sizes, strides;

  explicit Box(OffsetSizeAndStrideOpInterface op)
      : offsets(op.getMixedOffsets()), sizes(op.getMixedSizes()),
        strides(op.getMixedStrides()) {}
  Box rows() const {
    Box box(*this);
    for (auto *list : {&box.offsets, &box.sizes, &box.strides})
      list->pop_back();
    return box;
  }
};

/// Whether a slice takes or gives whole rows.
bool hasWholeRows(OffsetSizeAndStrideOpInterface op, RankedTensorType part,
                  RankedTensorType whole) {
  return part.getRank() == whole.getRank() &&
         isZeroInteger(op.getMixedOffsets().back()) && op.hasUnitStride() &&
         getConstantIntValue(op.getMixedSizes().back()) ==
             whole.getShape().back();
}

/// Rows as codes, and a scale for each: the largest of a row becomes 127. A row
/// that is nearly 0 becomes 0; of one that is not finite nothing is, since its
/// scale is not.
struct QuantizedRows {
  Value codes, scales;

  QuantizedRows(OpBuilder &b, Location loc, Value rows,
                ArrayRef<OpFoldResult> sizes) {
    auto type = cast<RankedTensorType>(rows.getType());
    unsigned rank = type.getRank();
    Type f32 = b.getF32Type();
    AffineMap all = b.getMultiDimIdentityMap(rank),
              row = all.dropResult(rank - 1);
    SmallVector<utils::IteratorType> loops(rank, utils::IteratorType::parallel),
        perRow(rank - 1, utils::IteratorType::parallel), folds(loops);
    folds.back() = utils::IteratorType::reduction;
    auto empty = [&](ArrayRef<int64_t> shape, Type element) -> Value {
      auto result = RankedTensorType::get(shape, element);
      return tensor::EmptyOp::create(
          b, loc, result,
          dynamicDims(b, loc, result, sizes.take_front(shape.size())));
    };
    auto real = [&](double value) -> Value {
      return arith::ConstantOp::create(b, loc, b.getF32FloatAttr(value));
    };
    Value zero = real(0), least = real(0x1p-120), steps = real(127),
          lowest = real(-127), step = real(1.0 / 127);
    Value none = empty(type.getShape().drop_back(), f32);
    Value greatest =
        linalg::GenericOp::create(
            b, loc, none.getType(), rows,
            linalg::FillOp::create(b, loc, zero, none).getResult(0),
            ArrayRef{all, row}, folds,
            [](OpBuilder &b, Location loc, ValueRange v) {
              Value size = math::AbsFOp::create(b, loc, v[0]);
              Value most = arith::MaximumFOp::create(b, loc, v[1], size);
              linalg::YieldOp::create(b, loc, most);
            })
            .getResult(0);
    AffineMap each = b.getMultiDimIdentityMap(rank - 1);
    scales = linalg::GenericOp::create(
                 b, loc, none.getType(), greatest, none, ArrayRef{each, each},
                 perRow,
                 [&](OpBuilder &b, Location loc, ValueRange v) {
                   Value scale = arith::MulFOp::create(b, loc, v[0], step);
                   linalg::YieldOp::create(b, loc, scale);
                 })
                 .getResult(0);
    Value bytes = empty(type.getShape(), b.getI8Type());
    codes = linalg::GenericOp::create(
                b, loc, bytes.getType(), ValueRange{rows, greatest}, bytes,
                ArrayRef{all, row, all}, loops,
                [&](OpBuilder &b, Location loc, ValueRange v) {
                  Value isLarge = arith::CmpFOp::create(
                      b, loc, arith::CmpFPredicate::OGE, v[1], least);
                  Value inverse = arith::SelectOp::create(
                      b, loc, isLarge,
                      arith::DivFOp::create(b, loc, steps, v[1]), zero);
                  Value code = math::RoundEvenOp::create(
                      b, loc, arith::MulFOp::create(b, loc, v[0], inverse));
                  // What is no number becomes one: any byte will do.
                  code = arith::MaxNumFOp::create(b, loc, code, lowest);
                  code = arith::MinNumFOp::create(b, loc, code, steps);
                  code = arith::FPToSIOp::create(b, loc, b.getI8Type(), code);
                  linalg::YieldOp::create(b, loc, code);
                })
                .getResult(0);
  }
};

struct QuantizeStates : impl::QuantizeStatesBase<QuantizeStates> {
  void runOnOperation() override {
    func::FuncOp main = getOperation();
    for (unsigned number : llvm::seq(main.getNumArguments()))
      if (main.getArgAttr(number, kStateAttr) && failed(quantize(number)))
        return signalPassFailure();
  }

private:
  /// Makes the state of this argument two, of codes and of scales.
  LogicalResult quantize(unsigned number) {
    func::FuncOp main = getOperation();
    BlockArgument state = main.getArgument(number);
    auto type = cast<RankedTensorType>(state.getType());
    unsigned result =
        main.getArgAttrOfType<IntegerAttr>(number, kStateAttr).getInt();
    Operation *results = main.getBody().front().getTerminator();
    auto append =
        results->getOperand(result).getDefiningOp<tensor::InsertSliceOp>();
    if (!append || append.getDest() != state ||
        !type.getElementType().isF32() || type.getRank() < 2 ||
        type.isDynamicDim(type.getRank() - 1) ||
        !hasWholeRows(append, append.getSourceType(), type)) {
      auto name = main.getArgAttrOfType<StringAttr>(number, kNameAttr);
      remark(append ? append.getOperation() : main.getOperation(),
             getArgument(),
             (name ? "'" + name.str() + "'" : "a state") +
                 " stays as it is: it is no cache of rows of f32, of a known "
                 "length, that the model appends to at one place for all "
                 "sequences");
      return success();
    }

    // The ports.
    OpBuilder b(append);
    Location loc = append.getLoc();
    auto bytes = type.clone(b.getI8Type());
    auto perRow =
        RankedTensorType::get(type.getShape().drop_back(), b.getF32Type());
    unsigned added = main.getNumArguments(), addedResult = main.getNumResults();
    SmallVector<DictionaryAttr> inputs, outputs;
    main.getAllArgAttrs(inputs);
    main.getAllResultAttrs(outputs);
    DictionaryAttr inputAttrs = scaleAttrs(number, inputs),
                   outputAttrs = scaleAttrs(result, outputs);
    if (failed(main.insertArgument(added, perRow, inputAttrs, loc)) ||
        failed(main.insertResult(addedResult, perRow, outputAttrs)))
      return failure();
    main.setArgAttr(added, kStateAttr, b.getI64IntegerAttr(addedResult));
    main.setArgAttr(added, kScalesOfAttr, b.getI64IntegerAttr(number));
    Value codes = main.getArgument(number), scales = main.getArgument(added);

    // The rows that are appended. Until all is rewritten, `state` stands for
    // the numbers.
    Value source = append.getSource();
    FailureOr<SmallVector<OpFoldResult>> dims = dimsOf(b, source);
    if (failed(dims))
      return append.emitOpError("appends rows of unknown dims");
    QuantizedRows rows(b, source.getLoc(), source, *dims);
    Box box(append), rowBox = box.rows();
    auto before = llvm::to_vector(llvm::make_pointer_range(state.getUses()));
    auto after =
        llvm::to_vector(llvm::make_pointer_range(append.getResult().getUses()));
    state.setType(bytes);
    Value newCodes = tensor::InsertSliceOp::create(
        b, loc, rows.codes, codes, box.offsets, box.sizes, box.strides);
    Value newScales = tensor::InsertSliceOp::create(
        b, loc, rows.scales, scales, rowBox.offsets, rowBox.sizes,
        rowBox.strides);
    for (OpOperand *use : before)
      if (use->getOwner() != append)
        read(*use, type, codes, scales);
    for (OpOperand *use : after)
      if (use->getOwner() != results)
        read(*use, type, newCodes, newScales);
    results->setOperand(result, newCodes);
    results->insertOperands(addedResult, newScales);
    append.erase();
    SmallVector<Type> arguments(main.getArgumentTypes()),
        types(main.getResultTypes());
    arguments[number] = types[result] = bytes;
    main.setType(b.getFunctionType(arguments, types));
    return success();
  }

  /// What the port of the scales of port `number` is called, and its dims:
  /// those of the codes but the last.
  DictionaryAttr scaleAttrs(unsigned number, ArrayRef<DictionaryAttr> ports) {
    auto nameOf = [](DictionaryAttr port) {
      return port ? port.getAs<StringAttr>(kNameAttr) : StringAttr();
    };
    Builder b(&getContext());
    NamedAttrList list;
    if (StringAttr codes = nameOf(ports[number])) {
      std::string name = codes.str() + ".scale";
      while (llvm::any_of(ports, [&](DictionaryAttr port) {
        return nameOf(port) == b.getStringAttr(name);
      }))
        name += "_";
      list.set(kNameAttr, b.getStringAttr(name));
    }
    if (auto dims = ports[number] ? ports[number].getAs<ArrayAttr>(kDimsAttr)
                                  : ArrayAttr())
      list.set(kDimsAttr, b.getArrayAttr(dims.getValue().drop_back()));
    return list.getDictionary(&getContext());
  }

  /// Lets `use`, which has read numbers of `type`, read them through a loop
  /// that makes them of codes and scales: all of them, or those that a slice
  /// takes.
  void read(OpOperand &use, RankedTensorType type, Value codes, Value scales) {
    Operation *user = use.getOwner();
    OpBuilder b(user);
    Location loc = user->getLoc();
    auto slice = dyn_cast<tensor::ExtractSliceOp>(user);
    if (slice && hasWholeRows(slice, slice.getType(), type)) {
      Box box(slice), rowBox = box.rows();
      auto part = slice.getType();
      Value codesThere = tensor::ExtractSliceOp::create(
          b, loc, part.clone(b.getI8Type()), codes, box.offsets, box.sizes,
          box.strides);
      Value scalesThere = tensor::ExtractSliceOp::create(
          b, loc,
          RankedTensorType::get(part.getShape().drop_back(), b.getF32Type()),
          scales, rowBox.offsets, rowBox.sizes, rowBox.strides);
      slice.replaceAllUsesWith(
          scaleRows(b, loc, codesThere, scalesThere, box.sizes));
      slice.erase();
      return;
    }
    FailureOr<SmallVector<OpFoldResult>> dims = dimsOf(b, codes);
    assert(succeeded(dims) && "the dims of a state are known");
    for (OpFoldResult &dim : *dims)
      if (!getConstantIntValue(dim))
        dim = getValueOrCreateConstantIndexOp(b, loc, dim);
    use.set(scaleRows(b, loc, codes, scales, *dims));
    remark(
        user, getArgument(),
        "reads a state in another way than by whole rows: it becomes numbers "
        "in memory first");
  }
};
} // namespace
} // namespace fulgur
