"""What all rooms share: data, finished runs, how many examples Hypothesis makes."""

import os

import hypothesis
import pytest

from tests.helpers.data import digit_arrays, pattern_arrays, real_folder, write_idx_folder
from tests.helpers.runs import share, train_on

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


@pytest.fixture(scope="session")
def softmax_run(tmp_path_factory):
    """A `FinishedRun` of softmax on 600 digits: three epochs of 7 steps, with pictures."""
    flags = ("--batch-size", 96, "--epochs", 3, "--learning-rate", 0.25, "--seed", 7)
    with share(train_on(digit_arrays(), *flags, home=tmp_path_factory.mktemp("softmax"))) as run:
        yield run


@pytest.fixture(scope="session")
def dropout_run(tmp_path_factory):
    """A `FinishedRun` of mlp-128-dropout on 6,000 digits, which it reads well, without pictures."""
    flags = ("--recipe", "mlp-128-dropout", "--epochs", 3, "--no-plots")
    arrays = digit_arrays(train=6000)
    with share(train_on(arrays, *flags, home=tmp_path_factory.mktemp("dropout"))) as run:
        yield run


@pytest.fixture(scope="session")
def patterns_run(tmp_path_factory):
    """A `FinishedRun` on images of 8x6 in four classes, with validation and pictures."""
    flags = ("--epochs", 3, "--validation-split", 0.2)
    with share(train_on(pattern_arrays(), *flags, home=tmp_path_factory.mktemp("patterns"))) as run:
        yield run
