"""Classes made of functions: signatures, help, options as attributes, errors; metrics, too."""

import inspect
import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import copy
import pickle

import numpy as np
import pytest

from gpunn import losses, metrics
from gpunn.changes import changes
from tests.losses.catalogue import NAMES, data

keras = pytest.importorskip("keras")
DECLARED = [(losses, name) for name in NAMES]
DECLARED += [(metrics, cls.__name__) for cls in metrics.StandardMetric.__subclasses__()]
FUNCTIONS = [
    (module, name)
    for module in ("losses", "metrics")
    for name, value in vars(getattr(keras, module)).items()
    if inspect.isfunction(value) and name[0] != "_"
]


def arguments(thing):
    return [(p.name, p.default) for p in inspect.signature(thing).parameters.values()]


@pytest.mark.parametrize(("module", "name"), DECLARED)
def test_signatures_are_keras(module, name):
    ours = getattr(module, name)
    theirs = getattr(getattr(keras, module.__name__.removeprefix("gpunn.")), name)
    assert arguments(ours) == arguments(theirs)
    assert arguments(ours.__init__)[1:] == arguments(theirs)
    for p in inspect.signature(ours).parameters.values():
        assert p.annotation is not p.empty
    assert ours().name == theirs().name
    assert ours.__init__.__qualname__ == f"{name}.__init__"


@pytest.mark.parametrize(("module", "name"), FUNCTIONS)
def test_signatures_of_functions_are_keras(module, name):
    import gpunn

    ours, theirs = getattr(getattr(gpunn, module), name), getattr(getattr(keras, module), name)
    assert arguments(ours) == arguments(theirs)


@pytest.mark.parametrize(("module", "name"), DECLARED)
def test_docstrings_are_their_own(module, name):
    cls = getattr(module, name)
    assert cls.__doc__ and ">>>" in cls.__doc__ and cls.__doc__ != cls.__mro__[1].__doc__


def test_help_shows_the_signature():
    import pydoc

    text = pydoc.plain(pydoc.render_doc(losses.Tversky))
    assert "Tversky(alpha: 'float' = 0.5, beta: 'float' = 0.5, reduction:" in text
    assert "The option `alpha`." in text


def test_arguments_by_position():
    loss = losses.Tversky(0.1, 0.2, "sum", "mine", (1, 2), "float64")
    assert (loss.alpha, loss.beta, loss.axis) == (0.1, 0.2, (1, 2))
    assert (loss.reduction, loss.name, loss.dtype) == ("sum", "mine", "float64")
    metric = metrics.TopKCategoricalAccuracy(3, "mine")
    assert (metric.k, metric.name) == (3, "mine")


def test_options_are_attributes():
    """A new value counts at once, also in steps recorded before, and stands in the config."""
    loss = losses.Huber()
    t, x = np.float32([[0.0]]), np.float32([[3.0]])
    assert loss.delta == 1.0 and loss(t, x).item() == 2.5
    before = changes.count
    loss.delta = 2.0
    assert changes.count > before
    assert loss(t, x).item() == 4.0 and loss.get_config()["delta"] == 2.0


def test_configs_are_plain():
    alpha = np.array([0.1, 0.2, 0.7])
    loss = losses.CategoricalFocalCrossentropy(alpha=alpha, gamma=np.float32(1.5))
    config = loss.get_config()
    assert config["alpha"] == [0.1, 0.2, 0.7] and type(config["gamma"]) is float
    assert losses.CategoricalFocalCrossentropy.from_config(config) == loss


@pytest.mark.parametrize("name", NAMES)
def test_copies(name):
    loss = getattr(losses, name)(name="mine")
    for other in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
        assert other == loss and other(*data(name)).item() == loss(*data(name)).item()


def test_subclasses_of_users():
    class Wide(losses.Huber):
        def __init__(self, width, name="wide"):
            super().__init__(delta=2 * width, name=name)

        def get_config(self):
            return {"width": self.delta / 2, "name": self.name}

    loss = Wide(1.5)
    assert arguments(Wide) == [("width", inspect.Parameter.empty), ("name", "wide")]
    assert loss.delta == 3.0 and loss.name == "wide" and Wide.from_config(loss.get_config()) == loss

    class Halved(losses.MeanSquaredError):
        def call(self, y_true, y_pred):
            return super().call(y_true, y_pred) / 2

    assert Halved(reduction="sum")([[0.0]], [[2.0]]).item() == 2


def test_arguments_that_do_not_exist():
    message = (
        r"Huber: got an unexpected keyword argument 'detla'. Its arguments are: delta, reduction, "
        r"name, dtype\."
    )
    with pytest.raises(TypeError, match=message):
        losses.Huber(detla=1.0)
    with pytest.raises(TypeError, match="Hinge: too many positional arguments. Its arguments are"):
        metrics.Hinge("hinge", None, 3)


@pytest.mark.parametrize("q", [0, 1, -0.5, 2.0])
def test_q_out_of_range(q):
    with pytest.raises(ValueError, match=r"CategoricalGeneralizedCrossEntropy: q must lie in the "):
        losses.CategoricalGeneralizedCrossEntropy(q=q)
    if q <= 0:
        with pytest.raises(ValueError, match=f"entropy: q must be positive, received {q}"):
            losses.categorical_generalized_cross_entropy([0], [[0.5, 0.5]], q)
