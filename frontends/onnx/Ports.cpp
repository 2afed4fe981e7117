// What a model takes and gives: dims, states, and what ports are called.
#include "dialects/Fulgur.h"
#include "frontends/onnx/Driver.h"
#include "frontends/onnx/Importer.h"
#include "frontends/onnx/Packing.h"

using namespace mlir;
using namespace fulgur;
using namespace fulgur::onnx;

/// The size of an input's dim that the model writes as `text`.
Extent Importer::inputDim(StringRef input, size_t axis, StringRef text) {
  Atoms scratch;
  std::string own = (input + "." + Twine(axis)).str();
  Extent parsed = text.empty() ? scratch.symbol(own) : scratch.parse(text);
  if (parsed.constant())
    return parsed;
  bool plain =
      parsed.atom() && scratch[*parsed.atom()].kind == Atoms::Kind::symbol;
  std::string name = plain ? scratch[*parsed.atom()].name : text.str();
  if (sizes.atoms.hasSymbol(name))
    return sizes.atoms.simplify(sizes.atoms.symbol(name));
  auto range = options.dims.find(name);
  ImportOptions::Range limits =
      range == options.dims.end() ? ImportOptions::Range() : range->second;
  (plain ? symbols : expressions).push_back(name);
  Extent symbol = sizes.atoms.symbol(name, limits.min, limits.max);
  if (limits.min == limits.max)
    sizes.atoms.unite(symbol, limits.min);
  return sizes.atoms.simplify(symbol);
}

/// Inside a model, ranks have no limit.
void Importer::refuseRank(StringRef role, StringRef name, int64_t rank) {
  if (rank > kMaxPortRank)
    core().unsupported(role + " '" + name + "' has " + Twine(rank) +
                       " dims, but inputs and outputs can have " +
                       Twine(kMaxPortRank) +
                       "; reshape it inside the model, or split it");
}

Shape Importer::inputShape(const ::onnx::ValueInfoProto &input) {
  const ::onnx::TypeProto &type = input.type();
  if (!type.has_tensor_type())
    core().unsupported("input '" + Twine(input.name()) + "' is not a tensor");
  if (!type.tensor_type().has_shape())
    core().unsupported("input '" + Twine(input.name()) +
                       "' has no shape; give one with --shape");
  auto given = options.shapes.find(input.name());
  const ::onnx::TensorShapeProto &dims = type.tensor_type().shape();
  refuseRank("input", input.name(), dims.dim_size());
  if (given != options.shapes.end() &&
      int(given->second.size()) != dims.dim_size())
    core().fail("--shape gives input '" + Twine(input.name()) + "' " +
                Twine(given->second.size()) + " dims; the model gives it " +
                Twine(dims.dim_size()));
  Shape shape;
  for (int k = 0; k < dims.dim_size(); ++k) {
    const auto &dim = dims.dim(k);
    std::string text =
        dim.has_dim_value() ? std::to_string(dim.dim_value()) : dim.dim_param();
    if (given != options.shapes.end() && given->second[k] != "?") {
      if (dim.has_dim_value() && text != given->second[k])
        core().fail("--shape gives dim " + Twine(k) + " of input '" +
                    input.name() + "' the size " + given->second[k] +
                    "; the model fixes it to " + text);
      text = given->second[k];
    }
    shape.push_back(inputDim(input.name(), k, text));
    auto room = growing.find(input.name());
    if (shape.back().atom() && (room == growing.end() || room->second != k))
      dimNames.insert(sizes.atoms[*shape.back().atom()].name);
  }
  return shape;
}

State *Importer::stateOf(StringRef input) {
  auto state =
      llvm::find_if(states, [&](State &s) { return s.input == input; });
  return state == states.end() ? nullptr : &*state;
}

/// The size of a state's buffer along its axis; states with as many rows have
/// as much room.
Extent Importer::capacityOf(StringRef input, int64_t axis, const Extent &rows) {
  bool plain = rows.atom() &&
               !llvm::is_contained(expressions, sizes.atoms[*rows.atom()].name);
  return inputDim(input, axis,
                  plain ? sizes.atoms[*rows.atom()].name + "_capacity"
                        : "capacity");
}

/// The symbol, computed from a dim of an input that is a sum with it.
std::optional<Extent> Importer::solve(StringRef name,
                                      const ImportOptions::Range &range) {
  for (const std::string &text : expressions) {
    Atoms scratch;
    SmallVector<std::string> names;
    scratch.symbolsOf(scratch.parse(text), names);
    if (!dimNames.contains(text) || !llvm::is_contained(names, name) ||
        !llvm::all_of(names, [&](const std::string &other) {
          return other == name || dimNames.contains(other);
        }))
      continue;
    Extent symbol = sizes.atoms.symbol(name),
           others = sizes.atoms.parse(text) - symbol;
    if (sizes.atoms.contains(others, *symbol.atom()))
      continue;
    Extent all = sizes.atoms.symbol(text), least = others + range.min;
    sizes.requireAtLeast(all, least,
                         "'" + text + "' must be at least '" +
                             sizes.atoms.text(least) + "'",
                         file);
    if (range.max != Atoms::kMax)
      sizes.requireAtLeast(others + range.max, all,
                           "'" + text + "' must be at most '" +
                               sizes.atoms.text(others + range.max) + "'",
                           file);
    return all - others;
  }
  return std::nullopt;
}

/// Says how many rows of a state are in use, which its dims do not any more: a
/// dim of another input does, or else an input of its own.
void Importer::giveRows(const State &state) {
  const Extent &rows = state.rows;
  if (!rows.atom())
    return;
  Atoms::Atom symbol = sizes.atoms[*rows.atom()];
  ImportOptions::Range range{std::max<int64_t>(symbol.lower, 0), symbol.upper};
  if (!dimNames.insert(symbol.name).second)
    return;
  computed.insert(symbol.name);
  if (std::optional<Extent> solved = solve(symbol.name, range)) {
    sizes.atoms.unite(rows, *solved);
    return;
  }
  OpBuilder &builder = program.builder;
  std::string port = symbol.name;
  while (graph.values.contains(port))
    port += "_";
  NamedAttrList attributes;
  attributes.set(kNameAttr, builder.getStringAttr(port));
  attributes.set(kDimsAttr, builder.getArrayAttr({}));
  Value number =
      program.addInput(RankedTensorType::get({}, builder.getI64Type()),
                       attributes.getDictionary(builder.getContext()));
  // Such a number is not limited by memory, as a dim is.
  sizes.inputValues.push_back(
      {symbol.name, cast<BlockArgument>(number).getArgNumber(), 0, range.min,
       std::min<int64_t>(range.max, INT32_MAX)});
}

/// Inputs whose dims are sums of others are checked to be that.
void Importer::tieExpressions() {
  for (const std::string &text : expressions) {
    Atoms scratch;
    SmallVector<std::string> names;
    scratch.symbolsOf(scratch.parse(text), names);
    if (llvm::all_of(names, [&](const std::string &name) {
          return llvm::is_contained(symbols, name);
        }))
      core().requireEqual(sizes.atoms.symbol(text), sizes.atoms.parse(text));
  }
}

void Importer::checkDims() {
  for (const auto &entry : options.dims)
    if (!llvm::is_contained(symbols, entry.first()) &&
        !llvm::is_contained(expressions, entry.first()))
      core().fail("--dim names '" + entry.first() +
                  "', but the symbolic dims of the model's inputs are: " +
                  (symbols.empty() ? "none" : llvm::join(symbols, ", ")));
}

void Importer::checkShapes() {
  for (const auto &entry : options.shapes)
    if (!graph.values.contains(entry.first()))
      core().fail("--shape names '" + entry.first() +
                  "', which is not an input of the model");
}

/// What a type says of a sequence, an optional, or a tensor without a shape.
static Tensor opaque(const Core &core, Value value, ::onnx::TypeProto type) {
  bool optional = type.has_optional_type();
  if (optional)
    type = ::onnx::TypeProto(type.optional_type().elem_type());
  bool sequence = type.has_sequence_type();
  if (sequence)
    type = ::onnx::TypeProto(type.sequence_type().elem_type());
  if (!type.has_tensor_type())
    core.unsupported("values that are neither tensors, sequences of tensors "
                     "nor optionals of them are not supported");
  Tensor result(value, DType(type.tensor_type().elem_type()), {});
  result.sequence = sequence;
  result.optional = optional;
  result.ranked = type.tensor_type().has_shape();
  result.shape.resize(type.tensor_type().shape().dim_size());
  return result;
}

Tensor Importer::importInput(const ::onnx::ValueInfoProto &input) {
  OpBuilder &builder = program.builder;
  NamedAttrList attributes;
  attributes.set(kNameAttr, builder.getStringAttr(input.name()));
  if (!input.type().has_tensor_type()) {
    program.split();
    Tensor kind = opaque(core(), Value(), input.type());
    describe(attributes, kind);
    Tensor result(
        program.addInput({}, attributes.getDictionary(builder.getContext())),
        kind.type, kind.shape);
    result.sequence = kind.sequence;
    result.optional = kind.optional;
    result.ranked = kind.ranked;
    return result;
  }
  Shape shape = inputShape(input), whole = shape;
  DType type = DType(input.type().tensor_type().elem_type());
  if (!mlirType(type, builder.getContext()))
    core().unsupported("input '" + Twine(input.name()) + "' is of type " +
                       name(type) +
                       ", which is not supported; convert it before the "
                       "model, or export the model with another type");
  State *state = stateOf(input.name());
  if (state)
    attributes.set(kStateAttr, builder.getI64IntegerAttr(state->position));
  auto room = growing.find(input.name());
  if (room != growing.end()) {
    state->axis = room->second;
    state->rows = shape[*state->axis];
    whole[*state->axis] = capacityOf(input.name(), *state->axis, state->rows);
  }
  SmallVector<std::string> texts;
  for (Extent &size : whole)
    texts.push_back(sizes.atoms.text(size));
  attributes.set(kDimsAttr, dimTexts(whole, texts));
  if (needsName(type) || isPacked(type))
    attributes.set(kDTypeAttr, builder.getI64IntegerAttr(int64_t(type)));
  RankedTensorType port = core().typeOf(whole, type);
  if (isPacked(type)) { // arrives as its bytes
    if (program.isSplit())
      core().unsupported("input '" + Twine(input.name()) + "' of type " +
                         name(type) +
                         " is not supported behind inputs that are no "
                         "tensors; bring it to the front");
    attributes.set(kPackedAttr, packedAttr(Tensor(Value(), type, shape)));
    port = core().typeOf({packedBytes(core(), type, shape)}, DType::u8);
  }
  Value value =
      program.addInput(port, attributes.getDictionary(builder.getContext()));
  Tensor tensor = isPacked(type) ? unpack(core(), value, type, shape)
                                 : Tensor(value, type, whole);
  if (state)
    state->port = tensor;
  return tensor;
}

/// The bits of an element and the dims, for kPackedAttr.
DenseI64ArrayAttr Importer::packedAttr(const Tensor &x) {
  SmallVector<int64_t> content{int64_t(bitWidth(x.type))};
  llvm::append_range(content, core().typeOf(x.shape, x.type).getShape());
  return program.builder.getDenseI64ArrayAttr(content);
}

/// The bytes of an output whose elements share them.
Value Importer::packedOutput(StringRef name, size_t position, const Tensor &x) {
  bool isRuntime = llvm::any_of(
      x.shape, [&](const Extent &size) { return sizes.atoms.isRuntime(size); });
  if (isRuntime || program.isSplit())
    core().unsupported("output '" + name + "' of type " +
                       fulgur::onnx::name(x.type) +
                       " is not supported where sizes depend on data or the "
                       "graph branches; cast it to int8");
  SmallVector<Value> dynamic;
  for (const Extent &size : x.shape)
    if (!size.constant())
      dynamic.push_back(core().index(size));
  Value bytes = pack(core(), x);
  PackedOutputOp::create(program.builder, file, position,
                         core().typeOf(x.shape, x.type).getShape(), dynamic);
  return bytes;
}

void Importer::importInputs() {
  for (const ::onnx::TensorProto &tensor : model->graph().initializer())
    graph.initializers[tensor.name()] = &tensor;
  SmallVector<const ::onnx::ValueInfoProto *> inputs;
  SmallVector<std::string> names, outputs;
  for (const ::onnx::ValueInfoProto &input : model->graph().input())
    if (!graph.initializers.contains(
            input.name())) { // an input with a default value is a constant
      inputs.push_back(&input);
      names.push_back(input.name());
    }
  for (const ::onnx::ValueInfoProto &output : model->graph().output())
    outputs.push_back(output.name());
  states = matchStates(core(), options.states, names, outputs);
  for (const ::onnx::ValueInfoProto *input : inputs)
    graph.values[input->name()] = importInput(*input);
  for (const State &state : states)
    if (state.axis)
      giveRows(state);
  tieExpressions();
  for (const State &state : states) // what the model knows of them
    if (state.axis)
      graph.values[state.input] = core().slice(
          state.port, *state.axis, 0, sizes.atoms.simplify(state.rows));
  for (auto [number, name] : llvm::enumerate(names))
    if (valued.contains(number))
      nameElements(core(), graph.values[name], number, name);
  checkShapes();
  if (states.empty())
    checkDims();
}

/// The kind of a port that is no plain tensor.
void Importer::describe(NamedAttrList &attributes, const Tensor &x) {
  OpBuilder &builder = program.builder;
  attributes.set("fulgur.sequence", builder.getBoolAttr(x.sequence));
  attributes.set("fulgur.optional", builder.getBoolAttr(x.optional));
  attributes.set(kDTypeAttr, builder.getI64IntegerAttr(int64_t(x.type)));
  attributes.set("fulgur.rank",
                 builder.getI64IntegerAttr(x.ranked ? x.rank() : -1));
}

/// Sizes as text: numbers where they are known, what was written otherwise.
ArrayAttr Importer::dimTexts(ArrayRef<Extent> shape,
                             ArrayRef<std::string> written) {
  SmallVector<Attribute> texts;
  for (auto [size, text] : llvm::zip(shape, written)) {
    Extent simple = sizes.atoms.simplify(size);
    texts.push_back(program.builder.getStringAttr(
        simple.constant() ? sizes.atoms.text(simple) : text));
  }
  return program.builder.getArrayAttr(texts);
}

/// What an output is: where it is one buffer with an input, all of the buffer.
Tensor Importer::storeState(StringRef output, const Tensor &x) {
  auto state =
      llvm::find_if(states, [&](State &s) { return s.output == output; });
  if (state == states.end())
    return x;
  if (growing.empty())
    if (std::optional<int64_t> axis = growingAxis(core(), *state, x))
      grown.axes[state->input] = *axis;
  return fulgur::onnx::storeState(core(), *state, x);
}

void Importer::importOutputs() {
  here = file;
  OpBuilder &builder = program.builder;
  SmallVector<Tensor> outputs;
  for (const ::onnx::ValueInfoProto &output : model->graph().output()) {
    outputs.push_back(lookUp(output.name()));
    if (Tensor &x = outputs.back();
        x.optional && !output.type().has_optional_type()) {
      Core core = this->core();
      Tensor whole = core.inside(step(core, "optional_get", core.outside(x)),
                                 x.type, x.shape);
      whole.sequence = x.sequence;
      whole.ranked = x.ranked;
      x = whole;
    }
    if (!outputs.back().isTensor())
      program.split();
  }
  for (auto [position, output] : llvm::enumerate(model->graph().output()))
    outputs[position] = storeState(output.name(), outputs[position]);
  if (!grown.axes.empty())
    throw grown;
  if (!states.empty()) // only now it is known which of them have room
    checkDims();
  for (auto [output, x] : llvm::zip(model->graph().output(), outputs)) {
    const ::onnx::TypeProto *type = &output.type();
    if (type->has_optional_type())
      type = &type->optional_type().elem_type();
    if (type->has_sequence_type())
      type = &type->sequence_type().elem_type();
    if (int declared = type->tensor_type().elem_type();
        declared && DType(declared) != x.type)
      core().fail("output '" + Twine(output.name()) + "' is declared as " +
                  name(DType(declared)) + ", but its node computes " +
                  name(x.type));
    refuseRank("output", output.name(), x.rank());
    NamedAttrList attributes;
    attributes.set(kNameAttr, builder.getStringAttr(output.name()));
    if (!x.isTensor()) {
      describe(attributes, x);
    } else {
      SmallVector<std::string> texts;
      const ::onnx::TensorShapeProto &declared = type->tensor_type().shape();
      for (auto [axis, size] : llvm::enumerate(x.shape)) {
        // The model's own spelling, if it means the same.
        std::string written = int(axis) < declared.dim_size()
                                  ? declared.dim(axis).dim_param()
                                  : "";
        bool same = !written.empty() &&
                    sizes.atoms.knownEqual(sizes.atoms.parse(written), size);
        texts.push_back(same ? written : sizes.textWithBound(size));
      }
      attributes.set(kDimsAttr, dimTexts(x.shape, texts));
      if (needsName(x.type) || isPacked(x.type))
        attributes.set(kDTypeAttr, builder.getI64IntegerAttr(int64_t(x.type)));
      if (isPacked(x.type))
        attributes.set(kPackedAttr, packedAttr(x));
      if (program.isSplit())
        attributes.set("fulgur.type",
                       TypeAttr::get(core().typeOf(x.shape, x.type)));
    }
    ports.push_back(attributes.getDictionary(builder.getContext()));
    results.push_back(isPacked(x.type)
                          ? packedOutput(output.name(), results.size(), x)
                      : program.isSplit() ? core().outside(x)
                                          : core().value(x));
  }
}
