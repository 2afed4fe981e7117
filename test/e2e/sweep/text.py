"""Text."""

import itertools

import numpy as np

from sweep.elementwise import PAIRS
from sweep.settings import Setting, generator, label


@generator("StringConcat")
def string_concat(op, version, make):
    for first, second in PAIRS[:8]:
        yield Setting(op, f"{first} {second}", [make(*first), make(*second)])


@generator("StringSplit")
def string_split(op, version, make):
    x = np.array(["a b  c", " x ", "", "d,e,f"], object)
    for attributes in [{}, {"delimiter": ","}, {"maxsplit": 1}, {"delimiter": " ", "maxsplit": 2}]:
        yield Setting(op, label(attributes), [x], attributes, (True, True))
    yield Setting(op, "scalar", [np.array("a b", object)], {}, (True, True))


@generator("StringNormalizer", by=9)
def string_normalizer(op, version, make):
    x = np.array(["Monday", "tuesday", "Über", "monday"], object)
    for attributes in [{}, {"case_change_action": "LOWER"}, {"case_change_action": "UPPER", "stopwords": ["monday"]}, {"is_case_sensitive": 1, "stopwords": ["monday"]}, {"stopwords": ["Monday", "tuesday", "Über", "monday"], "is_case_sensitive": 1}]:
        yield Setting(op, label(attributes), [x], attributes)
    yield Setting(op, "row", [x[None]], {"case_change_action": "LOWER"})


@generator("RegexFullMatch")
def regex(op, version, make):
    x = np.array(["www.google.com", "abc", "", "a1b2"], object)
    for pattern in r"www\.[\w.-]+\.\bcom\b", "[a-z]*", "(a|b)?[0-9a-z]+", ".*", "^a.*2$", "a{1,2}b.", "[^a]*":
        yield Setting(op, pattern, [x], {"pattern": pattern})


@generator("TfIdfVectorizer", only=["int32", "int64"])
def tfidf(op, version, make):
    pool = {"ngram_counts": [0, 4], "ngram_indexes": [0, 1, 2, 3, 4, 5, 6], "pool_int64s": [2, 3, 5, 4, 5, 6, 7, 8, 6, 7]}
    for mode, skip, low in itertools.product(["TF", "IDF", "TFIDF"], [0, 2], [1, 2]):
        yield Setting(op, f"{mode} {skip} {low}", [np.array([1, 1, 3, 3, 3, 7, 8, 6, 7, 5, 6, 8], make.dtype)], {**pool, "mode": mode, "min_gram_length": low, "max_gram_length": 2, "max_skip_count": skip, "weights": [2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]})
