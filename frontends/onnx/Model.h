// The model file as structs: read, checked, made safe and brought to one opset, so that the importer sees one dialect of
// ONNX only. Weights stay where they are, in mapped memory; the structs only say where.
#pragma once
#include "frontends/onnx/Import.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringMap.h"
#include "onnx/onnx_pb.h"
#include <memory>
#include <optional>
#include <string>

namespace fulgur::onnx {

/// Why a model is refused: the first thing that is wrong with it, and where.
struct Problem {
  ImportStatus status = ImportStatus::ok;
  std::string message;             ///< lower-case sentence with reason and remedy, without the place
  std::string node, op, domain;    ///< the node that caused it; empty when the file as a whole did
  int64_t opset = 0;               ///< version of the domain that the file imports; 0: none

  /// The place and the message in one line: `model.onnx: node 'a' (Gemm, opset 13): message`.
  std::string text(llvm::StringRef file) const;
};

/// A model ready to be imported: every node has a schema, local functions and (but for Prepare.cpp's keep list) schema
/// functions are expanded, types and shapes are inferred as far as ONNX can, nodes stand in topological order, and the
/// bytes of every tensor are known to be there. Everything it hands out lives as long as the model.
class Model {
public:
  /// Reads and prepares the file at `path`. Null, with `problem` filled in, when the file is not a model that ONNX allows.
  /// Never aborts and lets no exception out, whatever the file holds.
  static std::shared_ptr<const Model> load(llvm::StringRef path, const ImportOptions &options, Problem &problem);
  ~Model();

  const ::onnx::ModelProto &proto() const { return model; }
  const ::onnx::GraphProto &graph() const { return model.graph(); }

  /// The version of the domain ("" is ai.onnx) that the nodes of the prepared graph are written in; 0 when not imported.
  int64_t opset(llvm::StringRef domain = "") const;

  /// The elements of any tensor of this model (initializer, attribute, part of a sparse one, at any depth) as ONNX's raw
  /// little-endian bytes: exactly as many as type and dims ask for, whatever field or file they are stored in. BOOL is a
  /// byte an element, 4-bit and 2-bit types are packed. Empty for strings, which stay in string_data.
  llvm::ArrayRef<char> bytes(const ::onnx::TensorProto &tensor) const;

  /// True when `bytes` are a part of a mapped file: not copied, and clean pages that the kernel can drop.
  bool isMapped(const ::onnx::TensorProto &tensor) const;

  /// The inferred type of a value of the main graph (inputs, initializers, node results); null when nothing is known.
  const ::onnx::TypeProto *typeOf(llvm::StringRef value) const;

  /// The path that was given to `load`.
  const std::string &path() const { return file; }

private:
  friend class Loader;
  struct Mappings;
  Model();
  std::string file;
  ::onnx::ModelProto model;
  std::unique_ptr<Mappings> mappings;
  llvm::StringMap<::onnx::TypeProto> types;
};

/// Elements of a shape; nullopt when a dim is negative or the product overflows int64.
std::optional<int64_t> elementCount(llvm::ArrayRef<int64_t> dims);

/// Bytes that `count` elements of an ONNX data type take in raw_data; nullopt for strings, unknown types and overflow.
std::optional<int64_t> storageBytes(int32_t dataType, int64_t count);

} // namespace fulgur::onnx
