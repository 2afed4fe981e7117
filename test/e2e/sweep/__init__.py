"""The settings that run_sweep.py goes through: every operator, in every version of its schema. A module has the operators of one kind."""

from sweep import (  # noqa: F401 (they register themselves)
    control, elementwise, gather, layers, layout, ml, normalization, products, quantization, random_numbers, recurrent,
    reductions, resize, sequences, text, windows,
)
from sweep.settings import all_cases, missing  # noqa: F401
