// How messages look to people and to programs.
#include "compiler/Diagnostics.h"
#include "mlir/IR/Builders.h"
#include <gtest/gtest.h>

using namespace fulgur;
using namespace mlir;

static std::string said(DiagnosticsFormat format,
                        llvm::function_ref<void(MLIRContext &)> say,
                        When color = When::never) {
  std::string text;
  llvm::raw_string_ostream os(text);
  Options options;
  options.diagnostics = format;
  options.color = color;
  MLIRContext context;
  Diagnostics diagnostics(options, os);
  diagnostics.attach(context);
  say(context);
  diagnostics.detach();
  return text;
}

static void complain(MLIRContext &context) {
  Location file = FileLineColLoc::get(&context, "model.onnx", 0, 0);
  Location node =
      NameLoc::get(StringAttr::get(&context, "enc/softmax (Softmax)"), file);
  emitError(FusedLoc::get(&context, {UnknownLoc::get(&context), node}))
      << "axis 5 is outside a tensor\nof rank 2";
}

TEST(Diagnostics, NameFileNodeAndOperator) {
  EXPECT_EQ(said(DiagnosticsFormat::text, complain),
            "model.onnx: node 'enc/softmax' (Softmax): error: axis 5 is "
            "outside a tensor; of rank 2\n");
}

TEST(Diagnostics, AreJsonObjectsByLine) {
  EXPECT_EQ(said(DiagnosticsFormat::json, complain),
            "{\"file\":\"model.onnx\",\"message\":\"axis 5 is outside a "
            "tensor\\nof rank "
            "2\",\"node\":\"enc/"
            "softmax\",\"op\":\"Softmax\",\"severity\":\"error\"}\n");
}

TEST(Diagnostics, NameLinesOfText) {
  EXPECT_EQ(said(DiagnosticsFormat::text,
                 [](MLIRContext &context) {
                   emitWarning(FileLineColLoc::get(&context, "m.mlir", 3, 7))
                       << "odd";
                 }),
            "m.mlir:3:7: warning: odd\n");
}
