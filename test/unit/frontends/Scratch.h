// A folder of its own for a test, with models in it and what loading them says.
#pragma once
#include "frontends/onnx/Model.h"
#include "onnx/defs/parser.h"
#include "gtest/gtest.h"
#include <filesystem>
#include <fstream>

namespace fulgur::onnx {

struct Loaded {
  std::shared_ptr<const Model> model;
  Problem problem;
  std::string text() const { return problem.text("model.onnx"); }
};

class Scratch : public testing::Test {
protected:
  std::filesystem::path folder;

  void SetUp() override {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "fulgur-frontend-XXXXXX")
            .string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder = std::filesystem::path(pattern) / "model";
    std::filesystem::create_directory(folder);
  }
  void TearDown() override {
    std::filesystem::remove_all(folder.parent_path());
  }

  void write(const std::filesystem::path &path, const std::string &content) {
    std::ofstream(path, std::ios::binary) << content;
  }

  Loaded load(const std::string &bytes, const ImportOptions &options = {}) {
    write(folder / "model.onnx", bytes);
    Loaded loaded;
    loaded.model =
        Model::load((folder / "model.onnx").string(), options, loaded.problem);
    EXPECT_EQ(loaded.model == nullptr,
              loaded.problem.status != ImportStatus::ok);
    EXPECT_EQ(loaded.text().find('\n'), std::string::npos);
    return loaded;
  }
  Loaded load(const ::onnx::ModelProto &model) {
    return load(model.SerializeAsString());
  }

  static ::onnx::ModelProto parse(const char *text) {
    ::onnx::ModelProto model;
    ::onnx::OnnxParser parser(text);
    auto status = parser.Parse(model);
    EXPECT_TRUE(status.IsOK()) << status.ErrorMessage();
    return model;
  }

  /// The operators of the graph, in order.
  static std::string ops(const Model &model) {
    std::string text;
    for (const ::onnx::NodeProto &node : model.graph().node())
      text += (text.empty() ? "" : " ") + node.op_type();
    return text;
  }
};

#define EXPECT_REFUSED(loaded, code, part)                                     \
  do {                                                                         \
    EXPECT_EQ((loaded).problem.status, ImportStatus::code) << (loaded).text(); \
    EXPECT_NE((loaded).text().find(part), std::string::npos)                   \
        << (loaded).text();                                                    \
  } while (0)

} // namespace fulgur::onnx
