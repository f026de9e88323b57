"""Step 3 of the walkthrough: weights and biases as `tf.Variable`, logits, softmax."""

import itertools

import numpy as np
import tensorflow as tf

from lowlevel_mnist import randomness


class Network(tf.Module):
    """Layers of weighted sums; ReLU between them.

    With two layer sizes this is softmax regression: one weighted sum of the pixels a class.

    layer_sizes: [pixels, units of each hidden layer ..., classes].
    weights: a `tf.Variable` [inputs, outputs] for each layer, Glorot-uniform at the start.
    biases: a `tf.Variable` [outputs] for each layer, zero at the start.
    """

    def __init__(self, layer_sizes, seed=0, dtype=tf.float32):
        super().__init__()
        generator = randomness.generator(seed, randomness.WEIGHTS)
        self.layer_sizes = tuple(layer_sizes)
        self.weights = [
            tf.Variable(glorot_uniform(generator, inputs, outputs), dtype=dtype)
            for inputs, outputs in itertools.pairwise(layer_sizes)
        ]
        self.biases = [tf.Variable(np.zeros(outputs), dtype=dtype) for outputs in layer_sizes[1:]]

    def __call__(self, images, *masks):
        """Returns the logits.

        images: [n, pixels], scaled to 0..1, of the dtype of the variables.
        masks: in training with dropout, for each hidden layer what its outputs [n, units] are
            multiplied by (`dropout_mask`); otherwise none.
        Returns a tensor [n, classes].
        """
        outputs = images
        for layer, (weights, biases) in enumerate(zip(self.weights, self.biases, strict=True)):
            if layer > 0:
                outputs = tf.nn.relu(outputs)
                if masks:
                    outputs *= masks[layer - 1]
            outputs = tf.nn.bias_add(tf.matmul(outputs, weights), biases)
        return outputs


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


def dropout_mask(generator, images, units, rate, dtype):
    """Draws which outputs of a hidden layer a training step drops, for each image anew.

    Inverted dropout: with probability `rate` an output is multiplied by 0, otherwise by
    1 / (1 - rate), so that its mean stays as it is and nothing needs to be done after training
    (N. Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting",
    2014, section 10).

    generator: `np.random.Generator`; masks drawn in pieces are those drawn at once.
    rate: float in [0, 1).
    Returns an array [images, units] of the NumPy `dtype`.
    """
    kept = generator.random((images, units), dtype=np.float32) >= rate
    return kept * np.asarray(1 / (1 - rate), dtype)
