"""Damage to ONNX models: one field of the message, one idea about graphs, or one run of bytes at a time.

Everything follows from the random source that is handed in, so a mutant can be made again from its number.
"""

import onnx
from google.protobuf.descriptor import FieldDescriptor
from onnx import TensorProto, helper

INTEGERS = [0, 1, 2, 3, 7, 127, 128, 255, 65536, 2**31 - 1, 2**31, 2**32, 2**40, 2**61, 2**62, 2**63 - 1]
INTEGERS += [-1, -2, -3, -128, -(2**31), -(2**62), -(2**63)]
FLOATS = [0.0, -0.0, 1.0, -1.0, 0.5, 1e-45, 1e38, -1e38, float("inf"), float("-inf"), float("nan"), 3.5e9]
TEXTS = ["", "x", "X" * 5000, "../x", "/etc/passwd", "a\0b", "\n", "é", "ai.onnx", "ai.onnx.ml", "com.microsoft", "%s%n", "Relu", "If"]
LIMITS = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}
REALS = (FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE)
OPERATORS = sorted({(schema.domain, schema.name) for schema in onnx.defs.get_all_schemas()})


def messages_in(message):
    """The message and every one inside it."""
    yield message
    for field, value in message.ListFields():
        if field.message_type:
            for child in value if field.is_repeated else [value]:
                yield from messages_in(child)


def all_of(model, kind):
    return [message for message in messages_in(model) if isinstance(message, kind)]


def other_value(random, field, value, model):
    """A value for a field with one value."""
    if field.cpp_type in LIMITS:
        low, high = LIMITS[field.cpp_type]
        wish = random.choice([*INTEGERS, value + 1, value - 1, -value, 2 * value])
        return min(max(wish, low), high)
    if field.cpp_type in REALS:
        return random.choice(FLOATS)
    if field.cpp_type == FieldDescriptor.CPPTYPE_ENUM:
        return random.choice([entry.number for entry in field.enum_type.values])
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return not value
    if field.type == FieldDescriptor.TYPE_BYTES:
        return damaged(random, value) if value else b"\xff" * 7
    same = [
        getattr(message, field.name)
        for message in all_of(model, type(model))  # the model's own texts
        if not field.is_repeated and field.containing_type == message.DESCRIPTOR
    ]
    names = [name for node in all_of(model, onnx.NodeProto) for name in [*node.input, *node.output, node.op_type]]
    return random.choice([*TEXTS, *(same or TEXTS[:1]), *names[:20]])


def change_field(random, model):
    """Another value, an element more or less, or none at all, in any field of any message."""
    message = random.choice([message for message in messages_in(model) if message.ListFields()])
    field, value = random.choice(message.ListFields())
    if not field.is_repeated:
        if random.random() < 0.15:
            message.ClearField(field.name)
        elif field.message_type:
            others = all_of(model, type(value))
            copy = type(value).FromString(random.choice(others).SerializeToString())
            getattr(message, field.name).CopyFrom(copy)
        else:
            setattr(message, field.name, other_value(random, field, value, model))
        return
    at = random.randrange(len(value))
    action = random.choice(["change", "change", "change", "delete", "repeat", "swap", "clear", "many"])
    if action == "delete":
        del value[at]
    elif action == "clear":
        message.ClearField(field.name)
    elif action in ("repeat", "many"):
        value.extend([value[at]] * (1 if action == "repeat" else random.choice([2, 9, 70])))
    elif action == "swap" or field.message_type:
        other = random.randrange(len(value))
        if field.message_type:
            first = type(value[at]).FromString(value[at].SerializeToString())
            value[at].CopyFrom(value[other])
            value[other].CopyFrom(first)
        else:
            value[at], value[other] = value[other], value[at]
    else:
        value[at] = other_value(random, field, value[at], model)


def change_dims(random, model):
    """Sizes of a tensor or of a value."""
    tensors, shapes = all_of(model, onnx.TensorProto), all_of(model, onnx.TensorShapeProto)
    if tensors and (not shapes or random.random() < 0.5):
        tensor = random.choice(tensors)
        if tensor.dims and random.random() < 0.8:
            tensor.dims[random.randrange(len(tensor.dims))] = random.choice(INTEGERS)
        else:
            tensor.dims.append(random.choice(INTEGERS))
    elif shapes:
        shape = random.choice(shapes)
        dim = shape.dim[random.randrange(len(shape.dim))] if shape.dim and random.random() < 0.8 else shape.dim.add()
        dim.Clear()
        if random.random() < 0.7:
            dim.dim_value = random.choice(INTEGERS)
        elif random.random() < 0.7:
            dim.dim_param = random.choice(["n", "m", "batch", "2*n", "", "n" * 300])


def change_type(random, model):
    """Element types of tensors and values."""
    holders = [*all_of(model, onnx.TensorProto), *all_of(model, onnx.TypeProto.Tensor)]
    if holders:
        holder = random.choice(holders)
        kind = random.choice([*TensorProto.DataType.values(), -1, 99, 2**31 - 1])
        setattr(holder, "data_type" if isinstance(holder, onnx.TensorProto) else "elem_type", kind)


def change_node(random, model):
    """Another operator, or attributes of other names, values and types."""
    nodes = all_of(model, onnx.NodeProto)
    if not nodes:
        return
    node = random.choice(nodes)
    action = random.randrange(4)
    if action == 0:
        node.domain, node.op_type = random.choice(OPERATORS)
    elif action == 1 and node.attribute:
        attribute = random.choice(node.attribute)
        attribute.type = random.choice(onnx.AttributeProto.AttributeType.values())
    else:
        try:
            schema = onnx.defs.get_schema(node.op_type, 28, node.domain)
        except onnx.defs.SchemaError:
            return
        names = sorted(schema.attributes) or ["axis"]
        name = random.choice(names)
        for index, attribute in enumerate(node.attribute):
            if attribute.name == name:
                del node.attribute[index]
                break
        integers = [random.choice(INTEGERS) for _ in range(random.randrange(1, 6))]
        value = random.choice([random.choice(INTEGERS), random.choice(FLOATS), integers, random.choice(FLOATS[:5]), "text", ["a", "b"]])
        node.attribute.append(helper.make_attribute(name, value))


def change_edges(random, model):
    """Inputs and outputs: circles, doubles, undefined and missing names, more of them."""
    nodes = [node for node in all_of(model, onnx.NodeProto) if node.input or node.output]
    if not nodes:
        return
    names = [name for node in nodes for name in [*node.input, *node.output]]
    node = random.choice(nodes)
    edges = random.choice([node.input, node.output])
    action = random.randrange(4)
    if action == 0 or not edges:
        edges.append(random.choice(names))
    elif action == 1:
        del edges[random.randrange(len(edges))]
    elif action == 2:
        edges[random.randrange(len(edges))] = random.choice([*names, "", "nowhere"])
    else:
        edges.extend([random.choice(names)] * random.choice([2, 40]))


def change_versions(random, model):
    if model.opset_import and random.random() < 0.8:
        entry = random.choice(model.opset_import)
        entry.version = random.choice([*range(1, 30), *INTEGERS])
    else:
        model.ir_version = random.choice([*range(1, 16), *INTEGERS])


def change_data(random, model):
    """The bytes of a tensor: more, fewer, elsewhere."""
    tensors = all_of(model, onnx.TensorProto)
    if not tensors:
        return change_field(random, model)
    tensor = random.choice(tensors)
    action = random.randrange(4)
    if action == 0:
        tensor.raw_data = random.randbytes(random.choice([0, 1, 3, 4, 64, 5000]))
    elif action == 1:
        tensor.data_location = TensorProto.EXTERNAL
        for key in random.sample(["location", "offset", "length", "checksum"], random.randrange(1, 5)):
            tensor.external_data.add(key=key, value=random.choice(["data.bin", "#", "#0", "..", *map(str, INTEGERS)]))
    elif action == 2:
        tensor.int64_data.append(random.choice(INTEGERS))
    else:
        tensor.float_data.extend([random.choice(FLOATS)] * random.choice([1, 2, 1000]))
    return None


def change_graph(random, model):
    """Nodes twice, nodes gone, in another order, with a graph or a function around them."""
    graphs = [graph for graph in all_of(model, onnx.GraphProto) if graph.node]
    if not graphs:
        return
    graph = random.choice(graphs)
    at = random.randrange(len(graph.node))
    action = random.randrange(5)
    if action == 0:
        graph.node.add().CopyFrom(graph.node[at])
    elif action == 1:
        del graph.node[at]
    elif action == 2:
        nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in graph.node]
        random.shuffle(nodes)
        del graph.node[:]
        graph.node.extend(nodes)
    elif action == 3:
        inner = onnx.GraphProto.FromString(graph.SerializeToString())
        graph.node[at].attribute.append(helper.make_attribute(random.choice(["body", "then_branch", "else_branch"]), inner))
    else:
        function = onnx.FunctionProto(name=graph.node[at].op_type, domain=graph.node[at].domain)
        function.node.extend(graph.node)
        function.input.extend(value.name for value in graph.input)
        function.output.extend(value.name for value in graph.output)
        function.opset_import.extend(model.opset_import)
        model.functions.append(function)


def damaged(random, data):
    """Bytes with bits flipped, overwritten, cut out, put in or cut off."""
    data = bytearray(data)
    for _ in range(random.choice([1, 1, 2, 8])):
        if not data:
            break
        at = random.randrange(len(data))
        action = random.randrange(5)
        if action == 0:
            data[at] ^= 1 << random.randrange(8)
        elif action == 1:
            data[at : at + 4] = random.randbytes(4)
        elif action == 2:
            del data[at : at + random.randrange(1, 9)]
        elif action == 3:
            data[at:at] = random.randbytes(random.randrange(1, 9))
        elif random.random() < 0.2:
            del data[at:]
    return bytes(data)


CHANGES = [change_field] * 4 + [change_dims, change_type, change_node, change_node, change_edges, change_versions, change_data, change_graph]


def mutant(random, model):
    """A damaged model as the bytes of a file."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    if random.random() < 0.15:
        return damaged(random, model.SerializeToString())
    for _ in range(random.choice([1, 1, 1, 2, 3])):
        random.choice(CHANGES)(random, model)
    data = model.SerializeToString()
    return damaged(random, data) if random.random() < 0.05 else data
