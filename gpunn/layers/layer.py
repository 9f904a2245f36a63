"""Layer: what a network remembers. It names ops; it holds no mathematics of its own."""

from __future__ import annotations

import functools
import inspect
from contextlib import nullcontext
from typing import Any

from gpunn import constraints, dtype_policies, initializers, regularizers
from gpunn.autodiff.conversion import asarray
from gpunn.autodiff.dtypes import as_dtype, is_float
from gpunn.autodiff.symbolic import Node, SymbolicTensor, tracing
from gpunn.autodiff.tensor import Tensor
from gpunn.autodiff.variable import Variable, name_scope
from gpunn.changes import note_change, note_switch
from gpunn.dtype_policies import DTypePolicy
from gpunn.errors import ShapeError, SymbolicError, unknown_name
from gpunn.layers.connecting import Connected, has_unknown_lengths, traced
from gpunn.layers.context import calls, layer_call, outside_calls
from gpunn.layers.describing import Described
from gpunn.layers.input_spec import check_inputs, missing_inputs, no_tensor, nothing_received
from gpunn.layers.signature import attach_masks, build_parameters, call_signature, mask_of
from gpunn.layers.stateless import Stateless
from gpunn.layers.tracking import Tracked
from gpunn.naming import to_snake_case, unique_name
from gpunn.objects import Configurable
from gpunn.ops.creation import cast
from gpunn.tracebacks import filter_traceback, warn_user


class Layer(Tracked, Connected, Stateless, Described, Configurable):
    """Base of all layers: weights by `add_weight`, made in `build`, used in `call`.

    >>> class Scale(gpunn.layers.Layer):
    ...     def build(self, input_shape):
    ...         self.factor = self.add_weight(shape=(input_shape[-1],), initializer="ones")
    ...
    ...     def call(self, x):
    ...         return x * self.factor
    """

    _untracked: tuple[str, ...] = ("_losses", "_losses_of", "_nodes", "_given")
    supports_masking = False
    _is_users = False  # whether `call` was written by a user
    _makes_masks = False  # whether `compute_mask` was written by a user: inputs may be without
    _uses_lengths = False  # whether `call` computes with lengths, which may not be known yet
    input_spec: Any = None  # an InputSpec, or a structure of such
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __init_subclass__(cls, **options: Any):
        super().__init_subclass__(**options)
        if "build" in vars(cls):
            cls.build = _building(cls.build)  # type: ignore[method-assign]
        cls._is_users = not cls.call.__module__.startswith("gpunn.")
        if "compute_mask" in vars(cls):
            cls.supports_masking = vars(cls).get("supports_masking", True)
            cls._makes_masks = not cls.__module__.startswith("gpunn.")

    def __init__(
        self,
        *,
        activity_regularizer: Any = None,
        trainable: bool = True,
        dtype: Any = None,
        autocast: bool = True,
        name: str | None = None,
        **kwargs: Any,
    ):
        shape = kwargs.pop("input_shape", None)
        if shape is not None and not isinstance(shape, (tuple, list)):
            raise ValueError(
                f"input_shape must be a tuple without the batch, received {shape!r}. Write "
                f"input_shape=({shape!r},)."
            )
        if "input_dim" in kwargs:
            shape = (kwargs.pop("input_dim"),)
        if kwargs:
            known = {*inspect.signature(type(self).__init__).parameters, "trainable", "dtype"}
            known |= {"name", "activity_regularizer", "input_shape", "autocast"}
            raise unknown_name(
                f"argument of {type(self).__name__}", next(iter(kwargs)), known - {"self", "kwargs"}
            )
        if name is not None and (not isinstance(name, str) or "/" in name):
            raise ValueError(
                f"{type(self).__name__}: name must be a string without '/', received {name!r}."
            )
        self.name = name or unique_name(to_snake_case(type(self).__name__))
        self.autocast = autocast
        self.dtype_policy = dtype_policies.get(dtype)
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self.built = type(self).build is Layer.build
        self._declared_shape = None if shape is None else (None, *shape)
        self._weights: list[Variable] = []
        self._losses: list[Any] = []
        self._in_build = False
        self._losses_of: list[Any] = []  # the call that added them
        self._nodes: list[Node] = []
        self._path: str | None = None
        self._called = False
        self._first_output: Any = None  # the shape(s) that the first call returned
        self.trainable = trainable

    @property
    def trainable(self) -> bool:
        """Whether training changes the weights; setting it sets it in all layers inside."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        if not isinstance(value, bool):
            raise ValueError(f"trainable must be True or False, received {value!r}.")
        if value is not self._trainable:
            note_switch(self)
        self._trainable = value
        for layer in self._sublayers():
            layer.trainable = value  # type: ignore[attr-defined]

    @property
    def dtype_policy(self) -> DTypePolicy:
        """In which dtypes the layer computes and keeps its weights."""
        return self._dtype_policy

    @dtype_policy.setter
    def dtype_policy(self, policy: Any) -> None:
        self._dtype_policy = dtype_policies.get(policy)
        self.dtype = self._dtype_policy.variable_dtype
        self._compute_dtype = as_dtype(self._dtype_policy.compute_dtype)
        mixed = self._dtype_policy.variable_dtype != self._dtype_policy.compute_dtype
        self._autocast_dtype = self._compute_dtype if mixed else None
        note_change()

    @property
    def compute_dtype(self) -> str:
        """The dtype in which the layer computes; float inputs are cast to it."""
        return self._dtype_policy.compute_dtype

    input_dtype = compute_dtype

    @property
    def variable_dtype(self) -> str:
        """The dtype of the weights."""
        return self.dtype

    @property
    def path(self) -> str:
        """The name, behind those of the layers inside which it was first built."""
        return self._path or self.name

    # --- to override ---

    def build(self, input_shape: Any) -> None:
        """Make the weights; called once, with the shape of the first input."""

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the outputs from the inputs."""
        raise NotImplementedError(f"Layer {type(self).__name__} has no call() method.")

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """The mask of the outputs; by default that of the first input."""
        return previous_mask

    # --- weights and losses ---

    def add_weight(
        self,
        shape: tuple[int, ...] | None = None,
        initializer: Any = None,
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        aggregation: str | None = "none",
        overwrite_with_gradient: bool = False,
        name: str | None = None,
    ) -> Variable:
        """A new weight. `initializer`: Glorot uniform by default, zeros for int and bool dtypes."""
        if isinstance(shape, str):
            raise ValueError(
                f"add_weight: the first argument is the shape, received {shape!r}. "
                f"Give a name as name={shape!r}."
            )
        if isinstance(shape, int):
            raise ValueError(f"add_weight: the shape must be a tuple. Write ({shape},).")
        if overwrite_with_gradient:
            raise NotImplementedError("add_weight: overwrite_with_gradient is for float8 training.")
        kind = as_dtype(dtype or self.dtype)
        if initializer is None:
            initializer = "glorot_uniform" if is_float(kind) else "zeros"
        with nullcontext() if self._in_build else name_scope(self.name):
            make = initializers.get(initializer)
            variable = Variable(
                make, tuple(shape or ()), kind, trainable, autocast, aggregation, name=name
            )
        variable.regularizer = regularizers.get(regularizer)
        variable.constraint = constraints.get(constraint)
        self._weights.append(variable)
        return variable

    add_variable = add_weight

    def add_loss(self, loss: Any) -> None:
        """Add a scalar (or several) to what training minimizes; call it inside `call`."""
        if self._losses_of is not calls.losses:
            self._losses, self._losses_of = [], calls.losses
        for value in loss if isinstance(loss, (list, tuple)) else [loss]:
            if callable(value) and not isinstance(value, Tensor):
                raise ValueError(
                    f"add_loss takes tensors, received the function {value!r}. Call it."
                )
            if not isinstance(value, SymbolicTensor):  # there is nothing to add up yet
                self._losses.append(value)
                calls.losses.append(value)

    @property
    def losses(self) -> list[Any]:
        """What the last call added, and the regularization of the trainable weights."""
        added = [loss for layer in self._flatten_layers() for loss in layer._losses]
        return added + [w.regularizer(w) for w in self.trainable_weights if w.regularizer]

    # --- calling ---

    @filter_traceback
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        outputs = self._called_with(args, dict(kwargs))
        return outputs if calls.depth else self._connected(args, kwargs, outputs)

    def _called_with(self, args: tuple, kwargs: dict[str, Any]) -> Any:
        takes = call_signature(type(self).call)
        if not args and takes.names and takes.names[0] in kwargs:
            args = (kwargs.pop(takes.names[0]),)
        args = tuple([self._as_input(a, positional=True) for a in args])
        training = kwargs.pop("training", None)
        if kwargs:
            kwargs = {k: self._as_input(v) for k, v in kwargs.items()}
        first: Any = args[0] if args else None
        with layer_call(training, self._autocast_dtype if self.autocast else None):
            if self._losses and self._losses_of is not calls.losses:
                self._losses = []
            if not self.built:
                self._check_spec(args)
                self._build_for(takes.names, args, kwargs)
            self._check_spec(args)
            if takes.training:
                now = calls.training
                kwargs["training"] = takes.training_default if now is None else now
            mask = self._put_masks(takes, args, kwargs)
            if self._called:
                outputs = self._computed(args, kwargs)
            else:
                with name_scope(self.name) as self._path:  # layers inside may build now
                    outputs = self._computed(args, kwargs)
                self._called, self._first_output = True, _shapes(outputs)
            if mask is not None or self._makes_masks:
                self._attach_mask(first, outputs, mask)
            if self.activity_regularizer is not None:
                self._regularize_activity(outputs)
        return outputs

    def _put_masks(self, takes: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
        """Put the masks into the arguments that ask for them; returns that of the first input."""
        mask = kwargs.pop("mask", None)
        if mask is None:
            mask = mask_of(args[0] if args else None)
        if mask is not None and takes.mask:
            kwargs["mask"] = mask
        for position, name in takes.other_masks:
            if kwargs.get(name) is None:
                later = kwargs.get(takes.names[position])
                kwargs[name] = mask_of(args[position] if position < len(args) else later)
        return mask

    def _computed(self, args: tuple, kwargs: dict[str, Any]) -> Any:
        uses_lengths = self._is_users or self._uses_lengths
        unknown = uses_lengths and has_unknown_lengths((args, kwargs))
        try:
            return traced(self.call, args, kwargs) if unknown else self.call(*args, **kwargs)
        except Exception as error:  # it may need values, or the lengths for which others stood in
            may_need = unknown or tracing.on or isinstance(error, SymbolicError)
            if not (may_need and self._declares_outputs()):
                # of an operation, which names no layer: such a message begins like "conv: "
                if isinstance(error, ShapeError) and "'" not in str(error).partition(":")[0]:
                    error.args = (f"{type(self).__name__} '{self.name}', {error}",)
                raise
            return self._declared(args, kwargs)

    def _as_input(self, value: Any, positional: bool = False) -> Any:
        """Arrays become tensors, floats are cast to the compute dtype, containers are walked."""
        if isinstance(value, Tensor):
            dtype = value.data.dtype
            if dtype == self._compute_dtype or not is_float(dtype):
                return value
            return self._cast(value)
        if value is None:
            return None
        if isinstance(value, SymbolicTensor):
            return self._cast(value) if is_float(value.dtype) else value
        if isinstance(value, (list, tuple)):
            return type(value)([self._as_input(v, positional) for v in value])
        if isinstance(value, dict):
            return {k: self._as_input(v, positional) for k, v in value.items()}
        if hasattr(value, "__array__") or hasattr(value, "__cuda_array_interface__"):
            return self._as_input(Tensor(asarray(value)))
        if positional:
            raise no_tensor(self.name, value)
        return value

    def _cast(self, x: Any) -> Any:
        if not self.autocast:
            return x
        y = cast(x, self._compute_dtype)
        y._keras_mask = x._keras_mask
        return y

    def _check_spec(self, args: tuple) -> None:
        if self.input_spec is not None and args:
            check_inputs(self.input_spec, args[0], self.name)

    def _build_for(self, names: tuple[str, ...], args: tuple, kwargs: dict) -> None:
        """Call `build` with the shapes of the arguments its parameters ask for."""
        if args and args[0] is None and not self._is_users:
            raise nothing_received(self.name)
        shapes = {name: _shapes(v) for name, v in {**dict(zip(names, args)), **kwargs}.items()}
        if not shapes and not self._is_users:
            raise missing_inputs(self.name)
        wanted = build_parameters(type(self).build)
        if len(wanted) == 1:
            self.build(next(iter(shapes.values()), None))
            return
        given = {f"{name}_shape": shape for name, shape in shapes.items() if shape is not None}
        missing = [p for p, needed in wanted.items() if needed and p not in given]
        if missing:
            raise missing_inputs(self.name, missing, names)
        self.build(**{p: given[p] for p in wanted if p in given})

    def _attach_mask(self, inputs: Any, outputs: Any, mask: Any) -> None:
        if self.supports_masking:
            attach_masks(outputs, self.compute_mask(inputs, mask))
        elif mask is not None:
            warn_user(
                f"Layer '{self.name}' ({type(self).__name__}) does not support masks; the mask of "
                f"its input ends here.",
            )

    def _regularize_activity(self, outputs: Any) -> None:
        """Add the penalty of the outputs, per sample of the batch."""
        for output in outputs if isinstance(outputs, (list, tuple)) else [outputs]:
            batch = output.shape[0] if output.shape else 1
            if isinstance(output, Tensor) and batch:
                self.add_loss(self.activity_regularizer(output) / batch)

    def __getattr__(self, name: str) -> Any:
        """What is not there: say why it may be missing."""
        if name.startswith("__"):
            raise AttributeError(name)
        prop = getattr(type(self), name, None)
        if isinstance(prop, property) and prop.fget is not None:
            return prop.fget(self)  # which has failed, and says why again
        if "_weights" not in vars(self):
            raise RuntimeError(
                f"{type(self).__name__}.__init__() must call super().__init__() before all else."
            )
        hint = "" if self.built else " It is not built yet: weights are made at the first call."
        if name in ("save", "save_weights", "load_weights", "export"):
            hint = " Models cannot be saved yet: see docs/keras-differences.md."
        raise AttributeError(f"Layer '{self.name}' has no attribute '{name}'.{hint}")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"


def _shapes(value: Any) -> Any:
    """The shape of a tensor, or the shapes in a container of tensors; None of other things."""
    if isinstance(value, (list, tuple)):
        return [_shapes(v) for v in value]
    if isinstance(value, dict):
        return {k: _shapes(v) for k, v in value.items()}
    return tuple(value.shape) if hasattr(value, "shape") else None


def _building(build: Any) -> Any:
    """`build` under the layer's name, after which the layer counts as built."""

    @functools.wraps(build)
    def wrapped(self: Layer, *args: Any, **kwargs: Any) -> None:
        if self._in_build:  # super().build(...)
            build(self, *args, **kwargs)
            return
        self._build_shapes = {**dict(zip(build_parameters(build), args)), **kwargs}
        self._in_build = True
        try:
            with name_scope(self.name) as self._path, outside_calls():
                build(self, *args, **kwargs)
        finally:
            self._in_build = False
        self.built = True

    return wrapped
