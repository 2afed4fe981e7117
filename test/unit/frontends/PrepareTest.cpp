// What the importer may rely on: one opset, no functions, nodes in order,
// shapes found; and what is said when that cannot be.
#include "Scratch.h"

namespace fulgur::onnx {
namespace {

using Prepare = Scratch;

TEST_F(Prepare, ConvertsToTheNewestOpset) {
  Loaded loaded =
      load(parse("<ir_version: 7, opset_import: [\"\": 9]> g (float[2, 3] x) "
                 "=> (float[2, 3] y) { y = Relu(x) }"));
  ASSERT_TRUE(loaded.model) << loaded.text();
  EXPECT_EQ(loaded.model->opset(), 28);
  EXPECT_EQ(loaded.model->opset("ai.onnx"), 28);
  EXPECT_EQ(ops(*loaded.model), "Relu");
}

TEST_F(Prepare, KeepsTheOpsetThatTheConverterCannotLeave) {
  // Upsample in opset 9 with scales that are not constant has no counterpart
  // that the converter knows.
  Loaded loaded = load(
      parse("<ir_version: 7, opset_import: [\"\": 9]> g (float[1, 1, 2, 2] x, "
            "float[4] s) => (float[n, c, h, w] y) { y = Upsample(x, s) }"));
  if (loaded.model)
    EXPECT_TRUE(loaded.model->opset() == 9 || loaded.model->opset() == 28);
  else
    EXPECT_NE(loaded.problem.status, ImportStatus::ok);
}

TEST_F(Prepare, InlinesLocalFunctions) {
  Loaded loaded = load(parse(R"(<ir_version: 9, opset_import: ["": 20, "my": 1]>
    g (float[N, 4] x) => (float[N, 4] y) { y = my.twice(x) }
    <domain: "my", opset_import: ["": 20]> twice (a) => (b) { t = Add(a, a) b = Neg(t) })"));
  ASSERT_TRUE(loaded.model) << loaded.text();
  EXPECT_EQ(ops(*loaded.model), "Add Neg");
  EXPECT_TRUE(loaded.model->proto().functions().empty());
}

TEST_F(Prepare, ExpandsSchemaFunctionsUnlessTheyAreKept) {
  Loaded loaded = load(
      parse("<ir_version: 9, opset_import: [\"\": 20]> g (float[N, 4] x) => "
            "(float[N, 4] y) { [one] s = Softsign(x) [two] y = Gelu(s) }"));
  ASSERT_TRUE(loaded.model) << loaded.text();
  EXPECT_EQ(ops(*loaded.model).find("Softsign"), std::string::npos);
  EXPECT_NE(ops(*loaded.model).find("Gelu"), std::string::npos);
  for (const ::onnx::NodeProto &node : loaded.model->graph().node())
    EXPECT_TRUE(node.name() == "one" || node.name() == "two") << node.name();
}

TEST_F(Prepare, TakesMinusOneForASizeThatIsNotKnown) {
  ::onnx::ModelProto model =
      parse("<ir_version: 9, opset_import: [\"\": 20]> g (float[N, 4] x) => "
            "(float[M, 4] y) { y = Relu(x) }");
  for (auto *values : {model.mutable_graph()->mutable_input(),
                       model.mutable_graph()->mutable_output()})
    values->at(0)
        .mutable_type()
        ->mutable_tensor_type()
        ->mutable_shape()
        ->mutable_dim(0)
        ->set_dim_value(-1);
  Loaded loaded = load(model);
  ASSERT_TRUE(loaded.model) << loaded.text();
  EXPECT_FALSE(loaded.model->graph()
                   .input(0)
                   .type()
                   .tensor_type()
                   .shape()
                   .dim(0)
                   .has_dim_value());
}

TEST_F(Prepare, InfersShapesAndBelievesNoClaims) {
  ::onnx::ModelProto model =
      parse("<ir_version: 9, opset_import: [\"\": 20]> g (float[N, 4] x) => "
            "(float[a, b] y) { t = Transpose<perm = [1, 0]>(x) y = Relu(t) }");
  ::onnx::ValueInfoProto &lie = *model.mutable_graph()->add_value_info();
  lie.set_name("t");
  lie.mutable_type()->mutable_tensor_type()->set_elem_type(
      ::onnx::TensorProto::FLOAT);
  lie.mutable_type()
      ->mutable_tensor_type()
      ->mutable_shape()
      ->add_dim()
      ->set_dim_value(7);
  Loaded loaded = load(model);
  ASSERT_TRUE(loaded.model) << loaded.text();
  const ::onnx::TypeProto *type = loaded.model->typeOf("t");
  ASSERT_TRUE(type);
  ASSERT_EQ(type->tensor_type().shape().dim_size(), 2);
  EXPECT_EQ(type->tensor_type().shape().dim(0).dim_value(), 4);
  EXPECT_EQ(type->tensor_type().shape().dim(1).dim_param(), "N");
  EXPECT_EQ(loaded.model->typeOf("nothing"), nullptr);
}

TEST_F(Prepare, SortsNodesAndDropsDeadOnes) {
  Loaded loaded =
      load(parse("<ir_version: 9, opset_import: [\"\": 20]> g (float[4] x) => "
                 "(float[4] y) { y = Neg(t) dead = Exp(t) t = Relu(x) }"));
  ASSERT_TRUE(loaded.model) << loaded.text();
  EXPECT_EQ(ops(*loaded.model), "Relu Neg");
}

TEST_F(Prepare, RefusesCircles) {
  Loaded loaded = load(parse(
      "<ir_version: 9, opset_import: [\"\": 20]> g (float[4] x) => (float[4] "
      "y) { [first] a = Add(x, b) [second] b = Neg(a) [after] y = Relu(b) }"));
  EXPECT_REFUSED(loaded, invalidModel, "cyclic");
  EXPECT_NE(loaded.text().find("'first'"), std::string::npos) << loaded.text();
  EXPECT_NE(loaded.text().find("'second'"), std::string::npos) << loaded.text();
  EXPECT_EQ(loaded.text().find("'after'"), std::string::npos) << loaded.text();
}

TEST_F(Prepare, RefusesANodeThatFeedsItself) {
  EXPECT_REFUSED(load(parse("<ir_version: 9, opset_import: [\"\": 20]> g "
                            "(float[4] x) => (float[4] y) { y = Add(x, y) }")),
                 invalidModel, "cyclic");
}

TEST_F(Prepare, RefusesValuesOutOfNowhere) {
  EXPECT_REFUSED(
      load(parse("<ir_version: 9, opset_import: [\"\": 20]> g (float[4] x) => "
                 "(float[4] y) { [n] y = Add(x, ghost) }")),
      invalidModel, "node 'n' (Add): input 'ghost'");
  EXPECT_REFUSED(load(parse("<ir_version: 9, opset_import: [\"\": 20]> g "
                            "(float[4] x) => (float[4] y) { z = Relu(x) }")),
                 invalidModel, "output 'y'");
  EXPECT_REFUSED(
      load(parse("<ir_version: 9, opset_import: [\"\": 20]> g (float[4] x) => "
                 "(float[4] y) { y = Relu(x) y = Neg(x) }")),
      invalidModel, "also produced by node");
}

TEST_F(Prepare, NamesUnknownOperatorsWithTheirNodes) {
  Loaded loaded = load(parse(
      R"(<ir_version: 9, opset_import: ["": 20, "com.example": 1]> g (float[4] x) => (float[4] y) {
    [a0] a = com.example.Foo(x) [a1] b = com.example.Foo(a) [a2] c = com.example.Foo(b) [a3] d = com.example.Foo(c)
    [a4] e = com.example.Foo(d) [a5] f = com.example.Foo(e) [s] y = Bar(f) })"));
  EXPECT_REFUSED(loaded, unsupported,
                 "model.onnx: node 'a0' (com.example::Foo, opset 1): "
                 "operator 'com.example::Foo' is not supported");
  EXPECT_REFUSED(loaded, unsupported,
                 "6 nodes: 'a0', 'a1', 'a2', 'a3', 'a4' and 1 more");
  EXPECT_REFUSED(loaded, unsupported, "'Bar' (1 node)");
}

TEST_F(Prepare, KnowsWhyOperatorsOfOnnxRuntimeAreRefused) {
  Loaded loaded = load(
      parse("<ir_version: 9, opset_import: [\"\": 20, \"com.microsoft\": 1]> g "
            "(float[4] x) => (float[4] y) "
            "{ [n] y = com.microsoft.BitmaskDropout(x) }"));
  EXPECT_REFUSED(loaded, unsupported,
                 "operator 'com.microsoft::BitmaskDropout' is not supported: "
                 "it is for training");
}

TEST_F(Prepare, RefusesAttributesOfOnnxRuntimeThatHaveOnlyOneValue) {
  Loaded loaded = load(
      parse("<ir_version: 9, opset_import: [\"\": 20, \"com.microsoft\": 1]> g "
            "(float[2, 8] x) => (float[2, 5, 2] y) "
            "{ [n] y = com.microsoft.Rfft <normalized = 1> (x) }"));
  EXPECT_REFUSED(loaded, unsupported,
                 "attribute 'normalized' is supported only with its default");
}

TEST_F(Prepare, AdoptsOperatorsThatOnnxRuntimeKeepsInOnnxsDomain) {
  Loaded loaded = load(parse("<ir_version: 8, opset_import: [\"\": 13]> g "
                             "(float[2, 4] x, float[4] s) => (float[2, 4] z) { "
                             "y = SimplifiedLayerNormalization(x, s) "
                             "z = LayerNormalization(y, s) }"));
  ASSERT_TRUE(loaded.model) << loaded.problem.message;
  for (const auto &node : loaded.model->graph().node())
    EXPECT_EQ(node.domain(), "com.microsoft");
}

TEST_F(Prepare, TellsAnOperatorOfALaterOpsetFromAnUnknownOne) {
  Loaded loaded =
      load(parse("<ir_version: 8, opset_import: [\"\": 13]> g (float[4] x) => "
                 "(float[4] y) { [n] y = Gelu(x) }"));
  EXPECT_REFUSED(loaded, invalidModel,
                 "'Gelu' is defined by ai.onnx since opset 20, but the model "
                 "imports opset 13");
}

TEST_F(Prepare, RefusesOpsetsOfTheFuture) {
  EXPECT_REFUSED(load(parse("<ir_version: 9, opset_import: [\"\": 4000]> g "
                            "(float[4] x) => (float[4] y) { y = Relu(x) }")),
                 unsupported, "opset 4000");
}

TEST_F(Prepare, RefusesNodesThatTheSchemaForbids) {
  Loaded loaded =
      load(parse("<ir_version: 9, opset_import: [\"\": 20]> g (float[4] x) => "
                 "(float[4] y) { [n] y = Relu<alpha = 1.0>(x) }"));
  EXPECT_REFUSED(loaded, invalidModel, "node 'n' (Relu, opset 20): ");
  EXPECT_REFUSED(load(parse("<ir_version: 9, opset_import: [\"\": 20]> g "
                            "(float[4] x) => (float[4] y) { [n] y = Add(x) }")),
                 invalidModel, "node 'n' (Add");
}

TEST_F(Prepare, RefusesFunctionsWithoutEnd) {
  EXPECT_REFUSED(
      load(parse(
          R"(<ir_version: 9, opset_import: ["": 20, "my": 1]> g (float[4] x) => (float[4] y) { y = my.f(x) }
    <domain: "my", opset_import: ["": 20, "my": 1]> f (a) => (b) { b = my.h(a) }
    <domain: "my", opset_import: ["": 20, "my": 1]> h (a) => (b) { b = my.f(a) })")),
      invalidModel, "calls itself");
}

TEST_F(Prepare, RefusesFunctionsThatGrowBeyondReason) {
  std::string text = "<ir_version: 9, opset_import: [\"\": 20, \"my\": 1]> g "
                     "(float[4] x) => (float[4] y) { y = my.f0(x) }\n";
  for (int i = 0; i < 60; ++i)
    text += "<domain: \"my\", opset_import: [\"\": 20, \"my\": 1]> f" +
            std::to_string(i) + " (a) => (b) { t = my.f" +
            std::to_string(i + 1) + "(a) b = my.f" + std::to_string(i + 1) +
            "(t) }\n";
  text += "<domain: \"my\", opset_import: [\"\": 20]> f60 (a) => (b) { b = "
          "Relu(a) }";
  EXPECT_REFUSED(load(parse(text.c_str())), resourceLimit,
                 "nodes, more than the limit");
}

TEST_F(Prepare, RefusesSizesBeyondReason) {
  EXPECT_REFUSED(load(parse("<ir_version: 9, opset_import: [\"\": 20]> g "
                            "(float[4611686018427387904, 4611686018427387904] "
                            "x) => (float[a, b] y) { y = Relu(x) }")),
                 resourceLimit, "value 'x'");
  EXPECT_REFUSED(load(parse("<ir_version: 9, opset_import: [\"\": 20]> g "
                            "(float[1] x) => (float[a] y) <int64[1] s = "
                            "{4611686018427387904}> { y = Expand(x, s) }")),
                 resourceLimit, "value 'y'");
}

TEST_F(Prepare, DoesNotFollowLongValuesElementByElement) {
  Loaded loaded = load(parse(
      "<ir_version: 9, opset_import: [\"\": 20]> g (float[10000000000000] x, "
      "float[1] s) => (float[n] y) { y = Mul(x, s) }"));
  ASSERT_TRUE(loaded.model) << loaded.text();
  EXPECT_EQ(loaded.model->typeOf("y")->tensor_type().shape().dim(0).dim_value(),
            10000000000000);
}

TEST_F(Prepare, RefusesCountsBeyondReason) {
  EXPECT_REFUSED(
      load(parse(
          "<ir_version: 9, opset_import: [\"\": 20]> g (float[8] x) => "
          "(float[n] y) { y = Split<num_outputs = 4611686018427387904>(x) }")),
      invalidModel,
      "num_outputs is 4611686018427387904, but the node has 1 outputs");
  EXPECT_REFUSED(
      load(parse(
          "<ir_version: 7, opset_import: [\"\": 9]> g (float[8] x, "
          "int64[10000000000000] s) => (float[n] y) { y = Expand(x, s) }")),
      invalidModel, "has 10000000000000 dims");
}

TEST_F(Prepare, ReadsOutOfOuterGraphs) {
  Loaded loaded = load(parse(
      R"(<ir_version: 9, opset_import: ["": 20]> g (bool c, float[4] x) => (float[4] y) {
    y = If(c) <then_branch = t () => (float[4] p) { p = Neg(z) }, else_branch = e () => (float[4] q) { q = Relu(z) }> z = Exp(x) })"));
  ASSERT_TRUE(loaded.model) << loaded.text();
  EXPECT_EQ(ops(*loaded.model), "Exp If");
}

} // namespace
} // namespace fulgur::onnx
