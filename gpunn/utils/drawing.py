"""Drawings of models: boxes for layers, arrows for what goes from one to the next."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from html import escape
from typing import Any, NamedTuple

from gpunn.autodiff.symbolic import Node, SymbolicTensor
from gpunn.errors import unknown_name
from gpunn.structure import leaves


class _Box(NamedTuple):
    """A layer, or an op of a graph, with the symbolic tensors of its first call."""

    key: str
    call: Any
    name: str
    kind: str
    inputs: list[SymbolicTensor]
    outputs: list[SymbolicTensor]


class _Shown(NamedTuple):
    """What a box tells."""

    shapes: bool
    dtype: bool
    names: bool
    activations: bool
    trainable: bool


def model_to_dot(
    model: Any,
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = True,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: int = 200,
    subgraph: bool = False,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    splines: str = "ortho",
    **kwargs: Any,
) -> Any:
    """The drawing of a model as a `pydot.Dot`, or a `pydot.Cluster` with `subgraph`.

    Needs pydot: ``pip install pydot``. A model with a `call` of its own is one box.
    `expand_nested`: models inside are drawn as frames around their layers. `rankdir`: "TB" from top
    to bottom, "LR" from left to right. `splines`: how arrows are drawn, "ortho", "curved", ...

    >>> print(gpunn.utils.model_to_dot(model, show_shapes=True).to_string())
    """
    if kwargs:
        known = ("show_shapes", "show_dtype", "show_layer_names", "rankdir", "expand_nested", "dpi",
                 "subgraph", "show_layer_activations", "show_trainable", "splines")  # fmt: skip
        raise unknown_name("argument of model_to_dot", next(iter(kwargs)), known)
    if not model.built:
        raise ValueError(
            f"model_to_dot: model '{model.name}' is not built, its layers are not connected yet. "
            f"Call it on data first, or build(input_shape)."
        )
    pydot = _pydot()
    if subgraph:
        dot = pydot.Cluster(model.name, label=model.name, labeljust="l", style="dashed")
    else:
        dot = pydot.Dot(rankdir=rankdir, concentrate=True, dpi=dpi, splines=splines)
        dot.set_node_defaults(shape="plain", fontname="Helvetica")
    shown = _Shown(show_shapes, show_dtype, show_layer_names, show_layer_activations,
                   show_trainable)  # fmt: skip
    for box in _boxes(model):
        if expand_nested and _has_inside(box.call):
            inner = model_to_dot(
                box.call, *shown[:3], rankdir, True, dpi, True, *shown[3:], splines
            )
            dot.add_subgraph(inner)
        else:
            dot.add_node(pydot.Node(box.key, label=_label(box, shown)))
    for start, end in dict.fromkeys(_arrows(model, expand_nested)):
        dot.add_edge(pydot.Edge(start, end))
    return dot


def plot_model(
    model: Any,
    to_file: Any = "model.png",
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = False,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: int = 200,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    splines: str = "ortho",
    **kwargs: Any,
) -> Any:
    """Write the drawing of a model, `model_to_dot`, into a file: .png, .svg, .pdf, ...

    Needs pydot and Graphviz' program `dot`; a file that ends in .dot needs pydot alone. Returns an
    image for notebooks where IPython is installed, else None.

    >>> gpunn.utils.plot_model(model, "model.svg", show_shapes=True)
    """
    path = os.fspath(to_file)
    dot = model_to_dot(
        model, show_shapes, show_dtype, show_layer_names, rankdir, expand_nested, dpi,
        show_layer_activations=show_layer_activations, show_trainable=show_trainable,
        splines=splines, **kwargs,
    )  # fmt: skip
    ending = os.path.splitext(path)[1][1:] or "png"
    if ending == "dot":
        dot.write(path, format="raw")
        return None
    if shutil.which("dot") is None:
        raise ImportError(
            "plot_model: Graphviz' program 'dot' was not found. Install Graphviz (apt install "
            "graphviz, brew install graphviz, or https://graphviz.org/download), or write a .dot "
            "file."
        )
    dot.write(path, format=ending)
    try:
        from IPython.display import Image
    except ImportError:
        return None
    return Image(filename=path) if ending in ("png", "jpg", "jpeg", "gif") else None


def _pydot() -> Any:
    try:
        import pydot
    except ImportError:
        raise ImportError("Drawing a model needs pydot. Install it: pip install pydot") from None
    return pydot


# --- boxes ---


def _is_layer(call: Any) -> bool:
    return hasattr(call, "dtype_policy")


def _has_inside(call: Any) -> bool:
    """Whether it is a model of which it is known how its layers are connected."""
    return getattr(call, "_graph", None) is not None or hasattr(call, "_symbols")


def _key(node: Node) -> str:
    return str(id(node.call) if _is_layer(node.call) else id(node))


def _boxes(model: Any) -> Iterator[_Box]:
    if hasattr(model, "_symbols"):  # Sequential
        symbols = [*model._symbols, *[None] * (len(model.layers) + 1 - len(model._symbols))]
        for layer, x, y in zip(model.layers, symbols, symbols[1:]):
            yield _box_of(layer, leaves(x), leaves(y))
    elif _has_inside(model):
        for node, *_ in model._graph.calls:
            if _is_layer(node.call):
                yield _box_of(node.call, node.inputs, node.outputs)
            else:
                kind = node.call.__name__.strip("_").title().replace("_", "")
                name = model._graph.names[id(node)]
                yield _Box(_key(node), node.call, name, kind, node.inputs, node.outputs)
    else:
        yield _box_of(model, [], [])


def _box_of(layer: Any, inputs: list[Any], outputs: list[Any]) -> _Box:
    kind = type(layer).__name__
    kind = "Functional" if kind == "Model" and _has_inside(layer) else kind
    known = [[x for x in part if x is not None] for part in (inputs, outputs)]
    return _Box(str(id(layer)), layer, layer.name, kind, *known)


def _label(box: _Box, shown: _Shown) -> str:
    """A table in Graphviz' HTML: the name, the activation, a line of what else is shown."""
    title = f"<b>{escape(box.name)}</b> ({box.kind})" if shown.names else f"<b>{box.kind}</b>"
    cells = []
    if shown.shapes:
        if box.kind != "InputLayer":
            cells.append(f"Input shape: <b>{_listed([x.shape for x in box.inputs])}</b>")
        cells.append(f"Output shape: <b>{_listed([y.shape for y in box.outputs])}</b>")
    if shown.dtype:
        cells.append(f"Output dtype: <b>{_listed([y.dtype for y in box.outputs])}</b>")
    if shown.trainable and getattr(box.call, "weights", None):
        cells.append(f"<b>{'Trainable' if box.call.trainable else 'Non-trainable'}</b>")
    span = max(len(cells), 1)
    rows = [_row(f'<td colspan="{span}" bgcolor="black"><font color="white">{title}</font></td>')]
    activation = getattr(box.call, "activation", None)
    if shown.activations and activation is not None:
        name = getattr(activation, "__name__", None) or type(activation).__name__
        rows.append(_row(f'<td colspan="{span}">Activation: <b>{escape(name)}</b></td>'))
    if cells:
        rows.append(_row("".join(f"<td>{cell}</td>" for cell in cells)))
    style = 'border="0" cellborder="1" cellspacing="0" cellpadding="8"'
    return f"<<table {style}>{''.join(rows)}</table>>"


def _row(cells: str) -> str:
    return f"<tr>{cells}</tr>"


def _listed(values: list[Any]) -> str:
    return escape(", ".join(map(str, values))) or "?"


# --- arrows ---


def _arrows(model: Any, expanded: bool) -> Iterator[tuple[str, str]]:
    """(box, box) for each tensor that goes from one to the other."""
    if hasattr(model, "_symbols"):
        for first, second in zip(model.layers, model.layers[1:]):
            yield _end(first, 0, expanded), _start(second, 0, expanded)
    elif _has_inside(model):
        for node in (n for nodes in model._graph.calls for n in nodes):
            for number, x in enumerate(node.inputs):
                start = _source(x, expanded)
                end = _start(node.call, number, expanded) if _is_layer(node.call) else _key(node)
                yield start, end


def _source(x: SymbolicTensor, expanded: bool) -> str:
    """The box that a tensor comes from."""
    node: Any = x.node
    if not _is_layer(node.call):
        return _key(node)
    number = next(i for i, y in enumerate(node.outputs) if y is x)
    return _end(node.call, number, expanded)


def _end(layer: Any, number: int, expanded: bool) -> str:
    """The box that gives an output of a layer: of an expanded model, the one inside."""
    if not (expanded and _has_inside(layer)):
        return str(id(layer))
    if hasattr(layer, "_symbols"):
        return _end(layer.layers[-1], number, expanded)
    return _source(leaves(layer.output)[number], expanded)


def _start(layer: Any, number: int, expanded: bool) -> str:
    """The box that takes an input of a layer: of an expanded model, the one inside."""
    if not (expanded and _has_inside(layer)):
        return str(id(layer))
    if hasattr(layer, "_symbols"):
        return _start(layer.layers[0], number, expanded)
    return _source(leaves(layer.input)[number], expanded)
