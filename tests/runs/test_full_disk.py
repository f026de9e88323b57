"""A full disk, at every stage: exit code 2, a sentence, nothing half-written, and a way on.

Instead of a disk, the size of a file is limited: what is larger stops in the middle, as it would on
a full disk. Which stage that hits is chosen by the sizes of an undisturbed run's files.
"""

import itertools
import shlex

import pytest

from lowlevel_mnist.runs import folders
from tests.helpers.commands import assert_ends, limit_files, run, run_python
from tests.helpers.damage import read_files
from tests.helpers.runs import assert_same_bits
from tests.runs.conftest import FLAGS, resume

LIMITED = """
import runpy, sys
from tests.helpers import commands
commands.limit_files(int(sys.argv[1]))()
sys.argv = sys.argv[2:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


def train_limited(limit, softmax_run, *flags, cwd):
    """Trains as `softmax_run` does, but can't write beyond byte `limit` of any file."""
    flags = ["--data-dir", softmax_run.data, *FLAGS, "--output-dir", "run", *flags]
    return run("train", *flags, cwd=cwd, before=limit_files(limit))


def run_limited_anew(limit, command, *arguments, cwd, **streams):
    """Runs a command in a new interpreter, with a limit to what it writes.

    streams: the files that its output goes to, as `subprocess.run` takes them.
    """
    command = f"lowlevel_mnist.{command}"
    return run_python("-c", LIMITED, limit, command, *arguments, cwd=cwd, **streams)


def go_on(done, softmax_run, cwd):
    """Runs the command that the refusal names, without a limit, to the end of `softmax_run`."""
    command = done.stderr.split("Go on with: ")[1].split(" -m lowlevel_mnist.")[1]
    resumed = run(*shlex.split(command), cwd=cwd)
    assert (resumed.returncode, resumed.stderr) == (0, "")
    assert_same_bits(cwd / "run", softmax_run.folder)
    return resumed.stdout


def list_files(folder):
    return {str(path.relative_to(folder)) for path in read_files(folder)}


def checkpoint_files(*numbers):
    """The paths in a run's folder of its checkpoints and of TensorFlow's list of them."""
    suffixes = ("index", "data-00000-of-00001")
    names = (f"checkpoint-{n}.{suffix}" for n, suffix in itertools.product(numbers, suffixes))
    return {f"checkpoints/{name}" for name in ("checkpoint", *names)}


def between(folder, smaller, larger):
    """A limit that the one file keeps and the other exceeds, with a margin for a few digits."""
    smaller, larger = ((folder / name).stat().st_size for name in (smaller, larger))
    assert larger - smaller > 50
    return (smaller + larger) // 2


def checkpoint(number):
    return f"checkpoints/checkpoint-{number}.data-00000-of-00001"


def test_no_room_for_the_settings_of_a_run_that_goes_on(softmax_run, tmp_path):
    folder = softmax_run.copy(tmp_path)
    before = read_files(folder)
    flags = ["--resume", "--output-dir", folder, "--epochs", 4]
    done = run("train", *flags, cwd=tmp_path, before=limit_files(500))
    assert_ends(done, 2, "one/settings.json can't be written")
    assert read_files(folder) == before


def test_no_room_for_the_first_checkpoint(softmax_run, tmp_path):
    limit = between(softmax_run.folder, "settings.json", checkpoint(14))
    done = train_limited(limit, softmax_run, "--no-plots", cwd=tmp_path)
    assert_ends(done, 2, "run/checkpoints", "the disk is full")
    assert "Epoch" not in done.stdout
    assert list_files(tmp_path / "run") == {"settings.json"}
    assert "Resumed at the beginning\n" in go_on(done, softmax_run, tmp_path)


def test_no_room_for_a_later_checkpoint(softmax_run, tmp_path):
    """Each is a bit larger than the one before it, by an epoch's row of the history."""
    limit = between(softmax_run.folder, checkpoint(14), checkpoint(21))
    done = train_limited(limit, softmax_run, "--no-plots", cwd=tmp_path)
    assert_ends(done, 2, "run/checkpoints", "the disk is full")
    assert done.stdout.splitlines()[-1].startswith("Epoch 2/")
    assert list_files(tmp_path / "run") == {"settings.json"} | checkpoint_files(7, 14)
    assert "Resumed after epoch 2\n" in go_on(done, softmax_run, tmp_path)


def test_no_room_for_the_results(softmax_run, tmp_path):
    folder = softmax_run.copy(tmp_path)
    limit = between(folder, "settings.json", "metrics.json")
    (folder / "metrics.json").unlink()
    before = read_files(folder)
    flags = ["--resume", "--output-dir", "runs/one", "--no-plots"]
    done = run("train", *flags, cwd=tmp_path, before=limit_files(limit))
    assert_ends(done, 2, "runs/one/metrics.json can't be written", "Go on with: ")
    assert read_files(folder) == before
    assert resume(folder).returncode == 0
    assert_same_bits(folder, softmax_run.folder)


@pytest.mark.full
def test_no_room_for_what_a_training_prints(softmax_run, tmp_path):
    """Its output goes to a file that is full after an epoch or two."""
    limit, header, line = 10**6, 330, 93
    with (tmp_path / "printed").open("a", encoding="utf-8") as printed:
        printed.truncate(limit - header - 2 * line)
        flags = ["--data-dir", softmax_run.data, *FLAGS, "--output-dir", "run", "--no-plots"]
        done = run_limited_anew(limit, "train", *flags, cwd=tmp_path, stdout=printed)
    assert (tmp_path / "printed").stat().st_size == limit
    assert_ends(done, 2, "There is no room for the output (File too large).")
    assert not (tmp_path / "run" / "metrics.json").exists()
    newest = folders.find_checkpoints(tmp_path / "run")[-1].name
    epoch = int(newest.rpartition("-")[2]) // 7
    assert f"Resumed after epoch {epoch}\n" in go_on(done, softmax_run, tmp_path)


def test_no_room_for_anything_that_is_printed(tmp_path):
    """What goes wrong can't be said then, but the exit code says it."""
    with (tmp_path / "all").open("w", encoding="utf-8") as both:
        done = run_limited_anew(0, "train", "--list", cwd=tmp_path, stdout=both, stderr=both)
    assert done.returncode == 2


@pytest.mark.full
def test_no_room_for_temporary_files(softmax_run, tmp_path):
    """Without them, TensorFlow does not start."""
    done = run_limited_anew(0, "evaluate", "--run", softmax_run.folder, cwd=tmp_path)
    assert_ends(done, 2, "temporary files", "TMPDIR")
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("limit", "command", "name", "reason"),
    [
        (500, ["evaluate", "--json", "new.json"], "new.json", "File too large"),
        (3000, ["show_random", "--save", "new.pdf"], "new.pdf", "File too large"),
        (20_000, ["export", "--to", "a/new/folder"], "a/new/folder", "the disk is full"),
    ],
)
def test_no_room_for_what_other_commands_write(softmax_run, tmp_path, limit, command, name, reason):
    (tmp_path / "new.json").write_bytes(b"old results")
    before = read_files(tmp_path)
    command += ["--run", softmax_run.folder]
    done = run(*command, cwd=tmp_path, before=limit_files(limit))
    assert_ends(done, 2, f"{name} can't be written", reason)
    assert read_files(tmp_path) == before
    assert [path.name for path in tmp_path.iterdir()] == ["new.json"]
