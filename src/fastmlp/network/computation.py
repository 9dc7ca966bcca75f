"""What a network computes: outputs, losses, gradients."""

from typing import Any, NamedTuple

from ..checks import array_checks, sparse, validation
from ..kernels.base.arrays import Array
from ..kernels.runtime.sparse_rows import Samples
from ..training.weights import normalized, weights_of_samples
from ..vector import ParameterVector, parameter_vector
from .core import Core
from .predictor import Predictor, predict, predictor


class Gradients(NamedTuple):
    """What `NeuralNetwork.backward` returns."""

    parameters: ParameterVector
    inputs: Array


class Computation(Core):
    """The part of `NeuralNetwork` that computes."""

    def predict(self, X: Any, *, allow_nan: bool = False) -> Array:
        """The activations of the last layer.

        Parameters
        ----------
        X : array (n_samples, features), or (features,) for one sample
            Or a sparse matrix or array of SciPy's in CSR format.
        allow_nan : bool, default False
            Let NaN and infinity through: outputs that depend on them become NaN or infinite where the formulas say so.

        Returns
        -------
        array (n_samples, outputs), or (outputs,), of the network's dtype

        Raises
        ------
        ValueError, TypeError
            If X has another shape, is empty, holds no real numbers, or numbers that are not finite.

        Examples
        --------
        >>> import fastmlp
        >>> fastmlp.NeuralNetwork([3, 2]).predict([[1, 2, 3], [4, 5, 6]]).shape
        (2, 2)
        """
        if allow_nan is False:  # every nanosecond counts
            predictors = self._predictors
            return (predictors[0] if predictors else self._predictor(predictors))(X)
        return predict(self._executor.prediction(self._threads), X, allow_nan=validation.flag("allow_nan", allow_nan))

    forward = predict

    def _predictor(self, made: list[Predictor]) -> Predictor:
        new = predictor(self._executor.prediction(self._threads), self.backend, self._backend_asked)
        if self._unsettled is None:  # else it is kept no longer than until the training is taken over
            made.append(new)
        return new

    def predictor(self) -> Predictor:
        """A callable that predicts with the weights of this moment, whatever becomes of the network.

        For one sample after the other, and for threads: it costs less than `predict`, and with `out=` nothing is
        allocated.

        Returns
        -------
        Predictor
            To be called with X and, optionally, `out`.

        Examples
        --------
        >>> import fastmlp
        >>> network = fastmlp.NeuralNetwork([2, 1])
        >>> network.parameters = [1, 2, 3]
        >>> predictor = network.predictor()
        >>> network.parameters = [0, 0, 0]
        >>> predictor([10, 100]).tolist(), network.predict([10, 100]).tolist()
        ([213.0], [0.0])
        """
        return predictor(self._executor.prediction(self._threads).apart(), self.backend, self._backend_asked)

    def evaluate(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The loss on these samples.

        Parameters
        ----------
        X : array (n_samples, features)
            Or a sparse matrix or array of SciPy's in CSR format, of which only the values that it holds are read.
        y : array (n_samples, outputs)
            Or (n_samples,) where there is one output. For categorical cross-entropy: integer labels (n_samples,), or
            rows of probabilities.
        sample_weight : array (n_samples,), default None
            What each sample counts, from 0 on: the loss is the sum of weights times losses of samples, divided by the
            sum of weights. None: all count alike.

        Returns
        -------
        float

        Raises
        ------
        ValueError, TypeError
            If X or y is not such an array of finite numbers, or a label or probability is out of range; if a weight is
            negative or not finite, or all are 0.

        Examples
        --------
        >>> import fastmlp
        >>> network = fastmlp.NeuralNetwork([1, 1])
        >>> network.parameters = [2, 1]  # 2 x + 1
        >>> network.evaluate([[0], [1]], [0, 0])  # the mean of 1^2 and 3^2
        5.0
        >>> network.evaluate([[0], [1]], [0, 0], sample_weight=[3, 1])  # (3 * 1^2 + 1 * 3^2) / 4
        3.0
        """
        X, y, weights = self._weighted(X, y, sample_weight)
        return self._executor.evaluate(X, y, weights)

    def gradient(self, X: Any, y: Any, sample_weight: Any = None) -> ParameterVector:
        """The gradient of the loss on these samples with respect to the parameters.

        It is that of `evaluate`: batch normalization is by running averages, and these themselves, which are not for
        gradients to change, have derivatives of 0.

        Parameters
        ----------
        X, y, sample_weight
            As in `evaluate`.

        Returns
        -------
        ParameterVector
            In the order of `parameters`; its `layers[i].weights` and `.biases` are views of the parts.

        Raises
        ------
        ValueError, TypeError
            As in `evaluate`.

        Examples
        --------
        >>> import fastmlp
        >>> network = fastmlp.NeuralNetwork([1, 1])
        >>> network.parameters = [2, 1]
        >>> network.gradient([[3]], [0]).tolist()  # 2 (2 * 3 + 1) * 3, 2 (2 * 3 + 1)
        [42.0, 14.0]
        """
        X, y, weights = self._weighted(X, y, sample_weight)
        return parameter_vector(self._executor.gradient(X, y, weights)[1], self._model)

    def backward(self, X: Any, output_gradient: Any) -> Gradients:
        """Backpropagate a gradient that is given: for objectives that are no function of the table.

        Parameters
        ----------
        X : array (n_samples, features)
        output_gradient : array (n_samples, outputs)
            The derivatives of any objective with respect to the outputs, `predict(X)`.

        Returns
        -------
        Gradients
            `parameters`, the derivatives with respect to the parameters, summed over samples; and `inputs`, those with
            respect to X, (n_samples, features).

        Raises
        ------
        ValueError, TypeError
            If an argument is not such an array of finite numbers.

        Examples
        --------
        >>> import fastmlp
        >>> network = fastmlp.NeuralNetwork([1, 1])
        >>> network.parameters = [2, 1]
        >>> parameters, inputs = network.backward([[3]], [[1]])
        >>> parameters.tolist(), inputs.tolist()
        ([3.0, 1.0], [[2.0]])
        """
        X = array_checks.samples(X, self.layer_sizes[0], self.dtype)
        output_gradient = array_checks.output_gradient(output_gradient, len(X), self._model)
        parameters, inputs = self._executor.backward(X, output_gradient)
        return Gradients(parameter_vector(parameters, self._model), inputs)

    def _checked(self, X: Any, y: Any) -> tuple[Array, Array]:
        X = array_checks.samples(X, self.layer_sizes[0], self.dtype)
        return X, array_checks.targets(y, len(X), self._model)

    def _weighted(
        self, X: Any, y: Any, sample_weight: Any, class_weight: Any = None
    ) -> tuple[Samples, Array, Array | None]:
        """Samples, which may be sparse, targets and weights as executors want them."""
        X, y, weights = self._checked_chunk(X, y, sample_weight, class_weight, some=True)
        return X, y, normalized(weights)

    def _checked_chunk(
        self, X: Any, y: Any, sample_weight: Any, class_weight: Any, some: bool = False
    ) -> tuple[Samples, Array, Array | None]:
        """The same with weights as they were given; some: one must be above 0."""
        X = sparse.samples(X, self._model.sizes[0], self._model.dtype)
        y = array_checks.targets(y, len(X), self._model)
        return X, y, weights_of_samples(sample_weight, class_weight, y, self._model, some=some)
