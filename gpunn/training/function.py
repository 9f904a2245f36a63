"""gpunn.function: a user's own function, recorded once for each kind of arguments and replayed."""

from __future__ import annotations

import functools
import threading
import types
import warnings
from collections.abc import Callable
from typing import Any

from gpunn.autodiff.tape import is_differentiating
from gpunn.autodiff.tensor import Tensor
from gpunn.autodiff.variable import Variable
from gpunn.backend.recorder import is_array
from gpunn.backend.thread import local
from gpunn.backend.threads import Sharing
from gpunn.structure import map_structure
from gpunn.training.data import signature, to_tensors
from gpunn.training.recording import Recordings, quiet


class function:  # noqa: N801  (a decorator)
    """Record a function's kernels in its first calls, then replay them without its Python code.

    Arrays and tensors among the arguments (also in lists, tuples and dicts) may have new values in
    each call; each other argument, and each combination of shapes and dtypes, has a recording of
    its own. The function must do all its work with `gpunn.ops`, layers, tapes and optimizers, the
    same in each call: what Python code does beside (printing, counting) happens in the first calls
    only. A function that reads values (``float(t)``, ``if t``) runs eagerly, with one warning that
    names the line. Inside a tape or another recording it is simply called. Returns new tensors.

    >>> @gpunn.function
    ... def train(x, y):
    ...     with gpunn.GradientTape() as tape:
    ...         loss = gpunn.ops.mean((model(x, training=True) - y) ** 2)
    ...     gradients = tape.gradient(loss, model.trainable_variables)
    ...     optimizer.apply_gradients(zip(gradients, model.trainable_variables))
    ...     return loss
    """

    def __init__(self, python_function: Callable[..., Any]):
        if not callable(python_function):
            raise TypeError(
                f"gpunn.function decorates a function, received {python_function!r}. "
                f"Write @gpunn.function, without arguments."
            )
        functools.update_wrapper(self, python_function)
        self.python_function = python_function
        self.recordings = Recordings()
        self._told_why_eager = False
        self._sharing = Sharing()
        self._lock = threading.Lock()

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """As a method."""
        return self if instance is None else types.MethodType(self, instance)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if local.recorder is not None or is_differentiating():
            args, kwargs = map_structure(_as_tensor, (args, kwargs))
            return self.python_function(*args, **kwargs)
        arrays: list[Any] = []
        form = map_structure(functools.partial(_take_array, arrays), (args, kwargs))
        key = _key(form), signature(tuple(arrays))
        with quiet():
            with self._lock:
                recorded = self.recordings.find(key)
            run = functools.partial(self._run, form)
            result = self._sharing.run(recorded, run, tuple(arrays))
        if recorded.problem is not None and not self._told_why_eager:
            self._told_why_eager = True
            name = getattr(self.python_function, "__qualname__", repr(self.python_function))
            warnings.warn(
                f"gpunn.function '{name}' is not recorded and runs eagerly: {recorded.problem}.",
                stacklevel=2,
            )
        return result

    def _run(self, form: Any, *tensors: Tensor) -> Any:
        """Call the function with tensors in the places of the arrays."""
        rest = iter(tensors)
        args, kwargs = map_structure(lambda v: next(rest) if v is _ARRAY else v, form)
        return self.python_function(*args, **kwargs)


class _Array:
    """Stands where an array was among the arguments."""


_ARRAY = _Array()


def _take_array(arrays: list[Any], value: Any) -> Any:
    """Put an array into the list and a mark in its place; keep any other value."""
    if isinstance(value, Variable) or not (isinstance(value, Tensor) or is_array(value)):
        return value
    arrays.append(value.data if isinstance(value, Tensor) else value)
    return _ARRAY


def _as_tensor(value: Any) -> Any:
    return to_tensors(value) if is_array(value) and not isinstance(value, Tensor) else value


def _key(form: Any) -> Any:
    """The arguments but for the arrays' values; raises where one cannot be told from others."""
    if isinstance(form, dict):
        return "dict", tuple([(k, _key(v)) for k, v in form.items()])
    if isinstance(form, (tuple, list)):
        return type(form), tuple([_key(v) for v in form])
    try:
        hash(form)
    except TypeError:
        raise TypeError(
            f"gpunn.function: an argument of type {type(form).__name__} is neither an array nor "
            f"hashable, so that its recordings cannot be told apart. Pass arrays, numbers, strings "
            f"or objects that compare by identity."
        ) from None
    return type(form), repr(form) if isinstance(form, float) else form  # 0.0 == -0.0
