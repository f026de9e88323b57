"""Step 3 of the walkthrough: weights and biases as `tf.Variable`, logits, softmax."""

import itertools
import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from lowlevel_mnist import randomness

LEVELS = 2**16  # a dropout rate is drawn in whole 65,536ths


class Network(tf.Module):
    """Layers of weighted sums; ReLU between them.

    With two layer sizes this is softmax regression: one weighted sum of the pixels for each class.
    Written plainly, a layer after the first is

        outputs = tf.nn.relu(pre_activations) * mask
        pre_activations = tf.matmul(outputs, weights) + biases

    and those of the last layer are the logits.

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
        generator = randomness.generator(seed, randomness.WEIGHTS)
        self.layer_sizes = tuple(layer_sizes)
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
            multiplied by (`dropout_mask`); otherwise none.
        Returns a tensor [n, classes].
        """
        # The kernels behind tf.matmul, tf.nn.relu, * and +, called directly: what Python does
        # around them is an eighth of an eager step (1.37 s an epoch of 784-128-10, not 1.57).
        outputs, pre_activations = images, None
        for layer, (weights, biases) in enumerate(zip(self.weights, self.biases, strict=True)):
            if layer > 0:
                outputs = tf.raw_ops.Relu(features=pre_activations)
                if masks:
                    outputs = tf.raw_ops.Mul(x=outputs, y=masks[layer - 1])
            products = tf.raw_ops.MatMul(a=outputs, b=weights)
            pre_activations = tf.raw_ops.BiasAdd(value=products, bias=biases)
        return pre_activations


def probabilities(logits: tf.Tensor) -> tf.Tensor:
    """Softmax: exp(logit), divided by the sum of that over the classes.

    logits: [n, classes]. Returns a tensor of the same shape; each row sums to 1.
    """
    return tf.nn.softmax(logits)


def glorot_uniform(generator: np.random.Generator, inputs: int, outputs: int) -> np.ndarray:
    """Draws weights that neither swell nor fade what passes through them.

    Uniform in [-l, l] with l = sqrt(6 / (inputs + outputs)): X. Glorot and Y. Bengio,
    "Understanding the difficulty of training deep feedforward neural networks" (2010), eq. 16.

    Returns a `float64` array [inputs, outputs].
    """
    limit = np.sqrt(6 / (inputs + outputs))
    return generator.uniform(-limit, limit, (inputs, outputs))


def draw_keep_mask(
    generator: np.random.Generator, images: int, units: int, rate: float
) -> np.ndarray:
    """Draws which outputs of a layer a training step keeps, for each image anew.

    Each is dropped with probability `rate`, in whole 65,536ths: 16 random bits are drawn three
    times as fast as the 24 of a float. An image takes whole draws of 64 bits, so what is drawn in
    pieces is what is drawn at once.

    rate: in [0, 1).
    Returns a `bool` array [images, units].
    """
    draws = generator.bit_generator.random_raw((images, math.ceil(units / 4)))
    return draws.view(np.uint16)[:, :units] >= _dropped_levels(rate)


def dropout_mask(keep_mask: tf.Tensor, rate: float, dtype: tf.DType | str) -> tf.Tensor:
    """What the outputs of a layer are multiplied by: 0, or 1 / (1 - rate) where they are kept.

    This is inverted dropout: it leaves the mean of an output as it is, so nothing needs to be done
    after training (N. Srivastava et al., "Dropout: a simple way to prevent neural networks from
    overfitting", 2014, section 10).

    keep_mask: `bool`, of any shape, from `draw_keep_mask` with the same `rate`; as there, 1 - rate
        is meant in whole 65,536ths.
    Returns a tensor of the same shape and of `dtype`.
    """
    ones = tf.raw_ops.Cast(x=keep_mask, DstT=dtype)
    scale = LEVELS / (LEVELS - _dropped_levels(rate))
    return tf.raw_ops.Mul(x=ones, y=tf.constant(scale, dtype))


def _dropped_levels(rate):
    """How many of the 65,536 levels stand for a dropped output: all but one at most."""
    return min(round(rate * LEVELS), LEVELS - 1)
