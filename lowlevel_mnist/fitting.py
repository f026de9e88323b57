"""A whole training in one call, for a script or a notebook; `train` shows what is inside."""

import contextlib

import numpy as np
import tensorflow as tf

from lowlevel_mnist import early_stopping, metrics, preprocessing
from lowlevel_mnist.console import output, report
from lowlevel_mnist.data import Images
from lowlevel_mnist.runs.checkpoints import TrainingState
from lowlevel_mnist.training import Trainer


def fit(
    trainer: Trainer,
    training: Images,
    validation: Images | None = None,
    *,
    epochs: int,
    patience: int | None = None,
    quiet: bool = False,
) -> list[dict]:
    """Trains the model of a trainer for some epochs and shows their progress, as `train` does.

    training: images, `uint8` [n, height, width], and for each its label, a whole number [n], of
        which a one-hot row is made, or its targets [n, ...], as `Trainer.train_epoch` takes them.
    validation: others, by which the network is evaluated after each epoch, or None.
    patience: stop early, when the validation loss of so many epochs was not lower than before, and
        in any case give the model the best epoch's weights in the end; None for neither.
    quiet: whether nothing is shown.
    Returns the history: for each epoch a dictionary, with the keys of `runs.records.Epoch`.
    Raises `ValueError` where an argument is none of these, and `DivergedError` where a cost is not
    a finite number.
    """
    if epochs < 1:
        raise ValueError(f"epochs is {epochs!r}; it must be 1 or more.")
    if patience is not None and validation is None:
        raise ValueError(f"patience is {patience!r}, which needs images for validation.")
    model, (images, labels) = trainer.model, training
    pixels, targets = preprocessing.flatten(images), make_targets(model, images, labels)
    state, best = TrainingState(patience), early_stopping.BestWeights(model)
    with contextlib.ExitStack() as stack:
        if quiet:
            stack.enter_context(output.silenced())
        stack.callback(output.end)
        report.print_columns(validation)
        while len(state.history) < epochs and not state.is_exhausted:
            epoch = len(state.history) + 1
            for progress in trainer.train_blocks(pixels, targets, epoch):
                report.show_progress(epoch, epochs, progress)
            evaluation = metrics.evaluate(model, *validation) if validation else None
            state.finish_epoch(progress, evaluation, trainer.optimizer.learning_rate)
            report.print_epoch(epoch, epochs, progress, evaluation)
            if patience:
                best.keep(state.val_losses)
        if patience:
            best.put_into_model()
        report.print_best(state, epochs)
    return state.history


def make_targets(model: tf.Module, images: np.ndarray, labels: np.ndarray) -> tf.Tensor:
    """Returns labels as one-hot rows of as many classes as the model has; targets as they are."""
    if labels.ndim > 1 or not np.issubdtype(labels.dtype, np.integer):
        return tf.convert_to_tensor(labels)
    classes = metrics.compute_logits(model, images[:1]).shape[1]
    return preprocessing.one_hot(labels, classes, tf.uint8)
