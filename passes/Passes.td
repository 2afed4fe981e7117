// Every pass: its name, what it guarantees and its options. The code is in the file of the same name.
include "mlir/Pass/PassBase.td"

/// What Target in passes/Target.h says, for passes that are OnTarget (passes/TargetOptions.h).
defvar targetOptions = [
  Option<"vectorBytes", "vector-bytes", "int64_t", "32", "bytes of a vector register of the target">,
  Option<"vectorRegisters", "vector-registers", "int64_t", "16", "vector registers of the target">,
  Option<"bf16", "bf16", "bool", "false", "whether the target has AVX512-BF16">,
  Option<"strassen", "strassen", "bool", "false", "whether large products of weights gain by Strassen's algorithm">,
  Option<"amx", "amx", "bool", "false", "whether the target has AMX's products of bfloat16 and of bytes">,
  Option<"vnni", "vnni", "bool", "false", "whether the target has AVX512-VNNI, AVX-VNNI or I8MM">,
  Option<"dotprod", "dotprod", "bool", "false", "whether the target has AArch64's DotProd">,
  Option<"vbmi", "vbmi", "bool", "false", "whether the target has AVX512-VBMI">,
  Option<"halves", "halves", "bool", "false", "whether vectors of half the size take half the time">
];

//===-- graph -----------------------------------------------------------------------------------------------------===//

def AssignLayouts : Pass<"fulgur-assign-layouts", "mlir::func::FuncOp"> {
  let summary = "Puts channels last for convolutions and for what lies between them";
  let description = [{
    Afterwards a convolution of f32 is a generic whose output, and input if it has many channels or comes from another, have the
    order [batch, places, groups, channels], with its padding as a tensor.pad; one with a window of a single element, or with windows that lie side by side in the model's input, is a
    product. Transposes stand where other orders begin and end.
    Rows of places that are transposed and expanded are such images, too. Norms of groups of channels are sums of channels.
  }];
  let dependentDialects = ["fulgur::FulgurDialect", "mlir::arith::ArithDialect", "mlir::linalg::LinalgDialect", "mlir::math::MathDialect", "mlir::tensor::TensorDialect", "mlir::affine::AffineDialect"];
}

def FoldConstants : Pass<"fulgur-fold-constants", "mlir::func::FuncOp"> {
  let summary = "Computes what depends on constants only, and reshapes weights";
  let description = [{
    Loops of operations whose results are exact, sums, products and normalizations. What is large is computed if an
    operand is as large, so that a model does not grow by more than what it is made of.
  }];
  let dependentDialects = ["mlir::arith::ArithDialect"];
}

def FoldScales : Pass<"fulgur-fold-scales", "mlir::func::FuncOp"> {
  let summary = "Multiplies the weights of convolutions and products by the scales behind them";
  let description = "Such as a batch normalization's. What is added before and behind the scale becomes one constant.";
  let dependentDialects = ["mlir::arith::ArithDialect", "mlir::linalg::LinalgDialect"];
}

def FoldTransposes : Pass<"fulgur-fold-transposes", "mlir::func::FuncOp"> {
  let summary = "Folds transposes into the products that read or write them";
  let dependentDialects = ["fulgur::FulgurDialect", "mlir::arith::ArithDialect", "mlir::linalg::LinalgDialect", "mlir::tensor::TensorDialect"];
}

def FoldWeightViews : Pass<"fulgur-fold-weight-views", "mlir::ModuleOp"> {
  let summary = "Makes weights of slices and reshapes of weights, also of transposed ones, and of loops that only pick elements";
  let dependentDialects = ["mlir::arith::ArithDialect", "mlir::tensor::TensorDialect"];
}

def RaiseSlices : Pass<"fulgur-raise-slices", "mlir::func::FuncOp"> {
  let summary = "Computes only the rows that are used: moves slices above what computes their sources";
  let description = [{
    Afterwards an operation whose result is used through one slice only, however far behind it, computes what the slice takes,
    if index maps tell what it needs for that.
  }];
  let dependentDialects = ["fulgur::FulgurDialect", "mlir::arith::ArithDialect", "mlir::linalg::LinalgDialect", "mlir::tensor::TensorDialect"];
}

def FuseNorms : Pass<"fulgur-fuse-norms", "mlir::func::FuncOp"> {
  let summary = "Makes fulgur.layer_norm and fulgur.rms_norm of the operations that exporters spell them in";
  let dependentDialects = ["fulgur::FulgurDialect", "mlir::arith::ArithDialect", "mlir::tensor::TensorDialect"];
}

def FuseAttention : Pass<"fulgur-fuse-attention", "mlir::func::FuncOp"> {
  let summary = "Makes fulgur.attention of products with a softmax between them";
  let description = [{
    The operands are read where they come from, through transposes, reshapes and the copies that repeat heads of keys. Masks
    that compare positions become `causal`. Only f32 is fused; remarks say what is not, and why.
  }];
  let dependentDialects = ["fulgur::FulgurDialect", "mlir::arith::ArithDialect", "mlir::linalg::LinalgDialect", "mlir::math::MathDialect", "mlir::tensor::TensorDialect"];
}

def SinkConcats : Pass<"fulgur-sink-concats", "mlir::func::FuncOp"> {
  let summary = "Makes a concatenation of elementwise loops out of an elementwise loop over a concatenation of slices";
  let description = "Rotary embeddings are spelled like that; afterwards they read and write each element once.";
  let dependentDialects = ["mlir::arith::ArithDialect", "mlir::linalg::LinalgDialect", "mlir::tensor::TensorDialect"];
}

def UpdateStates : Pass<"fulgur-update-states", "mlir::func::FuncOp"> {
  let summary = "Appends rows to states where they are, instead of concatenating all rows and storing them";
  let description = [{
    Afterwards a state whose result was a concatenation of what is in it with more is that with more inserted, and other readers of
    the concatenation read it there. Remarks name what still reads the state as it was, and states that are written as a whole.
  }];
  let dependentDialects = ["mlir::arith::ArithDialect", "mlir::tensor::TensorDialect"];
}

def QuantizeStates : Pass<"fulgur-quantize-states", "mlir::func::FuncOp"> {
  let summary = "Keeps rows that are appended to states, such as keys and values, as bytes with a scale for each row";
  let description = [{
    Afterwards a state of f32 that rows are appended to is one of i8, and another state has the scales: it has the dims of the first but the
    last. Rows are quantized once, where they are appended; readers read codes times scales. Remarks name states that stay as
    they are.
  }];
  let dependentDialects = ["mlir::arith::ArithDialect", "mlir::linalg::LinalgDialect", "mlir::math::MathDialect", "mlir::tensor::TensorDialect"];
}

def MergeProducts : Pass<"fulgur-merge-products", "mlir::func::FuncOp"> {
  let summary = "Makes one product of products of the same rows with several weights";
  let description = [{
    Such as the projections to queries, keys and values. Only where all that reads the results reads slices where they are;
    remarks say which products were left alone, and for whose sake.
  }];
  let dependentDialects = ["fulgur::FulgurDialect", "mlir::arith::ArithDialect", "mlir::linalg::LinalgDialect", "mlir::tensor::TensorDialect"];
}

def ArrangeHeads : Pass<"fulgur-arrange-heads", "mlir::func::FuncOp"> {
  let summary = "Multiplies bfloat16 to the queries, keys and values of attention head by head";
  let description = [{
    A product with a weight, whose result is read as rows of heads by attention, becomes a product for each of these parts, of shape
    [heads, rows, elements], if there are many rows and a head fills whole panels of the weight. Keys and values that the model
    returns have this order, too.
  }];
  let dependentDialects = ["fulgur::FulgurDialect", "mlir::arith::ArithDialect", "mlir::linalg::LinalgDialect", "mlir::tensor::TensorDialect"];
}

def NarrowProducts : Pass<"fulgur-narrow-products", "mlir::func::FuncOp"> {
  let summary = "Multiplies weights and what they are multiplied with, and what attention multiplies, as narrower floats";
  let description = [{
    Afterwards a product of f32 with a constant is one of two operands of `type`, whose sums are still f32. The constant is
    rounded now, the other operand where it is made. So are queries, keys and values, if there are many queries and keys and values
    do not come from a cache, and images that convolutions of each channel read. An image that is rounded for some of its users is
    rounded for elementwise loops, too; maxima that all are rounded are taken of rounded numbers. With `pairs`, 3x3 windows of few channels
    are narrow as well, and three planes become pixels of four numbers.
  }];
  let dependentDialects = ["mlir::arith::ArithDialect", "mlir::linalg::LinalgDialect", "mlir::tensor::TensorDialect"];
  let options = [
    Option<"type", "type", "std::string", "\"bf16\"", "the narrower type: bf16">,
    Option<"pairs", "pairs", "bool", "false", "the target adds two products of it by one instruction">,
  ];
}

def QuantizeProducts : Pass<"fulgur-quantize-products", "mlir::func::FuncOp"> {
  let summary = "Multiplies the integers of quantized numbers";
  let description = [{
    Afterwards a product or convolution whose operands are dequantized, or are integers less a zero point, is one of bytes, an unsigned and
    a signed one, with sums in i32. The zero points and scales follow it in one elementwise loop; the sums of weights are constants.
  }];
  let dependentDialects = ["mlir::arith::ArithDialect", "mlir::linalg::LinalgDialect", "mlir::tensor::TensorDialect"];
}

def QuantizePools : Pass<"fulgur-quantize-pools", "mlir::func::FuncOp"> {
  let summary = "Takes the maximum of the integers of quantized numbers";
  let description = "Afterwards a pool that takes the maximum of dequantized bytes takes that of the bytes, which are dequantized behind it.";
  let dependentDialects = ["mlir::arith::ArithDialect", "mlir::linalg::LinalgDialect", "mlir::tensor::TensorDialect"];
}

def QuantizeWeights : Pass<"fulgur-quantize-weights", "mlir::func::FuncOp"> {
  let summary = "Gives constants that products multiply 4 or 8 bits for each number, and a scale for each block of them";
  let description = [{
    Afterwards such a constant of f32 is a fulgur.dequantize, and so is a table that rows are picked from if a product has it, too. With
    `round`, what it is multiplied with is a fulgur.round_blocks. Products by whose greatest elements the model picks something, such as
    experts, are left alone.
  }];
  let dependentDialects = ["fulgur::FulgurDialect", "mlir::arith::ArithDialect"];
  let options = [
    Option<"bits", "bits", "int64_t", "4", "of a number: 4 or 8">,
    Option<"block", "block", "int64_t", "32", "numbers along the reduction that share a scale; 0: all of them">,
    Option<"round", "round", "bool", "false", "whether the other operand is rounded to bytes">
  ];
}

def NarrowWeights : Pass<"fulgur-narrow-weights", "mlir::func::FuncOp"> {
  let summary = "Stores constants that products multiply, and tables that rows are picked from, as float16";
  let description = [{
    Where they are read they become f32 again, so that everything is computed as before. A constant with an element that float16 cannot hold,
    and the weights of convolutions, stay.
  }];
  let dependentDialects = ["mlir::arith::ArithDialect", "mlir::linalg::LinalgDialect"];
}

def FuseElementwise : Pass<"fulgur-fuse-elementwise", "mlir::func::FuncOp"> {
  let summary = "Fuses chains of elementwise operations into one loop each";
  let description = [{
    Reshapes between a product and the elementwise operation that follows it are moved behind the latter, and so are the strided insertions
    that interleave the phases of a transposed convolution: each phase then has the operation, if all else that it reads is the same for all phases.
  }];
  let dependentDialects = ["fulgur::FulgurDialect", "mlir::arith::ArithDialect", "mlir::linalg::LinalgDialect", "mlir::tensor::TensorDialect", "mlir::affine::AffineDialect"];
}

def SplitRequantization : Pass<"fulgur-split-requantization", "mlir::func::FuncOp"> {
  let summary = "Gives each product of bytes a loop of its own that quantizes its sums";
  let description = "Where a loop quantizes the sums of several products, or of one and adds up the results, it reads bytes instead.";
  let dependentDialects = ["mlir::arith::ArithDialect", "mlir::linalg::LinalgDialect", "mlir::tensor::TensorDialect"];
}

def FoldRequantization : Pass<"fulgur-fold-requantization", "mlir::func::FuncOp"> {
  let summary = "Quantizes the sums of products of bytes with few operations";
  let description = [{
    What is quantized and dequantized again stays a float. Scales and biases become one factor and one shift, which are rounded once more: a
    quotient halfway between two integers may become the other one.
  }];
  let dependentDialects = ["mlir::arith::ArithDialect", "mlir::math::MathDialect"];
}

//===-- kernel ----------------------------------------------------------------------------------------------------===//

def FormKernels : Pass<"fulgur-form-kernels", "mlir::func::FuncOp"> {
  let summary = "Groups the graph's operations into fulgur.kernel regions";
  let description = [{
    Afterwards a function holds kernels, views (reshapes), index arithmetic, checks and constants, and nothing else.
    A product takes the elementwise operations that only it feeds as its epilogue. Loops over time that do not need each other are one kernel.
  }];
  let dependentDialects = ["fulgur::FulgurDialect", "mlir::tensor::TensorDialect", "mlir::linalg::LinalgDialect"];
}

//===-- memory ----------------------------------------------------------------------------------------------------===//

def BindPorts : Pass<"fulgur-bind-ports", "mlir::ModuleOp"> {
  let summary = "Turns @main from a function on tensors into one run on the caller's buffers";
  let description = [{
    Sets fulgur.inputs, fulgur.outputs and fulgur.states on the module. Kernels that compute an output write it in place. An input
    and an output that are a state are one buffer.
  }];
  let dependentDialects = ["fulgur::FulgurDialect", "mlir::bufferization::BufferizationDialect", "mlir::memref::MemRefDialect", "mlir::LLVM::LLVMDialect", "mlir::arith::ArithDialect"];
}

def Bufferize : Pass<"fulgur-bufferize", "mlir::ModuleOp"> {
  let summary = "One-shot bufferization of everything but the bodies of kernels";
  let dependentDialects = ["mlir::bufferization::BufferizationDialect", "mlir::memref::MemRefDialect"];
}

def HoistScratch : Pass<"fulgur-hoist-scratch", "mlir::ModuleOp"> {
  let summary = "Moves the allocations of kernels to the stack (small ones) or to @main";
  let dependentDialects = ["mlir::memref::MemRefDialect", "mlir::arith::ArithDialect"];
}

def PlaceWeights : Pass<"fulgur-place-weights", "mlir::ModuleOp"> {
  let summary = "Gives every constant its offset in the weights segment";
  let dependentDialects = ["fulgur::FulgurDialect", "mlir::arith::ArithDialect"];
}

def PlanMemory : Pass<"fulgur-plan-memory", "mlir::ModuleOp"> {
  let summary = "Places every buffer in one arena whose size is a function of the symbols, and writes @plan";
  let description = "Sets fulgur.arena_bytes (0 when it depends on the symbols) and fulgur.messages on the module.";
  let dependentDialects = ["fulgur::FulgurDialect", "mlir::LLVM::LLVMDialect", "mlir::arith::ArithDialect"];
}

//===-- lower -----------------------------------------------------------------------------------------------------===//

def OutlineKernels : Pass<"fulgur-outline-kernels", "mlir::ModuleOp"> {
  let summary = "Builds one function for all kernels that compute the same thing";
  let dependentDialects = ["mlir::bufferization::BufferizationDialect", "mlir::memref::MemRefDialect", "mlir::LLVM::LLVMDialect",
                           "mlir::scf::SCFDialect", "mlir::vector::VectorDialect", "mlir::arith::ArithDialect", "mlir::math::MathDialect"];
  let options = targetOptions;
}

def ShareKernels : Pass<"fulgur-share-kernels", "mlir::ModuleOp"> {
  let summary = "Makes one function of kernels that differ in numbers only";
  let description = [{
    What differs becomes an argument. Numbers that make code simpler where they are known, such as 0 and 1, and sizes stay what they are.
  }];
  let dependentDialects = ["mlir::arith::ArithDialect", "mlir::vector::VectorDialect"];
}

def LowerLinalg : Pass<"fulgur-lower-linalg", "mlir::func::FuncOp"> {
  let summary = "Turns linalg on buffers into parallel and vectorisable loops";
  let dependentDialects = ["mlir::scf::SCFDialect", "mlir::memref::MemRefDialect", "mlir::arith::ArithDialect", "mlir::affine::AffineDialect", "mlir::vector::VectorDialect"];
  let options = [
    Option<"vectorBytes", "vector-bytes", "int64_t", "32", "bytes of a vector register of the target">,
    Option<"vectorRegisters", "vector-registers", "int64_t", "16", "vector registers of the target">
  ];
}

def OutlineTasks : Pass<"fulgur-outline-tasks", "mlir::ModuleOp"> {
  let summary = "Makes a task function and a launch of every parallel loop";
  let dependentDialects = ["fulgur::FulgurDialect", "mlir::LLVM::LLVMDialect", "mlir::arith::ArithDialect"];
}

def LowerEntry : Pass<"fulgur-lower-entry", "mlir::ModuleOp"> {
  let summary = "Reads symbols from the caller and turns checks into early returns";
  let dependentDialects = ["mlir::LLVM::LLVMDialect", "mlir::cf::ControlFlowDialect", "mlir::scf::SCFDialect", "mlir::memref::MemRefDialect", "mlir::arith::ArithDialect"];
  let options = [Option<"prefix", "prefix", "std::string", "\"model\"", "start of the names of the generated functions">];
}

def LowerDriver : Pass<"fulgur-lower-driver", "mlir::ModuleOp"> {
  let summary = "Gives every value of the driver a slot and turns its operations into calls of the runtime";
  let description = [{
    Sets fulgur.inputs, fulgur.outputs, fulgur.slots, fulgur.output_slots and fulgur.parts on the module. A call that fails
    ends the driver with its status.
  }];
  let dependentDialects = ["mlir::LLVM::LLVMDialect", "mlir::cf::ControlFlowDialect", "mlir::arith::ArithDialect"];
  let options = [Option<"prefix", "prefix", "std::string", "\"model\"", "start of the names of the generated functions">];
}

def JoinParts : Pass<"fulgur-join-parts", "mlir::ModuleOp"> {
  let summary = "Moves what the parts of a program define into the program's module, under names of its own";
}

def LowerReshapes : Pass<"fulgur-lower-reshapes"> {
  let summary = "Turns reshapes of contiguous buffers, and splits of the dims of slices, into reinterpretations";
  let dependentDialects = ["mlir::memref::MemRefDialect", "mlir::arith::ArithDialect"];
}

def CallLibm : Pass<"fulgur-call-libm", "mlir::ModuleOp"> {
  let summary = "Turns the functions of doubles that LLVM has no intrinsic for into calls of libm";
  let dependentDialects = ["mlir::func::FuncDialect", "mlir::vector::VectorDialect"];
}

def LowerToLLVM : Pass<"fulgur-lower-to-llvm", "mlir::ModuleOp"> {
  let summary = "Converts everything that is left to the LLVM dialect";
  let dependentDialects = ["mlir::LLVM::LLVMDialect"];
  let options = [Option<"bf16", "bf16", "bool", "false", "whether the target has AVX512-BF16, which rounds to bfloat16">];
}

//===-- kernel ----------------------------------------------------------------------------------------------------===//

def ChooseSchedules : Pass<"fulgur-choose-schedules", "mlir::ModuleOp"> {
  let summary = "Gives every kernel its #fulgur.schedule: the first builder that accepts its body, and that builder's choice";
  let description = [{
    Kernels that no builder accepts, and those that have a schedule already, stay as they are. A schedule that the
    attribute `fulgur.tuned` of the module has for the kernel goes before the builder's choice, if it is one of the builder's.
  }];
  let options = targetOptions;
}

def SplitKernels : Pass<"fulgur-split-kernels", "mlir::ModuleOp"> {
  let summary = "Replaces the model by small models to be measured: each different kernel with each schedule that there is for it";
  let description = "The attribute `fulgur.trial` of such a model says which kernel it is, how often it is used, and the sizes of its symbolic dims.";
  let dependentDialects = ["fulgur::FulgurDialect", "mlir::arith::ArithDialect", "mlir::func::FuncDialect", "mlir::tensor::TensorDialect"];
  let options = !listconcat(targetOptions, [
    Option<"chosenOnly", "chosen-only", "bool", "false", "every kernel, with the schedule that it would get">,
    ListOption<"sizes", "sizes", "std::string", "sizes of symbolic dims, NAME=N">
  ]);
}

def DecomposeRowOps : Pass<"fulgur-decompose-row-ops"> {
  let summary = "Writes softmax and normalizations as loops, except in kernels whose schedule names a builder for them";
  let dependentDialects = ["mlir::arith::ArithDialect", "mlir::math::MathDialect", "mlir::tensor::TensorDialect", "mlir::linalg::LinalgDialect"];
}

def DecomposeAttention : Pass<"fulgur-decompose-attention"> {
  let summary = "Writes attention as products and a softmax between them, except in kernels whose schedule names a builder for it";
  let dependentDialects = ["mlir::arith::ArithDialect", "mlir::math::MathDialect", "mlir::tensor::TensorDialect", "mlir::linalg::LinalgDialect"];
}

def DecomposeDequantize : Pass<"fulgur-decompose-dequantize"> {
  let summary = "Writes fulgur.dequantize as loops, except where a product takes it, or a kernel whose schedule names a builder for it";
  let dependentDialects = ["mlir::arith::ArithDialect", "mlir::tensor::TensorDialect", "mlir::linalg::LinalgDialect"];
}

def PackWeights : Pass<"fulgur-pack-weights", "mlir::ModuleOp"> {
  let summary = "Rewrites the constant operands of products in the layout that their schedules ask for";
  let description = [{
    A weight that several kernels use in the same layout is packed once. What loops over time multiply with in each step has no schedule: it is
    packed into panels of 64 columns.
  }];
  let dependentDialects = ["mlir::arith::ArithDialect", "mlir::tensor::TensorDialect", "mlir::linalg::LinalgDialect"];
}

def TabulateFunctions : Pass<"fulgur-tabulate-functions", "mlir::func::FuncOp"> {
  let summary = "Writes functions of one number, rounded to bfloat16, as parabolas whose coefficients come out of tables";
  let description = "Those that have a function which may be approximate, on vectors of 16 lanes.";
  let dependentDialects = ["mlir::LLVM::LLVMDialect", "mlir::arith::ArithDialect"];
  let options = [
    Option<"vectorBytes", "vector-bytes", "int64_t", "32", "bytes of a vector register of the target">
  ];
}

def ApproximateMath : Pass<"fulgur-approximate-math"> {
  let summary = "Writes math functions of f32, and of narrower floats, as polynomials; no math library is called";
  let description = "Functions of f64 stay.";
  let dependentDialects = ["mlir::LLVM::LLVMDialect", "mlir::arith::ArithDialect", "mlir::math::MathDialect", "mlir::memref::MemRefDialect", "mlir::scf::SCFDialect", "mlir::vector::VectorDialect"];
}
