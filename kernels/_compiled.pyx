# cython: language_level=3, freethreading_compatible=True
"""The kernels that the build compiled ahead of time: where they are, what this CPU has, and ways to call them."""
cimport cython
from cpython.ref cimport Py_INCREF, PyObject
from libc.stdint cimport int64_t, intptr_t

cdef extern from *:
    """
    #define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
    """
cimport numpy as np

from .layers import layout
from .layers.plan import PLAN

np.import_array()


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
    struct Named "":
        const char *name
    const Named fastmlp_rows[]
    const Named fastmlp_levels[]
    const void *fastmlp_address(int level, int dtype, int row) noexcept


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
    cdef int l = levels().index(level)
    return {
        (fastmlp_rows[i].name.decode(), name): <intptr_t>fastmlp_address(l, dtype, i)
        for dtype, name in enumerate(("float32", "float64"))
        for i in range(FASTMLP_ROWS)
    }


def data_address(np.ndarray array not None):
    """The address of the first element: what `array.ctypes.data` says, thirty times as fast."""
    return <intptr_t>np.PyArray_DATA(array)


def call(intptr_t address, int64_t plan, int64_t first, int64_t last):
    """Call an entry of the interface, without the GIL."""
    cdef int64_t result
    with nogil:
        result = (<Entry>address)(plan, first, last)
    return result


# --- predictions that skip Python: beyond its kernel, a call costs less than a tenth of a microsecond

# Other threads are let in during kernels of more float32 multiplications than this, which take some tens of
# microseconds. It costs 20 ns to let go of the GIL and take it back when nobody wants it, but milliseconds when a
# thread that is busy in Python takes it meanwhile.
cdef double LONG = 1 << 22

cdef int NOTE = layout.NOTE
cdef int PACKED = PLAN.word("packed"), OUTPUT = PLAN.word("output"), BATCH_SIZE = PLAN.word("batch_size")
cdef int SAMPLES = PLAN.word("x"), ROW = PLAN.word("x_row"), COLUMN = PLAN.word("x_column"), GATHER = PLAN.word("gather_x")


cdef extern from "trylock.h":
    ctypedef long Flag
    bint flag_take(Flag *flag) noexcept nogil
    void flag_give(Flag *flag) noexcept nogil


cdef enum:
    SEATS = 8


cdef struct Seat:
    Flag taken
    int64_t *plan  # NULL: nobody was here yet
    PyObject *notes  # what the plan has: see `notes.py`
    double *note
    int note_count


@cython.final
cdef class Seats:
    """Plans for threads that predict at the same time by one model, whatever its parameters.

    While a GIL is held there is one thread; when all seats are taken, there is the long way.
    """
    cdef Seat[SEATS] seats
    cdef object new_plan
    cdef list plans
    cdef Entry entry
    cdef int64_t gather_float, gather_double
    cdef np.npy_intp features, outputs
    cdef int number
    cdef double work  # multiplications of float32 for a sample
    cdef double shared  # so many of them go the long way, which looks whether to share them

    def __cinit__(self, new_plan, model, addresses):
        self.new_plan, self.plans = new_plan, []
        self.entry = <Entry><intptr_t>addresses["predict", model.dtype]
        self.gather_float = addresses["gather_float32", model.dtype]
        self.gather_double = addresses["gather_float64", model.dtype]
        self.features, self.outputs = model.sizes[0], model.sizes[-1]
        # here, since it is imported after `plan.py`, which takes `data_address`
        from .runtime.prediction import WORTH, multiplications

        self.work, self.shared = multiplications(model), 2 * WORTH
        self.number = np.NPY_FLOAT if model.dtype == "float32" else np.NPY_DOUBLE

    def shortcut(self, predictor, packed):
        """The predictor, which works with these packed parameters, on a shorter way."""
        cdef Shortcut made = <Shortcut>CALLED.__new__(CALLED)
        made.vectorcall = call_shortcut
        made.predictor, made.seats, made.packed, made.address = predictor, self, packed, data_address(packed)
        cdef Seat *seat = self.take()  # so that the first call finds a plan
        if seat != NULL:
            flag_give(&seat.taken)
        return made

    cdef Seat *take(self) except? NULL:
        """A seat with a plan; NULL if all are taken."""
        cdef Seat *seat
        cdef int i
        for i in range(SEATS):
            seat = &self.seats[i]
            if flag_take(&seat.taken):
                if seat.plan == NULL:
                    self.furnish(seat)
                return seat
        return NULL

    cdef int furnish(self, Seat *seat) except -1:
        try:
            plan = self.new_plan()
            self.plans.append(plan)
            seat.notes, seat.note_count = <PyObject *>plan.notes, len(plan.notes.memory)
            seat.note = <double *><intptr_t>data_address(plan.notes.memory)
            seat.plan = <int64_t *><intptr_t>plan.address
        except BaseException:
            flag_give(&seat.taken)
            raise
        return 0

    cdef predict(self, int64_t packed, X, out):
        """The outputs, in `out` if it is an array; None if this is a case for the long way."""
        if not np.PyArray_CheckExact(X) or not np.PyArray_ISBEHAVED_RO(<np.ndarray>X):
            return None
        cdef np.ndarray x = <np.ndarray>X
        cdef int dimensions = np.PyArray_NDIM(x), number = np.PyArray_TYPE(x)
        if not 1 <= dimensions <= 2 or not (number == np.NPY_FLOAT or number == np.NPY_DOUBLE):
            return None
        cdef np.npy_intp rows = 1, row = 0, column = np.PyArray_STRIDE(x, dimensions - 1)
        cdef int shift = 2 if number == np.NPY_FLOAT else 3  # strides: from bytes to numbers
        if dimensions == 2:
            rows, row = np.PyArray_DIM(x, 0), np.PyArray_STRIDE(x, 0)
        if np.PyArray_DIM(x, dimensions - 1) != self.features or rows == 0 or (row | column) & ((1 << shift) - 1):
            return None
        if rows * self.work >= self.shared:
            return None

        cdef np.npy_intp[2] shape = [rows, self.outputs]
        cdef np.ndarray y
        if out is None:
            y = np.PyArray_SimpleNew(dimensions, &shape[2 - dimensions], self.number)
        elif self.fits(out, dimensions, rows):
            y = <np.ndarray>out
        else:
            return None

        cdef Seat *seat = self.take()
        if seat == NULL:
            return None
        cdef int64_t *plan = seat.plan
        cdef int64_t well
        if out is not None and rows > plan[BATCH_SIZE] and overlap(x, y):  # outputs would replace samples still needed
            flag_give(&seat.taken)
            return None
        plan[PACKED], plan[OUTPUT] = packed, <intptr_t>np.PyArray_DATA(y)
        plan[SAMPLES], plan[ROW], plan[COLUMN] = <intptr_t>np.PyArray_DATA(x), row >> shift, column >> shift
        plan[GATHER] = self.gather_float if number == np.NPY_FLOAT else self.gather_double
        if number == self.number and column == 1 << shift and (row & 4095 or rows == 1):  # may_stay
            plan[GATHER] = 0
        cdef np.npy_intp pieces = 1 if rows <= plan[BATCH_SIZE] else (rows - 1) // plan[BATCH_SIZE] + 1
        if rows * self.work > LONG:
            with nogil:
                well = self.entry(<intptr_t>plan, pieces, rows)
        else:
            well = self.entry(<intptr_t>plan, pieces, rows)
        cdef int i
        for i in range(seat.note_count):
            if seat.note[NOTE * i] != 0:
                try:
                    (<object>seat.notes).raise_any()
                finally:
                    flag_give(&seat.taken)
        flag_give(&seat.taken)
        return y if well else None  # some number is not finite: the long way says which

    cdef bint fits(self, out, int dimensions, np.npy_intp rows) noexcept:
        """Whether outputs can be written there."""
        if not np.PyArray_CheckExact(out):
            return False
        cdef np.ndarray y = <np.ndarray>out
        if np.PyArray_TYPE(y) != self.number or not np.PyArray_ISCARRAY(y) or np.PyArray_NDIM(y) != dimensions:
            return False
        return np.PyArray_DIM(y, dimensions - 1) == self.outputs and (dimensions == 1 or np.PyArray_DIM(y, 0) == rows)


cdef bint overlap(np.ndarray x, np.ndarray y) noexcept:
    """Whether the memory of y, which is contiguous, may be part of the memory of x, which has two dimensions."""
    cdef char *low = np.PyArray_BYTES(x)
    cdef char *high = low + np.PyArray_ITEMSIZE(x)
    cdef np.npy_intp extent
    cdef int i
    for i in range(2):
        extent = (np.PyArray_DIM(x, i) - 1) * np.PyArray_STRIDE(x, i)
        if extent < 0:
            low += extent
        else:
            high += extent
    return np.PyArray_BYTES(y) < high and low < np.PyArray_BYTES(y) + np.PyArray_NBYTES(y)


cdef extern from "vectorcall.h":
    ctypedef PyObject *(*Vectorcall "vectorcallfunc")(PyObject *, PyObject *const *, size_t, PyObject *) except NULL
    PyObject *PyObject_Vectorcall(PyObject *, PyObject *const *, size_t, PyObject *) except NULL
    Py_ssize_t PyVectorcall_NARGS(size_t)
    type vectorcall_type(const char *name, type base, Py_ssize_t offset)


cdef class Shortcut:
    """A predictor whose calls go straight to the kernel where they can, and else the long way, to the predictor."""
    cdef Vectorcall vectorcall
    cdef object predictor
    cdef Seats seats
    cdef object packed
    cdef int64_t address  # of the packed parameters

    @property
    def __class__(self):
        return type(self.predictor)

    def __getattr__(self, name):
        return getattr(self.predictor, name)

    def __dir__(self):
        return dir(self.predictor)

    def __repr__(self):
        return repr(self.predictor)

    def __reduce__(self):
        return self.predictor.__reduce__()


cdef PyObject *call_shortcut(PyObject *of, PyObject *const *arguments, size_t flags, PyObject *names) except NULL:
    """(X), (X, out) or (X, out=out); all else is for the long way to complain of."""
    cdef Shortcut self = <Shortcut>of
    cdef Py_ssize_t count = PyVectorcall_NARGS(flags), named = 0 if names == NULL else len(<tuple>names)
    outputs = None
    if count == 1 and named == 0:
        outputs = self.seats.predict(self.address, <object>arguments[0], None)
    elif count + named == 2 and (named == 0 or named == 1 and (<tuple>names)[0] == "out"):
        outputs = self.seats.predict(self.address, <object>arguments[0], <object>arguments[1])
    if outputs is None:
        return PyObject_Vectorcall(<PyObject *>self.predictor, arguments, flags, names)
    Py_INCREF(outputs)
    return <PyObject *>outputs


cdef type called_type():
    cdef Shortcut some = Shortcut.__new__(Shortcut)
    return vectorcall_type(
        "fastmlp.kernels._compiled.Shortcut", Shortcut, <char *>&some.vectorcall - <char *><void *>some
    )


cdef type CALLED = called_type()
