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

from lowlevel_mnist import export, metrics
from lowlevel_mnist.errors import UserError
from lowlevel_mnist.runs import folders
from tests.helpers.commands import assert_refused, environment, run, run_python
from tests.helpers.data import digit_arrays, pattern_arrays
from tests.helpers.runs import change_settings, read_metrics, train_on

# A program that uses the network, without this package, as `export` has printed.
PROGRAM = """
import sys
sys.modules["lowlevel_mnist"] = None
import numpy as np
import tensorflow as tf
load, predict, class_names, images, results = sys.argv[1:]
exec(load)
images = np.load(images)
found = {key: value.numpy() for key, value in eval(predict).items()}
np.savez(results, names=eval(class_names).numpy().astype("S"), **found)
"""


def export_run(shared_run, to, cwd):
    """An export that succeeds, and so is quiet; returns the lines that it prints."""
    done = run("export", "--run", shared_run.folder, "--to", to, cwd=cwd)
    assert (done.returncode, done.stderr) == (0, "")
    assert not list(cwd.rglob("unfinished-*"))
    return done.stdout.splitlines()


def assert_equal(found, expected, rtol):
    """Probabilities of the same type up to rounding, and the very same classes."""
    assert found["probabilities"].dtype == expected.dtype
    np.testing.assert_allclose(found["probabilities"], expected, rtol=rtol, atol=rtol)
    assert np.array(found["classes"]).tolist() == expected.argmax(axis=1).tolist()


@pytest.fixture(scope="module")
def hidden_run(tmp_path_factory):
    """A `FinishedRun` with a hidden layer and dropout."""
    flags = ["--hidden-units", 16, "--dropout", 0.5, "--epochs", 2, "--no-plots"]
    return train_on(digit_arrays(), *flags, home=tmp_path_factory.mktemp("hidden"))


@pytest.fixture(scope="module")
def expected(hidden_run):
    """The probabilities that its network gives for its test images."""
    return metrics.predict(hidden_run.load_model(), digit_arrays()[2])


@pytest.fixture(scope="module")
def exported(hidden_run, tmp_path_factory):
    """(folder of an export of that run, the lines that were printed), as servers want it."""
    home = tmp_path_factory.mktemp("served")
    assert "--to MODEL/1" in "\n".join(export_run(hidden_run, "model/1", home))
    lines = export_run(hidden_run, "model/2", home)  # beside an older version
    return home / "model" / "2", lines


@pytest.fixture(scope="module")
def loaded(exported):
    return tf.saved_model.load(str(exported[0]))


def serve(folder, images):
    """Calls the signature as servers and `saved_model_cli run` do: by its name, in a session."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        graph = tf.compat.v1.saved_model.load(session, ["serve"], str(folder))
        signature = graph.signature_def["serving_default"]
        outputs = {key: output.name for key, output in signature.outputs.items()}
        return session.run(outputs, {signature.inputs["images"].name: images})


def test_it_says_what_the_run_s_network_says(exported, expected, tmp_path):
    """Used as is printed, by a process that does not have this package."""
    imports, load, *shown = (line.strip() for line in exported[1][2:6])
    np.save(tmp_path / "images.npy", digit_arrays()[2])
    arguments = [f"{imports}; {load}", *shown, "images.npy", "results.npz"]
    assert run_python("-c", PROGRAM, *arguments, cwd=tmp_path, PYTHONPATH="").returncode == 0
    with np.load(tmp_path / "results.npz") as found:
        assert_equal(found, expected, rtol=1e-6)
        assert found["names"].tolist() == [str(label).encode() for label in range(10)]


def test_a_server_is_told_the_names_as_well(exported, expected):
    for images in (digit_arrays()[2], digit_arrays()[2][:1], digit_arrays()[2][:0]):
        found = serve(exported[0], images)
        assert_equal(found, expected[: len(images)], rtol=1e-6)
        assert found["names"].tolist() == [str(label).encode() for label in found["classes"]]


def test_float64_and_images_of_another_size(tmp_path):
    """Into a folder that is there, beside what an export that was killed has left."""
    flags = ["--hidden-units", 20, 10, "--dtype", "float64", "--epochs", 1, "--no-plots"]
    trained = train_on(pattern_arrays((5, 9), 6), *flags, home=tmp_path)
    (tmp_path / "exported").mkdir()
    left = tmp_path / "unfinished-exported" / "variables"
    left.mkdir(parents=True)
    (left / "junk").touch()
    assert export_run(trained, "exported", tmp_path)[0].startswith(f"Run {trained.folder}: softmax")
    assert {path.name for path in tmp_path.iterdir()} == {"data", "runs", "exported"}
    assert not list(tmp_path.rglob("junk"))
    model = tf.saved_model.load(str(tmp_path / "exported"))
    found = {key: value.numpy() for key, value in model.predict(trained.arrays[2]).items()}
    assert_equal(found, metrics.predict(trained.load_model(), trained.arrays[2]), rtol=1e-13)


def scaled(images):
    """What others' networks take: floats from 0 to 1."""
    return images / 255.0


FLOATS = {
    "float64": scaled,
    "float32 tensor": lambda images: tf.constant(scaled(images), tf.float32),
    "list": lambda images: scaled(images[:1]).tolist(),
    "standardised": lambda images: (scaled(images) - 0.1307) / 0.3081,
}


@pytest.mark.parametrize("kind", FLOATS)
def test_scaled_images_are_never_taken_for_bytes(exported, loaded, kind):
    """TensorFlow would make zeros of them, and the network say nonsense, without a word."""
    refusals = ValueError, TypeError, tf.errors.InvalidArgumentError
    for images in (digit_arrays()[2], digit_arrays()[2][:1] // 2):  # the latter without any 255
        floats = FLOATS[kind](images)
        for function in (loaded.predict, loaded.signatures["serving_default"]):
            with pytest.raises(refusals, match="uint8|to be a Tensor"):
                function(floats)
            with pytest.raises(refusals, match="uint8"):
                function(images=floats)
        if "tensor" not in kind:
            with pytest.raises(tf.errors.InvalidArgumentError, match="must be uint8, 0 to 255"):
                serve(exported[0], floats)


def test_bytes_in_any_container_are_right(exported, loaded, expected):
    """Floats from 0 to 255 lose nothing where TensorFlow makes bytes of them."""
    images, classes = digit_arrays()[2], expected.argmax(axis=1).tolist()
    for given in (images, tf.constant(images), list(images)):
        assert loaded.predict(given)["classes"].numpy().tolist() == classes
    for given in (images, tf.constant(images), images.astype(float)):
        found = loaded.signatures["serving_default"](images=given)
        assert found["classes"].numpy().tolist() == classes
    for given in (images.tolist(), images.astype(float)):
        assert serve(exported[0], given)["classes"].tolist() == classes


def test_a_blank_image(exported, loaded):
    """A server can't tell it from floats that were made bytes."""
    blank = np.zeros((1, 28, 28), np.uint8)
    assert loaded.predict(blank)["classes"].shape == [1]
    with pytest.raises(tf.errors.InvalidArgumentError, match="are blank"):
        serve(exported[0], blank)


def test_what_the_settings_of_a_run_decide(softmax_run, tmp_path):
    """Names in any script; whether light and dark are exchanged; images that go no higher than 1.

    A class without images has a number.
    """
    folder, images = softmax_run.copy(tmp_path), digit_arrays()[2]
    names = ["zéro", None, "둘", *"3456789"]
    style = read_metrics(folder)["image_style"] | {"mean_grey_levels": [0, 1]}
    change_settings(folder, class_names=names, image_style=style, invert=True)
    assert run("export", "--to", "exported", cwd=tmp_path).returncode == 0
    model = tf.saved_model.load(str(tmp_path / "exported"))
    found = [name.decode() for name in model.class_names.numpy()]
    assert found == ["zéro", "1", *names[2:]]
    answer = serve(tmp_path / "exported", 255 - images)
    assert_equal(answer, metrics.predict(softmax_run.load_model(), images), rtol=1e-6)
    assert [name.decode() for name in answer["names"]] == [found[n] for n in answer["classes"]]
    assert len(serve(tmp_path / "exported", images // 128)["classes"]) == 100


@pytest.mark.full
def test_litert(exported, expected):
    """It converts, and says the same, and refuses floats, too."""
    images = digit_arrays()[2]
    converted = tf.lite.TFLiteConverter.from_saved_model(str(exported[0])).convert()
    runner = tf.lite.Interpreter(model_content=converted).get_signature_runner("serving_default")
    found = runner(images=images)
    assert_equal(found, expected, rtol=1e-6)
    assert found["names"].tolist() == [str(label).encode() for label in found["classes"]]
    with pytest.raises(ValueError, match="UINT8"):
        runner(images=scaled(images))


@pytest.mark.full
def test_tensorflow_s_tool_shows_the_signature(softmax_run, tmp_path):
    """By the command that is printed."""
    program, *arguments = shlex.split(export_run(softmax_run, "a folder/to make", tmp_path)[-1])
    tool = pathlib.Path(sys.executable).with_name(program)
    command = [tool if tool.exists() else program, *arguments]
    shown = subprocess.run(command, env=environment(PYTHONPATH=""), capture_output=True, text=True)
    words = "".join(shown.stdout.split())
    assert "inputs['images']tensor_info:dtype:DT_UINT8shape:(-1,28,28)name:" in words
    for name, dtype, shape in (
        ("probabilities", "DT_FLOAT", "(-1,10)"),
        ("classes", "DT_INT64", "(-1)"),
        ("names", "DT_STRING", "(-1)"),
    ):
        assert f"outputs['{name}']tensor_info:dtype:{dtype}shape:{shape}name:" in words


@pytest.mark.parametrize(
    ("to", "words"),
    [
        ("file", "file is a file; choose another --to"),
        ("file/exported", "file is a file; choose another --to"),
        ("taken", "taken is not empty; choose another --to"),
        (os.fsdecode(b"n\xff"), "not UTF-8; choose another --to"),
    ],
)
def test_a_place_that_is_taken(tmp_path, to, words):
    (tmp_path / "file").touch()
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "precious").touch()
    with pytest.raises(UserError, match=words):
        export.check_folder(tmp_path / to)


def test_what_is_refused_leaves_nothing(softmax_run, tmp_path):
    """A place in the run, a name that TensorFlow misreads, a damaged checkpoint, or none."""
    folder = softmax_run.copy(tmp_path)
    newest = folders.find_checkpoints(folder)[-1]
    content = newest.with_name(f"{newest.name}.data-00000-of-00001")
    content.write_bytes(content.read_bytes()[:-20_000])
    before = sorted(tmp_path.rglob("*"))
    for to, words in (
        (folder, "is not empty"),
        ("a[1]", "takes for a pattern"),
        ("a/b/exported", f"{newest.name} is damaged"),
    ):
        assert_refused(run("export", "--to", to, cwd=tmp_path), words)
        assert sorted(tmp_path.rglob("*")) == before
    shutil.rmtree(folder / "checkpoints")
    assert_refused(run("export", "--to", "exported", cwd=tmp_path), "one has no checkpoint")
    assert not (tmp_path / "exported").exists()
