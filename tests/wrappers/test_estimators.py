"""The wrappers as users of scikit-learn's model selection use them."""

import pickle
import subprocess
import sys

import numpy as np
import pytest

import gpunn as keras
from tests.wrappers.making import CLASSES, QUIET, make

pytest.importorskip("sklearn", "1.6")

import sklearn
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    cross_val_predict,
    cross_validate,
    learning_curve,
    validation_curve,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gpunn.wrappers import SKLearnClassifier, SKLearnRegressor, SKLearnTransformer

NAMES = np.array(["setosa", "versicolor", "virginica"])


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))
    return StandardScaler().fit_transform(X[order]), y[order]


@pytest.fixture
def line():
    """y = 2x + 1, and a second output of -x."""
    X = np.linspace(-1, 1, 40)[:, None]
    return X, np.hstack([2 * X + 1, -X])


def classifier(**fit_kwargs):
    return SKLearnClassifier(make, model_kwargs=CLASSES, fit_kwargs={**QUIET, **fit_kwargs})


# --- model selection ---


def test_cross_validate_equals_training_by_hand(iris):
    X, y = iris
    folds = KFold(3)
    found = cross_validate(classifier(), X, y, cv=folds)["test_score"]
    expected = []
    for train, test in folds.split(X):
        one_hot = np.eye(3, dtype="float32")[y[train]]
        model = make(X[train], one_hot, **CLASSES)
        model.fit(X[train], one_hot, **QUIET)
        expected.append(np.mean(model.predict(X[test], verbose=0).argmax(1) == y[test]))
    np.testing.assert_allclose(found, expected)
    assert found.min() > 0.8


def test_pipeline_with_several_scores(iris):
    X, y = iris
    scores = ["accuracy", "f1_macro"]
    found = cross_validate(
        make_pipeline(StandardScaler(), classifier()), X, y, cv=3, scoring=scores
    )
    assert found["test_accuracy"].min() > 0.9 and found["test_f1_macro"].min() > 0.9


def test_two_classes_have_a_roc_curve(iris):
    X, y = iris
    chosen = y != 0  # the two that overlap
    found = cross_validate(classifier(), X[chosen], y[chosen], cv=3, scoring="roc_auc")
    assert found["test_score"].min() > 0.9


def test_grid_search_finds_the_better_and_keeps_it(iris):
    X, y = iris
    grid = {"model_kwargs": [{**CLASSES, "rate": rate} for rate in (0.0, 0.1)]}
    search = GridSearchCV(classifier(), grid, cv=3).fit(X, y)
    assert search.best_params_["model_kwargs"]["rate"] == 0.1
    assert search.score(X, y) > 0.9
    again = pickle.loads(pickle.dumps(search))
    np.testing.assert_array_equal(again.predict(X), search.predict(X))


def test_learning_and_validation_curves(iris):
    X, y = iris
    sizes, train, test = learning_curve(classifier(), X, y, cv=3, train_sizes=[20, 100])
    assert sizes.tolist() == [20, 100] and train.shape == test.shape == (2, 3)
    kwargs = [{**CLASSES, "l2": l2} for l2 in (0.0, 100.0)]
    _, test = validation_curve(
        classifier(), X, y, param_name="model_kwargs", param_range=kwargs, cv=3
    )
    assert test[0].mean() > test[1].mean() + 0.2


def test_predictions_of_each_fold_are_labels(iris):
    X, y = iris
    found = cross_val_predict(classifier(), X, NAMES[y], cv=3)
    assert set(found) <= set(NAMES) and np.mean(found == NAMES[y]) > 0.9


def test_transformer_feeds_another_estimator(iris):
    X, y = iris
    transformer = SKLearnTransformer(make, fit_kwargs=QUIET)
    pipeline = make_pipeline(StandardScaler(), transformer, LogisticRegression())
    assert pipeline.fit(X, y).score(X, y) > 0.8
    inner = pipeline[1]
    hidden = inner.transform(X)
    np.testing.assert_array_equal(hidden, inner.model_.predict(X.astype("float64"), verbose=0))


# --- what is trained ---


def test_classes_one_hot_and_scores(iris):
    X, y = iris
    given = []

    def remembers(X, y, **kwargs):
        given.append(y)
        return make(X, y, **kwargs)

    found = SKLearnClassifier(remembers, model_kwargs=CLASSES, fit_kwargs=QUIET).fit(X, NAMES[y])
    np.testing.assert_array_equal(given[0], np.eye(3)[y])
    assert found.classes_.tolist() == NAMES.tolist()
    outputs = found.model_.predict(X, verbose=0)
    np.testing.assert_array_equal(found.decision_function(X), outputs)
    np.testing.assert_array_equal(found.predict(X), NAMES[outputs.argmax(1)])
    two = found.fit(X, NAMES[np.minimum(y, 1)])
    outputs = two.model_.predict(X, verbose=0)
    np.testing.assert_allclose(two.decision_function(X), outputs[:, 1] - outputs[:, 0])


def test_regressors_answer_in_the_form_of_y(line):
    X, y = line
    several = SKLearnRegressor(make, fit_kwargs={**QUIET, "epochs": 60}).fit(X, y)
    assert several.predict(X).shape == (40, 2) and several.score(X, y) > 0.95
    one = clone(several).fit(X, y[:, 0])
    assert one.predict(X).shape == (40,) and one.score(X, y[:, 0]) > 0.95
    column = clone(several).fit(X, y[:, :1])
    np.testing.assert_array_equal(column.predict(X), one.predict(X)[:, None])


def test_images_are_taken(iris):
    X, y = iris
    found = classifier().fit(X.reshape(-1, 2, 2), y)
    np.testing.assert_array_equal(
        found.predict(X.reshape(-1, 2, 2)), classifier().fit(X, y).predict(X)
    )


def test_arguments_of_fit_come_before_fit_kwargs(line):
    X, y = line
    fit_kwargs = {"epochs": 3, "verbose": 0}
    regressor = SKLearnRegressor(make, fit_kwargs=fit_kwargs)
    assert regressor.epoch_ == 0
    assert regressor.fit(X, y).epoch_ == 3
    assert regressor.fit(X, y, epochs=2).epoch_ == 2
    assert regressor.history_.epoch == [0, 1] and len(regressor.history_.history["loss"]) == 2
    assert regressor.fit_kwargs is fit_kwargs and fit_kwargs == {"epochs": 3, "verbose": 0}


def test_sample_weights_reach_the_folds(line):
    X, y = line[0], np.where(np.arange(40) % 2, 1.0, -1.0)
    weights = (y > 0).astype(float)  # only the ones count
    regressor = SKLearnRegressor(make, fit_kwargs={**QUIET, "epochs": 40})
    found = cross_val_predict(regressor, X, y, cv=4, params={"sample_weight": weights})
    np.testing.assert_allclose(found, 1, atol=0.3)  # without weights about 0


def test_metadata_routing(line):
    X, y = line[0], np.where(np.arange(40) % 2, 1.0, -1.0)
    with sklearn.config_context(enable_metadata_routing=True):
        regressor = SKLearnRegressor(make, fit_kwargs={**QUIET, "epochs": 40})
        regressor.set_fit_request(sample_weight=True)
        pipeline = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), regressor)
        pipeline.fit(X, y, sample_weight=(y > 0).astype(float))
    np.testing.assert_allclose(pipeline.predict(X), 1, atol=0.3)


# --- a model in place of a function ---


def test_a_given_model_is_copied_with_new_weights(line):
    X, y = line
    model = make(X, y)
    before = model.get_weights()
    regressor = SKLearnRegressor(model, fit_kwargs=QUIET).fit(X, y)
    first = regressor.model_
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert first is not model and first.optimizer is not model.optimizer
    assert first.loss == "mse" and float(first.optimizer.learning_rate) == pytest.approx(0.1)
    assert regressor.fit(X, y).model_ is not first


def test_a_clone_has_a_model_of_its_own(line):
    X, y = line
    model = make(X, y)
    twin = clone(SKLearnRegressor(model, warm_start=True, fit_kwargs=QUIET))
    assert twin.model is not model and twin.fit_kwargs == QUIET and twin.warm_start
    before = model.get_weights()
    for a, b in zip(before, twin.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    twin.fit(X, y)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_warm_start_goes_on(line):
    X, y = line
    model = make(X, y)
    regressor = SKLearnRegressor(model, warm_start=True, fit_kwargs=QUIET)
    assert regressor.fit(X, y).model_ is model
    reached = regressor.history_.history["loss"][-1]
    assert regressor.fit(X, y).model_ is model
    assert regressor.history_.history["loss"][0] < 2 * reached
    by_function = SKLearnRegressor(make, warm_start=True, fit_kwargs=QUIET).fit(X, y)
    first = by_function.model_
    assert by_function.fit(X, y).model_ is first
    with pytest.raises(ValueError, match="X has 2 features, but SKLearnRegressor is expecting 1"):
        by_function.fit(np.hstack([X, X]), y)


def test_warm_start_keeps_the_classes(iris):
    X, y = iris
    found = classifier().set_params(warm_start=True).fit(X, NAMES[y])
    found.fit(X[y < 2], NAMES[y[y < 2]])
    assert found.classes_.tolist() == NAMES.tolist()
    with pytest.raises(ValueError, match=r"classes stay .*'virginica'\]; received y with \['rose'"):
        found.fit(X, np.where(y == 1, "rose", "setosa"))


# --- errors ---


def raises_after(X, y, columns):
    if X.shape[1] == columns:
        raise ArithmeticError("no model today")
    return make(X, y, **CLASSES)


def test_errors_leave_the_estimator_as_it_was(iris):
    X, y = iris
    found = SKLearnClassifier(raises_after, model_kwargs={"columns": 2}, fit_kwargs=QUIET)
    with pytest.raises(ArithmeticError):
        found.fit(X[:, :2], y)
    with pytest.raises(NotFittedError):
        found.predict(X)
    assert not hasattr(found, "classes_") and not hasattr(found, "n_features_in_")
    found.fit(X, y)
    expected, before = found.predict(X), dict(vars(found))
    with pytest.raises(ArithmeticError):
        found.fit(X[:, :2], np.minimum(y, 1))
    with pytest.raises(ValueError, match="validation_split"):
        found.fit(X, y, validation_split=2.0)
    assert vars(found) == before
    np.testing.assert_array_equal(found.predict(X), expected)


@pytest.mark.parametrize(
    ("model", "kwargs", "error", "message"),
    [
        (lambda X, y: None, {}, TypeError, "function .* returned None"),
        (3, {}, TypeError, "must be a model or a function that returns one, received 3"),
        (keras.Sequential([keras.layers.Dense(3)]), {}, RuntimeError, "is not compiled"),
        (
            keras.Sequential([keras.layers.Dense(3)], name="own"), {"units": 3}, ValueError,
            "model is the model 'own' itself. Received model_kwargs={'units': 3}",
        ),
    ],
    ids=["none", "number", "uncompiled", "model_kwargs"],
)  # fmt: skip
def test_what_is_no_compiled_model(iris, model, kwargs, error, message):
    with pytest.raises(error, match=message.replace("{", r"\{")):
        SKLearnClassifier(model, model_kwargs=kwargs).fit(*iris)


def test_labels_that_are_no_classes(iris):
    X, _ = iris
    with pytest.raises(ValueError, match="cannot train with one class only: all of y is 'a'"):
        classifier().fit(X, np.full(len(X), "a"))
    with pytest.raises(ValueError, match="[Cc]ontinuous"):
        classifier().fit(X, X[:, 0])


# --- without scikit-learn ---


def test_scikit_learn_is_imported_when_it_is_used():
    code = (
        "import sys, gpunn as keras\n"
        "keras.wrappers\n"
        "print('sklearn' in sys.modules, dir(keras.wrappers))\n"
        "sys.modules['sklearn'] = None\n"
        "try:\n    keras.wrappers.SKLearnRegressor\n"
        "except keras.errors.MissingExtraError as error:\n    print(error)\n"
        "try:\n    keras.wrappers.Nothing\n"
        "except AttributeError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines() == [
        "False ['SKLearnClassifier', 'SKLearnRegressor', 'SKLearnTransformer']",
        "gpunn.wrappers.SKLearnRegressor needs the package 'scikit-learn', which is not installed. "
        "Install it with: pip install 'gpunn[sklearn]'.",
        "module 'gpunn.wrappers' has no attribute 'Nothing'",
    ], done.stderr


def test_arguments_are_those_of_keras():
    import inspect

    theirs = pytest.importorskip("keras").wrappers
    for name in keras.wrappers.__all__:
        ours, expected = getattr(keras.wrappers, name), getattr(theirs, name)
        assert str(_bare(inspect.signature(ours))) == str(_bare(inspect.signature(expected)))
        public = {m for m in dir(expected) if not m.startswith("_")}
        assert public <= set(dir(ours))


def _bare(signature):
    return signature.replace(
        parameters=[p.replace(annotation=p.empty) for p in signature.parameters.values()],
        return_annotation=signature.empty,
    )
