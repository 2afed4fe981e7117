"""ai.onnx.ml."""

import itertools

import numpy as np
import onnx

from sweep.settings import Setting, generator, ints, kinds, label

ML = "ai.onnx.ml"


@generator("ArrayFeatureExtractor", domain=ML, few=2)
def array_feature_extractor(op, version, make):
    for shape, picks in ((3, 4), [0, 2]), ((4,), [1, 3, 0]), ((2, 3, 4), [3]):
        yield Setting(op, f"{shape} {picks}", [make(*shape), ints(*picks)], parameters=(1,))


@generator("Binarizer", domain=ML)
def binarizer(op, version, make):
    for threshold in None, 0.5, -1.0:
        yield Setting(op, f"{threshold}", [make(2, 3)], {} if threshold is None else {"threshold": threshold})


@generator("FeatureVectorizer", domain=ML)
def feature_vectorizer(op, version, make):
    yield Setting(op, "two", [make(2, 3), make(2, 2)], {"inputdimensions": [3, 2]})


@generator("Imputer", domain=ML)
def imputer(op, version, make):
    if make.isfloat:
        x = np.array([[1, np.nan, 3], [-1, 2, np.nan]], make.dtype)
        yield Setting(op, "nan", [x], {"imputed_value_floats": [5.0], "replaced_value_float": float("nan")})
        yield Setting(op, "number", [x], {"imputed_value_floats": [5.0, 6.0, 7.0], "replaced_value_float": -1.0})
    else:
        yield Setting(op, "number", [make(2, 3)], {"imputed_value_int64s": [5, 6, 7], "replaced_value_int64": 1})


@generator("LabelEncoder", domain=ML)
def label_encoder(op, version, make):
    if version == 1:
        return
    if make.dtype == np.int64:
        yield Setting(op, "ints to floats", [ints(1, 2, 9)], {"keys_int64s": [1, 2, 3], "values_floats": [0.5, 1.5, 2.5], "default_float": -7.0})
        yield Setting(op, "ints", [ints(1, 2, 9)], {"keys_int64s": [1, 2, 3], "values_int64s": [5, 6, 7]})
        yield Setting(op, "ints to strings", [ints(1, 2, 9)], {"keys_int64s": [1, 2, 3], "values_strings": ["a", "b", "c"], "default_string": "z"})
    elif make.dtype == np.float32:
        yield Setting(op, "floats to ints", [np.array([0.5, np.nan, 3], np.float32)], {"keys_floats": [0.5, float("nan")], "values_int64s": [5, 6], "default_int64": 4})
        yield Setting(op, "floats to floats", [np.array([0.5, 3], np.float32)], {"keys_floats": [0.5, 1.0], "values_floats": [5.0, 6.0]})
    elif make.dtype == object:
        yield Setting(op, "strings to ints", [np.array(["a", "q"], object)], {"keys_strings": ["a", "b"], "values_int64s": [5, 6], "default_int64": 4})
        yield Setting(op, "strings to strings", [np.array(["a", "q"], object)], {"keys_strings": ["a", "b"], "values_strings": ["x", "y"]})
        yield Setting(op, "strings to floats", [np.array(["a", "q"], object)], {"keys_strings": ["a", "b"], "values_floats": [1.0, 2.0]})


@generator("CategoryMapper", domain=ML)
def category_mapper(op, version, make):
    x = np.array(["a", "q"], object) if make.dtype == object else ints(1, 7)
    yield Setting(op, "plain", [x], {"cats_int64s": [1, 2], "cats_strings": ["a", "b"], "default_int64": 9, "default_string": "?"})


@generator("LinearRegressor", domain=ML)
def linear_regressor(op, version, make):
    for post in None, "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO":
        yield Setting(op, f"{post}", [make(3, 4)], {"coefficients": [0.1 * k for k in range(8)], "intercepts": [0.5, -0.5], "targets": 2} | ({"post_transform": post} if post else {}))
    yield Setting(op, "one", [make(3, 4)], {"coefficients": [0.1, 0.2, 0.3, 0.4]})


@generator("LinearClassifier", domain=ML)
def linear_classifier(op, version, make):
    for post in None, "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT":
        more = {"post_transform": post} if post else {}
        yield Setting(op, f"{post} ints", [make(5, 4)], {"coefficients": [0.1 * (k % 5) - 0.2 for k in range(12)], "intercepts": [0.5, -0.5, 0.1], "classlabels_ints": [3, 5, 9], **more}, (True, True), types=kinds(np.int64, np.float32))
        yield Setting(op, f"{post} binary", [make(5, 4)], {"coefficients": [0.1, -0.2, 0.3, -0.4], "intercepts": [0.1], "classlabels_ints": [0, 1], **more}, (True, True), types=kinds(np.int64, np.float32))
        yield Setting(op, f"{post} strings", [make(5, 4)], {"coefficients": [0.1 * (k % 5) - 0.2 for k in range(12)], "intercepts": [0.5, -0.5, 0.1], "classlabels_strings": ["a", "b", "c"], **more}, (True, True), types=kinds(str, np.float32))


@generator("Normalizer", domain=ML)
def normalizer(op, version, make):
    for norm in None, "L1", "L2", "MAX":
        yield Setting(op, f"{norm}", [make(3, 4)], {"norm": norm} if norm else {})
    yield Setting(op, "zero", [np.zeros([2, 3], make.dtype)], {"norm": "L2"})
    yield Setting(op, "vector", [make(4)], {"norm": "L1"})


@generator("OneHotEncoder", domain=ML)
def one_hot_encoder(op, version, make):
    if make.dtype == object:
        yield Setting(op, "strings", [np.array(["a", "b", "a"], object)], {"cats_strings": ["a", "b", "c"]})
        yield Setting(op, "unknown", [np.array([["a", "q"]], object)], {"cats_strings": ["a", "b", "c"], "zeros": 1})
    else:
        yield Setting(op, "ints", [make(2, 3, low=0, high=2)], {"cats_int64s": [0, 1, 2, 5], "zeros": 1})


@generator("Scaler", domain=ML)
def scaler(op, version, make):
    yield Setting(op, "each", [make(2, 3)], {"offset": [1.0, 2.0, 3.0], "scale": [0.5, 2.0, 1.5]})
    yield Setting(op, "one", [make(2, 3)], {"offset": [1.0], "scale": [0.5]})


@generator("SVMRegressor", domain=ML)
def svm_regressor(op, version, make):
    for kernel in "LINEAR", "RBF", "POLY", "SIGMOID":
        yield Setting(op, kernel, [make(3, 2)], {"coefficients": [0.5, -0.3, 0.8], "kernel_type": kernel, "kernel_params": [0.4, 0.1, 3.0], "n_supports": 3, "rho": [0.2], "support_vectors": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]}, types=kinds(np.float32))


@generator("SVMClassifier", domain=ML)
def svm_classifier(op, version, make):
    for kernel in "LINEAR", "RBF", "POLY", "SIGMOID":
        yield Setting(op, kernel, [make(5, 2)], {"coefficients": [0.5, -0.3, 0.8], "kernel_type": kernel, "kernel_params": [0.4, 0.1, 3.0], "rho": [0.2], "support_vectors": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], "vectors_per_class": [1, 2], "classlabels_ints": [0, 1]}, (True, True), types=kinds(np.int64, np.float32))
        yield Setting(op, kernel + " probabilities", [make(5, 2)], {"coefficients": [0.5, -0.3, 0.8], "kernel_type": kernel, "kernel_params": [0.4, 0.1, 3.0], "rho": [0.2], "support_vectors": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], "vectors_per_class": [1, 2], "classlabels_ints": [3, 7], "prob_a": [0.5], "prob_b": [-0.1]}, (True, True), types=kinds(np.int64, np.float32))
        yield Setting(op, kernel + " three", [make(5, 2)], {"coefficients": [0.5, -0.3, 0.8, 0.1, -0.2, 0.4], "kernel_type": kernel, "kernel_params": [0.4, 0.1, 3.0], "rho": [0.2, -0.1, 0.3], "support_vectors": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], "vectors_per_class": [1, 1, 1], "classlabels_ints": [0, 1, 5]}, (True, True), types=kinds(np.int64, np.float32))


TREE = {
    "nodes_treeids": [0, 0, 0, 0, 0, 1, 1, 1], "nodes_nodeids": [0, 1, 2, 3, 4, 0, 1, 2], "nodes_featureids": [0, 1, 0, 0, 0, 2, 0, 0],
    "nodes_values": [0.1, -0.2, 0.0, 0.0, 0.0, 0.3, 0.0, 0.0], "nodes_truenodeids": [1, 3, 0, 0, 0, 1, 0, 0], "nodes_falsenodeids": [2, 4, 0, 0, 0, 2, 0, 0],
}  # fmt: skip
LEAVES = [(0, 2), (0, 3), (0, 4), (1, 1), (1, 2)]


@generator("TreeEnsembleRegressor", "TreeEnsembleClassifier", domain=ML)
def trees(op, version, make):
    kind = "class" if op.endswith("Classifier") else "target"
    modes = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"]
    for mode, extra in itertools.product(modes, [{}, {"post_transform": "SOFTMAX"}, {"post_transform": "LOGISTIC"}, {"base_values": [0.3, -0.1]}] + ([{"aggregate_function": way} for way in ("AVERAGE", "MIN", "MAX")] if kind == "target" else [])):
        attributes = {**TREE, "nodes_modes": [mode, mode, "LEAF", "LEAF", "LEAF", mode, "LEAF", "LEAF"], **extra}
        attributes |= {f"{kind}_treeids": [tree for tree, _ in LEAVES], f"{kind}_nodeids": [node for _, node in LEAVES], f"{kind}_ids": [0, 1, 0, 1, 0], f"{kind}_weights": [0.5, 1.0, -0.5, 0.25, 2.0]}
        attributes |= {"classlabels_int64s": [4, 8]} if kind == "class" else {"n_targets": 2}
        yield Setting(op, f"{mode} {label(extra)}", [make(6, 3)], attributes, (True, True) if kind == "class" else (True,), types=kinds(np.int64, np.float32) if kind == "class" else kinds(np.float32))


@generator("TreeEnsemble", domain=ML)
def tree_ensemble(op, version, make):
    number = lambda values: onnx.numpy_helper.from_array(np.array(values, make.dtype))
    for aggregate, post in itertools.product([0, 1, 2, 3], [0, 1, 2]):
        attributes = {"tree_roots": [0], "nodes_featureids": [0, 1], "nodes_splits": number([0.1, -0.2]), "nodes_modes": onnx.numpy_helper.from_array(np.array([0, 1], np.uint8)), "nodes_truenodeids": [1, 0], "nodes_trueleafs": [0, 1], "nodes_falsenodeids": [2, 1], "nodes_falseleafs": [1, 1], "leaf_targetids": [0, 1, 0], "leaf_weights": number([0.5, 1.5, -1.0]), "n_targets": 2, "aggregate_function": aggregate, "post_transform": post}
        yield Setting(op, f"{aggregate} {post}", [make(5, 3)], attributes)
