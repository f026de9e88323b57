"""The networks once more in float64 NumPy, as textbooks write them: what the package is held to."""

import numpy as np


def softmax(logits):
    """Returns the probabilities of each row of logits, float64 [n, classes]."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def forward(weights, biases, images, masks=()):
    """Returns the logits [n, classes] of a network of any depth, with ReLUs between its layers.

    masks: by what each hidden layer's outputs are multiplied, [n, units]; none without dropout.
    """
    outputs = images @ weights[0] + biases[0]
    for layer, (w, b) in enumerate(zip(weights[1:], biases[1:], strict=True)):
        outputs = np.maximum(outputs, 0) * (masks[layer] if masks else 1)
        outputs = outputs @ w + b
    return outputs


def cross_entropy(logits, one_hot):
    """Returns the costs of each row, float64 [n]."""
    return -np.log((softmax(logits) * one_hot).sum(axis=1))
