"""A run's weights on disk, as `tf.train.Checkpoint` writes them."""

import tensorflow as tf

from lowlevel_mnist.errors import UserError
from lowlevel_mnist.model import SoftmaxRegression

FOLDER = "checkpoints"


def save(folder, model):
    """Saves the model's variables in the run's folder."""
    tf.train.Checkpoint(model=model).save(folder / FOLDER / "checkpoint")


def load_model(run):
    """Returns the model of a `runs.Run` with the weights that it had at its end.

    Raises `UserError` where the checkpoint is missing, damaged or of another network.
    """
    try:
        pixels, classes = run.metrics["layer_sizes"]
        model = SoftmaxRegression(pixels, classes, dtype=tf.as_dtype(run.metrics["dtype"]))
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{run.folder / 'metrics.json'} does not describe a network.") from error
    path = tf.train.latest_checkpoint(run.folder / FOLDER)
    if path is None:
        raise UserError(f"The run {run.folder} has no checkpoint in its folder {FOLDER}.")
    try:
        tf.train.Checkpoint(model=model).restore(path).assert_existing_objects_matched()
    # An IndexError is what TensorFlow makes of a data file that is too short.
    except (tf.errors.OpError, IndexError, AssertionError, ValueError) as error:
        raise UserError(
            f"The checkpoint {path} is damaged or does not fit the run's metrics.json."
        ) from error
    return model
