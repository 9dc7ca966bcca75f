"""Kernels in threads: several networks train at once, and Python goes on while one does."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from cases import case

from fastmlp.kernels.functions.optimizers import SGD, Adam
from fastmlp.kernels.runtime.training import Schedule


def train(backend, network, key):
    executor, state = network.executor(backend), network.state(Adam())
    training = executor.training(network.X, network.y, state, Schedule(Adam(), 7, 20, key))
    for step in range(0, 20 * training.steps_per_epoch, training.steps_per_epoch):
        training.run(step, step + training.steps_per_epoch)
    training.collect()
    return [executor.parameters.tobytes(), state.tobytes(), training.losses.tobytes()]


def test_concurrent_trainings_give_what_they_give_alone(fast_backend, dtype):
    networks = [
        case((9, 30, 20, 3), "tanh", "softmax", "categorical_cross_entropy", dtype, 100, seed=1),
        case((9, 33, 3), "relu", "identity", "mean_squared_error", dtype, 90, seed=2),
    ]
    alone = [train(fast_backend, network, key) for key, network in enumerate(networks)]
    barrier = threading.Barrier(2)

    def together(key):
        barrier.wait()
        return train(fast_backend, networks[key], key)

    with ThreadPoolExecutor(2) as pool:
        for _ in range(3):
            assert list(pool.map(together, range(2))) == alone


def test_concurrent_predictions_of_one_network(fast_backend, dtype):
    network = case((9, 30, 20, 3), "tanh", "softmax", "categorical_cross_entropy", dtype, 100)
    executor = network.executor(fast_backend)
    expected = executor.predict(network.X).tobytes()
    barrier = threading.Barrier(2)

    def predict(_):
        barrier.wait()
        return {executor.predict(network.X).tobytes() for _ in range(200)}

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(predict, range(2))) == [{expected}] * 2


def test_python_goes_on_during_a_kernel(fast_backend, dtype):
    """One call of a kernel is to make some millions of steps. While it does, this thread sees the loss grow, counts,
    and puts NaN where the kernel reads samples: had this thread to wait for the call's end, it would not end early."""
    steps = 4_000_000
    row = np.ones((1, 4))
    X, y = np.broadcast_to(row, (steps, 4)), np.broadcast_to(np.ones((1, 1)), (steps, 1))
    network = case((4, 1), (), "identity", "mean_squared_error", dtype, 1)
    network.X, network.y = X, y
    executor = network.executor(fast_backend)
    training = executor.training(X, y, network.state(SGD()), Schedule(SGD(1e-9), 1, 1))
    worker = threading.Thread(target=training.run, args=(0, steps))
    worker.start()
    seen = 0
    while seen < 100 and worker.is_alive():
        seen += training.losses[0] > 0
    row[...] = np.nan
    worker.join()
    assert seen == 100
    assert 0 < training.steps_done < steps
