"""The commands `fastmlp train` and `fastmlp predict` as users give them."""

import os
import sys
from importlib.metadata import version

import numpy as np
import pytest
from command_line import blobs, fail, plane, read_column, succeed, train_in, write_table
from hypothesis import given
from hypothesis import strategies as st

import fastmlp
from fastmlp.cli import commands
from fastmlp.cli.cli import main
from fastmlp.files import storage
from fastmlp.training.splitting import split_rows


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Train on the blobs; return the model's and the table's path."""
    return train_in(tmp_path_factory.mktemp("trained"))


def test_version(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"fastmlp {version('fastmlp')}\n"


# The job itself


def test_classification(tmp_path, capsys):
    table = blobs()
    data, model = write_table(tmp_path / "blobs.csv", table), str(tmp_path / "model")
    succeed("train", data, "--target", "cloud", "--save", model, "--epochs", "30")
    report = capsys.readouterr().out
    assert "target: cloud, classification of 2 classes, it holds text (--task decides otherwise)\n" in report
    assert "numbers: x, y\n" in report
    assert "96 rows to train on, 24 held out\n" in report
    assert "held-out accuracy: 100.0% (always saying the commonest class: 66.7%)\n" in report

    succeed("predict", model, data)
    output = capsys.readouterr()
    assert read_column(output.out) == ("cloud", table["cloud"])
    assert output.err == ""


def test_regression_in_the_targets_own_units(tmp_path, capsys):
    table = plane()
    data, model = write_table(tmp_path / "plane.csv", table), str(tmp_path / "model")
    succeed("train", data, "--target", "height", "--save", model)
    report = capsys.readouterr().out
    assert "target: height, regression, it holds many different numbers (--task decides otherwise)\n" in report
    assert float(report.split("held-out R²: ")[1].split("\n")[0]) > 0.98

    succeed("predict", model, data)
    name, cells = read_column(capsys.readouterr().out)
    assert name == "height"
    errors = np.array(cells, float) - table["height"]
    assert np.sqrt(np.mean(errors**2)) < 4  # of a standard deviation of 36


@pytest.mark.parametrize(("fraction", "title"), [("0.3", "held-out"), ("0", "training")])
def test_r_squared_is_the_textbook_one_of_the_rows_it_names(tmp_path, capsys, fraction, title):
    table = plane(30)
    data, model = write_table(tmp_path / "plane.csv", table), str(tmp_path / "model")
    succeed("train", data, "--target", "height", "--save", model, "--epochs", "3", "--test-fraction", fraction)
    report = capsys.readouterr().out
    succeed("predict", model, data)
    rows = split_rows(30, float(fraction), np.random.default_rng(0))[title == "held-out"]
    predicted = np.array(read_column(capsys.readouterr().out)[1], float)[rows]
    truth = np.array(table["height"])[rows]
    expected = 1 - np.sum((truth - predicted) ** 2) / np.sum((truth - truth.mean()) ** 2)
    assert f"\n{title} R²: {expected:.4f}\n" in report


def test_each_row_is_predicted_alone_and_by_column_name(trained, tmp_path, capsys):
    model, data = trained
    succeed("predict", model, data)
    expected = capsys.readouterr().out
    columns = blobs()
    reordered = {"note": [""] * 120, "y": columns["y"], "x": columns["x"]}
    succeed("predict", model, write_table(tmp_path / "reordered.csv", reordered, delimiter="\t"))
    assert capsys.readouterr().out == expected
    one = {name: cells[3:4] for name, cells in columns.items()}
    succeed("predict", model, write_table(tmp_path / "one.csv", one))
    assert capsys.readouterr().out == 'cloud\n"left, far"\n'


def test_prediction_into_a_file(trained, tmp_path, capsys):
    model, data = trained
    succeed("predict", model, data)
    expected = capsys.readouterr().out
    path = tmp_path / "predicted.csv"
    path.write_text("old")
    path.chmod(0o600)
    succeed("predict", model, data, "--output", str(path))
    assert path.read_text() == expected
    assert os.name == "nt" or path.stat().st_mode & 0o077 == 0  # it stays private
    succeed("predict", model, data, "--output", os.devnull)
    assert not os.path.isfile(os.devnull)
    assert capsys.readouterr().out == ""


def test_european_spreadsheet(tmp_path, capsys):
    rows = [f'"{i / 8:.3f}";{["rot", "grün"][i % 2]};{i // 10}'.replace(".", ",") for i in range(40)]
    path, model = tmp_path / "daten.csv", str(tmp_path / "modell")
    path.write_bytes("\r\n".join(['"Größe";Farbe;Klasse', *rows, ""]).encode("utf-8-sig"))
    succeed("train", str(path), "--target", "Farbe", "--save", model, "--epochs", "2")
    report = capsys.readouterr().out
    assert "numbers: Größe, Klasse\nwith decimal commas: Größe\n" in report
    succeed("predict", model, str(path))
    assert capsys.readouterr().out.startswith("Farbe\n")


def test_text_features_and_values_never_seen(tmp_path, capsys):
    colors = ["red", "green", "blue"] * 20
    data = write_table(tmp_path / "a.csv", {"color": colors, "warm": [str(c == "red") for c in colors]})
    model = str(tmp_path / "model")
    succeed("train", data, "--target", "warm", "--save", model)
    report = capsys.readouterr().out
    assert "text, by value: color (3)\n" in report
    assert "held-out accuracy: 100.0%" in report
    new = write_table(tmp_path / "b.csv", {"color": ["red", "mauve", "blue", "mauve"]})
    succeed("predict", model, new)
    output = capsys.readouterr()
    assert output.err == "fastmlp: note: column 'color' has values not seen in training: 'mauve'\n"
    assert [output.out.split("\n")[i] for i in (0, 1, 3)] == ["warm", "True", "False"]


def test_constant_column_has_no_influence(tmp_path, capsys):
    table = {"year": [2024] * 120, "country": ["CH"] * 120, **blobs()}
    data, model = write_table(tmp_path / "a.csv", table), str(tmp_path / "model")
    succeed("train", data, "--target", "cloud", "--save", model, "--epochs", "30")
    assert "left out, the same in every training row: year, country\n" in capsys.readouterr().out
    succeed("predict", model, data)
    expected = capsys.readouterr().out
    succeed("predict", model, write_table(tmp_path / "b.csv", {**table, "year": [1e9] * 120}))
    assert capsys.readouterr().out == expected


def test_whole_numbers_are_classes_unless_said_otherwise(tmp_path, capsys):
    table = {"x": list(range(40)), "stars": [i // 10 + 1 for i in range(40)]}
    data, model = write_table(tmp_path / "a.csv", table), str(tmp_path / "model")
    succeed("train", data, "--target", "stars", "--save", model)
    assert "classification of 4 classes, it holds only 4 different whole numbers (--task" in capsys.readouterr().out
    succeed("predict", model, data)
    assert set(read_column(capsys.readouterr().out)[1]) <= {"1", "2", "3", "4"}
    succeed("train", data, "--target", "stars", "--save", model, "--task", "regression")
    assert "target: stars, regression, as asked for\n" in capsys.readouterr().out
    succeed("predict", model, data)
    assert np.all(np.abs(np.array(read_column(capsys.readouterr().out)[1], float) - table["stars"]) < 1.5)


def test_ignored_and_text_columns(tmp_path, capsys):
    table = {"name": [f"Row {i}" for i in range(120)], "code": [i % 4 for i in range(120)], **blobs()}
    data, model = write_table(tmp_path / "a.csv", table), str(tmp_path / "model")
    command = ("train", data, "--target", "cloud", "--save", model, "--epochs", "2")
    message = fail(capsys, *command)
    assert "column 'name' must hold numbers or at most 100 different texts, got 120 such as 'Row 0'" in message
    assert "(--ignore 'name' leaves the column out)" in message
    succeed(*command, "--ignore", "name", "--text", "code", "--ignore", "y")
    assert "numbers: x\ntext, by value: code (4)\n" in capsys.readouterr().out


def test_options_reach_the_network(tmp_path, capsys, monkeypatch):
    calls = []
    train = fastmlp.NeuralNetwork.train

    def record(net, X, y, *arguments, **options):
        calls.append((*arguments, options))
        return train(net, X, y, *arguments, **options)

    monkeypatch.setattr(fastmlp.NeuralNetwork, "train", record)
    data, model = write_table(tmp_path / "a.csv", blobs()), str(tmp_path / "model")
    succeed(
        *("train", data, "--target", "cloud", "--save", model, "--hidden", "5,4,3", "--activation", "tanh"),
        *("--epochs", "7", "--batch-size", "11", "--optimizer", "sgd", "--learning-rate", "0.05", "--seed", "9"),
        *("--test-fraction", "0.5", "--delimiter", ","),
    )
    report = capsys.readouterr().out
    assert "network: 2-5-4-3-2, 60 rows to train on, 60 held out\n" in report
    assert "trained: 7 epochs in " in report
    assert calls == [(1, 0.05, 11, {"optimizer": "sgd"})] * 7
    net, _ = commands.load_model(model)
    assert tuple(net.layer_sizes) == (2, 5, 4, 3, 2)
    assert net.layers[0].activation == "tanh"


def sevens(path):
    """A table whose target is soon learned: rows of i % 7 and i % 5, and whether the former is above 3."""
    rows = range(100)
    return write_table(
        path, {"a": [i % 7 for i in rows], "b": [i % 5 for i in rows], "t": [int(i % 7 > 3) for i in rows]}
    )


@pytest.mark.parametrize("batch_size", [(), ("--batch-size", "1000")])
def test_lbfgs_trains_at_once(tmp_path, capsys, monkeypatch, batch_size):
    """It ends at the minimum; another round would begin there, without what it knows of the curvature."""
    pytest.importorskip("scipy.optimize", reason="SciPy is not installed")
    calls = []
    train = fastmlp.NeuralNetwork.train

    def record(*arguments, **options):
        calls.append(train(*arguments, **options))
        return calls[-1]

    monkeypatch.setattr(fastmlp.NeuralNetwork, "train", record)
    data, model = sevens(tmp_path / "a.csv"), str(tmp_path / "m.npz")
    succeed("train", data, "--target", "t", "--save", model, "--optimizer", "lbfgs", *batch_size)
    [history] = calls
    report = capsys.readouterr().out
    assert history.stopped == "The minimum was found."
    assert f"trained: {history.epochs} epochs in " in report
    assert f", loss {history.loss[-1]:.4g}\nheld-out accuracy: 100.0%" in report


def test_an_optimizer_for_all_rows_needs_no_batch_size(tmp_path, capsys):
    data, model = sevens(tmp_path / "a.csv"), str(tmp_path / "m.npz")
    command = ("train", data, "--target", "t", "--save", model, "--optimizer", "rprop", "--test-fraction", "0.2")
    succeed(*command)
    assert "trained: 1500 epochs in " in capsys.readouterr().out  # of one step
    assert "batch_size must be None or at least 80, all samples, " in fail(capsys, *command, "--batch-size", "32")


def test_a_missing_package_is_named_in_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    data, model = sevens(tmp_path / "a.csv"), str(tmp_path / "m.npz")
    message = fail(capsys, "train", data, "--target", "t", "--save", model, "--optimizer", "lbfgs")
    assert message == "SciPy must be installed for optimizer 'lbfgs': `pip install fastmlp[scipy]`"


def test_default_of_epochs():
    assert commands.default_epochs(120, 32) == 375  # of 4 steps
    assert commands.default_epochs(960, 32) == 50  # of 30 steps
    assert commands.default_epochs(10**6, 32) == 50
    assert commands.default_epochs(1, 32) == 1500


def test_same_command_same_model(tmp_path, capsys):
    data = write_table(tmp_path / "a.csv", blobs())
    vectors = []
    for name, seed in (("a", "0"), ("b", "0"), ("c", "1")):
        model = str(tmp_path / name)
        succeed("train", data, "--target", "cloud", "--save", model, "--epochs", "3", "--seed", seed)
        vectors.append(np.array(commands.load_model(model)[0].parameters))
    np.testing.assert_array_equal(vectors[0], vectors[1])
    assert not np.array_equal(vectors[0], vectors[2])


def test_progress_is_one_line_that_vanishes_and_only_in_a_terminal(tmp_path, capsys, monkeypatch):
    data, model = write_table(tmp_path / "a.csv", blobs()), str(tmp_path / "model")
    command = ("train", data, "--target", "cloud", "--save", model, "--epochs", "40")
    succeed(*command)
    silent = capsys.readouterr()
    assert silent.err == ""
    quiet_model = np.array(commands.load_model(model)[0].parameters)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    succeed(*command)
    shown = capsys.readouterr().err
    assert "training:  50%  epoch 20/40  loss " in shown
    assert "\n" not in shown
    assert shown.endswith("\r\x1b[K")
    np.testing.assert_array_equal(commands.load_model(model)[0].parameters, quiet_model)


def test_models_are_not_taken_for_networks_of_plain_numbers(trained):
    """Which would answer nonsense, as their inputs are standardized."""
    with pytest.raises(ValueError, match=r"^path must be a network .*, got a model of `fastmlp train`") as caught:
        fastmlp.load(trained[0])
    assert f"in {trained[0]!r}: `fastmlp predict MODEL DATA.csv` applies it" in str(caught.value)
    net, schema = commands.load_model(trained[0])
    assert (net.layer_sizes[0], schema.n_inputs) == (2, 2)


def trained_and_told(tmp_path, capsys, table, *options):
    """What is printed by training on a table with target y, and what is predicted for it."""
    data, model = write_table(tmp_path / "a.csv", table), str(tmp_path / "model")
    capsys.readouterr()
    succeed("train", data, "--target", "y", "--save", model, *options)
    report = capsys.readouterr().out
    succeed("predict", model, data)
    return report, read_column(capsys.readouterr().out)[1]


@pytest.mark.parametrize("cells", [["9007199254740992", "9007199254740993", "5"], ["007", "07", "7", "12"]])
@pytest.mark.parametrize("options", [(), ("--text", "y"), ("--task", "classification")])
def test_classes_that_float64_would_merge(tmp_path, capsys, cells, options):
    table = {"x": [i % len(cells) for i in range(60)], "y": cells * (60 // len(cells))}
    report, told = trained_and_told(tmp_path, capsys, table, *options)
    assert f"target: y, classification of {len(cells)} classes, " in report
    assert told == table["y"]
    for_zeros = "text, for their leading zeros (--number decides otherwise): y\n"
    assert (for_zeros in report) == ("007" in cells and "--text" not in options)


def test_codes_are_text_unless_said_otherwise(tmp_path, capsys):
    table = {"zip": ["01", "1", "001", "12"] * 10, "y": ["a", "b", "a", "c"] * 10}
    report, told = trained_and_told(tmp_path, capsys, table)
    text = "text, by value: zip (4)\ntext, for their leading zeros (--number decides otherwise): zip\ntarget: y, "
    assert text in report
    assert told == table["y"]
    report, told = trained_and_told(tmp_path, capsys, table, "--number", "zip")
    assert "numbers: zip\ntarget: y, " in report
    assert set(told[:3]) <= {"a", "b"}  # one input
    codes = {"x": [0, 1, 2, 3] * 10, "y": table["zip"]}
    assert "classification of 2 classes, it holds only 2 " in trained_and_told(
        tmp_path, capsys, codes, "--number", "y"
    )[0]
    report, _ = trained_and_told(tmp_path, capsys, codes, "--task", "regression")
    assert "numbers: x\ntarget: y, regression, as asked for\n" in report


def test_predictions_keep_the_targets_digits(tmp_path, capsys):
    x = np.random.default_rng(0).uniform(0, 1, 200)
    y = 1_700_000_000 + x
    _, told = trained_and_told(tmp_path, capsys, {"x": list(x), "y": list(y)})
    assert np.sum((np.array(told, float) - y) ** 2) < 0.01 * np.sum((y - y.mean()) ** 2)


def test_a_column_that_varies_by_rounding_has_no_influence(tmp_path, capsys):
    table = {"noise": [0.3, 0.1 + 0.2] * 60, **blobs()}
    data, model = write_table(tmp_path / "a.csv", table), str(tmp_path / "model")
    succeed("train", data, "--target", "cloud", "--save", model, "--epochs", "2")
    assert "numbers: x, y\nleft out, the same but for rounding: noise\ntarget" in capsys.readouterr().out
    succeed("predict", model, data)
    expected = capsys.readouterr().out
    succeed("predict", model, write_table(tmp_path / "b.csv", {**table, "noise": [0.31] * 120}))
    assert capsys.readouterr().out == expected


def test_a_cell_longer_than_the_csv_module_allows(tmp_path, capsys):
    table = {"note": ["k" * 140_000, *"k" * 119], **blobs()}
    data, model = write_table(tmp_path / "a.csv", table), str(tmp_path / "model")
    succeed("train", data, "--target", "cloud", "--save", model, "--epochs", "2", "--ignore", "note")


# Held-out rows


def test_split_keeps_every_class_in_training_and_in_proportion():
    codes = np.repeat([0, 1, 2, 3], [60, 30, 9, 1])
    training, test = split_rows(100, 0.2, np.random.default_rng(0), codes)
    assert sorted([*training, *test]) == list(range(100))
    assert np.bincount(codes[test], minlength=4).tolist() == [12, 6, 2, 0]


def test_split_of_many_small_classes_holds_some_rows_out():
    codes = np.arange(100) // 2
    training, test = split_rows(100, 0.2, np.random.default_rng(0), codes)
    assert len(test) == 20
    assert set(codes[training]) == set(codes)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60), st.floats(0, 0.99), st.integers(0, 99))
def test_split_takes_each_class_in_the_order_drawn(codes, fraction, seed):
    order, codes = np.random.default_rng(seed).permutation(len(codes)), np.array(codes)
    expected, owed = [], 0.5
    for label in range(max(codes) + 1):
        rows = [row for row in order if codes[row] == label]
        owed += fraction * len(rows)
        taken = max(0, min(int(owed), len(rows) - 1))
        owed -= taken
        expected += rows[:taken]
    training, test = split_rows(len(codes), fraction, np.random.default_rng(seed), codes)
    assert test.tolist() == sorted(expected)
    assert training.tolist() == sorted({*range(len(codes))} - {*expected})


def test_split_of_amounts():
    training, test = split_rows(10, 0.25, np.random.default_rng(0))
    assert sorted([*training, *test]) == list(range(10))
    assert len(test) == 3
    assert len(split_rows(2, 0.9, np.random.default_rng(0))[0]) == 1
    assert len(split_rows(10, 0.0, np.random.default_rng(0))[1]) == 0


def test_held_out_rows_do_not_influence_the_model(tmp_path, capsys):
    table = plane(40)
    data, model = write_table(tmp_path / "a.csv", table), str(tmp_path / "model")
    command = ("train", data, "--target", "height", "--save", model, "--epochs", "2")
    succeed(*command)
    before = storage.read(model)
    _, test = split_rows(40, 0.2, np.random.default_rng(0))
    for row in test:
        table["x"][row], table["height"][row] = 1e5, -1e5
    write_table(tmp_path / "a.csv", table)
    succeed(*command)
    after = storage.read(model)
    assert before[0] == after[0]
    assert before[1].keys() == after[1].keys()
    for name, array in before[1].items():
        np.testing.assert_array_equal(array, after[1][name])
