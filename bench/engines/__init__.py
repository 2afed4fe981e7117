"""One file per engine, each with the same few names.

    NAME                          as tables show it
    PRECISIONS                    what it can be asked to compute in
    COMPUTES_THE_SAME             False where only times can be compared (True unless said)
    missing()                     why it cannot be used here, or None
    build(case, folder, options)  optional: what is done ahead of time, in processes that the caller waits for; a dict for the worker
    Engine(case, threads, precision, built)
        version                   of the engine
        run()                     one run on the case's inputs
        outputs()                 of the last run, as arrays in the order of the graph's outputs
        not_its_own               bytes of memory that loading needed and running does not (0 unless said)

An engine gets as many threads as every other one and otherwise its default settings, except for what its own documentation
tells somebody who wants low latency; each file says what that is.
"""

import importlib

ALL = ("fulgur", "onnxruntime", "openvino", "torch", "torch_compile", "iree", "llama_cpp")
DEFAULT = ("fulgur", "onnxruntime", "openvino", "torch")


class Unavailable(Exception):
    """The engine cannot run this case; the text says why."""


def load(name):
    return importlib.import_module("engines." + name)
