"""RandAugment and AugMix: a few random ones of many augmentations, in a row or mixed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gpunn import ops
from gpunn.arguments import whole_number
from gpunn.layers.augmentation import ImageAugmentation
from gpunn.layers.augmentation_blur import RandomSharpness
from gpunn.layers.augmentation_color import (
    RandomBrightness,
    RandomColorDegeneration,
    RandomContrast,
    checked_range,
)
from gpunn.layers.augmentation_factor import Range, overlapping
from gpunn.layers.augmentation_geometry import RandomRotation, RandomTranslation
from gpunn.layers.augmentation_shear import RandomShear
from gpunn.layers.augmentation_tone import (
    AutoContrast,
    Equalization,
    RandomPosterization,
    Solarization,
)
from gpunn.random import beta, gamma, randint

_MOVING = {
    "random_shear": (RandomShear, ("x_factor", "y_factor")),
    "random_translation": (RandomTranslation, ("height_factor", "width_factor")),
    "random_rotation": (RandomRotation, ("factor",)),
}
_COLOURING = {
    "random_brightness": (RandomBrightness, ("factor",)),
    "random_color_degeneration": (RandomColorDegeneration, ("factor",)),
    "random_contrast": (RandomContrast, ("factor",)),
    "random_sharpness": (RandomSharpness, ("factor",)),
}
_TONING = {
    "random_posterization": (RandomPosterization, ("factor",)),
    "solarization": (Solarization, ("addition_factor", "threshold_factor")),
    "auto_contrast": (AutoContrast, ()),
    "equalization": (Equalization, ()),
}


class _Policy(ImageAugmentation):
    """Base: layers by name, of which a number on the device says which one acts.

    All of them compute, and the chosen one's result is taken: a recorded step is the same kernels
    each time.
    """

    factor: Range

    def __init__(
        self, value_range: Any, factor: Any, interpolation: str, seed: int | None,
        data_format: str | None, kinds: Mapping[str, tuple[Any, Sequence[str]]], **kwargs: Any,
    ):  # fmt: skip
        super().__init__(seed, data_format, **kwargs)
        self.value_range = checked_range(type(self).__name__, value_range)
        self.factor = overlapping(type(self).__name__, factor, 0, 1)
        self.interpolation = interpolation
        self._steps = {name: self._made(name, *kind) for name, kind in kinds.items()}

    def _made(self, name: str, kind: Any, factors: Sequence[str]) -> ImageAugmentation:
        bits = name == "random_posterization"
        strength = max(1, int(8 * self.factor[1])) if bits else self.factor
        options: dict[str, Any] = dict.fromkeys(factors, strength)
        if name in _MOVING:
            options["interpolation"] = self.interpolation
        else:
            options["value_range"] = self.value_range
        if factors:
            options["seed"] = self.seed
        return kind(**options, data_format=self.data_format, dtype=self.dtype_policy)

    def _drawn(self, images: Any, seed: Any) -> dict[str, Any]:
        """What each of the layers would do."""
        stream = self._stream(seed)
        return {
            name: step.get_random_transformation(images, seed=stream)
            for name, step in self._steps.items()
        }

    def _applied(self, x: Any, chosen: Any, drawn: dict[str, Any], method: str) -> Any:
        """x after the layer of number `chosen`; as it is where there is no such layer."""
        y = x
        for number, (name, step) in enumerate(self._steps.items()):
            changed = getattr(step, method)(x, drawn[name])
            if changed is not x:
                y = ops.where(ops.equal(chosen, number), changed, y)
        return y

    def get_config(self) -> dict[str, Any]:
        names = "value_range", "factor", "interpolation"
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


class RandAugment(_Policy):
    """In training, `num_ops` layers in a row, each drawn anew of eleven, the same for a batch.

    Shear, translation, rotation, brightness, colour degeneration, contrast, sharpness,
    posterization, solarization, auto contrast, equalization. `factor`: their strength, a number f
    for (0, f), or a pair, from 0 to 1.  arXiv:1909.13719

    >>> gpunn.layers.RandAugment(value_range=(0, 1), num_ops=2, factor=0.3)
    """

    def __init__(
        self, value_range: Any = (0, 255), num_ops: int = 2, factor: Any = 0.5,
        interpolation: str = "bilinear", seed: int | None = None, data_format: str | None = None,
        **kwargs: Any,
    ):  # fmt: skip
        kinds = {**_MOVING, **_COLOURING, **_TONING}
        super().__init__(value_range, factor, interpolation, seed, data_format, kinds, **kwargs)
        self.num_ops = whole_number("RandAugment: num_ops", num_ops)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """{"layer_idxes": (num_ops,), "transforms": {name: what this layer would do}}"""
        chosen = randint((self.num_ops,), 0, len(self._steps), seed=self._stream(seed))
        return {"layer_idxes": chosen, "transforms": self._drawn(data, seed)}

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        x = self._compute(images)
        return self._transformed(x, transformation, "transform_images") if training else x

    def transform_segmentation_masks(
        self, segmentation_masks: Any, transformation: Any, training: bool = True
    ) -> Any:
        """The masks, moved as their images."""
        if not training:
            return segmentation_masks
        return self._transformed(segmentation_masks, transformation, "transform_segmentation_masks")

    def _transformed(self, x: Any, transformation: Any, method: str) -> Any:
        for i in range(self.num_ops):
            chosen = transformation["layer_idxes"][i]
            x = self._applied(x, chosen, transformation["transforms"], method)
        return x

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_ops": self.num_ops}


class AugMix(_Policy):
    """In training y = clip(w x + (1 - w) Σ_c v_c chain_c(x)), w from B(alpha, alpha), v from the
    Dirichlet distribution with all parameters alpha; else y = x.

    A chain: `chain_depth` layers in a row, each drawn of those of `RandAugment` (without
    `all_ops`: without brightness, colour degeneration, contrast and sharpness) and of one that does
    nothing; the same for a batch. `factor`: their strength, a number f for (0, f), or a pair, from
    0 to 1. Masks are mixed alike.  arXiv:1912.02781

    >>> gpunn.layers.AugMix(value_range=(0, 1), num_chains=2, factor=0.2)
    """

    def __init__(
        self, value_range: Any = (0, 255), num_chains: int = 3, chain_depth: int = 3,
        factor: Any = 0.3, alpha: float = 1.0, all_ops: bool = True,
        interpolation: str = "bilinear", seed: int | None = None, data_format: str | None = None,
        **kwargs: Any,
    ):  # fmt: skip
        kinds = {**_MOVING, **_TONING, **(_COLOURING if all_ops else {})}
        super().__init__(value_range, factor, interpolation, seed, data_format, kinds, **kwargs)
        self.num_chains = whole_number("AugMix: num_chains", num_chains)
        self.chain_depth = whole_number("AugMix: chain_depth", chain_depth)
        if not isinstance(alpha, (int, float)) or alpha <= 0:
            raise ValueError(f"AugMix: alpha must be a positive number, received {alpha!r}.")
        self.alpha, self.all_ops = alpha, bool(all_ops)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """{"chain_mixing_weights": (num_chains,), "weight_sample": (), "layer_idxes": (num_chains,
        chain_depth), "chain_transforms": one {name: what this layer would do} for each of them}
        """
        stream, shape = self._stream(seed), (self.num_chains, self.chain_depth)
        parts = gamma(shape[:1], self.alpha, dtype="float32", seed=stream)
        return {
            "chain_mixing_weights": parts / ops.sum(parts),
            "weight_sample": beta((), self.alpha, self.alpha, dtype="float32", seed=stream),
            "layer_idxes": randint(shape, 0, len(self._steps) + 1, seed=stream),
            "chain_transforms": [
                [self._drawn(data, seed) for _ in range(self.chain_depth)]
                for _ in range(self.num_chains)
            ],
        }

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        x = self._compute(images)
        if not training:
            return x
        y = self._mixed(x, transformation, "transform_images")
        return ops.clip(y, *map(float, self.value_range))

    def transform_segmentation_masks(
        self, segmentation_masks: Any, transformation: Any, training: bool = True
    ) -> Any:
        """w · mask + (1 - w) Σ_c v_c · that of chain c, which may lie between classes."""
        if not training:
            return segmentation_masks
        masks = self._compute(segmentation_masks)
        return self._mixed(masks, transformation, "transform_segmentation_masks")

    def _mixed(self, x: Any, transformation: Any, method: str) -> Any:
        w = ops.cast(transformation["weight_sample"], x.dtype)
        v = ops.cast(transformation["chain_mixing_weights"], x.dtype)
        mixture: Any = 0
        for c, chain in enumerate(transformation["chain_transforms"]):
            y = x
            for d, drawn in enumerate(chain):
                y = self._applied(y, transformation["layer_idxes"][c, d], drawn, method)
            mixture = y * v[c] + mixture
        return w * x + (1 - w) * mixture

    def get_config(self) -> dict[str, Any]:
        names = "num_chains", "chain_depth", "alpha", "all_ops"
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
