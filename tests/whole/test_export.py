"""`export`: a SavedModel that, without this package, says what the run's network says."""

import os
import pathlib
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from lowlevel_mnist import data, metrics
from lowlevel_mnist.runs import folders
from tests.helpers.commands import assert_refused, environment, run, run_python, train
from tests.helpers.data import digit_arrays, pattern_arrays, write_idx_folder
from tests.helpers.runs import change_settings

# A program that serves the network, without this package, as `export` has printed.
PROGRAM = """
import sys
sys.modules["lowlevel_mnist"] = None
import numpy as np
import tensorflow as tf

load, predict, class_names, images, results = sys.argv[1:]
many = np.load(images)
exec(load)
found = {"names": eval(class_names).numpy()}
for name, images in (("none", many[:0]), ("one", many[:1]), ("many", many)):
    for kind, said in (
        ("python", eval(predict)),
        ("serving", model.signatures["serving_default"](images=tf.constant(images))),
    ):
        found |= {f"{name} {kind} {key}": value.numpy() for key, value in said.items()}
np.savez(results, **{k: v.astype("S") if v.dtype == object else v for k, v in found.items()})
"""


def export(base, to="exported"):
    """An export of base/run that succeeds, and so is quiet; returns the lines that it prints."""
    done = run("export", "--run", "run", "--to", to, cwd=base)
    assert (done.returncode, done.stderr) == (0, "")
    assert not list(base.rglob("unfinished-*"))
    return done.stdout.splitlines()


def ask_serving_program(base, lines, images):
    """What the SavedModel says of images in a process without this package, a dictionary."""
    np.save(base / "images.npy", images)
    imports, load, *shown = (line.strip() for line in lines[2:6])
    arguments = [f"{imports}; {load}", *shown, "images.npy", "results.npz"]
    assert run_python("-c", PROGRAM, *arguments, cwd=base, PYTHONPATH="").returncode == 0
    with np.load(base / "results.npz") as results:
        return dict(results)


def assert_equal(found, base, images, rtol):
    """The SavedModel gives what `metrics.predict` gives for the run, with the very same classes.

    A server's answer has their names, too.
    """
    saved = folders.find(base / "run")
    expected = metrics.predict(saved.load_model(), images)
    names = [name.encode() for name in saved.settings.class_names]
    assert found["names"].tolist() == names
    assert len(found) == 1 + 3 * (2 + 3)
    for name, count in (("none", 0), ("one", 1), ("many", len(images))):
        for kind in ("python", "serving"):
            chances = found[f"{name} {kind} probabilities"]
            assert chances.dtype == expected.dtype
            assert chances.shape == (count, expected.shape[1])
            np.testing.assert_allclose(chances, expected[:count], rtol=rtol, atol=rtol)
            classes = found[f"{name} {kind} classes"]
            assert classes.tolist() == expected[:count].argmax(axis=1).tolist()
        assert found[f"{name} serving names"].tolist() == [names[label] for label in classes]


NETWORKS = {
    "float32": (digit_arrays, ["--hidden-units", 16, "--dropout", 0.5], 1e-6),
    "float64, another size": (
        lambda: pattern_arrays((5, 9), 6),
        ["--hidden-units", 20, 10, "--dropout", 0.3, "--dtype", "float64"],
        1e-13,
    ),
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.full] * ("," in name)) for name in NETWORKS]
)
def test_it_says_what_the_run_s_network_says(tmp_path, name):
    make, flags, rtol = NETWORKS[name]
    arrays = make()
    folder = write_idx_folder(tmp_path / "data", arrays)
    train(folder, *flags, "--epochs", 2, "--no-plots", "--output-dir", "run", cwd=tmp_path)
    left = tmp_path / "unfinished-exported" / "variables"  # by an export that was killed
    left.mkdir(parents=True)
    (left / "junk").write_text("junk", encoding="utf-8")
    lines = export(tmp_path)
    assert lines[0].startswith("Run run: softmax+")
    assert {path.name for path in tmp_path.iterdir()} == {"data", "run", "exported"}
    assert not list(tmp_path.rglob("junk"))
    found = ask_serving_program(tmp_path, lines, arrays[2])
    assert_equal(found, tmp_path, arrays[2], rtol)


@pytest.mark.full
def test_mnist(mnist_folder, tmp_path):
    flags = ["--recipe", "mlp-128-dropout", "--epochs", 1, "--execution", "graph"]
    train(mnist_folder, *flags, "--no-plots", "--output-dir", "run", cwd=tmp_path)
    images = data.load("mnist", mnist_folder).test_images
    found = ask_serving_program(tmp_path, export(tmp_path), images)
    assert len(found["many python classes"]) == 10_000
    assert_equal(found, tmp_path, images, 1e-5)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a run in it, on 28x28 pixels."""
    base = tmp_path_factory.mktemp("trained")
    folder = write_idx_folder(base / "data", digit_arrays())
    train(folder, "--epochs", 1, "--no-plots", "--output-dir", "run", cwd=base)
    return base


@pytest.fixture
def base(trained, tmp_path):
    """A folder with a copy of that run, for a test of its own."""
    shutil.copytree(trained / "run", tmp_path / "run")
    return tmp_path


@pytest.fixture(scope="module")
def exported(trained):
    """The folder of an export of that run, numbered as TensorFlow Serving wants it."""
    assert "--to MODEL/1" in "\n".join(export(trained, "served/1"))
    export(trained, "served/2")  # beside an older version
    return trained / "served" / "2"


def serve(folder, images):
    """Calls the signature as servers and `saved_model_cli run` do: by its name, in a session."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        graph = tf.compat.v1.saved_model.load(session, ["serve"], str(folder))
        signature = graph.signature_def["serving_default"]
        outputs = {key: output.name for key, output in signature.outputs.items()}
        return session.run(outputs, {signature.inputs["images"].name: images})


def scaled(images):
    """What others' networks take: floats from 0 to 1."""
    return images / 255.0


REFUSALS = ValueError, TypeError, tf.errors.InvalidArgumentError
FLOATS = {
    "float64": scaled,
    "float32": lambda images: scaled(images).astype(np.float32),
    "float16": lambda images: scaled(images).astype(np.float16),
    "tensor": lambda images: tf.constant(scaled(images)),
    "float32 tensor": lambda images: tf.constant(scaled(images), tf.float32),
    "list": lambda images: scaled(images[:1]).tolist(),
    "standardised": lambda images: (scaled(images) - 0.1307) / 0.3081,
}


@pytest.mark.parametrize("kind", FLOATS)
def test_scaled_images_are_never_taken_for_bytes(exported, kind):
    """TensorFlow would make zeros of them, and the network say nonsense, without a word."""
    model = tf.saved_model.load(str(exported))
    signature = model.signatures["serving_default"]
    for images in (digit_arrays()[2], digit_arrays()[2][:1] // 2):  # the latter without any 255
        floats = FLOATS[kind](images)
        for function in (model.predict, signature):
            with pytest.raises(REFUSALS, match="uint8|to be a Tensor"):
                function(floats)
            with pytest.raises(REFUSALS, match="uint8"):
                function(images=floats)
        if "tensor" not in kind:
            with pytest.raises(tf.errors.InvalidArgumentError, match="must be uint8, 0 to 255"):
                serve(exported, floats)


def test_bytes_in_any_container_are_right(exported, trained):
    images = digit_arrays()[2]
    expected = metrics.predict(folders.find(trained / "run").load_model(), images).argmax(axis=1)
    model = tf.saved_model.load(str(exported))
    signature = model.signatures["serving_default"]
    names = [str(label).encode() for label in expected]
    for given in (images, tf.constant(images), list(images)):
        assert model.predict(given)["classes"].numpy().tolist() == expected.tolist()
    assert model.predict(images[:1].tolist())["classes"].numpy() == expected[0]
    # Floats from 0 to 255 lose nothing where TensorFlow makes bytes of them.
    for given in (images, tf.constant(images), images.astype(float)):
        assert signature(images=given)["names"].numpy().tolist() == names
    for given in (images, images.tolist(), images.astype(float)):
        assert serve(exported, given)["names"].tolist() == names


def test_names_of_classes(base):
    """In any script, and a number for a class without images."""
    names = ["zéro", None, "둘", *"3456789"]
    change_settings(base / "run", class_names=names)
    export(base)
    model = tf.saved_model.load(str(base / "exported"))
    found = [name.decode() for name in model.class_names.numpy()]
    assert found == ["zéro", "1", *names[2:]]
    images = digit_arrays()[2]
    answer = serve(base / "exported", images)
    assert [name.decode() for name in answer["names"]] == [found[n] for n in answer["classes"]]


def test_a_blank_image(exported):
    """A server can't tell it from floats that were made bytes."""
    blank = np.zeros((1, 28, 28), np.uint8)
    model = tf.saved_model.load(str(exported))
    assert model.predict(blank)["classes"].shape == [1]
    with pytest.raises(tf.errors.InvalidArgumentError, match="are blank"):
        serve(exported, blank)


def test_a_network_that_learnt_on_zeros_and_ones(tmp_path):
    images, labels, test_images, test_labels = digit_arrays()
    arrays = images > 127, labels, test_images > 127, test_labels
    folder = write_idx_folder(tmp_path / "data", arrays)
    train(folder, "--epochs", 1, "--no-plots", "--output-dir", "run", cwd=tmp_path)
    export(tmp_path)
    assert len(serve(tmp_path / "exported", arrays[2].astype(np.uint8))["classes"]) == 100


@pytest.mark.full
def test_litert(exported):
    """It converts, and says the same, and refuses floats, too."""
    images = digit_arrays()[2]
    converted = tf.lite.TFLiteConverter.from_saved_model(str(exported)).convert()
    runner = tf.lite.Interpreter(model_content=converted).get_signature_runner("serving_default")
    expected = serve(exported, images)
    found = runner(images=images)
    assert found["classes"].tolist() == expected["classes"].tolist()
    assert found["names"].tolist() == expected["names"].tolist()
    np.testing.assert_allclose(found["probabilities"], expected["probabilities"], atol=1e-6)
    with pytest.raises(ValueError, match="UINT8"):
        runner(images=scaled(images))


def snapshot(base):
    return {path: path.is_file() and path.read_bytes() for path in base.rglob("*")}


def test_an_empty_folder_is_filled(base):
    (base / "exported").mkdir()
    export(base)
    assert {path.name for path in (base / "exported").iterdir()} >= {"saved_model.pb", "variables"}


@pytest.mark.full
def test_tensorflow_s_tool_shows_the_signature(base):
    lines = export(base, "a folder/that is/made")
    program, *arguments = shlex.split(lines[-1])
    path = os.pathsep.join([str(pathlib.Path(sys.executable).parent), os.environ["PATH"]])
    shown = subprocess.run(
        [shutil.which(program, path=path), *arguments],
        cwd=base,
        env=environment(PYTHONPATH=""),
        capture_output=True,
        text=True,
        timeout=300,
    )
    words = shown.stdout.split()
    for name, dtype, shape in (
        ("inputs['images']", "DT_UINT8", "(-1,28,28)"),
        ("outputs['probabilities']", "DT_FLOAT", "(-1,10)"),
        ("outputs['classes']", "DT_INT64", "(-1)"),
        ("outputs['names']", "DT_STRING", "(-1)"),
    ):
        said = "".join(words[words.index(name) :])
        assert said.startswith(f"{name}tensor_info:dtype:{dtype}shape:{shape}name:")


def refuse(base, *words, to="exported", run_folder="run"):
    """The export is refused in these words, and nothing is written, moved or removed."""
    before = snapshot(base)
    assert_refused(run("export", "--run", run_folder, "--to", to, cwd=base), *words)
    assert snapshot(base) == before


@pytest.mark.parametrize(
    ("to", "words"),
    [
        ("file", ["file is a file", "another --to"]),
        ("file/exported", ["file is a file", "another --to"]),
        ("taken", ["taken is not empty", "another --to"]),
        ("run", ["run is not empty", "another --to"]),
        ("a[1]", ["a[1] has one of", "pattern"]),
        (os.fsdecode(b"n\xff"), ["not UTF-8"]),
    ],
)
def test_a_place_that_is_taken(base, to, words):
    (base / "file").write_text("no folder", encoding="utf-8")
    (base / "taken").mkdir()
    (base / "taken" / "precious").write_text("precious", encoding="utf-8")
    refuse(base, *words, to=to)


@pytest.mark.parametrize("name", ["absent", "empty"])
def test_a_folder_that_is_no_run(base, name):
    (base / "empty").mkdir()
    refuse(base, f"{name} is not the folder of a run", run_folder=name)


@pytest.mark.parametrize(
    "size", [[27, 28], [28], [784], [28, 28, 1], [28.0, 28], [-28, -28], [0, 28], "28x28", 784, {}]
)
def test_an_image_size_that_is_wrong(base, size):
    change_settings(base / "run", image_size=size)
    refuse(base, "run/settings.json is not that of a run: its image_size is missing or wrong")


def test_a_damaged_checkpoint_or_none(base):
    (path,) = folders.find_checkpoints(base / "run")
    content = path.with_name(f"{path.name}.data-00000-of-00001")
    content.write_bytes(content.read_bytes()[:-20_000])
    refuse(base, str(path.name), "damaged", to="a/b/exported")
    shutil.rmtree(path.parent)
    refuse(base, "The run run has no checkpoint")
