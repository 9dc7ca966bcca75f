"""Threads that work on one batch: what each takes of it, and how they wait for each other."""

from .layout import ARRIVALS, MEETING, RANK, RANKS, RELEASED, VERDICT, YIELD
from .simd import TILE_ROWS, call, fetch, fetch_add, integers, pause, quotient

SPINS = 2000  # moments of waiting, some microseconds in all, before a thread offers its CPU to others


def share_of_rows(plan, rows):
    """First and past-the-last row for this rank: as many as another's, but not less than a tile."""
    if plan[RANKS] == 1:
        return 0, rows
    takers = min(plan[RANKS], max(1, quotient(rows, TILE_ROWS)))
    rank = min(plan[RANK], takers)
    return quotient(rows * rank, takers), quotient(rows * min(rank + 1, takers), takers)


def share_of_panel_rows(plan, rows, height):
    """First and past-the-last row for this rank of all panels of a layer, each `height` rows high."""
    if plan[RANKS] == 1:
        return 0, rows
    return cut(plan, plan[RANK], rows, height), cut(plan, plan[RANK] + 1, rows, height)


def cut(plan, rank, rows, height):
    """Where the rank's share begins: not within a tile of a panel's end."""
    row = quotient(rows * rank, plan[RANKS])
    in_panel = row - quotient(row, height) * height
    if in_panel < TILE_ROWS:
        return row - in_panel
    if height - in_panel < TILE_ROWS:
        return row - in_panel + height
    return row


def meet(plan):
    """Wait until all ranks have come here: then all see what each had written before. False if one never will."""
    ranks = plan[RANKS]
    if ranks == 1:
        return True
    meeting = integers(plan[MEETING])
    arrived = fetch_add(meeting, ARRIVALS, 1) + 1
    awaited = quotient(arrived + ranks - 1, ranks) * ranks
    moments = 0
    while fetch(meeting, ARRIVALS) < awaited:
        if fetch(meeting, RELEASED) != 0:
            return False
        moments += 1
        if moments < SPINS or plan[YIELD] == 0:
            pause()
        else:
            call(plan[YIELD])
    return True


def all_agree(plan, well):
    """Meet, and let rank 0 decide."""
    if plan[RANKS] == 1:
        return well
    meeting = integers(plan[MEETING])
    if plan[RANK] == 0:
        meeting[VERDICT] = 1 if well else 0
    return meet(plan) and meeting[VERDICT] != 0
