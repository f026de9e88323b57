"""`python -m lowlevel_mnist.export`: saves a run's network for TensorFlow Serving and the like."""

import argparse
import os
import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lowlevel_mnist import startup
from lowlevel_mnist.console import cli, flags, output
from lowlevel_mnist.errors import UserError
from lowlevel_mnist.runs import files, folders
from lowlevel_mnist.runs.settings import Settings

if TYPE_CHECKING:
    import tensorflow as tf

BLANK_OR_SCALED = "The images must be uint8, 0 to 255; these are blank, or were scaled."


def parse() -> argparse.Namespace:
    parser = flags.Parser("export")
    flags.add_run_flag(parser)
    flags.add_model_flag(parser)
    parser.add_argument(
        "--to",
        type=pathlib.Path,
        metavar="DIR",
        required=True,
        help="the folder of the SavedModel, absent or empty",
    )
    return parser.parse_args()


def main(arguments: argparse.Namespace) -> None:
    output.show(output.STARTING)
    run = folders.find(arguments.run)
    run.check_model_flag(arguments.model)
    folder = arguments.to.resolve()
    folders.check_path(folder)
    check_folder(folder)
    model = run.load_model(arguments.model)
    import tensorflow as tf

    module, serve = make_module(model, run.settings)
    # With the folders above it that have to be made, so that none of them stays in case of error.
    top = next((path for path in reversed(folder.parents) if not path.exists()), folder)
    try:
        with files.atomic_write(top) as unfinished:
            target = unfinished / folder.relative_to(top)
            tf.saved_model.save(module, files.as_text(target), signatures=serve)
    except tf.errors.OpError as error:
        raise UserError(
            f"{folder} can't be written: the disk is full, or the place is not yours to write in."
        ) from error
    height, width = run.settings.image_size
    tool = ["saved_model_cli", "show", "--dir", folder, "--tag_set", "serve"]
    output.say(
        f"Run {run.folder}: {run.settings.title}",
        f"Saved in {folder}; in Python it is used so:",
        "  import tensorflow as tf",
        f"  model = tf.saved_model.load({str(folder)!r})",
        f"  model.predict(images)  # uint8 [n, {height}, {width}], 0 to 255; "
        "a dict: probabilities [n, classes], classes [n]",
        "  model.class_names  # in the order of the probabilities",
        "TensorFlow Serving looks for versions by number: export --to MODEL/1, and serve MODEL.",
        "TensorFlow's own tool shows its signature, what goes in and what comes out:",
        f"  {startup.shell_line(*tool, '--signature_def', 'serving_default')}",
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


def make_module(model: "tf.Module", settings: Settings) -> tuple["tf.Module", Callable[..., Any]]:
    """Returns a `tf.Module` to be saved, and its signature for servers, a `tf.function`.

    The module has `class_names`, and `predict`, which goes from images to classes.
    """
    import tensorflow as tf

    from lowlevel_mnist import preprocessing
    from lowlevel_mnist.model import in_mode, probabilities

    spec = tf.TensorSpec([None, *settings.image_size], tf.uint8, "images")
    names = [name or str(label) for label, name in enumerate(settings.class_names)]
    learnt_lighter = settings.image_style.mean_grey_levels[1] > 2
    forward = in_mode(model, training=False)
    module = tf.Module()
    module.model, module.class_names = model, tf.Variable(names, trainable=False)

    # No input_signature: with one, TensorFlow casts NumPy's floats to bytes, without a word.
    @tf.function(autograph=False)
    def predict(images: tf.Tensor) -> dict[str, tf.Tensor]:
        images = 255 - images if settings.invert else images
        pixels = tf.reshape(images, [-1, settings.layer_sizes[0]])
        outputs = probabilities(forward(preprocessing.scale(pixels, settings.dtype)))
        return {"probabilities": outputs, "classes": tf.argmax(outputs, axis=1)}

    @tf.function(input_signature=[spec], autograph=False)
    def serve(images: tf.Tensor) -> dict[str, tf.Tensor]:
        # A signature needs one, and casts: scaled or standardised pixels come in as 0, 1 and 2.
        is_dark = (tf.size(images) > 0) & (tf.reduce_max(images) <= 2) & learnt_lighter
        tf.debugging.Assert(~is_dark, [BLANK_OR_SCALED])
        found = predict(images)
        return {**found, "names": tf.gather(names, found["classes"])}

    predict.get_concrete_function(spec)
    module.predict = predict
    return module, serve


if __name__ == "__main__":
    cli.run_command(main, parse)
