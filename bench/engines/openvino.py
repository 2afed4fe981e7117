"""OpenVINO's CPU plugin: hint LATENCY, one stream, fixed dims, the precision as its hint (it would pick bfloat16 by itself)."""

import numpy as np

from engines import Unavailable

NAME = "OpenVINO"
PRECISIONS = ("f32", "bf16")


def missing():
    try:
        import openvino  # noqa: F401
    except ImportError:
        return "the Python package openvino is not installed"
    return None


class Engine:
    not_its_own = 0

    def __init__(self, case, threads, precision, built):
        import openvino

        self.version = openvino.__version__.split("-")[0]
        self.facts = {}
        try:
            core = openvino.Core()
            model = core.read_model(case["model"])
            if case["dims"]:
                model.reshape({name: list(array.shape) for name, array in case["inputs"].items()})
            self.compiled = core.compile_model(model, "CPU", {
                "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": threads,
                "INFERENCE_PRECISION_HINT": precision})
        except Exception as error:
            raise Unavailable(str(error).strip().splitlines()[-1]) from error
        self.request = self.compiled.create_infer_request()
        self.arrays = {name: np.ascontiguousarray(array) for name, array in case["inputs"].items()}
        for name, array in self.arrays.items():
            self.request.set_tensor(name, openvino.Tensor(array, shared_memory=True))

    def run(self):
        self.request.infer()

    def outputs(self):
        return [self.request.get_output_tensor(i).data for i in range(len(self.compiled.outputs))]
