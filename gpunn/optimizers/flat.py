"""Flat buffers: the weights, gradients and slots of many variables in one array each.

One update kernel then serves a whole model. Variables become views of the flat weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from gpunn.autodiff.variable import Variable
from gpunn.backend.devices import backend_of
from gpunn.backend.protocol import Array

_ALIGNMENT = 32  # elements: each variable starts on a boundary that vector loads can use


class FlatGroup:
    """Variables of one dtype and device, side by side.

    The gaps of the alignment hold zeros in every buffer, and stay zero under every update.
    """

    def __init__(self, variables: Sequence[Variable], rates: int):
        self.variables = list(variables)
        first = self.variables[0].data
        self.backend, self.dtype = backend_of(first), first.dtype
        self.bounds: list[tuple[int, int]] = []
        end = 0
        for variable in self.variables:
            start = -(-end // _ALIGNMENT) * _ALIGNMENT
            end = start + prod(variable.shape)
            self.bounds.append((start, end))
        self.size = end
        self.weights = self.buffer()
        self.gradients = self.buffer()
        self.weight_views = self.views(self.weights)
        self.gradient_views = self.views(self.gradients)
        #: What the update of this step reads: the learning rate, or what a method makes of it.
        self.rate = self.backend.zeros((rates,), self.dtype)
        self.bind()
        self.backend.release_cache()  # the memory in which the weights have been so far

    def buffer(self, value: float = 0.0) -> Array:
        """A flat array with room for every variable, filled with `value`."""
        flat = self.backend.zeros((self.size,), self.dtype)
        if value:
            flat.fill(value)
        return flat

    def views(self, flat: Array) -> list[Array]:
        """The part of a flat array for each variable, in its shape."""
        return [self.view(flat, i) for i in range(len(self.variables))]

    def view(self, flat: Array, i: int) -> Array:
        """The part of a flat array for variable `i`, in its shape."""
        start, end = self.bounds[i]
        return flat[start:end].reshape(self.variables[i].shape)

    def bind(self) -> None:
        """Make the variables views of `weights`, where they are not (any more)."""
        for variable, view in zip(self.variables, self.weight_views, strict=True):
            if variable.data is not view:
                variable.rebind(view)

    def runs(self, chosen: Sequence[bool], apart: bool = False) -> list[slice]:
        """The fewest slices of the flat buffers that cover the chosen variables only; `apart`: one
        for each of them.
        """
        if apart:
            return [slice(*ends) for take, ends in zip(chosen, self.bounds, strict=True) if take]
        slices: list[slice] = []
        previous = False
        for take, (start, end) in zip(chosen, self.bounds, strict=True):
            if take and previous:
                slices[-1] = slice(slices[-1].start, end)
            elif take:
                slices.append(slice(start, end))
            previous = take
        return slices


def group_variables(variables: Sequence[Variable], rates: int = 1) -> list[FlatGroup]:
    """One `FlatGroup` for each dtype and device, in order of appearance, with so many rates."""
    kinds: dict[tuple[str, str], list[Variable]] = {}
    for variable in variables:
        kinds.setdefault((variable.dtype, variable.device), []).append(variable)
    return [FlatGroup(members, rates) for members in kinds.values()]
