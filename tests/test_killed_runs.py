"""A killed run, resumed, ends as if nothing had happened. `killed_runs.py` says how it is tried."""

import pytest
from killed_runs import WAYS, survive


@pytest.mark.parametrize(
    ("execution", "way"),
    [
        ("graph", "twice"),
        pytest.param("eager", "saving", marks=pytest.mark.full),
        pytest.param("xla", "interrupted", marks=pytest.mark.full),
    ],
)
def test_a_killed_run_ends_bit_identical(tmp_path, execution, way):
    ((_, differences, _),) = survive(tmp_path, execution, [way])
    assert differences == []


@pytest.mark.hours
@pytest.mark.parametrize("execution", ["eager", "graph", "xla"])
def test_twenty_killed_runs_end_bit_identical(tmp_path, execution):
    results = survive(tmp_path, execution, WAYS * 4)
    assert [(way, differences) for way, differences, _ in results if differences] == []
    assert any(half_written for *_, half_written in results)
