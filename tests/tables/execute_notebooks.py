"""Runs the notebooks from top to bottom and keeps what they show. The command

    python -m tests.tables.execute_notebooks

does so on MNIST, in about fifteen minutes; or, with names such as `your_own_network.ko`, runs only
these. It is needed after each change of their cells: a test holds the cells against those that the
outputs came from.
"""

import base64
import hashlib
import json
import os
import pathlib
import sys
import tempfile
import time

import nbformat
from nbclient import NotebookClient

from lowlevel_mnist import data
from tests.helpers.commands import PROJECT, environment

NOTEBOOKS = sorted((PROJECT / "notebooks").glob("*.ipynb"))
KOREAN = [path for path in NOTEBOOKS if path.stem.endswith(".ko")]
ENGLISH = [path for path in NOTEBOOKS if path not in KOREAN]
# As Jupyter itself writes it, or else it finds a notebook changed that was only opened.
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
FILM = PROJECT / "notebooks" / "pictures" / "weights.gif"  # README's picture
SUM = "sha256_of_cells"  # key of a notebook's metadata
SECONDS_OF_A_CELL = 300


def main():
    data.load("mnist")  # or else say what is missing: the outputs to keep are those on MNIST
    where = {name: os.environ[name] for name in [data.ENVIRONMENT_VARIABLE] if name in os.environ}
    names = sys.argv[1:] or [path.stem for path in NOTEBOOKS]
    unknown = set(names) - {path.stem for path in NOTEBOOKS}
    if unknown:
        sys.exit(f"There is no notebook {', '.join(sorted(unknown))}.")
    for path in [path for path in NOTEBOOKS if path.stem in names]:
        print(f"{path.name} ...", flush=True)
        notebook = nbformat.read(path, as_version=4)
        start = time.perf_counter()
        execute(notebook, **where)
        notebook.metadata["kernelspec"] = KERNEL
        notebook.metadata[SUM] = sum_of_cells(notebook)
        nbformat.write(notebook, path)
        if path.stem == "step_by_step":
            FILM.write_bytes(film_of(notebook))
        print(f"{path.name}: {time.perf_counter() - start:.0f} s, {path.stat().st_size:,} bytes")


def execute(notebook, **changes):
    """Runs all cells in a fresh kernel and puts their outputs into the notebook.

    changes: environment variables.
    Returns the names of the files that the cells have left in the folder in which they ran.
    Raises `nbclient.exceptions.CellExecutionError` where a cell fails.
    """
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as settings:
        NotebookClient(
            notebook,
            timeout=SECONDS_OF_A_CELL,
            kernel_name="python3",
            resources={"metadata": {"path": folder}},
            record_timing=False,
            coalesce_streams=True,
        ).execute(env=environment(IPYTHONDIR=settings, **changes))
        return [file.name for file in pathlib.Path(folder).iterdir()]


def film_of(notebook):
    """Returns the bytes of the animated picture that a notebook shows."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    (film,) = [
        output.data["image/gif"] for output in outputs if "image/gif" in output.get("data", {})
    ]
    return base64.b64decode(film)


def english(path):
    """Returns the path of the English edition of a Korean notebook."""
    return path.with_name(path.name.replace(".ko.", "."))


def sum_of_cells(notebook):
    """Returns the SHA-256 of the sources of all cells, in hexadecimal."""
    cells = [[cell.cell_type, cell.source] for cell in notebook.cells]
    return hashlib.sha256(json.dumps(cells).encode()).hexdigest()


if __name__ == "__main__":
    main()
