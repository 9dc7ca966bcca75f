"""`MLPClassifier` and `MLPRegressor` of scikit-learn, trained by fastmlp. Needs `pip install fastmlp[sklearn]`."""

from .requirement import check_installation

check_installation()

from .classifier import MLPClassifier  # noqa: E402
from .regressor import MLPRegressor  # noqa: E402

__all__ = ["MLPClassifier", "MLPRegressor"]
