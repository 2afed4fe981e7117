"""Recurrent layers."""

import itertools

import numpy as np

from sweep.settings import Setting, generator, label


@generator("RNN", "GRU", "LSTM")
def recurrent(op, version, make):
    gates = {"RNN": 1, "GRU": 3, "LSTM": 4}[op]
    steps, batch, size, hidden = 4, 2, 3, 5
    outputs = (True,) * (3 if op == "LSTM" else 2)
    choices = [{}, {"direction": "reverse"}, {"direction": "bidirectional"}, {"clip": 0.5}]
    if version >= 14:
        choices += [{"layout": 1}, {"layout": 1, "direction": "bidirectional"}]
    if op == "GRU" and version >= 3:
        choices += [{"linear_before_reset": 1}, {"linear_before_reset": 1, "direction": "bidirectional"}]
    if op == "LSTM":
        choices += [{"input_forget": 1}]
    choices += [{"activations": ["Sigmoid", "Relu", "Softsign"][: 1 if op == "RNN" else 2 if op == "GRU" else 3]}]
    choices += [{"activations": (["LeakyRelu"] if op == "RNN" else ["HardSigmoid", "ScaledTanh", "Elu"][: 2 if op == "GRU" else 3]), "activation_alpha": [0.3, 0.7, 0.9][: 1 if op == "RNN" else 2 if op == "GRU" else 3], "activation_beta": [0.6, 0.8][: 0 if op == "RNN" else 2]}]
    for attributes, full in itertools.product(choices, [0, 1, 2]):
        ways = 2 if attributes.get("direction") == "bidirectional" else 1
        if attributes.get("activation_beta") == []:
            attributes = {key: value for key, value in attributes.items() if key != "activation_beta"}
        first = attributes.get("layout", 0)
        x = make(batch, steps, size) if first else make(steps, batch, size)
        inputs = [x, make(ways, gates * hidden, size), make(ways, gates * hidden, hidden)]
        state = lambda: make(batch, ways, hidden) if first else make(ways, batch, hidden)
        if full >= 1:
            inputs += [make(ways, 2 * gates * hidden)]
        if full == 2:
            inputs += [None if first else np.array([3, 2], np.int32), state()]
            if op == "LSTM":
                inputs += [state(), make(ways, 3 * hidden)]
        legacy = {"output_sequence": 1} if version == 1 else {}
        # Opset 1 has no linear_before_reset; what both versions have means the same.
        yield Setting(op, f"{label(attributes)} {full}", inputs, {"hidden_size": hidden, **attributes, **legacy}, outputs, (1, 2, 3), slack=3)
        if full == 1:
            last = tuple(k == 1 for k in range(len(outputs)))
            yield Setting(op, f"{label(attributes)} last only", inputs, {"hidden_size": hidden, **attributes, **({"output_sequence": 0} if version == 1 else {})}, last, (1, 2, 3), slack=3)
