"""The streams of random numbers that are drawn from a network's seed."""

from functools import lru_cache

import numpy as np

WEIGHTS, SHUFFLE, SPLIT, PERMUTATION, CHECK, DISTURBANCE = range(6)


@lru_cache
def key_of(entropy: int, *stream: int) -> int:
    """63 bits that fix a stream of random numbers in the kernels."""
    sequence = np.random.SeedSequence(entropy, spawn_key=stream)
    return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))
