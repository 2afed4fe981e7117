#include "frontends/onnx/Model.h"
#include "frontends/onnx/ExternalData.h"
#include "frontends/onnx/Prepare.h"
#include "frontends/onnx/Wire.h"
#include "llvm/ADT/Twine.h"
#include <climits>
#include <new>

using namespace llvm;

namespace fulgur::onnx {

Model::Model(StringRef path) : file(path) {}
Model::~Model() = default;

std::shared_ptr<const Model>
Model::load(StringRef path, const ImportOptions &options, Problem &problem) {
  try {
    std::shared_ptr<Model> model(new Model(path));
    model->read(options);
    return model;
  } catch (const Problem &caught) {
    problem = caught;
  } catch (const std::bad_alloc &) {
    problem = {ImportStatus::resourceLimit,
               "there is not enough memory to read the model",
               "",
               "",
               "",
               0};
  } catch (const std::exception &error) {
    problem = {ImportStatus::invalidModel,
               "the ONNX library gives up: " +
                   printable(StringRef(error.what()).split('\n').first),
               "",
               "",
               "",
               0};
  } catch (...) {
    problem = {
        ImportStatus::invalidModel, "the ONNX library gives up", "", "", "", 0};
  }
  return nullptr;
}

/// Files that are often taken for models; empty for others.
static StringRef mistakenFor(StringRef file) {
  if (file.starts_with("version https://git-lfs"))
    return "is a pointer of Git LFS, not the model itself; fetch it with 'git "
           "lfs pull'";
  StringRef text = file.take_front(64).ltrim();
  if (text.starts_with("<"))
    return "is a web page or XML, not a model; download the model itself";
  if (file.starts_with("PK\3\4"))
    return "is a ZIP archive, as PyTorch saves models, not an ONNX model; "
           "unpack it, or export it with torch.onnx";
  return "";
}

/// Inputs without a shape get the one of the command line.
static void giveShapes(::onnx::ModelProto &model,
                       const ImportOptions &options) {
  for (::onnx::ValueInfoProto &input :
       *model.mutable_graph()->mutable_input()) {
    auto given = options.shapes.find(input.name());
    if (!input.type().has_tensor_type() ||
        input.type().tensor_type().has_shape() || given == options.shapes.end())
      continue;
    auto &shape = *input.mutable_type()->mutable_tensor_type()->mutable_shape();
    for (StringRef text : given->second) {
      ::onnx::TensorShapeProto::Dimension &dim = *shape.add_dim();
      int64_t size;
      if (!text.getAsInteger(10, size))
        dim.set_dim_value(size);
      else if (text != "?")
        dim.set_dim_param(text.str());
    }
  }
}

void Model::read(const ImportOptions &options) {
  weights = std::make_unique<WeightFiles>(file, options.maxModelBytes);
  if (StringRef what = mistakenFor(weights->modelFile()); !what.empty())
    refuse(ImportStatus::invalidModel, what);
  uint64_t badByte = 0;
  std::optional<std::string> skeleton =
      parkWeights(weights->modelFile(), badByte);
  if (!skeleton)
    refuse(ImportStatus::invalidModel,
           "is not an ONNX model, or is truncated or damaged: byte " +
               Twine(badByte) + " of " + Twine(weights->modelFile().size()) +
               " does not begin a protobuf field that ends inside its message; "
               "download or export it again");
  if (skeleton->size() > INT_MAX)
    refuse(ImportStatus::resourceLimit,
           "has " + Twine(skeleton->size()) +
               " bytes beside its weights, more than protobuf's limit of " +
               Twine(INT_MAX));
  if (!model.ParseFromArray(skeleton->data(), int(skeleton->size())))
    refuse(ImportStatus::invalidModel,
           "is not an ONNX model, or is damaged: its fields are not those of "
           "ONNX, or are nested more than 100 deep; download or export it "
           "again");
  skeleton.reset();
  if (!model.has_ir_version() || !model.has_graph())
    refuse(ImportStatus::invalidModel,
           "is not an ONNX model, or is truncated: it has no " +
               StringRef(model.has_graph() ? "ir_version" : "graph") +
               "; download or export it again");
  giveShapes(model, options);
  prepare(model, *weights);

  noteTypes(model.graph());
}

/// Names differ between a graph and those inside it.
void Model::noteTypes(const ::onnx::GraphProto &graph) {
  for (const ::onnx::TensorProto &tensor : graph.initializer())
    types[tensor.name()] = initializerType(tensor);
  for (const auto *values :
       {&graph.input(), &graph.value_info(), &graph.output()})
    for (const ::onnx::ValueInfoProto &value : *values)
      types[value.name()] = value.type();
  for (const ::onnx::NodeProto &node : graph.node())
    for (const ::onnx::AttributeProto &attribute : node.attribute())
      if (attribute.has_g())
        noteTypes(attribute.g());
}

int64_t Model::opset(StringRef domain) const {
  for (const ::onnx::OperatorSetIdProto &import : model.opset_import())
    if (import.domain() == (domain == "ai.onnx" ? "" : domain))
      return import.version();
  return 0;
}

ArrayRef<char> Model::bytes(const ::onnx::TensorProto &tensor) const {
  return weights->bytes(tensor);
}

bool Model::isMapped(const ::onnx::TensorProto &tensor) const {
  return tensor.data_location() == ::onnx::TensorProto::EXTERNAL;
}

const ::onnx::TypeProto *Model::typeOf(StringRef value) const {
  auto found = types.find(value);
  return found == types.end() ? nullptr : &found->second;
}

} // namespace fulgur::onnx
