"""A whole run of softmax regression beside a program of twenty lines in NumPy, in float64.

The order of the images, the smaller last batch, the update, the running means and the test: what
`train` has written is what the formulas give. On images of 8x6 pixels in four classes, as nothing
depends on MNIST's size.
"""

import numpy as np

from tests.helpers.data import pattern_arrays
from tests.helpers.network import softmax
from tests.helpers.runs import read_metrics, train_on

SEED, BATCH, EPOCHS, RATE = 3, 96, 2, 0.05
INITIAL_WEIGHTS, ORDER = 1, 2  # the purposes for which numbers are drawn


def losses_and_hits(probabilities, labels):
    """For each image -log p of its true class, and whether that is the most probable one."""
    return -np.log(probabilities[range(len(labels)), labels]), probabilities.argmax(1) == labels


def twin(images, labels, test_images, test_labels):
    """Returns weights, biases, (loss, accuracy) of each epoch, (loss, accuracy) of the test."""
    x, test_x = (part.reshape(len(part), -1) / 255 for part in (images, test_images))
    inputs, classes = x.shape[1], labels.max() + 1
    limit = np.sqrt(6 / (inputs + classes))  # Glorot and Bengio's
    w = np.random.default_rng([SEED, INITIAL_WEIGHTS, 0]).uniform(-limit, limit, (inputs, classes))
    b = np.zeros(classes)
    history = []
    for epoch in range(1, EPOCHS + 1):
        order = np.random.default_rng([SEED, ORDER, epoch]).permutation(len(x))
        scores = []
        for start in range(0, len(x), BATCH):
            batch = order[start : start + BATCH]
            p = softmax(x[batch] @ w + b)
            scores.append(losses_and_hits(p, labels[batch]))
            error = (p - np.eye(classes)[labels[batch]]) / len(batch)
            w, b = w - RATE * x[batch].T @ error, b - RATE * error.sum(axis=0)
        history.append(np.concatenate(scores, axis=1).mean(axis=1))
    test = np.mean(losses_and_hits(softmax(test_x @ w + b), test_labels), axis=1)
    return w, b, history, test


def test_a_run_and_its_twin(tmp_path):
    flags = ["--batch-size", BATCH, "--epochs", EPOCHS, "--learning-rate", RATE, "--seed", SEED]
    run = train_on(pattern_arrays(), *flags, "--dtype", "float64", "--no-plots", home=tmp_path)
    w, b, history, test = twin(*run.arrays)

    model, metrics = run.load_model(), read_metrics(run.folder)
    np.testing.assert_allclose(model.weights[0], w, rtol=0, atol=1e-13)
    np.testing.assert_allclose(model.biases[0], b, rtol=0, atol=1e-13)
    ours = [(row["loss"], row["accuracy"]) for row in metrics["history"]]
    np.testing.assert_allclose(ours, history, rtol=1e-12)
    np.testing.assert_allclose([metrics["test_loss"], metrics["test_accuracy"]], test, rtol=1e-12)
