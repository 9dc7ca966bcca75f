"""Pictures of decisions: where boundaries and contours run, colors of regions and samples, legends."""

from types import SimpleNamespace

import numpy as np
import pytest
from pictures import rendered

from fastmlp import NeuralNetwork, introduction
from fastmlp.plot import decision_boundary
from fastmlp.plot.boundary import shades

pytestmark = pytest.mark.usefixtures("pyplot")
X = np.array([[-1.0, -2], [2, 3], [1, -1], [-1, 2], [0, 0.5]])
BLUE, ORANGE, GREEN = np.array([(0, 0x72, 0xB2), (0xE6, 0x9F, 0), (0, 0x9E, 0x73)]) / 255


def linear(weights, biases, **options):
    """A network without hidden layers."""
    network = NeuralNetwork(np.shape(weights), dtype="float64", **options)
    network.parameters = [*np.ravel(weights), *biases]
    return network


def boundaries(ax):
    """The points of all lines between regions."""
    from matplotlib.contour import QuadContourSet

    sets = [part for part in ax.collections if isinstance(part, QuadContourSet) and not part.filled]
    assert all(list(part.levels) == [0] for part in sets)
    return np.concatenate([path.vertices for part in sets for path in part.get_paths()])


def clouds(ax):
    """Samples as they were drawn: sets of points."""
    from matplotlib.collections import PathCollection

    return [part for part in ax.collections if type(part) is PathCollection]


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def on_line(ax, a, b, c):
    """Whether the one boundary is a x + b y + c = 0, from side to side."""
    points = boundaries(ax)
    right = np.abs(points @ [a, b] + c).max() < 0.05
    return bool(right and np.ptp(points[:, 0]) > 0.9 * np.ptp(ax.get_xlim()))


def test_a_sigmoid_decides_at_one_half():
    network = linear([[0.5], [-2]], [0.25], loss="binary_cross_entropy")
    ax = decision_boundary(network, X, [0, 1, 1, 0, 1])
    assert on_line(ax, 0.5, -2, 0.25)
    zeros, ones = clouds(ax)
    np.testing.assert_array_equal(zeros.get_offsets(), X[[0, 3]])
    np.testing.assert_array_equal(ones.get_offsets(), X[[1, 2, 4]])
    np.testing.assert_allclose(zeros.get_facecolor()[0, :3], BLUE, atol=1e-6)
    np.testing.assert_allclose(ones.get_facecolor()[0, :3], ORANGE, atol=1e-6)
    assert legend(ax) == ["0", "1"]
    assert legend(decision_boundary(network, X, np.ones((5, 1)), class_names=["no", "yes"])) == ["no", "yes"]


def test_a_wrong_boundary_is_caught():
    ax = decision_boundary(linear([[0.5], [-2]], [0.25], loss="binary_cross_entropy"), X)
    assert not on_line(ax, 0.5, -2, -0.25)
    assert not on_line(ax, -2, 0.5, 0.25)


def test_the_picture_goes_beyond_the_samples():
    ax = decision_boundary(linear([[0.5], [-2]], [0.25]), X)
    np.testing.assert_allclose(ax.get_xlim(), [-1 - 0.24, 2 + 0.24])
    np.testing.assert_allclose(ax.get_ylim(), [-2 - 0.4, 3 + 0.4])
    ax = decision_boundary(linear([[0.5], [-2]], [0.25]), [[3, 4]])
    np.testing.assert_allclose([*ax.get_xlim(), *ax.get_ylim()], [2.5, 3.5, 3.5, 4.5])


def test_softmax_has_regions_of_its_classes():
    """The largest of x, y and 0: borders are the half-lines y = x above 0, and y = 0 and x = 0 below it."""
    network = linear([[1, 0, 0], [0, 1, 0]], [0, 0, 0], loss="categorical_cross_entropy")
    ax = decision_boundary(network, X, [2, 1, 0, 1, 1])
    x, y = boundaries(ax).T
    off = np.minimum(np.minimum(abs(x - y) + np.maximum(-x, 0), abs(y) + np.maximum(x, 0)), abs(x) + np.maximum(y, 0))
    assert off.max() < 0.05
    assert len(clouds(ax)) == 3
    assert [len(cloud.get_offsets()) for cloud in clouds(ax)] == [1, 3, 1]
    pixels = ax.images[0].get_array()
    left, right, bottom, top = ax.images[0].get_extent()
    for point, color in (((1.9, -1), BLUE), ((-1, 2.9), ORANGE), ((-1.1, -2.2), GREEN)):
        row, column = (point[1] - bottom) / (top - bottom), (point[0] - left) / (right - left)
        drawn = pixels[int(row * 200), int(column * 200)]
        tint = 1 - drawn
        np.testing.assert_allclose(tint / tint.max(), (1 - color) / (1 - color).max(), atol=1e-6)


def test_regions_are_fuller_the_more_certain_the_class_is():
    colors = shades(np.array([[1, 0], [0.75, 0.25], [0.5, 0.5], [0, 1.0]]))
    np.testing.assert_allclose(colors[0], 1 - 0.5 * (1 - BLUE), atol=1e-6)
    np.testing.assert_allclose(colors[1], 1 - 0.3 * (1 - BLUE), atol=1e-6)
    np.testing.assert_allclose(colors[2], 1 - 0.1 * (1 - BLUE), atol=1e-6)
    np.testing.assert_allclose(colors[3], 1 - 0.5 * (1 - ORANGE), atol=1e-6)
    even = shades(np.full((1, 4), 0.25))
    np.testing.assert_allclose(even[0], 1 - 0.1 * (1 - BLUE), atol=1e-6)


def test_many_classes_differ_in_color_or_marker():
    classes = np.arange(20)
    model = SimpleNamespace(classes_=classes, predict_proba=lambda points: np.eye(20)[np.arange(len(points)) % 20])
    ax = decision_boundary(model, np.tile(X, (4, 1)), classes, resolution=20)
    looks = {(*cloud.get_facecolor()[0], *cloud.get_paths()[0].vertices.ravel()) for cloud in clouds(ax)}
    assert len(looks) == 20


def test_hinge_decides_at_zero():
    ax = decision_boundary(linear([[0.5], [-2]], [0.25], loss="hinge"), X, [-1, 1, 1, -1, -1])
    assert on_line(ax, 0.5, -2, 0.25)
    assert legend(ax) == ["-1", "1"]


def test_the_introductions_network():
    network = introduction.OurNeuralNetwork()
    network.w1, network.w2, network.b1 = 0.5, -2, 0.25
    network.w3, network.w4, network.b2 = 0, 0, 0
    network.w5, network.w6, network.b3 = 4, -4, 0  # sigmoid(4 (h1 - 1 / 2))
    assert on_line(decision_boundary(network, X, [1, 0, 0, 1, 0]), 0.5, -2, 0.25)


def contours(ax, filled):
    from matplotlib.contour import QuadContourSet

    (found,) = (part for part in ax.collections if isinstance(part, QuadContourSet) and part.filled == filled)
    return found


def test_numbers_have_contours():
    network = linear([[1], [2]], [3])
    y = np.array([-10.0, 0, 5, 7, 30])
    ax = decision_boundary(network, X, y)
    lines, filled = contours(ax, False), contours(ax, True)
    for level, path in zip(lines.levels, lines.get_paths(), strict=True):
        np.testing.assert_allclose(path.vertices @ [1, 2] + 3, level, atol=1e-9)
    assert sum(len(path.vertices) > 0 for path in lines.get_paths()) >= 3
    for low, high, path in zip(filled.levels, filled.levels[1:], filled.get_paths(), strict=False):
        between = path.vertices[path.codes != path.CLOSEPOLY] @ [1, 2] + 3 if len(path.vertices) else np.array([low])
        assert low - 1e-9 <= between.min() <= between.max() <= high + 1e-9
    assert filled.levels[0] <= -10
    assert filled.levels[-1] >= 30
    (samples,) = clouds(ax)
    np.testing.assert_array_equal(samples.get_offsets(), X)
    np.testing.assert_array_equal(samples.get_array(), y)
    assert (samples.norm.vmin, samples.norm.vmax) == (filled.norm.vmin, filled.norm.vmax)
    assert samples.cmap.name == filled.cmap.name
    assert ax.get_legend() is None
    levels = contours(decision_boundary(network, X), True).levels
    low, high = -1.24 - 2 * 2.4 + 3, 2.24 + 2 * 3.4 + 3  # at the corners
    assert low - 2 < levels[0] <= low
    assert high <= levels[-1] < high + 2


def test_a_constant_has_a_color():
    ax = decision_boundary(linear([[0], [0]], [3]), X)
    assert contours(ax, True).levels[0] < 3 < contours(ax, True).levels[-1]


def class_of_x(points):
    return np.where(np.asarray(points)[:, 0] > 0.5, "right", "left")


def test_estimators():
    likely = SimpleNamespace(
        classes_=np.array(["left", "right"]),
        predict_proba=lambda points: np.column_stack([1 - points[:, 0], points[:, 0]]),
    )
    ax = decision_boundary(likely, X, class_of_x(X))
    assert on_line_at_x(ax, 0.5)
    assert legend(ax) == ["left", "right"]
    certain = SimpleNamespace(classes_=np.array(["left", "right"]), predict=class_of_x)
    ax = decision_boundary(certain, X, class_of_x(X))
    assert on_line_at_x(ax, 0.5)
    assert [len(cloud.get_offsets()) for cloud in clouds(ax)] == [3, 2]
    numbers = SimpleNamespace(predict=lambda points: points @ [1.0, 2])
    assert contours(decision_boundary(numbers, X), True)


def on_line_at_x(ax, x):
    return abs(boundaries(ax)[:, 0] - x).max() < 0.02


def test_names_of_features():
    fitted = SimpleNamespace(predict=lambda points: points @ [1.0, 2], feature_names_in_=np.array(["a", "b"]))
    ax = decision_boundary(fitted, X)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("a", "b")
    ax = decision_boundary(fitted, X, feature_names=["c", "d"])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("c", "d")
    ax = decision_boundary(linear([[1], [2]], [3]), X)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("", "")


def test_names_are_no_formulas(pyplot, tmp_path):
    network, odd = linear([[0.5], [-2]], [0.25], loss="binary_cross_entropy"), ["_a$^$", "b$_$"]
    for ax in (None, pyplot.subplots()[1]):
        for y in (None, [0, 1, 1, 0, 1]):
            ax = decision_boundary(network, X, y, ax, feature_names=odd, class_names=odd)
            assert [ax.get_xlabel(), ax.get_ylabel()] == odd
            assert legend(ax) == odd
            rendered(ax, tmp_path / "dollars.png")


@pytest.mark.parametrize("package", ["pandas", "polars"])
def test_models_see_the_tables_that_they_know(package):
    frames = pytest.importorskip(package, reason=f"{package} is not installed")
    seen = []

    def predict(table):
        seen.append(table)
        return np.asarray(table)[:, 0]

    table = frames.DataFrame({"a": X[:, 0], "b": X[:, 1]})
    ax = decision_boundary(SimpleNamespace(predict=predict), table, resolution=20)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("a", "b")
    assert type(seen[0]) is frames.DataFrame
    assert list(seen[0].columns) == ["a", "b"]
    assert len(seen[0]) == 400


def test_it_is_drawn_into_axes_that_are_given(pyplot, tmp_path):
    figure, (one, two) = pyplot.subplots(1, 2)
    network = linear([[0.5], [-2]], [0.25], loss="binary_cross_entropy")
    assert decision_boundary(network, X, [0, 1, 1, 0, 1], one) is one
    assert decision_boundary(linear([[0.5], [-2]], [0.25]), X, ax=two) is two
    assert pyplot.get_fignums() == [figure.number]
    pixels = rendered(one, tmp_path / "boundary.png")
    flat = pixels.reshape(-1, 3)
    assert (abs(flat - (1 - 0.5 * (1 - BLUE))).max(axis=1) < 0.03).sum() > 1000
    assert (abs(flat - (1 - 0.5 * (1 - ORANGE))).max(axis=1) < 0.03).sum() > 1000


def test_without_samples_the_legend_has_the_regions_colors():
    ax = decision_boundary(linear([[0.5], [-2]], [0.25], loss="binary_cross_entropy"), X)
    assert clouds(ax) == []
    colors = [patch.get_facecolor()[:3] for patch in ax.get_legend().get_patches()]
    np.testing.assert_allclose(colors, [BLUE, ORANGE], atol=1e-6)


QUESTIONS = linear(np.ones((2, 2)), [0, 0], loss="binary_cross_entropy")
PAIRS = SimpleNamespace(predict=lambda points: points)
LABELS = SimpleNamespace(classes_=np.arange(2), predict_proba=lambda points: np.ones((len(points), 2)))
LABELS_ALONE = SimpleNamespace(classes_=np.arange(2), predict=lambda points: np.ones((len(points), 2)))
LISTS = SimpleNamespace(classes_=[np.arange(2), np.arange(3)], predict=lambda points: np.ones((len(points), 2)))
EACH_ONE = r"^model must be of classes of which each sample has one, .*, not multi-label, got namespace"
ONE_CLASS = SimpleNamespace(classes_=np.array([7]), predict_proba=lambda points: np.ones((len(points), 1)))
ONE_CERTAIN = SimpleNamespace(classes_=["only"], predict=lambda points: np.full(len(points), "only"))
ONE_SOFTMAX = linear([[1], [2]], [3], output_activation="softmax")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"X": np.ones((5, 3))}, ValueError, r"^X must be of shape \(n_samples, 2\), got \(5, 3\)$"),
        ({"X": [["a", "b"]]}, TypeError, r"^X must be an array of real numbers, got text$"),
        ({"X": [[1, np.nan]]}, ValueError, r"^X must be finite, got nan at X\[0, 1\]$"),
        ({"y": [1, 0]}, ValueError, r"^y must be of shape \(5,\), one for each sample, got \(2,\)$"),
        ({"y": [0, 1, 2, 0, 1]}, ValueError, r"^y must be of the model's classes \[0, 1\], got 2$"),
        ({"y": list("01010")}, ValueError, r"^y must be of the model's classes \[0, 1\], got '0'$"),
        ({"model": 7}, TypeError, r"^model must be a network or an estimator with .*, got 7$"),
        ({"model": QUESTIONS}, ValueError, r"^model must be a network with one output, or with softmax, got Neu"),
        ({"model": PAIRS}, ValueError, r"^model must be an estimator with one output, got namespace"),
        *(({"model": model}, ValueError, EACH_ONE) for model in (LABELS, LABELS_ALONE, LISTS)),
        ({"model": ONE_CLASS}, ValueError, r"^model must be of two classes or more, got \[7\]$"),
        ({"model": ONE_CERTAIN}, ValueError, r"^model must be of two classes or more, got \['only'\]$"),
        ({"model": ONE_SOFTMAX}, ValueError, r"^model must be of two classes or more, got NeuralNetwork"),
        ({"ax": 1}, TypeError, r"^ax must be Matplotlib's Axes or None, got 1$"),
        ({"resolution": 1}, ValueError, r"^resolution must be an integer from 2 on, got 1$"),
        ({"feature_names": ["a"]}, ValueError, r"^feature_names must be a sequence of 2 names, got \['a'\]$"),
        ({"class_names": list("abc")}, ValueError, r"^class_names must be a sequence of 2 names, got "),
        (
            {"model": linear([[1], [2]], [3]), "class_names": ["a"]},
            ValueError, r"^class_names must be None for a model of numbers, got \['a'\]$",
        ),
    ],
)  # fmt: skip
def test_wrong_arguments(pyplot, arguments, error, message):
    right = {"model": linear([[0.5], [-2]], [0.25], loss="binary_cross_entropy"), "X": X, "resolution": 5}
    with pytest.raises(error, match=message):
        decision_boundary(**(right | arguments))
    assert pyplot.get_fignums() == []
