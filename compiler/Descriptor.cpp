// What a compiled model shows to the world: its descriptor and its functions,
// as LLVM IR.
#include "compiler/Descriptor.h"
#include "compiler/Failure.h"
#include "runtime/fulgur.h"
#include "llvm/IR/Constants.h"
#include "llvm/IR/IRBuilder.h"

using namespace llvm;
using namespace fulgur;

Symbols::Symbols(StringRef prefix)
    : prefix(prefix.str()), model((prefix + "_model").str()),
      planCall((prefix + "_plan").str()), runCall((prefix + "_run").str()),
      lastMessage((prefix + "_last_message").str()),
      drive((prefix + "__drive").str()), weights((prefix + "__weights").str()),
      weightsSpace((".bss." + prefix + "_weights").str()),
      weightsSection((".rodata." + prefix + "_weights").str()) {}

static std::string withPart(StringRef prefix, StringRef part, StringRef name) {
  return (prefix + (part.empty() ? "" : "__") + part + name).str();
}

std::string Symbols::plan(StringRef part) const {
  return withPart(prefix, part, "__plan");
}
std::string Symbols::run(StringRef part) const {
  return withPart(prefix, part, "__run");
}

namespace {

/// One field of a C struct: its value, and where fulgur.h says it is.
struct Field {
  size_t offset;
  Constant *value;
};
#define FIELD(type, name, value)                                               \
  Field { offsetof(type, name), value }

class Builder {
public:
  explicit Builder(Module &module)
      : module(module), context(module.getContext()),
        pointer(PointerType::getUnqual(context)) {}

  Constant *i32(int64_t value) {
    return ConstantInt::getSigned(Type::getInt32Ty(context), value);
  }
  Constant *i64(int64_t value) {
    return ConstantInt::getSigned(Type::getInt64Ty(context), value);
  }
  Constant *null() { return ConstantPointerNull::get(pointer); }

  /// A pointer to `text` as a C string.
  Constant *string(StringRef text) {
    Constant *&known = strings[text];
    if (!known) {
      auto *variable =
          constant(ConstantDataArray::getString(context, text), "text");
      variable->setAlignment(Align(1));
      known = variable;
    }
    return known;
  }

  /// A struct laid out as in fulgur.h: a field that would lie elsewhere is our
  /// mistake.
  Constant *record(ArrayRef<Field> fields, size_t bytes) {
    SmallVector<Constant *> values;
    for (const Field &field : fields)
      values.push_back(field.value);
    Constant *result = ConstantStruct::getAnon(context, values);
    const StructLayout *layout = module.getDataLayout().getStructLayout(
        cast<StructType>(result->getType()));
    sameLayout &= layout->getSizeInBytes() == bytes;
    for (auto [i, field] : enumerate(fields))
      sameLayout &= layout->getElementOffset(i) == field.offset;
    return result;
  }

  /// A pointer to an array of `records`, which all have one type; NULL when
  /// there are none.
  Constant *array(ArrayRef<Constant *> records, StringRef name) {
    if (records.empty())
      return null();
    return constant(
        ConstantArray::get(
            ArrayType::get(records[0]->getType(), records.size()), records),
        name);
  }

  GlobalVariable *constant(Constant *value, StringRef name) {
    return new GlobalVariable(module, value->getType(), /*isConstant=*/true,
                              GlobalValue::InternalLinkage, value, name);
  }

  Constant *port(const ModelInfo::Port &port) {
    SmallVector<Constant *> dims;
    for (const ModelInfo::Dim &dim : port.dims)
      dims.push_back(record({FIELD(fulgur_dim, value, i64(dim.value)),
                             FIELD(fulgur_dim, symbol, i32(dim.symbol)),
                             FIELD(fulgur_dim, text, string(dim.text))},
                            sizeof(fulgur_dim)));
    return record({FIELD(fulgur_port, name, string(port.name)),
                   FIELD(fulgur_port, dtype, i32(port.dtype)),
                   FIELD(fulgur_port, rank, i32(port.rank())),
                   FIELD(fulgur_port, dims, array(dims, "dims")),
                   FIELD(fulgur_port, element, ports(port.element, "element"))},
                  sizeof(fulgur_port));
  }

  Constant *ports(ArrayRef<ModelInfo::Port> ports, StringRef name) {
    SmallVector<Constant *> records;
    for (const ModelInfo::Port &each : ports)
      records.push_back(port(each));
    return array(records, name);
  }

  Constant *slots(ArrayRef<int32_t> slots, StringRef name) {
    SmallVector<Constant *> records;
    for (int32_t slot : slots)
      records.push_back(i32(slot));
    return array(records, name);
  }

  /// A function that the pipeline made and fulgur.h declares with
  /// `numArguments` pointers; null, and the name in `lacking`, when there is
  /// none.
  Function *function(const std::string &name, unsigned numArguments) {
    Function *function = module.getFunction(name);
    if (!function || function->isDeclaration())
      lacking = "the module does not define '" + name + "'";
    else if (function->arg_size() != numArguments ||
             !function->getReturnType()->isIntegerTy(32))
      lacking = "'" + name + "' has not the signature that fulgur.h says";
    return function;
  }

  /// A pointer to the program's record, which is constant.
  Constant *program(const ModelInfo::Program &program, const Symbols &symbols) {
    SmallVector<Constant *> parts;
    for (const ModelInfo::Part &part : program.parts) {
      Function *plan = function(symbols.plan(part.name), 3),
               *run = function(symbols.run(part.name), 1);
      if (!lacking.empty())
        return null();
      parts.push_back(
          record({FIELD(fulgur_part, n_inputs, i32(part.inputs.size())),
                  FIELD(fulgur_part, n_outputs, i32(part.outputs.size())),
                  FIELD(fulgur_part, n_messages, i32(part.messages.size())),
                  FIELD(fulgur_part, inputs, slots(part.inputs, "slots")),
                  FIELD(fulgur_part, outputs, slots(part.outputs, "slots")),
                  FIELD(fulgur_part, ports, ports(part.ports, "ports")),
                  FIELD(fulgur_part, messages, messages(part.messages)),
                  FIELD(fulgur_part, plan, plan), FIELD(fulgur_part, run, run)},
                 sizeof(fulgur_part)));
    }
    Function *drive = function(symbols.drive, 1);
    if (!lacking.empty())
      return null();
    return constant(
        record({FIELD(fulgur_program, n_slots, i32(program.slots)),
                FIELD(fulgur_program, n_parts, i32(program.parts.size())),
                FIELD(fulgur_program, parts, array(parts, "parts")),
                FIELD(fulgur_program, output_slots,
                      slots(program.outputSlots, "slots")),
                FIELD(fulgur_program, drive, drive)},
               sizeof(fulgur_program)),
        "program");
  }

  Constant *symbols(ArrayRef<ModelInfo::Symbol> symbols) {
    SmallVector<Constant *> records;
    for (const ModelInfo::Symbol &symbol : symbols)
      records.push_back(
          record({FIELD(fulgur_symbol, name, string(symbol.name)),
                  FIELD(fulgur_symbol, min, i64(symbol.min)),
                  FIELD(fulgur_symbol, max, i64(symbol.max)),
                  FIELD(fulgur_symbol, source, i32(symbol.source)),
                  FIELD(fulgur_symbol, input, i32(symbol.input)),
                  FIELD(fulgur_symbol, element, i64(symbol.element))},
                 sizeof(fulgur_symbol)));
    return array(records, "symbols");
  }

  Constant *states(ArrayRef<ModelInfo::State> states) {
    SmallVector<Constant *> records;
    for (const ModelInfo::State &state : states)
      records.push_back(record({FIELD(fulgur_state, input, i32(state.input)),
                                FIELD(fulgur_state, output, i32(state.output))},
                               sizeof(fulgur_state)));
    return array(records, "states");
  }

  Constant *messages(ArrayRef<std::string> messages) {
    SmallVector<Constant *> records;
    for (const std::string &message : messages)
      records.push_back(string(message));
    return array(records, "messages");
  }

  /// What a run calls, in the order of fulgur.h: plan, run, program.
  std::array<Constant *, 3> code(const ModelInfo &info,
                                 const Symbols &symbols) {
    if (info.program)
      return {null(), null(), program(*info.program, symbols)};
    std::array<Constant *, 3> code{function(symbols.plan(), 3),
                                   function(symbols.run(), 1), null()};
    return lacking.empty() ? code : std::array{null(), null(), null()};
  }

  Constant *variants(ArrayRef<CodeVariant> variants) {
    SmallVector<Constant *> records;
    for (const CodeVariant &variant : variants) {
      const ModelInfo &info = variant.info;
      auto [plan, run, program] = code(info, variant.symbols);
      records.push_back(record(
          {FIELD(fulgur_variant, name, string(variant.name)),
           FIELD(fulgur_variant, cpu_features, i64(variant.cpuFeatures)),
           FIELD(fulgur_variant, arena_bytes, i64(info.arenaBytes)),
           FIELD(fulgur_variant, n_messages, i32(info.messages.size())),
           FIELD(fulgur_variant, messages, messages(info.messages)),
           FIELD(fulgur_variant, plan, plan), FIELD(fulgur_variant, run, run),
           FIELD(fulgur_variant, program, program)},
          sizeof(fulgur_variant)));
    }
    return array(records, "variants");
  }

  /// Defines the public function `name` of `numArguments` pointers as a call of
  /// the runtime's `callee`.
  void forward(StringRef name, StringRef callee, Type *result,
               unsigned numArguments,
               function_ref<SmallVector<Value *>(Function &)> arguments) {
    SmallVector<Type *> types(numArguments, pointer);
    auto *function =
        Function::Create(FunctionType::get(result, types, false),
                         GlobalValue::ExternalLinkage, name, module);
    SmallVector<Value *> values = arguments(*function);
    SmallVector<Type *> valueTypes;
    for (Value *value : values)
      valueTypes.push_back(value->getType());
    IRBuilder<> builder(BasicBlock::Create(context, "entry", function));
    FunctionCallee runtime = module.getOrInsertFunction(
        callee, FunctionType::get(result, valueTypes, false));
    builder.CreateRet(builder.CreateCall(runtime, values));
  }

  Module &module;
  LLVMContext &context;
  PointerType *pointer;
  bool sameLayout = true;
  std::string lacking; ///< what the pipeline should have made

private:
  StringMap<Constant *> strings;
};

} // namespace

/// The space of the embedded weights. It is zero-filled and not constant for
/// LLVM, which then writes none of it out.
static Constant *weightsVariable(Builder &b, uint64_t bytes,
                                 const Symbols &symbols) {
  auto *type = ArrayType::get(Type::getInt8Ty(b.context), bytes);
  auto *variable = new GlobalVariable(
      b.module, type, /*isConstant=*/false, GlobalValue::ExternalLinkage,
      ConstantAggregateZero::get(type), symbols.weights);
  variable->setVisibility(GlobalValue::HiddenVisibility);
  variable->setAlignment(Align(FULGUR_ALIGNMENT));
  variable->setSection(symbols.weightsSpace);
  return variable;
}

Error fulgur::addDescriptor(Module &module, const ModelInfo &info,
                            const Symbols &symbols,
                            const DescriptorOptions &options) {
  Builder b(module);
  auto [plan, run, program] =
      b.code(info, options.variants.empty() ? symbols
                                            : options.variants.back().symbols);
  Constant *variants = b.variants(options.variants);
  if (!b.lacking.empty())
    return fail(ExitCode::internal, "internal error: " + b.lacking);
  for (const std::string &name : symbols.exported())
    if (module.getNamedValue(name))
      return fail(ExitCode::internal,
                  "internal error: the module already has a symbol '" + name +
                      "'");

  Constant *weights = options.embedWeights && info.weightsBytes
                          ? weightsVariable(b, info.weightsBytes, symbols)
                          : b.null();
  Constant *record =
      b.record({FIELD(fulgur_model, abi_version, b.i32(FULGUR_ABI_VERSION)),
                FIELD(fulgur_model, struct_bytes, b.i32(sizeof(fulgur_model))),
                FIELD(fulgur_model, name, b.string(info.name)),
                FIELD(fulgur_model, producer, b.string(options.producer)),
                FIELD(fulgur_model, target, b.string(options.target)),
                FIELD(fulgur_model, n_inputs, b.i32(info.inputs.size())),
                FIELD(fulgur_model, n_outputs, b.i32(info.outputs.size())),
                FIELD(fulgur_model, n_symbols, b.i32(info.symbols.size())),
                FIELD(fulgur_model, n_messages, b.i32(info.messages.size())),
                FIELD(fulgur_model, inputs, b.ports(info.inputs, "inputs")),
                FIELD(fulgur_model, outputs, b.ports(info.outputs, "outputs")),
                FIELD(fulgur_model, symbols, b.symbols(info.symbols)),
                FIELD(fulgur_model, messages, b.messages(info.messages)),
                FIELD(fulgur_model, embedded_weights, weights),
                FIELD(fulgur_model, weights_bytes, b.i64(info.weightsBytes)),
                FIELD(fulgur_model, weights_hash, b.i64(0)),
                FIELD(fulgur_model, cpu_features, b.i64(options.cpuFeatures)),
                FIELD(fulgur_model, stack_bytes, b.i64(0)),
                FIELD(fulgur_model, arena_bytes, b.i64(info.arenaBytes)),
                FIELD(fulgur_model, plan, plan),
                FIELD(fulgur_model, run, run),
                FIELD(fulgur_model, program, program),
                FIELD(fulgur_model, n_variants, b.i32(options.variants.size())),
                FIELD(fulgur_model, variants, variants),
                FIELD(fulgur_model, n_states, b.i32(info.states.size())),
                FIELD(fulgur_model, states, b.states(info.states))},
               sizeof(fulgur_model));
  if (!b.sameLayout)
    return fail(ExitCode::internal,
                "internal error: structs of runtime/fulgur.h are laid out "
                "differently on target '" +
                    module.getTargetTriple().str() + "'");
  auto *model =
      new GlobalVariable(module, record->getType(), /*isConstant=*/true,
                         GlobalValue::ExternalLinkage, record, symbols.model);
  model->setAlignment(Align(alignof(fulgur_model)));

  Constant *numInputs = b.i32(info.inputs.size()),
           *numOutputs = b.i32(info.outputs.size());
  Type *status = Type::getInt32Ty(b.context);
  b.forward(symbols.runCall, "fulgur_run", status, 3, [&](Function &f) {
    return SmallVector<Value *>{model,     f.getArg(0), f.getArg(1),
                                numInputs, f.getArg(2), numOutputs};
  });
  b.forward(symbols.planCall, "fulgur_plan", status, 3, [&](Function &f) {
    return SmallVector<Value *>{model,       f.getArg(0), numInputs,
                                f.getArg(1), numOutputs,  f.getArg(2)};
  });
  b.forward(symbols.lastMessage, "fulgur_last_message", b.pointer, 0,
            [](Function &) { return SmallVector<Value *>(); });
  return Error::success();
}
