"""Predictors for anyone, at any time: called without Python, by several threads, and as objects."""

import copy
import gc
import pickle
import sys
import threading
import tracemalloc
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from cases import network_of
from predictions import ROWS, SIZES, from_oracle, read_only, samples

import fastmlp
from fastmlp.kernels.backends import choice as backends
from fastmlp.network.predictor import Predictor


@pytest.fixture
def network(backend, dtype):
    return network_of(SIZES, dtype=dtype, backend=backend.name)


# --- the direct way


@pytest.fixture
def direct(dtype):
    if not backends.extension_exists():
        pytest.skip("the extension was not built")
    return network_of(SIZES, dtype=dtype, backend="compiled")


def test_plain_arrays_do_not_meet_python(direct, monkeypatch):
    def long_way(*arguments, **options):
        raise AssertionError("Python")

    predictor = direct.predictor()
    monkeypatch.setattr(Predictor, "__call__", long_way)
    for source in ("float32", "float64"):
        X = samples(ROWS, source)
        for same in (X, X[:1], X[0], X[::-2, ::-1], np.asfortranarray(X), X.T[:, :3], read_only(X[0].copy())):
            out = np.empty(same.shape, direct.dtype)
            for _ in range(2):
                direct.predict(same)
                predictor(same)
                predictor(same, out)
                predictor(same, out=out)
                predictor(same, out=None)
    X = samples(4, direct.dtype)
    predictor(X, out=X)
    for other in (X.tolist(), X.astype(int), X.astype(">f4"), X.view(np.matrix), X * np.nan, X[:, :2], X[:0]):
        with pytest.raises(AssertionError, match="Python"):
            predictor(other)
    for out in (X[:2], np.zeros((4, 3), ">f4"), X.T, X.view(np.matrix), 5):
        with pytest.raises(AssertionError, match="Python"):
            predictor(X, out=out)


def test_nothing_is_allocated_where_there_is_a_place_for_outputs(direct):
    predictor = network_of((3, 5, 500), dtype=direct.dtype, backend="compiled").predictor()

    def allocated(call, X, out):
        tracemalloc.start()
        try:
            for _ in range(100):
                call(X, out)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    for X in (samples(1)[0], samples(5), samples(ROWS, "float32")):
        out = np.empty((*X.shape[:-1], 500), direct.dtype)
        assert allocated(predictor, X, out) < 500
        assert allocated(lambda X, out: predictor(X), X, out) > out.nbytes  # one would be seen


def test_references_are_given_back(network):
    predictor, X = network.predictor(), samples(4)
    out = np.empty((4, 3), network.dtype)
    wrong = X * np.nan
    things = [predictor, X, out, wrong, type(predictor)]

    def use():
        for _ in range(100):
            predictor(X)
            predictor(X, out=out)
            predictor(X, out)
            predictor(X.tolist(), out)
            copy.copy(predictor)
            for arguments in ((wrong,), (X, X[:2]), (X, 3)):
                with pytest.raises((ValueError, TypeError)):
                    predictor(*arguments)

        gc.collect()
        return [sys.getrefcount(thing) for thing in things]

    assert use() == use()


def test_predictors_go_when_nobody_holds_them(network):
    """At once: what they work in may be large."""
    predictor = network.predictor()
    predictor(samples(2))
    watched = weakref.ref(predictor._prediction)
    gc.disable()
    try:
        del predictor
        assert watched() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("source", ["float32", "int8", "float16", ">f8"])
def test_memory_does_not_grow_with_rows(fast_backend, source):
    network = network_of((8, 4, 1), backend=fast_backend.name)
    predictor = network.predictor()
    X = np.broadcast_to(np.ones(8, source), (2_000_000, 8))  # would be 64 MB as float32
    predictor(X[:1000])
    tracemalloc.start()
    try:
        predictor(X)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert 8_000_000 < peak < 13_000_000  # outputs are 8 MB


# --- threads


def check_threads(predictor, threads, rows, calls):
    """Every thread gets what it would alone."""
    tables = [samples(rows, seed=seed) for seed in range(threads)]
    alone = [predictor(X).tobytes() for X in tables]
    barrier = threading.Barrier(threads)

    def work(index):
        X, out = tables[index], np.empty((rows, 3), predictor.dtype)
        barrier.wait()
        return {predictor(X, out=out).tobytes() for _ in range(calls)} | {predictor(X).tobytes()}

    with ThreadPoolExecutor(threads) as pool:
        assert list(pool.map(work, range(threads))) == [{expected} for expected in alone]


@pytest.mark.parametrize(("rows", "calls"), [(1, 500), (ROWS, 50)])
def test_threads_share_a_predictor(fast_backend, dtype, rows, calls):
    check_threads(network_of(SIZES, dtype=dtype, backend=fast_backend.name).predictor(), 4, rows, calls)


def test_more_threads_than_seats(fast_backend):
    """Kernels that take so long that others begin meanwhile."""
    predictor = network_of((3, 256, 256, 3), backend=fast_backend.name).predictor()
    check_threads(predictor, 20, 100, 20)


def test_threads_share_a_predictor_of_slow_backends():
    for name in ("reference", "interpreted"):
        check_threads(network_of(SIZES, backend=name).predictor(), 3, 2, 3)


def test_threads_see_the_last_parameters(fast_backend):
    """What one thread makes of parameters that another is replacing is not kept."""
    network = network_of(SIZES, backend=fast_backend.name)
    X, done = samples(2), threading.Event()

    def look():
        while not done.is_set():
            network.predict(X)

    with ThreadPoolExecutor(3) as pool:
        for _ in range(3):
            pool.submit(look)
        try:
            for step in range(300):
                network.parameters = np.full(len(network.parameters), step / 300)
                expected = network.predictor()(X)
                np.testing.assert_array_equal(network.predict(X), expected)
        finally:
            done.set()
    np.testing.assert_allclose(network.predict(X), from_oracle(network, X), rtol=1e-4)


def lets_others_in(call):
    """Whether another thread runs while this one is in a call, and keeps the interpreter but for what the call does."""
    count, ready, done = [0], threading.Event(), threading.Event()

    def go_on():
        while not done.is_set():
            count[0] += 1
            ready.set()
            done.wait(0.0001)

    interval = sys.getswitchinterval()
    thread = threading.Thread(target=go_on)
    thread.start()
    ready.wait()
    try:
        sys.setswitchinterval(1000)
        before = count[0]
        call()
        return count[0] > before
    finally:
        sys.setswitchinterval(interval)
        done.set()
        thread.join()


@pytest.mark.skipif(not getattr(sys, "_is_gil_enabled", lambda: True)(), reason="there is no GIL")
def test_only_long_calls_let_other_threads_in():
    if not backends.extension_exists():
        pytest.skip("the extension was not built")
    predictor = network_of((64, 256, 256, 1), backend="compiled").predictor()
    few, many = samples(5, features=64), samples(20000, features=64)
    out_of_few, out_of_many = np.empty((5, 1), "f4"), np.empty((20000, 1), "f4")
    assert lets_others_in(lambda: predictor(many, out=out_of_many))
    assert not lets_others_in(lambda: [predictor(few, out=out_of_few) for _ in range(2000)])


# --- as an object


def test_what_it_says_of_itself(network):
    predictor = network.predictor()
    assert isinstance(predictor, fastmlp.Predictor)
    assert callable(predictor)
    assert repr(predictor) == f"Predictor([3, 5, 3], activations=('tanh', 'identity'), dtype='{network.dtype}')"
    for name in ("layer_sizes", "activations", "dtype", "backend"):
        assert getattr(predictor, name) == getattr(network, name)
        assert name in dir(predictor)
        with pytest.raises(AttributeError):
            setattr(predictor, name, getattr(network, name))
    with pytest.raises(AttributeError):
        predictor.loss  # noqa: B018
    with pytest.raises(AttributeError):
        predictor.misspelled = 1


def test_copies(network):
    predictor, X = network.predictor(), samples(3)
    pickled = pickle.dumps(predictor)
    network.parameters = network.parameters * 0
    for again in (pickle.loads(pickled), copy.copy(predictor), copy.deepcopy(predictor)):
        assert again(X).tobytes() == predictor(X).tobytes()
        assert (repr(again), again.backend, type(again)) == (repr(predictor), predictor.backend, type(predictor))
    assert len(pickled) < 1000 + network.parameters.nbytes


def test_pickles_take_the_backend_of_where_they_are_read(monkeypatch):
    monkeypatch.delenv("FASTMLP_BACKEND", raising=False)
    of_any, of_one = network_of(SIZES).predictor(), network_of(SIZES, backend="interpreted").predictor()
    monkeypatch.setenv("FASTMLP_BACKEND", "reference")
    assert pickle.loads(pickle.dumps(of_any)).backend == "reference"
    assert pickle.loads(pickle.dumps(of_one)).backend == "interpreted"
