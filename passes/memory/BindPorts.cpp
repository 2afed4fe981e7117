// Turns @main from a function on tensors into one run of the model:
// `@main(%call: !llvm.ptr) -> i32`. Inputs and outputs become fulgur.buffer
// operations on the caller's memory, and what the outside must know of them
// becomes attributes of the module: fulgur.inputs and fulgur.outputs.
#include "dialects/States.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "passes/Dims.h"
#include "passes/Passes.h"
#include "passes/Port.h"

using namespace mlir;

namespace fulgur {
#define GEN_PASS_DEF_BINDPORTS
#include "passes/Passes.h.inc"

namespace {
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
          portOf(main.getArgAttrDict(i), main.getArgumentTypes()[i], module));
    for (unsigned i = 0; i < main.getNumResults(); ++i)
      outputs.push_back(
          portOf(main.getResultAttrDict(i), main.getResultTypes()[i], module));
    // By result: the argument that it is one buffer with, and this buffer.
    llvm::DenseMap<unsigned, unsigned> states;
    llvm::DenseMap<unsigned, Value> stateBuffers;
    for (unsigned i = 0; i < main.getNumArguments(); ++i)
      if (auto result = main.getArgAttrOfType<IntegerAttr>(i, kStateAttr))
        states[result.getInt()] = i;
    if (!states.empty())
      module->setAttr("fulgur.states", stateList(builder, states, main));
    module->setAttr("fulgur.inputs", builder.getArrayAttr(inputs));
    module->setAttr("fulgur.outputs", builder.getArrayAttr(outputs));

    unsigned count = main.getNumArguments();
    Value call = block.addArgument(pointer, loc);
    builder.setInsertionPointToStart(&block);
    for (unsigned i = 0; i < count; ++i) {
      SizedOp sized;
      for (Operation *user : block.getArgument(i).getUsers())
        if (auto found = dyn_cast<SizedOp>(user))
          sized = found;
      OpBuilder::InsertionGuard guard(builder);
      if (sized) // the dims are computed in front of it
        builder.setInsertionPoint(sized);
      FailureOr<SmallVector<OpFoldResult>> dims =
          dimsOf(builder, block.getArgument(i));
      if (failed(dims)) {
        main.emitError("argument ") << i << " has dims without names";
        return signalPassFailure();
      }
      auto type = cast<RankedTensorType>(block.getArgument(i).getType());
      auto state = main.getArgAttrOfType<IntegerAttr>(i, kStateAttr);
      Value buffer = makeBuffer(builder, loc, call,
                                state ? Segment::output : Segment::input,
                                state ? state.getInt() : i, type, *dims);
      Value tensor = bufferization::ToTensorOp::create(
          builder, loc, type, buffer, /*restrict=*/true,
          /*writable=*/bool(state));
      if (state)
        stateBuffers[state.getInt()] = buffer;
      if (sized)
        sized.erase();
      block.getArgument(i).replaceAllUsesWith(tensor);
    }

    auto ret = cast<func::ReturnOp>(block.getTerminator());
    builder.setInsertionPoint(ret);
    // All dims first: a value may be two results, and what is written in place
    // for one of them tells its dims no longer.
    SmallVector<SmallVector<OpFoldResult>> resultDims;
    for (auto [i, result] : llvm::enumerate(ret.getOperands())) {
      FailureOr<SmallVector<OpFoldResult>> dims = dimsOf(builder, result);
      if (failed(dims)) {
        ret.emitError("result ")
            << i << " has dims that are not functions of the model's symbols";
        return signalPassFailure();
      }
      resultDims.push_back(*dims);
    }
    auto store = [&](Value result, Value buffer) {
      bufferization::MaterializeInDestinationOp::create(
          builder, result.getLoc(), Type(), result, buffer, /*restrict=*/true,
          /*writable=*/true);
    };
    for (auto [i, result] : llvm::enumerate(ret.getOperands())) {
      if (states.contains(i))
        continue;
      auto type = cast<RankedTensorType>(result.getType());
      Value buffer = makeBuffer(builder, loc, call, Segment::output, i, type,
                                resultDims[i]);
      writeInPlace(builder, result, buffer);
      store(result, buffer);
    }
    // What is not written where it is already gets there last, when nothing
    // reads what was there before.
    for (auto [i, result] : llvm::enumerate(ret.getOperands())) {
      if (!states.contains(i))
        continue;
      Value source = sourceOf(result);
      for (auto [other, buffer] : stateBuffers)
        if (other != i && source == buffer) {
          ret.emitError("the new content of state ")
              << i << " is that of state " << other
              << ", which changes, too; this is not supported";
          return signalPassFailure();
        }
      store(result, stateBuffers[i]);
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
  /// [{input, output}, ...], by output; of scales also `scales_of`, an input.
  static ArrayAttr stateList(OpBuilder &builder,
                             const llvm::DenseMap<unsigned, unsigned> &states,
                             func::FuncOp main) {
    SmallVector<std::pair<unsigned, unsigned>> sorted(states.begin(),
                                                      states.end());
    llvm::sort(sorted);
    SmallVector<Attribute> list;
    for (auto [output, input] : sorted) {
      NamedAttrList state;
      state.set("input", builder.getI64IntegerAttr(input));
      state.set("output", builder.getI64IntegerAttr(output));
      if (Attribute codes = main.getArgAttr(input, kScalesOfAttr))
        state.set("scales_of", codes);
      list.push_back(state.getDictionary(builder.getContext()));
    }
    return builder.getArrayAttr(list);
  }

  /// The buffer of a port that `result` is a part of; null if it is none.
  static Value sourceOf(Value result) {
    while (isa_and_nonnull<tensor::ExpandShapeOp, tensor::CollapseShapeOp,
                           tensor::ExtractSliceOp, tensor::CastOp>(
        result.getDefiningOp()))
      result = result.getDefiningOp()->getOperand(0);
    auto port = result.getDefiningOp<bufferization::ToTensorOp>();
    return port ? port.getBuffer() : Value();
  }

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
    auto outOf = [](Value result) {
      return &cast<KernelOp>(result.getDefiningOp())
                  .getOutsMutable()[cast<OpResult>(result).getResultNumber()];
    };
    OpOperand *out = outOf(result);
    // What several kernels write one after the other is in the buffer from the
    // first one on.
    while (kernel.getKeeps() && out->get().hasOneUse() &&
           out->get().getDefiningOp<KernelOp>()) {
      kernel = out->get().getDefiningOp<KernelOp>();
      out = outOf(out->get());
    }
    if (!out->get().getDefiningOp<tensor::EmptyOp>())
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
    out->set(tensor);
  }

  /// Whether moving `op` and all that it needs before `place` changes nothing.
  static bool canStandBefore(Operation *op, Operation *place) {
    if (op->getBlock() != place->getBlock() || op->isBeforeInBlock(place))
      return true;
    return op != place &&
           (isa<bufferization::ToTensorOp, BufferOp>(op) || isPure(op)) &&
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
};
} // namespace
} // namespace fulgur
