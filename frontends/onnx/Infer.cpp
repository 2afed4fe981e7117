// Shape inference with the values of shape computations propagated. The library follows every one-dimensional value, however
// long, and spells out its elements one by one; here only values as short as a shape are followed.
#include "frontends/onnx/Prepare.h"
#include "onnx/defs/schema.h"
#include "onnx/shape_inference/implementation.h"
#include <map>
#include <memory>

namespace pb = ::onnx;

namespace fulgur::onnx {
namespace {

constexpr int64_t longestShape = 1024;

bool isLong(const pb::TypeProto *type) {
  if (!type || !type->has_tensor_type() || type->tensor_type().shape().dim_size() != 1)
    return false;
  return type->tensor_type().shape().dim(0).dim_value() > longestShape;
}

/// The library's schemas, those that propagate values with a look at their inputs first.
class Schemas : public pb::ISchemaRegistry {
public:
  const pb::OpSchema *GetSchema(const std::string &key, int version, const std::string &domain) const override {
    const pb::OpSchema *schema = pb::OpSchemaRegistry::Schema(key, version, domain);
    if (!schema || !schema->has_data_propagation_function())
      return schema;
    auto [known, isNew] = careful.try_emplace(schema);
    if (isNew) {
      known->second = std::make_unique<pb::OpSchema>(*schema);
      known->second->PartialDataPropagationFunction([schema](pb::DataPropagationContext &context) {
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

} // namespace

void inferShapes(pb::ModelProto &model) {
  thread_local Schemas schemas;
  pb::shape_inference::InferShapes(model, &schemas, pb::ShapeInferenceOptions(/*check_type=*/false, /*error_mode=*/0, /*data_prop=*/true));
}

} // namespace fulgur::onnx
