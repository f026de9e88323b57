"""The package as others get it: its version, and what a release consists of."""

import email
import importlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import venv
import zipfile

import numpy as np
import pytest
from markdown_it import MarkdownIt
from PIL import Image

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
    changes = (PROJECT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"\n## [{lowlevel_mnist.__version__}] - 20" in changes


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


def check(*command, cwd, **changes):
    """Runs a command that succeeds, with nothing of this project on its path; returns its output.

    changes: of environment variables.
    """
    hidden = ("PYTHONPATH", "VIRTUAL_ENV", "LOWLEVEL_MNIST_DATA", "DISPLAY", "WAYLAND_DISPLAY")
    kept = {name: value for name, value in os.environ.items() if name not in hidden}
    environment = kept | {"MPLBACKEND": "agg"} | changes
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=environment, capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def files():
    """The paths of all files that the repository has, relative to it."""
    if not (PROJECT / ".git").exists():
        pytest.skip("needs the repository")
    names = check("git", "ls-files", "-z", cwd=PROJECT).rstrip("\0").split("\0")
    return {pathlib.Path(name) for name in names}


@pytest.fixture(scope="module")
def release(files, tmp_path_factory):
    """(source, sdist, wheel): built as for an index, the source having an address."""
    pytest.importorskip("build", reason="needs the extra dev")
    base = tmp_path_factory.mktemp("release")
    source = base / "source"
    for name in files:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / name, source / name)
    project = (source / "pyproject.toml").read_text(encoding="utf-8")
    if "\n[project.urls]" not in project:
        project += '\n[project.urls]\nSource = "https://example.org/somebody/lowlevel_mnist"\n'
    (source / "pyproject.toml").write_text(project, encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "hatchling"]
    if subprocess.run(pip, cwd=base, capture_output=True).returncode:
        pytest.skip("needs a package index")
    check(sys.executable, "-m", "build", "--outdir", base / "dist", source, cwd=base)
    (sdist,), (wheel,) = (base / "dist").glob("*.tar.gz"), (base / "dist").glob("*.whl")
    return source, sdist, wheel


@pytest.fixture(scope="module")
def unpacked(release, tmp_path_factory):
    """The folder that the sdist holds."""
    base = tmp_path_factory.mktemp("unpacked")
    shutil.unpack_archive(release[1], base, filter="data")
    (folder,) = base.iterdir()
    return folder


def find_links(markdown):
    """The addresses of all links and of all pictures in a text, in their order."""
    tokens = [part for token in MarkdownIt().parse(markdown) for part in token.children or []]
    return [token.attrs[key] for token in tokens for key in ("href", "src") if key in token.attrs]


@pytest.mark.full
def test_what_an_index_shows(release, files):
    pytest.importorskip("twine", reason="needs the extra dev")
    source, *built = release
    check(sys.executable, "-m", "twine", "check", "--strict", *built, cwd=source)
    with zipfile.ZipFile(built[1]) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        metadata = email.message_from_bytes(archive.read(name))
    assert metadata["Version"] == lowlevel_mnist.__version__
    address = metadata["Project-URL"].removeprefix("Source, ")
    before = find_links((source / "README.md").read_text(encoding="utf-8"))
    after = find_links(metadata.get_payload(decode=True).decode())
    tag = f"v{lowlevel_mnist.__version__}"
    for old, new in zip(before, after, strict=True):
        path = old.partition("#")[0] or "README.md"
        kind = "raw" if path.endswith((".gif", ".png", ".svg")) else "blob"
        assert new.partition("#")[0] == f"{address}/{kind}/{tag}/{path}"
        assert new.partition("#")[2] == old.partition("#")[2]
        assert (source / path).exists()
    assert len(after) > 40


@pytest.mark.full
def test_the_wheel_in_an_empty_environment(release, tmp_path):
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    # Without compiling all of TensorFlow, which takes twice as long.
    check(python, "-m", "pip", "install", "--no-compile", release[2], cwd=tmp_path)

    def run(command, *arguments):
        return check(python, "-m", f"lowlevel_mnist.{command}", *arguments, cwd=tmp_path)

    assert run("train", "--version") == f"lowlevel_mnist {lowlevel_mnist.__version__}\n"
    run("train", "--dataset", "digits", "--epochs", 1, "--output-dir", "run")
    assert folders.find(tmp_path / "run").settings.version == lowlevel_mnist.__version__
    run("show_random", "--run", "run", "--save", "shown.png")
    assert Image.open(tmp_path / "shown.png").width > 300
    Image.fromarray(data.load("digits").test_images[0]).save(tmp_path / "digit.png")
    assert "digit.png" in run("predict", "--run", "run", "digit.png")
    run("page", "--run", "run", "--to", "page.html")
    assert "<canvas" in (tmp_path / "page.html").read_text(encoding="utf-8")


@pytest.mark.full
def test_the_sdist_is_the_repository(release, files, unpacked):
    found = {path.relative_to(unpacked) for path in unpacked.rglob("*") if path.is_file()}
    assert found == files | {pathlib.Path("PKG-INFO")}
    for name in files:
        assert (unpacked / name).read_bytes() == (release[0] / name).read_bytes()


@pytest.mark.full
def test_the_tests_of_the_sdist(unpacked):
    """All can be collected there, and those pass that read most files beside the code."""
    command = [sys.executable, "-m", "pytest", "-q", "-n", 0, "-p", "no:cacheprovider"]
    check(*command, "--collect-only", cwd=unpacked, PYTHONPATH=str(unpacked))
    check(*command, "tests/notebooks", "tests/sources", cwd=unpacked, PYTHONPATH=str(unpacked))
