"""Sequences and optionals."""

import numpy as np

from sweep.settings import Setting, generator, ints, label


@generator(*"SequenceConstruct SequenceAt SequenceErase SequenceInsert SequenceLength ConcatFromSequence SplitToSequence SequenceEmpty".split(), by=9)
def sequences(op, version, make):
    items = [make(2, 3), make(2, 3), make(2, 3)]
    if op == "SequenceConstruct":
        yield Setting(op, "three", items)
        yield Setting(op, "one", [make()])
    elif op == "SequenceEmpty":
        yield Setting(op, "plain", [])
        yield Setting(op, "int64", [], {"dtype": 7})
    elif op == "SequenceLength":
        yield Setting(op, "three", [items])
    elif op == "ConcatFromSequence":
        for axis, new in (0, 0), (1, 0), (-1, 0), (0, 1), (2, 1), (-1, 1):
            yield Setting(op, f"{axis} {new}", [items], {"axis": axis, "new_axis": new})
    elif op == "SplitToSequence":
        for shape, sizes, attributes in [((4, 6), None, {}), ((4, 6), None, {"keepdims": 0, "axis": 1}), ((4, 6), np.array(2, np.int64), {"axis": 1}), ((4, 6), ints(1, 3), {}), ((4, 6), np.array(4, np.int64), {"axis": -1}), ((4, 6), np.array(2, np.int32), {})]:
            yield Setting(op, f"{shape} {sizes} {label(attributes)}", [make(*shape), sizes], attributes, parameters=(1,))
    else:
        for place in 0, -1, 2, None:
            if place is None and op == "SequenceAt":
                continue
            middle = [make(2, 3)] if op == "SequenceInsert" else []
            yield Setting(op, f"{place}", [items, *middle, None if place is None else np.array(place, np.int64)], parameters=(1 + len(middle),))


@generator("OptionalHasElement", "OptionalGetElement", "Optional", by=9)
def optionals(op, version, make):
    if op != "Optional" and version >= 18:
        yield Setting(op, "tensor", [make(2, 3)])
        yield Setting(op, "sequence", [[make(2, 3), make(2, 3)]])
    if op == "OptionalHasElement" and version >= 18:
        yield Setting(op, "nothing", [])
