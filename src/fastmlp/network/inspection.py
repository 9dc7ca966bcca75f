"""Looking inside a network: what its layers put out, how outputs depend on inputs, whether gradients are right."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..checks import array_checks, validation
from ..kernels.base.arrays import Array
from ..kernels.runtime.executor import Executor
from ..kernels.runtime.folding import trained_parts
from ..kernels.runtime.plan import Model
from ..seeding import CHECK, PERMUTATION
from ..training.history import aligned
from .computation import Computation

if TYPE_CHECKING:
    from ..kernels.backends.reference import ReferenceExecutor

STEP = float(np.finfo(np.float64).eps) ** (1 / 3)  # of central differences: rounding and curvature then weigh the same


class GradientCheck(NamedTuple):
    """What `NeuralNetwork.gradient_check` found: the worst of the parameters that were checked, and how wrong it is."""

    max_relative_error: float
    parameter: str
    backpropagated: float
    numerical: float
    checked: int


class PermutationImportance(NamedTuple):
    """What `NeuralNetwork.permutation_importance` found: mean and std (features,) of values (features, repeats)."""

    mean: Array
    std: Array
    values: Array


class Inspection(Computation):
    """The part of `NeuralNetwork` that is looked into."""

    def layer_outputs(self, X: Any) -> list[Array]:
        """The activations of every layer.

        Parameters
        ----------
        X : array (n_samples, features), or (features,) for one sample

        Returns
        -------
        list of array (n_samples, neurons), or (neurons,)
            One for each layer, of the network's dtype; the last is `predict(X)`.

        Raises
        ------
        ValueError, TypeError
            As in `predict`.

        Examples
        --------
        >>> import fastmlp
        >>> network = fastmlp.NeuralNetwork([1, 2, 1])
        >>> network.parameters = [1, -1, 0, 0, 10, 100, 0]  # relu(x) and relu(-x), then 10 and 100 times these
        >>> [a.tolist() for a in network.layer_outputs([[3], [-2]])]
        [[[3.0, 0.0], [0.0, 2.0]], [[30.0], [200.0]]]
        """
        one, a = array_checks.one_or_many(X, self.layer_sizes[0], self.dtype)
        outputs = []
        model = self._model
        for l, parts in enumerate(self._live().layers):
            own = model.activations[l : l + 1], "mean_squared_error", self.dtype, model.normalizations[l : l + 1]
            vector = np.concatenate([part.ravel() for part in parts])
            a = self._backend.executor(Model(model.sizes[l : l + 2], *own), vector).predict(a)
            outputs.append(a)
        return [a[0] for a in outputs] if one else outputs

    def jacobian(self, X: Any) -> Array:
        """The derivatives of the outputs with respect to the inputs.

        Parameters
        ----------
        X : array (n_samples, features), or (features,) for one sample

        Returns
        -------
        array (n_samples, outputs, features), or (outputs, features)

        Raises
        ------
        ValueError, TypeError
            As in `predict`.

        Examples
        --------
        >>> import fastmlp
        >>> network = fastmlp.NeuralNetwork([2, 2])
        >>> network.parameters = [1, 2, 3, 4, 0, 0]  # x1 + 3 x2, and 2 x1 + 4 x2
        >>> network.jacobian([10, 20]).tolist()
        [[1.0, 3.0], [2.0, 4.0]]
        """
        one, X = array_checks.one_or_many(X, self.layer_sizes[0], self.dtype)
        outputs = self.layer_sizes[-1]
        jacobian = np.empty((len(X), outputs, X.shape[1]), self.dtype)
        for output in range(outputs):
            chosen = np.zeros((len(X), outputs), self.dtype)
            chosen[:, output] = 1
            jacobian[:, output] = self._executor.backward(X, chosen)[1]
        return jacobian[0] if one else jacobian

    def input_gradient(self, X: Any, y: Any) -> Array:
        """The gradient of the loss on these samples with respect to the samples.

        Parameters
        ----------
        X : array (n_samples, features)
        y
            As in `evaluate`.

        Returns
        -------
        array (n_samples, features)

        Raises
        ------
        ValueError, TypeError
            As in `evaluate`.

        Examples
        --------
        >>> import fastmlp
        >>> network = fastmlp.NeuralNetwork([1, 1])
        >>> network.parameters = [2, 1]
        >>> network.input_gradient([[3]], [0]).tolist()  # 2 (2 * 3 + 1) * 2
        [[28.0]]
        """
        return self._executor.input_gradient(*self._checked(X, y))

    def gradient_check(self, X: Any, y: Any, *, most: int = 200, seed: int | None = None) -> GradientCheck:
        """Compare the gradient with central differences of the loss, both in float64.

        Errors are relative to the larger of both numbers, and at least to a thousandth of the largest derivative. Of a
        right gradient they are below 1e-5; larger where a kink, such as that of ReLU at 0, is nearer than a step of
        about 6e-6.

        Parameters
        ----------
        X : array (n_samples, features)
        y
            As in `evaluate`.
        most : int, default 200
            How many parameters to check, drawn at random if there are more.
        seed : int, default None
            Fixes which. None: the network's own seed does.

        Returns
        -------
        GradientCheck
            `max_relative_error`, the `parameter` that has it, its `backpropagated` and `numerical` derivatives, and how
            many were `checked`.

        Raises
        ------
        ValueError, TypeError
            As in `evaluate`, or if `most` or `seed` is no such integer.

        Examples
        --------
        >>> import fastmlp
        >>> network = fastmlp.NeuralNetwork([3, 4, 2], "tanh", seed=0)
        >>> check = network.gradient_check([[1, 2, 3]], [[0, 1]])
        >>> check.max_relative_error < 1e-6, check.checked
        (True, 26)
        """
        X, y = self._checked(X, y)
        most = validation.positive_integer("most", most)
        generator = self._generator(CHECK, seed)
        model = replace(self._model, dtype="float64")
        executor = self._backend.executor(model, np.array(self.parameters, np.float64))
        _, gradient = executor.gradient(X, y)
        chosen = np.concatenate([np.arange(part.start, part.stop) for part in trained_parts(model)])
        if len(chosen) > most:
            chosen = np.sort(generator.choice(chosen, most, replace=False))
        found = gradient[chosen]
        numerical = np.array([central_difference(executor, X, y, int(index)) for index in chosen])
        smallest = max(1e-3 * float(np.abs(gradient).max()), float(np.finfo(np.float64).tiny))
        errors = np.abs(found - numerical) / np.maximum(np.maximum(np.abs(found), np.abs(numerical)), smallest)
        worst = int(np.argmax(errors))  # NaN, if there is one
        name = self._name_of(int(chosen[worst]))
        return GradientCheck(float(errors[worst]), name, float(found[worst]), float(numerical[worst]), len(chosen))

    def _name_of(self, index: int) -> str:
        """A parameter of the canonical vector as an expression."""
        for l, layer in enumerate(self._live().layers):
            for name, part in layer._asdict().items():
                if index < part.size:
                    return f"layers[{l}].{name}[{', '.join(map(str, np.unravel_index(index, part.shape)))}]"
                index -= part.size
        raise IndexError(index)

    def permutation_importance(
        self,
        X: Any,
        y: Any,
        *,
        repeats: int = 5,
        seed: int | None = None,
        metric: str | Callable[..., Any] | None = None,
    ) -> PermutationImportance:
        """How much worse the network does on samples in which one feature is permuted.

        Parameters
        ----------
        X : array (n_samples, features)
        y
            As in `evaluate`.
        repeats : int, default 5
            Permutations of each feature.
        seed : int, default None
            Fixes them. None: the network's own seed does.
        metric : str or callable, default None
            What to do worse in, as in `train`. None: the loss.

        Returns
        -------
        PermutationImportance
            `mean` and `std`, (features,), over `values`, (features, repeats): by how much the loss, or an error, grew,
            or a score fell.

        Raises
        ------
        ValueError, TypeError
            As in `evaluate`, or if another argument is none of what is allowed.

        References
        ----------
        L. Breiman, "Random forests", Machine Learning 45, 2001, section 10.

        Examples
        --------
        >>> import fastmlp
        >>> network = fastmlp.NeuralNetwork([2, 1], seed=0)
        >>> network.parameters = [1, 0, 0]  # the second feature does not matter
        >>> importance = network.permutation_importance([[0, 1], [1, 2], [2, 3]], [0, 1, 2])
        >>> bool(importance.mean[0] > 0), float(importance.mean[1])
        (True, 0.0)
        """
        X, y = self._checked(X, y)
        repeats = validation.positive_integer("repeats", repeats)
        sign, measure = self._measure(metric)
        generator = self._generator(PERMUTATION, seed)
        base, permuted = measure(X, y), np.array(X)
        values = np.empty((X.shape[1], repeats))
        for feature in range(X.shape[1]):
            for repeat in range(repeats):
                permuted[:, feature] = X[generator.permutation(len(X)), feature]
                values[feature, repeat] = sign * (measure(permuted, y) - base)
            permuted[:, feature] = X[:, feature]
        return PermutationImportance(values.mean(axis=1), values.std(axis=1), values)

    def _measure(self, metric: Any) -> tuple[int, Callable[[Array, Array], float]]:
        """A function of (X, y), and whether greater is better (-1) or worse (1)."""
        if metric is None:
            return 1, self._executor.evaluate
        from ..training.metrics import metric_of, value_of

        chosen = metric_of(metric, self._model.loss, "metric")
        sign = -1 if chosen.greater_is_better else 1
        return sign, lambda X, y: value_of(chosen, y, self._executor.predict(X), self._model.loss)

    def _generator(self, stream: int, seed: Any) -> "np.random.Generator":
        given = validation.seed(seed)
        entropy = self._entropy if given is None else given
        return np.random.default_rng(np.random.SeedSequence(entropy, spawn_key=(stream,)))

    def summary(self) -> str:
        """A table of the layers: sizes, activations, parameters, memory and work.

        Returns
        -------
        str
            FLOPs are the multiplications and additions that a sample's weighted sums take, without activations.

        Examples
        --------
        >>> import fastmlp
        >>> print(fastmlp.NeuralNetwork([784, 128, 10], loss="categorical_cross_entropy").summary())
        loss categorical_cross_entropy, float32
         layer  inputs  neurons  activation  parameters    bytes    FLOPs
             0     784      128        relu     100,480  401,920  200,704
             1     128       10     softmax       1,290    5,160    2,560
         total                                  101,770  407,080  203,264
        """
        names = ["layer", "inputs", "neurons", "activation", "parameters", "bytes", "FLOPs"]
        rows: list[list[Any]] = []
        for layer, window, activation in zip(self._live().layers, self.layers, self.activations, strict=True):
            activation = ", ".join(name for name in (window.normalization, activation) if name)
            weights, count = layer.weights, sum(part.size for part in layer)
            rows.append([len(rows), *weights.shape, activation, count, count * weights.itemsize, 2 * weights.size])
        rows.append(["total", "", "", "", *(sum(row[column] for row in rows) for column in (4, 5, 6))])
        cells = [[f"{cell:,}" if isinstance(cell, int) else cell for cell in row] for row in rows]
        return "\n".join([f"loss {self.loss}, {self.dtype}", *aligned(list(zip(names, *cells, strict=True)))])


def central_difference(executor: "Executor | ReferenceExecutor", X: Array, y: Array, index: int) -> float:
    """The numerical derivative of the loss with respect to a parameter."""
    value = float(executor.parameters[index])
    step = STEP * max(1.0, abs(value))
    places, losses = (value - step, value + step), []
    for place in places:
        executor.parameters[index] = place
        executor.changed()
        losses.append(executor.evaluate(X, y))
    executor.parameters[index] = value
    return float((losses[1] - losses[0]) / (places[1] - places[0]))
