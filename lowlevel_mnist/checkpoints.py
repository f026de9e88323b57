"""A run's weights on disk, as `tf.train.Checkpoint` writes them."""

import tensorflow as tf

from lowlevel_mnist.errors import UserError
from lowlevel_mnist.model import Network

FOLDER = "checkpoints"


def save(folder, model, optimizer):
    """Saves the variables of the model and the slots of the optimizer in the run's folder."""
    checkpoint = tf.train.Checkpoint(model=model, optimizer=optimizer)
    checkpoint.save(folder / FOLDER / "checkpoint")


def load_model(run):
    """Returns the model of a `runs.Run` with the weights that it had at its end.

    Raises `UserError` where the checkpoint is missing, damaged or of another network.
    """
    path = tf.train.latest_checkpoint(run.folder / FOLDER)
    if path is None:
        raise UserError(f"The run {run.folder} has no checkpoint in its folder {FOLDER}.")
    try:
        model = Network(run.metrics["layer_sizes"], dtype=tf.as_dtype(run.metrics["dtype"]))
        status = tf.train.Checkpoint(model=model).restore(path)
        status.assert_existing_objects_matched().expect_partial()  # the slots are not needed
    # An IndexError is what TensorFlow makes of a data file that is too short.
    except (tf.errors.OpError, IndexError, AssertionError, ValueError, TypeError) as error:
        raise UserError(
            f"The checkpoint {path} is damaged or does not fit the run's metrics.json."
        ) from error
    return model
