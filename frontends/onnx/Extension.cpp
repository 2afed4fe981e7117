// From an operator's one-line interface to a schema of the ONNX library.
#include "frontends/onnx/Extension.h"
#include "frontends/onnx/Problem.h"
#include "onnx/defs/function.h"
#include "onnx/defs/parser.h"
#include "onnx/defs/schema.h"
#include "onnx/defs/shape_inference.h"
#include "onnx/onnx_pb.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/ErrorHandling.h"

using namespace llvm;
namespace pb = ::onnx;

namespace fulgur::onnx {
namespace {

/// Reads an interface; one that does not parse is an error of the programmer.
class InterfaceParser {
public:
  explicit InterfaceParser(StringRef text) : text(text), rest(text.trim()) {}

  pb::OpSchema parse() {
    pb::OpSchema schema(word().str(), "extension", 0);
    if (accept("<"))
      do
        attribute(schema);
      while (accept(",") || !require(">"));
    require("(");
    for (int n = 0; !accept(")"); accept(","))
      input(schema, n++);
    require("=>");
    require("(");
    for (int n = 0; !accept(")"); accept(","))
      output(schema, n++);
    if (accept("where"))
      do {
        StringRef variable = word();
        require(":");
        std::vector<std::string> types;
        do
          types.push_back(typeText(word()));
        while (accept("|"));
        constrained.insert(variable);
        schema.TypeConstraint(variable.str(), types, "");
      } while (accept(","));
    if (!rest.empty())
      wrong("the end");
    for (const auto &variable : variables)
      if (!constrained.contains(variable.getKey()))
        schema.TypeConstraint(variable.getKey().str(), realTypes(), "");
    return schema;
  }

  /// The attributes that have only one value.
  SmallVector<std::string> only;
  /// The input whose shape each output has.
  std::vector<std::optional<size_t>> like;

private:
  [[noreturn]] void wrong(const Twine &expected) {
    report_fatal_error("interface '" + text + "': " + expected +
                       " expected at '" + rest + "'");
  }
  bool accept(StringRef token) {
    if (!rest.consume_front(token))
      return false;
    rest = rest.ltrim();
    return true;
  }
  bool require(StringRef token) {
    if (!accept(token))
      wrong("'" + token + "'");
    return true;
  }
  StringRef word() {
    StringRef result =
        rest.take_while([](char c) { return isAlnum(c) || c == '_'; });
    if (result.empty())
      wrong("a name");
    rest = rest.drop_front(result.size()).ltrim();
    return result;
  }
  /// A default: everything up to the end of the attribute.
  StringRef literal() {
    StringRef result =
        rest.take_until([](char c) { return c == ',' || c == '>'; }).trim();
    rest = rest.drop_until([](char c) { return c == ',' || c == '>'; });
    return result;
  }

  void attribute(pb::OpSchema &schema) {
    std::string name = word().str();
    require(":");
    StringRef kind = word();
    using Attribute = pb::AttributeProto;
    std::optional<pb::AttributeProto::AttributeType> type =
        StringSwitch<std::optional<Attribute::AttributeType>>(kind)
            .Case("int", Attribute::INT)
            .Case("ints", Attribute::INTS)
            .Case("float", Attribute::FLOAT)
            .Case("floats", Attribute::FLOATS)
            .Case("string", Attribute::STRING)
            .Case("strings", Attribute::STRINGS)
            .Case("tensor", Attribute::TENSOR)
            .Case("graph", Attribute::GRAPH)
            .Default(std::nullopt);
    if (!type)
      wrong("a type of an attribute, not '" + kind + "',");
    if (accept("?")) {
      schema.Attr(name, "", *type, /*required=*/false);
      return;
    }
    if (!accept("=")) {
      schema.Attr(name, "", *type, /*required=*/true);
      return;
    }
    StringRef number = literal();
    if (number.consume_back(" only"))
      only.push_back(name);
    int64_t integer;
    double real;
    if (*type == Attribute::STRING)
      schema.Attr(name, "", *type, number.str());
    else if (*type == Attribute::INT && !number.getAsInteger(10, integer))
      schema.Attr(name, "", *type, integer);
    else if (*type == Attribute::FLOAT && !number.getAsDouble(real))
      schema.Attr(name, "", *type, float(real));
    else
      wrong("a default of type '" + kind + "', not '" + number + "',");
  }

  /// A type as the library writes it: tensor(float), or a variable.
  std::string typeText(StringRef type) {
    return isUpper(type.front()) ? type.str() : ("tensor(" + type + ")").str();
  }
  std::string parameterType(pb::OpSchema::FormalParameterOption &option) {
    StringRef type = word();
    if (isUpper(type.front()))
      variables.insert(type);
    option = accept("...") ? pb::OpSchema::Variadic
             : accept("?") ? pb::OpSchema::Optional
                           : pb::OpSchema::Single;
    return typeText(type);
  }
  void input(pb::OpSchema &schema, int n) {
    pb::OpSchema::FormalParameterOption option;
    std::string type = parameterType(option);
    inputs.push_back(word());
    schema.Input(n, inputs.back().str(), "", type, option,
                 /*is_homogeneous=*/false);
  }
  void output(pb::OpSchema &schema, int n) {
    pb::OpSchema::FormalParameterOption option;
    std::string type = parameterType(option);
    schema.Output(n, word().str(), "", type, option, /*is_homogeneous=*/false);
    like.emplace_back();
    if (!accept("like"))
      return;
    StringRef model = word();
    const auto *found = llvm::find(inputs, model);
    if (found == inputs.end())
      wrong("an input, not '" + model + "',");
    like.back() = found - inputs.begin();
  }

  static const std::vector<std::string> &realTypes() {
    static const std::vector<std::string> types = {
        "tensor(float)", "tensor(float16)", "tensor(bfloat16)",
        "tensor(double)"};
    return types;
  }

  StringRef text, rest;
  SmallVector<StringRef> inputs;
  StringSet<> variables, constrained;
};

/// Types of results from types of operands, shapes of those that are like one.
void inferTypes(pb::InferenceContext &context, const pb::OpSchema &schema,
                ArrayRef<std::optional<size_t>> like) {
  for (size_t k = 0; k < context.getNumOutputs(); ++k) {
    const auto &output =
        schema.outputs()[std::min(k, schema.outputs().size() - 1)];
    StringRef type = output.GetTypeStr();
    if (type.consume_front("tensor(")) {
      type.consume_back(")");
      pb::TensorProto::DataType number;
      if (pb::TensorProto::DataType_Parse(type.upper(), &number))
        pb::updateOutputElemType(context, k, number);
    } else {
      for (size_t i = 0; i < context.getNumInputs(); ++i) {
        const pb::TypeProto *given = context.getInputType(i);
        const auto &input =
            schema.inputs()[std::min(i, schema.inputs().size() - 1)];
        if (StringRef(input.GetTypeStr()) != type || !given ||
            !given->has_tensor_type())
          continue;
        pb::updateOutputElemType(context, k, given->tensor_type().elem_type());
        break;
      }
    }
    if (k < like.size() && like[k] && pb::hasInputShape(context, *like[k]))
      pb::propagateShapeFromInputToOutput(context, *like[k], k);
  }
}

/// Attributes that have only one value, by operator.
StringMap<SmallVector<std::string>> &fixedAttributes() {
  static StringMap<SmallVector<std::string>> attributes;
  return attributes;
}

pb::OpSchema schemaOf(const Extension &op) {
  InterfaceParser parser(op.interface);
  pb::OpSchema schema = parser.parse();
  schema.SetDomain(kMicrosoft.str()).SinceVersion(1);
  if (!parser.only.empty())
    fixedAttributes()[op.name] = parser.only;
  if (!op.bodyWithout.empty())
    schema.SetContextDependentFunctionBodyBuilder(
        [full = op.body, without = op.bodyWithout](
            const pb::FunctionBodyBuildContext &context,
            const pb::OpSchema &schema, pb::FunctionProto &function) {
          bool isFull = context.hasInput(int(schema.inputs().size()) - 1);
          std::string text = "{" + (isFull ? full : without) + "}";
          pb::OnnxParser parser(text.c_str());
          if (!parser.Parse(*function.mutable_node()).IsOK())
            return false;
          schema.BuildFunction(function);
          return true;
        });
  else if (!op.body.empty())
    schema.FunctionBody(("{" + op.body + "}").c_str());
  auto plain = std::make_shared<pb::OpSchema>(schema);
  schema.TypeAndShapeInferenceFunction(
      [plain, like = parser.like, infer = op.infer](pb::InferenceContext &c) {
        inferTypes(c, *plain, like);
        if (infer)
          infer(c);
      });
  return schema;
}

StringRef nameIn(StringRef interface) {
  return interface.ltrim().take_while(isAlnum);
}

/// How many inputs must be there.
size_t leastInputs(StringRef interface) {
  StringRef inputs = interface.split("=>").first.rsplit('(').second;
  SmallVector<StringRef> parts;
  inputs.split(parts, ',');
  size_t least = 0;
  while (least < parts.size() && !parts[least].contains('?'))
    ++least;
  return least;
}

} // namespace

void Extensions::add(StringRef interface, OpImport::One lowering,
                     ShapeInference infer) {
  operators.push_back({nameIn(interface).str(), interface.str(),
                       OpImport(lowering, leastInputs(interface)), "", "",
                       infer});
}
void Extensions::add(StringRef interface, OpImport::Many lowering,
                     ShapeInference infer) {
  operators.push_back({nameIn(interface).str(), interface.str(),
                       OpImport(lowering, leastInputs(interface)), "", "",
                       infer});
}
void Extensions::expand(StringRef interface, StringRef body,
                        StringRef bodyWithout) {
  operators.push_back({nameIn(interface).str(),
                       interface.str(),
                       {},
                       body.str(),
                       bodyWithout.str()});
}
void Extensions::refuse(ArrayRef<StringRef> names, StringRef reason) {
  for (StringRef name : names)
    refused.emplace_back(name.str(), reason.str());
}

void Extensions::stray(ArrayRef<StringRef> names) {
  strays.insert(names.begin(), names.end());
}

void defineExtensions() {
  static const bool defined = [] {
    auto &versions = pb::OpSchemaRegistry::DomainToVersionRange::Instance();
    if (!versions.Map().count(kMicrosoft.str()))
      versions.AddDomainToVersion(kMicrosoft.str(), 1, 1);
    for (const Extension &op : microsoftOperators().operators)
      pb::RegisterSchema(schemaOf(op), 0, /*fail_duplicate_schema=*/true,
                         /*fail_with_exception=*/true);
    return true;
  }();
  (void)defined;
}

void registerExtensions(OpTable &ops) {
  for (const Extension &op : microsoftOperators().operators)
    if (op.body.empty())
      ops[(kMicrosoft + "::" + op.name).str()] = op.lowering;
}

StringRef whyRefused(StringRef domain, StringRef op) {
  if (domain == kMicrosoft)
    for (const auto &[name, reason] : microsoftOperators().refused)
      if (name == op)
        return reason;
  return "";
}

void refuseOtherValues(const pb::NodeProto &node) {
  auto fixed = fixedAttributes().find(node.op_type());
  if (node.domain() != kMicrosoft || fixed == fixedAttributes().end())
    return;
  const pb::OpSchema *schema =
      pb::OpSchemaRegistry::Schema(node.op_type(), 1, kMicrosoft.str());
  for (const pb::AttributeProto &attribute : node.attribute()) {
    if (!is_contained(fixed->second, attribute.name()))
      continue;
    const pb::AttributeProto &only =
        schema->attributes().at(attribute.name()).default_value;
    if (attribute.i() != only.i() || attribute.f() != only.f() ||
        attribute.s() != only.s())
      refuse(ImportStatus::unsupported,
             "attribute '" + attribute.name() +
                 "' is supported only with its default",
             &node, 1);
  }
}

namespace {
using Nodes = google::protobuf::RepeatedPtrField<pb::NodeProto>;

/// Whether there are operators of ONNX Runtime.
bool adopt(Nodes &nodes, int version) {
  bool found = false;
  for (pb::NodeProto &node : nodes) {
    if ((node.domain().empty() || node.domain() == "ai.onnx") &&
        !pb::OpSchemaRegistry::Schema(node.op_type(), version) &&
        microsoftOperators().strays.contains(node.op_type())) {
      node.set_domain(kMicrosoft.str());
    }
    found |= node.domain() == kMicrosoft;
    for (pb::AttributeProto &attribute : *node.mutable_attribute()) {
      if (attribute.has_g())
        found |= adopt(*attribute.mutable_g()->mutable_node(), version);
      for (pb::GraphProto &graph : *attribute.mutable_graphs())
        found |= adopt(*graph.mutable_node(), version);
    }
  }
  return found;
}

template <typename Owner> void adoptIn(Owner &owner, Nodes &nodes) {
  int64_t version = 0;
  bool imported = false;
  for (const pb::OperatorSetIdProto &import : owner.opset_import()) {
    if (import.domain().empty() || import.domain() == "ai.onnx")
      version = import.version();
    imported |= import.domain() == kMicrosoft;
  }
  if (version < 1 || version > std::numeric_limits<int>::max() ||
      !adopt(nodes, int(version)) || imported)
    return;
  pb::OperatorSetIdProto &import = *owner.add_opset_import();
  import.set_domain(kMicrosoft.str());
  import.set_version(1);
}
} // namespace

void adoptStrays(pb::ModelProto &model) {
  adoptIn(model, *model.mutable_graph()->mutable_node());
  for (pb::FunctionProto &function : *model.mutable_functions())
    adoptIn(function, *function.mutable_node());
}

} // namespace fulgur::onnx
