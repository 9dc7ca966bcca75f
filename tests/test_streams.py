"""Training on chunks: the steps that training on all of them together makes, and errors that undo nothing."""

import copy

import numpy as np
import pytest
from test_memory import peak

import fastmlp
from fastmlp.kernels.functions.disturbance import Disturbance

SAMPLES, BATCH = 60, 5


def made(backend=None, dtype="float64", loss="mean_squared_error"):
    return fastmlp.NeuralNetwork([4, 6, 2], "tanh", loss=loss, dtype=dtype, seed=3, backend=backend)


def data(loss="mean_squared_error"):
    generator = np.random.default_rng(8)
    X = generator.normal(size=(SAMPLES, 4))
    if loss == "categorical_cross_entropy":
        return X, generator.integers(2, size=SAMPLES)
    return X, generator.normal(size=(SAMPLES, 2))


def chunks(*columns, ends=(10, 15, 40, 60)):
    """Of sizes that are multiples of BATCH."""
    return [tuple(c[a:b] for c in columns) for a, b in zip((0, *ends), ends, strict=False)]


OPTIONS = {"learning_rate": 0.02, "batch_size": BATCH, "optimizer": "adam"}


def bits(network):
    return network.parameters.tobytes(), network._state.slots.tobytes(), network._state.updates, network._state.epochs


@pytest.mark.parametrize("loss", ["mean_squared_error", "categorical_cross_entropy"])
def test_the_bits_of_training_on_all_at_once(backend, dtype, loss):
    X, y = data(loss)
    stream, whole = made(backend.name, dtype, loss), made(backend.name, dtype, loss)
    expected = whole.train(X, y, 3, shuffle=False, **OPTIONS)
    history = stream.train_stream(chunks(X, y), 3, **OPTIONS)
    assert bits(stream) == bits(whole)
    np.testing.assert_allclose(history.loss, expected.loss, rtol=64 * np.finfo(dtype).eps)
    other = made(backend.name, dtype, loss)
    other.train_stream(chunks(X, y, ends=(12, 60)), 3, **OPTIONS)
    assert bits(other) != bits(whole)


def test_training_goes_on_from_one_call_to_the_next(backend):
    X, y = data()
    parts, whole = made(backend.name), made(backend.name)
    whole.train(X, y, 4, shuffle=False, **OPTIONS)
    parts.train_stream(chunks(X, y), 1, **OPTIONS)
    parts.train(X, y, 2, shuffle=False, **OPTIONS)
    parts.train_stream(iter(chunks(X, y)), **OPTIONS)
    assert bits(parts) == bits(whole)


def test_weights_of_chunks(backend):
    """Steps and losses as if all came at once: within rounding, since weights are made relative to other means."""
    X, y = data()
    weights = np.random.default_rng(2).integers(1, 5, SAMPLES) / 2
    weights[20:30] *= 100  # chunks count as much as their weights do
    stream, whole = made(backend.name), made(backend.name)
    expected = whole.train(X, y, 2, shuffle=False, sample_weight=weights, **OPTIONS)
    history = stream.train_stream(chunks(X, y, weights), 2, **OPTIONS)
    np.testing.assert_allclose(stream.parameters, whole.parameters, rtol=0, atol=1e-12)
    np.testing.assert_allclose(history.loss, expected.loss, rtol=1e-12)
    unweighted = made(backend.name).train_stream(chunks(X, y), 2, **OPTIONS)
    assert abs(np.subtract(unweighted.loss, history.loss)).max() > 1e-3


def test_chunks_with_weights_and_without_and_classes(backend):
    X, y = data("categorical_cross_entropy")
    loss = "categorical_cross_entropy"
    stream, whole = made(backend.name, loss=loss), made(backend.name, loss=loss)
    weights = np.ones(SAMPLES)
    weights[:30] = 0.25
    mixed = [(X[:30], y[:30], weights[:30]), [X[30:], y[30:]]]
    history = stream.train_stream(mixed, class_weight={1: 3}, **OPTIONS)
    expected = whole.train(X, y, 1, shuffle=False, sample_weight=weights, class_weight={1: 3}, **OPTIONS)
    np.testing.assert_allclose(stream.parameters, whole.parameters, rtol=0, atol=1e-12)
    np.testing.assert_allclose(history.loss, expected.loss, rtol=1e-12)


def test_shuffling_within_chunks(backend):
    """Each chunk in an order of its own, another in each epoch; the same for the same seed."""
    X, y = data()

    def trained(**options):
        network = made(backend.name)
        return network.train_stream(chunks(X, y, ends=(30, 60)), 2, **OPTIONS, **options), bits(network)

    assert trained(shuffle=True)[1] == trained(shuffle=True)[1] != trained()[1]
    assert trained(shuffle=True, seed=1)[1] == trained(shuffle=True, seed=1)[1] != trained(shuffle=True)[1]


def test_orders_of_chunks_differ(monkeypatch):
    keys = []
    network = made("reference")
    train = network._train

    def spy(X, y, schedule, **options):
        keys.append((schedule.shuffle_key, schedule.first_epoch))
        return train(X, y, schedule, **options)

    monkeypatch.setattr(network, "_train", spy)
    network.train_stream(chunks(*data()), 2, shuffle=True, **OPTIONS)
    assert len(set(keys)) == 8
    assert [epoch for _, epoch in keys] == [0] * 4 + [1] * 4


def test_the_end_of_a_chunk_is_a_smaller_batch(backend):
    X, y = data()
    stream, steps = made(backend.name), made(backend.name)
    stream.train_stream([(X[:8], y[:8]), (X[8:11], y[8:11])], **OPTIONS)
    for rows in (slice(0, 5), slice(5, 8), slice(8, 11)):
        steps.train(X[rows], y[rows], 1, **OPTIONS, shuffle=False)
    assert bits(stream)[:3] == bits(steps)[:3]
    assert (stream._state.epochs, steps._state.epochs) == (1, 3)


def test_a_callable_is_called_for_each_epoch_and_chunks_are_made_one_by_one():
    X, y = data()
    events, network = [], made()

    def stream():
        events.append("begin")
        for chunk in chunks(X, y):
            events.append(network._state.updates)
            yield chunk

    network.train_stream(stream, 2, **OPTIONS)
    assert events == ["begin", 0, 2, 3, 8, "begin", 12, 14, 15, 20]


def test_one_chunk_is_in_memory_at_a_time(fast_backend):
    network = fastmlp.NeuralNetwork([100, 2], seed=1, backend=fast_backend.name)

    def stream():
        for seed in range(5):
            generator = np.random.default_rng(seed)
            yield generator.random((10_000, 100)), generator.random((10_000, 2))  # 8 megabytes

    assert 8e6 < peak(lambda: network.train_stream(stream, 2)) < 12e6
    kept = []
    assert peak(lambda: network.train_stream(lambda: (kept.append(c) or c for c in stream()))) > 30e6


def test_verbose(capsys):
    history = made("reference").train_stream(chunks(*data()), 2, verbose=True, **OPTIONS)
    lines = [f"Epoch {i + 1}/2, loss: {loss:.6f}" for i, loss in enumerate(history.loss)]
    assert capsys.readouterr().out.splitlines() == lines


# --- errors


@pytest.mark.parametrize("bad", [1, 2, 4])
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda X, y: (X[:, :3], y), r"X must be of shape \(n_samples, 4\), got \(\d+, 3\), in chunk"),
        (lambda X, y: (X * np.nan, y), r"X must be finite, got nan at X\[0, 0\], in chunk"),
        (lambda X, y: (X, y[1:]), r"y must be of shape .*, in chunk"),
        (lambda X, y: (X[:0], y[:0]), r"X must be of shape .*, got \(0, 4\), in chunk"),
        (
            lambda X, y: (X, y, -np.ones(len(X))),
            r"sample_weight must be finite numbers from 0 on, got -1.0 .*, in chunk",
        ),
        (lambda X, y: X, r"chunks must be of \(X, y\) or \(X, y, sample_weight\), got array.*, in chunk"),
        (lambda X, y: (X,), r"chunks must be of \(X, y\) or \(X, y, sample_weight\), got \(array.*, in chunk"),
    ],
)
def test_a_bad_chunk_leaves_the_network_as_after_the_one_before(backend, bad, spoil, message):
    good = chunks(*data())
    network, expected = made(backend.name), made(backend.name)
    for who in (network, expected):
        who.train(*good[0], 1, **OPTIONS)
    if bad > 1:
        expected.train_stream(good[: bad - 1], **OPTIONS)
    with pytest.raises((ValueError, TypeError), match=f"{message} {bad} of epoch 1$"):
        network.train_stream([*good[: bad - 1], spoil(*good[bad - 1]), *good[bad:]], **OPTIONS)
    assert bits(network)[:3] == bits(expected)[:3]


def test_a_bad_first_chunk_changes_nothing_not_even_the_optimizer():
    X, y = data()
    network = made()
    network.train(X, y, 1, **OPTIONS)
    before = bits(network)
    with pytest.raises(ValueError, match="in chunk 1 of epoch 1"):
        network.train_stream([(X[:, :2], y)], optimizer="sgd")
    assert bits(network) == before


def test_errors_of_the_iterable_itself_pass_with_a_note():
    X, y = data()
    network, expected = made(), made()

    def broken():
        yield X[:10], y[:10]
        raise OSError("disk on fire")

    with pytest.raises(OSError, match="disk on fire") as caught:
        network.train_stream(broken(), **OPTIONS)
    assert caught.value.__notes__ == ["This was chunk 2 of epoch 1: parameters are as the chunk before has left them."]
    expected.train_stream([(X[:10], y[:10])], **OPTIONS)
    assert bits(network)[:3] == bits(expected)[:3]


def test_a_chunk_that_diverges(backend):
    X, y = data()
    network, expected = made(backend.name), made(backend.name)
    sgd = {"learning_rate": 0.1, "batch_size": BATCH}
    with pytest.raises(fastmlp.DivergenceError) as caught:
        network.train_stream([(X[:10], y[:10]), (X[10:], y[10:] * 1e200)], **sgd)
    assert "This was chunk 2 of epoch 1" in caught.value.__notes__[0]
    expected.train_stream([(X[:10], y[:10])], **sgd)
    assert network.parameters.tobytes() == expected.parameters.tobytes()
    network.train_stream([(X[:10], y[:10])], **sgd)


@pytest.mark.parametrize(
    ("stream", "epochs", "message"),
    [
        (iter([]), 2, "chunks must be an iterable that begins anew, or a callable that returns one, for more than one"),
        (3, 1, "chunks must be an iterable or a callable that returns one, got 3"),
        (lambda: 3, 1, "chunks must return an iterable, got 3"),
        ([], 1, "chunks must be one or more in an epoch, got none in epoch 1"),
    ],
)
def test_what_is_no_stream(stream, epochs, message):
    with pytest.raises((ValueError, TypeError), match=message):
        made().train_stream(stream, epochs)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs must be"),
        ({"batch_size": 0}, "batch_size must be"),
        ({"optimizer": "none"}, "optimizer must be one of"),
        ({"learning_rate": -1}, "learning_rate must be"),
        ({"shuffle": 1}, "shuffle must be"),
        ({"verbose": 1}, "verbose must be"),
        ({"seed": -1}, "seed must be"),
        ({"optimizer": "rprop"}, "optimizer must be one that takes minibatches, for chunks, got 'rprop'"),
        ({"metrics": "r2"}, "metrics must be None without validation_data, got 'r2'"),
        ({"monitor": "validation_loss"}, "monitor must be one of 'loss', got 'validation_loss'"),
        ({"validation_data": 3}, "validation_data must be"),
        ({"dropout": 1}, "dropout must be"),
        ({"l2": -1}, "l2 must be"),
        ({"gradient_norms": 1}, "gradient_norms must be"),
        ({"patience": 0}, "patience must be"),
        ({"callbacks": 3}, "callbacks must be"),
        ({"time_limit": 0}, "time_limit must be"),
        ({"class_weight": "balanced"}, "class_weight must be None or a dict of classes' weights, got 'balanced'"),
    ],
)
def test_bad_options_before_the_first_chunk_is_made(options, message):
    def never():
        raise AssertionError

    with pytest.raises((ValueError, TypeError), match=message):
        made().train_stream(never, **options)


def test_copies_go_on_alike():
    X, y = data()
    network = made()
    network.train_stream(chunks(X, y), **OPTIONS)
    twin = copy.deepcopy(network)
    for who in (network, twin):
        who.train_stream(chunks(X, y), shuffle=True, **OPTIONS)
    assert bits(network) == bits(twin)


def test_chunks_without_weight_count_for_nothing():
    X, y = data()
    weights = np.ones(len(X))
    weights[: len(X) // 2] = 0
    parts = [(X[rows], y[rows], weights[rows]) for rows in (slice(0, len(X) // 2), slice(len(X) // 2, None))]
    network, other = made("reference"), made("reference")
    options = OPTIONS | {"optimizer": "sgd"}  # Adam would count steps of zero gradient
    history = network.train_stream(parts, **options)
    expected = other.train_stream(parts[1:], **options)
    assert history.loss == expected.loss
    assert network.parameters.tobytes() == other.parameters.tobytes()
    with pytest.raises(ValueError, match=r"^sample_weight must be above 0 for some sample, got 0 for all of epoch 1$"):
        network.train_stream(parts[:1], **OPTIONS)


def test_a_divergence_says_in_which_epoch_of_the_stream():
    X, y = data()
    network, passes = made("reference"), iter([1.0, 1.0, 1e300])

    def chunks():
        scale = next(passes)
        yield X, y
        yield X, y * scale

    with pytest.raises(
        fastmlp.DivergenceError, match=r"^training diverged in epoch 3 of 9 .* that the chunk before ha"
    ):
        network.train_stream(chunks, 9, **OPTIONS)
    assert network.history.epochs == len(network.history.seconds) == 2


# --- what else `train` can do

STEPS = {  # what steps are made, and what is known of them
    "regularization": {
        "l1": 0.01,
        "l2": 0.02,
        "weight_decay": 0.1,
        "clip_value": 0.3,
        "clip_norm": 0.5,
        "max_norm": 1.0,
    },
    "average": {"ema_decay": 0.9},
    "frozen": {"rate_factors": [0, 1]},
    "norms": {"gradient_norms": True},
    "decay": {"learning_rate": fastmlp.StepDecay(0.05, every=2, factor=0.5)},
    "callable": {"learning_rate": lambda epoch: 0.05 / (1 + epoch)},
    "plateau": {"learning_rate": fastmlp.ReduceOnPlateau(0.05, patience=0, threshold=0.5)},
}


@pytest.mark.parametrize("options", STEPS.values(), ids=STEPS)
def test_the_bits_of_training_on_all_at_once_with(backend, options):
    X, y = data()
    options = OPTIONS | options
    stream, whole = made(backend.name), made(backend.name)
    expected = whole.train(X, y, 5, shuffle=False, **options)
    history = stream.train_stream(chunks(X, y), 5, **options)
    assert bits(stream) == bits(whole)
    if whole._state.seen is not None:
        reductions, waited = ([network._state.seen[1][i] for network in (stream, whole)] for i in (0, 2))
        assert reductions[0] == reductions[1] > 0
        assert waited[0] == waited[1]
    np.testing.assert_allclose(history.loss, expected.loss, rtol=1e-12)
    np.testing.assert_allclose(history.gradient_norm, expected.gradient_norm, rtol=1e-12)
    assert history.learning_rate == expected.learning_rate
    assert len(history.seconds) == 5
    if "ema_decay" in options:
        assert stream.averaged().parameters.tobytes() == whole.averaged().parameters.tobytes()
    assert bits(made(backend.name)) != bits(stream)


WATCHED = {
    "measured": {"metrics": ["r2", lambda y, outputs: float(outputs.min())]},
    "patience": {"patience": 2, "learning_rate": 0.1},
    "best": {"restore_best": True, "learning_rate": 0.1},
    "metric": {"restore_best": True, "metrics": "r2", "monitor": "r2", "patience": 3, "min_delta": 1e-3},
    "target": {"target_loss": 1.3},
}


@pytest.mark.parametrize("options", WATCHED.values(), ids=WATCHED)
def test_it_is_watched_as_training_on_all_at_once(backend, options, capsys):
    X, y = data()
    options = OPTIONS | options | {"validation_data": (X[:20] + 1, y[:20]), "verbose": True}
    stream, whole = made(backend.name), made(backend.name)
    expected = whole.train(X, y, 12, shuffle=False, **options)
    lines = capsys.readouterr().out.splitlines()
    history = stream.train_stream(chunks(X, y), 12, **options)
    assert bits(stream) == bits(whole)
    assert history.validation_loss == expected.validation_loss
    assert history.metrics.keys() == expected.metrics.keys()
    assert list(history.metrics.values()) == list(expected.metrics.values())
    assert (history.stopped, history.best_epoch, stream.history) == (expected.stopped, expected.best_epoch, history)
    assert capsys.readouterr().out.splitlines() == lines


def test_schedules_count_epochs_from_each_call():
    X, y = data()
    network = made("reference")
    wave = fastmlp.Cosine(0.1, epochs=2)
    assert network.train_stream(chunks(X, y), 3, wave, BATCH).learning_rate == pytest.approx([0.1, 0.05, 0])
    assert network.train_stream(chunks(X, y), 1, wave, BATCH).learning_rate == [0.1]
    with pytest.raises(
        ValueError, match=r"^learning_rate must be a callable that returns finite numbers from 0 on, got"
    ):
        network.train_stream(lambda: 1 / 0, 3, lambda epoch: 0.1 - epoch)


def test_each_chunk_is_disturbed_in_its_own_way(backend, monkeypatch):
    X, y = data()
    options = OPTIONS | {"dropout": 0.4, "input_dropout": 0.1, "input_noise": 0.5}

    def trained(**more):
        network, schedules = made(backend.name), []
        train = network._train
        monkeypatch.setattr(network, "_train", lambda X, y, s, **o: schedules.append(s) or train(X, y, s, **o))
        network.train_stream(chunks(X, y), 2, **options, **more)
        assert {s.disturbance for s in schedules} == {Disturbance(0.5, 0.1, (0.4,))}
        assert len({(s.disturbance_key, s.first_epoch) for s in schedules}) == 8
        return bits(network)

    plain = made(backend.name)
    plain.train_stream(chunks(X, y), 2, **OPTIONS)
    assert trained() == trained() != trained(seed=7)
    assert trained() != bits(plain)


def test_chunks_must_not_train_the_network_themselves():
    X, y = data()
    network = made()

    def training():
        yield X, y
        network.train(X, y, 1)

    message = "train must not be called by callbacks or chunks of the same network's training"
    with pytest.raises(RuntimeError, match=f"^{message}\\b"):
        network.train_stream(training)
    assert not network._watched


def test_callbacks_see_the_network_after_each_epoch(tmp_path):
    X, y = data()
    seen, twin = [], made()

    def look(network, progress):
        twin.train_stream(chunks(X, y), **OPTIONS)
        assert bits(network) == bits(twin)
        assert progress.history is network.history
        seen.append((progress.epoch, progress.epochs, progress.is_best, progress.ends))
        with pytest.raises(RuntimeError, match=r"^train_stream must not be called by callbacks or chunks"):
            network.train_stream(chunks(X, y))
        return progress.epoch == 3

    network = made()
    checkpoint = fastmlp.Checkpoint(tmp_path / "network.npz", every=2)
    history = network.train_stream(chunks(X, y), 5, callbacks=[look, checkpoint], **OPTIONS)
    assert seen == [(1, 5, True, False), (2, 5, True, False), (3, 5, True, False)]
    assert history.stopped == "A callback stopped training after epoch 3."
    assert bits(fastmlp.load(tmp_path / "network.npz")) == bits(network)
    network.train_stream(chunks(X, y))


def test_what_callbacks_assign_is_trained_on():
    X, y = data()

    def reset(network, progress):
        network.parameters = np.ones(len(network.parameters))

    network, twin = made(), made()
    network.train_stream(chunks(X, y), 2, 0.02, BATCH, callbacks=reset)
    assert (network.parameters == 1).all()
    twin.parameters = np.ones(len(twin.parameters))
    other = twin.train_stream(chunks(X, y), 1, 0.02, BATCH)
    assert network.history.loss[1] == other.loss[0]


def test_errors_of_callbacks_end_it_there():
    X, y = data()

    def fail(network, progress):
        if progress.epoch == 2:
            raise OSError("disk on fire")

    network = made()
    with pytest.raises(OSError, match="disk on fire"):
        network.train_stream(chunks(X, y), 5, callbacks=fail, **OPTIONS)
    assert network._state.epochs == network.history.epochs == len(network.history.seconds) == 2
    network.train_stream(chunks(X, y), **OPTIONS)


def test_the_time_limit_leaves_an_epoch_unfinished(monkeypatch):
    X, y = data()
    network, expected, made_chunks = made(), made(), []

    def stream():
        for chunk in chunks(X, y):
            made_chunks.append(chunk)
            if len(made_chunks) == 7:
                monkeypatch.setattr("fastmlp.training.watching.time.perf_counter", lambda: np.inf)
            yield chunk

    history = network.train_stream(stream, 3, time_limit=1000, **OPTIONS)
    monkeypatch.undo()
    assert history.stopped == "The time_limit of 1000 seconds was reached in epoch 2."
    assert (history.epochs, network._state.epochs, len(made_chunks)) == (1, 1, 7)
    expected.train_stream(chunks(X, y), **OPTIONS)
    expected.train_stream(chunks(X, y)[:2], **OPTIONS)
    assert bits(network)[:3] == bits(expected)[:3]


def test_sparse_chunks_are_not_disturbed():
    sparse = pytest.importorskip("scipy.sparse", reason="SciPy is not installed")
    X, y = data()
    with pytest.raises(ValueError, match=r"^input_noise must be 0 for sparse samples, got 0.5, in chunk 1 of epoch 1$"):
        made().train_stream([(sparse.csr_array(X), y)], input_noise=0.5)
