"""Step 3 of the walkthrough: weights and biases as `tf.Variable`; logits, softmax, dropout."""

import functools
import inspect
import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from lowlevel_mnist import randomness
from lowlevel_mnist.execution import kernels


class Network(tf.Module):
    """Layers of weighted sums; ReLU between them.

    With two layer sizes this is softmax regression: one weighted sum of the pixels for each class.

    layer_sizes: [pixels, units of each hidden layer ..., classes].
    seed: whole number of 0 or more; the same one gives the same initial weights.
    dtype: `tf.float32` or `tf.float64`, or its name.
    weights: a `tf.Variable` [inputs, outputs] for each layer, Glorot-uniform at the start.
    biases: a `tf.Variable` [outputs] for each layer, zero at the start.
    """

    def __init__(
        self, layer_sizes: Sequence[int], seed: int = 0, dtype: tf.DType | str = tf.float32
    ):
        super().__init__()
        self.layer_sizes = tuple(layer_sizes)
        generator = randomness.generator(seed, randomness.WEIGHTS)
        self.weights = [
            tf.Variable(glorot_uniform(generator, inputs, outputs), dtype=dtype)
            for inputs, outputs in itertools.pairwise(layer_sizes)
        ]
        self.biases = [tf.Variable(np.zeros(outputs), dtype=dtype) for outputs in layer_sizes[1:]]

    @property
    def dropout_units(self) -> tuple[int, ...]:
        """Units of each layer whose outputs a dropout mask multiplies: the hidden ones."""
        return self.layer_sizes[1:-1]

    def __call__(self, images: tf.Tensor, *masks: tf.Tensor) -> tf.Tensor:
        """Returns the logits.

        images: [n, pixels], scaled to 0..1, of the dtype of the variables.
        masks: in training with dropout, for each hidden layer what its outputs [n, units] are
            multiplied by (`Dropout.mask`); otherwise none.
        Returns a tensor [n, classes].
        """
        outputs = images
        for layer, (weights, biases) in enumerate(zip(self.weights, self.biases, strict=True)):
            if layer > 0:
                outputs = tf.nn.relu(outputs)
                if masks:
                    outputs = tf.multiply(outputs, masks[layer - 1])
            outputs = tf.nn.bias_add(kernels.matmul(outputs, weights), biases)
        return outputs


def in_mode(model: Callable[..., tf.Tensor], training: bool) -> Callable[..., tf.Tensor]:
    """Returns a model as it is called in training, or when it is evaluated.

    They differ for a model with an argument `training`, as one with batch normalisation has it.
    """
    call = getattr(model, "call", model)  # Keras's __call__ hides what its `call` takes
    has_mode = "training" in inspect.signature(call).parameters
    return functools.partial(model, training=training) if has_mode else model


def probabilities(logits: tf.Tensor) -> tf.Tensor:
    """Returns the softmax: exp(logit), divided by the sum of that over the classes.

    logits: [n, classes]. Returns a tensor of the same shape; each row sums to 1.
    """
    return tf.nn.softmax(logits)


def glorot_uniform(
    generator: np.random.Generator, inputs: int, outputs: int
) -> npt.NDArray[np.float64]:
    """Draws weights that keep the scale of what passes through them.

    Uniform in [-l, l] with l = sqrt(6 / (inputs + outputs)): X. Glorot and Y. Bengio,
    "Understanding the difficulty of training deep feedforward neural networks" (2010), eq. 16.

    Returns a `float64` array [inputs, outputs].
    """
    limit = np.sqrt(6 / (inputs + outputs))
    return generator.uniform(-limit, limit, (inputs, outputs))


def count_parameters(model: tf.Module) -> int:
    """Counts the numbers that a training changes, weights and biases."""
    return sum(math.prod(variable.shape) for variable in model.trainable_variables)


class Dropout:
    """Drops a fraction of a layer's outputs in each training step, for each image anew.

    Those that are kept are multiplied by 1 / (1 - rate). This is inverted dropout: it leaves the
    mean of an output as it is, so nothing needs to be done after training (N. Srivastava et al.,
    "Dropout: a simple way to prevent neural networks from overfitting", 2014, section 10).

    rate: in [0, 1), rounded to a 65,536th: 16 random bits are drawn three times as fast as the 24
        of a float.
    units: of each layer that drops out; none where nothing does.
    seed: whole number of 0 or more; with the epoch it decides what is dropped.
    """

    def __init__(self, rate: float, units: Sequence[int], seed: int = 0):
        self.units, self.seed = tuple(units), seed
        levels = 2**16
        self.dropped_levels = min(round(rate * levels), levels - 1)
        self.scale = levels / (levels - self.dropped_levels)

    def draw(
        self, epoch: int, first: int, batches: int, batch_size: int
    ) -> list[npt.NDArray[np.bool_]]:
        """Draws what is kept in some batches of an epoch.

        first: which image of the epoch is their first one.
        Returns for each layer a `bool` array [batches, batch_size, units].
        """
        kept = []
        for layer, units in enumerate(self.units):
            bits = randomness.generator(self.seed, randomness.DROPOUT, epoch, layer).bit_generator
            draws = math.ceil(units / 4)  # of 64 bits, for an image
            bits.advance(first * draws)  # type: ignore[attr-defined]
            drawn = bits.random_raw((batches, batch_size, draws)).view(np.uint16)
            kept.append(drawn[..., :units] >= self.dropped_levels)
        return kept

    def mask(self, kept: tf.Tensor, dtype: tf.DType | str) -> tf.Tensor:
        """Returns what outputs are multiplied by: 1 / (1 - rate) where they are kept, or else 0.

        kept: `bool`, of any shape. Returns a tensor of the same shape and of `dtype`.
        """
        return tf.cast(kept, dtype) * self.scale
