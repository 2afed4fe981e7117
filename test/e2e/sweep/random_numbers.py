"""Random numbers."""

from sweep.settings import Setting, generator, label


@generator("RandomNormal", "RandomUniform", by=9)
def random_numbers(op, version, make):
    for attributes in [{"shape": [2, 3]}, {"shape": [4], "dtype": 11, "seed": 2.0}, {"shape": [0, 2], "dtype": 10}, {"shape": []}]:
        yield Setting(op, label(attributes), [], attributes, random=True)


@generator("Multinomial")
def multinomial(op, version, make):
    for attributes in [{}, {"sample_size": 5, "dtype": 7, "seed": 1.0}]:
        yield Setting(op, label(attributes), [make(2, 4)], attributes, random=True)
