"""Pictures of trainings: curves, scales, the best epoch."""

from types import SimpleNamespace

import numpy as np
import pytest
from pictures import faults, rendered

from fastmlp import History, NeuralNetwork
from fastmlp.plot import LossCurveDisplay

pytestmark = pytest.mark.usefixtures("pyplot")


def halving(epochs=4, **options):
    """A training whose loss is 1, 1/4, 1/16, ..."""
    network = NeuralNetwork([1, 1], dtype="float64", initializer="zeros")
    return network.train([[1]], [1], epochs, learning_rate=0.125, **options)


def legend(display):
    return [text.get_text() for text in (display.score_ax_ or display.ax_).get_legend().get_texts()]


def points(line):
    return np.column_stack(line.get_data()).tolist()


def test_the_loss_of_a_history():
    display = LossCurveDisplay.from_history(halving())
    assert points(display.line_) == [[1, 1], [2, 1 / 4], [3, 1 / 16], [4, 1 / 64]]
    assert display.validation_line_ is display.score_line_ is display.score_ax_ is None
    assert list(display.best_epoch_line_.get_xdata()) == [4, 4]
    assert legend(display) == ["training loss", "best epoch: 4"]
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("epoch", "loss")
    assert display.figure_ is display.ax_.figure
    assert display.ax_.get_yscale() == "linear"


def test_the_loss_on_validation_data():
    # weight and bias are 1/4, then 3/8, 7/16, 15/32: what should be 0 at x = 3 is four times as much
    display = LossCurveDisplay.from_history(halving(validation_data=([[3]], [0])), log_scale=True)
    assert points(display.validation_line_) == [[1, 1], [2, 9 / 4], [3, 49 / 16], [4, 225 / 64]]
    assert list(display.best_epoch_line_.get_xdata()) == [1, 1], "of the validation loss"
    assert legend(display) == ["training loss", "validation loss", "best epoch: 1"]
    assert display.ax_.get_yscale() == "log"
    assert display.line_.get_linestyle() != display.validation_line_.get_linestyle()
    assert display.line_.get_color() != display.validation_line_.get_color()


def fitted(**attributes):
    return SimpleNamespace(**({"loss_curve_": [3.0, 2.0, 1.0, 1.5]} | attributes))


def test_estimators():
    display = LossCurveDisplay.from_estimator(fitted())
    assert points(display.line_) == [[1, 3], [2, 2], [3, 1], [4, 1.5]]
    assert display.best_epoch == 3
    display = LossCurveDisplay.from_estimator(fitted(validation_scores_=[0.5, 0.9, 0.8, 0.7]))
    assert display.best_epoch == 2, "of the score"
    assert points(display.score_line_) == [[1, 0.5], [2, 0.9], [3, 0.8], [4, 0.7]]
    assert display.validation_line_ is display.score_line_
    assert display.score_line_.axes is display.score_ax_ is not display.ax_
    assert display.score_ax_.get_ylabel() == "validation score"
    assert legend(display) == ["training loss", "validation score", "best epoch: 2"]
    assert LossCurveDisplay.from_estimator(fitted(validation_scores_=None)).score_ax_ is None


def test_a_wrong_best_epoch_is_caught():
    display = LossCurveDisplay.from_estimator(fitted(loss_curve_=[3.0, 1.0, 2.0]))
    assert list(display.best_epoch_line_.get_xdata()) != [3, 3]


def test_scikit_learns_estimators():
    neural_network = pytest.importorskip("sklearn.neural_network", reason="scikit-learn is not installed")
    X = np.random.default_rng(0).normal(size=(60, 2))
    options = {"early_stopping": True, "max_iter": 30, "n_iter_no_change": 30, "random_state": 0}
    model = neural_network.MLPClassifier([4], **options)
    with pytest.warns(Warning, match="converged"):
        model.fit(X, X[:, 0] > 0)
    display = LossCurveDisplay.from_estimator(model)
    assert display.line_.get_ydata().tolist() == model.loss_curve_
    assert display.score_line_.get_ydata().tolist() == model.validation_scores_
    assert model.validation_scores_[display.best_epoch - 1] == model.best_validation_score_


def test_it_is_drawn_again(pyplot):
    figure, (one, two) = pyplot.subplots(1, 2)
    display = LossCurveDisplay.from_estimator(fitted(validation_scores_=[0.5, 0.9, 0.8, 0.7]), ax=one)
    assert display.ax_ is one
    assert display.plot(ax=two, log_scale=True) is display
    assert display.ax_ is two
    assert (one.get_yscale(), two.get_yscale()) == ("linear", "log")
    assert points(display.line_) == points(one.lines[0])
    assert display.line_ is not one.lines[0]
    assert display.figure_ is figure
    assert pyplot.get_fignums() == [figure.number]


def test_what_is_missing_is_left_out():
    display = LossCurveDisplay.from_history(History([1.0, np.nan, 0.5]), log_scale=True)
    assert display.best_epoch == 3
    assert LossCurveDisplay.from_history(History([np.nan])).best_epoch_line_ is None
    assert LossCurveDisplay.from_estimator(fitted(loss_curve_=[np.nan])).best_epoch_line_ is None
    single = LossCurveDisplay([1.0]).plot().line_
    assert single.get_marker() == "o", "a line of one point is not to be seen"
    assert LossCurveDisplay(np.ones(100)).plot().line_.get_marker() in ("", "None")


def test_epochs_are_whole_numbers():
    display = LossCurveDisplay([3.0, 2.0]).plot()
    assert all(tick == round(tick) for tick in display.ax_.get_xticks())


@pytest.mark.parametrize("scores", [None, np.linspace(0.5, 0.9, 50), np.full(50, 0.5)], ids=["none", "rising", "flat"])
def test_nothing_overlaps(scores, tmp_path):
    display = LossCurveDisplay(1 / np.arange(1, 51), validation_score=scores, best_epoch=40).plot()
    assert faults(display.ax_) == []
    pixels = rendered(display.ax_, tmp_path / "loss.png")
    blue = abs(pixels - np.array([0, 0x72, 0xB2]) / 255).max(axis=-1) < 0.1
    assert blue.sum() > 300
    if scores is not None:  # the legend is not on the curves
        display.figure_.canvas.draw()
        box = display.score_ax_.get_legend().get_window_extent()
        for line in (display.line_, display.score_line_):
            x, y = line.get_transform().transform(line.get_xydata()).T
            assert not ((x > box.x0) & (x < box.x1) & (y > box.y0) & (y < box.y1)).any()


@pytest.mark.parametrize(
    ("draw", "error", "message"),
    [
        (lambda: LossCurveDisplay([]), ValueError, r"^loss must be a number for each epoch, of .*, got \[\]$"),
        (lambda: LossCurveDisplay("loss"), TypeError, r"^loss must be an array of real numbers, got 'loss'$"),
        (lambda: LossCurveDisplay([1], validation_loss=[[1]]), ValueError, r"^validation_loss must be a number for "),
        (lambda: LossCurveDisplay([1], validation_score=["a"]), TypeError, r"^validation_score must be an array of "),
        (lambda: LossCurveDisplay([1], best_epoch=2), ValueError, r"^best_epoch must be .* from 1 to 1, got 2$"),
        (lambda: LossCurveDisplay([1]).plot(ax=3), TypeError, r"^ax must be Matplotlib's Axes or None, got 3$"),
        (lambda: LossCurveDisplay([1]).plot(log_scale=1), TypeError, r"^log_scale must be True or False, got 1$"),
        (
            lambda: LossCurveDisplay([1, -1]).plot(log_scale=True),
            ValueError, r"^log_scale must be False for losses that are not above 0, got True$",
        ),
        (
            lambda: LossCurveDisplay.from_estimator(SimpleNamespace()),
            TypeError, r"^estimator must be fitted and have a loss_curve_, got namespace\(\)$",
        ),
        (
            lambda: LossCurveDisplay.from_history([1.0]),
            TypeError, r"^history must be a History, as train returns, got \[1\.0\]$",
        ),
    ],
)  # fmt: skip
def test_wrong_arguments(pyplot, draw, error, message):
    with pytest.raises(error, match=message):
        draw()
    assert pyplot.get_fignums() == []
