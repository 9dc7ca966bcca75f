"""A fit works on a copy of the estimator, which becomes what the copy is in the end: at once, or not at all.

Whatever ends a fit before, an error, Ctrl-C, or Ctrl-C again, and whenever it comes, the estimator is as it was. Those
who predict meanwhile, in other threads, are answered by the fit before.
"""

from copy import copy
from typing import Any

RECORDS = ("loss_curve_", "validation_scores_", "_progress")  # what a fit adds to; all else is replaced


class Twin:
    """The copy of an estimator, and what it began with."""

    def __init__(self, estimator: Any) -> None:
        self.estimator, self._before = estimator, dict(vars(estimator))
        self.copy = object.__new__(type(estimator))
        vars(self.copy).update(_with_own_records(self._before))

    def take(self, name: str) -> None:
        """Take from the estimator what only one of both may work on from here on."""
        if vars(self.copy).get(name) is self._before.get(name):
            vars(self.estimator).pop(name, None)
            self._before.pop(name, None)  # it is given back with the changes

    def changes(self) -> dict[str, Any]:
        """The attributes that the copy has, and the estimator had not, or others."""
        before = self._before
        changed = {name: value for name, value in vars(self.copy).items() if value is not before.get(name, before)}
        return _with_own_records(changed)

    def take_over(self) -> None:
        """Make the estimator what the copy is; what others have set meanwhile stays."""
        gone = self._before.keys() - vars(self.copy).keys()
        kept = {name: value for name, value in vars(self.estimator).items() if name not in gone}
        self.estimator.__dict__ = kept | self.changes()  # one assignment, which nothing interrupts


def _with_own_records(attributes: dict[str, Any]) -> dict[str, Any]:
    return attributes | {name: copy(attributes[name]) for name in RECORDS if name in attributes}
