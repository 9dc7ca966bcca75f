"""How the commands `fastmlp train` and `fastmlp predict` end where something is wrong: in one line, or in silence."""

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import blobs, fail, plane, succeed, train_in, write_table

import fastmlp
from fastmlp.cli import commands
from fastmlp.cli.cli import main
from fastmlp.files import storage


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Train on the blobs; return the model's and the table's path."""
    return train_in(tmp_path_factory.mktemp("trained"))


# Bad input


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "data.csv must have a header line, got an empty file"),
        (b"x,y\n", "data.csv must have rows below its header, got none"),
        (b"x,y\n1,a\n2\n", "data.csv line 3 must have 2 cells as the header has, got 1"),
        (b"x,x,y\n1,2,a\n", "data.csv line 1 must name each column once, got 'x' repeatedly"),
        (b"x,z\n1,2\n", "--target must be one of the columns 'x', 'z', got 'y'"),
        (b"x,y\n1,a\n2,a\n3,a\n", "data.csv column 'y' must hold two classes or more, got only 'a'"),
        (
            b"x,y\n1,0.5\n2,0.5\n",
            "data.csv column 'y' must hold different numbers in the rows to train on, got only '0.5'",
        ),
        (b"x,y\n1,a\n,b\n3,a\n", "data.csv line 3, column 'x', must be a number, got an empty cell (--ignore"),
        (b"x,y\n1,a\n2,\n3,b\n", "data.csv line 3, column 'y', must not be empty, got an empty cell"),
        (
            b"x,y\n" + b"".join(b"0%d,%d\n" % (i, i % 2) for i in range(101)),
            "got 101 such as '00' (--number 'x' takes its codes as numbers, --ignore 'x' leaves the column out)",
        ),
        (b"x,y\n1,a\n" + b"1" * 10**6 + b"x,b\n3,a\n", f"3, column 'x', must be a number, got '{'1' * 37}...' (--"),
        (b"x,y\n1,a\n2,b\n5%,a\n", "column 'x', must be a number, got '5%', which has a percent sign (--ignore 'x'"),
        (b"x,y\n1,a\n1,b\n1,a\n", "data.csv must have a column besides the target that varies, got none"),
        (b"y\na\nb\na\nb\n", "data.csv must have a column besides the target that varies, got none"),
        (b"x,y\n1,\xe4\n", "data.csv must be text in UTF-8, got the byte 0xe4 in line 2"),
        (b"PK\x03\x04\x00\x00", "data.csv must be a text file of comma-separated values, got a binary file"),
    ],
)
def test_bad_tables(tmp_path, capsys, content, message):
    data, model = tmp_path / "data.csv", tmp_path / "model"
    data.write_bytes(content)
    model.write_text("precious")
    assert message in fail(capsys, "train", str(data), "--target", "y", "--save", str(model))
    assert model.read_text() == "precious"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: demo | train | predict"),
        (["fly"], "invalid choice: 'fly'"),
        (["train", "DATA"], "the following arguments are required: --target, --save"),
        (
            ["train", "DATA", "--target", "cloud", "--save", "MODEL", "--epochs", "0"],
            "must be a whole number of 1 or more",
        ),
        (["train", "DATA", "--target", "cloud", "--save", "MODEL", "--epochs", "1e3"], "got '1e3'"),
        (["train", "DATA", "--target", "cloud", "--save", "MODEL", "--batch-size", "-1"], "--batch-size"),
        (
            ["train", "DATA", "--target", "cloud", "--save", "MODEL", "--hidden", "64,,32"],
            "such as 64,32, got '64,,32'",
        ),
        (
            ["train", "DATA", "--target", "cloud", "--save", "MODEL", "--learning-rate", "nan"],
            "a number above 0, got 'nan'",
        ),
        (["train", "DATA", "--target", "cloud", "--save", "MODEL", "--test-fraction", "1"], "got '1'"),
        (["train", "DATA", "--target", "cloud", "--save", "MODEL", "--delimiter", ",,"], "one character or 'tab'"),
        (["train", "DATA", "--target", "cloud", "--save", "MODEL", "--task", "guess"], "invalid choice: 'guess'"),
        (["train", "DATA", "--target", "cloud", "--save", "MODEL", "--optimizer", "magic"], "optimizer must be"),
        (["train", "DATA", "--target", "cloud", "--save", "MODEL", "--activation", "magic"], "activation must be"),
        (
            ["train", "DATA", "--target", "cloud", "--save", "MODEL", "--ignore", "z"],
            "--ignore must be one of the columns",
        ),
        (["train", "DATA", "--target", "cloud", "--save", "MODEL", "--text", "z"], "--text must be one of the columns"),
        (["train", "DATA", "--target", "Cloud", "--save", "MODEL"], "got 'Cloud'; did you mean 'cloud'?"),
        (
            ["train", "DATA", "--target", "cloud", "--save", "MODEL", "--ignore", "cloud"],
            "--ignore must not be the target",
        ),
        (
            ["train", "DATA", "--target", "cloud", "--save", "MODEL", "--task", "regression"],
            "column 'cloud', must be a number",
        ),
        (["train", "DATA", "--target", "cloud", "--save", "MODEL", "--number", "z"], "--number must be one of the col"),
        (
            ["train", "DATA", "--target", "cloud", "--save", "MODEL", "--number", "x", "--text", "x"],
            "--number must name other columns than --text, got 'x'",
        ),
        (
            ["train", "DATA", "--target", "cloud", "--save", "MODEL", "--text", "cloud", "--task", "regression"],
            "--text must not be the target of a regression, got 'cloud'",
        ),
        (
            ["train", "DATA", "--target", "cloud", "--save", "MODEL", "--seed", "9" * 5000],
            f"argument --seed: must be a whole number of 0 or more, got '{'9' * 37}...'",
        ),
        (["train", "DATA", "--target", "cloud", "--save", "MODEL", "--learning-rate", "1_0"], "above 0, got '1_0'"),
        (["train", "DATA", "--target", "c" * 10**5, "--save", "MODEL"], f"got '{'c' * 37}...{'c' * 38}'"),
        *(
            (["train", "DATA", "--target", "cloud", "--save", "MODEL", option, value], f"{option}: must be {rule}")
            for option, value, rule in [
                ("--delimiter", " ", "one character or 'tab', and neither a blank nor a quotation mark, got ' '"),
                ("--delimiter", "", "one character or 'tab', and neither a blank nor a quotation mark, got an"),
                ("--delimiter", '"', "one character or 'tab', and neither a blank nor a quotation mark, got '\"'"),
                ("--epochs", "", "a whole number of 1 or more, got an empty text"),
                ("--learning-rate", "", "a number above 0, got an empty text"),
                ("--hidden", "", "whole numbers such as 64,32, got an empty text"),
                ("--save", "", "the name of a file, got an empty text"),
            ]
        ),
        (["train", "", "--target", "cloud", "--save", "MODEL"], "DATA.csv: must be the name of a file, got an empty"),
        (["predict", "", "DATA"], "argument MODEL: must be the name of a file, got an empty text"),
        (["predict", "NONE", ""], "argument DATA.csv: must be the name of a file, got an empty text"),
        (["predict", "NONE", "DATA", "--output", ""], "--output: must be the name of a file, got an empty"),
        (["train", "NONE", "--target", "cloud", "--save", "MODEL"], "none: No such file or directory"),
        (["train", "FOLDER", "--target", "cloud", "--save", "MODEL"], "folder: Is a directory"),
        (["predict", "NONE", "DATA"], "none: No such file or directory"),
        (["predict", "FOLDER", "DATA"], "folder: Is a directory"),
    ],
)
def test_bad_commands(tmp_path, capsys, arguments, message):
    (tmp_path / "folder").mkdir()
    (tmp_path / "model").write_text("precious")
    places = {
        "DATA": write_table(tmp_path / "data.csv", blobs(12)),
        "MODEL": str(tmp_path / "model"),
        "NONE": str(tmp_path / "none"),
        "FOLDER": str(tmp_path / "folder"),
    }
    assert message in fail(capsys, *(places.get(argument, argument) for argument in arguments))
    assert (tmp_path / "model").read_text() == "precious"


def test_message_is_one_line_whatever_the_file_is_called(tmp_path, capsys):
    assert "/a b.csv: No such file" in fail(
        capsys, "train", str(tmp_path / "a\nb.csv"), "--target", "y", "--save", str(tmp_path / "m")
    )


@pytest.mark.parametrize("option", ["--save", "--output"])
@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("folder", "must be a file, got the directory"),
        ("folder/", "must be a file, got the directory"),
        ("none/", "must be a file, got the directory"),
        ("none/file", "must be in an existing directory, got"),
        ("dangling", "must be in an existing directory, got"),
        ("read-only", "must be a file that can be written, got"),
        ("data.csv/file", "must be in an existing directory, got"),
        ("data.csv", "must not overwrite the file that is read, got"),
        ("link", "must not overwrite the file that is read, got"),
    ],
)
def test_places_that_cannot_be_written_are_refused_before_any_work(
    trained, tmp_path, capsys, monkeypatch, option, place, message
):
    data = write_table(tmp_path / "data.csv", blobs(12))
    content = (tmp_path / "data.csv").read_bytes()
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "data.csv")
    (tmp_path / "dangling").symlink_to(tmp_path / "none" / "file")
    (tmp_path / "read-only").touch(0o444)
    monkeypatch.delattr(commands, "read_table")  # no work: not even the table is read
    command = ["train", data, "--target", "cloud"] if option == "--save" else ["predict", trained[0], data]
    assert f"{option} {message}" in fail(capsys, *command, option, f"{tmp_path}/{place}")
    assert (tmp_path / "data.csv").read_bytes() == content


def test_models_in_other_formats_are_refused_before_any_work(tmp_path, capsys, monkeypatch):
    monkeypatch.delattr(commands, "read_table")
    message = fail(capsys, "train", "a.csv", "--target", "cloud", "--save", "a.onnx")
    assert message == "--save must end in .npz or have no suffix, got 'a.onnx'"


def test_diverging_training_saves_nothing(tmp_path, capsys):
    data, model = write_table(tmp_path / "a.csv", plane()), tmp_path / "model"
    model.write_text("precious")
    command = ("train", data, "--target", "height", "--save", str(model), "--optimizer", "sgd")
    assert "epoch" in fail(capsys, *command, "--learning-rate", "1e9")
    assert model.read_text() == "precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "model"]


def test_prediction_needs_the_models_columns(trained, tmp_path, capsys):
    data = write_table(tmp_path / "data.csv", {"x": [1, 2], "z": [3, 4]})
    output = tmp_path / "out.csv"
    output.write_text("precious")
    message = fail(capsys, "predict", trained[0], data, "--output", str(output))
    assert "must have all columns that the model was trained on, got none named 'y'" in message
    data = write_table(tmp_path / "data.csv", {"x": [1, 2], "y": [3, "NA"]})
    message = fail(capsys, "predict", trained[0], data, "--output", str(output))
    assert "data.csv line 3, column 'y', must be a number, got 'NA'" in message
    assert output.read_text() == "precious"


@pytest.mark.parametrize(
    "content",
    [b"", b"x,y\n1,2\n", b"\x93NUMPY\x01\x00", b"PK\x03\x04" + bytes(60), bytes(1000)],
    ids=["empty", "table", "npy", "zip", "zeros"],
)
def test_model_files_that_are_none(trained, tmp_path, capsys, content):
    model = tmp_path / "model"
    model.write_bytes(content)
    assert "must be a file saved by fastmlp" in fail(capsys, "predict", str(model), trained[1])


def test_damaged_models(trained, tmp_path, capsys):
    model, data = trained
    content = Path(model).read_bytes()
    damaged = tmp_path / "model"
    rng = np.random.default_rng(0)
    for length in rng.integers(len(content), size=20):
        damaged.write_bytes(content[:length])
        fail(capsys, "predict", str(damaged), data)
    header, arrays = storage.read(model)
    for table, message in (
        (None, "must be as fastmlp train writes it"),
        ({**header["table"], "features": header["table"]["features"][:1]}, "with 1 inputs and 2 outputs"),
    ):
        storage.write(damaged, {**header, "table": table}, arrays)
        assert message in fail(capsys, "predict", str(damaged), data)


def test_network_without_a_table_is_no_model_of_one(trained, tmp_path, capsys):
    path = str(tmp_path / "net.npz")
    fastmlp.NeuralNetwork([2, 3, 2], seed=0).save(path)
    assert "must be a model saved by `fastmlp train`, got a network without a table" in fail(
        capsys, "predict", path, trained[1]
    )


# How the command ends


def test_control_c_ends_with_130_and_no_traceback(tmp_path, capsys, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "read_table", interrupt)
    assert main(["train", "a.csv", "--target", "y", "--save", str(tmp_path / "model")]) == 130
    assert capsys.readouterr().err == "fastmlp: interrupted\n"


def test_mistakes_of_the_program_itself_are_not_hidden(tmp_path, monkeypatch):
    def mistake(*_):
        raise KeyError("mistake")

    monkeypatch.setattr(commands, "read_table", mistake)
    with pytest.raises(KeyError, match="mistake"):
        main(["train", "a.csv", "--target", "y", "--save", str(tmp_path / "model")])


def test_output_is_utf_8_whatever_the_terminal_says(tmp_path, monkeypatch):
    data = write_table(tmp_path / "a.csv", {"größe": blobs()["x"], "cloud": blobs()["cloud"]})
    stdout = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stdout)
    succeed("train", data, "--target", "cloud", "--save", str(tmp_path / "model"), "--epochs", "1")
    assert "numbers: größe\n".encode() in stdout.buffer.getvalue()


def test_closed_streams(trained, tmp_path, capsys, monkeypatch):
    model, data = trained
    monkeypatch.setattr(sys, "stdout", None)
    assert fail(capsys, "predict", model, data) == "stdout must be open, got a closed one"
    monkeypatch.undo()
    monkeypatch.setattr(sys, "stderr", None)
    succeed("train", data, "--target", "cloud", "--save", str(tmp_path / "model"), "--epochs", "1")


def test_module_is_the_command(tmp_path):
    command = [sys.executable, "-m", "fastmlp", "predict", str(tmp_path / "none"), "a.csv"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr == f"fastmlp: error: {tmp_path / 'none'}: No such file or directory\n"


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("n_rows", [12, 30_000])  # much less, and more, than a buffer or a pipe holds
def test_reader_that_leaves_ends_the_command_quietly(trained, tmp_path, unbuffered, n_rows):
    data = write_table(tmp_path / "a.csv", blobs(n_rows))
    command = [sys.executable, "-m", "fastmlp", "predict", trained[0], data]
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as process:
        if n_rows > 12:
            assert process.stdout.readline() == b"cloud\n"
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141
