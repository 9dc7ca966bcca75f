"""Whether numbers vary, or are one number but for rounding."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

ROUNDING = 32 * np.finfo(np.float64).eps


def varies(deviation: Any, mean: Any) -> NDArray[np.bool_]:
    """Tell whether a standard deviation is more than the rounding of equal numbers explains.

    Rounding to float64 changes a number by up to eps / 2 of its size, and so does every operation before it. Programs
    that write 15 digits, those which any float64 keeps, change it by half a unit of the last: up to 5e-15 of its size,
    which is 23 eps. So deviations up to 32 eps of the mean, 7e-15, may be rounding.

    The limit of scikit-learn's scalers grows with the number of values, as it allows for errors of a long sum; NumPy
    sums deviations from the mean in pairs. A million times within a second, in seconds since 1970, do vary.
    """
    varied: NDArray[np.bool_] = np.asarray(deviation > ROUNDING * np.abs(mean))
    return varied
