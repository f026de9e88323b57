"""Where data sets come from, in which order, how they are verified, and how they are split."""

import gzip
import http.server
import socket
import threading

import numpy as np
import pytest

from lowlevel_mnist import data
from lowlevel_mnist.errors import UnreachableError, UserError
from lowlevel_mnist.sources import download, layouts
from tests.helpers.commands import assert_ends, run, run_python
from tests.helpers.data import IDX_NAMES
from tests.helpers.runs import read_metrics
from tests.sources.files import IDX, X_TEST, X_TRAIN, Y_TRAIN, four_arrays, npz, write

ENVIRONMENT = data.ENVIRONMENT_VARIABLE


def test_mnist_of_a_folder_in_the_environment_is_verified(mnist_folder, monkeypatch):
    monkeypatch.setenv(ENVIRONMENT, str(mnist_folder.parent))
    dataset = data.load("mnist")
    assert (dataset.name, dataset.source, dataset.verified) == ("mnist", "environment", True)
    assert (dataset.title, dataset.class_names) == ("MNIST", list("0123456789"))
    assert dataset.train_images.shape == (60_000, 28, 28)
    assert dataset.test_images.shape == (10_000, 28, 28)


def test_fashion_mnist_in_any_folder_is_recognised(fashion_folder):
    dataset = data.load("auto", fashion_folder)
    assert (dataset.name, dataset.source, dataset.verified) == ("fashion_mnist", "data-dir", True)
    assert dataset.class_names[0] == "T-shirt/top"
    assert dataset.class_names[9] == "Ankle boot"
    assert len(dataset.class_names) == dataset.classes == 10


def test_data_of_one_s_own(tmp_path, monkeypatch):
    """A folder that is named goes before the environment."""
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "absent"))
    folder = write(tmp_path / "data", IDX)
    dataset = data.load("auto", folder)
    assert (dataset.name, dataset.source, dataset.place) == ("custom", "data-dir", folder)
    assert (dataset.verified, dataset.classes) == (False, 3)
    assert dataset.class_names == ["0", "1", "2"]
    with pytest.raises(UserError, match="absent, which is no folder"):
        data.load("auto")


def test_mnist_with_one_flipped_bit(mnist_folder, tmp_path):
    """Without a name it is a student's first experiment, and nobody takes it for MNIST."""
    for name in IDX_NAMES:
        (tmp_path / f"{name}.gz").symlink_to(mnist_folder / f"{name}.gz")
    content = bytearray(gzip.decompress((tmp_path / f"{IDX_NAMES[2]}.gz").read_bytes()))
    content[len(content) // 2] ^= 1
    (tmp_path / f"{IDX_NAMES[2]}.gz").unlink()
    (tmp_path / IDX_NAMES[2]).write_bytes(content)
    with pytest.raises(UserError, match="^The test images of .* are not the published MNIST"):
        data.load("mnist", tmp_path)
    dataset = data.load("auto", tmp_path)
    assert (dataset.name, dataset.verified) == ("custom", False)


def test_another_data_set_under_mnist_s_name_is_refused(tmp_path, monkeypatch):
    write(tmp_path / "mnist", IDX)
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path))
    with pytest.raises(UserError, match="images and .*test labels of .* not the published MNIST"):
        data.load("auto")


def test_light_and_dark_are_exchanged_in_all_images(tmp_path):
    files = {"any.npz": npz(**four_arrays(x_val=X_TRAIN[:9], y_val=Y_TRAIN[:9]))}
    dataset = data.load("auto", write(tmp_path, files), invert=True)
    inverted = dataset.train_images, dataset.test_images, dataset.validation[0]
    for read, written in zip(inverted, (X_TRAIN, X_TEST, X_TRAIN[:9]), strict=True):
        np.testing.assert_array_equal(read, 255 - written, strict=True)
    np.testing.assert_array_equal(dataset.validation[1], Y_TRAIN[:9])
    assert (dataset.inverted, dataset.invert().inverted) == (True, False)


# Validation images that are split off.


def test_a_split_is_a_random_part_of_pairs():
    """Of 70 images, a fraction of 0.46 leaves 37.8: rounded down, as Keras does."""
    images, labels = X_TRAIN, np.arange(70, dtype=np.uint8)
    training, validation = data.split(images, labels, 0.46, seed=1)
    assert (len(training[1]), len(validation[1])) == (37, 33)
    for part, numbers in (training, validation):
        np.testing.assert_array_equal(part, images[numbers])
    assert sorted([*training[1], *validation[1]]) == list(range(70))
    assert (np.sort(validation[1]) != validation[1]).any()
    again, other = (data.split(images, labels, 0.46, seed)[1][1] for seed in (1, 2))
    assert np.array_equal(again, validation[1])
    assert not np.array_equal(other, validation[1])


def test_a_split_of_nothing():
    training, validation = data.split(X_TRAIN, Y_TRAIN, 0, seed=0)
    assert training == (X_TRAIN, Y_TRAIN)
    assert validation is None
    for fraction, kept in ((1e-20, 3), (0.99, 0)):
        with pytest.raises(UserError, match=f"{fraction} leaves {kept} of 3 training images"):
            data.split(X_TRAIN[:3], Y_TRAIN[:3], fraction, seed=0)


# Downloads.


@pytest.fixture
def keras_home(tmp_path, monkeypatch):
    """An empty cache of Keras, and no data elsewhere."""
    folder = tmp_path / "keras"
    folder.mkdir()  # or else Keras takes another one
    monkeypatch.setenv("KERAS_HOME", str(folder))
    monkeypatch.delenv(ENVIRONMENT, raising=False)
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


@pytest.fixture
def no_network(keras_home, monkeypatch):
    """Nobody listens on port 9, so no data set can be had."""
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")


@pytest.mark.full
def test_download_into_keras_s_cache_and_then_from_there(fashion_folder, serve, keras_home):
    url, requested = serve(fashion_folder)
    arrays = download.download("fashion_mnist", url)
    expected, *_ = layouts.read(fashion_folder)
    assert arrays.keys() == expected.keys()
    for part, array in arrays.items():
        np.testing.assert_array_equal(array, expected[part])
    assert sum(line.startswith("GET") for line in requested) == 4
    assert len(list(keras_home.rglob("*.gz"))) == 4
    requested.clear()
    download.download("fashion_mnist", url)
    assert requested == []


def test_a_download_of_other_bytes_is_refused_again_and_again(serve, tmp_path, keras_home):
    """What was sent may lie in the cache, but the next start does not take it for MNIST."""
    url, _ = serve(write(tmp_path / "www", {"mnist.npz": b"not what was asked for"}))
    for _ in range(2):
        with pytest.raises(UnreachableError, match="mnist is not on disk and can't be downloaded"):
            download.download("mnist", url)
        assert (keras_home / "datasets" / "mnist.npz").exists()


def test_a_missing_file_on_the_server(serve, tmp_path, keras_home):
    url, _ = serve(write(tmp_path / "www", {"index.html": ""}))
    with pytest.raises(UnreachableError, match="404"):
        download.download("mnist", url)


@pytest.mark.full
def test_a_download_without_keras(serve, tmp_path):
    """Keras can't be imported where its backend is absent."""
    url, _ = serve(write(tmp_path / "www", {"mnist.npz": ""}))
    script = f"""
from lowlevel_mnist.sources import download
try:
    download.download("mnist", {url!r})
except download.UnreachableError as error:
    print(error)
"""
    done = run_python("-c", script, KERAS_HOME=tmp_path / "keras", KERAS_BACKEND="no_such")
    assert done.stdout.startswith("The data set mnist is not on disk and can't be downloaded (")
    assert "no_such" in done.stdout
    assert done.stderr == ""


def test_a_data_set_asked_for_by_name_is_never_replaced(tmp_path, no_network, monkeypatch):
    with pytest.raises(UnreachableError, match="^The data set mnist is not on disk and can't be"):
        data.load("mnist")
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path))
    with pytest.raises(UnreachableError, match="has no folder mnist. The data set mnist is"):
        data.load("mnist")
    (tmp_path / "fashion_mnist").mkdir()
    with pytest.raises(UserError, match="there is no file that is known by its name"):
        data.load("fashion_mnist")


def test_a_firewall_that_swallows_everything_gets_an_answer(keras_home, monkeypatch):
    """A proxy that accepts connections and never says a word."""
    monkeypatch.setattr(download, "NETWORK_TIMEOUT", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(UnreachableError, match="mnist is not on disk and can't be downloaded"):
            data.load("mnist")


def test_digits_are_not_read_from_a_folder(tmp_path):
    with pytest.raises(UserError, match="built in"):
        data.load("digits", tmp_path)


@pytest.mark.full
def test_without_mnist_the_first_command_learns_the_built_in_digits(tmp_path):
    flags = ["--epochs", 1, "--no-plots", "--output-dir", "run"]
    changes = {"https_proxy": "http://127.0.0.1:9", "KERAS_HOME": tmp_path / "keras"}
    done = run("train", *flags, cwd=tmp_path, **changes)
    words = ["mnist is not on disk", "built-in digits", "--data-dir", "LOWLEVEL_MNIST_DATA"]
    assert_ends(done, 0, *words)
    record = read_metrics(tmp_path / "run")
    assert (record["dataset"], record["dataset_source"]) == ("digits", "built-in")
    assert record["dataset_verified"] is False
    assert record["test_accuracy"] > 0.8
    lines = done.stdout.splitlines()
    assert "built-in digits, not MNIST" in lines[1]
    (result,) = [line for line in lines if line.startswith("Test loss")]
    assert result.endswith("of built-in digits")
