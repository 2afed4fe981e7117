// Names in the generated header: valid C, unique, and nothing of the model
// escapes its comment.
#include "compiler/Header.h"
#include "runtime/fulgur.h"
#include "llvm/Support/raw_ostream.h"
#include <gtest/gtest.h>

using namespace fulgur;

TEST(Identifier, KeepsWhatIsOne) {
  EXPECT_EQ(toIdentifier("input_ids", "tensor"), "input_ids");
  EXPECT_TRUE(isIdentifier("x1"));
  EXPECT_FALSE(isIdentifier("1x"));
  EXPECT_FALSE(isIdentifier("int"));
  EXPECT_FALSE(isIdentifier(""));
}

TEST(Identifier, ReplacesWhatCIsNotAllowed) {
  EXPECT_EQ(toIdentifier("past.0/key:0", "tensor"), "past_0_key_0");
  EXPECT_EQ(toIdentifier("0", "tensor"), "tensor_0");
  EXPECT_EQ(toIdentifier("while", "tensor"), "tensor_while");
  EXPECT_EQ(toIdentifier("__x", "tensor"), "x");
  EXPECT_EQ(toIdentifier("日本", "tensor"), "tensor");
  EXPECT_EQ(toIdentifier("", "tensor"), "tensor");
}

TEST(Identifier, AreUnique) {
  llvm::StringSet<> taken;
  EXPECT_EQ(uniqueIdentifier("a.b", "t", taken), "a_b");
  EXPECT_EQ(uniqueIdentifier("a/b", "t", taken), "a_b_2");
  EXPECT_EQ(uniqueIdentifier("a_b_2", "t", taken), "a_b_2_2");
  EXPECT_EQ(uniqueIdentifier("a b", "t", taken), "a_b_3");
}

static std::string headerOf(const ModelInfo &info) {
  std::string text;
  llvm::raw_string_ostream os(text);
  writeHeader(
      info,
      {.prefix = "m", .source = "m.onnx", .producer = "test", .target = "any"},
      os);
  return text;
}

TEST(Header, NamesOfTheModelStayInTheirComments) {
  ModelInfo info;
  info.inputs.push_back({"x*/\n#error", 1, {{-1, -1, "*/ int evil;"}}});
  std::string header = headerOf(info);
  EXPECT_EQ(header.find("\n#error"), std::string::npos);
  EXPECT_EQ(header.find("*/ int evil"), std::string::npos);
}

TEST(Header, ArenaIsAConstantUnlessItDependsOnSymbols) {
  ModelInfo info;
  info.arenaBytes = 128;
  EXPECT_NE(headerOf(info).find("#define M_ARENA_BYTES 128u"),
            std::string::npos);
  info.arenaBytes = 0;
  EXPECT_NE(headerOf(info).find("#define M_ARENA_BYTES 0u"), std::string::npos);
  info.symbols.push_back({"batch", 1, 8});
  EXPECT_EQ(headerOf(info).find("#define M_ARENA_BYTES"), std::string::npos);
}

TEST(Header, ProgramsAllocateTheirOutputs) {
  ModelInfo info;
  ModelInfo::Port any{"e", FULGUR_FLOAT32, {}, false};
  ModelInfo::Port sequence{"s", FULGUR_SEQUENCE, {{-1, -1, "length"}}, true};
  sequence.element.push_back(any);
  ModelInfo::Port optional{"o", FULGUR_OPTIONAL, {{-1, -1, "0 or 1"}}, true};
  optional.element.push_back(sequence);
  info.inputs = {sequence, optional};
  info.outputs = {{"y", FULGUR_INT64, {{-1, -1, "?"}}}, sequence};
  info.symbols = {{"n", 0, 5}, {"y.0#1", 0, 5, FULGUR_FROM_RUN}};
  info.program.emplace();
  std::string header = headerOf(info);
  auto has = [&](const char *text) {
    return header.find(text) != std::string::npos;
  };
  EXPECT_TRUE(has("m_inputs in; m_outputs out = {0}; fulgur_context context;"));
  EXPECT_TRUE(has("\"o\" optional sequence of float32[...]"));
  EXPECT_TRUE(has("m_set_s(m_inputs *inputs, const fulgur_tensor *elements, "
                  "int64_t count)"));
  EXPECT_TRUE(has("m_set_o(m_inputs *inputs, const fulgur_tensor *value)"));
  EXPECT_TRUE(has("m_set_y(m_outputs *outputs, int64_t *data, size_t bytes)"));
  EXPECT_FALSE(has("m_set_s(m_outputs"));
  EXPECT_TRUE(has("fulgur_release(context, &outputs->y);"));
  EXPECT_TRUE(has("M_SYMBOL_N = 0"));
  EXPECT_FALSE(has("= 1, /* \"y.0#1"));
}

TEST(Header, EqualDimsAreOneParameter) {
  ModelInfo info;
  info.inputs.push_back(
      {"x", 7, {{-1, 0, "n"}, {4, -1, "4"}, {-1, 0, "n"}, {-1, 1, "a + b"}}});
  EXPECT_NE(headerOf(info).find("m_set_x(m_inputs *inputs, const int64_t "
                                "*data, int64_t n, int64_t a___b)"),
            std::string::npos);
}
