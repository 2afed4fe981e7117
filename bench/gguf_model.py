"""Writes a GGUF for llama.cpp with the layers of an ONNX decoder: the same shapes, random numbers, matrices in Q4_0.

What a decoder's shapes are stands in the ONNX file: heads, their size and the layers in the inputs of past keys and values, hidden
size and vocabulary in the table of embeddings, the width of the MLP in the products. Random numbers do, because nothing but
the time is compared. As llama.cpp's quantizer does for tied embeddings, the table is stored once.
"""

import argparse
from collections import Counter
from pathlib import Path

import numpy as np


class Unlike(Exception):
    """The model is no decoder of that form; the text says why."""


def shapes(model):
    """{"layers", "hidden", "heads", "kv_heads", "head", "mlp", "vocabulary"} of a decoder like Llama."""
    import onnx

    graph = onnx.load(model, load_external_data=False).graph
    dims = {port.name: [dim.dim_param or dim.dim_value for dim in port.type.tensor_type.shape.dim] for port in graph.input}
    past = [shape for name, shape in dims.items() if "past" in name and len(shape) == 4]
    if not past or len(past) % 2:
        raise Unlike("it has no past keys and values of four dims")
    kv_heads, head = int(past[0][1]), int(past[0][3])
    constants = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    tables = [constants[node.input[0]] for node in graph.node if node.op_type == "Gather" and len(constants.get(node.input[0], [])) == 2]
    if not tables:
        raise Unlike("it has no table of embeddings")
    vocabulary, hidden = max(tables)
    products = Counter()
    for node in graph.node:
        attributes = {attribute.name: attribute.i for attribute in node.attribute}
        if node.op_type == "MatMulNBits":
            products[attributes["K"], attributes["N"]] += 1
        elif node.op_type == "MatMul" and len(constants.get(node.input[1], [])) == 2:
            products[tuple(constants[node.input[1]])] += 1
    layers = len(past) // 2
    wide = [n for (k, n), count in products.items() if k == hidden and count == 2 * layers and products[n, k] == layers]
    if len(wide) != 1:
        raise Unlike("its layers have no MLP of three products")
    return {"layers": layers, "hidden": hidden, "heads": hidden // head, "kv_heads": kv_heads, "head": head, "mlp": wide[0],
            "vocabulary": vocabulary}


def q4_0(rows, columns, generator):
    """Blocks of 32: a float16 scale and 16 bytes of codes."""
    blocks = np.empty((rows, columns // 32, 18), np.uint8)
    blocks[:, :, :2] = np.float16(0.004).reshape(1).view(np.uint8)
    blocks[:, :, 2:] = generator.integers(0, 256, (rows, columns // 32, 16), np.uint8)
    return blocks.reshape(rows, columns // 32 * 18)


def write(path, model, context=4096):
    import gguf

    s = shapes(model)
    generator = np.random.default_rng(0)
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_context_length(context)
    writer.add_embedding_length(s["hidden"])
    writer.add_block_count(s["layers"])
    writer.add_feed_forward_length(s["mlp"])
    writer.add_head_count(s["heads"])
    writer.add_head_count_kv(s["kv_heads"])
    writer.add_rope_dimension_count(s["head"])
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(s["vocabulary"])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_0)
    writer.add_tokenizer_model("no_vocab")

    def matrix(name, rows, columns):
        writer.add_tensor(name, q4_0(rows, columns, generator), raw_dtype=gguf.GGMLQuantizationType.Q4_0)

    def norm(name):
        writer.add_tensor(name, np.ones(s["hidden"], np.float32))

    attention, keys = s["heads"] * s["head"], s["kv_heads"] * s["head"]
    matrix("token_embd.weight", s["vocabulary"], s["hidden"])
    norm("output_norm.weight")
    for layer in range(s["layers"]):
        at = f"blk.{layer}."
        norm(at + "attn_norm.weight")
        matrix(at + "attn_q.weight", attention, s["hidden"])
        matrix(at + "attn_k.weight", keys, s["hidden"])
        matrix(at + "attn_v.weight", keys, s["hidden"])
        matrix(at + "attn_output.weight", s["hidden"], attention)
        norm(at + "ffn_norm.weight")
        matrix(at + "ffn_gate.weight", s["mlp"], s["hidden"])
        matrix(at + "ffn_up.weight", s["mlp"], s["hidden"])
        matrix(at + "ffn_down.weight", s["hidden"], s["mlp"])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="an ONNX decoder")
    parser.add_argument("output", type=Path, help="the GGUF to write")
    arguments = parser.parse_args()
    write(arguments.output, arguments.model)


if __name__ == "__main__":
    main()
