"""From the canonical vector to the packed one and back: `layout.py` says what they are."""

from ..vocabulary.simd import LANES, PANEL, at, load, load_first, real, reals, spread, store, store_first
from .layout import panel_width
from .plan import is_normalized, layer_of, normalization_of, tail_rows
from .ranks import share_of_panel


def pack(plan, canonical_address, packed_address):
    """Fill this rank's share of a packed vector from a canonical one."""
    transfer(plan, canonical_address, packed_address, True)
    return 0


def unpack(plan, canonical_address, packed_address):
    """Fill this rank's share of a canonical vector from a packed one."""
    transfer(plan, canonical_address, packed_address, False)
    return 0


def transfer(plan, canonical_address, packed_address, packing):
    for l in range(plan.layers):
        layer = layer_of(plan, l)
        inputs, outputs, width, height = layer.fan_in, layer.fan_out, layer.width, layer.height
        weights = at(reals(canonical_address), layer.canonical_offset)
        biases = at(weights, inputs * outputs)
        packed = at(reals(packed_address), layer.packed_offset)
        if layer.single_output:
            if plan.rank == 0:
                copy(packing, 1, 1, biases, 1, packed, LANES)
                copy(packing, 1, inputs, weights, inputs, at(packed, LANES), (height - 1) * LANES)
        else:
            for column in range(0, width, PANEL):
                first, last = share_of_panel(plan, column, width, height)
                w, panel = panel_width(column, width), at(packed, column * height)
                inside = min(w, outputs - column)
                if first == 0 and last > 0:
                    first = 1
                    if not is_normalized(plan, l):
                        copy(packing, 1, inside, at(biases, column), outputs, panel, w)
                    elif packing:
                        clear(panel, w)  # what tiles start from
                source = at(weights, (first - 1) * outputs + column)
                copy(packing, last - first, inside, source, outputs, at(panel, first * w), w)
        if is_normalized(plan, l) and plan.rank == 0:
            tail = at(reals(packed_address), normalization_of(plan, l).tail)
            copy(packing, tail_rows(plan, l), outputs, biases, outputs, tail, width)


def clear(row, width):
    for j in range(0, width, LANES):
        store(row, j, spread(real(0)))


def copy(packing, rows, columns, canonical, stride, packed, width):
    if packing:
        copy_padded(rows, columns, canonical, stride, packed, width)
    else:
        copy_rows(rows, columns, packed, width, canonical, stride)


def copy_rows(rows, columns, source, source_stride, target, target_stride):
    """To rows without padding from rows of whole vectors."""
    for i in range(rows):
        for j in range(0, columns, LANES):
            store_first(target, i * target_stride + j, columns - j, load(source, i * source_stride + j))


def copy_padded(rows, columns, source, source_stride, target, width):
    """The reverse: to rows of `width` numbers, filled up with zeros."""
    for i in range(rows):
        for j in range(0, width, LANES):
            store(target, i * width + j, load_first(source, i * source_stride + j, columns - j))
