"""Step 3 of the walkthrough: weights and biases as `tf.Variable`, logits, softmax."""

import numpy as np
import tensorflow as tf

from lowlevel_mnist import randomness


class SoftmaxRegression(tf.Module):
    """One layer: a weighted sum of the pixels for each class.

    weights: `tf.Variable` [pixels, classes], Glorot-uniform at the start.
    biases: `tf.Variable` [classes], zero at the start.
    """

    def __init__(self, pixels, classes, seed=0, dtype=tf.float32):
        super().__init__()
        generator = randomness.generator(seed, randomness.WEIGHTS)
        self.weights = tf.Variable(glorot_uniform(generator, pixels, classes), dtype=dtype)
        self.biases = tf.Variable(np.zeros(classes), dtype=dtype)

    def __call__(self, images):
        """Returns the logits, images · weights + biases.

        images: [n, pixels], scaled to 0..1, of the dtype of the variables.
        Returns a tensor [n, classes].
        """
        return tf.nn.bias_add(tf.matmul(images, self.weights), self.biases)


def probabilities(logits):
    """Softmax: exp(logit), divided by the sum of that over the classes.

    logits: [n, classes]. Returns a tensor of the same shape; each row sums to 1.
    """
    return tf.nn.softmax(logits)


def glorot_uniform(generator, inputs, outputs):
    """Draws weights that neither swell nor fade what passes through them.

    Uniform in [-l, l] with l = sqrt(6 / (inputs + outputs)): X. Glorot and Y. Bengio,
    "Understanding the difficulty of training deep feedforward neural networks" (2010), eq. 16.

    generator: `np.random.Generator`.
    Returns a `float64` array [inputs, outputs].
    """
    limit = np.sqrt(6 / (inputs + outputs))
    return generator.uniform(-limit, limit, (inputs, outputs))
