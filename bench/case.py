"""What is measured: a model, one set of inputs, and the outputs that are right.

Inputs come from a corpus entry (a folder with model.onnx, inputs.npz, outputs.npz and further sets inputs_1.npz ..., as made by
`./dev corpus`), from an .npz file, or are made up from the sizes of the symbolic dims.
"""

import dataclasses
import itertools
import json
from pathlib import Path

import numpy as np


class Missing(Exception):
    """There is nothing to measure; the text says what is not there."""


@dataclasses.dataclass
class Case:
    name: str
    model: Path
    inputs: Path  # .npz, arrays named as the graph's inputs and in their order
    dims: dict  # sizes of symbolic dims; empty: leave them symbolic
    reference: Path | None = None  # .npz, in the order of the graph's outputs
    entry: str = ""  # its name in the corpus
    set: int = 0  # of the entry's sets
    scripts: str = ""  # folder with the corpus's make_models.py
    scale: str = "full"
    load_weights: bool = False  # Fulgur's, into huge pages
    kind: str = ""  # int8 or int4: what the model's weights are; else it is named by the precision it is computed in
    narrowed: bool = False  # by an option of Fulgur's: what is computed and read is not what the model says

    def arrays(self):
        with np.load(self.inputs) as stored:
            return dict(stored)

    def described(self):
        """For another process."""
        return {key: str(value) if isinstance(value, Path) else value for key, value in dataclasses.asdict(self).items()}

    def model_bytes(self):
        return sum(path.stat().st_size for path in self.model.parent.glob(self.model.name + "*"))


def ports(model):
    """(name, dtype, dims) of the graph's inputs, where dims are sizes or names. Reads no weights when the corpus wrote them down."""
    described = model.parent / "meta.json"
    if described.exists():
        return [(port["name"], port["type"], port["shape"]) for port in json.loads(described.read_text())["inputs"]]
    import onnx

    graph = onnx.load(model, load_external_data=False).graph
    constants = {tensor.name for tensor in graph.initializer}
    return [(port.name, onnx.TensorProto.DataType.Name(port.type.tensor_type.elem_type),
             [dim.dim_param or dim.dim_value for dim in port.type.tensor_type.shape.dim])
            for port in graph.input if port.name not in constants]


def sizes(model, arrays):
    """What the symbolic dims are when these are the inputs."""
    found = {}
    for name, _, dims in ports(model):
        for dim, size in zip(dims, arrays[name].shape):
            if isinstance(dim, str) and dim not in ("", "?"):
                found[dim] = size
    return found


def of_entry(folder, name=None, wanted=None, fixed=True, scripts=""):
    """The first set of a corpus entry whose dims are as `wanted` says."""
    folder, wanted = Path(folder), wanted or {}
    model = folder / "model.onnx"
    if not (folder / "meta.json").exists() or not model.exists():
        raise Missing(f"there is no model in {folder}")
    for index in itertools.count():
        suffix = f"_{index}" if index else ""
        path = folder / f"inputs{suffix}.npz"
        if not path.exists():
            raise Missing(f"{folder} has no set of inputs with {wanted}")
        with np.load(path) as arrays:
            dims = sizes(model, arrays)
        if all(dims.get(dim, size) == size for dim, size in wanted.items()):
            break
    reference = folder / f"outputs{suffix}.npz"
    scale = "tiny" if folder.parent.name == "tiny" else "full"
    return Case(name or folder.name, model, path, dims if fixed else {}, reference if reference.exists() else None, folder.name, index,
                scripts, scale)


def made_up(model, dims, folder, seed=0):
    """Inputs of the given sizes: normal floats, small ids, masks of ones. They are written into `folder`."""
    generator = np.random.default_rng(seed)
    arrays = {}
    for name, dtype, shape in ports(Path(model)):
        unknown = [dim for dim in shape if dim not in dims and not isinstance(dim, int)]
        if unknown:
            raise Missing(f"input '{name}' has dims without a size: give --dim {unknown[0]}=N")
        shape = [dims.get(dim, dim) for dim in shape]
        if dtype.startswith("FLOAT") or dtype == "DOUBLE":
            arrays[name] = generator.standard_normal(shape).astype({"FLOAT16": "float16", "DOUBLE": "float64"}.get(dtype, "float32"))
        else:
            numbers = np.ones(shape) if "mask" in name else generator.integers(0, 2, shape)
            arrays[name] = numbers.astype(dtype.lower())
    path = Path(folder) / "inputs.npz"
    np.savez(path, **arrays)
    return path


def difference(actual, expected):
    """The largest difference of two lists of arrays, each as a share of its largest reference value."""
    worst = 0.0
    if len(actual) != len(expected):
        return np.inf
    for ours, reference in zip(actual, expected):
        if ours.shape != reference.shape:
            return np.inf
        if reference.size:
            ours, reference = ours.astype(np.float64), reference.astype(np.float64)
            worst = max(worst, float(np.abs(ours - reference).max() / max(np.abs(reference).max(), 1e-6)))
            if not np.isfinite(ours).all():
                return np.inf
    return worst
