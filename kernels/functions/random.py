"""A counter-based random generator: a number is a function of key and counter, so that order and threads do not matter.

Philox 4x32 with ten rounds: J. Salmon, M. Moraes, R. Dror, D. Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC
2011.
"""

from ..vocabulary.simd import stay_apart

WORD = 0xFFFFFFFF  # every quantity here is a 32-bit word held in an int64


def philox(key, c0, c1, c2, c3):
    """Four random words of 32 bits from a key of 64 bits and a counter of four words."""
    k0, k1 = key & WORD, (key >> 32) & WORD
    for _ in range(10):
        # may wrap around in int64: the masks recover the halves, and let a compiler see that 32 bits are multiplied
        p0, p1 = 0xD2511F53 * (c0 & WORD), 0xCD9E8D57 * (c2 & WORD)
        c0, c1, c2, c3 = ((p1 >> 32) & WORD) ^ c1 ^ k0, p1 & WORD, ((p0 >> 32) & WORD) ^ c3 ^ k1, p0 & WORD
        k0, k1 = (k0 + 0x9E3779B9) & WORD, (k1 + 0xBB67AE85) & WORD
    return c0, c1, c2, c3


def below(limit, high, low):
    """An integer in [0, limit) from 64 random bits, limit < 2^31: the top of limit * bits / 2^64."""
    return (high * limit + ((low * limit) >> 32)) >> 32


def shuffle(key, epoch, order, count):
    """order = a permutation of 0 ... count - 1 drawn for this epoch (Fisher and Yates; Durstenfeld, CACM 7, 1964)."""
    stay_apart()
    for i in range(count):
        order[i] = i
    i = count - 1
    while i > 0:
        w0, w1, w2, w3 = philox(key, i & WORD, 0, epoch & WORD, (epoch >> 32) & WORD)
        exchange(order, i, below(i + 1, w0, w1))
        if i > 1:
            exchange(order, i - 1, below(i, w2, w3))
        i -= 2


def exchange(order, i, j):
    order[i], order[j] = order[j], order[i]
