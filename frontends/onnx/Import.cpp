// Walks the graph once, in its own order, and imports each node through the op
// table.
#include "frontends/onnx/Import.h"
#include "dialects/Fulgur.h"
#include "frontends/onnx/Core.h"
#include "frontends/onnx/Extension.h"
#include "frontends/onnx/Model.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
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
    registerContraction(ops);
    registerConvolution(ops);
    registerDeterminant(ops);
    registerEinsum(ops);
    registerElementwise(ops);
    registerFourier(ops);
    registerGatherScatter(ops);
    registerLayout(ops);
    registerLinearAttention(ops);
    registerMl(ops);
    registerNormalization(ops);
    registerPooling(ops);
    registerRandom(ops);
    registerRecurrent(ops);
    registerReduction(ops);
    registerRegions(ops);
    registerResize(ops);
    registerSampling(ops);
    registerSelection(ops);
    registerShapeOps(ops);
    registerSorting(ops);
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
           MLIRContext &context)
      : model(std::move(model)), options(options), builder(&context),
        file(FileLineColLoc::get(&context, this->model->path(), 0, 0)),
        module(ModuleOp::create(builder, file)), main(makeMain()),
        sizes(&main.front()) {}

  OwningOpRef<ModuleOp> run();
  Location location() const { return here; }

private:
  func::FuncOp makeMain();
  Core core() { return {builder, sizes, here}; }
  void refuseUnsupported();
  void importInputs();
  Shape inputShape(const ::onnx::ValueInfoProto &input);
  Extent inputDim(StringRef input, size_t axis, StringRef text);
  void tieExpressions();
  void checkOptions();
  void importNode(const ::onnx::NodeProto &node);
  Tensor lookUp(StringRef name);
  bool isThere(StringRef name) const {
    return values.contains(name) || initializers.contains(name);
  }
  void importOutputs();
  ArrayAttr dimTexts(ArrayRef<Extent> shape, ArrayRef<std::string> written);
  void removeDead();
  Location locationOf(const ::onnx::NodeProto &node) {
    StringRef name = node.name().empty() && node.output_size() ? node.output(0)
                                                               : node.name();
    return nodeLocation(name, qualifiedName(node), model->opset(node.domain()),
                        file);
  }

  std::shared_ptr<const Model> model;
  const ImportOptions &options;
  OpBuilder builder;
  Location file, here = file;
  OwningOpRef<ModuleOp> module;
  func::FuncOp main;
  Sizes sizes;
  llvm::StringMap<Tensor> values;
  llvm::StringMap<const ::onnx::TensorProto *> initializers;
  SmallVector<std::string> symbols;     ///< of the inputs, in order
  SmallVector<std::string> expressions; ///< dims such as "past + sequence",
                                        ///< each a symbol by its whole text
};

func::FuncOp Importer::makeMain() {
  builder.setInsertionPointToEnd(module->getBody());
  auto main = func::FuncOp::create(builder, file, "main",
                                   builder.getFunctionType({}, {}));
  builder.setInsertionPointToStart(main.addEntryBlock());
  return main;
}

/// One error for the whole model, so that its owner sees at once what is
/// missing.
void Importer::refuseUnsupported() {
  std::map<std::string, std::vector<std::string>> missing;
  for (const ::onnx::NodeProto &node : model->graph().node())
    if (std::string name = qualifiedName(node); !opTable().contains(name))
      missing[name].push_back(node.name().empty() && node.output_size()
                                  ? node.output(0)
                                  : node.name());
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

Shape Importer::inputShape(const ::onnx::ValueInfoProto &input) {
  const ::onnx::TypeProto &type = input.type();
  if (!type.has_tensor_type())
    core().unsupported("input '" + Twine(input.name()) + "' is not a tensor");
  if (!type.tensor_type().has_shape())
    core().unsupported("input '" + Twine(input.name()) +
                       "' has no shape; give one with --shape");
  auto given = options.shapes.find(input.name());
  const ::onnx::TensorShapeProto &dims = type.tensor_type().shape();
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
  }
  return shape;
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

void Importer::checkOptions() {
  for (const auto &entry : options.dims)
    if (!llvm::is_contained(symbols, entry.first()) &&
        !llvm::is_contained(expressions, entry.first()))
      core().fail("--dim names '" + entry.first() +
                  "', but the symbolic dims of the model's inputs are: " +
                  (symbols.empty() ? "none" : llvm::join(symbols, ", ")));
  for (const auto &entry : options.shapes)
    if (!values.contains(entry.first()))
      core().fail("--shape names '" + entry.first() +
                  "', which is not an input of the model");
}

void Importer::importInputs() {
  for (const ::onnx::TensorProto &tensor : model->graph().initializer())
    initializers[tensor.name()] = &tensor;
  SmallVector<std::pair<const ::onnx::ValueInfoProto *, Shape>> inputs;
  for (const ::onnx::ValueInfoProto &input : model->graph().input())
    if (!initializers.contains(
            input.name())) // an input with a default value is a constant
      inputs.emplace_back(&input, inputShape(input));
  tieExpressions();
  for (auto &[input, shape] : inputs) {
    DType type = DType(input->type().tensor_type().elem_type());
    SmallVector<std::string> texts;
    for (Extent &size : shape)
      texts.push_back(sizes.atoms.text(size));
    BlockArgument argument =
        main.front().addArgument(core().typeOf(shape, type), file);
    Shape simple(llvm::map_range(
        shape, [&](const Extent &size) { return sizes.atoms.simplify(size); }));
    values[input->name()] = Tensor(argument, type, simple);
    main.setType(builder.getFunctionType(main.front().getArgumentTypes(), {}));
    main.setArgAttr(argument.getArgNumber(), kNameAttr,
                    builder.getStringAttr(input->name()));
    main.setArgAttr(argument.getArgNumber(), kDimsAttr, dimTexts(shape, texts));
    if (isInteger(type) && isUnsigned(type)) // MLIR's integers do not say
      main.setArgAttr(argument.getArgNumber(), kDTypeAttr,
                      builder.getI64IntegerAttr(int64_t(type)));
  }
  checkOptions();
}

/// Sizes as text: numbers where they are known, what was written otherwise.
ArrayAttr Importer::dimTexts(ArrayRef<Extent> shape,
                             ArrayRef<std::string> written) {
  SmallVector<Attribute> texts;
  for (auto [size, text] : llvm::zip(shape, written)) {
    Extent simple = sizes.atoms.simplify(size);
    texts.push_back(builder.getStringAttr(
        simple.constant() ? sizes.atoms.text(simple) : text));
  }
  return builder.getArrayAttr(texts);
}

Tensor Importer::lookUp(StringRef name) {
  if (name.empty())
    return {};
  auto known = values.find(name);
  if (known == values.end()) {
    auto initializer = initializers.find(name);
    if (initializer == initializers.end())
      core().fail("nothing produces the value '" + name + "'");
    known = values
                .try_emplace(
                    name, constantOf(core(), model, *initializer->second, name))
                .first;
  }
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
  auto find = [&](StringRef name) {
    return isThere(name) ? lookUp(name) : Tensor();
  };
  Site site(core, node, model, in, find);
  SmallVector<Tensor> results =
      op.one ? SmallVector<Tensor>{op.one(core, site)} : op.many(core, site);
  for (int k = 0; k < node.output_size(); ++k) {
    if (node.output(k).empty())
      continue;
    if (size_t(k) >= results.size() || !results[k])
      core.unsupported("result " + Twine(k) + " of " + node.op_type() +
                       " is not supported");
    values[node.output(k)] = results[k];
  }
}

void Importer::importOutputs() {
  here = file;
  SmallVector<Value> results;
  for (const ::onnx::ValueInfoProto &output : model->graph().output()) {
    Tensor x = lookUp(output.name());
    if (int declared = output.type().tensor_type().elem_type();
        declared && DType(declared) != x.type)
      core().fail("output '" + Twine(output.name()) + "' is declared as " +
                  name(DType(declared)) + ", but its node computes " +
                  name(x.type));
    results.push_back(core().value(x));
  }
  func::ReturnOp::create(builder, file, results);
  main.setType(builder.getFunctionType(main.front().getArgumentTypes(),
                                       ValueRange(results).getTypes()));
  for (auto [k, output] : llvm::enumerate(model->graph().output())) {
    Tensor x = lookUp(output.name());
    const ::onnx::TensorShapeProto &declared =
        output.type().tensor_type().shape();
    SmallVector<std::string> texts;
    for (auto [axis, size] : llvm::enumerate(x.shape)) {
      // The model's own spelling, if it means the same.
      std::string written =
          int(axis) < declared.dim_size() ? declared.dim(axis).dim_param() : "";
      bool same = !written.empty() &&
                  sizes.atoms.knownEqual(sizes.atoms.parse(written), size);
      texts.push_back(same ? written : sizes.textWithBound(size));
    }
    main.setResultAttr(k, kNameAttr, builder.getStringAttr(output.name()));
    main.setResultAttr(k, kDimsAttr, dimTexts(x.shape, texts));
    if (isInteger(x.type) && isUnsigned(x.type))
      main.setResultAttr(k, kDTypeAttr,
                         builder.getI64IntegerAttr(int64_t(x.type)));
  }
}

void Importer::removeDead() {
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(main.front())))
    if (isOpTriviallyDead(&op))
      op.erase();
}

OwningOpRef<ModuleOp> Importer::run() {
  refuseUnsupported();
  importInputs();
  for (const ::onnx::NodeProto &node : model->graph().node())
    importNode(node);
  importOutputs();
  removeDead();

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
          llvm::is_contained(expressions, atom.name)))
      continue;
    list.push_back(builder.getDictionaryAttr(
        {builder.getNamedAttr("name", builder.getStringAttr(atom.name)),
         builder.getNamedAttr("min", builder.getI64IntegerAttr(atom.lower)),
         builder.getNamedAttr("max", builder.getI64IntegerAttr(atom.upper))}));
  }
  (*module)->setAttr(kSymbolsAttr, builder.getArrayAttr(list));
  (*module)->setAttr("fulgur.model", builder.getStringAttr(
                                         llvm::sys::path::stem(model->path())));
  return std::move(module);
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
  Importer importer(std::move(model), options, context);
  try {
    module = importer.run();
  } catch (const ImportFailure &failure) {
    return failure.status; // what is wrong has been said
  } catch (const std::overflow_error &error) {
    emitError(importer.location()) << error.what();
    return ImportStatus::invalidModel;
  } catch (const std::bad_alloc &) {
    emitError(importer.location()) << "out of memory";
    return ImportStatus::resourceLimit;
  }
  if (failed(verify(*module))) {
    module = {};
    return ImportStatus::unsupported;
  }
  return ImportStatus::ok;
}
