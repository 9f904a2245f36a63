"""Initializers: the first values of weights, under the names of `keras.initializers`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpunn import objects as _objects
from gpunn.initializers.base import Initializer
from gpunn.initializers.fixed import Constant, GivenValues, Identity, Ones, Zeros
from gpunn.initializers.fourier import STFT
from gpunn.initializers.random import Orthogonal, RandomNormal, RandomUniform, TruncatedNormal
from gpunn.initializers.scaling import (
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
    VarianceScaling,
)

IdentityInitializer = identity = Identity
OrthogonalInitializer = orthogonal = Orthogonal
STFTInitializer = stft = STFT
constant, ones, zeros = Constant, Ones, Zeros
glorot_normal, glorot_uniform = GlorotNormal, GlorotUniform
he_normal, he_uniform = HeNormal, HeUniform
lecun_normal, lecun_uniform = LecunNormal, LecunUniform
random_normal, random_uniform, truncated_normal = RandomNormal, RandomUniform, TruncatedNormal
variance_scaling = VarianceScaling

_TABLE = _objects.by_names(
    Constant, GivenValues, GlorotNormal, GlorotUniform, HeNormal, HeUniform, Identity, LecunNormal,
    LecunUniform, Ones, Orthogonal, RandomNormal, RandomUniform, STFT, TruncatedNormal,
    VarianceScaling, Zeros,
    IdentityInitializer=Identity, OrthogonalInitializer=Orthogonal, STFTInitializer=STFT,
    normal=RandomNormal, one=Ones, uniform=RandomUniform, zero=Zeros,
)  # fmt: skip


def get(identifier: Any) -> Any:
    """The initializer that a name, config, class, array or callable `(shape, dtype)` stands for.

    A name gives a new instance, an array or tensor one that returns it; None stays None.

    >>> gpunn.initializers.get("he_normal")
    """
    if hasattr(identifier, "shape") and hasattr(identifier, "dtype"):
        return GivenValues(identifier)
    return _objects.lookup("initializer", identifier, _TABLE)


def serialize(initializer: Any) -> Any:
    """A plain description of an initializer, which `deserialize` takes."""
    return _objects.serialize(initializer)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The initializer of a config or name; `custom_objects` adds names of your own."""
    return _objects.lookup("initializer", config, {**_TABLE, **(custom_objects or {})})
