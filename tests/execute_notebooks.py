"""Runs the notebooks from top to bottom and keeps what they show. The command

    python tests/execute_notebooks.py

does so on MNIST, in about five minutes; or, with names such as `your_own_network`, runs only these.
It is needed after each change of their cells: a test holds the cells against those that the outputs
came from.
"""

import hashlib
import json
import os
import sys
import tempfile
import time

import nbformat
from commands import PROJECT, environment
from nbclient import NotebookClient

from lowlevel_mnist import data

NOTEBOOKS = sorted((PROJECT / "notebooks").glob("*.ipynb"))
SUM = "sha256_of_cells"  # key of a notebook's metadata
SECONDS_OF_A_CELL = 300


def main():
    data.load("mnist")  # or else say what is missing: the outputs to keep are those on MNIST
    where = {name: os.environ[name] for name in [data.ENVIRONMENT_VARIABLE] if name in os.environ}
    for path in [path for path in NOTEBOOKS if path.stem in (sys.argv[1:] or [path.stem])]:
        print(f"{path.name} ...", flush=True)
        notebook = nbformat.read(path, as_version=4)
        start = time.perf_counter()
        execute(notebook, **where)
        notebook.metadata[SUM] = sum_of_cells(notebook)
        nbformat.write(notebook, path)
        print(f"{path.name}: {time.perf_counter() - start:.0f} s, {path.stat().st_size:,} bytes")


def execute(notebook, **changes):
    """Runs all cells in a fresh kernel and puts their outputs into the notebook.

    changes: environment variables.
    Raises `nbclient.exceptions.CellExecutionError` where a cell fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(
            notebook,
            timeout=SECONDS_OF_A_CELL,
            kernel_name="python3",
            resources={"metadata": {"path": folder}},
            record_timing=False,
            coalesce_streams=True,
        ).execute(env=environment(IPYTHONDIR=folder, **changes))


def sum_of_cells(notebook):
    """Returns the SHA-256 of the sources of all cells, in hexadecimal."""
    cells = [[cell.cell_type, cell.source] for cell in notebook.cells]
    return hashlib.sha256(json.dumps(cells).encode()).hexdigest()


if __name__ == "__main__":
    main()
