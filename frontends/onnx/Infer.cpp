// Shape inference with the values of shape computations propagated. The library
// counts some things one by one, however many a file says there are: the
// elements of one-dimensional values, the sizes of Split, the dims of Expand in
// old opsets. Here it is asked only about values as short as a shape.
#include "frontends/onnx/Prepare.h"
#include "frontends/onnx/Problem.h"
#include "onnx/defs/schema.h"
#include "onnx/shape_inference/implementation.h"
#include "llvm/ADT/Twine.h"
#include <map>
#include <memory>

using llvm::Twine;
namespace pb = ::onnx;

namespace fulgur::onnx {
namespace {

constexpr int64_t longestShape = 1024;

bool isLong(const pb::TypeProto *type) {
  if (!type || !type->has_tensor_type() ||
      type->tensor_type().shape().dim_size() != 1)
    return false;
  return type->tensor_type().shape().dim(0).dim_value() > longestShape;
}

bool isAbsurd(const pb::InferenceContext &context) {
  const pb::AttributeProto *outputs =
      context.getAttribute("num_outputs"); // of Split
  return (outputs && outputs->i() > int64_t(context.getNumOutputs())) ||
         (context.getNumInputs() > 1 && isLong(context.getInputType(1)));
}

using Types = std::map<std::string, const pb::TypeProto *>;

/// The library's schemas, the doubtful ones with a look at their operands
/// first.
class Schemas : public pb::ISchemaRegistry {
public:
  const pb::OpSchema *GetSchema(const std::string &key, int version,
                                const std::string &domain) const override {
    const pb::OpSchema *schema =
        pb::OpSchemaRegistry::Schema(key, version, domain);
    bool counts = key == "Split" || key == "Expand";
    // Of this one the library has neither an inference nor a body that it
    // infers through, and nothing behind it would have a type.
    bool isSilent = key == "GroupNormalization" && schema &&
                    !schema->has_type_and_shape_inference_function();
    if (!schema ||
        !(counts || isSilent || schema->has_data_propagation_function()))
      return schema;
    auto [known, isNew] = careful.try_emplace(schema);
    if (isNew) {
      known->second = std::make_unique<pb::OpSchema>(*schema);
      if (counts)
        known->second->TypeAndShapeInferenceFunction(
            [schema](pb::InferenceContext &context) {
              if (!isAbsurd(context))
                schema->GetTypeAndShapeInferenceFunction()(context);
            });
      if (isSilent) {
        known->second->TypeAndShapeInferenceFunction(
            pb::propagateShapeAndTypeFromFirstInput);
        return known->second.get();
      }
      known->second->PartialDataPropagationFunction(
          [schema](pb::DataPropagationContext &context) {
            for (size_t i = 0; i < context.getNumInputs(); ++i)
              if (isLong(context.getInputType(i)))
                return;
            schema->GetDataPropagationFunction()(context);
          });
    }
    return known->second.get();
  }

private:
  mutable std::map<const pb::OpSchema *, std::unique_ptr<pb::OpSchema>> careful;
};

void refuseAbsurdCounts(const pb::GraphProto &graph, Types &types);

void refuseAbsurdCounts(
    const google::protobuf::RepeatedPtrField<pb::NodeProto> &nodes,
    Types &types) {
  for (const pb::NodeProto &node : nodes) {
    for (const pb::AttributeProto &attribute : node.attribute()) {
      if (node.op_type() == "Split" && attribute.name() == "num_outputs" &&
          attribute.i() > node.output_size())
        refuse(ImportStatus::invalidModel,
               "num_outputs is " + Twine(attribute.i()) +
                   ", but the node has " + Twine(node.output_size()) +
                   " outputs",
               &node);
      if (attribute.has_g())
        refuseAbsurdCounts(attribute.g(), types);
      for (const pb::GraphProto &graph : attribute.graphs())
        refuseAbsurdCounts(graph, types);
    }
    if (node.op_type() != "Expand" || node.input_size() < 2)
      continue;
    if (auto shape = types.find(node.input(1));
        shape != types.end() && isLong(shape->second))
      refuse(
          ImportStatus::invalidModel,
          "the shape '" + printable(node.input(1)) + "' has " +
              Twine(shape->second->tensor_type().shape().dim(0).dim_value()) +
              " dims, more than the limit of " + Twine(longestShape),
          &node);
  }
}

void refuseAbsurdCounts(const pb::GraphProto &graph, Types &types) {
  for (const auto *values :
       {&graph.input(), &graph.value_info(), &graph.output()})
    for (const pb::ValueInfoProto &value : *values)
      types[value.name()] = &value.type();
  refuseAbsurdCounts(graph.node(), types);
}

} // namespace

void refuseAbsurdCounts(const pb::ModelProto &model) {
  Types types;
  refuseAbsurdCounts(model.graph(), types);
}

void inferShapes(pb::ModelProto &model) {
  thread_local Schemas schemas;
  pb::shape_inference::InferShapes(
      model, &schemas,
      pb::ShapeInferenceOptions(/*check_type=*/false, /*error_mode=*/0,
                                /*data_prop=*/true));
}

} // namespace fulgur::onnx
