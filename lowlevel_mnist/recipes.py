"""The named networks, as plain data."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A named network with its data set, optimizer and schedule."""

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
            dataset="mnist",
            optimizer="sgd",
            learning_rate=0.5,
            batch_size=128,
            epochs=5,
        ),
    ]
}
