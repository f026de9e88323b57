"""What is seen on a terminal of any width, and in its place; how mistakes are answered."""

import json
import os
import re
import shutil
import time

import numpy as np
import pytest
from PIL import Image

import lowlevel_mnist
from lowlevel_mnist import data
from lowlevel_mnist.errors import UserError
from tests.helpers.commands import assert_refused, run, run_python, train
from tests.helpers.data import NPZ_KEYS, pattern_arrays, write_idx_folder
from tests.helpers.runs import change_settings, read_metrics
from tests.helpers.terminal import Terminal

WIDTHS = [40, 80, 200]
# A name that would move the cursor, begin a line of its own, and turn the text around.
STRANGE = "a\x1bM\nforged\u202ec"
ROW = re.compile(r" +(\d)/3 +(\d+\.\ds +)?\d\.\d{4} +\d\.\d{4} +\d\.\d{4} +\d\.\d{4}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with data and a run of three epochs with validation."""
    folder = tmp_path_factory.mktemp("console")
    write_idx_folder(folder / "data", pattern_arrays())
    flags = ["--epochs", 3, "--validation-split", 0.2, "--output-dir", "runs/first"]
    train("data", *flags, cwd=folder)
    return folder


def assert_no_word_is_broken(lines, plain):
    """Each word on the screen is one of the plain output, but for what is there to be copied."""
    words, copied = (
        re.findall(r"\S*\w", plain),
        [line for line in plain.splitlines() if line.startswith("  ")],
    )
    for word in re.findall(r"\S*\w", " ".join(lines)):
        assert word in words or any(word in line for line in copied)


@pytest.mark.parametrize("columns", WIDTHS)
def test_epochs_are_a_table_under_which_nothing_is_left(folder, tmp_path, columns):
    flags = ["--data-dir", folder / "data", "--epochs", 3, "--validation-split", 0.2]
    terminal = Terminal(columns)
    code, lines = terminal.run("train", *flags, cwd=tmp_path)
    assert code == 0
    (header,) = (n for n, line in enumerate(lines) if re.match(r" *epoch .* val_acc", line))
    rows = lines[header + 1 : header + 4]
    assert [ROW.fullmatch(row)[1] for row in rows] == ["1", "2", "3"]
    assert {len(row) for row in rows} == {len(lines[header])}, "aligned"
    assert lines[header + 4].startswith("Best epoch")
    text = " ".join(lines)
    assert "Starting" not in text
    assert "left" not in text
    first, second = (terminal.sent.index(said) for said in (b"Loading the data", b"TensorFlow 2"))
    assert first < terminal.sent.index(b"Starting TensorFlow ...") < second


def see_progress(terminal, columns):
    """The line of progress on a terminal that has become so wide."""
    terminal.resize(columns)

    def line():
        return terminal.screen.display[terminal.screen.cursor.y].rstrip()

    end = time.monotonic() + 2
    # Between two epochs there is none for a moment.
    terminal.read_while(lambda: time.monotonic() < end or "loss" not in line())
    return line()


def test_a_line_of_progress_that_fits_and_is_replaced(folder, tmp_path):
    terminal = Terminal(80)
    flags = ["--data-dir", folder / "data", "--epochs", 100_000, "--batch-size", 1]
    with terminal.start("train", *flags, cwd=tmp_path) as process:
        try:
            terminal.read_while(lambda: b" left " not in terminal.sent)
            wide = see_progress(terminal, 80)
            narrow = see_progress(terminal, 50)
        finally:
            process.terminate()
        terminal.read_while(lambda: process.poll() is None)
    place, scores = r" +\d+/100000 .*", r"\d\.\d{4}"
    assert re.fullmatch(rf"{place}\d+/500  [\d:]+ left  loss {scores}  accuracy {scores}", wide)
    assert re.fullmatch(rf"{place}\d% [\d:]+ loss {scores} acc {scores}", narrow)
    assert "Go on with:" in " ".join(terminal.lines())
    assert b"\x1b[?25l" not in terminal.sent, "the cursor is hidden"


@pytest.mark.parametrize("changes", [{"TERM": "dumb"}, {"NO_COLOR": "1"}], ids=str)
def test_terminals_that_want_less(folder, changes):
    terminal = Terminal(80)
    code, _ = terminal.run("evaluate", "--run", "runs/first", cwd=folder, **changes)
    assert code == 0
    codes = set(re.findall(rb"\x1b\[([\d;]*[A-Za-z])", terminal.sent))
    assert codes <= (set() if "TERM" in changes else {b"2K", b"1m", b"0m"})


def overlay(line):
    """What JupyterLab shows of a line: characters of codes take places, and are dropped at last."""
    shown = []
    for part in line.split("\r"):
        shown[: len(part)] = part
    return re.sub(r"\x1b\[.*?[@-~]", "", "".join(shown)).rstrip()


def test_a_cell_that_starts_a_command_by_the_shell(folder, tmp_path):
    """`!python -m ...`, for which IPython makes a terminal; the screen is not one of ours."""
    terminal = Terminal(80)
    flags = ["--data-dir", folder / "data", "--epochs", 3, "--validation-split", 0.2]
    code, _ = terminal.run("train", *flags, cwd=tmp_path, JPY_PARENT_PID=1)
    assert code == 0
    lines = [overlay(line) for line in terminal.sent.decode().split("\r\n")]
    header = next(n for n, line in enumerate(lines) if "val_accuracy" in line)
    for number, line in enumerate(lines[header + 1 : header + 4], start=1):
        assert ROW.fullmatch(line)[1] == str(number)


def test_a_pipe_gets_plain_lines(folder):
    done = run("evaluate", "--run", "runs/first", cwd=folder, FORCE_COLOR="1")
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    assert "\r" not in done.stdout
    assert not [line for line in done.stdout.splitlines() if line != line.rstrip()]


@pytest.mark.parametrize("columns", WIDTHS)
def test_wide_tables_are_folded_between_columns(folder, columns):
    copy = f"wide-{columns}"
    shutil.copytree(folder / "runs" / "first", folder / copy)
    change_settings(folder / copy, class_names=["Ankle boot", "T-shirt/top", "신발", "x" * 15])
    code, lines = Terminal(columns).run("evaluate", "--run", copy, cwd=folder)
    assert code == 0
    assert_no_word_is_broken(lines, run("evaluate", "--run", copy, cwd=folder).stdout)
    counts = [count for row in read_metrics(folder / copy)["confusion_matrix"] for count in row]
    begin = next(n for n, line in enumerate(lines) if line.startswith("Confusion matrix"))
    end = next(n for n, line in enumerate(lines) if line.startswith("Saved in"))
    found = re.findall(r"(?<= )\d+\b(?!:)", "\n".join(lines[begin:end]).partition("Most")[0])
    assert sorted(map(int, found)) == sorted(counts)


@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize("command", ["train --list", "show_random", "predict", ""])
def test_lines_of_other_commands_fit(folder, command, columns):
    name, *flags = command.split() or ["__main__"]
    if name == "predict":
        Image.fromarray(pattern_arrays()[0][0]).resize((60, 80)).save(folder / "one.png")
        flags = ["one.png"]
    if name == "show_random":
        flags = ["--seed", 1, "--count", 5, "--save", "shown.png"]
    code, lines = Terminal(columns).run(name, *flags, cwd=folder)
    assert code == 0
    assert_no_word_is_broken(lines, run(name, *flags, cwd=folder).stdout)


def printed(done):
    """All that a command has printed, which must not steer the terminal."""
    text = done.stdout + done.stderr
    assert not [c for c in text if not c.isprintable() and c != "\n"]
    assert "\nforged" not in text
    return text


def test_nothing_of_a_stranger_s_is_printed_raw(tmp_path):
    """Every command, on files and folders of such names; each has printed them, but escaped."""
    data, out = tmp_path / f"data{STRANGE}", f"run{STRANGE}"
    write_idx_folder(data, pattern_arrays())
    np.savez(data / "other.npz", **dict(zip(NPZ_KEYS, pattern_arrays(), strict=True)))
    image = Image.fromarray(pattern_arrays()[0][0])
    image.save(tmp_path / f"{STRANGE}.png")
    (tmp_path / f"broken{STRANGE}.png").write_bytes(b"no picture")
    escaped = STRANGE.encode("unicode_escape").decode()
    train_flags = ["--data-dir", data, "--output-dir", out]
    commands = [
        ("train", *train_flags, "--epochs", 2),
        ("train", *train_flags, "--epochs", 3, "--resume"),
        ("train", "--data-dir", tmp_path / f"absent{STRANGE}"),
        ("train", f"--{STRANGE}"),
        ("evaluate", "--run", out),
        ("evaluate", "--run", out, "--data-dir", data),
        ("show_random", "--run", out, "--save", f"{STRANGE}.pdf"),
        ("predict", "--run", out, f"{STRANGE}.png", f"broken{STRANGE}.png"),
        ("page", "--run", out, "--to", f"{STRANGE}.html"),
        ("export", "--run", out, "--to", f"export{STRANGE}"),
        ("benchmark", "--chart", f"absent{STRANGE}/chart.png"),
        ("__main__", STRANGE),
    ]
    for command in commands:
        if "--resume" in command:
            newest = max((tmp_path / out / "checkpoints").glob("*.index"), key=str)
            newest.write_bytes(b"damaged")
        assert escaped in printed(run(*command, cwd=tmp_path)), command
    (tmp_path / "runs").mkdir()
    (tmp_path / out).rename(tmp_path / "runs" / out)
    assert escaped in printed(run("__main__", cwd=tmp_path))


@pytest.mark.parametrize(
    ("mistake", "answer"),
    [
        (["--lr", "0.1"], "did you mean --learning-rate?"),
        (["--batchsize=32"], "did you mean --batch-size?"),
        (["--recipe", "mlp512"], "did you mean mlp-512?"),
        (["--optimizer", "RMSProp"], "did you mean rmsprop?"),
        (["--hidden-units", "256,128"], "with spaces between them"),
        (["--xyz"], "arguments: --xyz. See"),
    ],
    ids=str,
)
def test_a_mistake_is_answered_with_the_nearest(tmp_path, mistake, answer):
    assert_refused(run("train", *mistake, cwd=tmp_path), answer, "--help")


@pytest.mark.parametrize(
    ("module", "answer"),
    [
        ("lowlevel_mnist.training", "did you mean train?"),
        ("lowlevel_mnist.show_randon", "did you mean show_random?"),
        ("lowlevel_mnist.sources.idx", "no command sources.idx. See "),
    ],
)
def test_a_module_that_is_no_command(tmp_path, module, answer):
    assert_refused(run_python("-m", module, cwd=tmp_path), answer)


def test_the_package_itself_lists_commands_and_runs(folder):
    flags = ["--hidden-units", 3, 4, "--learning-rate", 0.1, "--seed", 7, "--epochs", 1]
    train("data", *flags, "--no-plots", cwd=folder)
    (other,) = (folder / "runs").glob("*-softmax+3-4")
    (folder / "runs" / "first" / "unfinished").mkdir()
    lines = run_python("-m", "lowlevel_mnist", cwd=folder).stdout.splitlines()
    first, second = lines[-2:]
    results = read_metrics(folder / "runs" / "first")
    assert first.startswith("first ")
    for value in (results["history"][-1]["val_accuracy"], results["test_accuracy"]):
        assert f"{value:.4f}" in first
    assert "softmax, dataset custom, validation split 0.2" in first
    assert second.startswith(other.name)
    assert "softmax+3-4, dataset custom, learning rate 0.1, seed 7" in second
    done = run_python("-m", "lowlevel_mnist", "--version", cwd=folder)
    assert done.stdout == f"lowlevel_mnist {lowlevel_mnist.__version__}\n"
    assert_refused(run_python("-m", "lowlevel_mnist", "train", cwd=folder), "lowlevel_mnist.train")


ODD_METRICS = ["[" * 100_000, "[]", '{"history": []}', "no JSON", None]


@pytest.mark.parametrize("metrics", [*ODD_METRICS, {"test_accuracy": 10**400}], ids=range(6))
def test_a_run_whose_results_are_odd_is_listed(folder, tmp_path, metrics):
    """Also where they are a pipe, which nobody writes to."""
    copy = tmp_path / "runs" / "odd"
    shutil.copytree(folder / "runs" / "first", copy)
    kept = read_metrics(copy)
    (copy / "metrics.json").unlink()
    if metrics is None:
        os.mkfifo(copy / "metrics.json")
    else:
        text = json.dumps(kept | metrics) if isinstance(metrics, dict) else metrics
        (copy / "metrics.json").write_text(text, encoding="utf-8")
    done = run("__main__", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    name, *words = done.stdout.splitlines()[-1].split()
    assert name == "odd"
    assert words[-6:-2] == ["-"] * 4, "epochs, accuracies, seconds"


def test_a_command_written_after_the_package(tmp_path):
    assert_refused(run("__main__", "train", "--epochs", 1, cwd=tmp_path), "m lowlevel_mnist.train")
    assert_refused(run("__main__", "--runs", cwd=tmp_path), "arguments: --runs. See")


def test_a_network_of_many_layers_has_a_name_that_a_folder_can_have(folder, tmp_path):
    flags = ["--hidden-units", *[2] * 130, "--epochs", 1, "--no-plots"]
    train(folder / "data", *flags, cwd=tmp_path)
    assert len(list((tmp_path / "runs").glob("*-softmax+130-layers"))) == 1


def test_a_header_names_the_network_that_is_trained(folder, tmp_path):
    flags = ["--recipe", "mlp-128-dropout", "--dropout", 0.5, "--epochs", 1, "--no-plots"]
    done = train(folder / "data", *flags, cwd=tmp_path)
    assert "Network: mlp-128-dropout+dropout-0.5, 48-128-4, dropout 0.5" in done.stdout
    assert len(list((tmp_path / "runs").glob("*-mlp-128-dropout+dropout-0.5"))) == 1


def test_advice_names_what_there_is_where_it_is_read(tmp_path):
    for name in ("a", "b"):
        np.savez(tmp_path / f"{name}.npz", **dict(zip(NPZ_KEYS, pattern_arrays(), strict=True)))
    assert_refused(run("train", "--data-dir", tmp_path, cwd=tmp_path), "these with --data-dir,")
    with pytest.raises(UserError, match="these with data_dir,"):
        data.load("auto", tmp_path)
