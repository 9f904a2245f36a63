"""Models as estimators for scikit-learn's model selection, as in `keras.wrappers`."""

from typing import TYPE_CHECKING, Any

from gpunn.errors import MissingExtraError

if TYPE_CHECKING:
    from gpunn.wrappers.estimators import SKLearnClassifier, SKLearnRegressor, SKLearnTransformer

__all__ = ["SKLearnClassifier", "SKLearnRegressor", "SKLearnTransformer"]


def __getattr__(name: str) -> Any:
    """The classes are made at first use: their bases are scikit-learn's."""
    if name not in __all__:
        raise AttributeError(f"module 'gpunn.wrappers' has no attribute '{name}'")
    try:
        import sklearn
    except ModuleNotFoundError as error:
        raise MissingExtraError("scikit-learn", "sklearn", f"gpunn.wrappers.{name}") from error
    from gpunn.wrappers import estimators

    return getattr(estimators, name)


def __dir__() -> list[str]:
    return __all__
