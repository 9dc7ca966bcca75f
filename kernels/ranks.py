"""Threads that work on one batch: what each takes of it, and how they wait for each other."""

from .layout import ARRIVALS, FUTEX, MEETING, NAP, RANK, RANKS, RELEASED, SLEEPERS, SYSTEM_CALL, VERDICT
from .simd import TILE_ROWS, at, call, fetch, fetch_add, integers, pause, quotient, stay_apart

SPINS = 400  # moments of waiting, some five microseconds, before a thread goes to sleep
FUTEX_WAIT, FUTEX_WAKE = 128, 129  # Linux: sleep while a number is as it was; wake up; within a process


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
    if arrived == awaited:
        if fetch_add(meeting, SLEEPERS, 0) != 0:
            call(plan[SYSTEM_CALL], plan[FUTEX], at(meeting, ARRIVALS), FUTEX_WAKE, ranks, 0, 0, 0)
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
    meeting = integers(plan[MEETING])
    if plan[FUTEX] != 0:
        fetch_add(meeting, SLEEPERS, 1)
        call(plan[SYSTEM_CALL], plan[FUTEX], at(meeting, ARRIVALS), FUTEX_WAIT, seen, at(meeting, NAP), 0, 0)
        fetch_add(meeting, SLEEPERS, -1)
    elif plan[SYSTEM_CALL] != 0:
        call(plan[SYSTEM_CALL])
    else:
        pause()


def all_agree(plan, well):
    """Meet, and let rank 0 decide."""
    if plan[RANKS] == 1:
        return well
    meeting = integers(plan[MEETING])
    if plan[RANK] == 0:
        meeting[VERDICT] = 1 if well else 0
    return meet(plan) and meeting[VERDICT] != 0
