"""PyTorch in eager mode, on the module that the corpus scripts exported the entry from."""

import os
import sys

from engines import Unavailable

NAME = "torch"
PRECISIONS = ("f32", "bf16")


def missing():
    try:
        import torch  # noqa: F401
    except ImportError:
        return "the Python package torch is not installed"
    return None


def resident_bytes():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Engine:
    compiled = False

    def __init__(self, case, threads, precision, built):
        import torch

        self.version = torch.__version__.split("+")[0]
        self.facts = {"built": True}  # its loading time is that of making the weights
        torch.set_num_threads(threads)
        torch.set_num_interop_threads(1)
        before = resident_bytes()
        model = self.module(case)
        # What making the model took; a product would have the weights and little else.
        weights = sum(p.numel() * p.element_size() for p in model.module.parameters())
        self.not_its_own = max(0, resident_bytes() - before - weights)
        self.torch, self.call = torch, model.call
        self.arguments = list(model.inputs[case["set"]].values())
        if precision == "bf16":
            model.module.to(torch.bfloat16)
            self.arguments = [a.to(torch.bfloat16) if a.is_floating_point() else a for a in self.arguments]
        if self.compiled:
            import torch._inductor.config as inductor

            inductor.freezing = True  # packs the weights
            self.call = torch.compile(model.call, dynamic=False)

    @staticmethod
    def module(case):
        if not case.get("entry") or not case.get("scripts"):
            raise Unavailable("torch needs the module that the model was exported from: an entry of the corpus, and --corpus-scripts")
        sys.path.insert(0, case["scripts"])
        try:
            import make_models
        except ImportError as error:
            raise Unavailable(f"cannot import make_models.py: {error}") from error
        makers = {entry.name: entry.make for entry in make_models.ENTRIES}
        if not makers.get(case["entry"]):
            raise Unavailable(f"{case['entry']} is not a module, but derived from one")
        return makers[case["entry"]](case["scale"])

    def run(self):
        with self.torch.inference_mode():
            self.results = self.call(*self.arguments)

    def outputs(self):
        return [value.float().numpy() if value.dtype == self.torch.bfloat16 else value.numpy() for value in self.results]
