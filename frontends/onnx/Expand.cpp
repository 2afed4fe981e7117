// Replaces operators that ONNX defines by a function body. The library's own
// inliner loses the context of a call (types, defaults of attributes, absent
// optional inputs), so the body is built here, out of the node's own types and
// attributes; values of a body get names of their own, and its nodes keep the
// caller's name, which is the place that messages mean.
#include "frontends/onnx/Prepare.h"
#include "frontends/onnx/Problem.h"
#include "onnx/defs/function.h"
#include "onnx/defs/schema.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSet.h"

using namespace llvm;
namespace pb = ::onnx;

namespace fulgur::onnx {
namespace {

using Nodes = google::protobuf::RepeatedPtrField<pb::NodeProto>;
using Attributes = google::protobuf::RepeatedPtrField<pb::AttributeProto>;

/// Operators that stay whole because the importer writes them better than their
/// body does.
bool isKept(const pb::NodeProto &node) {
  static const StringSet<> kept = {
      // one op of the fulgur dialect, or numerically better as one
      "Gelu", "GroupNormalization", "LayerNormalization", "LogSoftmax",
      "MeanVarianceNormalization", "RMSNormalization", "Softmax",
      // a function of positions, and sizes that follow from sizes
      "AffineGrid", "CenterCropPad",
      // loops in the body, none in the importer
      "CausalConvWithState", "DynamicQuantizeLinear", "LinearAttention",
      "Range",
      // drawn in the importer
      "Bernoulli",
      // one function of an element
      "CastLike", "Celu", "Clip", "Elu", "GreaterOrEqual", "HardSigmoid",
      "HardSwish", "LeakyRelu", "LessOrEqual", "Mish", "PRelu", "Relu", "Selu",
      "Shrink", "Softplus", "ThresholdedRelu",
      // one reduction
      "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp",
      "ReduceSumSquare"};
  bool isOnnx = node.domain().empty() || node.domain() == "ai.onnx";
  return isOnnx && kept.contains(node.op_type());
}

/// The types of the values around a node.
struct Types {
  const Types *outer = nullptr;
  StringMap<pb::TypeProto> own;

  const pb::TypeProto *find(StringRef name) const {
    auto found = own.find(name);
    return found != own.end() ? &found->second
           : outer            ? outer->find(name)
                              : nullptr;
  }
  void add(const pb::GraphProto &graph) {
    for (const pb::TensorProto &tensor : graph.initializer())
      own[tensor.name()] = initializerType(tensor);
    for (const auto *values :
         {&graph.input(), &graph.value_info(), &graph.output()})
      for (const pb::ValueInfoProto &value : *values)
        if (value.type().value_case())
          own[value.name()] = value.type();
  }
};

/// Puts a body's nodes into the caller's names: parameters become arguments,
/// everything else gets a prefix.
struct Renaming {
  std::string prefix, caller;
  StringMap<const pb::AttributeProto *> arguments;

  void node(pb::NodeProto &node, StringMap<std::string> &names) const {
    node.set_name(caller);
    for (std::string &input : *node.mutable_input())
      if (auto known = names.find(input); known != names.end())
        input = known->second;
    for (std::string &output : *node.mutable_output())
      if (!output.empty())
        output = names.try_emplace(output, prefix + output).first->second;
    Attributes attributes;
    for (pb::AttributeProto &attribute : *node.mutable_attribute()) {
      if (!attribute.ref_attr_name().empty()) {
        if (auto argument = arguments.find(attribute.ref_attr_name());
            argument != arguments.end()) {
          std::string name = attribute.name();
          attribute = *argument->second;
          attribute.set_name(name);
          attributes.Add(std::move(attribute));
        }
        continue;
      }
      if (attribute.has_g())
        graph(*attribute.mutable_g(), names);
      for (pb::GraphProto &subgraph : *attribute.mutable_graphs())
        graph(subgraph, names);
      attributes.Add(std::move(attribute));
    }
    node.mutable_attribute()->Swap(&attributes);
  }

  void graph(pb::GraphProto &graph, StringMap<std::string> names) const {
    auto own = [&](auto &value) {
      names[value.name()] = prefix + value.name();
      value.set_name(prefix + value.name());
    };
    for (pb::ValueInfoProto &value : *graph.mutable_input())
      own(value);
    for (pb::TensorProto &tensor : *graph.mutable_initializer())
      own(tensor);
    graph.clear_value_info();
    for (pb::NodeProto &inner : *graph.mutable_node())
      node(inner, names);
    for (pb::ValueInfoProto &value : *graph.mutable_output())
      if (auto known = names.find(value.name()); known != names.end())
        value.set_name(known->second);
  }
};

class Expander {
public:
  explicit Expander(const pb::ModelProto &model) : model(model) {
    for (const pb::OperatorSetIdProto &import : model.opset_import())
      opsets[import.domain() == "ai.onnx" ? "" : import.domain()] =
          int(import.version());
  }

  void graph(pb::GraphProto &graph, const Types *outer) {
    Types types{outer, {}};
    types.add(graph);
    Nodes before, after;
    before.Swap(graph.mutable_node());
    for (pb::NodeProto &node : before)
      expand(node, types, after);
    graph.mutable_node()->Swap(&after);
  }

private:
  /// The function that defines the node, for its opset, types and attributes.
  bool findBody(const pb::NodeProto &node, const Types &types,
                pb::FunctionProto &body, const pb::OpSchema *&schema) const {
    auto opset = opsets.find(node.domain() == "ai.onnx" ? "" : node.domain());
    if (opset == opsets.end() || isKept(node))
      return false;
    schema = pb::OpSchemaRegistry::Schema(node.op_type(), opset->second,
                                          opset->first().str());
    if (!schema)
      return false;
    if (schema->HasFunction())
      if (const pb::FunctionProto *fixed = schema->GetFunction(opset->second)) {
        body = *fixed;
        return true;
      }
    if (!schema->HasContextDependentFunction())
      return false;
    std::vector<pb::TypeProto> inputs;
    for (const std::string &input : node.input()) {
      const pb::TypeProto *type = input.empty() ? nullptr : types.find(input);
      inputs.push_back(type ? *type : pb::TypeProto());
    }
    pb::NodeProto full =
        node; // builders read attributes without minding defaults
    for (const auto &[name, attribute] : schema->attributes())
      if (attribute.default_value.has_name() &&
          none_of(node.attribute(),
                  [&, &name = name](const pb::AttributeProto &given) {
                    return given.name() == name;
                  }))
        *full.add_attribute() = attribute.default_value;
    pb::FunctionBodyBuildContextImpl context(full, inputs);
    return schema->BuildContextDependentFunction(context, body, opset->second);
  }

  void expand(pb::NodeProto &node, const Types &types, Nodes &out) {
    pb::FunctionProto function;
    const pb::OpSchema *schema = nullptr;
    if (!findBody(node, types, function, schema)) {
      for (pb::AttributeProto &attribute : *node.mutable_attribute()) {
        if (attribute.has_g())
          graph(*attribute.mutable_g(), &types);
        for (pb::GraphProto &subgraph : *attribute.mutable_graphs())
          graph(subgraph, &types);
      }
      out.Add(std::move(node));
      return;
    }

    Renaming renaming{
        "fulgur." + std::to_string(++bodies) + ".", nameOf(node).str(), {}};
    for (const auto &[name, attribute] : schema->attributes())
      if (attribute.default_value.has_name())
        renaming.arguments[name] = &attribute.default_value;
    for (const pb::AttributeProto &attribute : node.attribute())
      renaming.arguments[attribute.name()] = &attribute;
    StringMap<std::string> names;
    for (int i = 0; i < function.input_size(); ++i)
      names[function.input(i)] = i < node.input_size() ? node.input(i) : "";
    for (int i = 0; i < function.output_size(); ++i)
      names[function.output(i)] =
          i < node.output_size() && !node.output(i).empty()
              ? node.output(i)
              : renaming.prefix + function.output(i);

    // The body as a model of its own, so that its values get types: bodies call
    // other functions.
    pb::ModelProto body;
    body.set_ir_version(model.ir_version());
    *body.mutable_opset_import() = model.opset_import();
    pb::GraphProto &graph = *body.mutable_graph();
    graph.set_name("body");
    for (pb::NodeProto &inner : *function.mutable_node()) {
      renaming.node(inner, names);
      graph.mutable_node()->Add(std::move(inner));
    }
    StringSet<> seen;
    for (auto [ports, isInput] :
         {std::pair(&node.input(), true), {&node.output(), false}})
      for (const std::string &port : *ports) {
        if (port.empty() || !seen.insert(port).second)
          continue;
        pb::ValueInfoProto &value =
            isInput ? *graph.add_input() : *graph.add_output();
        value.set_name(port);
        if (const pb::TypeProto *type = types.find(port))
          *value.mutable_type() = *type;
      }
    inferShapes(body);
    Types inner{&types, {}};
    inner.add(body.graph());
    for (pb::NodeProto &child : *graph.mutable_node())
      expand(child, inner, out);
  }

  const pb::ModelProto &model;
  StringMap<int> opsets;
  unsigned bodies = 0;
};

} // namespace

void expandSchemaFunctions(pb::ModelProto &model) {
  Expander(model).graph(*model.mutable_graph(), nullptr);
}

namespace {

void addUses(const pb::NodeProto &node, StringSet<> &used) {
  for (const std::string &input : node.input())
    used.insert(input);
  auto subgraph = [&](const pb::GraphProto &graph) {
    for (const pb::NodeProto &inner : graph.node())
      addUses(inner, used);
    for (const pb::ValueInfoProto &value : graph.output())
      used.insert(value.name());
  };
  for (const pb::AttributeProto &attribute : node.attribute()) {
    if (attribute.has_g())
      subgraph(attribute.g());
    for (const pb::GraphProto &graph : attribute.graphs())
      subgraph(graph);
  }
}

} // namespace

void removeDead(pb::GraphProto &graph) {
  StringSet<> used;
  for (const pb::ValueInfoProto &value : graph.output())
    used.insert(value.name());
  std::vector<bool> isLive(graph.node_size());
  for (int i = graph.node_size();
       i-- > 0;) { // nodes are sorted: users come before what they use
    const pb::NodeProto &node = graph.node(i);
    isLive[i] = any_of(node.output(), [&](const std::string &output) {
      return !output.empty() && used.contains(output);
    });
    if (isLive[i])
      addUses(node, used);
  }
  Nodes live;
  for (int i = 0; i < graph.node_size(); ++i)
    if (isLive[i])
      live.Add(std::move(*graph.mutable_node(i)));
  graph.mutable_node()->Swap(&live);
  google::protobuf::RepeatedPtrField<pb::TensorProto> initializers;
  StringSet<> dead;
  for (pb::TensorProto &tensor : *graph.mutable_initializer())
    if (used.contains(tensor.name()))
      initializers.Add(std::move(tensor));
    else
      dead.insert(tensor.name());
  graph.mutable_initializer()->Swap(&initializers);
  // Old models list their initializers among the inputs, too; without its
  // value one would become an input that the caller has to give.
  google::protobuf::RepeatedPtrField<pb::ValueInfoProto> inputs;
  for (pb::ValueInfoProto &input : *graph.mutable_input())
    if (!dead.contains(input.name()))
      inputs.Add(std::move(input));
  graph.mutable_input()->Swap(&inputs);
}

} // namespace fulgur::onnx
