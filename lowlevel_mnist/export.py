"""`python -m lowlevel_mnist.export`: saves a run's network for TensorFlow Serving and the like."""

import os
import pathlib

from lowlevel_mnist import startup
from lowlevel_mnist.console import cli, flags
from lowlevel_mnist.errors import UserError
from lowlevel_mnist.runs import files, folders


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
    folder = arguments.to.resolve()
    folders.check_path(folder)
    check_folder(folder)
    model = run.load_model()
    import tensorflow as tf

    height, width = run.settings.image_size
    module = serving_module(tf, model, height, width, run.settings.invert)
    # With the folders above it that have to be made, so that none of them stays in case of error.
    top = next((path for path in reversed(folder.parents) if not path.exists()), folder)
    try:
        with files.atomic_write(top) as unfinished:
            target = unfinished / folder.relative_to(top)
            tf.saved_model.save(module, files.as_text(target), signatures=module.predict)
    except tf.errors.OpError as error:
        raise UserError(
            f"{folder} can't be written: the disk is full, or the place is not yours to write in."
        ) from error
    tool = ["saved_model_cli", "show", "--dir", folder, "--tag_set", "serve"]
    print(
        f"Run {run.folder}: {run.settings.recipe}\n"
        f"Saved in {folder}; in Python it is used so:\n"
        "  import tensorflow as tf\n"
        f"  model = tf.saved_model.load({str(folder)!r})\n"
        f"  model.predict(images)  # uint8 [n, {height}, {width}], 0 to 255; "
        "a dict: probabilities [n, classes], classes [n]\n"
        "TensorFlow's own tool shows its signature, what goes in and what comes out:\n"
        f"  {startup.shell_line(*tool, '--signature_def', 'serving_default')}"
    )


def check_folder(folder: pathlib.Path) -> None:
    """Raises `UserError` where nothing can be saved in a folder of this name."""
    try:
        os.fsencode(folder).decode()
    except UnicodeDecodeError as error:
        raise UserError(
            f"The name of the folder {folder} is not UTF-8; choose another --to."
        ) from error
    with files.os_error_as_user_error(f"The folder {folder} can't be read"):
        there = next(path for path in (folder, *folder.parents) if path.exists())
        if not there.is_dir():
            raise UserError(f"{there} is a file; choose another --to.")
        if there == folder and any(folder.iterdir()):
            raise UserError(f"The folder {folder} is not empty; choose another --to.")


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
