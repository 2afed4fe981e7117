"""Reductions."""

import numpy as np

from sweep.settings import Setting, generator, ints, kinds, label, products


@generator(*"ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare".split(), few=4)
def reduction(op, version, make):
    as_input = version >= 18 or op == "ReduceSum" and version >= 13
    settings = [((2, 3, 4), [1], 1), ((2, 3, 4), None, 0), ((2, 3, 4), [0, 2], 0), ((3,), [0], 0), ((2, 3, 4, 5), [1, 2], 1), ((), None, 1)]
    settings += [((2, 3, 0), [1], 1), ((5, 1, 3), [1], 0), ((2, 3, 2, 2, 3), [0, 3], 0), ((2, 37, 5), [1], 0), ((4, 1000), [1], 1)]
    if version >= 11:
        settings += [((2, 3, 4), [-1], 1), ((2, 3, 4), [-2, 0], 0)]
    if op in ("ReduceSum", "ReduceProd", "ReduceL1", "ReduceSumSquare", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp") or version >= 20:
        settings += [((2, 0, 4), [1], 1), ((2, 0, 4), None, 0), ((0,), [0], 0)]
    for shape, axes, keep in settings:
        x = make(*shape, low=1, high=3) if op in ("ReduceLogSum", "ReduceProd") else make(*shape)
        for attributes in [{}, {"keepdims": 0}] if keep is None else [{} if keep else {"keepdims": 0}]:
            if as_input:
                yield Setting(op, f"{shape} {axes} {keep}", [x, None if axes is None else ints(*axes)], attributes, parameters=(1,))
            else:
                yield Setting(op, f"{shape} {axes} {keep}", [x], attributes | ({} if axes is None else {"axes": axes}))
    if as_input:
        for noop in 0, 1:
            yield Setting(op, f"no axes noop={noop}", [make(2, 3, low=1, high=3), None], {"noop_with_empty_axes": noop})
            yield Setting(op, f"empty axes noop={noop}", [make(2, 3, low=1, high=3), ints()], {"noop_with_empty_axes": noop}, parameters=(1,))
    if make.isfloat:
        special = make.special()
        yield Setting(op, "special", [np.stack([special, special[::-1]])], {} if as_input else {"axes": [0]}, relative_to_largest=False)
    if op in ("ReduceMax", "ReduceMin") and not as_input:
        yield Setting(op, "limits", [make.special()])


@generator("ArgMax", "ArgMin")
def arg(op, version, make):
    for shape, axis in [((2, 3, 4), 1), ((2, 3, 4), 0), ((5,), 0), ((3, 1), 1), ((2, 0, 3), 2), ((2, 3, 4, 2), 2), ((3, 300), 1)]:
        for attributes in products(keepdims=[None, 0], select_last_index=[None, 1] if version >= 12 else [None]):
            yield Setting(op, f"{shape} {axis} {label(attributes)}", [make(*shape)], {"axis": axis, **attributes})
    if version >= 11:
        yield Setting(op, "negative", [make(2, 3, 4)], {"axis": -1})
    yield Setting(op, "default", [make(2, 3, 4)])
    if make.isfloat:
        yield Setting(op, "infinite", [np.array([[-np.inf, np.inf, 1, np.inf]], make.dtype)], {"axis": 1})


@generator("Softmax", "LogSoftmax", "Hardmax")
def softmax(op, version, make):
    for shape in (2, 3, 4), (5,), (2, 3), (1, 2, 3, 4), (3, 0), (2, 1000):
        if len(shape) > 1:
            yield Setting(op, f"{shape}", [make(*shape)])
        for axis in range(-len(shape) if version >= 11 else 0, len(shape)):
            yield Setting(op, f"{shape} {axis}", [make(*shape)], {"axis": axis})
    yield Setting(op, "large", [np.array([[1e4, -1e4, 1e4 - 1], [-1e4, -1e4, -1e4]]).astype(make.dtype)])
    yield Setting(op, "infinite", [np.array([[0, -np.inf, 1], [-np.inf, -5, -np.inf]]).astype(make.dtype)])


@generator("CumSum", "CumProd")
def cumulative(op, version, make):
    for shape, axis in [((2, 3, 4), 1), ((5,), 0), ((2, 3), -1), ((2, 0), 1), ((3, 4, 2), 0), ((2, 300), 1)]:
        for attributes in products(exclusive=[None, 1], reverse=[None, 1]):
            index = np.array(axis, np.int32 if axis == 1 else np.int64)
            yield Setting(op, f"{shape} {axis} {label(attributes)}", [make(*shape), index], attributes, parameters=(1,), slack=10)


@generator("TopK")
def top_k(op, version, make):
    for shape, k, axis in [((3, 5), 2, None), ((2, 7, 3), 3, 1), ((4,), 4, 0), ((2, 5), 1, -1), ((2, 5), 0, 1), ((2, 100), 17, 1), ((0, 5), 2, 1)]:
        attributes = {} if axis is None else {"axis": axis}
        if version == 1:
            yield Setting(op, f"{shape} {k} {axis}", [make(*shape)], {**attributes, "k": k}, (True, True), types=kinds(make.dtype, np.int64))
            continue
        for order in products(largest=[None, 0], sorted=[None]) if version >= 11 else [{}]:
            yield Setting(op, f"{shape} {k} {axis} {label(order)}", [make(*shape), ints(k)], {**attributes, **order}, (True, True), (1,), types=kinds(make.dtype, np.int64))
    if version >= 11:
        yield Setting(op, "unsorted", [make(2, 5), ints(5)], {"sorted": 0}, (True, False), (1,), random=True)
        yield Setting(op, "special", [make.special()[:-1], ints(5)], {}, (True, True), (1,))
