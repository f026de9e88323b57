"""Where data sets come from, in which order, and how they are verified."""

import gzip
import http.server
import importlib.util
import json
import pathlib
import re
import socket
import threading

import numpy as np
import pytest

from lowlevel_mnist import data, memory, preprocessing
from lowlevel_mnist.errors import UnreachableError, UserError
from lowlevel_mnist.sources import layouts
from lowlevel_mnist.sources.download import download
from tests.helpers.commands import assert_ends, assert_refused, run, run_python, train
from tests.helpers.data import IDX_NAMES, pattern_arrays, write_idx_folder


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
@pytest.mark.parametrize("asked_for", ["by name", "by folder"])
def test_the_real_data_is_verified(request, name, asked_for):
    fixture = "mnist_folder" if name == "mnist" else "fashion_folder"
    folder = request.getfixturevalue(fixture)
    dataset = data.load(name if asked_for == "by name" else "auto", folder)
    assert (dataset.name, dataset.source, dataset.verified) == (name, "data-dir", True)
    assert dataset.train_images.shape == (60_000, 28, 28)
    assert dataset.test_images.shape == (10_000, 28, 28)
    assert np.bincount(dataset.test_labels).sum() == 10_000


def test_fashion_mnist_has_class_names(fashion_folder):
    dataset = data.load("fashion_mnist", fashion_folder)
    assert dataset.class_names[0] == "T-shirt/top"
    assert dataset.class_names[9] == "Ankle boot"
    assert len(dataset.class_names) == dataset.classes


def test_custom_data_is_not_verified(small_folder):
    dataset = data.load("auto", small_folder)
    assert (dataset.name, dataset.verified) == ("custom", False)
    assert dataset.classes == 4
    assert dataset.class_names == ["0", "1", "2", "3"]


def test_data_dir_goes_before_the_environment(small_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("LOWLEVEL_MNIST_DATA", str(tmp_path / "absent"))
    assert data.load("auto", small_folder).source == "data-dir"


def test_the_environment_names_a_folder_of_folders(mnist_folder, monkeypatch):
    monkeypatch.setenv("LOWLEVEL_MNIST_DATA", str(mnist_folder.parent))
    dataset = data.load("mnist")
    assert (dataset.name, dataset.source, dataset.verified) == ("mnist", "environment", True)


def test_the_environment_may_lack_a_data_set(tmp_path, serve, keras_home, monkeypatch):
    """Then it is looked for in the next place, which here is a server without it."""
    (tmp_path / "fashion_mnist").mkdir()
    monkeypatch.setenv("LOWLEVEL_MNIST_DATA", str(tmp_path))
    with pytest.raises(UserError, match="there is no file that is known by its name"):
        data.load("fashion_mnist")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(UnreachableError, match="has no folder mnist. The data set mnist is"):
        data.load("mnist")


def flip_a_byte(folder, target, file):
    """Copies a data set as links, but for one file, in which one bit of one byte is flipped."""
    target.mkdir(parents=True)
    for name in IDX_NAMES:
        (target / f"{name}.gz").symlink_to(folder / f"{name}.gz")
    content = bytearray(gzip.decompress((folder / f"{file}.gz").read_bytes()))
    content[len(content) // 2] ^= 1
    (target / f"{file}.gz").unlink()
    (target / file).write_bytes(content)
    return target


def test_mnist_with_one_flipped_bit_is_refused(mnist_folder, tmp_path):
    folder = flip_a_byte(mnist_folder, tmp_path / "mnist", IDX_NAMES[2])
    for arguments, changes in [
        (["--dataset", "mnist", "--data-dir", folder], {}),
        ([], {"LOWLEVEL_MNIST_DATA": tmp_path}),
    ]:
        done = run("train", *arguments, cwd=tmp_path, **changes)
        assert_refused(done, "The test images of", "not the published MNIST")
        assert not (tmp_path / "runs").exists()


def test_changed_mnist_is_data_of_one_s_own(mnist_folder, tmp_path):
    """Without a name: a student's first experiment, and nobody takes it for MNIST."""
    dataset = data.load("auto", flip_a_byte(mnist_folder, tmp_path / "mine", IDX_NAMES[2]))
    assert (dataset.name, dataset.verified) == ("custom", False)


def test_another_data_set_under_mnist_s_name_is_refused(tmp_path):
    write_idx_folder(tmp_path / "mnist", pattern_arrays())
    done = run("train", cwd=tmp_path, LOWLEVEL_MNIST_DATA=tmp_path)
    assert_refused(done, "not the published MNIST")
    assert not (tmp_path / "runs").exists()


@pytest.fixture
def keras_home(tmp_path, monkeypatch):
    """An empty cache of Keras."""
    folder = tmp_path / "keras"
    folder.mkdir()
    monkeypatch.setenv("KERAS_HOME", str(folder))
    return folder


@pytest.fixture
def serve():
    """Serves a folder over HTTP on loopback; returns its URL and the requested paths."""
    servers = []

    def start(folder):
        requested = []

        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *arguments):
                super().__init__(*arguments, directory=str(folder))

            def log_message(self, _format, *arguments):
                requested.append(arguments[0])

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/", requested

    yield start
    for server in servers:
        server.shutdown()


@pytest.mark.full
def test_download_into_keras_s_cache_and_then_from_there(fashion_folder, serve, keras_home):
    url, requested = serve(fashion_folder)
    arrays = download("fashion_mnist", url)
    expected, *_ = layouts.read(fashion_folder)
    assert arrays.keys() == expected.keys()
    for part, array in arrays.items():
        np.testing.assert_array_equal(array, expected[part])
    assert sum(line.startswith("GET") for line in requested) == 4
    assert len(list(keras_home.rglob("*.gz"))) == 4
    requested.clear()
    download("fashion_mnist", url)
    assert requested == []


def test_a_download_of_other_bytes_is_refused_again_and_again(serve, tmp_path, keras_home):
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "mnist.npz").write_bytes(b"not what was asked for")
    url, _ = serve(tmp_path / "www")
    with pytest.raises(UserError, match="mnist is not on disk and can't be downloaded"):
        download("mnist", url)
    # What was sent may lie in the cache, but the next start does not take it for MNIST.
    with pytest.raises(UserError, match="mnist is not on disk and can't be downloaded"):
        download("mnist", url)


def test_a_missing_file_on_the_server(serve, tmp_path, keras_home):
    (tmp_path / "www").mkdir()
    url, _ = serve(tmp_path / "www")
    with pytest.raises(UserError, match="404"):
        download("mnist", url)


@pytest.mark.parametrize("backend", ["torch", "no_such"])
def test_a_download_without_keras(serve, tmp_path, backend):
    """Keras can't be imported where its backend is absent."""
    if importlib.util.find_spec(backend):
        pytest.skip(f"{backend} is there")
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "mnist.npz").touch()
    url, _ = serve(tmp_path / "www")
    script = f"""
from lowlevel_mnist.sources import download
try:
    download.download("mnist", {url!r})
except download.UnreachableError as error:
    print(error)
"""
    done = run_python("-c", script, KERAS_HOME=tmp_path / "keras", KERAS_BACKEND=backend)
    assert re.match(f"The data set mnist .* can't be downloaded \\(.*{backend}", done.stdout)
    assert done.stderr == ""


def without_network(tmp_path):
    """Environment changes under which no data set can be had: nobody listens on port 9."""
    return {"https_proxy": "http://127.0.0.1:9", "KERAS_HOME": tmp_path / "keras"}


@pytest.mark.parametrize("dataset", ["mnist", "fashion_mnist"])
def test_a_data_set_asked_for_by_name_is_never_replaced(tmp_path, dataset):
    done = run("train", "--dataset", dataset, cwd=tmp_path, **without_network(tmp_path))
    assert_refused(done, f"{dataset} is not on disk and can't be downloaded", "--data-dir")
    assert not (tmp_path / "runs").exists()


@pytest.mark.full
def test_a_firewall_that_swallows_everything_gets_an_answer(tmp_path):
    """A proxy that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        changes = without_network(tmp_path)
        changes["https_proxy"] = f"http://127.0.0.1:{silent.getsockname()[1]}"
        done = run("train", "--dataset", "mnist", cwd=tmp_path, **changes)
    assert_refused(done, "mnist is not on disk and can't be downloaded")


@pytest.mark.full
def test_without_mnist_the_first_command_learns_the_built_in_digits(tmp_path):
    flags = ["--epochs", 1, "--no-plots", "--output-dir", "run"]
    done = run("train", *flags, cwd=tmp_path, **without_network(tmp_path))
    words = ["mnist is not on disk", "built-in digits", "--data-dir", "LOWLEVEL_MNIST_DATA"]
    assert_ends(done, 0, *words)
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["dataset"] == "digits"
    assert metrics["dataset_source"] == "built-in"
    assert metrics["dataset_verified"] is False
    assert metrics["test_accuracy"] > 0.8
    lines = done.stdout.splitlines()
    assert "built-in digits, not MNIST" in lines[1]
    (result,) = [line for line in lines if line.startswith("Test loss")]
    assert result.endswith("of built-in digits")


def test_digits_are_not_read_from_a_folder(small_folder, tmp_path):
    done = run("train", "--dataset", "digits", "--data-dir", small_folder, cwd=tmp_path)
    assert_refused(done, "built in")


def test_the_source_is_recorded(small_folder, tmp_path):
    done = train(small_folder, "--output-dir", "run", "--no-plots", cwd=tmp_path)
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["dataset"] == "custom"
    assert metrics["dataset_source"] == "data-dir"
    assert metrics["dataset_verified"] is False
    assert pathlib.Path(metrics["data_dir"]) == small_folder.resolve()
    assert "not verified" in done.stdout
    assert "MNIST" not in done.stdout


def address(array):
    return np.asarray(array).ctypes.data


@pytest.mark.parametrize("layout", ["idx", "npz"])
def test_a_tensor_has_the_memory_of_images_that_were_read_or_split(small_folder, layout):
    if layout == "npz":
        keys = ("x_train", "y_train", "x_test", "y_test")
        np.savez(small_folder / "d.npz", **dict(zip(keys, pattern_arrays(), strict=True)))
    dataset = data.load("auto", small_folder / ("d.npz" if layout == "npz" else ""))
    for images, _ in data.split(dataset.train_images, dataset.train_labels, 0.2, seed=0):
        assert address(preprocessing.flatten(images)) == address(images)
    images = dataset.train_images
    pixels = preprocessing.flatten(images)
    assert address(pixels) == address(images)
    assert not images.flags.writeable
    expected = images.reshape(len(images), -1).copy()
    del dataset, images
    np.testing.assert_array_equal(pixels, expected)


def test_a_tensor_does_not_change_with_the_images():
    for images in (np.ones((3, 4, 5), np.uint8), memory.empty(60).reshape(3, 4, 5)):
        images[:] = 1
        pixels = preprocessing.flatten(images)
        images[:] = 9
        assert (pixels.numpy() == 1).all()


@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_images_of_another_dtype_keep_it(dtype):
    """So that they are refused in training, and not cut off to bytes."""
    images = np.linspace(-1, 300, 60).astype(dtype).reshape(3, 4, 5)
    pixels = preprocessing.flatten(images)
    assert pixels.dtype == dtype
    np.testing.assert_array_equal(pixels, images.reshape(3, 20))


def test_images_anywhere_in_memory_become_a_tensor():
    """TensorFlow would end the process for memory that begins at another place."""
    content = np.arange(500, dtype=np.uint8).tobytes()
    writeable = memory.empty(500)
    writeable[:] = np.frombuffer(content, np.uint8)
    for source in (np.frombuffer(content, np.uint8), writeable):
        for first in range(130):
            images = source[first : first + 240].reshape(10, 4, 6)
            images.flags.writeable = False
            np.testing.assert_array_equal(preprocessing.flatten(images), images.reshape(10, 24))
    reversed_rows = writeable[:240].reshape(10, 4, 6)[::-1]
    reversed_rows.flags.writeable = False
    expected = reversed_rows.reshape(10, 24)
    np.testing.assert_array_equal(preprocessing.flatten(reversed_rows), expected)
