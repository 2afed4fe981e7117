// Questions about a model that are asked before ONNX's checker, which answers
// them late, obscurely or not at all.
#include "frontends/onnx/Extension.h"
#include "frontends/onnx/Prepare.h"
#include "frontends/onnx/Problem.h"
#include "onnx/common/version.h"
#include "onnx/defs/schema.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/ADT/Twine.h"
#include <queue>

using namespace llvm;
namespace pb = ::onnx;

namespace fulgur::onnx {
namespace {

std::string domainOf(StringRef domain) {
  return domain == "ai.onnx" ? "" : domain.str();
}

template <typename Visit>
void forEachNode(const google::protobuf::RepeatedPtrField<pb::NodeProto> &nodes,
                 Visit visit) {
  for (const pb::NodeProto &node : nodes) {
    visit(node);
    for (const pb::AttributeProto &attribute : node.attribute()) {
      if (attribute.has_g())
        forEachNode(attribute.g().node(), visit);
      for (const pb::GraphProto &graph : attribute.graphs())
        forEachNode(graph.node(), visit);
    }
  }
}

std::string functionKey(StringRef domain, StringRef name, StringRef overload) {
  return (domainOf(domain) + "::" + name + ":" + overload).str();
}

using Opsets = StringMap<int64_t>;
template <typename Imports> Opsets opsetsOf(const Imports &imports) {
  Opsets opsets;
  for (const pb::OperatorSetIdProto &import : imports)
    opsets[domainOf(import.domain())] = import.version();
  return opsets;
}

/// "'a', 'b', 'c'" and how many more.
std::string listed(ArrayRef<const pb::NodeProto *> nodes) {
  constexpr size_t most = 5;
  std::string text;
  for (const pb::NodeProto *node : nodes.take_front(most))
    text += (text.empty() ? "'" : ", '") + printable(nameOf(*node)) + "'";
  return nodes.size() > most
             ? text + " and " + std::to_string(nodes.size() - most) + " more"
             : text;
}

StringRef remedyFor(StringRef domain) {
  if (domain == "com.microsoft.nchwc" || domain == "com.ms.internal.nhwc")
    return "ONNX Runtime wrote it for the layout of one machine: save the "
           "optimized model with graph optimization level basic or extended";
  if (domain.starts_with("com.microsoft") || domain.starts_with("com.ms."))
    return "take the model before ONNX Runtime's optimizer or quantizer "
           "changed it";
  return "export the model with operators of the ONNX standard, or with the "
         "operator as a local function";
}

/// Operators that no schema and no function defines, with their nodes in the
/// order of the file.
struct Unknown {
  std::string domain, op;
  int64_t opset;
  SmallVector<const pb::NodeProto *> nodes;
};

} // namespace

bool takesType(const pb::NodeProto &node, int64_t opset, size_t input,
               const std::string &type) {
  const pb::OpSchema *schema = pb::OpSchemaRegistry::Schema(
      node.op_type(), int(opset), domainOf(node.domain()));
  if (!schema || schema->inputs().empty())
    return true;
  const auto &formal =
      schema->inputs()[std::min(input, schema->inputs().size() - 1)];
  return llvm::any_of(formal.GetTypes(), [&](const std::string *allowed) {
    return *allowed == "tensor(" + type + ")";
  });
}

std::optional<std::pair<size_t, size_t>>
mixedTypes(const pb::NodeProto &node, int64_t opset,
           ArrayRef<std::string> types) {
  const pb::OpSchema *schema = pb::OpSchemaRegistry::Schema(
      node.op_type(), int(opset), domainOf(node.domain()));
  if (!schema || schema->inputs().empty())
    return std::nullopt;
  StringMap<size_t> first; // input of each type variable
  for (auto [k, type] : enumerate(types)) {
    const auto &formal =
        schema->inputs()[std::min(k, schema->inputs().size() - 1)];
    bool isFree = formal.GetOption() == pb::OpSchema::Variadic &&
                  !formal.GetIsHomogeneous();
    // A variable names types; a type is written with parentheses.
    if (type.empty() || isFree || StringRef(formal.GetTypeStr()).contains('('))
      continue;
    auto [same, isNew] = first.try_emplace(formal.GetTypeStr(), k);
    if (!isNew && types[same->second] != type)
      return std::pair(same->second, k);
  }
  return std::nullopt;
}

void refuseUnknownOperators(const pb::ModelProto &model) {
  StringSet<> functions;
  for (const pb::FunctionProto &function : model.functions())
    functions.insert(
        functionKey(function.domain(), function.name(), function.overload()));
  MapVector<std::string, Unknown, std::map<std::string, unsigned>> unknown;
  auto look = [&](const pb::NodeProto &node, const Opsets &opsets) {
    refuseOtherValues(node);
    std::string domain = domainOf(node.domain());
    if (functions.contains(
            functionKey(domain, node.op_type(), node.overload())))
      return;
    auto version = opsets.find(domain);
    if (version != opsets.end() && version->second <= INT_MAX &&
        pb::OpSchemaRegistry::Schema(node.op_type(), int(version->second),
                                     domain))
      return;
    Unknown &entry = unknown[domain + "::" + node.op_type()];
    entry.domain = domain;
    entry.op = node.op_type();
    entry.opset = version == opsets.end() ? 0 : version->second;
    entry.nodes.push_back(&node);
  };
  Opsets opsets = opsetsOf(model.opset_import());
  forEachNode(model.graph().node(),
              [&](const pb::NodeProto &node) { look(node, opsets); });
  for (const pb::FunctionProto &function : model.functions()) {
    Opsets own = opsetsOf(function.opset_import());
    forEachNode(function.node(),
                [&](const pb::NodeProto &node) { look(node, own); });
  }
  if (unknown.empty())
    return;

  const Unknown &first = unknown.begin()->second;
  std::string name =
      (first.domain.empty() ? "" : printable(first.domain) + "::") +
      printable(first.op);
  std::string domain =
      first.domain.empty() ? "ai.onnx" : printable(first.domain);
  if (const pb::OpSchema *schema =
          pb::OpSchemaRegistry::Schema(first.op, first.domain)) {
    std::string why =
        first.opset ? "the model imports opset " + std::to_string(first.opset)
                    : "the model does not import the domain";
    refuse(ImportStatus::invalidModel,
           "operator '" + name + "' is defined by " + domain + " since opset " +
               Twine(schema->SinceVersion()) + ", but " + why +
               "; nodes: " + listed(first.nodes) +
               (first.opset
                    ? "; export the model with opset " +
                          std::to_string(schema->SinceVersion()) + " or newer"
                    : "; add it to opset_import"),
           first.nodes.front(), first.opset);
  }
  std::string others;
  for (const auto &[key, entry] : drop_begin(unknown))
    others += (others.empty() ? "; also unknown: '" : ", '") +
              (entry.domain.empty() ? "" : printable(entry.domain) + "::") +
              printable(entry.op) + "' (" + std::to_string(entry.nodes.size()) +
              (entry.nodes.size() == 1 ? " node)" : " nodes)");
  StringRef known = whyRefused(first.domain, first.op);
  std::string why = known.empty()
                        ? "domain " + domain + " of ONNX " +
                              pb::LAST_RELEASE_VERSION + " has no such operator"
                        : known.str();
  refuse(ImportStatus::unsupported,
         "operator '" + name + "' is not supported: " + why + "; " +
             Twine(first.nodes.size()) +
             (first.nodes.size() == 1 ? " node: " : " nodes: ") +
             listed(first.nodes) + others + "; " + remedyFor(first.domain),
         first.nodes.front(), first.opset);
}

namespace {

/// The names that a graph sees: its own and those of the graphs around it.
struct Scope {
  const Scope *outer = nullptr;
  StringSet<> names;
  bool sees(StringRef name) const {
    return names.contains(name) || (outer && outer->sees(name));
  }
};

/// What a node reads: its inputs and whatever its subgraphs take from outside.
void collectReads(const pb::NodeProto &node, StringSet<> &reads) {
  for (const std::string &input : node.input())
    if (!input.empty())
      reads.insert(input);
  auto subgraph = [&](const pb::GraphProto &graph) {
    StringSet<> inner, own;
    for (const pb::ValueInfoProto &value : graph.input())
      own.insert(value.name());
    for (const pb::TensorProto &tensor : graph.initializer())
      own.insert(tensor.name());
    for (const pb::SparseTensorProto &tensor : graph.sparse_initializer())
      own.insert(tensor.values().name());
    for (const pb::NodeProto &child : graph.node()) {
      collectReads(child, inner);
      for (const std::string &output : child.output())
        own.insert(output);
    }
    for (const pb::ValueInfoProto &value : graph.output())
      inner.insert(value.name());
    for (const auto &name : inner)
      if (!own.contains(name.getKey()))
        reads.insert(name.getKey());
  };
  for (const pb::AttributeProto &attribute : node.attribute()) {
    if (attribute.has_g())
      subgraph(attribute.g());
    for (const pb::GraphProto &graph : attribute.graphs())
      subgraph(graph);
  }
}

class Sorter {
public:
  using Nodes = google::protobuf::RepeatedPtrField<pb::NodeProto>;

  void sort(pb::GraphProto &graph, const Scope *outer) {
    Scope scope{outer, {}};
    for (const pb::ValueInfoProto &value : graph.input())
      scope.names.insert(value.name());
    for (const pb::TensorProto &tensor : graph.initializer())
      scope.names.insert(tensor.name());
    for (const pb::SparseTensorProto &tensor : graph.sparse_initializer())
      scope.names.insert(tensor.values().name());
    sort(*graph.mutable_node(), scope);
    for (const pb::ValueInfoProto &value : graph.output())
      if (!scope.sees(value.name()))
        refuse(ImportStatus::invalidModel,
               "output '" + printable(value.name()) +
                   "' of the graph is produced by no node; remove it from the "
                   "graph's outputs, or add what computes it");
  }

  /// Sorts the nodes, then the graphs inside them; `scope` gains what the nodes
  /// produce.
  void sort(Nodes &nodes, Scope &scope) {
    StringMap<int> producer;
    for (auto [i, node] : enumerate(nodes))
      for (const std::string &output : node.output())
        if (!output.empty() && !producer.try_emplace(output, i).second)
          refuse(ImportStatus::invalidModel,
                 "output '" + printable(output) +
                     "' of the node is also produced by node '" +
                     printable(nameOf(nodes[producer[output]])) +
                     "'; every value needs a name of its own",
                 &node);
    std::vector<SmallVector<int>> users(nodes.size());
    std::vector<int> waitsFor(nodes.size(), 0);
    bool sorted = true;
    for (auto [i, node] : enumerate(nodes)) {
      StringSet<> reads;
      collectReads(node, reads);
      for (const auto &read : reads) {
        auto from = producer.find(read.getKey());
        if (from == producer.end()) {
          if (!scope.sees(read.getKey()))
            refuse(ImportStatus::invalidModel,
                   "input '" + printable(read.getKey()) +
                       "' of the node is produced by nothing in the graph; "
                       "correct the name, or make it an input of the graph",
                   &node);
          continue;
        }
        users[from->second].push_back(i);
        ++waitsFor[i];
        sorted &= from->second < int(i);
      }
    }
    if (!sorted)
      reorder(nodes, users, waitsFor);
    for (const auto &name : producer)
      scope.names.insert(name.getKey());
    for (pb::NodeProto &node : nodes)
      for (pb::AttributeProto &attribute : *node.mutable_attribute()) {
        if (attribute.has_g())
          sort(*attribute.mutable_g(), &scope);
        for (pb::GraphProto &graph : *attribute.mutable_graphs())
          sort(graph, &scope);
      }
  }

private:
  /// Kahn's algorithm; among the nodes that are ready, the order of the file.
  static void reorder(Nodes &nodes, ArrayRef<SmallVector<int>> users,
                      std::vector<int> waitsFor) {
    std::priority_queue<int, std::vector<int>, std::greater<int>> ready;
    for (auto [i, count] : enumerate(waitsFor))
      if (count == 0)
        ready.push(i);
    std::vector<int> order;
    while (!ready.empty()) {
      int next = ready.top();
      ready.pop();
      order.push_back(next);
      for (int user : users[next])
        if (--waitsFor[user] == 0)
          ready.push(user);
    }
    if (order.size() != size_t(nodes.size()))
      refuseCycle(nodes, users, waitsFor);
    Nodes inOrder;
    for (int i : order)
      inOrder.Add(std::move(*nodes.Mutable(i)));
    nodes.Swap(&inOrder);
  }

  /// Every node that still waits has one before it that waits: going back long
  /// enough ends in the circle.
  static void refuseCycle(const Nodes &nodes, ArrayRef<SmallVector<int>> users,
                          ArrayRef<int> waitsFor) {
    std::vector<int> before(nodes.size(), -1);
    int at = -1;
    for (auto [i, list] : enumerate(users))
      if (waitsFor[i] > 0)
        for (int user : list)
          before[at = user] = i;
    for (int step = 0; step < nodes.size(); ++step)
      at = before[at];
    SmallVector<const pb::NodeProto *> circle;
    int start = at;
    do
      circle.push_back(&nodes[at]);
    while ((at = before[at]) != start);
    refuse(ImportStatus::invalidModel,
           "the graph is cyclic: the node waits for its own result; nodes on "
           "the circle: " +
               listed(circle) +
               "; what goes from step to step belongs into a Loop or a Scan",
           circle.front());
  }
};

} // namespace

void sortNodes(pb::ModelProto &model) {
  Sorter().sort(*model.mutable_graph(), nullptr);
  for (pb::FunctionProto &function : *model.mutable_functions()) {
    Scope scope;
    for (const std::string &input : function.input())
      scope.names.insert(input);
    Sorter().sort(*function.mutable_node(), scope);
  }
}

void refuseEndlessFunctions(const pb::ModelProto &model) {
  constexpr uint64_t mostNodes = 1 << 20;
  StringMap<const pb::FunctionProto *> functions;
  for (const pb::FunctionProto &function : model.functions())
    functions[functionKey(function.domain(), function.name(),
                          function.overload())] = &function;

  // The size of each function when everything in it is expanded; 0 while it is
  // being found.
  StringMap<uint64_t> sizes;
  auto sizeOf =
      [&](auto &self,
          const google::protobuf::RepeatedPtrField<pb::NodeProto> &nodes,
          unsigned depth) -> uint64_t {
    uint64_t total = 0;
    forEachNode(nodes, [&](const pb::NodeProto &node) {
      std::string key =
          functionKey(node.domain(), node.op_type(), node.overload());
      auto callee = functions.find(key);
      if (callee == functions.end()) {
        total = SaturatingAdd(total, uint64_t(1));
        return;
      }
      auto [known, isNew] = sizes.try_emplace(key, 0);
      if (!isNew && known->second == 0)
        refuse(ImportStatus::invalidModel,
               "function '" + printable(node.op_type()) +
                   "' calls itself, directly or through others, which ONNX "
                   "forbids; use a Loop",
               &node);
      if (isNew) {
        if (depth == 100)
          refuse(ImportStatus::resourceLimit,
                 "functions call each other more than 100 levels deep", &node);
        uint64_t size = std::max<uint64_t>(
            1, self(self, callee->second->node(), depth + 1));
        sizes[key] = size;
      }
      total = SaturatingAdd(total, sizes[key]);
    });
    return total;
  };
  uint64_t total = sizeOf(sizeOf, model.graph().node(), 0);
  for (const pb::FunctionProto &function : model.functions())
    sizeOf(sizeOf, function.node(), 0);
  if (total > mostNodes)
    refuse(ImportStatus::resourceLimit,
           "the graph with its functions expanded has " + Twine(total) +
               " nodes, more than the limit of " + Twine(mostNodes));
}

} // namespace fulgur::onnx
