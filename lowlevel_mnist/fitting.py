"""A whole training in one call, for a script or a notebook; `train` shows what is inside."""

import contextlib

import numpy as np
import tensorflow as tf

from lowlevel_mnist import early_stopping, metrics, preprocessing
from lowlevel_mnist.console import output, report
from lowlevel_mnist.cost import Model
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
    validation: others, by which the network is evaluated after each epoch, or None; with targets,
        by their mean cost alone.
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
        report.print_columns(validation, trainer.count is not None)
        while len(state.history) < epochs and not state.is_exhausted:
            epoch = len(state.history) + 1
            for progress in trainer.train_blocks(pixels, targets, epoch):
                report.show_progress(epoch, epochs, progress)
            evaluation = evaluate(trainer, *validation) if validation else None
            state.finish_epoch(progress, evaluation, trainer.optimizer.learning_rate)
            report.print_epoch(epoch, epochs, progress, evaluation)
            if patience:
                best.keep(state.val_losses)
        if patience:
            best.put_into_model()
        report.print_best(state, epochs)
    return state.history


def evaluate(trainer: Trainer, images: np.ndarray, labels: np.ndarray) -> metrics.Score:
    """Returns the evaluation of the trainer's model; of targets, only their mean cost."""
    if are_labels(labels):
        return metrics.evaluate(trainer.model, images, labels)
    return metrics.Score(metrics.mean_cost(trainer.model, images, labels, trainer.cost))


def make_targets(model: Model, images: np.ndarray, labels: np.ndarray) -> tf.Tensor:
    """Returns labels as one-hot rows of as many classes as the model has; targets as they are."""
    if not are_labels(labels):
        return tf.convert_to_tensor(labels)
    classes = metrics.compute_logits(model, images[:1]).shape[1]
    return preprocessing.one_hot(labels, classes, tf.uint8)


def are_labels(labels: np.ndarray) -> bool:
    """Returns whether these are whole numbers [n]; anything else are targets."""
    return labels.ndim == 1 and np.issubdtype(labels.dtype, np.integer)
