"""A run's weights on disk, as `tf.train.Checkpoint` writes them."""

import itertools

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
        _check_shapes(path, run.metrics["layer_sizes"])
        model = Network(run.metrics["layer_sizes"], dtype=tf.as_dtype(run.metrics["dtype"]))
        status = tf.train.Checkpoint(model=model).restore(path)
        status.assert_existing_objects_matched().expect_partial()  # the slots are not needed
        for variable in model.trainable_variables:
            tf.debugging.assert_all_finite(variable, "a weight is not a finite number")
    # An IndexError is what TensorFlow makes of a data file that is too short.
    except (tf.errors.OpError, IndexError, AssertionError, ValueError, TypeError) as error:
        raise UserError(
            f"The checkpoint {path} is damaged or does not fit the run's metrics.json."
        ) from error
    return model


def _check_shapes(path, layer_sizes):
    """Raises `ValueError` where the checkpoint's weights are not those of `layer_sizes`.

    Before a network is built: sizes that are only claimed might not fit into memory.
    """
    shapes = dict(tf.train.list_variables(str(path)))
    for layer, shape in enumerate(itertools.pairwise(layer_sizes)):
        if shapes.get(f"model/weights/{layer}/.ATTRIBUTES/VARIABLE_VALUE") != list(shape):
            raise ValueError(f"layer {layer} is not {shape}")
