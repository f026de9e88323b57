"""Keras's downloader, with a time limit, and its cache."""

import hashlib
import os
import pathlib
import re
import socket
import sys
import threading
import urllib.request
from types import ModuleType

from lowlevel_mnist import startup
from lowlevel_mnist.errors import UnreachableError
from lowlevel_mnist.sources import layouts
from lowlevel_mnist.sources.published import PUBLISHED

DOWNLOAD_URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
NETWORK_TIMEOUT = 8  # seconds; with the start of TensorFlow an answer comes within 15


def download(name: str, url: str = DOWNLOAD_URL) -> layouts.Arrays:
    """Gets a named data set from Keras's cache, or downloads it with Keras into that cache.

    name: "mnist" or "fashion_mnist".
    Returns the arrays by their parts, as in `published.PARTS`.
    Raises `UnreachableError` where the server can't be reached, falls silent for
    NETWORK_TIMEOUT seconds, or sends something else.
    """
    folder, files = PUBLISHED[name]["cache_folder"], PUBLISHED[name]["cache_files"]
    cache = pathlib.Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser()
    timeout_before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(NETWORK_TIMEOUT)  # Keras's downloader sets none itself
    try:
        for file, checksum in files.items():
            path = cache / folder / file
            if not _is_whole(path, checksum):
                _check_reachable(url + file)
                path = _import_keras().utils.get_file(
                    file, url + file, cache_dir=cache, cache_subdir=folder, file_hash=checksum
                )
    except Exception as error:  # noqa: BLE001 - Keras raises plain Exception
        reason = re.sub(r"^<?(urlopen error )?(\[Errno -?\d+\] )?|>$", "", str(error))
        raise UnreachableError(
            f"The data set {name} is not on disk and can't be downloaded ({reason}). Give "
            f"{startup.argument('data_dir')} a folder with its four IDX files or one .npz, or set "
            "LOWLEVEL_MNIST_DATA."
        ) from error
    finally:
        socket.setdefaulttimeout(timeout_before)
    return layouts.read(path)[0]


def _is_whole(path: pathlib.Path, checksum: str) -> bool:
    if not path.is_file():
        return False
    algorithm = "sha256" if len(checksum) == 64 else "md5"  # as Keras tells them apart, too
    found = hashlib.new(algorithm, path.read_bytes(), usedforsecurity=False)
    return found.hexdigest() == checksum


def _import_keras() -> ModuleType:
    """Imports Keras, which raises what it likes where KERAS_BACKEND names none that it finds."""
    startup.import_tensorflow()
    import keras  # takes most of a second, and only who downloads needs it

    if not sys.stdout.isatty():
        keras.config.disable_interactive_logging()  # its progress bar writes carriage returns
    return keras


def _check_reachable(url: str) -> None:
    """Raises an exception where `url` does not answer within NETWORK_TIMEOUT seconds.

    It asks in a thread, because looking up a host's name knows no timeout.
    """
    failures: list[OSError] = [TimeoutError(f"no answer from {url} within {NETWORK_TIMEOUT} s")]

    def ask() -> None:
        try:
            request = urllib.request.Request(url, method="HEAD")
            urllib.request.urlopen(request, timeout=NETWORK_TIMEOUT).close()
            failures.clear()
        except OSError as error:
            failures[:] = [error]

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(NETWORK_TIMEOUT)
    if failures:
        raise failures[0]
