"""The estimators around models: what scikit-learn asks of `fit`, `predict` and their friends."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, TransformerMixin
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_is_fitted, validate_data

from gpunn.callbacks import History
from gpunn.models import Model
from gpunn.models.copying import untrained_copy

_DATA = ("self", "x", "y")


class ModelEstimator(BaseEstimator):
    """What the three estimators share.

    `model`: a compiled model, or a function that is called with ``X=, y=`` (as the model will get
    them) and `model_kwargs`, and returns one. Each `fit` trains a new model: what the function
    returns, or a copy of the given one with new weights. With `warm_start`, the given model itself
    is trained, and a later `fit` goes on with the model of the last one.

    `fit_kwargs` are arguments of `model.fit`; those that `fit` is called with come before them.

    Attributes after `fit`: `model_`, the trained model; `history_`, what `model.fit` returned;
    `n_features_in_`, and `feature_names_in_` where X has names. When `fit` raises, they are what
    they were before.
    """

    #: What metadata routing may pass on to `fit`, by `set_fit_request(class_weight=True)`.
    __metadata_request__fit = dict.fromkeys(
        name for name in inspect.signature(Model.fit).parameters if name not in _DATA
    )
    _several_outputs = False
    model_: Model
    history_: History

    def __init__(
        self,
        model: Model | Callable[..., Model],
        warm_start: bool = False,
        model_kwargs: Mapping[str, Any] | None = None,
        fit_kwargs: Mapping[str, Any] | None = None,
    ):
        self.model = model
        self.warm_start = warm_start
        self.model_kwargs = model_kwargs
        self.fit_kwargs = fit_kwargs

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.non_deterministic = True  # weights and shuffling, unless the seed is set
        tags.input_tags.three_d_array = True
        tags.target_tags.required = True
        tags.target_tags.multi_output = self._several_outputs
        return tags

    @property
    def epoch_(self) -> int:
        """How many epochs the last `fit` took; 0 before it."""
        return len(self.history_.epoch) if hasattr(self, "history_") else 0

    def fit(self, X: Any, y: Any, **kwargs: Any) -> Any:
        """Train with X (n, ...) and y (n,) or, but for classes, (n, outputs); returns self.

        `kwargs`: arguments of `model.fit`, such as `epochs`, `verbose`, `sample_weight`.
        """
        with self._unchanged_by_errors():
            goes_on = self.warm_start and hasattr(self, "model_")
            several = self._several_outputs
            X, y = validate_data(
                self,
                X,
                y,
                reset=not goes_on,
                allow_nd=True,
                multi_output=several,
                y_numeric=several,
            )
            targets = self._targets(y, goes_on)
            model = self.model_ if goes_on else self._new_model(X, targets)
            self.history_ = model.fit(X, targets, **{**(self.fit_kwargs or {}), **kwargs})
            self.model_ = model
        return self

    def predict(self, X: Any) -> np.ndarray:
        """What the trained model says of each row of X: (n,), or (n, outputs) as y was."""
        return self._predictions(self._outputs(X))

    # --- to override ---

    def _targets(self, y: np.ndarray, goes_on: bool) -> np.ndarray:
        """y as the model gets it."""
        self._y_ndim = y.ndim
        return y.reshape(-1, 1) if y.ndim == 1 else y

    def _predictions(self, outputs: np.ndarray) -> np.ndarray:
        """The model's outputs in the form of the y of `fit`."""
        flat = self._y_ndim == 1 and outputs.ndim == 2 and outputs.shape[1] == 1
        return outputs[:, 0] if flat else outputs

    # --- the model ---

    def _new_model(self, X: np.ndarray, y: np.ndarray) -> Model:
        if not callable(self.model):
            raise TypeError(
                f"model must be a model or a function that returns one, received {self.model!r}."
            )
        if not isinstance(self.model, Model):
            model = self.model(X=X, y=y, **(self.model_kwargs or {}))
        elif self.model_kwargs:
            raise ValueError(
                f"model_kwargs are for a function that makes a model; model is the model "
                f"'{self.model.name}' itself. Received model_kwargs={self.model_kwargs!r}."
            )
        else:
            model = self.model
        if not isinstance(model, Model):
            raise TypeError(
                f"model must be a model or a function that returns one; the function "
                f"{self.model!r} returned {model!r}."
            )
        if not model.compiled:
            raise RuntimeError(
                f"The model '{model.name}' is not compiled. Call model.compile(optimizer, loss) "
                f"before it is given to {type(self).__name__}."
            )
        copies = model is self.model and not self.warm_start
        return untrained_copy(model) if copies else model

    def _outputs(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, allow_nd=True)
        return self.model_.predict(X, verbose=0)

    @contextmanager
    def _unchanged_by_errors(self) -> Iterator[None]:
        before = dict(self.__dict__)
        try:
            yield
        except BaseException:
            self.__dict__ = before
            raise


class SKLearnClassifier(ClassifierMixin, ModelEstimator):
    """A classifier for scikit-learn. The model has one output for each class.

    Labels may be numbers or strings. The model gets them one-hot, (n, classes), in the order of
    `classes_`; `class_weight` among the arguments of `fit` is by that order: ``{0: 1.0, 1: 9.0}``.

    >>> def make(X, y, units=16):
    ...     model = gpunn.Sequential([
    ...         gpunn.Input(X.shape[1:]),
    ...         gpunn.layers.Dense(units, activation="relu"),
    ...         gpunn.layers.Dense(y.shape[1], activation="softmax"),
    ...     ])
    ...     model.compile("adam", "categorical_crossentropy")
    ...     return model
    >>> classifier = SKLearnClassifier(make, fit_kwargs={"epochs": 20, "verbose": 0})
    >>> cross_validate(classifier, X, y, cv=5)
    """

    classes_: np.ndarray

    def decision_function(self, X: Any) -> np.ndarray:
        """The outputs of the model, (n, classes); of two classes their difference, (n,), which is
        positive for the second class.
        """
        outputs = self._outputs(X)
        return outputs[:, 1] - outputs[:, 0] if len(self.classes_) == 2 else outputs

    def _targets(self, y: np.ndarray, goes_on: bool) -> np.ndarray:
        check_classification_targets(y)
        kind = type_of_target(y)
        if kind not in ("binary", "multiclass"):
            raise ValueError(f"{type(self).__name__} takes one label a row, received {kind}.")
        found = np.unique(y)
        if goes_on:
            new = [label for label in found.tolist() if label not in self.classes_]
            if new:
                raise ValueError(
                    f"With warm_start the classes stay those of the first fit, "
                    f"{self.classes_.tolist()}; received y with {new}."
                )
        elif len(found) == 1:
            raise ValueError(
                f"{type(self).__name__} cannot train with one class only: all of y is "
                f"{found.tolist()[0]!r}."
            )
        else:
            self.classes_ = found
        return (y[:, None] == self.classes_).astype("float32")

    def _predictions(self, outputs: np.ndarray) -> np.ndarray:
        return self.classes_[outputs.argmax(axis=1)]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.poor_score = True  # after one epoch, which is the default
        return tags


class SKLearnRegressor(RegressorMixin, ModelEstimator):
    """A regressor for scikit-learn; y is (n,) or (n, outputs).

    >>> def make(X, y, units=16):
    ...     model = gpunn.Sequential([
    ...         gpunn.Input(X.shape[1:]),
    ...         gpunn.layers.Dense(units, activation="relu"),
    ...         gpunn.layers.Dense(y.shape[1]),
    ...     ])
    ...     model.compile("adam", "mse")
    ...     return model
    >>> regressor = SKLearnRegressor(make, fit_kwargs={"epochs": 20, "verbose": 0})
    >>> GridSearchCV(regressor, {"model_kwargs": [{"units": 8}, {"units": 32}]}).fit(X, y)
    """

    _several_outputs = True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = True  # after one epoch, which is the default
        return tags


class SKLearnTransformer(TransformerMixin, ModelEstimator):
    """A step of a scikit-learn pipeline that replaces X by the outputs of a trained model.

    >>> make_pipeline(SKLearnTransformer(make_embedding), LogisticRegression()).fit(X, y)
    """

    _several_outputs = True

    def transform(self, X: Any) -> np.ndarray:
        """The model's outputs for X."""
        return self._outputs(X)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags
