// Where the bytes of tensors come from, and what is not accepted as bytes.
#include "Scratch.h"
#include "frontends/onnx/TensorData.h"

namespace fulgur::onnx {
namespace {

using Weights = Scratch;
using ::onnx::TensorProto;

/// y = x + w, with w for the test to fill in.
::onnx::ModelProto addModel(TensorProto *&weight, int64_t count) {
  ::onnx::ModelProto model;
  ::onnx::OnnxParser parser("<ir_version: 9, opset_import: [\"\": 20]> g "
                            "(float[1] x) => (float[n] y) { y = Add(x, w) }");
  EXPECT_TRUE(parser.Parse(model).IsOK());
  weight = model.mutable_graph()->add_initializer();
  weight->set_name("w");
  weight->set_data_type(TensorProto::FLOAT);
  weight->add_dims(count);
  return model;
}

std::vector<float> ramp(size_t count) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i)
    values[i] = float(i) * 0.5f;
  return values;
}

void expectRamp(const Loaded &loaded, size_t count, bool isMapped) {
  ASSERT_TRUE(loaded.model) << loaded.text();
  const TensorProto &weight = loaded.model->graph().initializer(0);
  llvm::ArrayRef<char> bytes = loaded.model->bytes(weight);
  ASSERT_EQ(bytes.size(), count * sizeof(float));
  EXPECT_EQ(std::memcmp(bytes.data(), ramp(count).data(), bytes.size()), 0);
  EXPECT_EQ(loaded.model->isMapped(weight), isMapped);
}

TEST_F(Weights, StayInTheFileWhenLarge) {
  for (size_t count : {size_t(10), size_t(1024), size_t(100000)}) {
    TensorProto *weight;
    ::onnx::ModelProto model = addModel(weight, count);
    std::vector<float> values = ramp(count);
    weight->set_raw_data(values.data(), values.size() * sizeof(float));
    weight->set_data_location(
        TensorProto::DEFAULT); // written after the data, and must not undo the
                               // parking
    expectRamp(load(model), count, count >= 1024);
  }
}

TEST_F(Weights, InTypedFieldsBecomeBytes) {
  for (size_t count : {size_t(10), size_t(100000)}) {
    TensorProto *weight;
    ::onnx::ModelProto model = addModel(weight, count);
    for (float value : ramp(count))
      weight->add_float_data(value);
    expectRamp(load(model), count, count >= 1024);
  }
}

TEST_F(Weights, OfConstantsInSubgraphsAreBytesToo) {
  TensorProto tensor;
  tensor.set_data_type(TensorProto::FLOAT);
  tensor.add_dims(5000);
  std::vector<float> values = ramp(5000);
  tensor.set_raw_data(values.data(), values.size() * sizeof(float));
  ::onnx::ModelProto model = parse(
      R"(<ir_version: 9, opset_import: ["": 20]> g (bool c, float[5000] x) => (float[5000] y) {
    y = If(c) <then_branch = t () => (float[5000] p) { p = Constant() }, else_branch = e () => (float[5000] q) { q = Relu(x) }> })");
  ::onnx::NodeProto &branch = *model.mutable_graph()->mutable_node(0);
  ::onnx::NodeProto *constant = nullptr;
  for (::onnx::AttributeProto &attribute : *branch.mutable_attribute())
    if (attribute.name() == "then_branch")
      constant = attribute.mutable_g()->mutable_node(0);
  ASSERT_TRUE(constant);
  ::onnx::AttributeProto &value = *constant->add_attribute();
  value.set_name("value");
  value.set_type(::onnx::AttributeProto::TENSOR);
  *value.mutable_t() = tensor;
  Loaded loaded = load(model);
  ASSERT_TRUE(loaded.model) << loaded.text();
  int found = 0;
  ::onnx::ModelProto copy = loaded.model->proto();
  forEachTensor(copy, [&](TensorProto &t, const ::onnx::NodeProto *) {
    ++found;
    llvm::ArrayRef<char> bytes = loaded.model->bytes(t);
    ASSERT_EQ(bytes.size(), values.size() * sizeof(float));
    EXPECT_EQ(std::memcmp(bytes.data(), values.data(), bytes.size()), 0);
  });
  EXPECT_EQ(found, 1);
}

TEST_F(Weights, MustBeAsManyAsTheDimsSay) {
  TensorProto *weight;
  ::onnx::ModelProto model = addModel(weight, 12);
  weight->set_raw_data(std::string(44, '\0'));
  EXPECT_REFUSED(
      load(model), invalidModel,
      "tensor 'w' has 44 bytes of data, but its type and dims ask for 48");
  weight->set_raw_data(std::string(52, '\0'));
  EXPECT_REFUSED(load(model), invalidModel, "52 bytes");
  weight->set_raw_data(std::string(8192, '\0')); // large enough to be parked
  EXPECT_REFUSED(load(model), invalidModel, "8192 bytes");
  weight->set_raw_data("");
  EXPECT_REFUSED(load(model), invalidModel, "has 0 bytes");
  weight->add_int64_data(1);
  EXPECT_REFUSED(load(model), invalidModel, "field of another type");
  weight->add_float_data(1);
  EXPECT_REFUSED(load(model), invalidModel, "more than one field");
}

TEST_F(Weights, HaveDimsWhoseProductIsANumber) {
  for (std::vector<int64_t> dims : {std::vector<int64_t>{-1},
                                    {INT64_MIN},
                                    {INT64_MAX, 2},
                                    {1ll << 32, 1ll << 32},
                                    {0, INT64_MAX, INT64_MAX}}) {
    TensorProto *weight;
    ::onnx::ModelProto model = addModel(weight, 1);
    weight->clear_dims();
    for (int64_t dim : dims)
      weight->add_dims(dim);
    weight->set_raw_data(std::string(4, '\0'));
    EXPECT_REFUSED(load(model), invalidModel,
                   "negative or whose product is over 2^63");
  }
  TensorProto *weight;
  ::onnx::ModelProto model = addModel(weight, INT64_MAX);
  weight->set_raw_data(std::string(4, '\0'));
  EXPECT_REFUSED(load(model), invalidModel, "more than 2^63 bytes");
}

TEST_F(Weights, HaveATypeThatWeKnow) {
  TensorProto *weight;
  ::onnx::ModelProto model = addModel(weight, 1);
  weight->set_data_type(77);
  weight->set_raw_data(std::string(4, '\0'));
  EXPECT_REFUSED(load(model), invalidModel, "element type 77");
  weight->set_data_type(TensorProto::BOOL);
  weight->set_raw_data(std::string(1, '\x02'));
  EXPECT_REFUSED(load(model), invalidModel, "neither 0 nor 1");
}

TEST_F(Weights, TakeTheBytesOfTheirType) {
  EXPECT_EQ(storageBytes(TensorProto::INT4, 5), 3);
  EXPECT_EQ(storageBytes(TensorProto::UINT2, 5), 2);
  EXPECT_EQ(storageBytes(TensorProto::BOOL, 5), 5);
  EXPECT_EQ(storageBytes(TensorProto::DOUBLE, 5), 40);
  EXPECT_EQ(storageBytes(TensorProto::STRING, 5), std::nullopt);
  EXPECT_EQ(storageBytes(TensorProto::DOUBLE, INT64_MAX / 2), std::nullopt);
  EXPECT_EQ(elementCount({}), 1);
  EXPECT_EQ(elementCount({3, 0, 5}), 0);
  EXPECT_EQ(elementCount({3, -1}), std::nullopt);
}

TEST_F(Weights, KeepToTheLimitOfTheModel) {
  TensorProto *weight;
  ::onnx::ModelProto model = addModel(weight, 1024);
  weight->set_raw_data(std::string(4096, '\0'));
  ImportOptions options;
  options.maxModelBytes = 4000;
  EXPECT_REFUSED(load(model.SerializeAsString(), options), resourceLimit,
                 "more than the limit of 4000");
}

} // namespace
} // namespace fulgur::onnx
