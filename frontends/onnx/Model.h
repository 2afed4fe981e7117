// The model file as structs: read, checked, made safe and brought to one opset,
// so that the importer sees one dialect of ONNX only. Weights stay where they
// are, in mapped memory; the structs only say where.
#pragma once
#include "frontends/onnx/Import.h"
#include "frontends/onnx/Problem.h"
#include "onnx/onnx_pb.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringMap.h"
#include <memory>
#include <string>

namespace fulgur::onnx {

/// A model ready to be imported: every node has a schema, local functions and
/// (but for Expand.cpp's keep list) schema functions are expanded, types and
/// shapes are inferred as far as ONNX can, nodes stand in topological order,
/// and the bytes of every tensor are known to be there. Everything it hands out
/// lives as long as the model.
class Model {
public:
  /// Reads and prepares the file at `path`. Null, with `problem` filled in,
  /// when the file is not a model that ONNX allows. Never aborts and lets no
  /// exception out, whatever the file holds.
  static std::shared_ptr<const Model>
  load(llvm::StringRef path, const ImportOptions &options, Problem &problem);
  ~Model();

  const ::onnx::ModelProto &proto() const { return model; }
  const ::onnx::GraphProto &graph() const { return model.graph(); }

  /// The version of the domain ("" is ai.onnx) that the nodes of the prepared
  /// graph are written in; 0 when not imported.
  int64_t opset(llvm::StringRef domain = "") const;

  /// The elements of any tensor of this model (initializer, attribute, part of
  /// a sparse one, at any depth) as ONNX's raw little-endian bytes: exactly as
  /// many as type and dims ask for, whatever field or file they are stored in.
  /// BOOL is a byte an element, 4-bit and 2-bit types are packed. Empty for
  /// strings, which stay in string_data.
  llvm::ArrayRef<char> bytes(const ::onnx::TensorProto &tensor) const;

  /// True when `bytes` are a part of a mapped file: not copied, and clean pages
  /// that the kernel can drop.
  bool isMapped(const ::onnx::TensorProto &tensor) const;

  /// The inferred type of a value of any graph (inputs, initializers, node
  /// results); null when nothing is known.
  const ::onnx::TypeProto *typeOf(llvm::StringRef value) const;

  /// The path that was given to `load`.
  const std::string &path() const { return file; }

private:
  explicit Model(llvm::StringRef path);
  void read(const ImportOptions &options);
  void noteTypes(const ::onnx::GraphProto &graph);
  std::string file;
  ::onnx::ModelProto model;
  std::unique_ptr<class WeightFiles> weights;
  llvm::StringMap<::onnx::TypeProto> types;
};

} // namespace fulgur::onnx
