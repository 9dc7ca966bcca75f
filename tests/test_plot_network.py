"""Pictures of networks: where neurons are, which weights the lines show, what is written."""

from types import SimpleNamespace

import numpy as np
import pytest
from pictures import faults, rendered

import fastmlp.plot
from fastmlp import NeuralNetwork
from fastmlp.plot.geometry import RADIUS, column

pytestmark = pytest.mark.usefixtures("pyplot")
BLUE, ORANGE = (0, 0x72 / 255, 0xB2 / 255), (0xE0 / 255, 0x7B / 255, 0)


def numbered(sizes, **options):
    """A network whose parameters all have another size, with both signs."""
    network = NeuralNetwork(sizes, dtype="float64", **options)
    count = len(network.parameters)
    values = np.linspace(0.05, 2, count) * np.where(np.arange(count) % 2, -1, 1)
    network.parameters = np.random.default_rng(3).permutation(values)
    return network


def circles(ax):
    """Centers and colors of the neurons, from left to right, then from above."""
    found = [patch for patch in ax.patches if patch.get_radius() == RADIUS]
    found.sort(key=lambda patch: (patch.center[0], -patch.center[1]))
    return np.array([patch.center for patch in found]), np.array([patch.get_facecolor()[:3] for patch in found])


def lines(ax):
    """All lines: ends (n, 2, 2), widths and colors."""
    ax.figure.canvas.draw()
    parts = ax.collections
    return (
        np.concatenate([np.array(part.get_segments()) for part in parts]),
        np.concatenate([part.get_linewidths() for part in parts]),
        np.concatenate([part.get_colors()[:, :3] for part in parts]),
    )


def shows(ax, network):
    """Whether lines join the right neurons, are as wide as weights are large, and blue where these are positive."""
    centers, _ = circles(ax)
    columns = [centers[centers[:, 0] == x] for x in np.unique(centers[:, 0])]
    expected = {}
    for layer, left, right in zip(network.layers, columns, columns[1:], strict=False):
        for i, start in enumerate(left):
            for j, end in enumerate(right):
                expected[(*start, *end)] = layer.weights[i, j]
    ends, widths, colors = lines(ax)
    weights = np.array([expected.get(tuple(line.ravel()), np.nan) for line in ends])
    if len(ends) != len(expected) or np.isnan(weights).any():
        return False
    order = np.argsort(abs(weights))
    wider = (np.diff(widths[order]) > 0).all()
    return bool(wider and ((colors[:, 2] > colors[:, 0]) == (weights > 0)).all())


def written(ax):
    return [text.get_text() for text in ax.texts]


@pytest.mark.parametrize("sizes", [[2, 2, 1], [3, 4, 3], [4, 1], [1, 1], [2, 5, 3, 2]])
def test_lines_are_the_weights(sizes):
    network = numbered(sizes)
    ax = fastmlp.plot.network(network)
    assert shows(ax, network)
    for part, layer in zip(ax.collections, network.layers, strict=True):
        drawn = abs(part.get_array())
        assert (np.diff(drawn) > 0).all(), "the strongest above the others"
        np.testing.assert_array_equal(np.sort(part.get_array()), np.sort(layer.weights, axis=None))


def test_wrong_lines_are_caught():
    network, other = numbered([2, 2, 1]), numbered([2, 2, 1])
    ax = fastmlp.plot.network(network)
    other.layers[0].weights = network.layers[0].weights.T
    assert not shows(ax, other)
    other.parameters = -network.parameters
    assert not shows(ax, other)


def test_where_neurons_are():
    centers, _ = circles(fastmlp.plot.network(numbered([2, 3, 1])))
    x = np.unique(centers[:, 0])
    assert x[0] == 0
    assert np.diff(x) == pytest.approx(x[1])
    np.testing.assert_allclose(centers[:, 1], [0.5, -0.5, 1, 0, -1, 0])


def test_colors_are_centered_at_zero_and_reach_the_largest_number():
    network = NeuralNetwork([1, 4], dtype="float64")
    network.parameters = [2, -2, 0, 1, -2, 2, 0, -1]  # weights, then biases
    ax = fastmlp.plot.network(network)
    _, _, colors = lines(ax)
    weights = ax.collections[0].get_array()
    middle = np.array([0xDE / 255] * 3)
    expected = {2: BLUE, -2: ORANGE, 0: middle, 1: (middle + BLUE) / 2}
    for weight, color in zip(weights, colors, strict=True):
        np.testing.assert_allclose(color, expected[weight], atol=0.01)
    _, fills = circles(ax)
    np.testing.assert_allclose(fills, [(1, 1, 1), ORANGE, BLUE, middle, (middle + ORANGE) / 2], atol=0.01)
    (bar,) = ax.child_axes
    assert bar.get_xlim() == (-2, 2)
    assert not fastmlp.plot.network(network, colorbar=False).child_axes


def test_all_zeros_have_the_color_in_the_middle():
    ax = fastmlp.plot.network(NeuralNetwork([2, 1], initializer="zeros"))
    np.testing.assert_allclose(lines(ax)[2], 0xDE / 255, atol=0.01)


@pytest.mark.parametrize(
    ("count", "most", "neurons", "y", "dots"),
    [
        (3, 3, [0, 1, 2], [1, 0, -1], None),
        (4, 3, [0, 1, 3], [1.5, 0.5, -1.5], -0.5),
        (9, 2, [0, 8], [1, -1], 0),
        (784, 4, [0, 1, 782, 783], [2, 1, -1, -2], 0),
    ],
)
def test_wide_layers_are_left_out_in_the_middle(count, most, neurons, y, dots):
    drawn = column(count, most)
    assert drawn.neurons.tolist() == neurons
    assert drawn.y.tolist() == y
    assert drawn.dots == dots


def test_a_wide_network():
    network = numbered([784, 128, 10], loss="categorical_cross_entropy")
    ax = fastmlp.plot.network(network)
    centers, _ = circles(ax)
    assert len(centers) == 16 + 16 + 10
    assert len(ax.patches) == len(centers) + 2 * 3, "dots in two layers"
    ends, _, _ = lines(ax)
    assert len(ends) == 16 * 16 + 16 * 10
    kept = [*range(8), *range(776, 784)], [*range(8), *range(120, 128)]
    np.testing.assert_array_equal(
        np.sort(ax.collections[0].get_array()), np.sort(network.layers[0].weights[np.ix_(*kept)], axis=None)
    )
    names = written(ax)
    assert {"$x_{1}$", "$x_{8}$", "$x_{777}$", "$x_{784}$", "$h_{121}$", "$o_{10}$"} <= set(names)
    assert "$x_{9}$" not in names
    heads = ["inputs", "784", "hidden", "128", "relu", "outputs", "10", "softmax"]
    assert [text for text in names if text in heads] == heads


def test_headings_of_deep_networks():
    network = NeuralNetwork([3, 4, 5, 2], activation=["tanh", "gelu"])
    names = written(fastmlp.plot.network(network))
    heads = ["inputs", "3", "hidden 1", "4", "tanh", "hidden 2", "5", "gelu", "outputs", "2", "identity"]
    assert [text for text in names if text in heads] == heads


@pytest.mark.parametrize("kind", ["batch", "layer"])
def test_headings_name_the_normalization(kind):
    network = NeuralNetwork([2, 4, 3, 1], ["relu", "leaky_relu"], normalization=kind)
    ax = fastmlp.plot.network(network)
    heads = ["4", f"{kind} norm, relu", "3", f"{kind} norm, leaky_relu", "1", "identity"]
    assert [text for text in written(ax) if text in heads] == heads
    assert faults(ax) == []
    assert shows(ax, network), "the weights that are stored"


def test_names_of_inputs_and_outputs():
    ax = fastmlp.plot.network(numbered([2, 2, 1]), feature_names=["weight", "height"], output_names=["woman"])
    centers, _ = circles(ax)
    at = {text.get_text(): text.get_position() for text in ax.texts}
    for name, center in zip(["weight", "height", "woman"], centers[[0, 1, -1]], strict=True):
        assert at[name][1] == center[1]
        assert (at[name][0] < center[0] - RADIUS) == (name != "woman")
    assert "$x_{1}$" not in at
    assert "$o_{1}$" not in at
    assert "$h_{1}$" in at


def test_numbers_where_there_is_room():
    network = NeuralNetwork([2, 2, 1], dtype="float64")
    network.parameters = [1, -0.125, 20, 0.001, 0, -3, 0.5, 123456, 0.25]
    names = written(fastmlp.plot.network(network))
    numbers = ["1.00", "−0.12", "20.00", "1e−03", "b = 0.00", "b = −3.00", "0.50", "1e+05", "b = 0.25"]  # noqa: RUF001
    assert [text for text in names if text in numbers] == numbers
    assert not set(written(fastmlp.plot.network(network, values=False))) & set(numbers)
    wide = numbered([4, 32, 32, 1])
    assert not any("b = " in text for text in written(fastmlp.plot.network(wide)))
    assert any("b = " in text for text in written(fastmlp.plot.network(wide, values=True)))


@pytest.mark.parametrize(
    ("sizes", "options"),
    [
        ([2, 2, 1], {}),
        ([2, 2, 1], {"feature_names": ["weight", "height"], "output_names": ["probability of a woman"]}),
        ([3, 4, 3], {}),
        ([4, 1], {}),
        ([1, 1], {}),
        ([4, 32, 32, 1], {}),
        ([784, 128, 10], {"output_names": [f"class number {i}" for i in range(10)]}),
        ([8, 6, 6, 6, 6, 6, 6, 2], {"activation": "leaky_relu"}),
    ],
    ids=str,
)
def test_nothing_overlaps_and_nothing_is_cut_off(sizes, options, tmp_path):
    network = numbered(sizes, activation=options.pop("activation", "relu"))
    ax = fastmlp.plot.network(network, **options)
    assert faults(ax) == []
    pixels = rendered(ax, tmp_path / "network.png")
    frame = np.concatenate([pixels[:3].reshape(-1, 3), pixels[-3:].reshape(-1, 3), *pixels[:, [0, 1, -1]]])
    assert (frame == 1).all(), "a white margin"
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 20


def test_overlapping_texts_are_caught():
    ax = fastmlp.plot.network(numbered([2, 2, 1]))
    ax.text(*circles(ax)[0][0], "one more")
    assert len(faults(ax)) == 1
    ax.text(-100, 0, "far away").set_in_layout(False)
    assert len(faults(ax)) == 2


@pytest.mark.parametrize("layout", [None, "constrained"])
def test_it_is_drawn_into_axes_that_are_given(pyplot, layout):
    figure, axes = pyplot.subplots(1, 3, figsize=(12, 4), layout=layout)
    for ax, sizes in zip(axes, ([2, 2, 1], [4, 32, 32, 1], [784, 128, 10]), strict=True):
        assert fastmlp.plot.network(numbered(sizes), ax) is ax
        assert faults(ax) == []
        low, high = ax.get_window_extent().get_points()
        points = ax.transData.transform(circles(ax)[0])
        assert (points > low).all()
        assert (points < high).all()
    assert pyplot.get_fignums() == [figure.number]


def picture_of(network):
    ax = fastmlp.plot.network(network)
    return [array.tolist() for array in (*lines(ax), *circles(ax))]


def test_the_documents_networks():
    from fastmlp import guide, introduction

    network = numbered([2, 2, 1], activation="sigmoid", output_activation="sigmoid")
    theirs = introduction.OurNeuralNetwork()
    (W0, b0), (W1, b1) = ((layer.weights, layer.biases) for layer in network.layers)
    theirs.w1, theirs.w2, theirs.b1 = *W0[:, 0], b0[0]
    theirs.w3, theirs.w4, theirs.b2 = *W0[:, 1], b0[1]
    theirs.w5, theirs.w6, theirs.b3 = *W1[:, 0], b1[0]
    assert picture_of(theirs) == picture_of(network)
    assert "sigmoid" in written(fastmlp.plot.network(theirs))

    theirs = guide.NeuralNetwork([2, 2, 1])
    for layer, ours in zip(theirs.layers, network.layers, strict=True):
        for neuron, column_of_ours in zip(layer.neurons, ours.neurons, strict=True):
            neuron.weights, neuron.bias = column_of_ours.weights[:, np.newaxis], np.array([[column_of_ours.bias]])
    assert picture_of(theirs) == picture_of(network)
    assert "relu" in written(fastmlp.plot.network(theirs))


def estimator(network, **attributes):
    """What a fitted estimator of scikit-learn's kind shows."""
    layers = network.layers
    fitted = {"coefs_": [layer.weights for layer in layers], "intercepts_": [layer.biases for layer in layers]}
    return SimpleNamespace(**({"activation": "tanh", "out_activation_": "softmax"} | fitted | attributes))


def test_estimators():
    network = numbered([2, 3, 4, 2])
    assert picture_of(estimator(network)) == picture_of(network)
    names = written(fastmlp.plot.network(estimator(network)))
    assert names.count("tanh") == 2
    assert names.count("softmax") == 1
    names = written(fastmlp.plot.network(estimator(network, activation=["relu", "selu"])))
    assert {"relu", "selu", "softmax"} <= set(names)
    fitted = estimator(network, feature_names_in_=np.array(["a", "b"]), classes_=np.array(["yes", "no"]))
    assert {"a", "b", "yes", "no"} <= set(written(fastmlp.plot.network(fitted)))
    assert {"a", "b", "one", "two"} <= set(written(fastmlp.plot.network(fitted, output_names=["one", "two"])))
    binary = estimator(numbered([2, 3, 1]), classes_=np.array(["yes", "no"]))
    assert "yes" not in written(fastmlp.plot.network(binary)), "one output for two classes has no name"


@pytest.mark.parametrize(
    ("net", "options", "error", "message"),
    [
        (None, {"ax": "here"}, TypeError, r"^ax must be Matplotlib's Axes or None, got 'here'$"),
        (None, {"max_neurons": 1}, ValueError, r"^max_neurons must be an integer from 2 on, got 1$"),
        (None, {"max_neurons": 2.5}, TypeError, r"^max_neurons must be an integer .*, got 2\.5$"),
        (None, {"values": 1}, TypeError, r"^values must be True or False, got 1$"),
        (None, {"colorbar": None}, TypeError, r"^colorbar must be True or False, got None$"),
        (None, {"feature_names": ["a"]}, ValueError, r"^feature_names must be a sequence of 2 names, got \['a'\]$"),
        (None, {"feature_names": "ab"}, TypeError, r"^feature_names must be a sequence of 2 names, got 'ab'$"),
        (None, {"output_names": ["a", "b"]}, ValueError, r"^output_names must be a sequence of 1 names, got "),
        (7, {}, TypeError, r"^net must be a network of fastmlp, .* or a fitted estimator .*, got 7$"),
        (SimpleNamespace(layers=[]), {}, TypeError, r"^net must be a network of fastmlp, "),
        (SimpleNamespace(layers=[1]), {}, TypeError, r"^net must be a network of fastmlp, "),
        (
            SimpleNamespace(coefs_=[np.ones((2, 3)), np.ones((2, 1))], intercepts_=[np.ones(3), np.ones(1)]),
            {}, ValueError, r"^net must be such that each layer fits to the one before, got \[\(2, 3\), \(2, 1\)\]$",
        ),
        (
            SimpleNamespace(coefs_=[np.array([[1], [np.nan]])], intercepts_=[np.ones(1)]),
            {}, ValueError, r"^net must be of finite weights and biases, got nan in layers\[0\]$",
        ),
    ],
)  # fmt: skip
def test_wrong_arguments(pyplot, net, options, error, message):
    with pytest.raises(error, match=message):
        fastmlp.plot.network(numbered([2, 2, 1]) if net is None else net, **options)
    assert pyplot.get_fignums() == []


def test_names_are_no_formulas(tmp_path):
    """A pair of dollars would be read as one, which may be wrong, and is drawn narrower or wider than it is."""
    names = ["a", "$b_$", "c%", r"\$_"]
    ax = fastmlp.plot.network(numbered([4, 2, 1]), feature_names=names, output_names=["$$ of 1^$"])
    assert {*names, "$$ of 1^$"} <= set(written(ax))
    rendered(ax, tmp_path / "dollars.png")
    long = ["$" + r"\alpha" * 20 + "$", "two"]
    assert faults(fastmlp.plot.network(numbered([2, 2, 1]), feature_names=long)) == []
    fitted = estimator(numbered([2, 2, 1]), activation="$f_$")
    rendered(fastmlp.plot.network(fitted), tmp_path / "activation.png")


def test_symbols_are_formulas():
    symbols = [text for text in fastmlp.plot.network(numbered([2, 2, 1])).texts if text.get_text().startswith("$")]
    assert len(symbols) == 5
    assert all(text.get_parse_math() for text in symbols)
