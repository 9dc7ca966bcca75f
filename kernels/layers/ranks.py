"""Threads that work on one batch: what each takes of it, and how they wait for each other."""

from ..vocabulary.simd import LANES, TILE_ROWS, at, call, fetch, fetch_add, pause, quotient, stay_apart
from .layout import ARRIVALS, NAP, OBJECTIONS, RELEASED, SLEEPERS, panel_width

SPINS = 400  # moments of waiting, some five microseconds, before a thread goes to sleep
FUTEX_WAIT, FUTEX_WAKE = 128, 129  # Linux: sleep while a number is as it was; wake up; within a process


def share_of_rows(plan, rows):
    """First and past-the-last row for this rank: as many as another's, but not less than a tile."""
    if plan.ranks == 1:
        return 0, rows
    takers = min(plan.ranks, max(1, quotient(rows, TILE_ROWS)))
    rank = min(plan.rank, takers)
    return quotient(rows * rank, takers), quotient(rows * min(rank + 1, takers), takers)


def share_of_vectors(plan, count):
    """First and past-the-last of so many numbers for this rank, whole vectors."""
    if plan.ranks == 1:
        return 0, count
    vectors = quotient(count, LANES)
    return (
        quotient(vectors * plan.rank, plan.ranks) * LANES, quotient(vectors * (plan.rank + 1), plan.ranks) * LANES
    )  # fmt: skip


def share_of_panel(plan, column, width, height):
    """First and past-the-last row for this rank of the panel that begins at this column of a layer.

    All panels, each `height` rows high, lie in a row: each rank has as many vectors of them as another, but not less
    than a tile. The rows may be those of weights, or samples.
    """
    if plan.ranks == 1:
        return 0, height
    return cut(plan, plan.rank, column, width, height), cut(plan, plan.rank + 1, column, width, height)


def cut(plan, rank, column, width, height):
    """Where in the panel the rank's share begins: not within a tile of its ends."""
    vectors, of_row = quotient(width, LANES) * height, quotient(panel_width(0, width), LANES)
    takers = min(plan.ranks, max(1, quotient(vectors, of_row * TILE_ROWS)))
    before = quotient(vectors * min(rank, takers), takers) - quotient(column, LANES) * height
    row = min(height, quotient(max(0, before), quotient(panel_width(column, width), LANES)))
    if min(row, height - row) < TILE_ROWS:
        return height if 2 * row >= height else 0
    return row


def meet(plan):
    """Wait until all ranks have come here: then all see what each had written before. False if one never will."""
    ranks = plan.ranks
    if ranks == 1:
        return True
    meeting = plan.barrier
    arrived = fetch_add(meeting, ARRIVALS, 1) + 1
    awaited = quotient(arrived + ranks - 1, ranks) * ranks
    if arrived == awaited:
        if fetch_add(meeting, SLEEPERS, 0) != 0:
            call(plan.system_call, plan.futex, at(meeting, ARRIVALS), FUTEX_WAKE, ranks, 0, 0, 0)
        return True
    moments = 0
    seen = arrived
    while seen < awaited:
        if fetch(meeting, RELEASED) != 0:
            return False
        moments += 1
        if moments < SPINS:
            pause()
        else:
            sleep(plan, seen)
        seen = fetch(meeting, ARRIVALS)
    return True


def sleep(plan, seen):
    """Leave the CPU to others until somebody comes to the meeting after the `seen`, or for some milliseconds."""
    stay_apart()
    meeting = plan.barrier
    if plan.futex != 0:
        fetch_add(meeting, SLEEPERS, 1)
        call(plan.system_call, plan.futex, at(meeting, ARRIVALS), FUTEX_WAIT, seen, at(meeting, NAP), 0, 0)
        fetch_add(meeting, SLEEPERS, -1)
    elif plan.has_system_call:
        call(plan.system_call)
    else:
        pause()


def all_agree(plan, well):
    """Meet; whether all is well for all of them. Once it is not, it never is again."""
    if plan.ranks == 1:
        return well
    meeting = plan.barrier
    if not well:
        fetch_add(meeting, OBJECTIONS, 1)
    return meet(plan) and fetch(meeting, OBJECTIONS) == 0
