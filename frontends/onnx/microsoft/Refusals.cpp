// Operators of ONNX Runtime that no compiled model can have, and why.
#include "frontends/onnx/microsoft/Operators.h"

using namespace fulgur::onnx;

void microsoft::refusals(Extensions &ops) {
  ops.refuse({"BeamSearch", "GreedySearch", "Sampling", "WhisperBeamSearch"},
             "it is a whole decoding loop, which belongs to the program that "
             "calls the model; export the decoder as a model of its own");
  ops.refuse({"BifurcationDetector"},
             "it is a step of a decoding loop, which belongs to the program "
             "that calls the model");
  ops.refuse({"Tokenizer"},
             "words are found by other rules than those of StringSplit; split "
             "the text before the model");
  ops.refuse({"BiasDropout", "BitmaskDropout", "BitmaskBiasDropout"},
             "it is for training; export the model for inference");
  ops.refuse({"QOrderedAttention", "QOrderedGelu", "QOrderedLayerNormalization",
              "QOrderedLongformerAttention", "QOrderedMatMul",
              "QuantizeWithOrder", "DequantizeWithOrder"},
             "it works on layouts of one kind of GPU; quantize the model with "
             "QuantizeLinear and DequantizeLinear");
  ops.refuse({"VarlenCausalConvWithState", "VarlenNGramHashMapping",
              "NGramHashMapping", "GatedDeltaNet", "DynamicSparseAttention",
              "SparseAttentionIndexer", "PackedSparseAttentionIndexer"},
             "it works on the packed requests of a server; export the model "
             "with LinearAttention, CausalConvWithState and "
             "GroupQueryAttention");
  ops.refuse({"MatMulFpQ4", "QuantizeBFP", "DequantizeBFP"},
             "its format belongs to one kind of processor; quantize the model "
             "with MatMulNBits");
  ops.refuse({"AttnLSTM", "MaxpoolWithMask"},
             "nothing exports it; export the model with ONNX's operators");
  ops.refuse({"LongformerAttention", "DecoderAttention"},
             "only ONNX Runtime's CUDA kernel defines it; export the model "
             "without that fusion");
  ops.refuse({"PagedAttention", "SparsePagedAttention"},
             "its cache is shared between the requests of a server; export "
             "the model with GroupQueryAttention");
  ops.refuse({"EPContext", "Snpe"},
             "it holds a program for another device; take the model before it "
             "was compiled for that");
}
