"""`show_random` as a user runs it: the run's own weights, a repeatable choice, mistakes only."""

import json
import re
import shutil

import numpy as np
import pytest
import tensorflow as tf

from lowlevel_mnist.runs import folders
from tests.helpers.commands import assert_refused, run, run_anew, start_anew, train
from tests.helpers.data import digit_arrays, pattern_arrays, write_idx_folder
from tests.helpers.runs import change_settings

ROW = re.compile(r" *(\d+)  +(\d+)  +([\d.]+)%  +(\d+)(  wrong)?")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with one run in `runs`, which gets some test images wrong, and its data."""
    base = tmp_path_factory.mktemp("trained")
    arrays = digit_arrays()
    data = write_idx_folder(base / "data", arrays)
    train(data, "--epochs", 2, cwd=base)
    return base, arrays


def show(base, *arguments):
    """Returns the rows of the table as (image, prediction, probability, label, wrong)."""
    done = run("show_random", *arguments, cwd=base)
    assert (done.returncode, done.stderr) == (0, "")
    rows = [ROW.fullmatch(line) for line in done.stdout.splitlines()]
    return [
        (int(row[1]), int(row[2]), float(row[3]), int(row[4]), bool(row[5])) for row in rows if row
    ]


def newest(base):
    return max((base / "runs").iterdir())


def test_predictions_are_those_of_the_run_s_checkpoint(trained):
    base, arrays = trained
    rows = show(base, "--count", 100, "--seed", 0)
    assert sorted(row[0] for row in rows) == list(range(100))
    matrix = np.zeros((10, 10), int)
    for image, prediction, probability, label, wrong in rows:
        assert label == arrays[3][image]
        assert wrong == (prediction != label)
        assert 10 <= probability <= 100
        matrix[label, prediction] += 1
    metrics = json.loads((newest(base) / "metrics.json").read_text(encoding="utf-8"))
    assert matrix.tolist() == metrics["confusion_matrix"]


def test_the_seed_repeats_the_choice(trained):
    base, _ = trained
    one, same, other = (show(base, "--count", 12, "--seed", seed) for seed in (5, 5, 6))
    assert one == same
    assert len(one) == 12
    assert {row[0] for row in one} != {row[0] for row in other}


def test_without_a_seed_the_choice_is_another_one_and_can_be_repeated(trained):
    base, _ = trained
    printed = run("show_random", "--count", 12, cwd=base).stdout
    seed = re.search(r"--seed (\d+)", printed)[1]
    assert run("show_random", "--count", 12, "--seed", seed, cwd=base).stdout == printed
    assert run("show_random", "--count", 12, cwd=base).stdout != printed


def test_mistakes_are_all_wrong(trained):
    base, _ = trained
    metrics = json.loads((newest(base) / "metrics.json").read_text(encoding="utf-8"))
    rows = show(base, "--mistakes", "--count", 100, "--seed", 1)
    assert all(wrong for *_, wrong in rows)
    assert len(rows) == 100 - np.trace(metrics["confusion_matrix"]) > 0


def test_the_picture_goes_into_the_run_without_a_display(trained):
    """The same file each time, and never one of the run's own."""
    base, _ = trained
    shown = newest(base) / "show_random.png"
    shown.unlink(missing_ok=True)
    own = {path: path.read_bytes() for path in newest(base).glob("*.png")}
    assert "random_predictions.png" in {path.name for path in own}
    for count in (3, 4):
        done = run("show_random", "--count", count, cwd=base)
        assert f"Saved in runs/{newest(base).name}/{shown.name}\n" in done.stdout
    found = {path: path.read_bytes() for path in newest(base).glob("*.png")}
    assert found.pop(shown).startswith(b"\x89PNG")
    assert found == own


@pytest.mark.parametrize(("file", "start"), [("a.png", b"\x89PNG"), ("a.pdf", b"%PDF")])
def test_the_picture_goes_into_a_named_file(trained, tmp_path, file, start):
    base, _ = trained
    done = run("show_random", "--count", 1, "--save", tmp_path / file, cwd=base)
    assert done.returncode == 0
    assert (tmp_path / file).read_bytes().startswith(start)


@pytest.mark.parametrize("file", ["absent/a.png", "a.unknown", "a", ".."])
def test_a_picture_that_cannot_be_saved(trained, tmp_path, file):
    base, _ = trained
    done = run("show_random", "--save", tmp_path / file, cwd=base)
    assert_refused(done, "can't be saved")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.full
@pytest.mark.parametrize(
    ("backend", "said"),
    [
        ("svg", ""),
        ("absent", ""),
        ("module://absent", "No window can be opened: No module named 'absent'.\n"),
    ],
)
def test_a_backend_without_windows(trained, backend, said):
    base, _ = trained
    picture = newest(base) / "show_random.png"
    picture.unlink(missing_ok=True)
    done = run_anew("show_random", cwd=base, MPLBACKEND=backend)
    assert (done.returncode, done.stderr) == (0, said)
    assert picture.exists()


@pytest.mark.full
def test_a_reader_that_leaves_early(trained):
    base, _ = trained
    with start_anew("show_random", "--count", 400, cwd=base) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1


def test_a_network_without_mistakes(tmp_path):
    data = write_idx_folder(tmp_path / "data", pattern_arrays())
    train(data, "--epochs", 20, "--learning-rate", 0.05, "--no-plots", cwd=tmp_path)
    done = run("show_random", "--mistakes", cwd=tmp_path)
    assert done.returncode == 0
    assert "gets every test image right" in done.stdout


def damage(folder, kind):
    if kind == "not a number":
        model = folders.find(folder).load_model()
        model.biases[0].assign([np.nan] * 10)
        shutil.rmtree(folder / "checkpoints")
        tf.train.Checkpoint(model=model).save(folder / "checkpoints" / "checkpoint")
        return
    if kind == "no checkpoint":
        shutil.rmtree(folder / "checkpoints")
    elif kind == "cut checkpoint":
        for path in (folder / "checkpoints").glob("*.data-*"):
            path.write_bytes(path.read_bytes()[:40])
    elif kind == "cut index":
        for path in (folder / "checkpoints").glob("*.index"):
            path.write_bytes(path.read_bytes()[:40])
    else:
        sizes = {
            "other network": [784, 9, 10],
            "huge network": [784, 10**12, 10],
            "no network": "many",
        }
        change_settings(folder, layer_sizes=sizes[kind])


@pytest.mark.parametrize(
    "kind",
    ["no checkpoint", "cut checkpoint", "cut index", "other network", "no network"]
    + ["huge network", "not a number"],
)
def test_a_damaged_run(trained, tmp_path, kind):
    base, _ = trained
    folder = tmp_path / "run"
    shutil.copytree(newest(base), folder)
    damage(folder, kind)
    done = run("show_random", "--run", folder, cwd=tmp_path)
    assert_refused(done, folder)


def test_data_that_changed_since_the_run(trained, tmp_path):
    base, _ = trained
    folder = tmp_path / "run"
    shutil.copytree(newest(base), folder)
    other = write_idx_folder(tmp_path / "other", pattern_arrays(size=(5, 5)))
    change_settings(folder, data_dir=str(other))
    done = run("show_random", "--run", folder, cwd=tmp_path)
    assert_refused(done, "5x5")
