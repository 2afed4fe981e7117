// A model is a stranger: whatever it says about files, it reaches regular files
// inside its own folder and nothing else.
#include "Scratch.h"
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace fulgur::onnx {
namespace {

using ::onnx::TensorProto;

class ExternalData : public Scratch {
protected:
  using Entries = std::vector<std::pair<std::string, std::string>>;

  void SetUp() override {
    Scratch::SetUp();
    write(folder / "weights.bin", std::string(64, '\x11'));
    write(folder.parent_path() / "secret", std::string(64, '\x22'));
  }

  static void fill(TensorProto &tensor, const Entries &entries) {
    tensor.set_name("w");
    tensor.set_data_type(TensorProto::FLOAT);
    tensor.clear_dims();
    tensor.add_dims(4);
    tensor.set_data_location(TensorProto::EXTERNAL);
    for (auto &[key, value] : entries) {
      auto *entry = tensor.add_external_data();
      entry->set_key(key);
      entry->set_value(value);
    }
  }
  static ::onnx::ModelProto model(const Entries &entries) {
    ::onnx::ModelProto model =
        parse("<ir_version: 9, opset_import: [\"\": 20]> g (float[4] x) => "
              "(float[4] y) { y = Add(x, w) }");
    fill(*model.mutable_graph()->add_initializer(), entries);
    return model;
  }
  Loaded loadAt(const std::string &location) {
    return load(model({{"location", location}}));
  }
};

TEST_F(ExternalData, IsReadFromTheModelsFolder) {
  std::filesystem::create_directories(folder / "a/b");
  write(folder / "a/b/w.bin",
        std::string(16, '\x33') + std::string(16, '\x44'));
  Loaded loaded = load(model({{"location", "a/b/w.bin"},
                              {"offset", "16"},
                              {"length", "16"},
                              {"checksum", "any"}}));
  ASSERT_TRUE(loaded.model) << loaded.text();
  const TensorProto &tensor = loaded.model->graph().initializer(0);
  EXPECT_EQ(std::string(loaded.model->bytes(tensor).data(), 16),
            std::string(16, '\x44'));
  EXPECT_TRUE(loaded.model->isMapped(tensor));
  EXPECT_TRUE(loadAt("weights.bin").model);
  EXPECT_TRUE(loadAt("./weights.bin").model);
}

TEST_F(ExternalData, RefusesWaysOutOfTheFolder) {
  std::filesystem::create_directory(folder / "sub");
  EXPECT_REFUSED(loadAt("../secret"), invalidModel, "contains '..'");
  EXPECT_REFUSED(loadAt("sub/../../secret"), invalidModel, "contains '..'");
  EXPECT_REFUSED(loadAt("sub/../weights.bin"), invalidModel, "contains '..'");
  EXPECT_REFUSED(loadAt((folder / "weights.bin").string()), invalidModel,
                 "absolute");
  EXPECT_REFUSED(loadAt("/etc/passwd"), invalidModel, "absolute");
  EXPECT_REFUSED(loadAt("/proc/self/environ"), invalidModel, "absolute");
  EXPECT_REFUSED(loadAt(""), invalidModel, "empty");
  EXPECT_REFUSED(loadAt(std::string("weights.bin\0.x", 14)), invalidModel,
                 "zero byte");
  EXPECT_REFUSED(loadAt("absent.bin"), invalidModel, "no such file");
}

TEST_F(ExternalData, RefusesLinks) {
  std::filesystem::create_symlink(folder.parent_path() / "secret",
                                  folder / "link");
  std::filesystem::create_symlink("weights.bin", folder / "harmless");
  std::filesystem::create_directory_symlink(folder.parent_path(),
                                            folder / "up");
  std::filesystem::create_hard_link(folder.parent_path() / "secret",
                                    folder / "hard");
  EXPECT_REFUSED(loadAt("link"), invalidModel, "symbolic link");
  EXPECT_REFUSED(loadAt("harmless"), invalidModel, "symbolic link");
  EXPECT_REFUSED(loadAt("up/secret"), invalidModel, "symbolic link");
  EXPECT_REFUSED(loadAt("hard"), invalidModel, "hard links");
}

TEST_F(ExternalData, RefusesWhatIsNotAFile) {
  ASSERT_EQ(mkfifo((folder / "pipe").c_str(), 0600), 0);
  std::filesystem::create_directory(folder / "dir");
  EXPECT_REFUSED(loadAt("pipe"), invalidModel, "not a regular file");
  EXPECT_REFUSED(loadAt("dir"), invalidModel, "not a regular file");
  EXPECT_REFUSED(loadAt("."), invalidModel, "not a regular file");
  if (mknod((folder / "device").c_str(), S_IFCHR | 0600, makedev(1, 5)) == 0)
    EXPECT_REFUSED(loadAt("device"), invalidModel, "not a regular file");
}

TEST_F(ExternalData, StaysInsideTheFile) {
  auto at = [&](std::string offset, std::string length) {
    return load(model(
        {{"location", "weights.bin"}, {"offset", offset}, {"length", length}}));
  };
  EXPECT_TRUE(at("48", "16").model);
  EXPECT_REFUSED(at("49", "16"), invalidModel,
                 "ends behind the end of its file of 64 bytes");
  EXPECT_REFUSED(at("18446744073709551615", "16"), invalidModel, "ends behind");
  EXPECT_REFUSED(at("18446744073709551600", "16"), invalidModel, "ends behind");
  EXPECT_REFUSED(at("18446744073709551616", "16"), invalidModel,
                 "not a number of bytes");
  EXPECT_REFUSED(at("-1", "16"), invalidModel, "not a number of bytes");
  EXPECT_REFUSED(at("0x10", "16"), invalidModel, "not a number of bytes");
  EXPECT_REFUSED(at("0", "12"), invalidModel,
                 "has 12 bytes, but its type and dims ask for 16");
  EXPECT_REFUSED(at("0", "9223372036854775807"), invalidModel,
                 "has 9223372036854775807 bytes");
  EXPECT_REFUSED(
      load(model({{"location", "weights.bin"}, {"location", "../secret"}})),
      invalidModel, "location twice");
  EXPECT_REFUSED(load(model({})), invalidModel, "empty");
}

TEST_F(ExternalData, ObeysTheSameRulesInEveryKindOfTensor) {
  Entries attack = {{"location", "../secret"}};
  // An attribute, a subgraph's constant and initializer, and a function's
  // constant.
  ::onnx::ModelProto constant =
      parse("<ir_version: 9, opset_import: [\"\": 20]> g (float[4] x) => "
            "(float[4] y) { w = Constant() y = Add(x, w) }");
  auto poison = [&](::onnx::NodeProto &node, bool sparse) {
    ::onnx::AttributeProto &value = *node.add_attribute();
    value.set_name(sparse ? "sparse_value" : "value");
    value.set_type(sparse ? ::onnx::AttributeProto::SPARSE_TENSOR
                          : ::onnx::AttributeProto::TENSOR);
    if (!sparse)
      return fill(*value.mutable_t(), attack);
    fill(*value.mutable_sparse_tensor()->mutable_values(), attack);
    value.mutable_sparse_tensor()->add_dims(4);
  };
  ::onnx::ModelProto dense = constant, sparse = constant;
  poison(*dense.mutable_graph()->mutable_node(0), false);
  poison(*sparse.mutable_graph()->mutable_node(0), true);
  EXPECT_REFUSED(load(dense), invalidModel, "contains '..'");
  EXPECT_REFUSED(load(sparse), invalidModel, "contains '..'");

  ::onnx::ModelProto sparseInitializer =
      parse("<ir_version: 9, opset_import: [\"\": 20]> g (float[4] x) => "
            "(float[4] y) { y = Add(x, w) }");
  fill(*sparseInitializer.mutable_graph()
            ->add_sparse_initializer()
            ->mutable_values(),
       attack);
  EXPECT_REFUSED(load(sparseInitializer), invalidModel, "contains '..'");
  sparseInitializer.mutable_graph()->clear_sparse_initializer();
  fill(*sparseInitializer.mutable_graph()
            ->add_sparse_initializer()
            ->mutable_indices(),
       attack);
  EXPECT_REFUSED(load(sparseInitializer), invalidModel, "contains '..'");

  ::onnx::ModelProto subgraph = parse(
      R"(<ir_version: 9, opset_import: ["": 20]> g (bool c, float[4] x) => (float[4] y) {
    y = If(c) <then_branch = t () => (float[4] p) { p = Neg(x) }, else_branch = e () => (float[4] q) { q = Relu(x) }> })");
  fill(*subgraph.mutable_graph()
            ->mutable_node(0)
            ->mutable_attribute(0)
            ->mutable_g()
            ->add_initializer(),
       attack);
  EXPECT_REFUSED(load(subgraph), invalidModel, "contains '..'");

  ::onnx::ModelProto function = parse(
      R"(<ir_version: 9, opset_import: ["": 20, "my": 1]> g (float[4] x) => (float[4] y) { y = my.f(x) }
    <domain: "my", opset_import: ["": 20]> f (a) => (b) { w = Constant() b = Add(a, w) })");
  poison(*function.mutable_functions(0)->mutable_node(0), false);
  EXPECT_REFUSED(load(function), invalidModel, "contains '..'");
}

TEST_F(ExternalData, CannotPretendToBeSettled) {
  // The marks that the loader itself uses reach bytes of the model file at
  // most, under the same checks.
  EXPECT_REFUSED(loadAt("#0"), invalidModel, "no such file");
  EXPECT_REFUSED(load(model({{"location", "#"}, {"offset", "1000000"}})),
                 invalidModel, "ends behind");
  EXPECT_TRUE(load(model({{"location", "#"}, {"offset", "0"}})).model);
}

TEST_F(ExternalData, SurvivesFilesThatAreSwappedMeanwhile) {
  std::string bytes = model({{"location", "swap"}}).SerializeAsString();
  write(folder / "model.onnx", bytes);
  write(folder / "good", std::string(16, '\x11'));
  std::filesystem::create_symlink(folder.parent_path() / "secret",
                                  folder / "bad");
  std::atomic<bool> stop = false;
  std::thread swapper([&] {
    for (bool good = true; !stop;
         good = !good) { // rename is atomic: there is always one or the other
      std::error_code ignored;
      if (good)
        std::filesystem::copy_file(folder / "good", folder / "next", ignored);
      else
        std::filesystem::copy_symlink(folder / "bad", folder / "next", ignored);
      std::filesystem::rename(folder / "next", folder / "swap", ignored);
    }
  });
  for (int i = 0; i < 300; ++i) {
    Problem problem;
    if (auto loaded =
            Model::load((folder / "model.onnx").string(), {}, problem)) {
      EXPECT_EQ(loaded->bytes(loaded->graph().initializer(0))[0], '\x11');
    }
  }
  stop = true;
  swapper.join();
}

/// Makes openat2 unknown, as it is to old kernels and strict sandboxes.
bool forgetOpenat2() {
  sock_filter rules[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  sock_fprog program = {std::size(rules), rules};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

TEST_F(ExternalData, ObeysTheSameRulesWithoutOpenat2) {
  std::filesystem::create_directory(folder / "a");
  write(folder / "a/w.bin", std::string(16, '\x33'));
  std::filesystem::create_directory_symlink(folder.parent_path(),
                                            folder / "up");
  std::filesystem::create_symlink("weights.bin", folder / "link");
  std::filesystem::create_hard_link(folder.parent_path() / "secret",
                                    folder / "hard");
  pid_t child = fork(); // the filter cannot be taken off again
  if (child == 0) {
    if (!forgetOpenat2())
      _exit(77);
    bool right = loadAt("a/w.bin").model && loadAt("weights.bin").model &&
                 !loadAt("up/secret").model && !loadAt("link").model &&
                 !loadAt("hard").model && !loadAt("a").model &&
                 !loadAt("absent/w.bin").model && !loadAt("a/w.bin/x").model &&
                 !loadAt("../secret").model;
    _exit(right ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 77)
    GTEST_SKIP() << "this sandbox allows no seccomp filters";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

} // namespace
} // namespace fulgur::onnx
