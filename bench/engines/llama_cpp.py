"""llama.cpp (the package llama-cpp-python, best built for this CPU: CMAKE_ARGS=-DGGML_NATIVE=ON), on a decoder of the same shapes.

Its weights are random and in Q4_0, so its outputs are nobody else's: only its time is compared, for models of 4 bits. A run is what one of
Fulgur's is: the new tokens behind a past that the cache holds; afterwards they are dropped from the cache again.
"""

import ctypes
import time
from pathlib import Path

from engines import Unavailable

NAME = "llama.cpp Q4_0"
PRECISIONS = ("f32",)
COMPUTES_THE_SAME = False


def missing():
    try:
        import gguf  # noqa: F401
        import llama_cpp  # noqa: F401
    except ImportError:
        return "the Python packages llama-cpp-python and gguf are not installed"
    return None


def build(case, folder, options):
    import gguf_model

    path = Path(folder) / "model.gguf"
    start = time.monotonic()
    try:
        gguf_model.write(path, case["model"])
    except gguf_model.Unlike as error:
        raise Unavailable(f"no model of llama.cpp has these shapes: {error}") from error
    return {"gguf": str(path), "compile_seconds": time.monotonic() - start, "artifact_bytes": path.stat().st_size}


class Engine:
    not_its_own = 0

    def __init__(self, case, threads, precision, built):
        import llama_cpp

        self.c = llama_cpp
        self.version = llama_cpp.__version__
        self.facts = {}
        ids = case["inputs"]["input_ids"]
        if ids.shape[0] != 1:
            raise Unavailable("it is measured with a batch of one")
        past = [array for name, array in case["inputs"].items() if "past" in name and array.ndim == 4]
        self.past, self.new = past[0].shape[2], ids.shape[1]
        silent = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(lambda *_: None)
        self.silent = silent  # as long as the library may call it
        llama_cpp.llama_log_set(silent, ctypes.c_void_p())
        llama_cpp.llama_backend_init()
        self.model = llama_cpp.llama_model_load_from_file(built["gguf"].encode(), llama_cpp.llama_model_default_params())
        if not self.model:
            raise Unavailable("it does not load the GGUF")
        parameters = llama_cpp.llama_context_default_params()
        parameters.n_ctx = self.past + self.new
        parameters.n_batch = parameters.n_ubatch = max(self.past, self.new)
        parameters.n_threads = parameters.n_threads_batch = threads
        self.context = llama_cpp.llama_init_from_model(self.model, parameters)
        if not self.context:
            raise Unavailable("it makes no context")
        if self.past:
            self.decode(self.past, 0, last_only=True)
        self.memory = llama_cpp.llama_get_memory(self.context)

    def decode(self, count, first, last_only):
        batch = self.c.llama_batch_init(count, 0, 1)
        batch.n_tokens = count
        for i in range(count):
            batch.token[i], batch.pos[i] = (first + i) % 1000, first + i
            batch.n_seq_id[i], batch.seq_id[i][0] = 1, 0
            batch.logits[i] = not last_only or i + 1 == count
        status = self.c.llama_decode(self.context, batch)
        self.c.llama_batch_free(batch)
        if status:
            raise Unavailable(f"llama_decode ended with code {status}")

    def run(self):
        self.decode(self.new, self.past, last_only=False)
        self.c.llama_synchronize(self.context)
        self.c.llama_memory_seq_rm(self.memory, 0, self.past, -1)

    def outputs(self):
        return []
