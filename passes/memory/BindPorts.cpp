// Turns @main from a function on tensors into one run of the model:
// `@main(%call: !llvm.ptr) -> i32`. Inputs and outputs become fulgur.buffer
// operations on the caller's memory, and what the outside must know of them
// becomes attributes of the module: fulgur.inputs and fulgur.outputs.
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "passes/Dims.h"
#include "passes/Passes.h"

using namespace mlir;

namespace fulgur {
#define GEN_PASS_DEF_BINDPORTS
#include "passes/Passes.h.inc"

namespace {

/// ONNX's TensorProto.DataType of a signless element type.
int64_t onnxType(Type type) {
  if (type.isF32())
    return 1;
  if (type.isF64())
    return 11;
  if (type.isF16())
    return 10;
  if (type.isBF16())
    return 16;
  switch (type.getIntOrFloatBitWidth()) {
  case 1:
    return 9;
  case 8:
    return 3;
  case 16:
    return 5;
  case 32:
    return 6;
  default:
    return 7;
  }
}

struct BindPorts : impl::BindPortsBase<BindPorts> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    auto main = module.lookupSymbol<func::FuncOp>("main");
    if (!main)
      return;
    OpBuilder builder(&getContext());
    Location loc = main.getLoc();
    Block &block = main.getBody().front();
    auto pointer = LLVM::LLVMPointerType::get(&getContext());

    SmallVector<Attribute> inputs, outputs;
    for (unsigned i = 0; i < main.getNumArguments(); ++i)
      inputs.push_back(
          port(main.getArgAttrDict(i), main.getArgumentTypes()[i], module));
    for (unsigned i = 0; i < main.getNumResults(); ++i)
      outputs.push_back(
          port(main.getResultAttrDict(i), main.getResultTypes()[i], module));
    module->setAttr("fulgur.inputs", builder.getArrayAttr(inputs));
    module->setAttr("fulgur.outputs", builder.getArrayAttr(outputs));

    unsigned count = main.getNumArguments();
    Value call = block.addArgument(pointer, loc);
    builder.setInsertionPointToStart(&block);
    for (unsigned i = 0; i < count; ++i) {
      FailureOr<SmallVector<OpFoldResult>> dims =
          dimsOf(builder, block.getArgument(i));
      if (failed(dims)) {
        main.emitError("argument ") << i << " has dims without names";
        return signalPassFailure();
      }
      auto type = cast<RankedTensorType>(block.getArgument(i).getType());
      Value buffer =
          makeBuffer(builder, loc, call, Segment::input, i, type, *dims);
      Value tensor = bufferization::ToTensorOp::create(
          builder, loc, type, buffer, /*restrict=*/true, /*writable=*/false);
      block.getArgument(i).replaceAllUsesWith(tensor);
    }

    auto ret = cast<func::ReturnOp>(block.getTerminator());
    builder.setInsertionPoint(ret);
    for (auto [i, result] : llvm::enumerate(ret.getOperands())) {
      FailureOr<SmallVector<OpFoldResult>> dims = dimsOf(builder, result);
      if (failed(dims)) {
        ret.emitError("result ")
            << i << " has dims that are not functions of the model's symbols";
        return signalPassFailure();
      }
      auto type = cast<RankedTensorType>(result.getType());
      Value buffer =
          makeBuffer(builder, loc, call, Segment::output, i, type, *dims);
      writeInPlace(builder, result, buffer);
      bufferization::MaterializeInDestinationOp::create(
          builder, result.getLoc(), Type(), result, buffer, /*restrict=*/true,
          /*writable=*/true);
    }
    Value ok =
        arith::ConstantOp::create(builder, loc, builder.getI32IntegerAttr(0));
    func::ReturnOp::create(builder, loc, ok);
    ret.erase();
    block.eraseArguments(0, count);
    main.setType(builder.getFunctionType({pointer}, {builder.getI32Type()}));
    main.removeArgAttrsAttr();
    main.removeResAttrsAttr();
    main.setPrivate();
  }

private:
  static Value makeBuffer(OpBuilder &builder, Location loc, Value call,
                          Segment segment, int64_t position,
                          RankedTensorType type, ArrayRef<OpFoldResult> dims) {
    auto memref = MemRefType::get(type.getShape(), type.getElementType());
    Value at = arith::ConstantIndexOp::create(builder, loc, position);
    return BufferOp::create(builder, loc, memref, call, segment, at,
                            dynamicDims(builder, loc, type, dims));
  }

  /// Lets the kernel that computes `result`, perhaps seen through reshapes,
  /// write into the caller's buffer.
  static void writeInPlace(OpBuilder &builder, Value result, Value buffer) {
    SmallVector<Operation *> views;
    while (isa_and_nonnull<tensor::ExpandShapeOp, tensor::CollapseShapeOp>(
        result.getDefiningOp())) {
      views.push_back(result.getDefiningOp());
      result = result.getDefiningOp()->getOperand(0);
    }
    auto kernel = result.getDefiningOp<KernelOp>();
    if (!kernel)
      return;
    OpOperand &out =
        kernel.getOutsMutable()[cast<OpResult>(result).getResultNumber()];
    auto empty = out.get().getDefiningOp<tensor::EmptyOp>();
    if (!empty)
      return; // it already writes another output
    for (Operation *view : views) {
      if (auto expand = dyn_cast<tensor::ExpandShapeOp>(view)) {
        buffer = memref::CollapseShapeOp::create(
            builder, view->getLoc(), buffer, expand.getReassociationIndices());
        continue;
      }
      auto collapse = cast<tensor::CollapseShapeOp>(view);
      FailureOr<SmallVector<OpFoldResult>> dims =
          dimsOf(builder, collapse.getSrc());
      if (failed(dims))
        return;
      auto source = collapse.getSrcType();
      buffer = memref::ExpandShapeOp::create(
          builder, view->getLoc(),
          MemRefType::get(source.getShape(), source.getElementType()), buffer,
          collapse.getReassociationIndices(), *dims);
    }
    if (cast<MemRefType>(buffer.getType()).getShape() !=
        cast<RankedTensorType>(result.getType()).getShape())
      return;
    Value tensor = bufferization::ToTensorOp::create(
        builder, result.getLoc(), result.getType(), buffer, /*restrict=*/true,
        /*writable=*/true);
    // The buffer and its dims may stand before the kernel, unless one of them
    // is known only later.
    if (!canStandBefore(tensor.getDefiningOp(), kernel))
      return;
    hoistBefore(tensor.getDefiningOp(), kernel);
    out.set(tensor);
  }

  /// Whether moving `op` and all that it needs before `place` changes nothing.
  static bool canStandBefore(Operation *op, Operation *place) {
    if (op->getBlock() != place->getBlock() || op->isBeforeInBlock(place))
      return true;
    return op != place && (isa<bufferization::ToTensorOp>(op) || isPure(op)) &&
           llvm::all_of(op->getOperands(), [&](Value operand) {
             return !operand.getDefiningOp() ||
                    canStandBefore(operand.getDefiningOp(), place);
           });
  }

  static void hoistBefore(Operation *op, Operation *place) {
    if (op->getBlock() != place->getBlock() || op->isBeforeInBlock(place))
      return;
    op->moveBefore(place);
    for (Value operand : op->getOperands())
      if (Operation *producer = operand.getDefiningOp())
        hoistBefore(producer, op);
  }

  /// {name, dtype, dims, texts, symbols} of one input or output.
  static DictionaryAttr port(DictionaryAttr attributes, Type type,
                             ModuleOp module) {
    Builder b(module.getContext());
    auto tensor = cast<RankedTensorType>(type);
    SmallVector<int64_t> dims, symbols;
    SmallVector<StringRef> texts;
    auto names =
        attributes ? attributes.getAs<ArrayAttr>(kDimsAttr) : ArrayAttr();
    auto known = module->getAttrOfType<ArrayAttr>(kSymbolsAttr);
    for (auto [i, size] : llvm::enumerate(tensor.getShape())) {
      StringRef text = names ? cast<StringAttr>(names[i]).getValue() : "?";
      dims.push_back(ShapedType::isDynamic(size) ? -1 : size);
      texts.push_back(text);
      symbols.push_back(-1);
      if (known && ShapedType::isDynamic(size))
        for (auto [k, symbol] :
             llvm::enumerate(known.getAsRange<DictionaryAttr>()))
          if (symbol.getAs<StringAttr>("name").getValue() == text)
            symbols.back() = k;
    }
    auto name =
        attributes ? attributes.getAs<StringAttr>(kNameAttr) : StringAttr();
    auto dtype =
        attributes ? attributes.getAs<IntegerAttr>(kDTypeAttr) : IntegerAttr();
    return b.getDictionaryAttr(
        {b.getNamedAttr("name", name ? name : b.getStringAttr("")),
         b.getNamedAttr("dtype", dtype ? dtype
                                       : b.getI64IntegerAttr(onnxType(
                                             tensor.getElementType()))),
         b.getNamedAttr("dims", b.getI64ArrayAttr(dims)),
         b.getNamedAttr("texts", b.getStrArrayAttr(texts)),
         b.getNamedAttr("symbols", b.getI64ArrayAttr(symbols))});
  }
};
} // namespace
} // namespace fulgur
