"""MNIST with nothing hidden: `tf.Variable`, one-hot labels, `tf.GradientTape` and the loop itself.

Read the modules in the order of the walkthrough: `data`, `preprocessing`, `model`, `cost`,
`optimizers`, `training`, `metrics`, `plots`; `train` tells the whole story.
Run `python -m lowlevel_mnist.train --help`.

For a script of your own, `from lowlevel_mnist import Network, Trainer` and all else in `__all__`;
functions are in the modules above: `from lowlevel_mnist import data, metrics, preprocessing`.
"""

import importlib
from typing import TYPE_CHECKING

from lowlevel_mnist.console import interruption, started_module  # noqa: F401  # first: Ctrl-C

if TYPE_CHECKING:  # for editors and type checkers
    from lowlevel_mnist.data import Dataset
    from lowlevel_mnist.early_stopping import BestWeights
    from lowlevel_mnist.errors import DivergedError, UserError
    from lowlevel_mnist.fitting import fit
    from lowlevel_mnist.metrics import Evaluation
    from lowlevel_mnist.model import Network
    from lowlevel_mnist.optimizers import SGD, Adam, AdamW, Optimizer, RMSprop
    from lowlevel_mnist.runs.checkpoints import CheckpointManager, TrainingState
    from lowlevel_mnist.training import Progress, Trainer, train_step

    __version__: str

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "BestWeights",
    "CheckpointManager",
    "Dataset",
    "DivergedError",
    "Evaluation",
    "Network",
    "Optimizer",
    "Progress",
    "RMSprop",
    "Trainer",
    "TrainingState",
    "UserError",
    "fit",
    "train_step",
]
# Where they are: in modules that need no TensorFlow, and in those that do.
_LIGHT = ("errors", "data")
_MODULES = (
    *_LIGHT,
    "model",
    "optimizers",
    "metrics",
    "early_stopping",
    "training",
    "runs.checkpoints",
    "fitting",
)


if module := started_module():
    from lowlevel_mnist.console import cli

    cli.refuse_module(module)


def __getattr__(name: str) -> object:
    """Imports a public name when it is first asked for, and TensorFlow for it without a word."""
    if name == "__version__":
        return _read_version()
    for module in _MODULES if name in __all__ else ():
        if module not in _LIGHT:
            importlib.import_module(f"{__name__}.startup").import_tensorflow()
        content = vars(importlib.import_module(f"{__name__}.{module}"))
        if name in content:
            return content[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _read_version() -> str:
    """Returns the version that was installed, or of a copy that never was, "unknown"."""
    from importlib import metadata  # 5 ms, which a script need not wait for

    try:
        return metadata.version(__name__)
    except metadata.PackageNotFoundError:
        return "unknown"
