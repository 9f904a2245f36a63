"""model_to_dot and plot_model: the boxes and arrows of Keras, as Graphviz' language says them."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import re
import sys

import pytest

import gpunn

keras = pytest.importorskip("keras")
pytest.importorskip("pydot")


def models(home):
    L, Input = home.layers, home.Input
    i, j = Input((4,), name="i"), Input((4,), name="j")
    inner = home.Sequential(
        [Input((4,)), L.Dense(4, "relu", name="p"), L.Dense(3, name="q")], name="inner"
    )
    a = Input((3,), name="a")
    two = home.Model(a, [L.Dense(2, name="u")(a), L.Dense(1, name="v")(a)], name="two")
    u, v = two(inner(L.Add(name="sum")([i, j])))
    y = L.Concatenate(name="c")([home.ops.tanh(u), v, u])
    shared = L.Dense(4, name="shared", trainable=False)
    chain = home.Sequential([Input((4,)), inner, L.Dropout(0.1, name="drop")], name="chain")
    return {
        "whole": home.Model([i, j], y, name="whole"),
        "twice": home.Model(i, L.Add(name="sum2")([shared(i), shared(shared(i))]), name="twice"),
        "chain": chain,
        "inner": inner,
    }


OURS, THEIRS = models(gpunn), models(keras)


def read(dot):
    """({box: label}, arrows between names, {frame: boxes}) of a drawing."""
    labels, names, frames, arrows = {}, {}, {}, set()

    def walk(graph, frame):
        for node in graph.get_nodes():
            label = node.get("label")
            if label is None:  # the defaults
                continue
            text = re.sub(r"<[^<>]*>", " ", label)
            labels[node.get_name()] = " ".join(text.strip("<> ").split())
            names[node.get_name()] = re.search(r"<b>(.*?)</b>", label).group(1)
            frames.setdefault(frame, set()).add(names[node.get_name()])
        for inside in graph.get_subgraphs():
            walk(inside, inside.get("label").strip('"'))

    def link(graph):
        for edge in graph.get_edges():
            arrows.add((names[edge.get_source()], names[edge.get_destination()]))
        for inside in graph.get_subgraphs():
            link(inside)

    walk(dot, None)
    link(dot)
    return {names[key]: text for key, text in labels.items()}, arrows, frames


@pytest.mark.parametrize("expand", [False, True])
@pytest.mark.parametrize("name", OURS)
def test_boxes_arrows_and_frames_as_keras(name, expand):
    ours, theirs = (
        read(home.utils.model_to_dot(m[name], expand_nested=expand))
        for home, m in ((gpunn, OURS), (keras, THEIRS))
    )
    assert set(ours[0]) == set(theirs[0])
    assert ours[1] == theirs[1]
    assert ours[2] == theirs[2]


def test_what_a_box_tells():
    dot = gpunn.utils.model_to_dot(
        OURS["twice"], show_shapes=True, show_dtype=True, show_layer_activations=True,
        show_trainable=True, rankdir="LR", dpi=96, splines="curved",
    )  # fmt: skip
    labels, arrows, _ = read(dot)
    assert labels == {
        "i": "i (InputLayer) Output shape: (None, 4) Output dtype: float32",
        "shared": "shared (Dense) Activation: linear Input shape: (None, 4) "
        "Output shape: (None, 4) Output dtype: float32 Non-trainable",
        "sum2": "sum2 (Add) Input shape: (None, 4), (None, 4) Output shape: (None, 4) "
        "Output dtype: float32",
    }
    assert arrows == {("i", "shared"), ("shared", "shared"), ("shared", "sum2")}
    settings = dot.get_attributes()
    assert (settings["rankdir"], settings["dpi"], settings["splines"]) == ("LR", 96, "curved")
    plain = gpunn.utils.model_to_dot(OURS["inner"], show_layer_names=False)
    assert set(read(plain)[0]) == {"Dense"}
    assert "subgraph" in gpunn.utils.model_to_dot(OURS["inner"], subgraph=True).to_string()


def test_a_model_with_a_call_of_its_own_is_one_box():
    class Own(gpunn.Model):
        def call(self, x):
            return x

    own = Own(name="<own>")
    with pytest.raises(ValueError, match="'<own>' is not built"):
        gpunn.utils.model_to_dot(own)
    own(gpunn.ops.ones((2, 3)))
    dot = gpunn.utils.model_to_dot(own, show_shapes=True)
    assert (
        "&lt;own&gt;</b> (Own)" in dot.to_string() and "Output shape: <b>?</b>" in dot.to_string()
    )


def test_plot_model(tmp_path, monkeypatch):
    path = tmp_path / "model.dot"
    assert gpunn.utils.plot_model(OURS["inner"], path) is None
    assert path.read_text().startswith("digraph")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ImportError, match="program 'dot' was not found. Install Graphviz"):
        gpunn.utils.plot_model(OURS["inner"], tmp_path / "model.svg")
    program = tmp_path / "dot"  # stands for Graphviz': says what it was asked for
    program.write_text(f'#!{sys.executable}\nimport sys\nprint("made", *sys.argv[1:2])\n')
    program.chmod(0o755)
    gpunn.utils.plot_model(OURS["inner"], tmp_path / "model.svg")
    assert (tmp_path / "model.svg").read_text() == "made -Tsvg\n"
    gpunn.utils.plot_model(OURS["inner"], str(tmp_path / "plain"))
    assert (tmp_path / "plain").read_text() == "made -Tpng\n"


def test_errors(monkeypatch):
    with pytest.raises(ValueError, match="Unknown argument of model_to_dot: 'show_shape'. Did you"):
        gpunn.utils.model_to_dot(OURS["inner"], show_shape=True)
    monkeypatch.setitem(sys.modules, "pydot", None)
    with pytest.raises(ImportError, match="needs pydot. Install it: pip install pydot"):
        gpunn.utils.plot_model(OURS["inner"])
