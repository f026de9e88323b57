"""A network of one's own, which --model names: imported, and tried out before anything is written.

What a run's folder names may be a stranger's, and to import a module is to execute it. So only what
a flag of this very command names is imported.
"""

import hashlib
import importlib
import inspect
import pathlib
import sys
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lowlevel_mnist import startup
from lowlevel_mnist.errors import UserError
from lowlevel_mnist.runs.settings import MAX_PARAMETERS, Settings

if TYPE_CHECKING:
    import tensorflow as tf


def load(name: str | None, settings: Settings) -> "Callable[..., tf.Module] | None":
    """Imports TensorFlow and the network that --model names, and tries it out.

    name: MODULE:NAME, as the flag of this command says; None without it.
    Returns a class or function that is called as `model.Network` is; None without the flag.
    Raises `UserError` where there is none, or what it makes can't be trained. An error inside of
    the module keeps its traceback, which is what its author needs.
    """
    if name is None:
        return None
    startup.import_tensorflow(xla=settings.execution == "xla")
    module_name, _, attribute = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if not f"{module_name}.".startswith(f"{error.name}."):  # another, which it imports
            raise
        raise UserError(f"--model {name} can't be imported: {error}.") from error
    network: Any = getattr(module, attribute, None)
    _check_callable(network, name, settings)
    model = network(*settings.network_arguments)
    try:
        _check_model(model, settings)
    except ValueError as error:
        place = _last_line(module.__file__, error.__cause__)
        raise UserError(f"--model {name} does not suit this run{place}. {error}") from error
    return network


def sha256_of(name: str) -> str:
    """Returns how the SHA-256 of the file begins that holds what --model names, once imported."""
    file = sys.modules[name.partition(":")[0]].__file__
    return hashlib.sha256(pathlib.Path(file or "").read_bytes()).hexdigest()[:16]


def _last_line(file: str | None, error: BaseException | None) -> str:
    """Returns which line of a file an error has come from, in words, or nothing."""
    frames = traceback.extract_tb(error.__traceback__) if error else []
    lines = [frame.lineno for frame in frames if frame.filename == file]
    return f" ({file}, line {lines[-1]})" if lines else ""


def _check_callable(network: Any, name: str, settings: Settings) -> None:
    """Raises `UserError` where --model names nothing that can be called as `model.Network` is."""
    import tensorflow as tf

    if network is None:
        raise UserError("--model {0}:{1}: there is no {1} in {0}.".format(*name.split(":")))
    if not callable(network) or isinstance(network, tf.Module):
        raise UserError(
            f"--model {name} must be a class or a function that makes a network; it is an object "
            f"of type {type(network).__name__}."
        )
    try:
        inspect.signature(network).bind(*settings.network_arguments)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"--model {name} can't be called with layer_sizes, seed and dtype, as "
            f"lowlevel_mnist.Network is: {error}."
        ) from error


def _check_model(model: Any, settings: Settings) -> None:
    """Raises `ValueError` where a model can't be trained as the settings say."""
    import tensorflow as tf

    from lowlevel_mnist import early_stopping
    from lowlevel_mnist.execution import checks
    from lowlevel_mnist.model import count_parameters
    from lowlevel_mnist.optimizers import Optimizer
    from lowlevel_mnist.training import Trainer

    # What checkpoints can keep: a tf.Module, a model of Keras.
    if not callable(model) or not isinstance(model, tf.__internal__.tracking.AutoTrackable):
        made = type(model).__name__
        raise ValueError(
            "It must make a callable tf.Module or a model of Keras; what it makes is of type "
            f"{made}."
        )
    variables = model.trainable_variables
    if not variables:
        raise ValueError(
            "It has no trainable variables. A tf.Module finds those that its __init__ makes "
            "attributes of it, or of modules in it; for layers of Keras in it, define "
            "trainable_variables and variables."
        )
    early_stopping.check_variables(model)
    dtypes = sorted({tf.as_dtype(variable.dtype).name for variable in variables})
    if dtypes != [settings.dtype]:
        raise ValueError(
            f"Its variables are {', '.join(dtypes)}; they must have the dtype that it is called "
            f"with, {settings.dtype}."
        )
    if count_parameters(model) > MAX_PARAMETERS:
        raise ValueError(
            f"It has {count_parameters(model):,} parameters; at most {MAX_PARAMETERS:,} are "
            "accepted."
        )
    pixels, classes = settings.layer_sizes[0], settings.layer_sizes[-1]
    blank, label = tf.zeros([1, pixels], tf.uint8), tf.zeros([1, classes], tf.uint8)
    for dropout in sorted({0.0, settings.dropout}):  # as it is tested, and as it is trained
        trainer = Trainer(model, Optimizer(variables, 1.0), batch_size=1, dropout=dropout)
        checks.check_epoch(trainer, blank, label, 1, None)
