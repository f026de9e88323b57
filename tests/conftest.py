"""What the tests share: small data sets of their own, the real ones, and how runs are compared."""

import os

import hypothesis
import pytest

from tests.helpers.data import pattern_arrays, real_folder, write_idx_folder

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

# The same examples in every run, however slow the machine; "full" is for --hypothesis-profile.
for profile, number in (("ordinary", 30), ("full", 400)):
    hypothesis.settings.register_profile(
        profile,
        max_examples=number,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )


def pytest_configure(config):
    if not config.getoption("--hypothesis-profile"):
        hypothesis.settings.load_profile("ordinary")


@pytest.fixture
def small_folder(tmp_path):
    """A data folder with 500 training and 100 test images of 8x6 in four classes."""
    return write_idx_folder(tmp_path / "data", pattern_arrays())


@pytest.fixture(scope="session")
def mnist_folder():
    return real_folder("mnist")


@pytest.fixture(scope="session")
def fashion_folder():
    return real_folder("fashion_mnist")
