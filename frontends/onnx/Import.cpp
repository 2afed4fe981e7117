// Walks the graph once, in its own order, and imports each node through the op
// table.
#include "dialects/Fulgur.h"
#include "frontends/onnx/Driver.h"
#include "frontends/onnx/Extension.h"
#include "frontends/onnx/Importer.h"
#include "frontends/onnx/Prepare.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "llvm/ADT/ScopeExit.h"
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

} // namespace

Location Importer::locationOf(const ::onnx::NodeProto &node) {
  StringRef name =
      node.name().empty() && node.output_size() ? node.output(0) : node.name();
  return nodeLocation(name, qualifiedName(node), model->opset(node.domain()),
                      file);
}

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
