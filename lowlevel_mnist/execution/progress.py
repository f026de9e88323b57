"""How far an epoch of training has come."""

import dataclasses

import numpy as np

from lowlevel_mnist.errors import check_finite


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far an epoch has come.

    step, steps: batches trained on, and batches of the epoch.
    images: how many images were in them.
    loss_sum, correct: sum of their costs, and how many of them were classified correctly (None
        where that is not counted), each taken as its batch's turn came.
    seconds: wall time that the training took so far.
    """

    step: int = 0
    steps: int = 0
    images: int = 0
    loss_sum: float = 0.0
    correct: int | None = 0
    seconds: float = 0.0

    @property
    def loss(self) -> float:
        """Mean cost of an image so far."""
        return self.loss_sum / self.images

    @property
    def accuracy(self) -> float | None:
        """Fraction of the images so far that were classified correctly, if that is counted."""
        return None if self.correct is None else self.correct / self.images

    def after(
        self,
        epoch: int,
        batch_size: int,
        seconds: float,
        costs: np.ndarray,
        correct: np.ndarray | None = None,
    ) -> "Progress":
        """Returns the progress after some more batches of `batch_size` images.

        seconds: wall time of the epoch up to now.
        costs, correct: the sum of each batch's costs, and how many images it had right, if that is
            counted, [batches].
        Raises `DivergedError`, which names the step, where a cost is not a finite number.
        """
        loss_sum = self.loss_sum
        for step, cost in enumerate(costs.tolist(), start=self.step + 1):
            check_finite(cost, f"at step {step} of epoch {epoch}")
            loss_sum += cost  # one by one: the sum does not depend on how many come at a time
        return dataclasses.replace(
            self,
            step=self.step + len(costs),
            images=self.images + len(costs) * batch_size,
            loss_sum=loss_sum,
            correct=None if correct is None else (self.correct or 0) + int(correct.sum()),
            seconds=seconds,
        )
