# cython: language_level=3, freethreading_compatible=True
"""The kernels that the build compiled ahead of time: where they are, what this CPU has, and a way to call them."""
from libc.stdint cimport int64_t, intptr_t


cdef extern from "cpu.h":
    const int CPU_FEATURES
    struct Feature "":
        const char *name
    const Feature cpu_features[]
    bint cpu_has(int feature)


cdef extern from "kernels.h":
    const char *FASTMLP_FINGERPRINT
    const int FASTMLP_LEVELS
    const int FASTMLP_ROWS
    struct Row "":
        const char *kernel
        const char *dtype
    struct Level "":
        const char *name
        const void *const *addresses
    const Row fastmlp_rows[]
    const Level fastmlp_levels[]


ctypedef int64_t (*Entry)(int64_t plan, int64_t first, int64_t last) noexcept nogil


FINGERPRINT = FASTMLP_FINGERPRINT.decode()  # of the kernels: see interface.py


def host_features():
    """Features of this CPU by LLVM's names, as far as levels ask for them."""
    return {cpu_features[i].name.decode() for i in range(CPU_FEATURES) if cpu_has(i)}


def levels():
    """Names of the CPU levels that were built, from the lowest to the highest."""
    return [fastmlp_levels[i].name.decode() for i in range(FASTMLP_LEVELS)]


def addresses(str level):
    """The address of every (kernel, dtype) of a level."""
    cdef const void *const *table = fastmlp_levels[levels().index(level)].addresses
    return {
        (fastmlp_rows[i].kernel.decode(), fastmlp_rows[i].dtype.decode()): <intptr_t>table[i] for i in range(FASTMLP_ROWS)
    }


def call(intptr_t address, int64_t plan, int64_t first, int64_t last):
    """Call an entry of the interface, without the GIL."""
    cdef int64_t result
    with nogil:
        result = (<Entry>address)(plan, first, last)
    return result
