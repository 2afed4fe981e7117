"""Matrix products."""

import numpy as np

from sweep.settings import Setting, generator, label, products


@generator("MatMul", few=3)
def matmul(op, version, make):
    for first, second in [((2, 3), (3, 4)), ((3,), (3,)), ((2, 3, 4), (4, 5)), ((3,), (3, 2)), ((2, 3), (3,)), ((2, 1, 3, 4), (5, 4, 2)), ((0, 3), (3, 2)), ((2, 0), (0, 3)), ((4,), (2, 4, 3)), ((2, 3, 4), (4,)), ((37, 65), (65, 29)), ((1, 1), (1, 1))]:
        yield Setting(op, f"{first} {second}", [make(*first), make(*second)])


@generator("Gemm", few=4)
def gemm(op, version, make):
    settings = list(products(transA=[None, 1], transB=[None, 1], alpha=[None, 0.5], beta=[None, 2.0]))
    for number, attributes in enumerate(settings):
        a, b = (4, 3) if "transA" in attributes else (3, 4), (5, 4) if "transB" in attributes else (4, 5)
        if version < 7:
            attributes = {**attributes, "broadcast": 1}
        bias = [(3, 5), (5,), (1, 5), (3, 1), (), (1,), None if version >= 11 else (5,)][number % 7]
        if version < 7:
            def expect(a, b, c, f=attributes):
                a, b = a.T if "transA" in f else a, b.T if "transB" in f else b
                return (f.get("alpha", 1.0) * (a @ b) + f.get("beta", 1.0) * c).astype(a.dtype)
            bias = [(3, 5), (5,), (1,)][number % 3]
            yield Setting(op, f"{label(attributes)} {bias}", [make(*a), make(*b), make(*bias)], attributes, expect=expect)
            continue
        if not make.isfloat and ("alpha" in attributes or "beta" in attributes):
            continue
        yield Setting(op, f"{label(attributes)} {bias}", [make(*a), make(*b), *([] if bias is None else [make(*bias)])], attributes)
    if version >= 7:
        yield Setting(op, "empty", [make(0, 4), make(4, 5), make(5)])
        yield Setting(op, "no depth", [make(3, 0), make(0, 5), make(5)])


@generator("Einsum", few=3)
def einsum(op, version, make):
    for equation, shapes in [("ij,jk->ik", [(2, 3), (3, 4)]), ("ij->ji", [(2, 3)]), ("ii->i", [(3, 3)]), ("ij->", [(2, 3)]), ("i,j->ij", [(2,), (3,)]), ("bij,bjk->bik", [(2, 3, 4), (2, 4, 5)]), ("...ij,...jk->...ik", [(2, 3, 4), (4, 5)]), ("ij,jk", [(2, 3), (3, 4)]), ("ijk,kl,lm->im", [(2, 3, 4), (4, 5), (5, 2)]), ("...i->...", [(2, 3, 4)]), ("bhqd,bhkd->bhqk", [(2, 2, 3, 4), (2, 2, 5, 4)]), (" i j , j -> i ", [(2, 3), (3,)]), ("ii", [(3, 3)]), ("ij,ij->ij", [(2, 3), (2, 3)]), ("i,i->", [(4,), (4,)])]:
        yield Setting(op, equation.strip(), [make(*shape) for shape in shapes], {"equation": equation})


@generator("MatMulInteger", "QLinearMatMul", few=4)
def matmul_integer(op, version, make):
    if op == "MatMulInteger":
        for other in np.uint8, np.int8:
            b = make.of(other)
            yield Setting(op, f"{np.dtype(other).name} points", [make(3, 4), b(4, 5), make(), b()], parameters=(2, 3))
            yield Setting(op, f"{np.dtype(other).name}", [make(2, 3, 4), b(4, 5)])
        yield Setting(op, "rows", [make(3, 4), make(4, 5), make(3), make(5)], parameters=(2, 3))
        yield Setting(op, "limits", [np.array([[255 if make.dtype == np.uint8 else -128] * 4] * 2, make.dtype), make(4, 3)])
        return
    one = lambda value: np.array(value, np.float32)
    for kind in np.uint8, np.int8:
        a, b = make.of(kind), make.of(kind)
        yield Setting(op, np.dtype(kind).name, [a(3, 4), one(0.1), a(), b(4, 5), one(0.2), b(), one(0.05), a()], parameters=(1, 2, 4, 5, 6, 7))
        yield Setting(op, f"batch {np.dtype(kind).name}", [a(2, 3, 4), one(0.1), a(), b(2, 4, 5), one(0.2), b(), one(0.005), a()], parameters=(1, 2, 4, 5, 6, 7))


@generator("Det")
def det(op, version, make):
    for shape in (3, 3), (2, 4, 4), (1, 1), (2, 3, 2, 2), (0, 2, 2), (6, 6):
        yield Setting(op, f"{shape}", [make(*shape)], slack=10)
    yield Setting(op, "singular", [np.ones([3, 3], make.dtype)])
