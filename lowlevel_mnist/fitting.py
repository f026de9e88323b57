"""A whole training in one call, for a script or a notebook; `train` shows what is inside."""

import contextlib
import functools
from typing import Any

import numpy as np
import numpy.typing as npt
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
) -> list[dict[str, Any]]:
    """Trains the model of a trainer for some epochs and shows their progress, as `train` does.

    A second call begins at epoch 1 again: with the same order of images, and the schedule's start.

    training: images, `uint8` [n, height, width], and for each its label, a whole number [n], of
        which a one-hot row is made, or its targets [n, ...], as `Trainer.train_epoch` takes them.
    validation: others, by which the network is evaluated after each epoch, with the trainer's cost
        and count, or None.
    patience: stop early, when the validation loss of so many epochs was not lower than before, and
        in any case give the model the best epoch's weights in the end; None for neither.
    quiet: whether nothing is shown.
    Returns the history: for each epoch a dictionary, with the keys of `runs.records.Epoch`.
    Raises `ValueError` where an argument is none of these, and `DivergedError` where a cost is not
    a finite number.
    """
    numbers = {"epochs": epochs} if patience is None else {"epochs": epochs, "patience": patience}
    for name, number in numbers.items():
        if not isinstance(number, int) or number < 1:
            raise ValueError(f"{name} is {number!r}; it must be a whole number of 1 or more.")
    if patience is not None and validation is None:
        raise ValueError(f"patience is {patience!r}, which needs images for validation.")
    images, targets = with_targets(trainer, *training)
    pixels = preprocessing.flatten(images)
    held_out = with_targets(trainer, *validation) if validation else None
    state = TrainingState(patience)
    best = early_stopping.BestWeights(trainer.model) if patience else None
    score = functools.partial(metrics.score, trainer.model, cost=trainer.cost, count=trainer.count)
    with contextlib.ExitStack() as stack:
        if quiet:
            stack.enter_context(output.silenced())
        stack.callback(output.end)
        report.print_columns(validation, trainer.count is not None)
        while len(state.history) < epochs and not state.is_exhausted:
            epoch = len(state.history) + 1
            for progress in trainer.train_blocks(pixels, targets, epoch):
                report.show_progress(epoch, epochs, progress)
            evaluation = score(*held_out) if held_out else None
            state.finish_epoch(progress, evaluation, trainer.optimizer.learning_rate)
            report.print_epoch(epoch, epochs, progress, evaluation)
            if best:
                best.keep(state.val_losses)
        if best:
            best.put_into_model()
        report.print_best(state, epochs)
    return state.history


def with_targets(
    trainer: Trainer, images: npt.NDArray[np.uint8], labels: np.ndarray
) -> tuple[npt.NDArray[np.uint8], tf.Tensor]:
    """Returns images, and their targets: of labels, one-hot rows of as many classes as the model.

    Raises `ValueError` where the model can't be called with the images, or they do not go together.
    """
    labels = np.asarray(labels)
    outputs = metrics.compute_logits(trainer.model, images[:1]).shape[-1]
    if len(images) != len(labels):
        raise ValueError(f"There are {len(images):,} images, but {len(labels):,} labels.")
    if labels.ndim > 1 or labels.dtype.kind not in "iu":
        return images, tf.convert_to_tensor(labels)
    if outputs < 2:
        raise ValueError(
            f"labels are {labels.dtype} [n], whole numbers of classes, but the model has one "
            "output. For a regression, give targets [n, 1] of the variables' dtype."
        )
    return images, preprocessing.one_hot(labels, outputs, tf.uint8)
