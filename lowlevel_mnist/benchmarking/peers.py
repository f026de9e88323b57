"""Two peers of other libraries, as their users write them well: PyTorch's eager loop, and JAX's
`jit` of a `scan` over the epoch.

They do what the others do: the network of a recipe, Glorot-uniform at the start, on the same
images, scaled to float32 before the clock starts; in each epoch every image once in a new random
order, the last, smaller batch included; loss and accuracy summed on the way.
"""

import itertools
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from lowlevel_mnist.data import Dataset
from lowlevel_mnist.recipes import Recipe

OPTIMIZERS = ("sgd", "rmsprop", "adam")  # that these two peers know
EPSILON = 1e-7  # Keras's; the other constants of the rules are equal in all libraries, or given

Arrays = tuple[np.ndarray, np.ndarray]  # images `float32` [n, pixels], labels `int64` [n]


def measure_torch(recipe: Recipe, dataset: Dataset, epochs: int) -> dict[str, Any]:
    """Trains with PyTorch; returns the seconds of each epoch and the test accuracy."""
    import torch

    torch.manual_seed(0)
    (images, labels), test = (map(torch.from_numpy, part) for part in prepare(dataset))
    sizes = [images.shape[1], *recipe.hidden_units, dataset.classes]
    layers: list[torch.nn.Module] = []
    for inputs, outputs in itertools.pairwise(sizes):
        if layers:
            layers.append(torch.nn.ReLU())
            if recipe.dropout:
                layers.append(torch.nn.Dropout(recipe.dropout))
        layer = torch.nn.Linear(inputs, outputs)
        torch.nn.init.xavier_uniform_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
        layers.append(layer)
    model = torch.nn.Sequential(*layers)
    rate = recipe.learning_rate
    # PyTorch has SGD and Adam as one fused kernel for a CPU, but not RMSprop, to whose root it adds
    # epsilon, and not to what is inside.
    make_optimizer = {
        "sgd": lambda w: torch.optim.SGD(w, rate, fused=True),
        "rmsprop": lambda w: torch.optim.RMSprop(w, rate, alpha=0.9, eps=EPSILON),
        "adam": lambda w: torch.optim.Adam(w, rate, eps=EPSILON, fused=True),
    }
    optimizer = make_optimizer[recipe.optimizer](model.parameters())
    seconds = []
    for _ in range(epochs):
        start = time.perf_counter()
        loss_sum, correct = torch.zeros(()), torch.zeros((), dtype=torch.int64)
        for rows in torch.randperm(len(images)).split(recipe.batch_size):
            truth = labels[rows]
            optimizer.zero_grad()
            logits = model(images[rows])
            loss = torch.nn.functional.cross_entropy(logits, truth)
            loss.backward()
            optimizer.step()
            loss_sum += loss.detach() * len(rows)
            correct += (logits.detach().argmax(1) == truth).sum()
        print(f"loss {loss_sum / len(images):.4f}  accuracy {correct / len(images):.4f}")
        seconds.append(time.perf_counter() - start)
    images, labels = test
    model.eval()
    with torch.no_grad():
        correct = (model(images).argmax(1) == labels).sum()
    return {"seconds": seconds, "test_accuracy": int(correct) / len(images)}


def measure_jax(recipe: Recipe, dataset: Dataset, epochs: int) -> dict[str, Any]:
    """Trains with JAX; returns the seconds of each epoch and the test accuracy."""
    import jax
    from jax import Array
    from jax import numpy as jnp

    size = recipe.batch_size
    initialize, forward = jax_network(recipe, dataset.classes, "train")
    begin, update, parameters_of = jax_optimizer(recipe.optimizer, recipe.learning_rate)

    def cost(
        parameters: Any, batch: Array, truth: Array, key: Array
    ) -> tuple[Array, tuple[Array, Array]]:
        logits = forward(parameters, batch, rng=key)
        costs = -jnp.take_along_axis(jax.nn.log_softmax(logits), truth[:, None], axis=1)
        return costs.mean(), (costs.sum(), (logits.argmax(axis=1) == truth).sum())

    @jax.jit
    def train_epoch(
        state: Any, images: Array, labels: Array, key: Array
    ) -> tuple[Any, Array, Array]:
        order_key, dropout_key = jax.random.split(key)
        order = jax.random.permutation(order_key, len(images))
        steps, rest = divmod(len(images), size)
        keys = jax.random.split(dropout_key, steps + 1)

        def step(state: Any, inputs: tuple[Array, Array]) -> tuple[Any, tuple[Array, Array]]:
            (rows, key), (slots, t) = inputs, state
            gradients, sums = jax.grad(cost, has_aux=True)(
                parameters_of(slots), images[rows], labels[rows], key
            )
            return (update(t, gradients, slots), t + 1), sums

        whole = order[: steps * size].reshape(steps, size)
        state, sums = jax.lax.scan(step, state, (whole, keys[:steps]))
        loss, correct = (total.sum() for total in sums)
        if rest:
            state, sums = step(state, (order[steps * size :], keys[steps]))
            loss, correct = loss + sums[0], correct + sums[1]
        return state, loss / len(images), correct / len(images)

    (images, labels), test = (map(jnp.asarray, part) for part in prepare(dataset))
    _, parameters = initialize(jax.random.key(0), images.shape)
    state = begin(parameters), 0
    seconds = []
    for epoch in range(epochs):
        start = time.perf_counter()
        state, loss, accuracy = train_epoch(state, images, labels, jax.random.key(epoch))
        print(f"loss {loss:.4f}  accuracy {accuracy:.4f}")
        seconds.append(time.perf_counter() - start)
    images, labels = test
    _, predict = jax_network(recipe, dataset.classes, "test")
    logits = predict(parameters_of(state[0]), images, rng=jax.random.key(0))
    correct = (logits.argmax(axis=1) == labels).sum()
    return {"seconds": seconds, "test_accuracy": int(correct) / len(images)}


def jax_network(recipe: Recipe, classes: int, mode: str) -> tuple[Callable[..., Any], ...]:
    """Returns the functions that begin and apply a network; mode: "train", or "test"."""
    from jax.example_libraries import stax
    from jax.nn import initializers

    start = initializers.glorot_uniform(), initializers.zeros
    layers = []
    for units in recipe.hidden_units:
        layers += [stax.Dense(units, *start), stax.Relu]
        if recipe.dropout:
            layers.append(stax.Dropout(1 - recipe.dropout, mode))
    return stax.serial(*layers, stax.Dense(classes, *start))


def jax_optimizer(name: str, rate: float) -> tuple[Callable[..., Any], ...]:
    """Returns the functions that begin a state, update it, and give its parameters."""
    from jax.example_libraries import optimizers

    if name == "sgd":
        return optimizers.sgd(rate)
    return {"rmsprop": optimizers.rmsprop, "adam": optimizers.adam}[name](rate, eps=EPSILON)


def prepare(dataset: Dataset) -> tuple[Arrays, Arrays]:
    """Returns the images of training and test, scaled to 0..1, and their labels."""

    def flatten(images: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8]) -> Arrays:
        return images.reshape(len(images), -1).astype(np.float32) / 255, labels.astype(np.int64)

    training = flatten(dataset.train_images, dataset.train_labels)
    return training, flatten(dataset.test_images, dataset.test_labels)
