"""Beside step 6 of the walkthrough: when a training has gone on long enough.

The training loss falls and falls, while that of images that are only looked at, the validation
loss, rises again once the network learns its images by heart. So a training ends when that has not
become lower for some epochs, and the network gets the weights that it had before (L. Prechelt,
"Early stopping - but when?", 1998). Keras has it as `EarlyStopping`.
"""

from collections.abc import Sequence

import tensorflow as tf


def best_epoch(losses: Sequence[float]) -> int:
    """Returns the epoch with the lowest validation loss, 1 for the first; of equal ones, the first.

    losses: that of each epoch, at least one.
    """
    return 1 + min(range(len(losses)), key=losses.__getitem__)


def is_exhausted(losses: Sequence[float], patience: int) -> bool:
    """Returns whether the last `patience` epochs, or more, all came after the best one.

    losses: the validation loss of each epoch, none before the first.
    Raises `ValueError` where `patience` is below 1.
    """
    if patience < 1:
        raise ValueError(f"patience is {patience!r}; it must be 1 or more.")
    return bool(losses) and len(losses) - best_epoch(losses) >= patience


def check_variables(model: tf.Module) -> None:
    """Raises `ValueError` where a model's variables are not all that is trained and kept."""
    listed = {id(variable) for variable in model.variables}
    if any(id(variable) not in listed for variable in model.trainable_variables):
        raise ValueError(
            "The model's variables lack some of its trainable_variables: a tf.Module that holds "
            "layers of Keras has to define variables, too, with all of theirs."
        )


class BestWeights(tf.Module):
    """The weights of the best epoch of a training, beside those of the last.

    In a loop of one's own:

        best, losses = BestWeights(model), []
        for epoch in range(1, 51):
            trainer.train_epoch(pixels, one_hot, epoch)
            losses.append(metrics.evaluate(model, *validation).loss)
            best.keep(losses)
            if early_stopping.is_exhausted(losses, patience=3):
                break
        best.put_into_model()

    model: what is trained, a `tf.Module`; its variables that are not trained are kept as well.
    others: a copy of each of the model's variables.
    are_in_model: a `bool` variable: whether the best weights are in the model, and the last epoch's
        are the `others`; otherwise it is the other way round.
    Raises `ValueError` where the model does not list all that is trained.
    """

    def __init__(self, model: tf.Module):
        super().__init__()
        check_variables(model)
        self.model = model
        self.others = [tf.Variable(variable, trainable=False) for variable in model.variables]
        self.are_in_model = tf.Variable(False, trainable=False)

    def keep(self, losses: Sequence[float]) -> None:
        """Copies the model's weights where the last epoch is the best.

        losses: the validation loss of each epoch until now.
        """
        if best_epoch(losses) == len(losses):
            for variable, other in zip(self.model.variables, self.others, strict=True):
                other.assign(tf.identity(variable))

    def put_into_model(self, best: bool = True) -> None:
        """Gives the model the best weights; or with False those of the last epoch, to go on."""
        if bool(self.are_in_model) != best:
            for variable, other in zip(self.model.variables, self.others, strict=True):
                value = tf.identity(variable)
                variable.assign(other.value())
                other.assign(value)
            self.are_in_model.assign(best)
