"""A killed run, resumed, ends as if nothing had happened. `killed_runs.py` says how it is tried."""

import pytest
from killed_runs import WAYS, survive


@pytest.mark.parametrize(
    ("execution", "way"), [("eager", "saving"), ("graph", "interrupted"), ("xla", "twice")]
)
def test_a_killed_run_ends_bit_identical(tmp_path, execution, way):
    ((_, equal, _),) = survive(tmp_path, execution, [way])
    assert equal


@pytest.mark.full
@pytest.mark.parametrize("execution", ["eager", "graph", "xla"])
def test_twenty_killed_runs_end_bit_identical(tmp_path, execution):
    results = survive(tmp_path, execution, WAYS * 4)
    assert [way for way, equal, _ in results if not equal] == []
    assert any(half_written for *_, half_written in results)
