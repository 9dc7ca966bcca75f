"""Good input in odd forms, which must make no difference."""

import array

import numpy as np


class Frame:
    """What libraries of tables hand out: something that NumPy can make an array of."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values, dtype)


def forms(values, tmp_path):
    """The numbers in every form that must make no difference."""
    rows, columns = values.shape
    path = tmp_path / f"{rows}x{columns}.npy"
    yield "Fortran order", np.asfortranarray(values)
    yield "rows of a longer table", np.repeat(values, 3, axis=0)[::3]
    yield "columns of a wider table", np.repeat(values, 2, axis=1)[:, ::2]
    yield "rows backwards", values[::-1].copy()[::-1]
    yield "columns backwards", values[:, ::-1].copy()[:, ::-1]
    yield "both backwards, Fortran order", np.asfortranarray(values[::-1, ::-1])[::-1, ::-1]
    yield "an inner window", np.pad(values, 3)[3:-3, 3:-3]
    yield "the other byte order", values.astype(values.dtype.newbyteorder())
    unaligned = np.empty(values.nbytes + 1, np.uint8)[1:].view(values.dtype).reshape(rows, columns)
    unaligned[...] = values
    yield "unaligned", unaligned
    fields = np.zeros((rows, columns), [("skip", "u1"), ("value", values.dtype)])
    fields["value"] = values
    yield "a field of records", fields["value"]
    read_only = values.copy()
    read_only.flags.writeable = False
    yield "read-only", read_only
    np.save(path, values)
    yield "memory-mapped", np.load(path, mmap_mode="r")
    yield "a frame", Frame(values)
    yield "lists", values.tolist()
    yield "tuples of arrays", tuple(values)
    yield "a list of array.array", [array.array(values.dtype.char, row) for row in values.tolist()]
    yield "memoryview", memoryview(values)
    yield "float64", values.astype(np.float64)
    yield "longdouble", values.astype(np.longdouble)
