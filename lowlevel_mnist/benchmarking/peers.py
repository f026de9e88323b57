"""Two peers of other libraries, as their users write them well: PyTorch's eager loop, and JAX's
`jit` of a `scan` over the epoch.

They do what the others do: the network of a recipe, Glorot-uniform at the start, on the same
images, scaled to float32 before the clock starts; in each epoch every image once in a new random
order, the last, smaller batch included; loss and accuracy summed on the way.
"""

import itertools
import time

import numpy as np

from lowlevel_mnist.data import Images
from lowlevel_mnist.recipes import Recipe

EPSILON = 1e-7  # Keras's; the other constants of the rules are equal in all libraries, or given


def measure_torch(
    recipe: Recipe, training: Images, test: Images, classes: int, epochs: int
) -> dict:
    """Trains with PyTorch; returns the seconds of each epoch and the test accuracy."""
    import torch

    torch.manual_seed(0)
    images, labels = map(torch.from_numpy, prepare(*training))
    layers: list[torch.nn.Module] = []
    for inputs, outputs in itertools.pairwise([images.shape[1], *recipe.hidden_units, classes]):
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
        print_epoch(float(loss_sum) / len(images), int(correct) / len(images))
        seconds.append(time.perf_counter() - start)
    images, labels = map(torch.from_numpy, prepare(*test))
    model.eval()
    with torch.no_grad():
        correct = (model(images).argmax(1) == labels).sum()
    return {"seconds": seconds, "test_accuracy": int(correct) / len(images)}


def measure_jax(recipe: Recipe, training: Images, test: Images, classes: int, epochs: int) -> dict:
    """Trains with JAX; returns the seconds of each epoch and the test accuracy."""
    import jax
    from jax import numpy as jnp

    update, slots = jax_rules(recipe.learning_rate)[recipe.optimizer]
    size = recipe.batch_size

    def forward(parameters, outputs, key=None):
        for layer in range(0, len(parameters), 2):
            if layer > 0:
                outputs = jax.nn.relu(outputs)
                if key is not None and recipe.dropout:
                    key, this = jax.random.split(key)
                    keep = jax.random.bernoulli(this, 1 - recipe.dropout, outputs.shape)
                    outputs = jnp.where(keep, outputs / (1 - recipe.dropout), 0)
            outputs = outputs @ parameters[layer] + parameters[layer + 1]
        return outputs

    def cost(parameters, batch, truth, key):
        logits = forward(parameters, batch, key)
        costs = -jnp.take_along_axis(jax.nn.log_softmax(logits), truth[:, None], axis=1)
        return costs.mean(), (costs.sum(), (logits.argmax(axis=1) == truth).sum())

    @jax.jit
    def train_epoch(state, images, labels, key):
        order_key, dropout_key = jax.random.split(key)
        order = jax.random.permutation(order_key, len(images))
        steps, rest = divmod(len(images), size)
        keys = jax.random.split(dropout_key, steps + 1)

        def step(state, inputs):
            rows, key = inputs
            parameters, memory, t = state
            gradients, sums = jax.grad(cost, has_aux=True)(
                parameters, images[rows], labels[rows], key
            )
            kinds = parameters, gradients, *memory
            changed = [update(*of_one, t + 1) for of_one in zip(*kinds, strict=True)]
            parameters, *memory = map(list, zip(*changed, strict=True))
            return (parameters, memory, t + 1), sums

        whole = order[: steps * size].reshape(steps, size)
        state, sums = jax.lax.scan(step, state, (whole, keys[:steps]))
        loss, correct = (total.sum() for total in sums)
        if rest:
            state, sums = step(state, (order[steps * size :], keys[steps]))
            loss, correct = loss + sums[0], correct + sums[1]
        return state, loss / len(images), correct / len(images)

    images, labels = map(jnp.asarray, prepare(*training))
    shapes = itertools.pairwise([images.shape[1], *recipe.hidden_units, classes])
    glorot = jax.nn.initializers.glorot_uniform()
    parameters = []  # weights and biases, in turn
    for layer, shape in enumerate(shapes):
        parameters += [glorot(jax.random.key(layer), shape), jnp.zeros(shape[1])]
    state = parameters, [jax.tree.map(jnp.zeros_like, parameters)] * slots, 0
    seconds = []
    for epoch in range(epochs):
        start = time.perf_counter()
        state, loss, accuracy = train_epoch(state, images, labels, jax.random.key(epoch))
        print_epoch(float(loss), float(accuracy))
        seconds.append(time.perf_counter() - start)
    images, labels = map(jnp.asarray, prepare(*test))
    correct = (forward(state[0], images).argmax(axis=1) == labels).sum()
    return {"seconds": seconds, "test_accuracy": int(correct) / len(images)}


def jax_rules(rate: float) -> dict:
    """Returns for each rule of `optimizers` the update of one parameter, and its number of slots.

    An update maps (w, gradient, slots ..., number of the step) to a tuple (w, slots ...).
    """
    from jax import numpy as jnp

    def sgd(w, g, t):
        return (w - rate * g,)

    def rmsprop(w, g, v, t):
        v = 0.9 * v + 0.1 * g**2
        return w - rate * g / jnp.sqrt(v + EPSILON), v

    def adam(w, g, m, v, t):
        m = 0.9 * m + 0.1 * g
        v = 0.999 * v + 0.001 * g**2
        alpha = rate * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        return w - alpha * m / (jnp.sqrt(v) + EPSILON), m, v

    return {"sgd": (sgd, 0), "rmsprop": (rmsprop, 1), "adam": (adam, 2)}


def prepare(images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns images as `float32` [n, pixels], 0..1, and labels as `int64` [n]."""
    return images.reshape(len(images), -1).astype(np.float32) / 255, labels.astype(np.int64)


def print_epoch(loss: float, accuracy: float) -> None:
    print(f"loss {loss:.4f}  accuracy {accuracy:.4f}")
