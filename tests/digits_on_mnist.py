"""How well a network that has seen only the built-in digits reads real handwriting.

    python tests/digits_on_mnist.py test 0

trains 784-512-10 (ReLU, dropout 0.2, Adam 1e-3, batch 32, 5 epochs) with seed 0 on the 60,000
built-in training digits and prints its accuracy and confusion matrix on MNIST's "test" or
"train" images, which LOWLEVEL_MNIST_DATA must hold. The digits were tuned on "train" alone.

    python tests/digits_on_mnist.py picture FILE

draws two rows of built-in digits above two rows of MNIST's training images.
"""

import sys

import numpy as np
from matplotlib.figure import Figure

from lowlevel_mnist import data, digits, startup

keras = startup.import_tensorflow().keras


def train_on_digits(seed):
    """Returns a Keras network, trained on the built-in digits."""
    keras.utils.set_random_seed(seed)
    network = keras.Sequential(
        [
            keras.Input((784,)),
            keras.layers.Dense(512, activation="relu"),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    network.compile(
        optimizer=keras.optimizers.Adam(1e-3),
        loss="sparse_categorical_crossentropy",
        steps_per_execution=75,
        jit_compile=True,
    )
    (images, labels), _ = digits.load()
    network.fit(as_input(images), labels, batch_size=32, epochs=5, verbose=0)
    return network


def as_input(images):
    return images.reshape(len(images), -1).astype(np.float32) / 255


def read_mnist(network, part):
    """Returns the confusion matrix on MNIST's "train" or "test" images."""
    mnist = data.load("mnist")
    images, labels = {
        "train": (mnist.train_images, mnist.train_labels),
        "test": (mnist.test_images, mnist.test_labels),
    }[part]
    predictions = network.predict(as_input(images), batch_size=5000, verbose=0).argmax(axis=1)
    matrix = np.zeros((10, 10), int)
    np.add.at(matrix, (labels, predictions), 1)
    return matrix


def print_report(part, seed):
    matrix = read_mnist(train_on_digits(seed), part)
    print(f"seed {seed}, MNIST {part} images: accuracy {matrix.trace() / matrix.sum():.4f}")
    print("rows: true digit; columns: what the network says; last column: accuracy of the row")
    for digit, row in enumerate(matrix):
        counts = "".join(f"{count:6d}" for count in row)
        print(f"{digit}  {counts} {row[digit] / row.sum():8.3f}")


def draw_picture(file, columns=14):
    mnist = data.load("mnist")
    count = 2 * columns
    rows = {
        "built-in digits": digits.generate(count, seed=0)[0],
        "MNIST": mnist.train_images[:count],
    }
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    for part, (title, images) in zip(figure.subfigures(2, 1), rows.items(), strict=True):
        axis = part.subplots()
        sheet = images.reshape(2, columns, 28, 28).swapaxes(1, 2).reshape(2 * 28, columns * 28)
        axis.imshow(sheet, cmap="gray")
        axis.set_axis_off()
        axis.set_title(title, loc="left", fontsize=11)
    figure.savefig(file, dpi=110)


if __name__ == "__main__":
    if sys.argv[1] == "picture":
        draw_picture(sys.argv[2])
    else:
        print_report(sys.argv[1], int(sys.argv[2]))
