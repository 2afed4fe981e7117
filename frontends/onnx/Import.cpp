// Walks the graph once, in its own order, and imports each node through the op
// table.
#include "frontends/onnx/Import.h"
#include "dialects/Fulgur.h"
#include "frontends/onnx/Driver.h"
#include "frontends/onnx/Extension.h"
#include "frontends/onnx/Model.h"
#include "frontends/onnx/Packing.h"
#include "frontends/onnx/Prepare.h"
#include "frontends/onnx/State.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/Path.h"
#include <stdexcept>

using namespace mlir;
using namespace fulgur;
using namespace fulgur::onnx;

namespace {
const OpTable &opTable() {
  static const OpTable table = [] {
    OpTable ops;
    registerActivation(ops);
    registerCausalConvolution(ops);
    registerContraction(ops);
    registerControlFlow(ops);
    registerConvolution(ops);
    registerDeterminant(ops);
    registerEinsum(ops);
    registerElementwise(ops);
    registerFourier(ops);
    registerGatherScatter(ops);
    registerIntegerProducts(ops);
    registerLayout(ops);
    registerLinearAttention(ops);
    registerMl(ops);
    registerNormalization(ops);
    registerPooling(ops);
    registerQuantization(ops);
    registerRandom(ops);
    registerRecurrent(ops);
    registerReduction(ops);
    registerRegions(ops);
    registerResize(ops);
    registerSampling(ops);
    registerSelection(ops);
    registerShapeOps(ops);
    registerSequence(ops);
    registerSorting(ops);
    registerString(ops);
    registerTfIdf(ops);
    registerTransposedConvolution(ops);
    registerExtensions(ops);
    return ops;
  }();
  return table;
}

std::string qualifiedName(const ::onnx::NodeProto &node) {
  return node.domain().empty() || node.domain() == "ai.onnx"
             ? node.op_type()
             : node.domain() + "::" + node.op_type();
}

/// Operators that move elements without looking at them, or know strings.
bool takesStrings(StringRef op) {
  static const llvm::StringSet<llvm::MallocAllocator> known = {
      "ArrayFeatureExtractor",
      "Cast",
      "CastLike",
      "CategoryMapper",
      "CenterCropPad",
      "Compress",
      "Concat",
      "DepthToSpace",
      "Equal",
      "Expand",
      "Flatten",
      "Gather",
      "GatherElements",
      "GatherND",
      "LabelEncoder",
      "OneHotEncoder",
      "OneHot",
      "Pad",
      "RegexFullMatch",
      "Reshape",
      "ReverseSequence",
      "Scatter",
      "ScatterElements",
      "ScatterND",
      "Shape",
      "Size",
      "Slice",
      "SpaceToDepth",
      "Split",
      "Squeeze",
      "StringConcat",
      "StringNormalizer",
      "StringSplit",
      "TfIdfVectorizer",
      "Tile",
      "Transpose",
      "Trilu",
      "Unsqueeze",
      "Where"};
  return known.contains(op);
}

/// "node (Op, opset 20)": what every diagnostic about the node says of it.
Location nodeLocation(StringRef node, StringRef op, int64_t opset,
                      Location file) {
  std::string text = node.str();
  if (!op.empty())
    text +=
        (" (" + op + (opset ? ", opset " + Twine(opset) : Twine()) + ")").str();
  return NameLoc::get(StringAttr::get(file.getContext(), text), file);
}

/// One import: the module that is built, and what the names of the model stand
/// for so far.
class Importer {
public:
  Importer(std::shared_ptr<const Model> model, const ImportOptions &options,
           MLIRContext &context, const llvm::SmallDenseSet<unsigned> &valued,
           const llvm::StringMap<int64_t> &growing)
      : model(std::move(model)), options(options), valued(valued),
        growing(growing),
        file(FileLineColLoc::get(&context, this->model->path(), 0, 0)),
        program(context, file) {}

  OwningOpRef<ModuleOp> run();
  Location location() const { return here; }

private:
  /// The names of one graph, inside those of the graphs around it.
  struct Scope {
    Scope *outer = nullptr;
    llvm::StringMap<Tensor> values;
    llvm::StringMap<const ::onnx::TensorProto *> initializers;
    bool holds(StringRef name) const {
      return values.contains(name) || initializers.contains(name);
    }
  };

  Core core() { return {program.builder, sizes, here, program}; }
  void refuseUnsupported();
  void importInputs();
  void describe(NamedAttrList &attributes, const Tensor &x);
  Tensor importInput(const ::onnx::ValueInfoProto &input);
  DenseI64ArrayAttr packedAttr(const Tensor &x);
  Value packedOutput(StringRef name, size_t position, const Tensor &x);
  SmallVector<Tensor> importGraph(const ::onnx::GraphProto &graph,
                                  ArrayRef<Tensor> in);
  void refuseRank(StringRef role, StringRef name, int64_t rank);
  Shape inputShape(const ::onnx::ValueInfoProto &input);
  Extent inputDim(StringRef input, size_t axis, StringRef text);
  State *stateOf(StringRef input);
  Extent capacityOf(StringRef input, int64_t axis, const Extent &rows);
  void giveRows(const State &state);
  std::optional<Extent> solve(StringRef name,
                              const ImportOptions::Range &range);
  Tensor storeState(StringRef output, size_t position, const Tensor &x);
  void tieExpressions();
  void checkShapes();
  void checkDims();
  void importNode(const ::onnx::NodeProto &node);
  Tensor lookUp(StringRef name);
  bool isThere(StringRef name) const {
    for (const Scope *s = scope; s; s = s->outer)
      if (s->holds(name))
        return true;
    return false;
  }
  void importOutputs();
  ArrayAttr dimTexts(ArrayRef<Extent> shape, ArrayRef<std::string> written);
  Location locationOf(const ::onnx::NodeProto &node) {
    StringRef name = node.name().empty() && node.output_size() ? node.output(0)
                                                               : node.name();
    return nodeLocation(name, qualifiedName(node), model->opset(node.domain()),
                        file);
  }

  std::shared_ptr<const Model> model;
  const ImportOptions &options;
  const llvm::SmallDenseSet<unsigned>
      &valued; ///< inputs whose elements are symbols from the beginning
  const llvm::StringMap<int64_t>
      &growing; ///< inputs that are states with room, and along which axis
  Location file, here = file;
  Program program;
  Sizes &sizes = program.sizes;
  Scope graph, *scope = &graph;
  SmallVector<Value> results;
  SmallVector<DictionaryAttr> ports;    ///< of the results
  SmallVector<std::string> symbols;     ///< of the inputs, in order
  SmallVector<std::string> expressions; ///< dims such as "past + sequence",
                                        ///< each a symbol by its whole text
  llvm::StringSet<>
      dimNames, ///< symbols that are dims of what the caller passes
      computed; ///< symbols that are no dims of it any more
  std::vector<State> states;
  GrowingStates grown; ///< states that need room
};

/// One error for the whole model, so that its owner sees at once what is
/// missing.
void Importer::refuseUnsupported() {
  std::map<std::string, std::vector<std::string>> missing;
  std::function<void(const ::onnx::GraphProto &)> look =
      [&](const ::onnx::GraphProto &graph) {
        for (const ::onnx::NodeProto &node : graph.node()) {
          if (std::string name = qualifiedName(node); !opTable().contains(name))
            missing[name].push_back(node.name().empty() && node.output_size()
                                        ? node.output(0)
                                        : node.name());
          for (const ::onnx::AttributeProto &attribute : node.attribute())
            if (attribute.has_g())
              look(attribute.g());
        }
      };
  look(model->graph());
  if (missing.empty())
    return;
  std::string list;
  for (auto &[op, nodes] : missing) {
    size_t count = nodes.size();
    nodes.resize(std::min<size_t>(count, 5));
    list += (list.empty() ? "" : "; ") + op + " (" + std::to_string(count) +
            (count == 1 ? " node: " : " nodes: ") + llvm::join(nodes, ", ") +
            (count > 5 ? ", ..." : "") + ")";
  }
  bool trains = llvm::any_of(missing, [](const auto &entry) {
    return StringRef(entry.first).starts_with("ai.onnx.preview.training::");
  });
  core().unsupported(
      "operators that are not supported yet: " + list + " in opset " +
      Twine(model->opset()) + "; export the model without them" +
      (trains ? ": operators of training stay out, models are compiled for "
                "inference"
              : ""));
}

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

Tensor Importer::lookUp(StringRef name) {
  if (name.empty())
    return {};
  Scope *s = scope;
  while (s && !s->holds(name))
    s = s->outer;
  if (!s)
    core().fail("nothing produces the value '" + name + "'");
  auto known = s->values.find(name);
  if (known == s->values.end())
    known = s->values
                .try_emplace(name, constantOf(core(), model,
                                              *s->initializers[name], name))
                .first;
  Tensor result = known->second;
  for (Extent &size : result.shape)
    size = sizes.atoms.simplify(size);
  return result;
}

void Importer::importNode(const ::onnx::NodeProto &node) {
  here = locationOf(node);
  Core core = this->core();
  const OpImport &op = opTable().find(qualifiedName(node))->second;
  SmallVector<Tensor> in;
  for (const std::string &name : node.input())
    in.push_back(lookUp(name));
  for (size_t k = 0; k < op.least; ++k)
    if (k >= in.size() || !in[k])
      core.fail("input " + Twine(k) + " is missing");
  for (auto [k, x] : llvm::enumerate(in))
    if (x && !x.isTensor() && !op.anyValue) {
      if (x.sequence || x.optional)
        core.fail("input " + Twine(k) + " is not a tensor");
      core.unsupported("the rank of input " + Twine(k) +
                       " is not known before the model runs; give the value a "
                       "shape in the model");
    }
  // A part can move strings about, no more.
  if (llvm::any_of(
          in, [](const Tensor &x) { return x && x.type == DType::string; }) &&
      !op.anyValue && !takesStrings(node.op_type()))
    core.unsupported(node.op_type() + " of strings is not supported");
  // There is no arithmetic on narrow types: an operator takes them only if ONNX
  // says so.
  for (auto [k, x] : llvm::enumerate(in))
    if (x && isNarrow(x.type) &&
        !takesType(node, model->opset(node.domain()), k, name(x.type).str()))
      core.fail("input " + Twine(k) + " is of type " + name(x.type) +
                ", which the operator does not take");
  SmallVector<std::string> types;
  for (const Tensor &x : in)
    types.push_back(x && x.isTensor() ? name(x.type).str() : "");
  if (auto mixed = mixedTypes(node, model->opset(node.domain()), types))
    core.fail("inputs " + Twine(mixed->first) + " and " + Twine(mixed->second) +
              " are of the types " + types[mixed->first] + " and " +
              types[mixed->second] + ", which must be the same");
  auto find = [&](StringRef name) {
    return isThere(name) ? lookUp(name) : Tensor();
  };
  auto graph = [&](const ::onnx::GraphProto &graph, ArrayRef<Tensor> operands) {
    return importGraph(graph, operands);
  };
  Site site(core, node, model, in, find, graph);
  SmallVector<Tensor> results =
      op.one ? SmallVector<Tensor>{op.one(core, site)} : op.many(core, site);
  for (int k = 0; k < node.output_size(); ++k) {
    if (node.output(k).empty())
      continue;
    if (size_t(k) >= results.size() || !results[k])
      core.unsupported("result " + Twine(k) + " of " + node.op_type() +
                       " is not supported");
    scope->values[node.output(k)] = results[k];
  }
}

/// A graph of an attribute, in a scope of its own.
SmallVector<Tensor> Importer::importGraph(const ::onnx::GraphProto &graph,
                                          ArrayRef<Tensor> in) {
  Location outside = here;
  Scope inner;
  inner.outer = scope;
  scope = &inner;
  llvm::scope_exit leave([&] {
    scope = inner.outer;
    here = outside;
  });
  for (const ::onnx::TensorProto &tensor : graph.initializer())
    inner.initializers[tensor.name()] = &tensor;
  if (int(in.size()) != graph.input_size())
    core().fail("its graph has " + Twine(graph.input_size()) +
                " inputs, but gets " + Twine(in.size()));
  for (auto [input, x] : llvm::zip(graph.input(), in))
    inner.values[input.name()] = x;
  for (const ::onnx::NodeProto &node : graph.node())
    importNode(node);
  here = outside;
  SmallVector<Tensor> out;
  for (const ::onnx::ValueInfoProto &output : graph.output())
    out.push_back(lookUp(output.name()));
  return out;
}

/// What output `position` is: where it is one buffer with an input, all of the
/// buffer.
Tensor Importer::storeState(StringRef output, size_t position,
                            const Tensor &x) {
  auto state =
      llvm::find_if(states, [&](State &s) { return s.output == output; });
  if (state == states.end())
    return x;
  if (growing.empty())
    if (std::optional<int64_t> axis = growingAxis(core(), *state, x))
      grown.axes[state->input] = *axis;
  auto argument = cast<BlockArgument>(state->port.value());
  cast<func::FuncOp>(argument.getOwner()->getParentOp())
      .setArgAttr(argument.getArgNumber(), kStateAttr,
                  program.builder.getI64IntegerAttr(position));
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
    outputs[position] = storeState(output.name(), position, outputs[position]);
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

OwningOpRef<ModuleOp> Importer::run() {
  refuseUnsupported();
  importInputs();
  for (const ::onnx::NodeProto &node : model->graph().node())
    importNode(node);
  importOutputs();

  OpBuilder &builder = program.builder;
  SmallVector<Attribute> list;
  for (size_t id = 0; id < sizes.atoms.size(); ++id) {
    const Atoms::Atom atom = sizes.atoms[id];
    // A symbol that an operator needs to be a constant is still one that the
    // caller gives; only --dim takes symbols away.
    auto fixed = options.dims.find(atom.name);
    if (atom.kind != Atoms::Kind::symbol ||
        (fixed != options.dims.end() &&
         fixed->second.min == fixed->second.max) ||
        !(llvm::is_contained(symbols, atom.name) ||
          llvm::is_contained(expressions, atom.name)) ||
        computed.contains(atom.name))
      continue;
    list.push_back(builder.getDictionaryAttr(
        {builder.getNamedAttr("name", builder.getStringAttr(atom.name)),
         builder.getNamedAttr("min", builder.getI64IntegerAttr(atom.lower)),
         builder.getNamedAttr("max", builder.getI64IntegerAttr(atom.upper))}));
  }
  for (const Sizes::InputValue &value : sizes.inputValues) {
    auto number = [&](StringRef name, int64_t x) {
      return builder.getNamedAttr(name, builder.getI64IntegerAttr(x));
    };
    list.push_back(builder.getDictionaryAttr(
        {builder.getNamedAttr("name", builder.getStringAttr(value.symbol)),
         number("min", value.lower), number("max", value.upper),
         number("source", 1), number("input", value.input),
         number("element", value.element)}));
  }
  return program.finish(results, ports, list,
                        llvm::sys::path::stem(model->path()));
}
} // namespace

ImportStatus fulgur::onnx::import(StringRef path, const ImportOptions &options,
                                  MLIRContext &context,
                                  OwningOpRef<ModuleOp> &module) {
  context.loadDialect<FulgurDialect, func::FuncDialect, arith::ArithDialect,
                      linalg::LinalgDialect, math::MathDialect, scf::SCFDialect,
                      tensor::TensorDialect>();
  Location file = FileLineColLoc::get(&context, path, 0, 0);
  Problem problem;
  std::shared_ptr<const Model> model = Model::load(path, options, problem);
  if (!model) {
    std::string op = problem.domain.empty() || problem.domain == "ai.onnx"
                         ? problem.op
                         : problem.domain + "::" + problem.op;
    emitError(problem.node.empty()
                  ? file
                  : nodeLocation(problem.node, op, problem.opset, file))
        << problem.message;
    return problem.status;
  }
  llvm::SmallDenseSet<unsigned> valued;
  llvm::StringMap<int64_t> growing;
  for (bool again = true; again;) {
    again = false;
    Importer importer(model, options, context, valued, growing);
    try {
      module = importer.run();
    } catch (const NeedsInputValues &needs) {
      valued.insert(needs.inputs.begin(), needs.inputs.end());
      again = true;
    } catch (const GrowingStates &states) {
      growing = states.axes;
      again = true;
    } catch (const ImportFailure &failure) {
      return failure.status; // what is wrong has been said
    } catch (const std::overflow_error &error) {
      emitError(importer.location()) << error.what();
      return ImportStatus::invalidModel;
    } catch (const std::bad_alloc &) {
      emitError(importer.location()) << "out of memory";
      return ImportStatus::resourceLimit;
    }
  }
  if (failed(verify(*module))) {
    module = {};
    return ImportStatus::unsupported;
  }
  return ImportStatus::ok;
}
