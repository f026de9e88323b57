"""A full disk, at every stage: exit code 2, a sentence, nothing half-written, and a way on.

Instead of a disk, the size of a file is limited: what is larger stops in the middle, as it would on
a full disk. Which stage that hits is chosen by the sizes of an undisturbed run's files.
"""

import itertools
import shlex
import shutil

import pytest
from PIL import Image

from lowlevel_mnist.runs import folders
from tests.helpers.commands import assert_ends, limit_files, run, run_python, train
from tests.helpers.data import digit_arrays, write_idx_folder
from tests.helpers.runs import assert_same_bits

LIMITED = """
import runpy, sys
from tests.helpers import commands
commands.limit_files(int(sys.argv[1]))()
sys.argv = sys.argv[2:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
EPOCHS = 24  # so that the history is longer than the settings
PICTURES = (
    "samples.png",
    "curves.png",
    "confusion_matrix.png",
    "random_predictions.png",
    "weights.png",
)


def run_limited(limit, command, *arguments, cwd):
    """Runs a command that can't write beyond byte `limit` of any file."""
    return run(command, *arguments, cwd=cwd, before=limit_files(limit))


def run_limited_anew(limit, command, *arguments, cwd, **streams):
    """Does so in a new interpreter, whose output may go to files.

    streams: the files, as `subprocess.run` takes them.
    """
    command = f"lowlevel_mnist.{command}"
    return run_python("-c", LIMITED, limit, command, *arguments, cwd=cwd, **streams)


def go_on(done, cwd):
    """Runs the command that the refusal names, without a limit."""
    _, command = done.stderr.split("Go on with: ")[1].split(" -m lowlevel_mnist.")
    resumed = run(*shlex.split(command), cwd=cwd)
    assert (resumed.returncode, resumed.stderr) == (0, "")
    return resumed


def files(folder):
    """The paths of all files and folders in a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def checkpoint_files(*numbers):
    """The paths in a run's folder of its checkpoints and of TensorFlow's list of them."""
    names = [
        f"checkpoint-{number}.{suffix}"
        for number, suffix in itertools.product(numbers, ("index", "data-00000-of-00001"))
    ]
    return {"checkpoints", *(f"checkpoints/{name}" for name in ("checkpoint", *names))}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A folder with data and a run, `undisturbed`. It has drawn pictures, so the fonts are known.

    An epoch has 5 steps.
    """
    base = tmp_path_factory.mktemp("full")
    folder = write_idx_folder(base / "data", digit_arrays())
    train(folder, "--epochs", EPOCHS, "--output-dir", "undisturbed", cwd=base)
    return base


def start_limited(limit, base, *flags):
    """Starts base/run again from nothing, as the undisturbed one, but with a limit."""
    return run_limited(limit, "train", *start_over(base), *flags, cwd=base)


def start_over(base):
    """Removes base/run; returns the flags that start it again as the undisturbed one."""
    shutil.rmtree(base / "run", ignore_errors=True)
    return ["--data-dir", base / "data", "--epochs", EPOCHS, "--output-dir", "run"]


def size(base, path):
    return (base / "undisturbed" / path).stat().st_size


def between(smaller, larger):
    """A limit that the one size keeps and the other exceeds, with a margin for a few digits."""
    assert larger - smaller > 50
    return (smaller + larger) // 2


def checkpoint_size(base, number):
    return size(base, f"checkpoints/checkpoint-{number}.data-00000-of-00001")


def test_no_room_for_the_settings(base):
    done = start_limited(size(base, "settings.json") - 1, base, "--output-dir", "new/run")
    assert_ends(done, 2, "new/run/settings.json can't be written", "File too large")
    assert done.stdout == ""
    assert files(base / "new") == {"run"}, "an empty folder"


def test_no_room_for_the_settings_of_a_run_that_goes_on(base):
    shutil.copytree(base / "undisturbed", base / "copy")
    before = (base / "copy" / "settings.json").read_bytes()
    flags = ["--resume", "--output-dir", "copy", "--epochs", EPOCHS + 1]
    done = run_limited(len(before) - 1, "train", *flags, cwd=base)
    assert_ends(done, 2, "copy/settings.json can't be written")
    assert (base / "copy" / "settings.json").read_bytes() == before
    assert files(base / "copy") == files(base / "undisturbed")


def test_no_room_for_the_first_checkpoint(base):
    limit = between(size(base, "settings.json"), checkpoint_size(base, 5 * EPOCHS))
    done = start_limited(limit, base, "--no-plots")
    assert_ends(done, 2, "run/checkpoints", "the disk is full")
    assert "Epoch" not in done.stdout
    assert files(base / "run") <= {"settings.json", "checkpoints"}
    assert "Resumed at the beginning\n" in go_on(done, base).stdout
    assert_same_bits(base / "run", base / "undisturbed")


def test_no_room_for_a_later_checkpoint(base):
    """Each is a bit larger than the one before it, by an epoch's row of the history."""
    limit = between(*(checkpoint_size(base, 5 * epoch) for epoch in (EPOCHS - 1, EPOCHS)))
    done = start_limited(limit, base, "--no-plots")
    assert_ends(done, 2, "run/checkpoints", "the disk is full")
    assert done.stdout.splitlines()[-1].startswith(f"Epoch {EPOCHS - 1}/")
    kept = [5 * (EPOCHS - 2), 5 * (EPOCHS - 1)]
    assert files(base / "run") == {"settings.json"} | checkpoint_files(*kept)
    assert f"Resumed after epoch {EPOCHS - 1}\n" in go_on(done, base).stdout
    assert_same_bits(base / "run", base / "undisturbed")


def test_a_first_checkpoint_that_a_kill_has_left_without_its_index(base):
    """The index comes at last. What a kill has left goes, but nothing else."""
    folder = base / "no index"
    shutil.copytree(base / "undisturbed", folder)
    oldest, newest = folders.find_checkpoints(folder)
    for path in (*newest.parent.glob(f"{newest.name}.*"), folder / "metrics.json"):
        path.unlink()
    (newest.parent / "unfinished-checkpoint").mkdir()
    oldest.with_suffix(".index").rename(newest.parent / "unfinished-checkpoint" / "index")
    done = run("train", "--resume", "--output-dir", folder, "--no-plots", cwd=base)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Resumed at the beginning" in done.stdout
    assert_same_bits(folder, base / "undisturbed")
    assert files(folder / "checkpoints") == files(base / "undisturbed" / "checkpoints")


def test_no_room_at_the_end(base):
    """First for the pictures, then for history.csv, then for metrics.json."""
    written = {"settings.json"} | checkpoint_files(5 * (EPOCHS - 1), 5 * EPOCHS)
    smallest = min(PICTURES, key=lambda picture: size(base, picture))
    limit = between(checkpoint_size(base, 5 * EPOCHS), size(base, smallest))
    done = start_limited(limit, base)
    assert_ends(done, 2, "run/samples.png can't be written", "File too large")
    assert files(base / "run") == written

    resume = ["train", "--resume", "--output-dir", "run", "--no-plots"]
    limit = between(size(base, "settings.json"), size(base, "history.csv"))
    done = run_limited(limit, *resume, cwd=base)
    assert_ends(done, 2, "run/history.csv can't be written", "File too large")
    assert files(base / "run") == written

    limit = between(size(base, "history.csv"), size(base, "metrics.json"))
    done = run_limited(limit, *resume, cwd=base)
    assert_ends(done, 2, "run/metrics.json can't be written", "File too large")
    assert files(base / "run") == written | {"history.csv"}

    go_on(done, base)
    assert_same_bits(base / "run", base / "undisturbed")


@pytest.mark.full
def test_no_room_for_what_a_training_prints(base):
    """Its output goes to a file that is full after a few epochs."""
    limit, header, line = 10**6, 330, 93
    with (base / "printed").open("a", encoding="utf-8") as printed:
        printed.truncate(limit - header - 4 * line)
        flags = [*start_over(base), "--no-plots"]
        done = run_limited_anew(limit, "train", *flags, cwd=base, stdout=printed)
    assert (base / "printed").stat().st_size == limit
    assert_ends(done, 2, "There is no room for the output (File too large).")
    kept = [int(path.name.rpartition("-")[2]) for path in folders.find_checkpoints(base / "run")]
    assert 0 < len(kept) <= 2
    assert kept[-1] < 5 * EPOCHS
    assert f"Resumed after epoch {kept[-1] // 5}\n" in go_on(done, base).stdout
    assert_same_bits(base / "run", base / "undisturbed")


def test_no_room_for_anything_that_is_printed(base):
    """What goes wrong can't be said then, but the exit code says it."""
    with (base / "all").open("w", encoding="utf-8") as both:
        for arguments in (["train", "--list"], ["evaluate", "--run", "absent"]):
            done = run_limited_anew(0, *arguments, cwd=base, stdout=both, stderr=both)
            assert done.returncode == 2


def test_no_room_for_temporary_files(base):
    """Without them, TensorFlow does not start."""
    done = run_limited_anew(0, "evaluate", "--run", "undisturbed", cwd=base)
    assert_ends(done, 2, "temporary files", "TMPDIR")
    assert done.stdout == ""


def test_no_room_for_the_results_of_evaluate(base):
    shutil.copytree(base / "undisturbed", base / "tested")
    old = {"confusion_matrix.png": b"old picture", "results.json": b"old results"}
    for name, content in old.items():
        (base / "tested" / name).write_bytes(content)
    before = files(base)
    evaluate = ["evaluate", "--run", "tested"]
    done = run_limited(500, *evaluate, "--json", "tested/results.json", cwd=base)
    assert_ends(done, 2, "tested/results.json can't be written", "File too large")
    assert done.stdout == ""
    done = run_limited(10_000, *evaluate, cwd=base)
    assert_ends(done, 2, "tested/confusion_matrix.png can't be written", "File too large")
    assert "test accuracy" in done.stdout
    for name, content in old.items():
        assert (base / "tested" / name).read_bytes() == content
    assert files(base) == before


@pytest.mark.parametrize("suffix", ["jpg", "pdf"])
def test_no_room_for_the_picture_of_show_random(base, suffix):
    before = files(base)
    flags = ["--run", "undisturbed", "--save", f"picture.{suffix}"]
    done = run_limited(3000, "show_random", *flags, cwd=base)
    assert_ends(done, 2, f"picture.{suffix} can't be written", "File too large")
    assert files(base) == before


def test_no_room_for_the_picture_of_predict(base):
    Image.fromarray(digit_arrays()[2][0]).save(base / "digit.png")
    before = files(base)
    done = run_limited(3000, "predict", "--run", "undisturbed", "digit.png", cwd=base)
    assert_ends(done, 2, "undisturbed/predictions.png can't be written", "File too large")
    assert "as it was understood" in done.stdout
    assert files(base) == before


def test_no_room_for_an_export(base):
    """The variables take 31 KB."""
    before = files(base)
    done = run_limited(20_000, "export", "--run", "undisturbed", "--to", "a/new/folder", cwd=base)
    assert_ends(done, 2, "a/new/folder can't be written", "the disk is full")
    assert done.stdout == ""
    assert files(base) == before
