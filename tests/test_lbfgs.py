"""L-BFGS through SciPy, where it is installed; and what is said where it is not."""

import sys

import numpy as np
import oracle
import pytest

import fastmlp
from fastmlp import LBFGS, NeuralNetwork
from fastmlp.seeding import SPLIT
from fastmlp.training.splitting import split_rows


def problem(dtype="float64", backend=None, samples=30):
    generator = np.random.default_rng(5)
    X = generator.normal(size=(samples, 3))
    return NeuralNetwork([3, 6, 1], "tanh", dtype=dtype, seed=0, backend=backend), X, np.sin(X.sum(axis=1))


def test_a_missing_scipy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    network, X, y = problem()
    before = network.parameters
    with pytest.raises(
        ImportError, match=r"^SciPy must be installed for optimizer 'lbfgs': `pip install fastmlp\[scipy\]`$"
    ):
        network.train(X, y, 5, optimizer="lbfgs")
    np.testing.assert_array_equal(network.parameters, before)


@pytest.fixture
def minimize():
    return pytest.importorskip("scipy.optimize", reason="SciPy is not installed").minimize


def test_it_is_scipys_on_the_oracles_gradient(backend, minimize):
    network, X, y = problem(backend=backend.name)
    l2, expected = 0.01, []
    is_weight = oracle.join([(np.ones((i, o)), np.zeros(o)) for i, o in ((3, 6), (6, 1))])

    def objective(vector):
        loss, gradient = oracle.loss_and_gradient(
            network.layer_sizes, network.activations, network.loss, vector, X, y[:, np.newaxis]
        )
        return loss + l2 / 2 * np.sum(is_weight * vector**2), gradient + l2 * is_weight * vector

    options = {"maxiter": 12, "maxcor": 7, "gtol": 1e-5, "ftol": 2e-9}
    start = np.array(network.parameters)
    minimize(objective, start, jac=True, method="L-BFGS-B", options=options, callback=lambda x: expected.append(x))
    losses = network.train(X, y, 12, optimizer=LBFGS(memory=7), l2=l2).loss
    assert len(losses) == len(expected) == 12
    np.testing.assert_allclose(network.parameters, expected[-1], rtol=1e-6, atol=1e-8)
    assert losses[-1] == pytest.approx(network.evaluate(X, y), rel=1e-12)  # the penalty is not in it


def test_it_fits_a_line_exactly(dtype, minimize):
    network = NeuralNetwork([2, 1], dtype=dtype, seed=0)
    X = np.random.default_rng(0).normal(size=(20, 2))
    history = network.train(X, X @ [2, -1] + 3, 100, optimizer="lbfgs")
    assert len(history.loss) < 100  # there was no more to gain
    np.testing.assert_allclose(network.parameters, [2, -1, 3], atol=1e-3)
    assert history.loss == sorted(history.loss, reverse=True)


def test_what_it_says(capsys, minimize):
    network, X, y = problem()
    history = network.train(X, y, 4, optimizer="lbfgs", verbose=True)
    expected = [f"Epoch {i}/4, loss: {loss:.6f}" for i, loss in enumerate(history.loss, start=1)]
    assert capsys.readouterr().out.splitlines() == expected


def evaluations(monkeypatch, network, changed):
    """Have networks evaluated by changed(evaluate), in which evaluate() is what it would have been."""
    kind = type(network._executor)
    right = kind.gradients
    monkeypatch.setattr(kind, "gradients", lambda self, *arguments: lambda: changed(right(self, *arguments)))


def test_an_interrupt_keeps_the_last_accepted_parameters(monkeypatch, minimize):
    network, X, y = problem()
    twin, _, _ = problem()
    calls = []

    def interrupted(evaluate):
        calls.append(network.parameters)
        if len(calls) == 9:
            raise KeyboardInterrupt
        return evaluate()

    evaluations(monkeypatch, network, interrupted)
    with pytest.raises(KeyboardInterrupt):
        network.train(X, y, 50, optimizer="lbfgs")
    accepted = network._state.epochs
    assert 0 < accepted < 8
    twin.train(X, y, accepted, optimizer="lbfgs")
    np.testing.assert_array_equal(network.parameters, twin.parameters)
    np.testing.assert_array_equal(network.predict(X), twin.predict(X))


def test_hills_that_are_not_finite_are_turned_back_from(monkeypatch, minimize):
    network, X, y = problem()
    calls = []

    def spoiled(evaluate):
        calls.append(None)
        loss, gradient = evaluate()
        return (np.nan, gradient * np.nan) if len(calls) in (3, 6) else (loss, gradient)

    evaluations(monkeypatch, network, spoiled)
    losses = network.train(X, y, 30, optimizer="lbfgs").loss
    assert len(losses) > 10
    assert losses == sorted(losses, reverse=True)
    assert np.isfinite(network.parameters).all()


def test_a_start_that_is_not_finite_is_refused(minimize):
    network, X, y = problem("float32")
    network.parameters = np.full(len(network.parameters), 1e38)
    with pytest.raises(FloatingPointError, match=r"^the loss must be finite to begin with optimizer 'lbfgs', got"):
        network.train(X, y, 3, optimizer="lbfgs")
    assert (network.parameters == np.float32(1e38)).all()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"learning_rate": 0.1}, "learning_rate must be None for optimizer 'lbfgs', got 0.1"),
        ({"batch_size": 5}, "batch_size must be None or at least 30, all samples, for optimizer 'lbfgs', got 5"),
        ({"l1": 0.1}, "l1 must be 0.0 for optimizer 'lbfgs', got 0.1"),
        ({"clip_norm": 1}, "clip_norm must be None for optimizer 'lbfgs', got 1.0"),
        ({"dropout": 0.5}, "dropout must be 0.0 for optimizer 'lbfgs', got (0.5,)"),
        ({"input_dropout": 0.5}, "input_dropout must be 0.0 for optimizer 'lbfgs', got 0.5"),
        ({"input_noise": 0.5}, "input_noise must be 0.0 for optimizer 'lbfgs', got 0.5"),
        ({"gradient_norms": True}, "gradient_norms must be False for optimizer 'lbfgs', got True"),
        ({"rate_factors": [0, 1]}, "rate_factors must be None for optimizer 'lbfgs', got (0.0, 1.0)"),
    ],
    ids=str,
)
def test_what_it_cannot_do_is_refused(options, sentence, minimize):
    network, X, y = problem()
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        network.train(X, y, 3, optimizer="lbfgs", **options)
    assert str(caught.value) == sentence


def test_there_is_nothing_to_resume(minimize):
    network, X, y = problem()
    network.train(X, y, 3, optimizer="lbfgs")
    with pytest.raises(ValueError, match=r"^resume must be False for optimizer 'lbfgs', which begins afresh, got True"):
        network.train(X, y, 5, optimizer="lbfgs", resume=True)


@pytest.mark.parametrize("save_and_load", [False, True])
def test_another_optimizer_does_not_resume_it(minimize, save_and_load, tmp_path):
    network, X, y = problem()
    network.train(X, y, 3, optimizer="lbfgs")
    if save_and_load:
        network.save(tmp_path / "network.npz", training=True)
        network = fastmlp.load(tmp_path / "network.npz")
    before = network.parameters.tobytes()
    for epochs in (2, 5):  # of which the former are trained
        with pytest.raises(ValueError, match=r"^resume must be False after optimizer 'lbfgs', which leaves nothing to"):
            network.train(X, y, epochs, resume=True)
    assert network.parameters.tobytes() == before
    network.train(X, y, 2)
    assert network.train(X, y, 5, resume=True).epochs == 5


def test_settings_must_keep_their_rules():
    for name, rule, values in [
        ("memory", "an integer from 1 on", [0, 1.5, "1", None]),
        ("tolerance", "a finite number from 0 on", [-1, np.nan, None]),
        ("loss_tolerance", "a finite number from 0 on", [-1, np.inf, "0"]),
    ]:
        for value in values:
            with pytest.raises(ValueError, match=f"^{name} must be {rule}, got"):
                LBFGS(**{name: value})


def test_networks_trained_so_can_be_saved(tmp_path, minimize):
    network, X, y = problem()
    network.train(X, y, 3, optimizer="lbfgs")
    network.save(tmp_path / "network.npz")
    again = fastmlp.load(tmp_path / "network.npz")
    np.testing.assert_array_equal(again.parameters, network.parameters)
    for net in (network, again):
        net.train(X, y, 2, optimizer="adam")
    np.testing.assert_array_equal(again.parameters, network.parameters)


# --- looked at as other trainings are


def trained(epochs, **options):
    network, X, y = problem()
    return network, network.train(X, y, epochs, optimizer="lbfgs", **options)


def test_it_is_measured_after_each_iteration(minimize):
    generator = np.random.default_rng(9)
    held_out = generator.normal(size=(10, 3)), generator.normal(size=10)
    seen = []

    def look(network, progress):
        X, y = held_out
        seen.append(network.evaluate(X, y))
        assert progress.history.metrics["mean_absolute_error"][-1] == pytest.approx(
            np.abs(network.predict(X)[:, 0] - y).mean(), rel=1e-12
        )

    network, history = trained(8, validation_data=held_out, metrics="mean_absolute_error", callbacks=look)
    assert history.validation_loss == seen
    assert len(history.loss) == len(history.seconds) == len(history.metrics["mean_absolute_error"]) == 8
    assert all(seconds > 0 for seconds in history.seconds)
    assert history.stopped == "All epochs were trained."
    plain, _ = trained(8)
    np.testing.assert_array_equal(network.parameters, plain.parameters)


def test_it_goes_back_to_the_best_iteration(minimize):
    X = np.random.default_rng(9).normal(size=(10, 3))
    network, history = trained(40, validation_data=(X, X[:, 0] ** 2), restore_best=True, patience=3)
    best = history.best_epoch
    assert best < history.epochs == best + 3
    assert history.stopped == f"validation_loss did not improve for 3 epochs after epoch {best}."
    expected, _ = trained(best)
    np.testing.assert_array_equal(network.parameters, expected.parameters)
    assert network._state.epochs == best
    network.train(X, X[:, 0], 1)  # and on it goes, by another optimizer


def test_reasons_to_stop(minimize):
    _, history = trained(40)
    network, shorter = trained(40, target_loss=history.loss[4])
    assert shorter.loss == history.loss[:5]
    assert shorter.stopped == f"loss reached target_loss {history.loss[4]:g} in epoch 5."
    network, stopped = trained(40, callbacks=lambda network, progress: progress.epoch == 3)
    assert stopped.stopped == "A callback stopped training after epoch 3."
    np.testing.assert_array_equal(network.parameters, trained(3)[0].parameters)


def test_the_time_limit_ends_an_iteration(monkeypatch, minimize):
    network, X, y = problem()
    calls = []

    def slow(evaluate):
        calls.append(None)
        if len(calls) == 18:  # a step of iteration 15 that is too long
            monkeypatch.setattr("fastmlp.training.watching.time.perf_counter", lambda: np.inf)
        return evaluate()

    evaluations(monkeypatch, network, slow)
    history = network.train(X, y, 50, optimizer="lbfgs", time_limit=1000)
    monkeypatch.undo()
    assert (len(calls), history.epochs) == (18, 14)
    assert history.stopped == f"The time_limit of 1000 seconds was reached in epoch {history.epochs + 1}."
    np.testing.assert_array_equal(network.parameters, trained(history.epochs)[0].parameters)


def test_held_out_samples_are_not_trained_on(minimize):
    network, X, y = problem()
    y[:] = np.arange(len(y))
    history = network.train(X, y, 5, optimizer="lbfgs", validation_fraction=0.2, seed=4)
    assert len(history.validation_loss) == 5
    entropy = np.random.SeedSequence(4, spawn_key=(SPLIT,))
    kept, held = split_rows(len(X), 0.2, np.random.default_rng(entropy), None)
    again, _, _ = problem()
    expected = again.train(X[kept], y[kept], 5, optimizer="lbfgs", validation_data=(X[held], y[held]))
    np.testing.assert_allclose(history.validation_loss, expected.validation_loss, rtol=1e-12)


def test_the_last_iteration_is_known_as_such(minimize):
    """Where there is no more to gain, too; what is called now and then is called in the end."""
    calls = []

    def now_and_then(network, progress):
        calls.append((progress.epoch, progress.ends))

    now_and_then.every = 1000
    network = NeuralNetwork([2, 1], dtype="float64", seed=0)
    X = np.random.default_rng(0).normal(size=(20, 2))
    ends = []
    history = network.train(
        X, X @ [2, -1] + 3, 100, optimizer="lbfgs",
        callbacks=[now_and_then, lambda network, progress: ends.append(progress.ends)],
    )  # fmt: skip
    assert history.stopped == "The minimum was found."
    assert calls == [(history.epochs, True)]
    assert ends == [False] * (history.epochs - 1) + [True]
    assert not network._watched


def test_parameters_that_callbacks_assign_are_trained_on(minimize):
    other = NeuralNetwork([3, 6, 1], seed=77, dtype="float64").parameters

    def assign(network, progress):
        if progress.epoch == 4:
            network.parameters = other

    network, history = trained(10, callbacks=assign)
    expected, X, y = problem()
    expected.parameters = other
    losses = expected.train(X, y, 6, optimizer="lbfgs").loss
    assert history.loss[4:] == losses
    np.testing.assert_array_equal(network.parameters, expected.parameters)


def test_errors_of_callbacks_leave_the_network_there(minimize):
    def fail(network, progress):
        if progress.epoch == 3:
            raise OSError("disk on fire")

    network, X, y = problem()
    with pytest.raises(OSError, match="disk on fire"):
        network.train(X, y, 10, optimizer="lbfgs", callbacks=fail, metrics="r2")
    assert network.history.epochs == len(network.history.metrics["r2"]) == 3
    assert not network._watched
    np.testing.assert_array_equal(network.parameters, trained(3)[0].parameters)


def test_checkpoints(tmp_path, minimize):
    network, history = trained(6, callbacks=fastmlp.Checkpoint(tmp_path / "network.npz", every=2))
    saved = fastmlp.load(tmp_path / "network.npz")
    np.testing.assert_array_equal(saved.parameters, network.parameters)
    assert saved.history.loss == history.loss
