"""Recurrent layers against the node tests of ONNX, which bring weights, inputs and outputs."""

import warnings

import numpy as np
import pytest

from gpunn import layers, ops

onnx = pytest.importorskip("onnx", minversion="1.23")  # reverse and bidirectional cases
#: The gates in Keras' order, as numbers of ONNX' gates: (i, o, f, c), (z, r, h).
GATES = {"LSTM": (0, 2, 3, 1), "GRU": (0, 1, 2), "RNN": (0,)}
NAMES = {
    "lstm_defaults", "lstm_with_initial_bias", "lstm_batchwise", "lstm_reverse",
    "lstm_bidirectional", "gru_defaults", "gru_with_initial_bias", "gru_seq_length",
    "gru_batchwise", "gru_reverse", "gru_bidirectional", "simple_rnn_defaults",
    "simple_rnn_with_initial_bias", "rnn_seq_length", "simple_rnn_batchwise",
    "simple_rnn_reverse", "simple_rnn_bidirectional",
}  # fmt: skip


def collect():
    """The cases of recurrent nodes: importing a module of them makes them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.case import node
        from onnx.backend.test.case.node import gru, lstm, rnn  # noqa: F401
    found = {case.name.removeprefix("test_"): case for case in node._NodeTestCases}
    return {name: case for name, case in found.items() if case.model.graph.node[0].op_type in GATES}


CASES = collect()


def in_order(kind, stacked, units):
    """(gates · units, ...) of ONNX as (..., gates · units) of Keras."""
    gates = stacked.reshape(-1, units, *stacked.shape[1:])[list(GATES[kind])]
    return np.moveaxis(gates.reshape(stacked.shape), 0, -1)


def make(kind, units, direction, weights):
    """A layer that returns sequences and states of each direction, with the weights of ONNX."""
    cls = {"LSTM": layers.LSTM, "GRU": layers.GRU, "RNN": layers.SimpleRNN}[kind]
    options = {"reset_after": False} if kind == "GRU" else {}
    options |= {"return_sequences": True, "return_state": True}
    layer = cls(units, go_backwards=direction == "reverse", **options)
    parts = [layer]
    if direction == "bidirectional":
        layer = layers.Bidirectional(layer, merge_mode=None)
    layer.build((None, None, weights[0].shape[-1]))
    if direction == "bidirectional":
        parts = [layer.forward_layer, layer.backward_layer]
    for part, w, r, b in zip(parts, *weights, strict=True):
        bias = b.reshape(2, -1).sum(0)
        part.set_weights([in_order(kind, m, units) for m in (w, r, bias)])
    return layer


@pytest.mark.parametrize("name", sorted(NAMES))
def test_node(name):
    node = CASES[name].model.graph.node[0]
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    (given, outputs), *_ = CASES[name].data_sets
    inputs = dict(zip(node.input, given, strict=True))
    assert inputs.keys() <= {"X", "W", "R", "B"}
    w, r = inputs["W"], inputs["R"]
    b = inputs.get("B", np.zeros((len(w), 2 * w.shape[1]), "float32"))
    direction = attributes.get("direction", b"forward").decode()
    layer = make(node.op_type, attributes["hidden_size"], direction, (w, r, b))
    batch_first = bool(attributes.get("layout"))
    x = inputs["X"] if batch_first else inputs["X"].swapaxes(0, 1)
    found = [ops.convert_to_numpy(t) for t in layer(x)]
    count = len(w)  # of directions; the states of each follow on all sequences
    y, states = (
        np.stack(found[:count]),
        np.stack(found[count:]).reshape(count, -1, *found[-1].shape),
    )
    if direction == "reverse":
        y = y[:, :, ::-1]  # go_backwards gives them in the order of its steps
    ours = {"Y": y.transpose(2, 0, 1, 3), "Y_h": states[:, 0]}  # (T, D, B, H), (D, B, H)
    if node.op_type == "LSTM":
        ours["Y_c"] = states[:, 1]
    if batch_first:
        ours["Y"], ours["Y_h"] = y.transpose(1, 2, 0, 3), states[:, 0].swapaxes(0, 1)
    for output, expected in zip([o for o in node.output if o], outputs, strict=True):
        np.testing.assert_allclose(ours[output], expected, rtol=1e-5, atol=1e-6)


def test_no_other_node_is_left_out():
    assert CASES.keys() - NAMES == {"lstm_with_peepholes"}  # Keras' LSTM has none
