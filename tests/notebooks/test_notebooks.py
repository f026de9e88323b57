"""The notebooks: they run on any data, and what they show is what their cells gave."""

import re
import unicodedata

import nbformat
import pytest

from tests.helpers.data import digit_arrays, write_idx_folder
from tests.tables import execute_notebooks

MAX_BYTES = 1_200_000  # a code-hosting page shows no larger ones
# The published MNIST, and no other data.
ON_MNIST = "^MNIST, (verified|원본과 일치|원본 확인됨|공개된 파일 그대로|검증됨)$"
MAX_COLUMNS = 90  # of a printed line: JupyterLab and code-hosting pages break longer ones
# What a lesson shows by numbers, in the names of its cells; they run after all of these.
CLAIMS = {
    "step_by_step": """
for by_the_formula, by_the_tape in zip(by_hand.values(), gradients, strict=True):
    np.testing.assert_allclose(by_the_formula, by_the_tape, rtol=0, atol=1e-8)
assert len(by_hand) == 4 and all(np.abs(tape).max() > 1e-3 for tape in gradients)
np.testing.assert_allclose(shares.sum() + biases[said] - biases[true], gap, rtol=1e-4)
assert said != true and gap > 0 and (shares[ink == 0] == 0).all()
assert predict(original)[0] == from_class and predict(nudged)[0] == to_class
assert tf.norm(nudged - original) < tf.norm(original) / 3
assert (tf.argmax(solved[0](corners), axis=1) == differ).numpy().all()
assert evaluations[-1][0].accuracy > 0.9 > 0.3 > evaluations[-1][1].accuracy  # random labels
print("true")
""",
}
# Two lines each: file, line, kind and message; the line of code.
WARNINGS_OF_OTHERS = r"(?m)^\S*(site|dist)-packages\S*:\d+: \w*Warning: .*\n  .*\n"

each_notebook = pytest.mark.parametrize("path", execute_notebooks.NOTEBOOKS, ids=lambda p: p.stem)
# A Korean edition has the same code but for strings, and the same results, see test_editions.py.
each_english_notebook = pytest.mark.parametrize(
    "path", execute_notebooks.ENGLISH, ids=lambda p: p.stem
)


def read(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return notebook


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def texts(cell):
    """What a cell wrote: pairs of the stream's name and a text."""
    return [(output.name, output.text) for output in cell.outputs if output.output_type == "stream"]


def columns(line):
    """How wide a line is where each character has one width; a syllable of Hangul takes two."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line)


def said(notebook, stream):
    """All that the cells wrote to "stdout" or "stderr"."""
    written = [pair for cell in code_cells(notebook) for pair in texts(cell)]
    return "".join(text for name, text in written if name == stream)


@pytest.mark.full
@each_english_notebook
def test_it_runs_on_small_data(path, tmp_path):
    """On a few digits in a folder, with all of Python's warnings on; and leaves no file behind."""
    few = 3000 if path.stem in CLAIMS else 600  # enough for a network to be sure of some
    folder = write_idx_folder(tmp_path / "data", digit_arrays(few))
    notebook = read(path)
    cells = notebook.cells
    settings = next(n for n, c in enumerate(cells) if "parameters" in c.metadata.get("tags", []))
    cells.insert(settings + 1, nbformat.v4.new_code_cell(f"data_dir = {str(folder)!r}\nprint()"))
    cells.append(nbformat.v4.new_code_cell(CLAIMS.get(path.stem, "print()")))
    assert execute_notebooks.execute(notebook, PYTHONWARNINGS="default") == []
    assert "custom data, not verified" in said(notebook, "stdout")
    assert re.sub(WARNINGS_OF_OTHERS, "", said(notebook, "stderr")) == ""
    for cell in code_cells(notebook):
        assert cell.outputs, f"this cell shows nothing:\n{cell.source}"


@pytest.mark.machine
@each_english_notebook
def test_it_shows_the_same_again(path, mnist_folder):
    """To the letter and the pixel, but for versions and times: those cells are tagged "machine"."""
    before, notebook = read(path), read(path)
    execute_notebooks.execute(notebook, LOWLEVEL_MNIST_DATA=mnist_folder.parent)
    for old, new in zip(code_cells(before), code_cells(notebook), strict=True):
        if "machine" not in new.metadata.get("tags", []):
            assert texts(new) == texts(old)
            assert new.outputs == old.outputs, f"another picture:\n{new.source}"


def test_the_front_page_shows_the_film_of_the_notebook():
    notebook = read(execute_notebooks.FILM.parents[1] / "step_by_step.ipynb")
    assert execute_notebooks.FILM.read_bytes() == execute_notebooks.film_of(notebook)


@each_notebook
def test_its_outputs_come_from_its_cells(path):
    notebook = read(path)
    assert notebook.metadata.get(execute_notebooks.SUM) == execute_notebooks.sum_of_cells(
        notebook
    ), f"{path.name} was changed after it ran: run python -m tests.tables.execute_notebooks"
    counts = [cell.execution_count for cell in code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1))
    assert notebook.metadata.kernelspec == execute_notebooks.KERNEL


@each_notebook
def test_what_it_shows(path):
    """Results on MNIST, a figure or a text from each cell, and nothing that nobody wants to see."""
    notebook = read(path)
    assert re.search(ON_MNIST, said(notebook, "stdout"), re.MULTILINE)
    assert said(notebook, "stderr") == ""
    lines = said(notebook, "stdout").splitlines()
    assert [line for line in lines if columns(line) > MAX_COLUMNS] == []
    for cell in code_cells(notebook):
        assert cell.outputs, f"this cell shows nothing:\n{cell.source}"
        for output in cell.outputs:
            assert output.output_type != "error"
            text = output.get("text", "") + output.get("data", {}).get("text/plain", "")
            assert not re.search(r"[\r\x1b\x08]|at 0x", text)  # progress bars, colours, addresses
    assert path.stat().st_size < MAX_BYTES
