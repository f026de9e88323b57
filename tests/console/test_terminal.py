"""What is seen on a terminal, of any width, and in its place: a pipe, or a notebook's cell."""

import ast
import re

import pytest
from PIL import Image

from lowlevel_mnist.console import output
from tests.helpers.commands import PROJECT, run
from tests.helpers.data import pattern_arrays
from tests.helpers.runs import change_settings, read_metrics
from tests.helpers.terminal import Terminal

EPOCHS = ["--epochs", 3, "--validation-split", 0.2, "--no-plots"]
# A name that would move the cursor, begin a line of its own, and turn the text around.
STRANGE = "a\x1bM\nforged\u202ec"
ESCAPED = r"a\x1bM\nforged\u202ec"
ROW = re.compile(r" +(\d)/3 +(\d+\.\ds +)?\d\.\d{4} +\d\.\d{4} +\d\.\d{4} +\d\.\d{4}")


@pytest.fixture
def home(patterns_run, tmp_path):
    """A folder with a copy of `patterns_run`, where commands find it as the newest run."""
    patterns_run.copy(tmp_path)
    return tmp_path


def assert_no_word_is_broken(lines, plain):
    """Each word on the screen is one of the plain output, but for what is there to be copied."""
    words = re.findall(r"\S*\w", plain)
    copied = [line for line in plain.splitlines() if line.startswith("  ")]
    for word in re.findall(r"\S*\w", " ".join(lines)):
        assert word in words or any(word in line for line in copied)


@pytest.mark.parametrize("columns", [40, pytest.param(80, marks=pytest.mark.full)])
def test_epochs_are_a_table_under_which_nothing_is_left(small_folder, tmp_path, columns):
    terminal = Terminal(columns)
    code, lines = terminal.run("train", "--data-dir", small_folder, *EPOCHS, cwd=tmp_path)
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


def test_a_line_of_progress_that_fits_and_is_replaced(small_folder, tmp_path):
    place, scores = r" +\d+/1000 .*", r"\d\.\d{4}"
    wide = rf"{place}\d+/500  [\d:]+ left  loss {scores}  accuracy {scores}"
    narrow = rf"{place}\d% [\d:]+ loss {scores} acc {scores}"
    terminal = Terminal(80)
    flags = ["--data-dir", small_folder, "--epochs", 1000, "--batch-size", 1]
    with terminal.start("train", *flags, cwd=tmp_path) as process:
        try:
            for columns, line in ((80, wide), (50, narrow)):
                terminal.resize(columns)
                terminal.read_until_line(line)
        finally:
            process.terminate()
        terminal.read_while(lambda: process.poll() is None)
    assert "Go on with:" in " ".join(terminal.lines())
    assert b"\x1b[?25l" not in terminal.sent, "the cursor is hidden"


@pytest.mark.parametrize("changes", [{"TERM": "dumb"}, {"NO_COLOR": "1"}], ids=str)
def test_terminals_that_want_less(home, changes):
    terminal = Terminal(80)
    code, _ = terminal.run("evaluate", cwd=home, **changes)
    assert code == 0
    codes = set(re.findall(rb"\x1b\[([\d;]*[A-Za-z])", terminal.sent))
    assert codes <= (set() if "TERM" in changes else {b"2K", b"1m", b"0m"})


def overlay(line):
    """What JupyterLab shows of a line: characters of codes take places, and are dropped at last."""
    shown = []
    for part in line.split("\r"):
        shown[: len(part)] = part
    return re.sub(r"\x1b\[.*?[@-~]", "", "".join(shown)).rstrip()


def test_a_cell_that_starts_a_command_by_the_shell(small_folder, tmp_path):
    """`!python -m ...`, for which IPython makes a terminal; the screen is not one of ours."""
    terminal = Terminal(80)
    flags = ["--data-dir", small_folder, *EPOCHS]
    code, _ = terminal.run("train", *flags, cwd=tmp_path, JPY_PARENT_PID=1)
    assert code == 0
    lines = [overlay(line) for line in terminal.sent.decode().split("\r\n")]
    header = next(n for n, line in enumerate(lines) if "val_accuracy" in line)
    for number, line in enumerate(lines[header + 1 : header + 4], start=1):
        assert ROW.fullmatch(line)[1] == str(number)


def test_a_pipe_gets_plain_lines(home):
    done = run("evaluate", cwd=home, FORCE_COLOR="1")
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    assert "\r" not in done.stdout
    assert not [line for line in done.stdout.splitlines() if line != line.rstrip()]


def test_wide_tables_are_folded_between_columns(home):
    folder = home / "runs" / "one"
    change_settings(folder, class_names=["Ankle boot", "T-shirt/top", "신발", "x" * 15])
    code, lines = Terminal(40).run("evaluate", cwd=home)
    assert code == 0
    assert_no_word_is_broken(lines, run("evaluate", cwd=home).stdout)
    counts = [count for row in read_metrics(folder)["confusion_matrix"] for count in row]
    begin = next(n for n, line in enumerate(lines) if line.startswith("Confusion matrix"))
    end = next(n for n, line in enumerate(lines) if line.startswith("Saved in"))
    found = re.findall(r"(?<= )\d+\b(?!:)", "\n".join(lines[begin:end]).partition("Most")[0])
    assert sorted(map(int, found)) == sorted(counts)


@pytest.mark.parametrize("room", range(10, 60))
def test_parts_of_a_table_have_as_many_columns_as_fit(room):
    """Each has the first column; one other may be too wide with it."""
    widths, gap = [6, 3, 9, 4, 12, 5], 2
    groups = output._groups(widths, room, gap)
    needed = [sum(widths[column] + gap for column in group) - gap for group in groups]
    assert [column for _, *others in groups for column in others] == [1, 2, 3, 4, 5]
    for group, width, following in zip(groups, needed, [*groups[1:], None], strict=True):
        assert group[0] == 0
        assert width <= room or len(group) == 2
        assert following is None or width + gap + widths[following[1]] > room


@pytest.mark.parametrize(
    "command",
    [
        ["train", "--list"],
        ["predict", "one.png"],
        ["__main__"],
    ],
    ids=lambda command: command[0],
)
def test_lines_fit_a_narrow_terminal(home, command):
    Image.fromarray(pattern_arrays()[0][0]).resize((60, 80)).save(home / "one.png")
    code, lines = Terminal(40).run(*command, cwd=home)
    assert code == 0
    assert_no_word_is_broken(lines, run(*command, cwd=home).stdout)


def test_nothing_of_a_stranger_s_is_printed_raw(small_folder, tmp_path):
    """Names of files and folders: each is printed, but escaped, in a line, a table, an error."""
    folder = small_folder.rename(tmp_path / STRANGE)
    out = tmp_path / "runs" / STRANGE
    for command in (
        ("train", "--data-dir", folder, "--output-dir", out, "--epochs", 1, "--no-plots"),
        ("__main__",),
        ("train", f"--{STRANGE}"),
    ):
        done = run(*command, cwd=tmp_path)
        text = done.stdout + done.stderr
        assert ESCAPED in text
        assert "\nforged" not in text
        assert not [c for c in text if not c.isprintable() and c != "\n"]


def test_all_that_is_printed_goes_through_one_place():
    """`benchmarking` apart, whose programs are read by another program."""
    package = PROJECT / "lowlevel_mnist"
    for path in package.rglob("*.py"):
        if path.parent.name != "benchmarking" and path != package / "console" / "output.py":
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                assert getattr(node, "id", None) != "print", f"{path}, line {node.lineno}"
