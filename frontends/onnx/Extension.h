// Operators that ONNX does not define: those of ONNX Runtime, which its
// optimizer and the exporters of language models write into files. An operator
// is one entry: its interface in one line of text, and its meaning, which is
// either a function of the importer or a body in ONNX's text. The interface
// becomes a schema in the ONNX library's own registry, so that checking,
// conversion, expansion and inference treat it like any other operator.
#pragma once
#include "frontends/onnx/Core.h"
#include "llvm/ADT/StringSet.h"
#include <string>
#include <vector>

namespace onnx {
struct InferenceContext;
class ModelProto;
} // namespace onnx

namespace fulgur::onnx {

/// Finds the shapes of results where "like" in the interface does not say them.
/// The importer finds shapes by itself; inference is for what ONNX does before:
/// functions whose body depends on ranks and types.
using ShapeInference = void (*)(::onnx::InferenceContext &);

/// One operator.
struct Extension {
  std::string name, interface;
  OpImport lowering;
  std::string body;        ///< instead of a lowering: nodes in ONNX's text
  std::string bodyWithout; ///< if not empty, the body without the last input
  ShapeInference infer = nullptr;
};

/// The operators of one domain, and those that are refused with a reason.
///
/// An interface reads
///
///     Name <size: int, alpha: float = 0.5, axes: ints?>
///         (T X, T? bias, int64 count, T... rest) => (T Y like X, M? mask)
///         where M: int32|int64
///
/// An attribute whose default has "only" behind it must not be anything else.
/// A type is a variable, which `where` restricts, or the name of an element
/// type; T without a restriction is any floating-point type. "?" marks what may
/// be left out, "..." what there may be many of, "like" the operand whose shape
/// a result has.
class Extensions {
public:
  /// An operator that a function of the importer lowers.
  void add(llvm::StringRef interface, OpImport::One lowering,
           ShapeInference infer = nullptr);
  void add(llvm::StringRef interface, OpImport::Many lowering,
           ShapeInference infer = nullptr);
  /// An operator that is a composition of others: "t = Mul(X, X) Y = Neg(t)".
  /// Inputs, outputs and attributes (as @name) have the interface's names. A
  /// second body is for nodes that leave out the last input.
  void expand(llvm::StringRef interface, llvm::StringRef body,
              llvm::StringRef bodyWithout = "");
  /// Operators that are not going to be supported, and why.
  void refuse(llvm::ArrayRef<llvm::StringRef> names, llvm::StringRef reason);

  /// Operators of this domain that ONNX Runtime keeps in ONNX's as well.
  void stray(llvm::ArrayRef<llvm::StringRef> names);

  std::vector<Extension> operators;
  llvm::StringSet<> strays;
  std::vector<std::pair<std::string, std::string>> refused;
};

/// The domain of ONNX Runtime's own operators.
inline constexpr llvm::StringLiteral kMicrosoft = "com.microsoft";

/// All operators of that domain.
const Extensions &microsoftOperators();

/// Gives the ONNX library the schemas; later calls do nothing.
void defineExtensions();

/// Enters the lowerings into the op table.
void registerExtensions(OpTable &ops);

/// Moves operators that ONNX Runtime keeps in ONNX's domain, where the imported
/// version of ONNX does not have them, into ONNX Runtime's. Whatever uses that
/// domain imports it: its tools leave that out, as it has one version only.
void adoptStrays(::onnx::ModelProto &model);

/// Why an operator is refused; empty if nothing is known about it.
llvm::StringRef whyRefused(llvm::StringRef domain, llvm::StringRef op);

/// Refuses a node with an attribute that its interface has "only" one value of.
void refuseOtherValues(const ::onnx::NodeProto &node);

} // namespace fulgur::onnx
