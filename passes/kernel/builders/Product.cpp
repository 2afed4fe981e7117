#include "passes/kernel/builders/Product.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Matchers.h"
#include "passes/ByteProduct.h"
#include "passes/kernel/builders/Elementwise.h"
#include "passes/kernel/builders/Rows.h"

using namespace mlir;
using namespace fulgur;

/// The contraction dims of an operand, by position.
static Product::Operand operandOf(linalg::LinalgOp op, unsigned number) {
  return {op->getOperand(number), loopsOf(op, number)};
}

static bool isF32(Value value) {
  return getElementTypeOrSelf(value.getType()).isF32();
}

static bool isBF16(Value value) {
  return getElementTypeOrSelf(value.getType()).isBF16();
}

static bool isF16(Value value) {
  return getElementTypeOrSelf(value.getType()).isF16();
}

/// Whether operands and sums are of types that can be multiplied: f32 may be
/// stored as float16.
static bool areMultiplied(linalg::LinalgOp contraction) {
  if (auto bytes = matchByteProduct(contraction.getBlock()))
    return bytes->unsignedA != bytes->unsignedB;
  auto inputs = contraction.getDpsInputs();
  bool areWide = llvm::all_of(
      inputs, [](Value value) { return isF32(value) || isF16(value); });
  return (areWide || llvm::all_of(inputs, isBF16)) &&
         isF32(contraction.getDpsInits()[0]);
}

/// Finds the contraction, its epilogue and the unpacking of b behind what the
/// kernel yields.
static bool matchOperations(KernelOp kernel, Product &product) {
  ValueRange yielded = kernel.yield().getValues();
  product.out = kernel.bodyBlock()->getArguments().back();
  Operation *root = yielded.back().getDefiningOp();
  if (yielded.size() == 2) {
    auto rounding = yielded[0].getDefiningOp<linalg::GenericOp>();
    if (!rounding || !isRoundingLoop(rounding) ||
        rounding.getDpsInputs()[0] != yielded[1])
      return false;
    product.roundedOut =
        *std::prev(kernel.bodyBlock()->getArguments().end(), 2);
  } else if (yielded.size() != 1) {
    return false;
  }
  auto contraction = dyn_cast_or_null<linalg::LinalgOp>(root);
  if (auto generic = dyn_cast_or_null<linalg::GenericOp>(root);
      generic && !linalg::isaContractionOpInterface(generic)) {
    if (!isLanewise(generic) || generic.getNumDpsInits() != 1)
      return false;
    product.epilogue = generic;
    for (Value input : generic.getInputs())
      if (auto producer = input.getDefiningOp<linalg::LinalgOp>();
          producer && linalg::isaContractionOpInterface(producer))
        contraction = producer;
  }
  if (!contraction || !linalg::isaContractionOpInterface(contraction) ||
      contraction->getNumOperands() != 3)
    return false;
  product.contraction = contraction;
  auto fill = contraction.getDpsInits()[0].getDefiningOp<linalg::FillOp>();
  if (!fill || (!matchPattern(fill.getInputs()[0], m_AnyZeroFloat()) &&
                !matchPattern(fill.getInputs()[0], m_Zero())))
    return false;
  return areMultiplied(contraction) &&
         llvm::all_of(contraction.getIndexingMapsArray(), [](AffineMap map) {
           return map.isProjectedPermutation();
         });
}

/// Whether an argument of the body stands for a constant.
static bool isConstant(KernelOp kernel, Value value) {
  auto argument = dyn_cast<BlockArgument>(value);
  return argument && argument.getArgNumber() < kernel.getInputs().size() &&
         matchPattern(kernel.getInputs()[argument.getArgNumber()],
                      m_Constant());
}

/// Fills in the operands, in terms of the contraction's dims.
static bool matchOperands(KernelOp kernel, Product &product) {
  linalg::LinalgOp contraction = product.contraction;
  if (auto bytes = matchByteProduct(contraction.getBlock()))
    product.unsignedA = product.a == 0 ? bytes->unsignedA : bytes->unsignedB;
  product.aOperand = operandOf(contraction, product.a);
  product.bOperand = operandOf(contraction, product.b);
  product.outOperand = operandOf(contraction, 2);
  SmallVector<int> productDims = product.outOperand.dims;
  product.gather = matchRowGather(product.bOperand.value);
  if (product.gather) {
    if (!isa<BlockArgument>(product.gather->indices()))
      return false;
    product.bOperand.value = product.gather->table;
  }
  product.packed = product.bOperand.value.getDefiningOp<linalg::UnPackOp>();
  product.blocks = product.bOperand.value.getDefiningOp<DequantizeOp>();
  product.rounded = product.aOperand.value.getDefiningOp<RoundBlocksOp>();
  if (product.rounded) {
    if (!product.blocks)
      return false;
    product.aOperand.value = product.rounded.getInput();
  }
  product.epilogueInputs.clear();
  if (product.epilogue) {
    // The epilogue's loops are the dims of the product, in the order of the map
    // that reads it.
    SmallVector<int> dimOf(product.epilogue.getNumLoops(), -1);
    for (auto [number, input] : llvm::enumerate(product.epilogue.getInputs())) {
      if (input.getDefiningOp() != contraction)
        continue;
      for (auto [loop, dim] :
           llvm::zip(loopsOf(product.epilogue, number), productDims)) {
        if (loop < 0)
          return false;
        dimOf[loop] = dim;
      }
    }
    for (auto [number, input] : llvm::enumerate(product.epilogue.getInputs())) {
      Product::Operand operand = operandOf(product.epilogue, number);
      for (int &dim : operand.dims)
        dim = dim < 0 ? -1 : dimOf[dim];
      if (input.getDefiningOp() == contraction)
        operand.value = {};
      else if (!isa<BlockArgument>(input))
        return false;
      product.epilogueInputs.push_back(operand);
    }
    product.epilogueDims = dimOf;
    product.outOperand =
        operandOf(product.epilogue, product.epilogue.getNumDpsInputs());
    for (int &dim : product.outOperand.dims)
      dim = dimOf[dim];
  }
  product.outOperand.value = product.out;
  if (llvm::is_contained(product.outOperand.dims, -1))
    return false;
  bool bFromArguments =
      product.blocks   ? llvm::all_of(product.blocks->getOperands(),
                                      llvm::IsaPred<BlockArgument>)
      : product.packed ? isa<BlockArgument>(product.packed.getSource())
                       : isa<BlockArgument>(product.bOperand.value);
  bool fromArguments =
      isa<BlockArgument>(product.aOperand.value) && bFromArguments;
  // Masked accesses to bfloat16 become calls on CPUs that do not compute with
  // it: columns whose number is not known are for the generic builder.
  if (isBF16(product.bOperand.value) && !product.packed &&
      !cast<RankedTensorType>(product.bOperand.value.getType())
           .hasStaticShape())
    return false;
  // Float16 is read as whole vectors of packed weights only.
  if (isF16(product.bOperand.value) && !product.packed &&
      !isConstant(kernel, product.bOperand.value))
    return false;
  Type out = getElementTypeOrSelf(product.out.getType());
  return fromArguments &&
         (out.isF32() || out.isBF16() || out.isInteger(8) || out.isInteger(32));
}

/// Whether the loops over `outer` and `inner`, neighbours in one operand, are
/// neighbours in all of them.
static bool areNeighbours(const Product &product, unsigned outer,
                          unsigned inner) {
  auto inOperand = [&](const Product::Operand &operand) {
    if (!operand.has(outer) && !operand.has(inner))
      return true;
    const auto *position = llvm::find(operand.dims, int(outer));
    return position != operand.dims.end() &&
           position + 1 != operand.dims.end() && position[1] == int(inner);
  };
  // A packed dim has no neighbours, and positions along joined loops are not
  // known to the epilogue's linalg.index.
  bool isInPanels =
      product.packed || product.blocks || isF16(product.bOperand.value);
  if (isInPanels &&
      (product.bOperand.has(outer) || product.bOperand.has(inner)))
    return false;
  if (product.gather && product.bOperand.dims[0] == int(outer))
    return false;
  if (product.epilogue && !linalg::GenericOp(product.epilogue)
                               .getBody()
                               ->getOps<linalg::IndexOp>()
                               .empty())
    return false;
  return inOperand(product.aOperand) &&
         (isInPanels || inOperand(product.bOperand)) &&
         inOperand(product.outOperand) &&
         llvm::all_of(product.epilogueInputs, inOperand);
}

/// Sorts the dims into loops. False when there is no column or no single
/// reduction.
static bool matchLoops(Product &product) {
  // One class of dims, in the order in which `order` has them; neighbours share
  // a loop.
  auto classOf = [&](const Product::Operand &order, bool inA, bool inB,
                     bool inOut) {
    SmallVector<Product::Loop> loops;
    for (int dim : order.dims) {
      if (dim < 0 || product.aOperand.has(dim) != inA ||
          product.bOperand.has(dim) != inB ||
          product.outOperand.has(dim) != inOut)
        continue;
      if (!loops.empty() && areNeighbours(product, loops.back().back(), dim))
        loops.back().push_back(dim);
      else
        loops.push_back({unsigned(dim)});
    }
    return loops;
  };
  SmallVector<Product::Loop> batches =
                                 classOf(product.outOperand, true, true, true),
                             rows =
                                 classOf(product.outOperand, true, false, true);
  // A dim of size 1 may be the result's alone.
  for (Product::Loop &loop : classOf(product.outOperand, false, false, true)) {
    if (product.size(loop) != 1)
      return false;
    batches.push_back(loop);
  }
  SmallVector<Product::Loop> columns =
                                 classOf(product.outOperand, false, true, true),
                             reductions =
                                 classOf(product.aOperand, true, true, false);
  if (columns.empty() || reductions.size() != 1)
    return false;
  size_t dims = 0;
  for (auto &loops : {batches, rows, columns, reductions})
    for (const Product::Loop &loop : loops)
      dims += loop.size();
  if (dims != product.contraction.getNumLoops())
    return false;
  product.loops = batches;
  Product::Loop row = rows.empty() ? Product::Loop() : rows.pop_back_val(),
                column = columns.pop_back_val();
  product.loops.append(rows);
  product.loops.append(columns);
  product.loops.append({row, column, reductions.front()});
  return true;
}

/// Whether data picks matrices, not parts of them.
static bool isGatherOfMatrices(const Product &product) {
  return !product.gather ||
         llvm::is_contained(ArrayRef(product.loops).drop_back(3),
                            Product::Loop{unsigned(product.bOperand.dims[0])});
}

/// Whether b's packing is the one that the loops read: panels of consecutive
/// columns, one reduction step after the other.
static bool isPackedForLoops(const Product &product) {
  if (!product.packed)
    return true;
  linalg::UnPackOp unpack = product.packed;
  if (product.loops[product.column()].size() != 1 ||
      product.loops[product.reduction()].size() != 1)
    return false;
  const auto &dims = product.bOperand.dims;
  int64_t column =
      llvm::find(dims, int(product.loops[product.column()][0])) - dims.begin();
  int64_t reduction =
      llvm::find(dims, int(product.loops[product.reduction()][0])) -
      dims.begin();
  SmallVector<int64_t> order;
  for (int64_t position : llvm::seq<int64_t>(0, dims.size()))
    if (position != column && position != reduction)
      order.push_back(position);
  order.append({column, reduction});
  ArrayRef<int64_t> actual = unpack.getOuterDimsPerm();
  SmallVector<int64_t> identity =
      llvm::to_vector(llvm::seq<int64_t>(0, dims.size()));
  SmallVector<int64_t> inner{column};
  if (product.depth() > 1)
    inner.push_back(reduction);
  return unpack.getInnerDimsPos() == ArrayRef(inner) &&
         (inner.size() == 1 ||
          unpack.getStaticInnerTiles()[1] == product.depth()) &&
         order == (actual.empty() ? ArrayRef<int64_t>(identity) : actual);
}

bool Product::epilogueReadsRows() const {
  return llvm::any_of(epilogueInputs, [&](const Operand &input) {
    auto isMovedBy = [&](unsigned loop) {
      return llvm::any_of(loops[loop],
                          [&](unsigned dim) { return input.has(dim); });
    };
    return input.value && isMovedBy(row()) && isMovedBy(column());
  });
}

bool Product::epilogueHasFunction() const {
  linalg::GenericOp epilogue = this->epilogue;
  return epilogue && llvm::any_of(*epilogue.getBody(), [](Operation &op) {
           return isa<math::ErfOp, math::TanhOp, math::ExpOp>(op);
         });
}

std::optional<int64_t> Product::size(unsigned loop) const {
  return size(loops[loop]);
}

std::optional<int64_t> Product::size(const Loop &loop) const {
  SmallVector<int64_t> ranges =
      linalg::LinalgOp(contraction).getStaticLoopRanges();
  int64_t size = 1;
  for (unsigned dim : loop) {
    if (ShapedType::isDynamic(ranges[dim]))
      return std::nullopt;
    size *= ranges[dim];
  }
  return size;
}

std::optional<Product> fulgur::matchProduct(KernelOp kernel) {
  Product product;
  if (!matchOperations(kernel, product))
    return std::nullopt;
  // The columns are the lanes of the vectors: they should be the last dim of
  // the result, and packed weights are b.
  auto tryAs = [&](unsigned a, unsigned b) {
    product.a = a, product.b = b;
    return matchOperands(kernel, product) && matchLoops(product) &&
           isGatherOfMatrices(product) && isPackedForLoops(product);
  };
  auto storesVectors = [&] {
    SmallVector<int64_t> ranges = product.contraction.getStaticLoopRanges();
    ArrayRef<int> dims = product.outOperand.dims;
    while (dims.size() > 1 && ranges[dims.back()] == 1)
      dims = dims.drop_back();
    return dims.back() == int(product.loops[product.column()].back());
  };
  if (tryAs(0, 1) && storesVectors())
    return product;
  if (tryAs(1, 0) && storesVectors())
    return product;
  if (tryAs(0, 1) || tryAs(1, 0))
    return product;
  return std::nullopt;
}
