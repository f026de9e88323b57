"""The named networks, as plain data."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A named network with its data set, optimizer and schedule.

    dataset: a name of `data.load`, or "auto", for MNIST or else the built-in digits.
    """

    name: str
    dataset: str
    optimizer: str
    learning_rate: float
    batch_size: int
    epochs: int


RECIPES = {
    recipe.name: recipe
    for recipe in [
        Recipe(
            name="softmax",
            dataset="auto",
            optimizer="sgd",
            learning_rate=0.5,
            batch_size=128,
            epochs=5,
        ),
    ]
}
