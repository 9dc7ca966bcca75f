"""Orders of samples as scikit-learn draws them, from the estimator's own generator."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from ..kernels.base.arrays import Array
from ..kernels.base.errors import require

WORDS = 624  # of a Mersenne twister


@contextmanager
def twister_of(random: np.random.RandomState, shared: bool) -> Iterator[Array]:
    """The state of its Mersenne twister, for kernels to draw from; in the end it has drawn what they drew.

    Unless others, in another thread or a callback, drew from it meanwhile: they shall not get the same numbers again.
    If it is not shared, nobody asks what it has drawn. A generator of another kind seeds a twister.
    """
    lent = random.get_state(legacy=False)
    if lent["bit_generator"] != "MT19937":
        random = np.random.RandomState(random.randint(2**32, dtype=np.uint32))
        lent = random.get_state(legacy=False)
    key, place = np.array(lent["state"]["key"], np.int64), int(lent["state"]["pos"])
    rule = f"a generator whose state has {WORDS} words and a place in them"  # where kernels look
    require(key.shape == (WORDS,) and 0 <= place <= WORDS, "random_state", rule, place)
    twister = np.append(key, place)
    try:
        yield twister
    finally:
        if shared:
            now = random.get_state(legacy=False)
            if now["state"]["pos"] == place and np.array_equal(now["state"]["key"], key):
                drawn = {"key": twister[:-1].astype(np.uint32), "pos": int(twister[-1])}
                random.set_state({**now, "state": drawn})
