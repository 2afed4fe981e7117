// Strings: steps of the driver, where a part could only move them.
#include "frontends/onnx/Driver.h"
#include "frontends/onnx/Model.h"
#include "onnx/onnx_pb.h"

using namespace mlir;
using namespace fulgur;
using namespace fulgur::onnx;

namespace {

using Tensors = SmallVector<Tensor>;

void requireString(const Core &c, const Tensor &x) {
  c.requireType(x, x.type == DType::string, "string");
}

Tensor importConcat(const Core &c, const Site &s) {
  requireString(c, s[0]);
  requireString(c, s[1]);
  Shape shape = c.broadcast(s[0].shape, s[1].shape);
  SmallVector<Value> in{c.outside(s[0]), c.outside(s[1])};
  return c.inside(step(c, "string_concat", in), DType::string, shape);
}

/// The last dim is as long as the string with most pieces needs.
Tensors importSplit(const Core &c, const Site &s) {
  requireString(c, s[0]);
  OpBuilder &b = c.program.driver;
  Value in = c.outside(s[0]);
  Attribute delimiter =
      s.has("delimiter") ? Attribute(b.getStringAttr(s.text("delimiter", "")))
                         : Attribute(b.getUnitAttr());
  SmallVector<Value> out =
      steps(c, "string_split", in,
            {delimiter, b.getI64IntegerAttr(s.integer("maxsplit", -1))}, 2);
  Shape shape(s[0].shape);
  shape.push_back(c.program.defineDim((s.result() + ".pieces").str(), out[0],
                                      s[0].rank(), c.loc));
  return {c.inside(out[0], DType::string, shape),
          c.inside(out[1], DType::i64, s[0].shape)};
}

Tensor importNormalizer(const Core &c, const Site &s) {
  requireString(c, s[0]);
  StringRef action = s.text("case_change_action", "NONE");
  int64_t number = action == "NONE"    ? 0
                   : action == "LOWER" ? 1
                   : action == "UPPER" ? 2
                                       : -1;
  if (number < 0)
    c.fail("case_change_action is '" + action +
           "', but must be NONE, LOWER or UPPER");
  std::vector<std::string> stopwords = s.strings("stopwords");
  Value in = c.outside(s[0]);
  Value stop = stopwords.empty()
                   ? operand(c, Tensor())
                   : c.outside(stringConstant(c, stopwords,
                                              {int64_t(stopwords.size())}));
  Value out = step(
      c, "string_normalize", {in, stop},
      {immediate(c, number), immediate(c, s.integer("is_case_sensitive", 0))});
  if (stopwords.empty())
    return c.inside(out, DType::string, s[0].shape);
  return ofUnknownSize(c, out, DType::string, s[0].rank(), s.result());
}

Tensor importMatch(const Core &c, const Site &s) {
  requireString(c, s[0]);
  Value in = c.outside(s[0]);
  return c.inside(step(c, "string_match", in,
                       {c.program.driver.getStringAttr(s.text("pattern", ""))}),
                  DType::boolean, s[0].shape);
}

} // namespace

Tensor fulgur::onnx::stringConstant(const Core &c,
                                    ArrayRef<std::string> strings,
                                    ArrayRef<int64_t> dims) {
  c.program.split();
  // At the driver's start, where every use sees it.
  OpBuilder::InsertionGuard guard(c.program.driver);
  c.program.goToStart();
  OpBuilder &b = c.program.driver;
  SmallVector<int64_t> lengths;
  for (const std::string &string : strings)
    lengths.push_back(string.size());
  Value value = step(c, "string_constant", {},
                     {b.getStringAttr(llvm::join(strings, "")),
                      b.getDenseI64ArrayAttr(lengths),
                      immediate(c, dims.size()), b.getDenseI64ArrayAttr(dims)});
  return c.inside(value, DType::string, Shape(dims.begin(), dims.end()));
}

Tensor fulgur::onnx::stringEqual(const Core &c, const Tensor &a,
                                 const Tensor &b) {
  Shape shape = c.broadcast(a.shape, b.shape);
  SmallVector<Value> in{c.outside(a), c.outside(b)};
  return c.inside(step(c, "string_equal", in), DType::boolean, shape);
}

Tensor fulgur::onnx::castString(const Core &c, const Tensor &x, DType to) {
  if (to == x.type)
    return x;
  Value in = c.outside(x);
  Value out = to == DType::string
                  ? step(c, "string_from", in)
                  : step(c, "string_to", in, {immediate(c, int(to))});
  return c.inside(out, to, x.shape);
}

void fulgur::onnx::registerString(OpTable &ops) {
  ops["StringConcat"] = {importConcat, 2};
  ops["StringSplit"] = importSplit;
  ops["StringNormalizer"] = importNormalizer;
  ops["RegexFullMatch"] = importMatch;
}
