// Files that are broken, by accident or on purpose: always an answer, never a
// crash.
#include "Scratch.h"
#include <random>

namespace fulgur::onnx {
namespace {

class Damage : public Scratch {
protected:
  /// A bit of everything: a function, a subgraph, weights in and out of the
  /// proto, an old opset.
  static std::string specimen() {
    ::onnx::ModelProto model =
        parse(R"(<ir_version: 8, opset_import: ["": 12, "my": 1]>
      g (bool c, float[N, 4] x, float[N, 1, 4, 4] image) => (float[N, 4] y, float[n, d, h, w] z)
      <float[4] small = {1, 2, 3, 4}, int64[2] shape = {-1, 4}> {
        a = my.f(x)
        s = Softmax<axis = 1>(a)
        b = If(c) <then_branch = t () => (float[N, 4] p) { p = Neg(s) }, else_branch = e () => (float[N, 4] q) { k = Constant<value_float = 2.0>() q = Mul(s, k) }>
        r = Reshape(b, shape)
        y = Add(r, small)
        z = MaxPool<kernel_shape = [2, 2]>(image) }
      <domain: "my", opset_import: ["": 12]> f (a) => (b) { t = HardSwishLike(a) b = Add(t, a) })");
    model.mutable_functions(0)->mutable_node(0)->set_op_type("Relu");
    ::onnx::TensorProto &large = *model.mutable_graph()->add_initializer();
    large.set_name("large");
    large.set_data_type(::onnx::TensorProto::FLOAT);
    large.add_dims(1250);
    large.set_raw_data(std::string(5000, '\x01'));
    return model.SerializeAsString();
  }
};

TEST_F(Damage, SpecimenIsSound) {
  Loaded loaded = load(specimen());
  ASSERT_TRUE(loaded.model) << loaded.text();
}

TEST_F(Damage, TruncatedFilesAreRefused) {
  std::string whole = specimen();
  for (size_t length = 0; length < whole.size();
       length +=
       length < 400 || length > whole.size() - 300 ? 1 : 7 + length % 5) {
    Loaded loaded = load(whole.substr(0, length));
    if (loaded.model) // cut exactly between two fields: the rest is a model of
                      // its own
      continue;
    EXPECT_EQ(loaded.problem.status == ImportStatus::ok, false) << length;
    EXPECT_FALSE(loaded.problem.message.empty()) << length;
  }
}

TEST_F(Damage, ChangedBytesNeverCrash) {
  std::string whole = specimen();
  std::mt19937 random(7);
  for (int i = 0; i < 1000; ++i) {
    std::string changed = whole;
    for (unsigned n = 1 + random() % 3; n-- > 0;) {
      size_t at = random() % changed.size();
      switch (random() % 3) {
      case 0:
        changed[at] = char(random());
        break;
      case 1:
        changed[at] ^= char(1 << random() % 8);
        break;
      default:
        changed.erase(at, 1 + random() % 4);
      }
    }
    load(changed);
  }
}

TEST_F(Damage, OtherFilesAreRefused) {
  EXPECT_REFUSED(load(""), invalidModel, "is empty");
  EXPECT_REFUSED(load("this is a text and no model\n"), invalidModel,
                 "is not an ONNX model");
  EXPECT_REFUSED(load(std::string(5000, '\0')), invalidModel,
                 "is not an ONNX model");
  EXPECT_REFUSED(load(std::string(5000, '\xff')), invalidModel,
                 "is not an ONNX model");
  Problem problem;
  EXPECT_FALSE(Model::load((folder / "absent.onnx").string(), {}, problem));
  EXPECT_EQ(problem.status, ImportStatus::invalidModel);
  EXPECT_FALSE(Model::load(folder.string(), {}, problem));
  EXPECT_NE(problem.message.find("not a regular file"), std::string::npos);
}

TEST_F(Damage, NestingHasAnEnd) {
  ::onnx::GraphProto graph;
  graph.set_name("leaf");
  for (int depth = 0; depth < 200; ++depth) {
    ::onnx::GraphProto outer;
    outer.set_name("g");
    outer.set_doc_string(std::string(5000, 'x')); // long enough to be walked
    ::onnx::NodeProto &node = *outer.add_node();
    node.set_op_type("If");
    ::onnx::AttributeProto &branch = *node.add_attribute();
    branch.set_name("then_branch");
    branch.set_type(::onnx::AttributeProto::GRAPH);
    branch.mutable_g()->Swap(&graph);
    graph.Swap(&outer);
  }
  ::onnx::ModelProto model =
      parse("<ir_version: 8, opset_import: [\"\": 12]> g (float[4] x) => "
            "(float[4] y) { y = Relu(x) }");
  model.mutable_graph()->Swap(&graph);
  EXPECT_EQ(load(model).problem.status, ImportStatus::invalidModel);
}

TEST_F(Damage, NamesCannotForgeMessages) {
  ::onnx::ModelProto model =
      parse("<ir_version: 9, opset_import: [\"\": 20]> g (float[4] x) => "
            "(float[4] y) { y = Relu(x) }");
  model.mutable_graph()->mutable_node(0)->set_name("a\nerror: \x1b[31mforged");
  model.mutable_graph()->mutable_node(0)->set_op_type("No\nSuch");
  Loaded loaded = load(model);
  EXPECT_REFUSED(loaded, unsupported, "No Such");
  EXPECT_EQ(loaded.text().find('\x1b'), std::string::npos);
}

} // namespace
} // namespace fulgur::onnx
