"""Pictures of networks, of what they decide, and of how they learned. Needs Matplotlib: `pip install fastmlp[plot]`.

Every function draws into the axes that it is given, or else into a new figure, and shows nothing: `plt.show()` and
`ax.figure.savefig(path)` are yours.
"""

from .boundary import decision_boundary
from .diagram import network
from .loss_curve import LossCurveDisplay

__all__ = ["LossCurveDisplay", "decision_boundary", "network"]
