// The fulgur dialect: the few things a model means, or a compiled model needs, that upstream dialects cannot say.
#ifndef FULGUR_TD
#define FULGUR_TD

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"
include "mlir/IR/OpBase.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"
include "mlir/Interfaces/DestinationStyleOpInterface.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def Fulgur_Dialect : Dialect {
  let name = "fulgur";
  let cppNamespace = "::fulgur";
  let summary = "What upstream dialects cannot say about a model and its kernels.";
  let description = [{
    A module in this dialect holds one function `@main` on tensors. Its arguments and results carry `fulgur.name`
    (the ONNX name) and `fulgur.dims` (an array of strings: the dims as the model writes them). An argument with
    `fulgur.state` is a state: one buffer with the result of that number, which has the argument's type and dims. The module carries
    `fulgur.symbols`, an array of dictionaries `{name, min, max}`: the symbolic dims and their ranges. Symbols that are not
    dims have `source`, `input` and `element` as well, as fulgur_symbol in runtime/fulgur.h has them.
  }];
  let useDefaultAttributePrinterParser = 1;
  let useDefaultTypePrinterParser = 1;
}

class Fulgur_Op<string mnemonic, list<Trait> traits = []> : Op<Fulgur_Dialect, mnemonic, traits>;

//===-- Attributes ------------------------------------------------------------------------------------------------===//

def Fulgur_ScheduleAttr : AttrDef<Fulgur_Dialect, "Schedule"> {
  let mnemonic = "schedule";
  let summary = "How a kernel is to be computed: the only thing heuristics and tuning touch";
  let description = [{
    `kind` names the builder that turns the kernel's body into loops ("generic", "gemm", "softmax", "norm", "attention",
    "strassen", "convolution", "depthwise", "winograd", "amx_convolution", "amx_attention", "assemble",
    "transpose").
    `tile` is the register tile ([rows, vectors] for a product) or a block ([queries, keys] of attention), `lanes` the elements of one vector, `unroll` the
    steps of the reduction taken at once, `pack` the width of the panels that a constant weight is packed into
    (0: not packed), `grain` the rows that one task computes (of each half, in "strassen"). A convolution's tile is [pixels, vectors, pixels of a row per
    task, parts of the filters per task], and in "depthwise" rows of a tile where it has several; that of "winograd" is [tiles, vectors, channels at once, parts per task, elements of
    the result along a tile], and its grain the tiles of a task.
  }];
  let parameters = (ins StringRefParameter<"builder">:$kind, OptionalArrayRefParameter<"int64_t">:$tile,
    DefaultValuedParameter<"int64_t", "1">:$lanes, DefaultValuedParameter<"int64_t", "1">:$unroll,
    DefaultValuedParameter<"int64_t", "0">:$pack, DefaultValuedParameter<"int64_t", "1">:$grain);
  let hasCustomAssemblyFormat = 1;
}

//===-- The graph -------------------------------------------------------------------------------------------------===//

def Fulgur_SymbolOp : Fulgur_Op<"symbol", [Pure]> {
  let summary = "The size of a symbolic dim, such as \"batch\"";
  let arguments = (ins StrAttr:$name);
  let results = (outs Index:$result);
  let assemblyFormat = "$name attr-dict";
}

def Fulgur_RequireOp : Fulgur_Op<"require"> {
  let summary = "A condition between sizes, checked before a run starts";
  let description = [{
    A condition that is a pure function of `fulgur.symbol`s is checked before the run starts, one on run-time sizes where it
    stands. The location names the ONNX node that needs it.
  }];
  let arguments = (ins I1:$condition, StrAttr:$message);
  let assemblyFormat = "$condition `,` $message attr-dict";
}

def Fulgur_BoundedOp : Fulgur_Op<"bounded", [AllTypesMatch<["value", "bound", "result"]>]> {
  let summary = "A size that is known only while running, such as the number of rows routed to an expert";
  let description = [{
    Gives `value`, or ends the run with the message when it is outside [0, bound]. The bound is a function of symbols: it is
    what the memory plan reserves. Requirements on such sizes are checked where they stand.
  }];
  let arguments = (ins Index:$value, Index:$bound, StrAttr:$message);
  let results = (outs Index:$result);
  let assemblyFormat = "$value `at` `most` $bound `,` $message attr-dict";
}

def Fulgur_CheckBoundsOp : Fulgur_Op<"check_bounds"> {
  let summary = "Ends the run with a message unless every element of an integer tensor is in [lower, upper)";
  let arguments = (ins AnyShaped:$indices, Index:$lower, Index:$upper, StrAttr:$message);
  let assemblyFormat = "$indices `in` $lower `to` $upper `,` $message attr-dict `:` type($indices)";
}

class Fulgur_RowOp<string mnemonic> : Fulgur_Op<mnemonic, [Pure, AllTypesMatch<["input", "result"]>]>;

def Fulgur_LayerNormOp : Fulgur_RowOp<"layer_norm"> {
  let summary = "(x - mean) / sqrt(variance + epsilon) * scale + bias over the trailing dims from `axis`";
  let description = "ONNX LayerNormalization-17. `scale` and `bias` have the shape of the trailing dims.";
  let arguments = (ins AnyRankedTensor:$input, AnyRankedTensor:$scale, Optional<AnyRankedTensor>:$bias, I64Attr:$axis, F32Attr:$epsilon);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$input `,` $scale (`,` $bias^)? attr-dict `:` type($input) `,` type($scale) (`,` type($bias)^)?";
  let hasVerifier = 1;
}

def Fulgur_RMSNormOp : Fulgur_RowOp<"rms_norm"> {
  let summary = "x / sqrt(mean(x²) + epsilon) * scale over the trailing dims from `axis`";
  let description = "ONNX RMSNormalization-23.";
  let arguments = (ins AnyRankedTensor:$input, AnyRankedTensor:$scale, I64Attr:$axis, F32Attr:$epsilon);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$input `,` $scale attr-dict `:` type($input) `,` type($scale)";
  let hasVerifier = 1;
}

def Fulgur_SoftmaxOp : Fulgur_RowOp<"softmax"> {
  let summary = "exp(x - max(x)) / sum(exp(x - max(x))) along `axis`";
  let arguments = (ins AnyRankedTensor:$input, I64Attr:$axis);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$input attr-dict `:` type($input)";
  let hasVerifier = 1;
}

def Fulgur_RoundBlocksOp : Fulgur_RowOp<"round_blocks"> {
  let summary = "x as bytes, with a scale for each block along the last dim, and those as numbers again";
  let description = [{
    With g the largest absolute value of a block of `block` numbers, and s = g / 127:

        result = s * round(x * (127 / g))

    to the nearest integer, halves to even; 0 where g is below 2^-120. Of a block that is not finite, nothing is: all of it is NaN. It is how
    products take rows with weights of few bits when a model asks for sums of integers.
  }];
  let arguments = (ins AnyRankedTensor:$input, I64Attr:$block);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$input attr-dict `:` type($input)";
  let hasVerifier = 1;
}

def Fulgur_DequantizeOp : Fulgur_Op<"dequantize", [Pure]> {
  let summary = "(code - zero) * scale: the numbers that codes of 4 or 8 bits stand for";
  let description = [{
    Every `block` codes along `axis`, one of the last two dims, share a scale and a zero:

        result[..., i, ...] = (code[..., i, ...] - zero[..., i / block, ...]) * scale[..., i / block, ...]

    A zero that is left out is `offset`. Codes are unsigned, or two's complement with `is_signed`, and lie `per_byte` in a byte along
    the last dim, the first in the lowest bits; integer zeros lie in the same way. There may be more codes along the last dim than the result has.

    With `pack` of P the operands lie as products stream through them, in panels of P of the dim n that is not the axis k: scales (and zeros, one
    in a byte) are [..., n / P, k / block, P], codes of 8 bits [..., n / P, k / 4, P, 4], and of codes of 4 bits, which are
    [..., n / P, k / 8, P, 4], byte j has step j of eight in its lower half and step 4 + j in the upper one.
  }];
  let arguments = (ins AnyRankedTensor:$codes, AnyRankedTensor:$scale, Optional<AnyRankedTensor>:$zero, I64Attr:$bits, I64Attr:$block,
    I64Attr:$axis, DefaultValuedAttr<I64Attr, "0">:$offset, UnitAttr:$is_signed, DefaultValuedAttr<I64Attr, "1">:$per_byte,
    DefaultValuedAttr<I64Attr, "0">:$pack);
  let results = (outs AnyStaticShapeTensor:$result);
  let assemblyFormat = [{
    $codes `,` $scale (`,` $zero^)? attr-dict `:` type($codes) `,` type($scale) (`,` type($zero)^)? `->` type($result)
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    ::mlir::RankedTensorType resultType() { return ::llvm::cast<::mlir::RankedTensorType>(getType()); }
    /// The dim of the last two that is not the axis.
    int64_t otherDim() { return 2 * resultType().getRank() - 3 - int64_t(getAxis()); }
    /// How many steps along the axis lie together in panels.
    int64_t depth() { return getBits() == 4 ? 8 : 4; }

    /// Where an operand has the bits that belong to an element of the result.
    struct Place {
      ::llvm::SmallVector<int64_t> index;
      unsigned shift = 0;
    };
    Place codeAt(::llvm::ArrayRef<int64_t> element);
    Place scaleAt(::llvm::ArrayRef<int64_t> element);
    Place zeroAt(::llvm::ArrayRef<int64_t> element);
    /// The integer that the bits above `shift` in a byte stand for.
    int64_t decode(uint8_t byte, unsigned shift);
  }];
}

def Fulgur_AttentionOp : Fulgur_Op<"attention", [Pure, AttrSizedOperandSegments, SingleBlock]> {
  let summary = "softmax over the keys of score(query · key), times value";
  let description = [{
    For every point of the batch loops, every query i and every column n:

        s[j] = score(sum over d of query[i, d] * key[j, d], i, j, extras...)     for every key j that i sees
        result[i, n] = sum over j of softmax(s)[j] * value[j, n]

    (Vaswani et al., Attention Is All You Need, 2017.) As in linalg.generic, `maps` say which loop moves which dim of an operand:
    those of query, key, value, the extras, the sink and the offsets if there are any, and the result, in this order. The last four loops are i, d,
    j and n; those before are batch loops, any of which may be missing from an operand that is the same along it, such as the
    key of grouped queries (Ainslie et al., GQA, 2023). Maps are projected permutations and may have zeros.

    `score` is elementwise: its arguments are the product, the indices i and j, and one element of each extra (masks, biases),
    and it yields the score. With `offset`, query i sees the keys j <= i + offset only (causal attention, whose queries may
    stand behind a past of `offset` keys), and with `window` of these the last `window` ones. `offsets` are added to `offset`: sequences
    of a batch have pasts of their own. `sink` is one more logit for each row,
    whose share goes to no value. A row whose scores are all -∞ gives NaN, 0 with `zero_empty_rows`, or the mean of the values of all keys,
    seen or not, with `average_empty_rows`: what a softmax makes of scores that are all the same low number.

    The product that `score` takes may be wider than query and key. Powers are multiplied with values narrower than that as they
    are, or rounded to the values' type.
  }];
  let arguments = (ins AnyRankedTensor:$query, AnyRankedTensor:$key, AnyRankedTensor:$value, Variadic<AnyRankedTensor>:$extras,
    Optional<AnyRankedTensor>:$sink, Optional<RankedTensorOf<[I64]>>:$offsets, Optional<Index>:$offset, AffineMapArrayAttr:$maps, OptionalAttr<I64Attr>:$window,
    UnitAttr:$zero_empty_rows, UnitAttr:$average_empty_rows);
  let results = (outs AnyRankedTensor:$result);
  let regions = (region SizedRegion<1>:$score);
  let assemblyFormat = [{
    $query `,` $key `,` $value (`extras` `(` $extras^ `:` type($extras) `)`)? (`sink` `(` $sink^ `:` type($sink) `)`)?
    (`offsets` `(` $offsets^ `:` type($offsets) `)`)? (`causal` `(` $offset^ `)`)? `maps` $maps attr-dict-with-keyword $score
    `:` type($query) `,` type($key) `,` type($value) `->` type($result)
  }];
  let hasVerifier = 1;
  let hasRegionVerifier = 1;
  let extraClassDeclaration = [{
    ::mlir::SmallVector<::mlir::AffineMap> mapList() { return llvm::to_vector(getMaps().getAsValueRange<::mlir::AffineMapAttr>()); }
    ::mlir::AffineMap resultMap() { return mapList().back(); }
    unsigned numLoops() { return resultMap().getNumDims(); }
    // The last loops.
    unsigned queryLoop() { return numLoops() - 4; }
    unsigned depthLoop() { return numLoops() - 3; }
    unsigned keyLoop() { return numLoops() - 2; }
    unsigned columnLoop() { return numLoops() - 1; }
  }];
}

//===-- Programs --------------------------------------------------------------------------------------------------===//

def Fulgur_ValueType : TypeDef<Fulgur_Dialect, "Value"> {
  let mnemonic = "value";
  let summary = "A tensor, sequence or optional that lives longer than one part: a slot of the run's frame";
}

def Fulgur_NoneOp : Fulgur_Op<"none", [Pure]> {
  let summary = "The operand that is left out";
  let results = (outs Fulgur_ValueType:$result);
  let assemblyFormat = "attr-dict";
}

def Fulgur_RunOp : Fulgur_Op<"run"> {
  let summary = "Plans and runs one part of the program";
  let description = [{
    `part` is a module inside this one whose @main takes the operands as tensors. The sizes of symbolic dims are those that
    the driver has defined so far.
  }];
  let arguments = (ins FlatSymbolRefAttr:$part, Variadic<Fulgur_ValueType>:$inputs);
  let assemblyFormat = "$part `(` $inputs `)` attr-dict";
}

def Fulgur_OutputOp : Fulgur_Op<"output"> {
  let summary = "Result `index` of the part that has just been run";
  let arguments = (ins FlatSymbolRefAttr:$part, I64Attr:$index);
  let results = (outs Fulgur_ValueType:$result);
  let assemblyFormat = "$part `[` $index `]` attr-dict";
}

def Fulgur_DefineDimOp : Fulgur_Op<"define_dim"> {
  let summary = "From here on the symbol is the size of one dim of a tensor";
  let arguments = (ins StrAttr:$name, Fulgur_ValueType:$value, I64Attr:$axis);
  let assemblyFormat = "$name `=` $value `[` $axis `]` attr-dict";
}

def Fulgur_DefineElementOp : Fulgur_Op<"define_element"> {
  let summary = "From here on the symbol is one element of an integer tensor";
  let arguments = (ins StrAttr:$name, Fulgur_ValueType:$value, I64Attr:$element);
  let assemblyFormat = "$name `=` $value `[` $element `]` attr-dict";
}

def Fulgur_ReadOp : Fulgur_Op<"read"> {
  let summary = "The one element of an integer or BOOL tensor";
  let arguments = (ins Fulgur_ValueType:$value);
  let results = (outs I64:$result);
  let assemblyFormat = "$value attr-dict";
}

def Fulgur_ExtentOp : Fulgur_Op<"extent"> {
  let summary = "The size of one dim of a tensor";
  let arguments = (ins Fulgur_ValueType:$value, I64Attr:$axis);
  let results = (outs I64:$result);
  let assemblyFormat = "$value `[` $axis `]` attr-dict";
}

def Fulgur_WriteOp : Fulgur_Op<"write"> {
  let summary = "A tensor of one element; `dtype` is ONNX's number of its type";
  let arguments = (ins I64:$number, I32Attr:$dtype, I32Attr:$rank);
  let results = (outs Fulgur_ValueType:$result);
  let assemblyFormat = "$number attr-dict";
}

def Fulgur_StepOp : Fulgur_Op<"step", [AttrSizedOperandSegments]> {
  let summary = "A function of the runtime on whole values: the operations on sequences, optionals and strings";
  let description = [{
    Calls `fulgur__<name>(frame, results..., values..., immediates..., numbers..., node)`, see runtime/Frame.h. Immediates are
    integers, strings, arrays of i64 (handed over as a pointer), or `unit` for a null pointer.
  }];
  let arguments = (ins StrAttr:$name, Variadic<Fulgur_ValueType>:$values, Variadic<I64>:$numbers, ArrayAttr:$immediates);
  let results = (outs Variadic<Fulgur_ValueType>:$results);
  let assemblyFormat = "$name `(` $values `)` (`numbers` `(` $numbers^ `)`)? $immediates attr-dict `:` type($results)";
}

def Fulgur_SizedOp : Fulgur_Op<"sized"> {
  let summary = "Says how large the dynamic dims of an argument of a part are";
  let arguments = (ins AnyRankedTensor:$tensor, Variadic<Index>:$sizes);
  let assemblyFormat = "$tensor `[` $sizes `]` attr-dict `:` type($tensor)";
}

def Fulgur_PackedOutputOp : Fulgur_Op<"packed_output"> {
  let summary = "The dims of an output of @main whose tensor is the bytes of packed elements";
  let description = "`shape` has them as a type does; `sizes` are the dynamic ones.";
  let arguments = (ins I64Attr:$output, DenseI64ArrayAttr:$shape, Variadic<Index>:$sizes);
  let assemblyFormat = "$output $shape (`[` $sizes^ `]`)? attr-dict";
}

//===-- Kernels ---------------------------------------------------------------------------------------------------===//

def Fulgur_KernelOp : Fulgur_Op<"kernel", [IsolatedFromAbove, SingleBlock, AttrSizedOperandSegments,
    DeclareOpInterfaceMethods<MemoryEffectsOpInterface>, DestinationStyleOpInterface]> {
  let summary = "One fused group of the graph that becomes one native function";
  let description = [{
    The body says on tensors what is computed: its arguments are the operands, inputs first and then destinations
    (which give a result its shape, not its content), and it ends with `fulgur.yield` of the results. Where it `keeps`, a
    destination is a state, and the result has its content wherever the body inserts nothing. After bufferization
    the operands are memrefs and the results are gone, while the body stays as it is: it is the specification from
    which the builder named by the schedule makes the loops. Kernels with equal bodies and operand types share one function.
  }];
  let arguments = (ins Variadic<AnyType>:$inputs, Variadic<AnyShaped>:$outs, OptionalAttr<Fulgur_ScheduleAttr>:$schedule, UnitAttr:$keeps);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = [{
    (`ins` `(` $inputs^ `:` type($inputs) `)`)? `outs` `(` $outs `:` type($outs) `)` (`keeps` $keeps^)?
    (`schedule` `(` $schedule^ `)`)?
    attr-dict-with-keyword $body (`->` type($results)^)?
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    ::mlir::MutableOperandRange getDpsInitsMutable() { return getOutsMutable(); }
    ::mlir::Block *bodyBlock() { return &getBody().front(); }
    YieldOp yield();
  }];
}

def Fulgur_YieldOp : Fulgur_Op<"yield", [Pure, ReturnLike, Terminator, ParentOneOf<["KernelOp", "AttentionOp"]>]> {
  let summary = "What a kernel, or the score of an attention, computes";
  let arguments = (ins Variadic<AnyType>:$values);
  let assemblyFormat = "($values^ `:` type($values))? attr-dict";
}

//===-- After bufferization ---------------------------------------------------------------------------------------===//

def Fulgur_Segment : I32EnumAttr<"Segment", "where a buffer lives", [
    I32EnumAttrCase<"input", 0>, I32EnumAttrCase<"output", 1>, I32EnumAttrCase<"arena", 2>, I32EnumAttrCase<"weights", 3>]> {
  let cppNamespace = "::fulgur";
  let genSpecializedAttr = 0;
}
def Fulgur_SegmentAttr : EnumAttr<Fulgur_Dialect, Fulgur_Segment, "segment">;

def Fulgur_BufferOp : Fulgur_Op<"buffer", [AlwaysSpeculatable, DeclareOpInterfaceMethods<MemoryEffectsOpInterface>]> {
  let summary = "A buffer of the run: a port's, or one at an offset of the arena or of the weights";
  let description = [{
    That of an output is never dead: it says the output's dims, also where there is no element to write.
    `call` points to the run's `fulgur_call`. `position` is the number of the input or output, or the offset in bytes.
    `sizes` are the dynamic dims of the result.
  }];
  let arguments = (ins AnyType:$call, Fulgur_SegmentAttr:$segment, Index:$position, Variadic<Index>:$sizes);
  let results = (outs AnyMemRef:$result);
  let assemblyFormat = "$call $segment `(` $position `)` (`[` $sizes^ `]`)? attr-dict `:` type($call) `->` type($result)";
}

def Fulgur_LaunchOp : Fulgur_Op<"launch"> {
  let summary = "Runs a task function for every index in [0, count) on the executor";
  let description = "The task is `func(%packed: !llvm.ptr, %index)`; it takes the values out again with fulgur.arguments.";
  let arguments = (ins AnyType:$call, FlatSymbolRefAttr:$task, Index:$count, Variadic<AnyType>:$values);
  let assemblyFormat = "$call $task `(` $count `)` (`with` $values^ `:` type($values))? attr-dict `:` type($call)";
}

def Fulgur_ArgumentsOp : Fulgur_Op<"arguments"> {
  let summary = "The values that fulgur.launch handed to this task";
  let arguments = (ins AnyType:$packed);
  let results = (outs Variadic<AnyType>:$values);
  let assemblyFormat = "$packed attr-dict `:` type($packed) `->` type($values)";
}

#endif // FULGUR_TD
