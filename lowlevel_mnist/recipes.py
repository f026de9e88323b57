"""The named networks, as plain data."""

import dataclasses

# The optimizers that --optimizer accepts, and the learning rate that Keras gives each.
DEFAULT_LEARNING_RATES = {"sgd": 0.01, "rmsprop": 0.001, "adam": 0.001, "adamw": 0.001}

# How --schedule changes the learning rate over a run, by the functions of `schedules`.
SCHEDULES = ("constant", "exponential", "cosine", "piecewise")

# How the operations of a step are executed: each at once; as a compiled graph; by XLA.
EXECUTIONS = ("eager", "graph", "xla")

# Who shares each batch: nobody; the devices of this machine; the workers of TF_CONFIG.
DISTRIBUTIONS = ("none", "mirrored", "multi-worker")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A named network with its data set, optimizer and schedule.

    dataset: a name of `data.load`, or "auto", for MNIST or else the built-in digits.
    hidden_units: units of each hidden layer; none for softmax regression.
    dropout: fraction of the hidden outputs that a training step drops.
    validation_split: fraction of the training images that is set aside for validation.
    """

    name: str
    dataset: str
    hidden_units: tuple[int, ...]
    dropout: float
    optimizer: str
    learning_rate: float
    batch_size: int
    epochs: int
    validation_split: float


RECIPES = {
    recipe.name: recipe
    for recipe in [
        # name, dataset, hidden units, dropout, optimizer, learning rate, batch, epochs, validation
        Recipe("softmax", "auto", (), 0.0, "sgd", 0.5, 128, 5, 0.0),
        Recipe("mlp-512", "auto", (512,), 0.0, "rmsprop", 0.001, 128, 5, 0.0),
        Recipe("mlp-512-dropout", "auto", (512,), 0.2, "adam", 0.001, 32, 5, 0.0),
        Recipe("mlp-128-dropout", "auto", (128,), 0.2, "adam", 0.001, 32, 5, 0.0),
        Recipe("fashion-softmax", "fashion_mnist", (), 0.0, "rmsprop", 0.001, 32, 5, 0.2),
    ]
}
