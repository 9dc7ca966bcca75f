"""What is measured after epochs: data that are held out, metrics, the best epoch, reasons to stop."""

import math

import numpy as np
import pytest
from cases import outputs_per_target, targets_of
from custom_functions import squared, squared_derivative
from test_history import halving
from trainings import everything, table

import fastmlp
from fastmlp import DivergenceError, NeuralNetwork
from fastmlp.kernels.functions.losses import LOSSES as LOSS_ROWS
from fastmlp.training.history import History
from fastmlp.training.metrics import METRICS
from fastmlp.training.monitoring import Stopping
from fastmlp.training.splitting import classes_of, split_rows

LOSSES = ["mean_squared_error", "binary_cross_entropy", "categorical_cross_entropy"]


def fresh(loss="mean_squared_error", **options):
    return NeuralNetwork([3, 5, 2], "tanh", loss=loss, seed=4, **options)


# --- measuring


@pytest.mark.parametrize("loss", LOSSES)
def test_validation_is_what_evaluate_says(loss, backend, dtype):
    X, y = table()
    held = table(9, seed=1)
    network = fresh(loss, backend=backend.name, dtype=dtype)
    history = network.train(X, y, 4, 0.1, 5, validation_data=held)
    twin = fresh(loss, backend=backend.name, dtype=dtype)
    expected = []
    for _ in range(4):
        twin.train(X, y, 1, 0.1, 5)
        expected.append(twin.evaluate(*held))
    assert history.validation_loss == expected
    assert everything(network) == everything(twin)  # looking changes nothing


def test_labels_and_plain_columns_are_validation_data_too():
    X, y = table()
    labels = y.argmax(axis=1)
    history = fresh(LOSSES[2]).train(X, labels, 2, validation_data=(X, labels), metrics="accuracy")
    rows = fresh(LOSSES[2]).train(X, labels, 2, validation_data=[X, y], metrics="accuracy")
    assert history.metrics == rows.metrics
    np.testing.assert_allclose(history.validation_loss, rows.validation_loss, rtol=1e-6)
    column = NeuralNetwork([3, 1], seed=0).train(X, y[:, 0], 2, validation_data=(X, y[:, 0]), metrics="r2")
    assert len(column.metrics["r2"]) == 2


def test_metrics_without_validation_data_are_of_those_of_training():
    X, y = table()
    network = fresh()
    history = network.train(X, y, 3, metrics=["r2", "mean_absolute_error"])
    assert history.validation_loss == []
    assert history.metrics["mean_absolute_error"][-1] == pytest.approx(np.abs(network.predict(X) - y).mean(), rel=1e-6)


Y_AMOUNTS, OUT_AMOUNTS = np.array([[1.0, 0.0], [2.0, 0.0], [3.0, 6.0]]), np.array([[1.0, 2.0], [2.0, 2.0], [5.0, 4.0]])
Y_LABELS = np.array([0, 0, 0, 2])
OUT_LABELS = np.array([[5.0, 1, 1], [2, 3, 1], [4, 1, 1], [0, 0, 1]])
Y_YES, OUT_YES = np.array([[1.0, 0.0], [0.0, 0.0]]), np.array([[0.9, 0.4], [0.1, 0.6]])


@pytest.mark.parametrize(
    ("name", "y", "outputs", "value"),
    [
        ("accuracy", Y_LABELS, OUT_LABELS, 3 / 4),
        ("accuracy", Y_YES, OUT_YES, 3 / 4),
        ("balanced_accuracy", Y_LABELS, OUT_LABELS, (2 / 3 + 1) / 2),
        ("balanced_accuracy", Y_YES, OUT_YES, (2 / 3 + 1) / 2),
        ("r2", Y_AMOUNTS, OUT_AMOUNTS, ((1 - 4 / 2) + (1 - 12 / 24)) / 2),
        ("r2", Y_AMOUNTS, Y_AMOUNTS, 1),
        ("r2", np.ones((3, 1)), OUT_AMOUNTS[:, :1], math.nan),
        ("mean_absolute_error", Y_AMOUNTS, OUT_AMOUNTS, 8 / 6),
        ("root_mean_squared_error", Y_AMOUNTS, OUT_AMOUNTS, math.sqrt(16 / 6)),
    ],
)
def test_metrics_by_hand(name, y, outputs, value):
    assert METRICS[name].function(y, outputs) == pytest.approx(value, rel=1e-15, nan_ok=True)


def test_every_metric_is_worked_by_hand():
    marks = test_metrics_by_hand.pytestmark[0].args[1]
    assert {mark[0] for mark in marks} == set(METRICS)


def test_own_metrics():
    seen = []

    def worst(y, outputs):
        seen.append((y.copy(), outputs.copy()))
        return np.abs(y - outputs).max()

    X, y = table()
    network = fresh()
    history = network.train(X, y, 3, validation_data=(X[:7], y[:7]), metrics=[worst, "r2"])
    assert list(history.metrics) == ["worst", "r2"]
    assert len(seen) == 3
    np.testing.assert_array_equal(seen[-1][0], y[:7])
    np.testing.assert_array_equal(seen[-1][1], network.predict(X[:7]))


OWN = fastmlp.Loss(squared, squared_derivative, "own")


@pytest.mark.parametrize(
    ("loss", "metric"), [(fastmlp.CategoricalCrossEntropy(0.1), "accuracy"), (fastmlp.Huber(2), "r2"), (OWN, "r2")]
)
def test_metrics_and_splits_with_losses_that_are_more_than_names(loss, metric):
    X, y = table(30)
    network = fresh(loss, backend="reference")
    history = network.train(X, y, 2, metrics=metric, validation_fraction=0.2)
    assert len(history.metrics[metric]) == 2
    assert len(network.permutation_importance(X, y, repeats=1, metric=metric).mean) == 3


def test_a_metric_that_does_not_suit_names_the_loss():
    with pytest.raises(ValueError, match=r"for loss 'huber', got 'accuracy'$"):
        fresh(fastmlp.Huber(2)).train(*table(), 1, metrics="accuracy")


def test_a_metric_that_returns_no_number_is_named():
    network = fresh()
    with pytest.raises(TypeError, match=r"^metrics must be functions that return a number, got None$"):
        network.train(*table(), 3, metrics=lambda y, outputs: None)
    assert network.history.epochs == 1


# --- holding out


@pytest.mark.parametrize("loss", LOSSES)
def test_a_fraction_is_held_out(loss):
    X, y = table(50)
    network = fresh(loss)
    history = network.train(X, y, 3, validation_fraction=0.2, batch_size=5)
    assert network._state.updates == 3 * 8  # of 40 samples
    again = fresh(loss)
    assert again.train(X, y, 3, validation_fraction=0.2, batch_size=5).validation_loss == history.validation_loss
    other = fresh(loss).train(X, y, 3, validation_fraction=0.2, batch_size=5, seed=9)
    assert other.validation_loss != history.validation_loss
    history = network.train(X, y, 1, validation_fraction=0.2, batch_size=5)  # the same rows: none that was trained on
    assert network._state.updates == 4 * 8


def test_what_is_held_out_is_not_trained_on():
    """A sample's target is its own power of two, times a thousandth: the first loss tells which ones were there."""
    y = 2.0 ** np.arange(20)
    network = NeuralNetwork([1, 1], dtype="float64", initializer="zeros", seed=3)
    history = network.train(np.zeros((20, 1)), y, 1, 1e-300, validation_fraction=0.25)
    trained, held = history.loss[0] * 15, history.validation_loss[0] * 5
    assert trained + held == pytest.approx(np.sum(y**2), rel=1e-12)
    bits = [round(trained) >> 2 * i & 3 for i in range(20)]
    assert sum(bits) == 15


def test_classes_are_held_out_in_proportion():
    rng = np.random.default_rng(0)
    codes = np.repeat([0, 2, 3], [100, 40, 5])  # no sample is of class 1
    training, held = split_rows(145, 0.2, rng, codes)
    assert sorted([*training, *held]) == list(range(145))
    assert np.bincount(codes[held], minlength=4).tolist() == [20, 0, 8, 1]


@pytest.mark.parametrize(
    ("loss", "outputs", "as_targets"),
    [
        ("categorical_cross_entropy", 2, lambda labels: labels),
        ("categorical_cross_entropy", 2, lambda labels: np.eye(2)[labels]),
        ("binary_cross_entropy", 1, lambda labels: labels),
    ],
)
def test_trainings_hold_out_classes_in_proportion(loss, outputs, as_targets):
    def rare(y, outputs):
        return np.sum(y[:, -1] if y.ndim == 2 else y)

    labels = np.zeros(100, int)
    labels[[3, 50, 51, 70, 99]] = 1
    for seed in range(5):
        network = NeuralNetwork([3, outputs], loss=loss, seed=seed)
        history = network.train(np.zeros((100, 3)), as_targets(labels), 1, validation_fraction=0.2, metrics=rare)
        assert history.metrics["rare"] == [1]


@pytest.mark.parametrize(
    ("y", "kind", "expected"),
    [
        (np.array([2, 0]), "classes", [2, 0]),
        (np.array([[0.1, 0.9], [0.8, 0.2]]), "classes", [1, 0]),
        (np.array([[1.0], [0.0]]), "probabilities", [1, 0]),
        (np.array([[0.5], [0.0]]), "probabilities", None),
        (np.array([[1.0, 0.0]]), "probabilities", None),
        (np.array([[1.0], [0.0]]), "real numbers", None),
    ],
)
def test_classes_that_targets_tell(y, kind, expected):
    codes = classes_of(y, kind)
    assert (codes if codes is None else codes.tolist()) == expected


# --- stopping


def test_patience():
    """The validation loss grows from the first epoch on: see test_history."""
    history = halving(100, validation_data=([[3]], [0]), patience=4)
    assert history.epochs == 5
    assert history.best_epoch == 1
    assert history.stopped == "validation_loss did not improve for 4 epochs after epoch 1."
    assert halving(100, validation_data=([[3]], [0]), patience=1).stopped == (
        "validation_loss did not improve for 1 epoch after epoch 1."
    )
    assert halving(20, validation_data=([[3]], [0]), patience=4, monitor="loss").epochs == 20
    error = "mean_absolute_error"
    assert halving(20, validation_data=([[3]], [0]), metrics=error, monitor=error, patience=2).epochs == 3


def test_min_delta():
    """The loss is 1, 1/4, 1/16, 1/64, ...: it falls by 3/4, 3/16, 3/64."""
    assert halving(50, patience=1, min_delta=0.1).epochs == 4
    assert halving(50, patience=1, min_delta=3 / 16).epochs == 3  # no more than this
    assert halving(50, patience=2, min_delta=0.1).best_epoch == 3
    assert halving(5, patience=2).epochs == 5


def test_a_score_is_better_if_it_is_greater():
    curve = iter([0.1, 0.5, 0.3, 0.4, 0.2, 0.9])

    def score(y, outputs):
        return next(curve)

    history = halving(6, metrics=score, monitor="score", patience=3)
    assert (history.epochs, history.best_epoch) == (5, 2)
    curve = iter([0.1, 0.5, 0.3, 0.4, 0.2, 0.9])
    score.greater_is_better = False
    history = halving(6, metrics=score, monitor="score", patience=3)
    assert (history.epochs, history.best_epoch) == (4, 1)


def test_nan_is_never_best():
    curve = iter([math.nan, 3.0, math.nan, 2.0, math.nan, math.nan])

    def score(y, outputs):
        return next(curve)

    assert halving(6, metrics=score, monitor="score").best_epoch == 2
    curve = iter([math.inf, 2.0, -math.inf, 3.0, math.inf, 1.0])
    assert halving(6, metrics=score, monitor="score").best_epoch == 4
    history = halving(6, metrics=lambda y, outputs: math.nan, monitor="<lambda>", patience=3)
    assert (history.epochs, history.best_epoch) == (3, None)


def test_target_loss():
    history = halving(50, target_loss=1 / 16)
    assert history.epochs == 3
    assert history.stopped == "loss reached target_loss 0.0625 in epoch 3."
    held_out = halving(50, target_loss=2, validation_data=([[3]], [0]))
    assert held_out.stopped == "validation_loss reached target_loss 2 in epoch 1."


@pytest.mark.parametrize("patience", [1, 2, 7])
@pytest.mark.parametrize("min_delta", [0.0, 1e-3])
def test_looking_rarely_stops_where_looking_always_does(patience, min_delta):
    """Without validation the kernels may run on to where patience could end; with a callback they may not."""
    X, y = table()

    def trained(**options):
        network = fresh()
        history = network.train(X, y, 300, 0.2, 3, patience=patience, min_delta=min_delta, **options)
        return everything(network), history.loss, history.stopped, history.best_epoch

    assert trained() == trained(callbacks=lambda network, progress: None)


def test_a_mistake_in_patience_is_caught():
    """The rule, restated: stop at the first epoch that is `patience` after the best one."""

    def restated(curve, patience):
        for epoch in range(1, len(curve) + 1):
            best = min(range(epoch), key=lambda i: curve[i]) + 1
            if epoch - best >= patience:
                return epoch
        return None

    def found(stopping, curve):
        history = History([])
        for value in curve:
            history._add([value])
            stopping.see(history)
            if stopping.reason(history):
                return history.epochs
        return None

    generator = np.random.default_rng(0)
    curves = [generator.normal(size=12).tolist() for _ in range(200)]
    for patience in (1, 2, 3, 5):
        rule = [restated(curve, patience) for curve in curves]
        assert [found(Stopping("loss", 1, patience, 0.0, None), curve) for curve in curves] == rule
        assert [found(Stopping("loss", 1, patience + 1, 0.0, None), curve) for curve in curves] != rule
        assert [found(Stopping("loss", -1, patience, 0.0, None), curve) for curve in curves] != rule


# --- the best epoch


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_the_best_epoch_is_restored_as_if_training_had_ended_there(optimizer, backend, dtype):
    X, y = table()
    held = table(11, seed=1)
    options = {"learning_rate": 0.3, "batch_size": 5, "optimizer": optimizer, "validation_data": held}
    network = fresh(backend=backend.name, dtype=dtype)
    history = network.train(X, y, 25, restore_best=True, **options)
    best = 1 + int(np.argmin(history.validation_loss))
    assert history.best_epoch == best
    assert history.epochs == 25
    assert 1 < best < 25  # else this would show nothing
    twin = fresh(backend=backend.name, dtype=dtype)
    twin.train(X, y, best, **options)
    assert everything(network) == everything(twin)
    assert network.evaluate(*held) == min(history.validation_loss)
    for net in (network, twin):
        net.train(X, y, 2, **options)
    assert everything(network) == everything(twin)


def test_without_restore_best_the_last_epoch_stays():
    network, twin = fresh(), fresh()
    network.train(*table(), 20, 0.3, validation_data=table(11, seed=1))
    twin.train(*table(), 20, 0.3)
    assert everything(network) == everything(twin)


# --- time


def test_time_limits_end_long_trainings():
    network = fresh()
    history = network.train(*table(), 10**7, time_limit=0.05)
    assert 0 < history.epochs < 10**7
    assert history.stopped.startswith("The time_limit of 0.05 seconds was reached in epoch ")
    twin = fresh()
    twin.train(*table(), history.epochs)
    if network._state.updates == twin._state.updates:  # it ended with an epoch, as short ones make it
        assert everything(network) == everything(twin)


def test_time_limits_end_long_epochs():
    X = np.zeros((400_000, 3), np.float32)
    network = NeuralNetwork([3, 32, 32, 1], seed=0)
    history = network.train(X, X[:, 0], 1000, batch_size=1, time_limit=1e-4)
    assert history.stopped == "The time_limit of 0.0001 seconds was reached in epoch 1."
    assert history.epochs == network._state.epochs == 0
    assert 0 < network._state.updates < 400_000


# --- with all of it


def test_verbose_shows_what_is_measured(capsys):
    halving(2, validation_data=([[3]], [0]), metrics="mean_absolute_error", verbose=True)
    assert capsys.readouterr().out.splitlines() == [
        "Epoch 1/2, loss: 1.000000, validation_loss: 1.000000, mean_absolute_error: 1.000000",
        "Epoch 2/2, loss: 0.250000, validation_loss: 2.250000, mean_absolute_error: 1.500000",
    ]


def test_a_divergence_while_monitored_keeps_the_last_good_epoch(backend, tmp_path):
    network = NeuralNetwork([1, 1], seed=0, backend=backend.name)
    network.parameters = [1, 0]
    arguments = {"X": np.ones((8, 1)), "y": np.zeros(8), "batch_size": 1, "learning_rate": 1.5, "shuffle": False}
    with pytest.raises(DivergenceError) as caught:
        network.train(**arguments, epochs=50, metrics="mean_absolute_error", restore_best=True)
    good = caught.value.epoch
    twin = NeuralNetwork([1, 1], seed=0, backend=backend.name)
    twin.parameters = [1, 0]
    twin.train(**arguments, epochs=good)
    np.testing.assert_array_equal(network.parameters, twin.parameters)
    assert network._state.epochs == good
    assert {len(column) for column in network.history.to_dict().values()} == {good}
    network.save(tmp_path / "model.npz", training=True)
    again = fastmlp.load(tmp_path / "model.npz", backend=backend.name)
    for net in (network, again):
        net.train(**{**arguments, "learning_rate": 1e-3}, epochs=good + 2, metrics="mean_absolute_error", resume=True)
    assert network.history.loss == again.history.loss
    assert network.history.epochs == good + 2


def test_a_divergence_leaves_nothing_to_go_back_to(tmp_path):
    """The optimizer's state is gone: a best epoch with its own would not fit."""
    network = NeuralNetwork([1, 1], seed=0)
    arguments = {"X": np.ones((8, 1)), "y": np.zeros(8), "optimizer": "adam"}
    with pytest.raises(DivergenceError, match="in epoch 2 of 5"):
        network.train(**arguments, epochs=5, learning_rate=1e37, metrics="mean_absolute_error", restore_best=True)
    assert network.history.best_epoch == network._state.epochs == 1
    network.save(tmp_path / "model.npz", training=True)
    assert fastmlp.load(tmp_path / "model.npz").history.loss == network.history.loss
    network.parameters = [1, 0]
    assert network.train(**arguments, epochs=3, resume=True).epochs == 3


# --- what is refused

BAD = {
    "validation_data": [
        3, "abc", (), ([[1, 2, 3]],), ([[1, 2, 3]], [[0, 1]], [0]), np.ones((2, 3)), ([[1, 2]], [[0, 1]]),
        ([[1, 2, 3]], [0]), ([[1, 2, math.nan]], [[0, 1]]), ([[1, 2, 3]], [[0, math.inf]]), ([[1, 2, 3]], "a"),
    ],
    "validation_fraction": [0, 1, -0.1, 1.5, math.nan, "a", True, [0.1], 0.01],
    "metrics": [
        "accuracy", "R2", "", 3, ["r2", "r2"], ["r2", 3], {"r2"}, [max, max],
    ],
    "monitor": ["validation_loss", "r2", 3, "", ["loss"], np.mean],
    "patience": [0, -1, 1.5, "a", True, math.nan, [3]],
    "min_delta": [-1e-9, math.nan, math.inf, "a", None, True, [0.1], np.ones(2)],
    "restore_best": [0, 1, None, "yes"],
    "target_loss": [math.nan, math.inf, "a", True, [1]],
    "time_limit": [0, -1, math.nan, math.inf, "a", True, [1]],
    "callbacks": [3, "abc", [print, 3], {print}],
    "resume": [1, None, "yes", True],
}  # fmt: skip


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD.items() for value in values])
def test_what_is_refused(name, value):
    from refusals import refusal

    network = fresh()
    before = everything(network)
    X, y = table(10)
    assert refusal(network.train, X, y, 3, **{name: value}) == name
    assert everything(network) == before
    assert network.history is None


def test_what_is_said():
    X, y = table(10)
    for options, sentence in [
        ({"validation_data": (X, y), "validation_fraction": 0.1},
         "validation_fraction must be None if there are validation_data, got 0.1"),
        ({"validation_data": (X, y[:5])}, "validation_data[1] must be of shape (10, 2), got (5, 2)"),
        ({"monitor": "x", "metrics": "r2"}, "monitor must be one of 'loss', 'r2', got 'x'"),
        ({"validation_fraction": 0.01},
         "validation_fraction must be such that some of 10 samples are held out and some are not, got 0.01"),
        ({"metrics": "accuracy"},
         "metrics must be one of 'r2', 'mean_absolute_error', 'root_mean_squared_error', or a function for loss "
         "'mean_squared_error', got 'accuracy'"),
        ({"resume": True}, "resume must be False where no training is known to go on with, got True"),
    ]:  # fmt: skip
        with pytest.raises(ValueError) as caught:  # noqa: PT011 (the sentence follows)
            fresh().train(X, y, 3, **options)
        assert str(caught.value) == sentence


@pytest.mark.parametrize("loss", [row.name for row in LOSS_ROWS.values() if row.public])
@pytest.mark.parametrize("targets", [1, 2])
@pytest.mark.parametrize("metric", METRICS)
def test_metrics_of_the_table_measure_or_are_refused(loss, targets, metric):
    """They never take outputs for answers that are none, and are refused before anything is trained."""
    outputs = 3 if LOSS_ROWS[loss].targets == "classes" else targets * outputs_per_target(loss)
    network, X = NeuralNetwork([3, outputs], loss=loss, seed=0), np.eye(3)
    y = targets_of(loss, np.random.default_rng(0), 3, outputs)
    suits = LOSS_ROWS[loss].targets in METRICS[metric].targets and outputs_per_target(loss) == 1
    if suits:
        assert len(network.train(X, y, 1, 1e-3, metrics=metric).metrics[metric]) == 1
        return
    with pytest.raises(ValueError, match=rf"^metrics must be .*a function for loss '{loss}', got '{metric}'$"):
        network.train(X, y, 1, 1e-3, metrics=metric)
    assert network.history is None


def test_a_metric_may_not_have_the_name_of_another_column():
    def gradient_norm(y, outputs):
        return 0.0

    with pytest.raises(
        ValueError, match=r"^metrics must be of different names, none of another column, got 'gradient_"
    ):
        NeuralNetwork([3, 1], seed=0).train(np.eye(3), [1, 2, 3], 1, metrics=gradient_norm)
