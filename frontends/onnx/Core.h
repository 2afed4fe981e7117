// The core every ONNX op is written in: a handful of tensor operations that
// know shapes, broadcasting and element types. Op files are functions over it,
// one file a family, and register themselves in the op table.
#pragma once
#include "frontends/onnx/Import.h"
#include "frontends/onnx/Program.h"
#include "frontends/onnx/Tensor.h"

namespace onnx {
class NodeProto;
class AttributeProto;
class GraphProto;
class TypeProto;
class TensorProto;
} // namespace onnx

namespace fulgur::onnx {

class Model;
using llvm::ArrayRef;
using llvm::SmallVector;
using llvm::StringRef;
using llvm::Twine;
using mlir::Value;

/// Ends the import of a model; its error has been emitted.
struct ImportFailure {
  ImportStatus status;
};

/// Sizes turned out to be computed from these inputs of the model: the import
/// starts again, with their elements known as symbols from the beginning.
struct NeedsInputValues {
  SmallVector<unsigned> inputs;
};

/// Builds core operations at one ONNX node. Whatever cannot be is an error at
/// that node and an ImportFailure.
class Core {
public:
  mlir::OpBuilder &builder;
  Sizes &sizes;
  mlir::Location loc;
  Program &program;

  [[noreturn]] void fail(const Twine &message) const;
  [[noreturn]] void unsupported(const Twine &message) const;

  // Constants and values.
  Tensor scalar(DType type, double number) const;
  /// A list of sizes, as Shape makes them.
  Tensor vector(ArrayRef<Extent> extents) const;
  /// A tensor of one value.
  Tensor fill(ArrayRef<Extent> shape, DType type, double number) const;
  /// The tensor as a value whose type says all that is known of its shape.
  Value value(const Tensor &x) const;
  /// The tensor, sequence or optional as a value of the driver (see Program).
  /// Ends the part that computes it.
  Value outside(const Tensor &x) const;
  /// A value of the driver as a tensor.
  Tensor inside(Value value, DType type, ArrayRef<Extent> shape) const {
    return {value, type, Shape(shape)};
  }
  /// The elements of an integer tensor as sizes, whatever they will be; `name`
  /// is what messages call it. Ends the part where they are computed while
  /// running.
  Shape dataExtents(const Tensor &x, StringRef name) const;
  mlir::RankedTensorType typeOf(ArrayRef<Extent> shape, DType type) const;
  /// A destination.
  Value empty(ArrayRef<Extent> shape, DType type) const;
  /// A destination full of one number, such as sums begin with.
  Value filled(ArrayRef<Extent> shape, DType type, double number) const;
  Value index(const Extent &extent) const { return sizes.index(extent, loc); }
  /// Index constants for static sizes, values for the others.
  SmallVector<mlir::OpFoldResult> sizesOf(ArrayRef<Extent> extents) const;
  Tensor tensor(Value value, DType type, ArrayRef<Extent> shape) const {
    return {value, type, Shape(shape)};
  }
  /// Where scalars are evaluated, or the body that `inside` fills.
  Body body(mlir::OpBuilder *inside = nullptr) const {
    return {sizes, inside, loc};
  }

  // Shapes.
  std::string text(ArrayRef<Extent> shape) const;
  /// The axis counted from the front; an error when it is outside [-rank,
  /// rank).
  int64_t axis(int64_t axis, int64_t rank) const;
  /// The axes, counted from the front, each at most once.
  SmallVector<int64_t> axes(ArrayRef<int64_t> axes, int64_t rank) const;
  /// Numpy's broadcasting. Of sizes that are not known to be equal, one is
  /// required to be 1 unless they are.
  Shape broadcast(ArrayRef<Extent> a, ArrayRef<Extent> b) const;
  Extent broadcastDim(const Extent &x, const Extent &y) const;
  /// Whether a dim of size `x` is read at 0 or along one of size `to`, which
  /// it broadcasts to, is known only before a run.
  bool spreadsLate(const Extent &x, const Extent &to) const;
  /// `what` says which sizes these are, where the node does not.
  void requireEqual(const Extent &a, const Extent &b,
                    const Twine &what = "") const;
  /// Requires that a run-time number that is used as a size is none below 0.
  void requireSize(const Extent &size, const Twine &what) const;
  void requireType(const Tensor &x, bool holds, StringRef expected) const;

  // Loops over elements. Floating-point numbers of 16 bits are computed with in
  // f32.
  using Elementwise = llvm::function_ref<Scalar(ArrayRef<Scalar>)>;
  using Generate = llvm::function_ref<Scalar(Body &, ArrayRef<Scalar> in,
                                             ArrayRef<Scalar> at)>;
  /// `body` for every element of the operands, broadcast to each other.
  /// Evaluated at once if everything is known.
  Tensor map(ArrayRef<Tensor> in, DType type, Elementwise body) const;
  Tensor map(const Tensor &x,
             llvm::function_ref<Scalar(const Scalar &)> body) const;
  /// `body` for every element of `shape`; it gets the elements of the operands,
  /// which broadcast to the shape, and the coordinates.
  Tensor generate(ArrayRef<Extent> shape, DType type, ArrayRef<Tensor> in,
                  Generate body) const;
  /// The element of `table` (a value made before the loop) at the coordinates.
  Scalar extract(Body &body, Value table, DType type,
                 ArrayRef<Scalar> at) const;
  /// Folds the elements along the axes into one that starts as `init`; `body`
  /// gets the element and what was folded so far.
  Tensor
  reduce(const Tensor &x, ArrayRef<int64_t> axes, bool keep, DType type,
         const Element &init,
         llvm::function_ref<Scalar(const Scalar &, const Scalar &)> body) const;
  Tensor sum(const Tensor &x, ArrayRef<int64_t> axes, bool keep) const;
  Tensor mean(const Tensor &x, ArrayRef<int64_t> axes, bool keep) const;
  Tensor max(const Tensor &x, ArrayRef<int64_t> axes, bool keep) const;
  /// Loops in sequence: `body` runs for every index below `counts`, first
  /// slowest, and passes the tensors on.
  using Step = llvm::function_ref<SmallVector<Value>(
      Body &, ArrayRef<Scalar> at, mlir::ValueRange state)>;
  SmallVector<Value> loop(ArrayRef<Extent> counts, ArrayRef<Value> state,
                          Step body) const;

  // Elementwise operations on whole tensors.
  Tensor add(const Tensor &a, const Tensor &b) const;
  Tensor sub(const Tensor &a, const Tensor &b) const;
  Tensor mul(const Tensor &a, const Tensor &b) const;
  Tensor div(const Tensor &a, const Tensor &b) const;
  Tensor mul(const Tensor &a, double b) const;
  Tensor select(const Tensor &condition, const Tensor &a,
                const Tensor &b) const;
  Tensor cast(const Tensor &x, DType type, const Conversion &how = {}) const;
  /// The same bits as elements of another type of the same width.
  Tensor bits(const Tensor &x, DType type) const;

  // Layout.
  Tensor reshape(const Tensor &x, ArrayRef<Extent> shape) const;
  /// Adds dims of size 1 so that they stand at `axes` of the result.
  Tensor unsqueeze(const Tensor &x, ArrayRef<int64_t> axes) const;
  /// Removes dims of size 1.
  Tensor squeeze(const Tensor &x, ArrayRef<int64_t> axes) const;
  Tensor transpose(const Tensor &x, ArrayRef<int64_t> permutation) const;
  Tensor broadcastTo(const Tensor &x, ArrayRef<Extent> shape) const;
  Tensor concat(ArrayRef<Tensor> parts, int64_t axis) const;
  /// `size` elements from `start` on along each axis.
  Tensor slice(const Tensor &x, ArrayRef<Extent> start, ArrayRef<Extent> size,
               ArrayRef<int64_t> step) const;
  Tensor slice(const Tensor &x, int64_t axis, const Extent &start,
               const Extent &size) const;
  /// Constants before and behind along each axis; sizes must not be negative.
  Tensor pad(const Tensor &x, ArrayRef<Extent> low, ArrayRef<Extent> high,
             const Element &number) const;
  /// Whole slices along `axis` picked by an integer tensor: x.shape[:axis] +
  /// indices.shape + x.shape[axis+1:].
  Tensor gather(const Tensor &x, const Tensor &indices, int64_t axis,
                StringRef tableName) const;
  /// Ends a run in which an index is outside [-size, size), unless all are
  /// known not to be; true if some may be negative.
  bool checkIndices(const Tensor &indices, const Extent &size,
                    const Twine &what) const;

private:
  Value constant(const Tensor &x, mlir::RankedTensorType type) const;

public:
  // Contractions.
  Tensor matmul(const Tensor &a, const Tensor &b) const;
  /// Of matrices; the second one may be stored transposed. The sums are of the
  /// operands' type or of the given one.
  Tensor matmul2d(const Tensor &a, const Tensor &b, bool transposed,
                  std::optional<DType> sums = std::nullopt) const;
};

/// Strings as a tensor of these dims; their equality; Cast from and to them.
Tensor stringConstant(const Core &c, ArrayRef<std::string> strings,
                      ArrayRef<int64_t> dims);
Tensor stringEqual(const Core &c, const Tensor &a, const Tensor &b);
Tensor castString(const Core &c, const Tensor &x, DType to);

/// The number of elements of a shape that is constant.
std::optional<int64_t> constantCount(ArrayRef<Extent> shape);
/// Calls `use` with the coordinates of every element of a constant shape, in
/// row-major order.
void forEachIndex(ArrayRef<Extent> shape,
                  llvm::function_ref<void(ArrayRef<int64_t>)> use);
/// The position in a constant shape of the element that broadcasts to `at`.
int64_t broadcastOffset(ArrayRef<Extent> shape, ArrayRef<int64_t> at);

/// The least and the greatest value of the type; infinities for floating point.
Element lowest(DType type);
Element highest(DType type);
/// The index that is wrapped from [-size, size) to [0, size), as an index
/// scalar.
Scalar wrapIndex(const Scalar &index, const Extent &size);

/// One node being imported: its attributes and its operands.
class Site {
public:
  using ImportGraph = llvm::function_ref<SmallVector<Tensor>(
      const ::onnx::GraphProto &, ArrayRef<Tensor>)>;
  Site(const Core &core, const ::onnx::NodeProto &node,
       const std::shared_ptr<const Model> &model, ArrayRef<Tensor> in,
       llvm::function_ref<Tensor(StringRef)> find, ImportGraph graph)
      : core(core), node(node), model(model), in(in), find(find),
        importGraph(graph) {}

  /// The operand; empty if it is left out.
  Tensor operator[](size_t k) const { return k < in.size() ? in[k] : Tensor(); }
  size_t size() const { return in.size(); }
  /// The name of an operand in the model.
  StringRef nameOf(size_t k) const;
  size_t outputs() const;
  /// The name of the first result.
  StringRef result() const;
  /// Whether something may use the result.
  bool wants(size_t output) const;
  StringRef op() const;
  int64_t opset() const;

  bool has(StringRef attribute) const;
  int64_t integer(StringRef attribute, int64_t otherwise) const;
  double real(StringRef attribute, double otherwise) const;
  StringRef text(StringRef attribute, StringRef otherwise) const;
  SmallVector<int64_t> integers(StringRef attribute) const;
  /// The axes of a tensor of that rank that a list attribute names, counted
  /// from the front; all of them if it is not there.
  SmallVector<int64_t> axesOrAll(StringRef attribute, int64_t rank) const;
  SmallVector<double> reals(StringRef attribute) const;
  SmallVector<StringRef> texts(StringRef attribute) const;
  /// All numbers of a list or tensor attribute, however many; none if it is not
  /// there.
  std::vector<double> numbers(StringRef attribute) const;
  /// The same for integers, exactly.
  SmallVector<int64_t> wholeNumbers(StringRef attribute) const;
  /// The element type of a tensor attribute.
  DType tensorType(StringRef attribute) const;
  std::vector<std::string> strings(StringRef attribute) const;
  /// A tensor attribute as a constant.
  Tensor tensor(StringRef attribute) const;
  DType dtype(StringRef attribute, DType otherwise) const;
  /// A graph attribute.
  const ::onnx::GraphProto &graph(StringRef attribute) const;
  /// Imports a graph here, its inputs being `in`, and returns its outputs.
  SmallVector<Tensor> import(const ::onnx::GraphProto &graph,
                             ArrayRef<Tensor> in) const {
    return importGraph(graph, in);
  }
  /// What type inference says of a result; null if nothing.
  const ::onnx::TypeProto *typeOf(size_t output) const;

  /// Integers that must be known: an input, or an attribute of that name as
  /// older opsets have it. Nothing if there is neither.
  std::optional<SmallVector<int64_t>> integers(size_t input,
                                               StringRef attribute) const;
  /// The same, which need not be known while importing.
  std::optional<Shape> numbers(size_t input, StringRef attribute) const;
  /// The numbers that an input holds and that sizes are made of.
  Shape extents(size_t input) const;
  /// The same, which are sizes themselves: none is below 0.
  Shape sizes(size_t input) const;
  /// The dim that the node's result indexes, if a Gather takes it as its
  /// indices and what that reads is there already.
  std::optional<Extent> indexedSize() const;

private:
  const ::onnx::AttributeProto *attribute(StringRef name, int type) const;
  const Core &core;
  const ::onnx::NodeProto &node;
  const std::shared_ptr<const Model> &model;
  ArrayRef<Tensor> in;
  llvm::function_ref<Tensor(StringRef)>
      find; ///< a value of the graph; empty if it is not there yet
  ImportGraph importGraph;
};

/// Makes the elements of an input of the model symbols; `number` says which
/// input it is, `name` what the model calls it.
void nameElements(const Core &core, const Tensor &input, int64_t number,
                  StringRef name);

/// A tensor of the file; small ones are known, large ones stay where they are
/// mapped.
Tensor constantOf(const Core &core, const std::shared_ptr<const Model> &model,
                  const ::onnx::TensorProto &proto, StringRef name);

/// How an op is imported: a function for its one result, or for several.
struct OpImport {
  using One = Tensor (*)(const Core &, const Site &);
  using Many = SmallVector<Tensor> (*)(const Core &, const Site &);
  OpImport() = default;
  OpImport(One one, size_t least = 1) : one(one), least(least) {}
  OpImport(Many many, size_t least = 1) : many(many), least(least) {}
  One one = nullptr;
  Many many = nullptr;
  /// The same, for an op that takes sequences, optionals and tensors of unknown
  /// rank.
  static OpImport ofValues(Many many, size_t least = 1) {
    OpImport import(many, least);
    import.anyValue = true;
    return import;
  }
  size_t least = 1; ///< inputs that must be there
  bool anyValue = false;
};

/// By name; other domains than ai.onnx in front, as in "com.microsoft::Gelu".
using OpTable = llvm::StringMap<OpImport>;

void registerActivation(OpTable &);
void registerCausalConvolution(OpTable &);
void registerContraction(OpTable &);
void registerControlFlow(OpTable &);
void registerConvolution(OpTable &);
void registerDeterminant(OpTable &);
void registerEinsum(OpTable &);
void registerElementwise(OpTable &);
void registerFourier(OpTable &);
void registerGatherScatter(OpTable &);
void registerIntegerProducts(OpTable &);
void registerLayout(OpTable &);
void registerLinearAttention(OpTable &);
void registerMl(OpTable &);
void registerNormalization(OpTable &);
void registerPooling(OpTable &);
void registerQuantization(OpTable &);
void registerRandom(OpTable &);
void registerRecurrent(OpTable &);
void registerReduction(OpTable &);
void registerRegions(OpTable &);
void registerResize(OpTable &);
void registerSampling(OpTable &);
void registerSelection(OpTable &);
void registerShapeOps(OpTable &);
void registerSequence(OpTable &);
void registerSorting(OpTable &);
void registerString(OpTable &);
void registerTfIdf(OpTable &);
void registerTransposedConvolution(OpTable &);

} // namespace fulgur::onnx
