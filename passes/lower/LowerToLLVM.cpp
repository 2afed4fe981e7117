// The last step inside MLIR: every operation that is left becomes LLVM's, in
// one conversion with one type converter.
#include "dialects/Rounding.h"
#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/FuncToLLVM/ConvertFuncToLLVM.h"
#include "mlir/Conversion/IndexToLLVM/IndexToLLVM.h"
#include "mlir/Conversion/LLVMCommon/ConversionTarget.h"
#include "mlir/Conversion/LLVMCommon/MemRefBuilder.h"
#include "mlir/Conversion/LLVMCommon/Pattern.h"
#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/Conversion/MathToLLVM/MathToLLVM.h"
#include "mlir/Conversion/MemRefToLLVM/MemRefToLLVM.h"
#include "mlir/Conversion/UBToLLVM/UBToLLVM.h"
#include "mlir/Conversion/VectorToLLVM/ConvertVectorToLLVM.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "mlir/Transforms/WalkPatternRewriteDriver.h"
#include "passes/Passes.h"

using namespace mlir;

namespace fulgur {
#define GEN_PASS_DEF_LOWERTOLLVM
#include "passes/Passes.h.inc"

namespace {

/// Fields of fulgur_call, in its order.
enum CallField {
  kSymbols,
  kInputs,
  kOutputs,
  kArena,
  kWeights,
  kParallelFor,
  kExecutor,
  kOutputDims
};

Value loadField(OpBuilder &builder, Location loc, Value call, CallField field) {
  auto pointer = LLVM::LLVMPointerType::get(builder.getContext());
  Value at = LLVM::GEPOp::create(builder, loc, pointer, pointer, call,
                                 ArrayRef<LLVM::GEPArg>{int32_t(field)});
  return LLVM::LoadOp::create(builder, loc, pointer, at);
}

/// A descriptor over the caller's memory.
struct LowerBuffer : ConvertOpToLLVMPattern<BufferOp> {
  using ConvertOpToLLVMPattern::ConvertOpToLLVMPattern;
  LogicalResult
  matchAndRewrite(BufferOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    Location loc = op.getLoc();
    auto pointer = LLVM::LLVMPointerType::get(getContext());
    Value base;
    if (op.getSegment() == Segment::arena ||
        op.getSegment() == Segment::weights) {
      Value segment =
          loadField(rewriter, loc, adaptor.getCall(),
                    op.getSegment() == Segment::arena ? kArena : kWeights);
      base = LLVM::GEPOp::create(rewriter, loc, pointer, rewriter.getI8Type(),
                                 segment, adaptor.getPosition());
    } else {
      Value ports =
          loadField(rewriter, loc, adaptor.getCall(),
                    op.getSegment() == Segment::input ? kInputs : kOutputs);
      Value at = LLVM::GEPOp::create(rewriter, loc, pointer, pointer, ports,
                                     adaptor.getPosition());
      base = LLVM::LoadOp::create(rewriter, loc, pointer, at);
    }
    SmallVector<Value> sizes, strides;
    Value bytes;
    getMemRefDescriptorSizes(loc, op.getType(), adaptor.getSizes(), rewriter,
                             sizes, strides, bytes);
    Value descriptor = createMemRefDescriptor(loc, op.getType(), base, base,
                                              sizes, strides, rewriter);
    rewriter.replaceOp(op, descriptor);
    return success();
  }
};

/// The values that travel to a task, as a struct on the launching thread's
/// stack.
Type packedType(const TypeConverter &converter, MLIRContext *context,
                TypeRange types) {
  SmallVector<Type> members;
  for (Type type : types)
    members.push_back(converter.convertType(type));
  return LLVM::LLVMStructType::getLiteral(context, members);
}

struct LowerArguments : ConvertOpToLLVMPattern<ArgumentsOp> {
  using ConvertOpToLLVMPattern::ConvertOpToLLVMPattern;
  LogicalResult
  matchAndRewrite(ArgumentsOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    auto type = cast<LLVM::LLVMStructType>(
        packedType(*getTypeConverter(), getContext(), op.getResultTypes()));
    auto pointer = LLVM::LLVMPointerType::get(getContext());
    SmallVector<Value> values;
    for (auto [i, member] : llvm::enumerate(type.getBody())) {
      Value at = LLVM::GEPOp::create(rewriter, op.getLoc(), pointer, type,
                                     adaptor.getPacked(),
                                     ArrayRef<LLVM::GEPArg>{0, int32_t(i)});
      values.push_back(LLVM::LoadOp::create(rewriter, op.getLoc(), member, at));
    }
    rewriter.replaceOp(op, values);
    return success();
  }
};

struct LowerLaunch : ConvertOpToLLVMPattern<LaunchOp> {
  using ConvertOpToLLVMPattern::ConvertOpToLLVMPattern;
  LogicalResult
  matchAndRewrite(LaunchOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    Location loc = op.getLoc();
    auto type = packedType(*getTypeConverter(), getContext(),
                           op.getValues().getTypes());
    auto pointer = LLVM::LLVMPointerType::get(getContext());
    Value packed;
    {
      // One slot for the whole function, however often the launch runs.
      OpBuilder::InsertionGuard guard(rewriter);
      rewriter.setInsertionPointToStart(&op->getParentRegion()->front());
      Value one =
          LLVM::ConstantOp::create(rewriter, loc, rewriter.getI64Type(), 1);
      packed = LLVM::AllocaOp::create(rewriter, loc, pointer, type, one);
    }
    for (auto [i, value] : llvm::enumerate(adaptor.getValues())) {
      Value at = LLVM::GEPOp::create(rewriter, loc, pointer, type, packed,
                                     ArrayRef<LLVM::GEPArg>{0, int32_t(i)});
      LLVM::StoreOp::create(rewriter, loc, value, at);
    }
    Value task =
        LLVM::AddressOfOp::create(rewriter, loc, pointer, op.getTask());
    auto parallel =
        op->getParentOfType<ModuleOp>().lookupSymbol<LLVM::LLVMFuncOp>(
            "fulgur_parallel");
    rewriter.replaceOpWithNewOp<LLVM::CallOp>(
        op, parallel,
        ValueRange{adaptor.getCall(), adaptor.getCount(), task, packed});
    return success();
  }
};

/// fulgur_parallel(call, count, task, packed): on the executor, or a loop where
/// there is none or nothing to share.
void writeParallel(ModuleOp module) {
  OpBuilder builder = OpBuilder::atBlockBegin(module.getBody());
  Location loc = module.getLoc();
  auto pointer = LLVM::LLVMPointerType::get(module.getContext());
  Type i64 = builder.getI64Type(),
       none = LLVM::LLVMVoidType::get(module.getContext());
  auto function = LLVM::LLVMFuncOp::create(
      builder, loc, "fulgur_parallel",
      LLVM::LLVMFunctionType::get(none, {pointer, i64, pointer, pointer}),
      LLVM::Linkage::Internal);
  function.setNoInline(true);
  Block *entry = function.addEntryBlock(builder);
  Block *share = builder.createBlock(&function.getBody()),
        *head = builder.createBlock(&function.getBody(), {}, {i64}, {loc});
  Block *body = builder.createBlock(&function.getBody()),
        *done = builder.createBlock(&function.getBody());
  Value call = entry->getArgument(0), count = entry->getArgument(1),
        task = entry->getArgument(2), packed = entry->getArgument(3);

  builder.setInsertionPointToStart(entry);
  Value parallelFor = loadField(builder, loc, call, kParallelFor);
  Value null = LLVM::ZeroOp::create(builder, loc, pointer);
  Value zero = LLVM::ConstantOp::create(builder, loc, i64, 0),
        one = LLVM::ConstantOp::create(builder, loc, i64, 1);
  Value hasExecutor = LLVM::ICmpOp::create(
      builder, loc, LLVM::ICmpPredicate::ne, parallelFor, null);
  Value several =
      LLVM::ICmpOp::create(builder, loc, LLVM::ICmpPredicate::sgt, count, one);
  Value both = LLVM::AndOp::create(builder, loc, hasExecutor, several);
  LLVM::CondBrOp::create(builder, loc, both, share, ValueRange(), head,
                         ValueRange{zero});

  builder.setInsertionPointToStart(share);
  Value executor = loadField(builder, loc, call, kExecutor);
  LLVM::CallOp::create(
      builder, loc,
      LLVM::LLVMFunctionType::get(none, {pointer, i64, pointer, pointer}),
      ValueRange{parallelFor, executor, count, task, packed});
  LLVM::BrOp::create(builder, loc, ValueRange(), done);

  builder.setInsertionPointToStart(head);
  Value i = head->getArgument(0);
  Value more =
      LLVM::ICmpOp::create(builder, loc, LLVM::ICmpPredicate::slt, i, count);
  LLVM::CondBrOp::create(builder, loc, more, body, ValueRange(), done,
                         ValueRange());

  builder.setInsertionPointToStart(body);
  LLVM::CallOp::create(builder, loc,
                       LLVM::LLVMFunctionType::get(none, {pointer, i64}),
                       ValueRange{task, packed, i});
  Value next = LLVM::AddOp::create(builder, loc, i, one);
  LLVM::BrOp::create(builder, loc, ValueRange{next}, head);

  builder.setInsertionPointToStart(done);
  LLVM::ReturnOp::create(builder, loc, ValueRange());
}

/// Brings every alloca of fixed size to the front of its function: behind a
/// division, which the code generator may turn into branches, it would not be
/// part of the frame whose size is known.
void allocateFirst(ModuleOp module) {
  for (auto function : module.getOps<LLVM::LLVMFuncOp>()) {
    if (function.isExternal())
      continue;
    Block &entry = function.getBody().front();
    SmallVector<LLVM::AllocaOp> allocas(entry.getOps<LLVM::AllocaOp>());
    for (LLVM::AllocaOp alloca : allocas)
      if (auto size = alloca.getArraySize().getDefiningOp<LLVM::ConstantOp>()) {
        alloca->moveBefore(&entry, entry.begin());
        OpBuilder builder(alloca);
        alloca.getArraySizeMutable().assign(builder.clone(*size)->getResult(0));
      }
  }
}

/// Rounds by the target's instruction, which takes numbers too small for a
/// normal bfloat16 for 0.
struct RoundByInstruction : OpRewritePattern<arith::TruncFOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(arith::TruncFOp op,
                                PatternRewriter &rewriter) const override {
    Type from = op.getIn().getType(), to = op.getType();
    // LLVM makes a call of one that is no vector.
    auto vector = dyn_cast<VectorType>(to);
    if (!getElementTypeOrSelf(from).isF32() || !vector ||
        !vector.getElementType().isBF16())
      return rewriter.notifyMatchFailure(op, "is no rounding to bfloat16");
    Type bits = vector.clone(rewriter.getI16Type());
    Value rounded =
        LLVM::FPTruncOp::create(rewriter, op.getLoc(), to, op.getIn());
    rounded = LLVM::BitcastOp::create(rewriter, op.getLoc(), bits, rounded);
    rewriter.replaceOpWithNewOp<arith::BitcastOp>(op, to, rounded);
    return success();
  }
};

/// There is no arithmetic on bfloat16: it is computed in f32, and rounded by an
/// instruction or by a conversion that is expanded here, and not by one that
/// LLVM makes a call of.
LogicalResult computeInSingle(ModuleOp module, bool hasInstruction) {
  MLIRContext *context = module.getContext();
  TypeConverter converter;
  arith::populateEmulateUnsupportedFloatsConversions(
      converter, {BFloat16Type::get(context)}, Float32Type::get(context));
  RewritePatternSet patterns(context);
  arith::populateEmulateUnsupportedFloatsPatterns(patterns, converter);
  ConversionTarget target(*context);
  arith::populateEmulateUnsupportedFloatsLegality(target, converter);
  if (failed(applyPartialConversion(module, target, std::move(patterns))))
    return failure();
  RewritePatternSet roundings(context);
  arith::populateExpandBFloat16Patterns(roundings);
  if (hasInstruction)
    roundings.add<RoundByInstruction>(context, /*benefit=*/2);
  return applyPatternsGreedily(module, std::move(roundings));
}

/// A bfloat16 is only moved, and its bits are moved as an integer: without
/// instructions for the type, LLVM would take it for an f32 in between and call
/// a function that rounds.
struct BitsOfBFloat16 : OpRewritePattern<arith::ConstantOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(arith::ConstantOp op,
                                PatternRewriter &rewriter) const override {
    if (!getElementTypeOrSelf(op.getType()).isBF16())
      return failure();
    auto bits = [](const APFloat &x) { return x.bitcastToAPInt(); };
    TypedAttr value;
    if (auto number = dyn_cast<FloatAttr>(op.getValue()))
      value = rewriter.getIntegerAttr(rewriter.getI16Type(),
                                      bits(number.getValue()));
    else if (auto numbers = dyn_cast<DenseFPElementsAttr>(op.getValue()))
      value = cast<TypedAttr>(
          Attribute(numbers.mapValues(rewriter.getI16Type(), bits)));
    else
      return failure();
    Value constant = arith::ConstantOp::create(rewriter, op.getLoc(), value);
    rewriter.replaceOpWithNewOp<arith::BitcastOp>(op, op.getType(), constant);
    return success();
  }
};

/// A product and the sum that it goes into may become one operation: exacter,
/// and twice as fast. So they say, but for products that are to be rounded.
void allowContraction(ModuleOp module) {
  module.walk([](Operation *op) {
    auto arithmetic = dyn_cast<arith::ArithFastMathInterface>(op);
    if (!arithmetic || !isa<arith::AddFOp, arith::SubFOp, arith::MulFOp>(op) ||
        op->hasAttr(kRoundedAttr))
      return;
    op->setAttr(
        arithmetic.getFastMathAttrName(),
        arith::FastMathFlagsAttr::get(
            op->getContext(), arithmetic.getFastMathFlagsAttr().getValue() |
                                  arith::FastMathFlags::contract));
  });
}

/// Of zeros with different signs, a maximum may be either where one is a
/// constant: activations then take one instruction instead of three.
void ignoreSignOfZero(ModuleOp module) {
  module.walk([](Operation *op) {
    if (!isa<arith::MaximumFOp, arith::MinimumFOp>(op) ||
        llvm::none_of(op->getOperands(), [](Value operand) {
          return matchPattern(operand, m_AnyZeroFloat());
        }))
      return;
    auto arithmetic = cast<arith::ArithFastMathInterface>(op);
    op->setAttr(
        arithmetic.getFastMathAttrName(),
        arith::FastMathFlagsAttr::get(
            op->getContext(), arithmetic.getFastMathFlagsAttr().getValue() |
                                  arith::FastMathFlags::nsz));
  });
}

struct LowerToLLVM : impl::LowerToLLVMBase<LowerToLLVM> {
  using LowerToLLVMBase::LowerToLLVMBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    MLIRContext *context = &getContext();
    bool shares = false;
    module.walk([&](LaunchOp) { shares = true; });
    if (shares)
      writeParallel(module);
    allowContraction(module);
    ignoreSignOfZero(module);
    if (failed(computeInSingle(module, bf16)))
      return signalPassFailure();
    RewritePatternSet constants(context);
    constants.add<BitsOfBFloat16>(context);
    walkAndApplyPatterns(module, std::move(constants));
    LLVMTypeConverter converter(context);
    converter.addConversion([](BFloat16Type type) {
      return IntegerType::get(type.getContext(), 16);
    });
    RewritePatternSet patterns(context);
    patterns.add<LowerBuffer, LowerArguments, LowerLaunch>(converter);
    arith::populateArithExpandOpsPatterns(patterns);
    arith::populateArithToLLVMConversionPatterns(converter, patterns);
    cf::populateControlFlowToLLVMConversionPatterns(converter, patterns);
    index::populateIndexToLLVMConversionPatterns(converter, patterns);
    ub::populateUBToLLVMConversionPatterns(converter, patterns);
    populateFinalizeMemRefToLLVMConversionPatterns(converter, patterns);
    populateFuncToLLVMConversionPatterns(converter, patterns);
    populateMathToLLVMConversionPatterns(converter, patterns);
    populateVectorToLLVMConversionPatterns(converter, patterns);
    LLVMConversionTarget target(*context);
    target.addLegalOp<ModuleOp>();
    ConversionConfig config;
    config.allowPatternRollback = false; // none of these fails half-way
    if (failed(
            applyFullConversion(module, target, std::move(patterns), config)))
      return signalPassFailure();
    allocateFirst(module);
  }
};
} // namespace
} // namespace fulgur
