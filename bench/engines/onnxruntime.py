"""ONNX Runtime's CPU provider: all graph optimisations, fixed dims, inputs and outputs bound to memory that stays."""

from engines import Unavailable

NAME = "ONNX Runtime"
PRECISIONS = ("f32",)


def missing():
    try:
        import onnxruntime  # noqa: F401
    except ImportError:
        return "the Python package onnxruntime is not installed"
    return None


class Engine:
    not_its_own = 0

    def __init__(self, case, threads, precision, built):
        import onnxruntime

        self.version = onnxruntime.__version__
        self.facts = {}
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        for name, size in case["dims"].items():
            options.add_free_dimension_override_by_name(name, size)
        try:
            self.session = onnxruntime.InferenceSession(case["model"], options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise Unavailable(str(error).splitlines()[0]) from error
        self.binding = self.session.io_binding()
        self.inputs = {name: onnxruntime.OrtValue.ortvalue_from_numpy(array) for name, array in case["inputs"].items()}
        for name, value in self.inputs.items():
            self.binding.bind_ortvalue_input(name, value)
        for port in self.session.get_outputs():
            self.binding.bind_output(port.name)
        self.bound = False

    def run(self):
        self.session.run_with_iobinding(self.binding)
        if not self.bound:  # from now on into the same memory
            self.results = self.binding.get_outputs()
            self.binding.clear_binding_outputs()
            for port, value in zip(self.session.get_outputs(), self.results):
                self.binding.bind_ortvalue_output(port.name, value)
            self.bound = True

    def outputs(self):
        return [value.numpy() for value in self.results]
