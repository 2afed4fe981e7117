// The order is measured, not guessed: checked first, so that the library's
// other parts, which trust their input, meet only valid models; converted
// before expanded, since functions are best expanded in the opset that has most
// of them; each conversion that fails is undone as a whole, and the importer
// then meets the old operators.
#include "frontends/onnx/Prepare.h"
#include "frontends/onnx/Extension.h"
#include "frontends/onnx/ExternalData.h"
#include "frontends/onnx/Problem.h"
#include "frontends/onnx/Sparse.h"
#include "frontends/onnx/TensorData.h"
#include "onnx/checker.h"
#include "onnx/defs/schema.h"
#include "onnx/inliner/inliner.h"
#include "onnx/version_converter/convert.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/ADT/Twine.h"

using namespace llvm;
namespace pb = ::onnx;

namespace fulgur::onnx {
namespace {

bool isOnnxDomain(StringRef domain) {
  return domain.empty() || domain == "ai.onnx";
}

pb::OperatorSetIdProto *onnxOpset(pb::ModelProto &model) {
  for (pb::OperatorSetIdProto &import : *model.mutable_opset_import())
    if (isOnnxDomain(import.domain()))
      return &import;
  return nullptr;
}

int newestOpset() {
  return pb::OpSchemaRegistry::DomainToVersionRange::Instance()
      .Map()
      .at("")
      .second;
}

/// A domain that is imported twice has one version, or nobody knows which one
/// is meant.
template <typename Imports> void refuseTwoVersions(const Imports &imports) {
  StringMap<int64_t> versions;
  for (const pb::OperatorSetIdProto &import : imports) {
    StringRef domain =
        isOnnxDomain(import.domain()) ? "ai.onnx" : StringRef(import.domain());
    auto [known, isNew] = versions.try_emplace(domain, import.version());
    if (!isNew && known->second != import.version())
      refuse(ImportStatus::invalidModel,
             "opset_import has domain '" + printable(domain) +
                 "' twice, as version " + Twine(known->second) + " and as " +
                 Twine(import.version()) +
                 "; keep the one that the model was exported with");
  }
}

/// Every graph and function of the model knows its versions; before IR version
/// 3, files did not say them.
void settleOpsets(pb::ModelProto &model) {
  refuseTwoVersions(model.opset_import());
  for (const pb::FunctionProto &function : model.functions())
    refuseTwoVersions(function.opset_import());
  if (pb::OperatorSetIdProto *import = onnxOpset(model)) {
    if (import->version() > newestOpset())
      refuse(ImportStatus::unsupported,
             "opset " + Twine(import->version()) + " is newer than " +
                 Twine(newestOpset()) +
                 ", the newest one known here; export the model with an older "
                 "opset");
    import->clear_domain(); // one spelling
    return;
  }
  if (model.ir_version() >= 3 && model.opset_import().empty())
    refuse(ImportStatus::invalidModel,
           "the model imports no operator set, which files of IR version " +
               Twine(model.ir_version()) +
               " must do; export it again, or set opset_import");
  model.add_opset_import()->set_version(model.ir_version() < 3 ? 1
                                                               : newestOpset());
}

using Nodes = google::protobuf::RepeatedPtrField<pb::NodeProto>;

/// Operators of ONNX are in the domain without a name.
void spellDomains(Nodes &nodes) {
  for (pb::NodeProto &node : nodes) {
    if (isOnnxDomain(node.domain()))
      node.clear_domain();
    for (pb::AttributeProto &attribute : *node.mutable_attribute()) {
      if (attribute.has_g())
        spellDomains(*attribute.mutable_g()->mutable_node());
      for (pb::GraphProto &subgraph : *attribute.mutable_graphs())
        spellDomains(*subgraph.mutable_node());
    }
  }
}

void spellDomains(pb::ModelProto &model) {
  spellDomains(*model.mutable_graph()->mutable_node());
  for (pb::FunctionProto &function : *model.mutable_functions()) {
    spellDomains(*function.mutable_node());
    for (pb::OperatorSetIdProto &import : *function.mutable_opset_import())
      if (isOnnxDomain(import.domain()))
        import.clear_domain();
  }
}

/// What the file claims about values in between is not believed: inference
/// finds it again, or the model is wrong.
void forgetClaims(pb::GraphProto &graph) {
  graph.clear_value_info();
  for (pb::NodeProto &node : *graph.mutable_node())
    for (pb::AttributeProto &attribute : *node.mutable_attribute()) {
      if (attribute.has_g())
        forgetClaims(*attribute.mutable_g());
      for (pb::GraphProto &subgraph : *attribute.mutable_graphs())
        forgetClaims(subgraph);
    }
}

/// The checker refuses operators that are deprecated, as GroupNormalization-18
/// was by the opset that brought it, and Upsample in models that still have it.
/// While one of these exists, such nodes are in a domain that the checker does
/// not look into.
class DeprecatedAside {
public:
  explicit DeprecatedAside(pb::ModelProto &model) : model(model) {
    collect(*model.mutable_graph());
    if (nodes.empty())
      return;
    pb::OperatorSetIdProto &import = *model.add_opset_import();
    import.set_domain("fulgur.aside");
    import.set_version(1);
    for (auto &[node, domain] : nodes)
      node->set_domain("fulgur.aside");
  }
  ~DeprecatedAside() {
    if (nodes.empty())
      return;
    model.mutable_opset_import()->RemoveLast();
    for (auto &[node, domain] : nodes)
      node->set_domain(domain);
  }

private:
  bool isDeprecated(const pb::NodeProto &node) const {
    std::string domain = isOnnxDomain(node.domain()) ? "" : node.domain();
    for (const pb::OperatorSetIdProto &import : model.opset_import())
      if (import.domain() == domain && import.version() <= INT_MAX)
        if (const pb::OpSchema *schema = pb::OpSchemaRegistry::Schema(
                node.op_type(), int(import.version()), domain))
          return schema->Deprecated();
    return false;
  }
  void collect(pb::GraphProto &graph) {
    for (pb::NodeProto &node : *graph.mutable_node()) {
      if (isDeprecated(node))
        nodes.emplace_back(&node, node.domain());
      for (pb::AttributeProto &attribute : *node.mutable_attribute()) {
        if (attribute.has_g())
          collect(*attribute.mutable_g());
        for (pb::GraphProto &subgraph : *attribute.mutable_graphs())
          collect(subgraph);
      }
    }
  }

  pb::ModelProto &model;
  SmallVector<std::pair<pb::NodeProto *, std::string>> nodes;
};

/// Many exporters leave the shapes, and some the types, of outputs to
/// inference, which the checker takes for an error. While one of these exists,
/// such outputs are scalars.
class UntypedOutputsAside {
public:
  explicit UntypedOutputsAside(pb::ModelProto &model) {
    for (pb::ValueInfoProto &output :
         *model.mutable_graph()->mutable_output()) {
      bool hasType = output.type().value_case() != pb::TypeProto::VALUE_NOT_SET;
      if (hasType && (!output.type().has_tensor_type() ||
                      output.type().tensor_type().has_shape()))
        continue;
      untyped.emplace_back(&output, output.type());
      pb::TypeProto::Tensor &type =
          *output.mutable_type()->mutable_tensor_type();
      if (!hasType)
        type.set_elem_type(pb::TensorProto::FLOAT);
      type.mutable_shape();
    }
  }
  ~UntypedOutputsAside() {
    for (auto &[output, type] : untyped)
      *output->mutable_type() = std::move(type);
  }

private:
  SmallVector<std::pair<pb::ValueInfoProto *, pb::TypeProto>> untyped;
};

/// Messages name nodes; those without a name are called by their first result.
void nameNodes(pb::GraphProto &graph) {
  for (pb::NodeProto &node : *graph.mutable_node()) {
    if (node.name().empty())
      node.set_name(nameOf(node).str());
    for (pb::AttributeProto &attribute : *node.mutable_attribute()) {
      if (attribute.has_g())
        nameNodes(*attribute.mutable_g());
      for (pb::GraphProto &subgraph : *attribute.mutable_graphs())
        nameNodes(subgraph);
    }
  }
}

/// The version of the file format, and shapes of inputs, which are the first
/// things that the checker stumbles over.
void refuseUnknownForms(const pb::ModelProto &model) {
  if (model.ir_version() > pb::IR_VERSION)
    refuse(ImportStatus::unsupported,
           "IR version " + Twine(model.ir_version()) + " is newer than " +
               Twine(int64_t(pb::IR_VERSION)) +
               ", the newest one known here; save the model with an older "
               "version of onnx");
  for (const pb::ValueInfoProto &input : model.graph().input())
    if (input.type().has_tensor_type() &&
        !input.type().tensor_type().has_shape())
      refuse(ImportStatus::unsupported,
             "input '" + printable(input.name()) +
                 "' has no shape; give one with --shape, as in --shape " +
                 printable(input.name()) + ":1x3x?x?");
}

/// The library's checker, with the node that it stumbled over out of its
/// message.
void check(pb::ModelProto &model) {
  DeprecatedAside operators(model);
  UntypedOutputsAside outputs(model);
  try {
    pb::checker::check_model(model);
  } catch (const std::exception &error) {
    auto [what, context] = StringRef(error.what()).split("\n\n==> Context: ");
    Problem problem{ImportStatus::invalidModel,
                    printable(what.trim().rtrim('.')) +
                        "; ONNX's own checker (onnx.checker) says so: repair "
                        "the node, or export the model again",
                    "",
                    "",
                    "",
                    0};
    StringRef place = context.split("\n\n==> Context: ").first;
    if (place.consume_front("Bad node spec for node. Name: ")) {
      problem.node = place.split(" OpType: ").first.str();
      problem.op = place.split(" OpType: ").second.str();
      for (const pb::OperatorSetIdProto &import : model.opset_import())
        if (isOnnxDomain(import.domain()))
          problem.opset = import.version();
    }
    throw problem;
  }
}

void inlineFunctions(pb::ModelProto &model) {
  if (model.functions().empty())
    return;
  pb::ModelProto original = model;
  try {
    pb::inliner::InlineLocalFunctions(model, /*convert_version=*/true);
  } catch (const std::exception &) {
    // A body that the converter does not understand, though it may only hold a
    // branch. It is taken as it is, in the model's opset: from 13 on, operators
    // that changed their meaning changed their form, which the importer sees.
    model = std::move(original);
    int64_t opset = onnxOpset(model)->version();
    for (pb::FunctionProto &function : *model.mutable_functions())
      for (pb::OperatorSetIdProto &import : *function.mutable_opset_import()) {
        if (!isOnnxDomain(import.domain()) || import.version() == opset)
          continue;
        if (std::min<int64_t>(import.version(), opset) < 13)
          refuse(ImportStatus::unsupported,
                 "function '" + printable(function.name()) + "' is of opset " +
                     Twine(import.version()) +
                     ", which cannot be converted to the model's " +
                     Twine(opset) + "; save the model with one opset for all");
        import.set_version(opset);
      }
    pb::inliner::InlineLocalFunctions(model, /*convert_version=*/false);
  }
  model.clear_functions();
  refuseUnknownOperators(model); // calls that could not be expanded
}

/// The bounds of Clip were attributes before opset 11. The converter makes
/// floats of them, whatever the type of the input.
void castBounds(pb::GraphProto &graph) {
  google::protobuf::RepeatedPtrField<pb::NodeProto> nodes;
  for (pb::NodeProto &node : *graph.mutable_node()) {
    bool isClip = node.op_type() == "Clip" && isOnnxDomain(node.domain());
    for (int k = 1; isClip && k < node.input_size(); ++k) {
      if (node.input(k).empty())
        continue;
      pb::NodeProto &cast = *nodes.Add();
      cast.set_op_type("CastLike");
      cast.set_name(node.name());
      cast.add_input(node.input(k));
      cast.add_input(node.input(0));
      cast.add_output("fulgur.bound." + std::to_string(k) + "." +
                      node.output(0));
      node.set_input(k, cast.output(0));
    }
    nodes.Add(std::move(node));
  }
  graph.mutable_node()->Swap(&nodes);
}

/// What operators meant in the model's own opset where the converter leaves new
/// attributes at their defaults, which mean something else. Before opset 11,
/// Resize put its corners on each other and had no name for how it chose the
/// nearest element; before opset 7, the slopes of PRelu were one per channel;
/// before opset 13, the dims of Hardmax from the axis on were one; before opset
/// 21, the scales of GroupNormalization were one per group.
void keepOldMeanings(pb::GraphProto &graph, int64_t opset) {
  auto set = [](pb::NodeProto &node, const char *name, const char *value) {
    pb::AttributeProto &attribute = *node.add_attribute();
    attribute.set_name(name);
    attribute.set_type(pb::AttributeProto::STRING);
    attribute.set_s(value);
  };
  if (opset < 11)
    castBounds(graph);
  for (pb::NodeProto &node : *graph.mutable_node()) {
    bool isOnnx = isOnnxDomain(node.domain());
    if (node.op_type() == "Resize" && isOnnx && opset < 11) {
      set(node, "coordinate_transformation_mode", "asymmetric");
      set(node, "nearest_mode", "outward"); // as the importer calls it
    }
    if (node.op_type() == "PRelu" && isOnnx && opset < 7)
      set(node, "slopes", "channels"); // likewise
    if (node.op_type() == "Hardmax" && isOnnx && opset < 13)
      set(node, "along", "rest");
    if (node.op_type() == "GroupNormalization" && isOnnx && opset < 21)
      set(node, "scales", "groups");
    for (pb::AttributeProto &attribute : *node.mutable_attribute()) {
      if (attribute.has_g())
        keepOldMeanings(*attribute.mutable_g(), opset);
      for (pb::GraphProto &subgraph : *attribute.mutable_graphs())
        keepOldMeanings(subgraph, opset);
    }
  }
}

/// Before opset 7, a vector of slopes of PRelu was along the channels; from
/// then on it broadcasts. The converter does not know.
void alignSlopes(pb::ModelProto &model) {
  if (onnxOpset(model)->version() >= 7)
    return;
  pb::GraphProto &graph = *model.mutable_graph();
  StringMap<int> ranks;
  for (const auto *values : {&graph.input(), &graph.value_info()})
    for (const pb::ValueInfoProto &value : *values)
      if (value.type().tensor_type().has_shape())
        ranks[value.name()] = value.type().tensor_type().shape().dim_size();
  for (const pb::TensorProto &tensor : graph.initializer())
    ranks[tensor.name()] = tensor.dims_size();
  google::protobuf::RepeatedPtrField<pb::NodeProto> nodes;
  for (pb::NodeProto &node : *graph.mutable_node()) {
    int rank = node.op_type() == "PRelu" && node.input_size() == 2 &&
                       ranks.lookup(node.input(1)) == 1
                   ? ranks.lookup(node.input(0))
                   : 0;
    if (rank > 2) {
      pb::NodeProto &unsqueeze = *nodes.Add();
      unsqueeze.set_op_type("Unsqueeze");
      unsqueeze.set_name(node.name());
      unsqueeze.add_input(node.input(1));
      *node.mutable_input(1) = "fulgur.slopes." + node.output(0);
      unsqueeze.add_output(node.input(1));
      pb::AttributeProto &axes = *unsqueeze.add_attribute();
      axes.set_name("axes");
      axes.set_type(pb::AttributeProto::INTS);
      for (int axis = 1; axis < rank - 1; ++axis)
        axes.add_ints(axis);
    }
    nodes.Add(std::move(node));
  }
  graph.mutable_node()->Swap(&nodes);
}

/// Opset 1 called the pads of Pad otherwise; the converter does not know.
void renamePads(pb::ModelProto &model) {
  if (onnxOpset(model)->version() >= 2)
    return;
  for (pb::NodeProto &node : *model.mutable_graph()->mutable_node())
    if (node.op_type() == "Pad" && isOnnxDomain(node.domain()))
      for (pb::AttributeProto &attribute : *node.mutable_attribute())
        if (attribute.name() == "paddings")
          attribute.set_name("pads");
}

/// To the newest opset, or not at all.
void convert(pb::ModelProto &model) {
  pb::OperatorSetIdProto *import = onnxOpset(model);
  // The converter does not know that Scan-8 goes through batches.
  bool wouldLose =
      import->version() < 9 &&
      any_of(
          model.graph().node(),
          [](const pb::NodeProto &node) { return node.op_type() == "Scan"; });
  if (import->version() >= newestOpset() || wouldLose)
    return;
  try {
    pb::ModelProto converted =
        pb::version_conversion::ConvertVersion(model, newestOpset());
    check(converted);
    keepOldMeanings(*converted.mutable_graph(), import->version());
    model = std::move(converted);
  } catch (const std::exception &) {
  } catch (const Problem &) {
  }
}

} // namespace

pb::TypeProto initializerType(const pb::TensorProto &tensor) {
  pb::TypeProto result;
  pb::TypeProto::Tensor &type = *result.mutable_tensor_type();
  type.set_elem_type(tensor.data_type());
  type.mutable_shape();
  for (int64_t dim : tensor.dims())
    type.mutable_shape()->add_dim()->set_dim_value(dim);
  return result;
}

void prepare(pb::ModelProto &model, WeightFiles &files) {
  auto settleTensors = [&] {
    forEachTensor(model,
                  [&](pb::TensorProto &tensor, const pb::NodeProto *node) {
                    settle(tensor, node, files);
                  });
  };
  defineExtensions();
  settleOpsets(model);
  spellDomains(model);
  adoptStrays(model);
  model.clear_training_info();
  openDims(*model.mutable_graph());
  settleTensors();
  makeDense(model, files);
  // Our own questions first: their answers name the place better than the
  // checker's.
  refuseUnknownOperators(model);
  sortNodes(model);
  refuseEndlessFunctions(model);
  refuseAbsurdSizes(model.graph());
  refuseUnknownForms(model);
  nameNodes(*model.mutable_graph());
  check(model);

  forgetClaims(*model.mutable_graph());
  inlineFunctions(model);
  inferShapes(model);
  refuseAbsurdCounts(model);
  alignSlopes(model);
  renamePads(model);
  convert(model);
  inferShapes(model);
  expandSchemaFunctions(model);
  removeDead(*model.mutable_graph());
  forgetClaims(*model.mutable_graph()); // bodies are inferred anew, with the
                                        // shapes around them
  inferShapes(model);
  settleTensors(); // those that the library made
  refuseAbsurdSizes(model.graph());
}

} // namespace fulgur::onnx
