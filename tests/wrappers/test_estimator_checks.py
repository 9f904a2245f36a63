"""scikit-learn's own checks of estimators."""

import pytest

import gpunn as keras
from tests.wrappers.making import CLASSES, make

pytest.importorskip("sklearn", "1.6")

from sklearn.utils import estimator_checks

from gpunn.wrappers import SKLearnClassifier, SKLearnRegressor, SKLearnTransformer

SHORT = {"verbose": 0, "epochs": 4}

#: What fails, and why.
EXPECTED = {
    "SKLearnClassifier": {},
    "SKLearnRegressor": {
        "check_regressor_multioutput": "predictions are float32, as the model's outputs are"
    },
    "SKLearnTransformer": {},
}
#: What scikit-learn leaves out: what it finds no pandas for, and what asks for the same result of
#: each `fit`, which the tag `non_deterministic` denies.
MAY_BE_SKIPPED = {
    "check_pipeline_consistency", "check_array_api_input", "check_classifier_data_not_an_array",
    "check_regressor_data_not_an_array", "check_transformer_data_not_an_array",
    "check_transformer_general",
}  # fmt: skip


@pytest.mark.parametrize(
    "estimator",
    [
        SKLearnClassifier(make, model_kwargs=CLASSES, fit_kwargs=SHORT),
        SKLearnRegressor(make, fit_kwargs=SHORT),
        SKLearnTransformer(make, fit_kwargs=SHORT),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
@pytest.mark.filterwarnings("ignore")
def test_estimator_checks(estimator):
    results = estimator_checks.check_estimator(estimator, on_skip=None, on_fail=None)
    found = {
        status: {r["check_name"]: r["exception"] for r in results if r["status"] == status}
        for status in ("passed", "failed", "skipped", "xfail")
    }
    expected = EXPECTED[type(estimator).__name__]
    assert found["failed"].keys() == expected.keys(), found["failed"]
    assert found["skipped"].keys() <= MAY_BE_SKIPPED and not found["xfail"]
    assert len(found["passed"]) > 30


def test_in_float64_several_outputs_pass_too():
    keras.config.set_floatx("float64")
    estimator = SKLearnRegressor(make, fit_kwargs=SHORT)
    estimator_checks.check_regressor_multioutput("SKLearnRegressor", estimator)
