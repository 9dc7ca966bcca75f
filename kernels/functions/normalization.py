"""Normalizations: how a layer's weighted sums are brought to mean 0 and variance 1; `normalized.py` does it.

A new one is a row of the table, with its settings.
"""

from collections.abc import Iterable

from ..base.records import Record, frozen
from ..base.settings import POSITIVE, SHARE, setting
from .function import Function, Variant, numbers_of, row_of

(NOT, BY_SAMPLE, BY_BATCH) = range(3)  # the kinds, as kernels tell them apart

Normalizations = tuple[str | Function | None, ...]  # one for each layer, or none at all


@frozen
class LayerNormalization(Variant):
    """Each sample's weighted sums of a layer get mean 0 and variance 1, then a gain and a bias for each neuron.

    Parameters
    ----------
    epsilon : float, default 1e-5
        Added to the variance.

    Raises
    ------
    ValueError
        If a setting is none of what is allowed.

    References
    ----------
    J. Ba, J. Kiros, G. Hinton, "Layer normalization", 2016.

    Examples
    --------
    >>> import fastmlp
    >>> network = fastmlp.NeuralNetwork([4, 8, 1], normalization=fastmlp.LayerNormalization(epsilon=1e-3))
    >>> network.layers[0].gains.tolist()
    [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    """

    name = "layer"
    epsilon: float = setting(1e-5, POSITIVE)


@frozen
class BatchNormalization(Variant):
    """In training, each neuron's weighted sums over the batch get mean 0 and variance 1, then a gain and a bias.

    Elsewhere, and in frozen layers, running averages of the batches' means and variances are in the place of these: the
    layer then computes what one without normalization does, with other weights and biases, and just as fast. Samples
    count by their weights. A batch is divided by the root of its mean square; running averages take the unbiased
    estimate, which is n / (n - 1) times as much for n samples that count alike.

    No batch may be of one sample, which has no variance: choose `batch_size` such that none is left for the last one.

    Parameters
    ----------
    epsilon : float, default 1e-5
        Added to the variance.
    momentum : float, default 0.1
        The share of a new batch in the running averages. A batch in which one sample has all weight, or nearly all, has
        none; nor does it train what is below.

    Raises
    ------
    ValueError
        If a setting is none of what is allowed.

    References
    ----------
    S. Ioffe, C. Szegedy, "Batch normalization: accelerating deep network training by reducing internal covariate
    shift", ICML 2015, algorithms 1 and 2.

    Examples
    --------
    >>> import fastmlp
    >>> normalization = fastmlp.BatchNormalization(momentum=1)
    >>> network = fastmlp.NeuralNetwork([1, 1, 1], normalization=normalization, dtype="float64", seed=0)
    >>> network.layers[0].weights = [[1]]
    >>> history = network.train([[0], [1], [2]], [0, 0, 0], epochs=1, learning_rate=1e-9, batch_size=3)
    >>> network.layers[0].running_means.tolist(), network.layers[0].running_variances.tolist()
    ([1.0], [1.0])
    """

    name = "batch"
    epsilon: float = setting(1e-5, POSITIVE)
    momentum: float = setting(0.1, SHARE)


@frozen
class Normalization(Record):
    """A row of the table."""

    kind: int  # BY_SAMPLE or BY_BATCH
    settings: type[Variant]
    vectors: dict[str, float]  # what a layer has after its biases, and the first values
    formula: str  # of weighted sums z
    source: str

    @property
    def name(self) -> str:
        return self.settings.name


NORMALIZATIONS = {
    row.name: row
    for row in (
        Normalization(
            BY_SAMPLE,
            LayerNormalization,
            {"gains": 1.0},
            "gain (z - mean) / sqrt(variance + epsilon) + bias; over the neurons of a layer",
            'J. Ba, J. Kiros, G. Hinton, "Layer normalization", 2016',
        ),
        Normalization(
            BY_BATCH,
            BatchNormalization,
            {"gains": 1.0, "running_means": 0.0, "running_variances": 1.0},
            "gain (z - mean) / sqrt(variance + epsilon) + bias; over the samples of a batch",
            'S. Ioffe, C. Szegedy, "Batch normalization: accelerating deep network training by reducing internal '
            'covariate shift", ICML 2015',
        ),
    )
}


def vectors_of(normalization: str | Function | None) -> tuple[str, ...]:
    """The names of what a layer has beside its weights, in the order of the canonical vector."""
    return ("biases",) if normalization is None else ("biases", *row_of(NORMALIZATIONS, normalization).vectors)


def first_values(normalization: str | Function | None) -> dict[str, float]:
    """Of what a layer has after its biases."""
    return {} if normalization is None else dict(row_of(NORMALIZATIONS, normalization).vectors)


def vector_counts(normalizations: Normalizations) -> tuple[int, ...]:
    """As `layout.parameter_count` wants them."""
    return tuple(len(vectors_of(normalization)) for normalization in normalizations)


def kind_of(normalization: str | Function | None) -> int:
    return NOT if normalization is None else int(row_of(NORMALIZATIONS, normalization).kind)


def settings_of(normalization: str | Function | None) -> list[float]:
    """Epsilon and, if it has one, momentum."""
    return [] if normalization is None else numbers_of(NORMALIZATIONS, normalization)


def without_batches(normalizations: Iterable[str | Function | None]) -> Normalizations:
    """Those that a network has when it is not being trained."""
    kept = tuple(None if kind_of(normalization) == BY_BATCH else normalization for normalization in normalizations)
    return kept if any(kept) else ()
