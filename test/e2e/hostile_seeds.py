"""Small sound models that have, together, everything an ONNX file can have; mutants are made from them."""

import onnx.parser
from onnx import TensorProto, helper

TEXTS = {
    "chain": """<ir_version: 9, opset_import: ["": 20]>
        chain (float[n,4] x) => (float[n,4] y) <float[4,4] w = {1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16}> {
            p = MatMul(x, w)
            q = Relu(p)
            y = Softmax<axis = -1>(q)
        }""",
    "branches": """<ir_version: 9, opset_import: ["": 20]>
        branches (bool c, float[4] x) => (float[4] y) {
            y = If (c) <
                then_branch = yes () => (float[4] a) { a = Neg(x) },
                else_branch = no () => (float[4] b) { b = Exp(x) }
            >
        }""",
    "loop": """<ir_version: 9, opset_import: ["": 20]>
        loop (float[4] x) => (float[4] y, float[k,4] z) <int64 trips = {3}, bool c = {1}> {
            y, z = Loop (trips, c, x) <
                body = step (int64 i, bool ci, float[4] s) => (bool co, float[4] t, float[4] u) {
                    co = Identity(ci)
                    t = Add(s, x)
                    u = Mul(t, s)
                }
            >
        }""",
    "scan": """<ir_version: 9, opset_import: ["": 20]>
        scan (float[2] s, float[3,2] x) => (float[2] t, float[3,2] y) {
            t, y = Scan <num_scan_inputs = 1,
                body = step (float[2] a, float[2] b) => (float[2] c, float[2] d) { c = Add(a, b)
                    d = Identity(c) }
            > (s, x)
        }""",
    "function": """<ir_version: 9, opset_import: ["": 20, "local": 1]>
        function (float[3,4] x) => (float[3,4] y) {
            a = local.Scaled<alpha = 2.0>(x)
            y = local.Twice(a)
        }
        <domain: "local", opset_import: ["": 20]>
        Scaled <alpha> (x) => (y) {
            f = Constant<value_float: float = @alpha>()
            y = Mul(x, f)
        }
        <domain: "local", opset_import: ["": 20, "local": 1]>
        Twice (x) => (y) {
            y = Add(x, x)
        }""",
    "image": """<ir_version: 9, opset_import: ["": 20]>
        image (float[n,2,8,8] x) => (float[n,3,k,l] y) <int64[4] s = {3,2,3,3}> {
            w = ConstantOfShape<value = float[1] {0.1}>(s)
            c = Conv<pads = [1,1,1,1], strides = [2,2]>(x, w)
            y = MaxPool<kernel_shape = [2,2]>(c)
        }""",
    "shapes": """<ir_version: 9, opset_import: ["": 20]>
        shapes (float[n,m,4] x, int64[k] i) => (float[a,b] y, float[k,m,4] z) <int64[2] s = {-1, 4}, int64[1] b = {0}, int64[1] e = {2}> {
            r = Reshape(x, s)
            y = Slice(r, b, e)
            z = Gather(x, i)
        }""",
    "quantized": """<ir_version: 10, opset_import: ["": 21]>
        quantized (float[2,4] x) => (float[2,4] y) <float scale = {0.1}, uint8 zero = {128}> {
            q = QuantizeLinear(x, scale, zero)
            y = DequantizeLinear(q, scale, zero)
        }""",
    "sequence": """<ir_version: 9, opset_import: ["": 20]>
        sequence (float[2,3] x, float[2,3] w) => (float[4,3] y) {
            s = SequenceConstruct(x, w)
            y = ConcatFromSequence<axis = 0>(s)
        }""",
    "convert": """<ir_version: 9, opset_import: ["": 20]>
        convert (float[6] x) => (int32[6] y, float16[3] h, string[6] t) <int64[1] parts = {2}> {
            y = Cast<to = 6>(x)
            f, g = Split<axis = 0, num_outputs = 2>(x)
            h = Cast<to = 10>(f)
            t = Cast<to = 8>(x)
        }""",
    "attention": """<ir_version: 11, opset_import: ["": 23]>
        attention (float[2,h,s,8] q, float[2,h,t,8] k, float[2,h,t,8] v) => (float[2,h,s,8] y) {
            y = Attention<is_causal = 1>(q, k, v)
        }""",
    "recurrent": """<ir_version: 9, opset_import: ["": 20]>
        recurrent (float[5,1,2] x, float[1,12,2] w, float[1,12,3] r) => (float[5,1,1,3] y) {
            y = LSTM<hidden_size = 3>(x, w, r)
        }""",
}


def with_data(tensor, sparse=None):
    """y = x + w, where w is the given tensor."""
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in "xy"]
    add = helper.make_node("Add", ["x", "w"], ["y"], "add")
    graph = helper.make_graph([add], "data", value[:1], value[1:], [tensor] if tensor else [], sparse_initializer=sparse or [])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def external():
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    for key, text in ("location", "data.bin"), ("offset", "16"), ("length", "16"):
        tensor.external_data.add(key=key, value=text)
    return with_data(tensor)


def sparse():
    values = helper.make_tensor("w", TensorProto.FLOAT, [2], [1.0, 2.0])
    return with_data(None, [helper.make_sparse_tensor(values, helper.make_tensor("", TensorProto.INT64, [2], [1, 3]), [4])])


def large():
    """Weights large enough to be left in the file."""
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [3, 40]) for name in "xy"]
    weights = helper.make_tensor("w", TensorProto.FLOAT, [40, 40], bytes(6400), raw=True)
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"], "product")], "large", value[:1], value[1:], [weights])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def models():
    """(name, model) pairs."""
    texts = [(name, onnx.parser.parse_model(text)) for name, text in TEXTS.items()]
    return [*texts, ("external", external()), ("sparse", sparse()), ("large", large())]


COUNT = len(TEXTS) + 3
