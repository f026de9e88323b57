"""`python -m lowlevel_mnist.export`: saves a run's network for TensorFlow Serving and the like."""

import math
import pathlib
import shlex

from lowlevel_mnist.console import cli, flags
from lowlevel_mnist.errors import UserError
from lowlevel_mnist.runs import files, folders
from lowlevel_mnist.runs.settings import fits


def parse():
    parser = flags.Parser(
        "export", "Saves a run's network, preprocessing included, as a TensorFlow SavedModel."
    )
    flags.add_run_flag(parser)
    parser.add_argument(
        "--to",
        type=pathlib.Path,
        metavar="DIR",
        required=True,
        help="the folder of the SavedModel, absent or empty",
    )
    return parser.parse_args()


def main():
    arguments = parse()
    run = folders.find(arguments.run)
    height, width = image_size(run)
    folder = arguments.to.resolve()
    files.check_folder(folder)
    model = run.load_model()
    import tensorflow as tf

    module = serving_module(tf, model, height, width, run.metrics["invert"])
    try:
        with files.atomic_folder(folder) as unfinished:
            tf.saved_model.save(module, str(unfinished), signatures=module.predict)
    except (tf.errors.OpError, OSError) as error:
        raise UserError(
            f"{folder} can't be written: the disk is full, or the place is not yours to write in."
        ) from error
    print(
        f"Run {run.folder}: {run.metrics['recipe']}\n"
        f"Saved in {folder}; in Python it is used so:\n"
        "  import tensorflow as tf\n"
        f"  model = tf.saved_model.load({str(folder)!r})\n"
        f"  model.predict(images)  # uint8 [n, {height}, {width}], 0 to 255; "
        "a dict: probabilities [n, classes], classes [n]\n"
        "TensorFlow's own tool shows its signature, what goes in and what comes out:\n"
        f"  saved_model_cli show --dir {shlex.quote(str(folder))} --tag_set serve "
        "--signature_def serving_default"
    )


def image_size(run):
    """Returns height and width of the images that the run's network reads."""
    size = run.metrics.get("image_size", [28, 28])  # older runs do not say it
    if not fits("image_size", size) or math.prod(size) != run.metrics["layer_sizes"][0]:
        raise UserError(
            f"The run {run.folder} does not say what size its images have: its image_size is "
            "missing or wrong."
        )
    return size


def serving_module(tf, model, height, width, invert):
    """Returns a `tf.Module` whose function `predict` goes from images to classes.

    invert: whether the network has learnt from images whose light and dark were exchanged.
    """
    from lowlevel_mnist import preprocessing
    from lowlevel_mnist.model import probabilities

    module = tf.Module()
    module.model = model

    @tf.function(
        input_signature=[tf.TensorSpec([None, height, width], tf.uint8, "images")], autograph=False
    )
    def predict(images):
        pixels = tf.reshape(255 - images if invert else images, [-1, height * width])
        scaled = preprocessing.scale(pixels, model.weights[0].dtype)
        outputs = probabilities(model(scaled))
        return {"probabilities": outputs, "classes": tf.argmax(outputs, axis=1)}

    module.predict = predict
    return module


if __name__ == "__main__":
    cli.run_command(main)
