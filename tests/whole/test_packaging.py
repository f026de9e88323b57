"""The package as others get it: its version, and what a release consists of."""

import importlib
import json
import pathlib
import sys

import numpy as np
import pytest

import lowlevel_mnist
from lowlevel_mnist import data, train
from lowlevel_mnist.console import COMMANDS
from lowlevel_mnist.runs import folders
from lowlevel_mnist.runs.run import Run

PROJECT = pathlib.Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("command", [*COMMANDS, "__main__"])
def test_every_command_says_its_version(command, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [command, "--version"])
    with pytest.raises(SystemExit, match="^0$"):
        importlib.import_module(f"lowlevel_mnist.{command}").parse()
    assert capsys.readouterr().out == f"lowlevel_mnist {lowlevel_mnist.__version__}\n"


def test_the_version_is_that_of_the_project():
    lines = (PROJECT / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    assert f'version = "{lowlevel_mnist.__version__}"' in lines


def test_the_version_is_that_of_the_code_at_work(tmp_path, monkeypatch):
    """Not that of another copy, which is installed: the one that runs these tests."""
    for folder, files, expected in [
        ("copied", {}, "unknown"),
        ("installed", {"lowlevel_mnist-9.1.dist-info/METADATA": "Version: 9.1\n"}, "9.1"),
        ("cloned", {"pyproject.toml": 'name = "lowlevel_mnist"\nversion = "9.2"\n'}, "9.2"),
        ("within", {"pyproject.toml": 'name = "other"\nversion = "9.3"\n'}, "unknown"),
    ]:
        for name, content in files.items():
            (tmp_path / folder / name).parent.mkdir(parents=True)
            (tmp_path / folder / name).write_text(content, encoding="utf-8")
        file = tmp_path / folder / "lowlevel_mnist" / "__init__.py"
        monkeypatch.setattr(lowlevel_mnist, "__file__", str(file))
        assert lowlevel_mnist.__version__ == expected


@pytest.mark.parametrize("before", [{"version": "0.1.7"}, {}])
def test_a_run_keeps_the_version_that_began_it(before, tmp_path, monkeypatch):
    """Also one that is older than the key, or of another version: it is found, and goes on."""

    def begin(*flags):
        monkeypatch.setattr(sys, "argv", ["train", "--output-dir", str(tmp_path / "run"), *flags])
        run = Run(train.parse())
        dataset = data.load(**run.data_source)
        run.resolve_settings(dataset)
        with run.open((dataset.train_images, dataset.train_labels)):
            return json.loads(settings.read_text(encoding="utf-8"))

    settings = tmp_path / "run" / "settings.json"
    images, labels = np.zeros((300, 4, 4), np.uint8), np.arange(300, dtype=np.uint8) % 3
    images[:, 0, 0] = labels
    names = ("x_train", "y_train", "x_test", "y_test")
    np.savez(tmp_path / "data.npz", **dict(zip(names, 2 * [images, labels], strict=True)))
    record = begin("--data-dir", str(tmp_path / "data.npz"))
    assert record.pop("version") == lowlevel_mnist.__version__
    settings.write_text(json.dumps(record | before), encoding="utf-8")
    assert folders.find(tmp_path / "run").settings.version == before.get("version")
    resumed = begin("--resume", "--epochs", "7")
    assert resumed == record | {"epochs": 7, "version": before.get("version")}
