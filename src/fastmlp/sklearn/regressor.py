"""The regressor."""

from typing import Any, Self

import numpy as np
from sklearn.base import RegressorMixin, _fit_context
from sklearn.utils import column_or_1d
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from ..checks import array_checks
from ..kernels.base.arrays import Array
from ..kernels.compiler.custom import Loss
from ..kernels.functions.function import numbers_of
from ..kernels.functions.losses import LOSSES
from . import parameters
from .estimator import BaseMLP
from .held_out import Score, others
from .scores import r2
from .targets import Target, poisson_deviances, squared_errors

THEIRS = {"squared_error": "mean_squared_error", "poisson": "poisson"}
AMOUNTS = ("real numbers", "positive", "non-negative")
_ROWS = [row for row in LOSSES.values() if row.public and row.targets in AMOUNTS]
_OURS = {row.name for row in _ROWS if row.outputs_per_target(numbers_of(LOSSES, row.name)) == 1}


class MLPRegressor(RegressorMixin, BaseMLP):  # type: ignore[misc]
    """A multilayer perceptron that tells amounts: scikit-learn's `MLPRegressor`, trained by fastmlp.

    Parameters and attributes are scikit-learn's, with the same meaning and the same defaults; those after `max_fun`
    are additions that change nothing unless they are given.

    Parameters
    ----------
    loss : str or object with settings, default "squared_error"
        "squared_error", half of it, and over several outputs what the installed scikit-learn reports, which is the
        mean up to version 1.9; "poisson", half of the deviance; or one of fastmlp's, such as
        "mean_absolute_error" or `fastmlp.Huber(2.0)`, with one output for each target; or your own `fastmlp.Loss`.
    hidden_layer_sizes : int or sequence of int, default (100,)
        How many neurons there are in each hidden layer.
    activation : str, object with settings, or list of them, default "relu"
        Of the hidden layers: scikit-learn's "identity", "logistic", "tanh" and "relu", and all of
        `fastmlp.NeuralNetwork`; a list has one for each layer.
    solver : str, Optimizer or LBFGS, default "adam"
        "sgd", "adam" and "lbfgs" as scikit-learn has them, the other names of fastmlp's optimizers, or an object such
        as `fastmlp.AdamW()`, which has its own learning rate.
    alpha : float, default 0.0001
        alpha / 2 times the sum of squares of all weights, divided by what the batch weighs, is added to the loss.
    batch_size : int or "auto", default "auto"
        "auto": 200, or all samples if these are fewer.
    learning_rate : str, schedule or callable, default "constant"
        Of the solver "sgd": "constant"; "invscaling", learning_rate_init / t^power_t from the second epoch on, t - 1
        being the samples seen before; or "adaptive", divided by 5 where training would otherwise have stopped, until it
        is 1e-6. A schedule such as `fastmlp.Cosine(0.01, epochs=50)`, or a function of the epoch's number, is for all
        solvers but "lbfgs".
    learning_rate_init : float, default 0.001
    power_t : float, default 0.5
    max_iter : int, default 200
        The most epochs, or iterations of "lbfgs".
    shuffle : bool, default True
        Draw a new order of the samples for every epoch; scikit-learn's own.
    random_state : int, RandomState or None, default None
        Fixes first weights, the samples held out and the orders, which are those that scikit-learn draws of it: the fit
        is scikit-learn's, up to rounding. With an integer, every `partial_fit` takes the samples in the same order. A
        RandomState, or NumPy's global one, is left as scikit-learn would leave it, if nothing else draws from it
        meanwhile; fits at the same time may draw the same orders. A generator of another kind seeds a Mersenne twister
        for each fit, and orders are not scikit-learn's. What is dropped is drawn from a copy.
    tol : float, default 0.0001
        Training stops when the loss, or the validation score with `early_stopping`, has not become better by this for
        more than `n_iter_no_change` epochs. "lbfgs" stops when no derivative is larger.
    verbose : bool or int, default False
        Print a line for every epoch.
    warm_start : bool, default False
        Begin a further `fit` with the weights that there are. A loss with another output activation is refused then.
        What is best so far, and for how long, counts on where data and weights are as the last fit left them; on other
        data, or with other samples held out, it begins anew.
    momentum : float, default 0.9
    nesterovs_momentum : bool, default True
        Of the solver "sgd".
    early_stopping : bool, default False
        Hold out a part of the samples, stop by the score on them, and keep the weights of the best epoch. A warning
        says if training diverged, or if no epoch is better than the beginning was.
    validation_fraction : float, default 0.1
        How large that part is.
    beta_1, beta_2, epsilon : float, default 0.9, 0.999 and 1e-8
        Of the solver "adam".
    n_iter_no_change : int or inf, default 10
    max_fun : int, default 15000
        How often "lbfgs" may look at the loss.
    dropout : float or sequence of float, default 0
        The probability with which activations of hidden layers are dropped in training: one for all, or one for each.
    clip_value, clip_norm : float or None, default None
        Bring every derivative to the interval from -clip_value to clip_value; then a gradient whose norm is above
        clip_norm down to it. Not of "lbfgs".
    dtype : str or None, default None
        "float32" or "float64": of the weights and all arithmetic. None: that of X, or "float64", as always for "lbfgs".
    threads : int or None, default None
        The most threads to work with. None: as many as there are, but one in processes and threads of joblib's.

    Attributes
    ----------
    coefs_, intercepts_ : list of array
        Weights (inputs, outputs) and biases (outputs,) of each layer. They may be changed, or others assigned.
    loss_ : float
    best_loss_ : float or None
    loss_curve_ : list of float
        With the penalty, as scikit-learn has it; none of "lbfgs".
    validation_scores_, best_validation_score_ : list of float and float, or None
        R2 after every epoch on what was held out, or on `X_val`.
    n_iter_, t_ : int
        Epochs of the last fit; samples seen in all.
    n_features_in_, feature_names_in_, n_layers_, n_outputs_, out_activation_
        As scikit-learn has them.

    Notes
    -----
    A fit changes the estimator in the end, at once: if it is refused, fails or is broken off, all is as it was. Ctrl-C
    ends a training by steps with a warning, after the epochs that there are.

    What differs from scikit-learn's: a `learning_rate_init` that is set between calls of `partial_fit` takes effect.
    A training that diverges is an error; with `early_stopping` it ends with a warning, and the weights are those of the
    best epoch, or those from before if these have the better score. Negative weights of samples are refused. With these
    weights and several batches, `loss_curve_` counts each batch by what it weighs, where scikit-learn counts its
    samples, so that training may stop an epoch sooner or later by `tol`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmlp.sklearn import MLPRegressor
    >>> X = np.linspace(0, 3, 100)[:, np.newaxis]
    >>> regressor = MLPRegressor(hidden_layer_sizes=20, solver="lbfgs", activation="tanh", random_state=0)
    >>> bool(regressor.fit(X, np.sin(X[:, 0])).score(X, np.sin(X[:, 0])) > 0.99)
    True
    """

    _parameter_constraints = {  # noqa: RUF012
        **parameters.CONSTRAINTS,
        "loss": [StrOptions({*THEIRS, *_OURS}), Loss, *(row.settings for row in _ROWS if row.settings)],
    }

    def __init__(
        self,
        loss: Any = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: Any = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: Any = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        dropout: Any = 0.0,
        clip_value: float | None = None,
        clip_norm: float | None = None,
        dtype: Any = None,
        threads: int | None = None,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.loss = loss
        self.dropout = dropout
        self.clip_value = clip_value
        self.clip_norm = clip_norm
        self.dtype = dtype
        self.threads = threads

    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator, unused-ignore]
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
        validation_data: Any = None,
    ) -> Self:
        """Train the network from the beginning, or with `warm_start` from where it is.

        Parameters
        ----------
        X : array or sparse matrix (n_samples, n_features)
        y : array (n_samples,) or (n_samples, n_outputs)
        sample_weight : array (n_samples,), default None
        X_val, y_val, sample_weight_val : array, default None
            Samples whose score is measured after every epoch; with `early_stopping`, in place of a part that is held
            out. `Pipeline(..., transform_input=["X_val"])` transforms them as X.
        validation_data : tuple of arrays, default None
            The same as (X_val, y_val) or (X_val, y_val, sample_weight_val).

        Returns
        -------
        MLPRegressor
            Itself.

        Raises
        ------
        ValueError, TypeError
            If an argument is none of what is allowed, or training diverged.

        Examples
        --------
        See `MLPRegressor`.
        """
        return self._fit(X, y, sample_weight, others(X_val, y_val, sample_weight_val, validation_data))

    @available_if(lambda estimator: estimator._check_solver())  # type: ignore[untyped-decorator, unused-ignore]
    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator, unused-ignore]
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Go on for one epoch over these samples.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.

        Returns
        -------
        MLPRegressor
            Itself.

        Raises
        ------
        ValueError, TypeError
            As for `fit`; and with `early_stopping`.

        Examples
        --------
        >>> from fastmlp.sklearn import MLPRegressor
        >>> regressor = MLPRegressor(hidden_layer_sizes=5, random_state=0)
        >>> for _ in range(3):
        ...     regressor = regressor.partial_fit([[0.0], [1.0]], [1.0, 3.0])
        >>> len(regressor.loss_curve_)
        3
        """
        return self._fit(X, y, sample_weight, incremental=True)

    def predict(self, X: Any) -> Array:
        """The outputs.

        Parameters
        ----------
        X : array or sparse matrix (n_samples, n_features)

        Returns
        -------
        array (n_samples,) or (n_samples, n_outputs)

        Examples
        --------
        See `MLPRegressor`.
        """
        check_is_fitted(self)
        return self._predict(X)

    def _predict(self, X: Any, check_input: bool = True) -> Array:
        outputs = self._outputs(X, check_input)
        return outputs.ravel() if outputs.shape[1] == 1 else outputs

    # --- what `BaseMLP` asks

    def _checked_target(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Target, Any]:
        array_checks.refuse_sparse("y", y)
        X, y = validate_data(
            self, X, y, accept_sparse=["csr", "csc"], multi_output=True, y_numeric=True,
            dtype=(np.float64, np.float32), reset=reset,
        )  # fmt: skip
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if y.dtype.kind not in "fiub":
            raise TypeError(f"y must be numbers, got dtype {y.dtype}")
        return X, self._target(y), y

    def _target(self, y: Array) -> Target:
        y = y if y.ndim == 2 else y[:, np.newaxis]
        parameters.check_amounts(THEIRS.get(self.loss, self.loss) if isinstance(self.loss, str) else self.loss, y)
        if self.loss == "squared_error":
            return squared_errors(y)
        if self.loss == "poisson":
            return poisson_deviances(y)
        return Target(y, self.loss, y.shape[1])

    def _checked_others(self, y: Any, argument: str) -> Any:
        array_checks.refuse_sparse(argument, y)
        return check_array(y, ensure_2d=False, dtype="numeric", input_name=argument)

    def _score_of(self) -> Score:
        return r2
