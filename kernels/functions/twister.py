"""The Mersenne twister, and orders drawn from it: number by number those of NumPy's `RandomState.shuffle`.

M. Matsumoto, T. Nishimura, "Mersenne twister: a 623-dimensionally equidistributed uniform pseudo-random number
generator", ACM TOMACS 8, 1998. NumPy has promised never to change what its RandomState draws (NEP 19).

A state is int64[625]: 624 words of 32 bits, and the place of the next one to draw, 624 if there is none left.
"""

from ..vocabulary.simd import stay_apart
from .random import exchange

TWISTER_WORDS = TWISTER_PLACE = 624
TWISTER_MIDDLE = 397


def shuffle_again(state, order, count):
    """Shuffle what is in order: each sample, from the last on, changes places with one that is not behind it.

    Which one is what the lowest bits of a word say, as few as it takes; if they say too much, those of the next word.
    """
    stay_apart()
    i, place = count - 1, state[TWISTER_PLACE]
    while i > 0:
        if place == TWISTER_WORDS:
            twist(state)
            place = 0
        mask = ones_for(i)
        while i > mask >> 1 and place < TWISTER_WORDS:
            j = tempered(state[place]) & mask
            exchange(order, i, min(i, j))  # with itself if j is too much: a branch would be mispredicted too often
            i -= j <= i
            place += 1
    state[TWISTER_PLACE] = place


def ones_for(limit):
    """The smallest number that is all ones, and not below the limit."""
    ones = 1
    while ones < limit:
        ones = 2 * ones + 1
    return ones


def twist(words):
    """Put the next 624 words in the place of those before."""
    stay_apart()
    for k in range(TWISTER_WORDS - TWISTER_MIDDLE):
        words[k] = words[k + TWISTER_MIDDLE] ^ twisted(words[k], words[k + 1])
    for k in range(TWISTER_WORDS - TWISTER_MIDDLE, TWISTER_WORDS - 1):
        words[k] = words[k + TWISTER_MIDDLE - TWISTER_WORDS] ^ twisted(words[k], words[k + 1])
    words[TWISTER_WORDS - 1] = words[TWISTER_MIDDLE - 1] ^ twisted(words[TWISTER_WORDS - 1], words[0])


def twisted(word, following):
    """The highest bit of one word and the others of the next, times the matrix of the recurrence."""
    bits = (word & 0x80000000) | (following & 0x7FFFFFFF)
    return (bits >> 1) ^ (0x9908B0DF & -(bits & 1))


def tempered(word):
    """What is drawn for a word of the state."""
    word ^= word >> 11
    word ^= (word << 7) & 0x9D2C5680
    word ^= (word << 15) & 0xEFC60000
    return word ^ (word >> 18)
