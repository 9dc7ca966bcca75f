"""The classifier."""

from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import check_array, column_or_1d, compute_class_weight, compute_sample_weight
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call, type_of_target, unique_labels
from sklearn.utils.validation import check_is_fitted, validate_data

from ..kernels.base.arrays import Array
from ..kernels.base.errors import require
from ..kernels.functions.function import row_of
from ..kernels.functions.losses import LOSSES
from ..kernels.functions.variants import CategoricalCrossEntropy, CategoricalFocal, Focal
from . import parameters
from .estimator import BaseMLP
from .held_out import Score, others
from .scores import accuracy, always_right
from .targets import Target, log_losses


class MLPClassifier(ClassifierMixin, BaseMLP):  # type: ignore[misc]
    """A multilayer perceptron that tells classes: scikit-learn's `MLPClassifier`, trained by fastmlp.

    Parameters and attributes are scikit-learn's, with the same meaning and the same defaults; those after `max_fun`
    are additions that change nothing unless they are given. The loss is the cross-entropy.

    Parameters
    ----------
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
        is scikit-learn's, up to rounding, but for what the notes say. With an integer, every `partial_fit` takes the
        samples in the same order. A RandomState, or NumPy's global one, is left as scikit-learn would leave it, if
        nothing else draws from it meanwhile; fits at the same time may draw the same orders. A generator of another
        kind seeds a Mersenne twister for each fit, and orders are not scikit-learn's. What is dropped is drawn from a
        copy.
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
    loss : str or object with settings, default "log_loss"
        The cross-entropy. For two classes, which have one output, or several labels also "focal" or
        `fastmlp.Focal(gamma, alpha)`; for more classes "categorical_focal", `fastmlp.CategoricalFocal(gamma)` or
        `fastmlp.CategoricalCrossEntropy(label_smoothing)`.
    dropout : float or sequence of float, default 0
        The probability with which activations of hidden layers are dropped in training: one for all, or one for each.
    clip_value, clip_norm : float or None, default None
        Bring every derivative to the interval from -clip_value to clip_value; then a gradient whose norm is above
        clip_norm down to it. Not of "lbfgs".
    class_weight : dict, list of dict, "balanced" or None, default None
        By what weights of a class's samples are multiplied, as in scikit-learn's other classifiers, also where the
        score is measured; a list of a dict for each of several labels.
    dtype : str or None, default None
        "float32" or "float64": of the weights and all arithmetic. None: that of X, or "float64", as always for "lbfgs".
    threads : int or None, default None
        The most threads to work with. None: as many as there are, but one in processes and threads of joblib's.

    Attributes
    ----------
    classes_ : array (n_classes,), or list of them
    coefs_, intercepts_ : list of array
        Weights (inputs, outputs) and biases (outputs,) of each layer. They may be changed, or others assigned.
    loss_ : float
        Not clipped: see the notes.
    best_loss_ : float or None
    loss_curve_ : list of float
        With the penalty, as scikit-learn has it; none of "lbfgs".
    validation_scores_, best_validation_score_ : list of float and float, or None
        The accuracy after every epoch on what was held out, or on `X_val`.
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

    scikit-learn clips probabilities to eps and 1 - eps (2.2e-16, in float32 1.2e-7) before it takes logarithms; here
    losses are exact. They are the same, up to rounding, as long as no sample's class has a smaller probability. Where
    one has, often where features are not scaled, `loss_` and `loss_curve_` are larger here. Steps are the same, though
    they may end at another epoch by `tol`; but "lbfgs" searches by the loss, and finds other weights.

    If all samples are of one class, that is predicted, every score is 1, and `predict_proba` has one column of ones,
    where scikit-learn's has two.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fastmlp.sklearn import MLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> classifier = MLPClassifier(20, learning_rate_init=0.01, max_iter=500, random_state=0).fit(X, y)
    >>> bool(classifier.score(X, y) > 0.95)
    True
    """

    _parameter_constraints = {  # noqa: RUF012
        **parameters.CONSTRAINTS,
        "loss": [
            StrOptions({"log_loss", "focal", "categorical_focal"}),
            Focal,
            CategoricalCrossEntropy,
            CategoricalFocal,
        ],
        "class_weight": [StrOptions({"balanced"}), dict, list, None],
    }

    def __init__(
        self,
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
        loss: Any = "log_loss",
        dropout: Any = 0.0,
        clip_value: float | None = None,
        clip_norm: float | None = None,
        class_weight: Any = None,
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
        self.class_weight = class_weight
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
        y : array (n_samples,) of labels, or (n_samples, n_labels) of zeros and ones
        sample_weight : array (n_samples,), default None
        X_val, y_val, sample_weight_val : array, default None
            Samples whose score is measured after every epoch; with `early_stopping`, in place of a part that is held
            out. `Pipeline(..., transform_input=["X_val"])` transforms them as X.
        validation_data : tuple of arrays, default None
            The same as (X_val, y_val) or (X_val, y_val, sample_weight_val).

        Returns
        -------
        MLPClassifier
            Itself.

        Raises
        ------
        ValueError, TypeError
            If an argument is none of what is allowed, or training diverged.

        Examples
        --------
        See `MLPClassifier`.
        """
        return self._fit(X, y, sample_weight, others(X_val, y_val, sample_weight_val, validation_data))

    @available_if(lambda estimator: estimator._check_solver())  # type: ignore[untyped-decorator, unused-ignore]
    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator, unused-ignore]
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Self:
        """Go on for one epoch over these samples.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`; y need not have all the classes.
        classes : array (n_classes,), default None
            All that there are; needed in the first call.

        Returns
        -------
        MLPClassifier
            Itself.

        Raises
        ------
        ValueError, TypeError
            As for `fit`; and with `early_stopping`.

        Examples
        --------
        >>> from fastmlp.sklearn import MLPClassifier
        >>> classifier = MLPClassifier(5, random_state=0)
        >>> for _ in range(3):
        ...     classifier = classifier.partial_fit([[0.0], [1.0]], ["no", "yes"], classes=["no", "yes"])
        >>> len(classifier.loss_curve_)
        3
        """
        return self._fit(X, y, sample_weight, incremental=True, classes=classes)

    def predict(self, X: Any) -> Array:
        """The most probable class, or the labels that are more probable than not.

        Parameters
        ----------
        X : array or sparse matrix (n_samples, n_features)

        Returns
        -------
        array (n_samples,) or (n_samples, n_labels)

        Examples
        --------
        See `MLPClassifier`.
        """
        check_is_fitted(self)
        return self._predict(X)

    def _predict(self, X: Any, check_input: bool = True) -> Array:
        outputs = self._outputs(X, check_input)
        answer: Array = self._label_binarizer.inverse_transform(outputs.ravel() if self.n_outputs_ == 1 else outputs)
        return answer

    def predict_proba(self, X: Any) -> Array:
        """The probabilities of classes, or of labels.

        Parameters
        ----------
        X : array or sparse matrix (n_samples, n_features)

        Returns
        -------
        array (n_samples, n_classes)
            In the order of `classes_`.

        Examples
        --------
        >>> from fastmlp.sklearn import MLPClassifier
        >>> classifier = MLPClassifier(5, solver="lbfgs", random_state=0).fit([[0.0], [1.0]], ["no", "yes"])
        >>> classifier.predict_proba([[0.0], [1.0]]).round(1).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
        """
        check_is_fitted(self)
        outputs = self._outputs(X)
        if len(self.classes_) == 1:
            return np.ones_like(outputs)
        return np.hstack([1 - outputs, outputs]) if self.n_outputs_ == 1 else outputs

    def predict_log_proba(self, X: Any) -> Array:
        """The logarithms of `predict_proba`.

        Parameters
        ----------
        X : array or sparse matrix (n_samples, n_features)

        Returns
        -------
        array (n_samples, n_classes)

        Examples
        --------
        See `predict_proba`.
        """
        with np.errstate(divide="ignore"):
            logarithms: Array = np.log(self.predict_proba(X))
        return logarithms

    # --- what `BaseMLP` asks

    def _meet_classes(self, y: Any, classes: Any) -> None:
        if _check_partial_fit_first_call(self, classes):
            several = type_of_target(y).startswith("multilabel")
            self._label_binarizer = LabelBinarizer().fit(y if several else classes)

    def _checked_target(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Target, Any]:
        X, y = validate_data(
            self, X, y, accept_sparse=["csr", "csc"], multi_output=True, dtype=(np.float64, np.float32), reset=reset
        )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if not hasattr(self, "classes_") or not (self.warm_start or incremental):
            self._label_binarizer = LabelBinarizer().fit(y)
            self.classes_ = self._label_binarizer.classes_
        else:
            self._check_labels(unique_labels(y))
        return X, self._target(y), y

    def _check_labels(self, labels: Array) -> None:
        known = set(self.classes_)
        if self.warm_start and set(labels) != known:
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous call to fit. Previously "
                f"got {self.classes_}, `y` has {labels}"
            )
        if not set(labels) <= known:
            raise ValueError(f"y must have no other classes than {self.classes_}, got {labels}")

    def _target(self, y: Any) -> Target:
        kind = self._binarizer().y_type_
        if kind == "multiclass":
            target = log_losses(self._places(y), len(self.classes_))
        elif kind == "binary":
            target = log_losses((self._places(y) > 0)[:, np.newaxis])
        else:
            target = log_losses(np.asarray(y, bool) if not hasattr(y, "toarray") else y.toarray().astype(bool))
        return target if self.loss == "log_loss" else self._target_of_loss(target)

    def _places(self, y: Any) -> Array:
        """Of labels among the classes, which somebody may have changed: kernels go by them."""
        classes = np.asarray(self.classes_)
        places: Array = np.minimum(np.searchsorted(classes, y), len(classes) - 1).astype(np.int64)
        require(bool((classes[places] == y).all()), "classes_", "in order, and those of y", classes)
        return places

    def _binarizer(self) -> Any:
        binarizer = vars(self).get("_label_binarizer")
        require(isinstance(binarizer, LabelBinarizer), "_label_binarizer", "a LabelBinarizer", binarizer)
        return binarizer

    def _check_classes(self) -> None:
        binarizer, outputs, count = self._binarizer(), self.n_outputs_, len(self.classes_)
        wanted = f"the {len(binarizer.classes_)} classes of _label_binarizer"
        require(count == len(binarizer.classes_), "classes_", wanted, self.classes_)
        several = binarizer.y_type_ != "binary"
        require(outputs == (count if several else 1), "n_outputs_", f"that of {count} classes", outputs)
        softmax, activation = binarizer.y_type_ == "multiclass", self.out_activation_
        require(softmax == (activation == "softmax"), "out_activation_", f"that of {count} classes", activation)

    def _score_of(self) -> Score:
        return accuracy if len(self.classes_) > 1 else always_right

    def _target_of_loss(self, target: Target) -> Target:
        several = target.loss == "categorical_cross_entropy"
        if several != (row_of(LOSSES, self.loss).targets == "classes"):
            two = self._binarizer().y_type_ == "binary"
            smooth = two and isinstance(self.loss, CategoricalCrossEntropy)  # which has no like for one output
            remedy = ": fastmlp.NeuralNetwork with two outputs, and labels 0 and 1, takes it" if smooth else ""
            raise ValueError(f"loss must be {self._rule_of_loss()}, got {self.loss!r}{remedy}")
        return target.by(self.loss)

    def _rule_of_loss(self) -> str:
        kind = self._binarizer().y_type_
        if kind == "multiclass":
            return "'log_loss', 'categorical_focal' or CategoricalCrossEntropy for more than two classes"
        why = "two classes, which are one" if kind == "binary" else "several labels, each of which is a"
        return f"'log_loss' or 'focal' for {why} question with one output"

    def _checked_others(self, y: Any, argument: str) -> Any:
        y = check_array(y, accept_sparse="csr", ensure_2d=False, dtype=None)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y)
        kind, several = type_of_target(y), self._label_binarizer.y_type_.startswith("multilabel")
        if kind not in ("binary", "multiclass", "multilabel-indicator"):
            raise ValueError(f"{argument} must be of labels, or of zeros and ones for each, got {kind!r}")
        if several == (y.ndim == 2) and not set(labels := unique_labels(y)) <= set(self.classes_):
            raise ValueError(f"{argument} must have no other classes than {self.classes_}, got {labels}")
        return y

    def _class_weights(self, y: Any, incremental: bool) -> Array | None:
        if self.class_weight is None:
            return None
        if incremental and isinstance(self.class_weight, str):
            raise ValueError("class_weight must be a dict for partial_fit, which does not see all, got 'balanced'")
        parameters.check_class_weight(self.class_weight, 1 if y.ndim == 1 else y.shape[1])
        if isinstance(self.class_weight, dict):  # of all classes, though not all may be here
            each = compute_class_weight(self.class_weight, classes=self.classes_, y=y)
            weights: Array = each[np.searchsorted(self.classes_, y)]
        else:
            weights = compute_sample_weight(self.class_weight, y)
        return weights

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
