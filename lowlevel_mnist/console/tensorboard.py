"""`train --tensorboard`: what TensorBoard shows of a run, as `tf.summary` writes it.

TensorBoard itself, which is not installed with TensorFlow, is needed to look at it only. So
`tf.summary.write` is given what `tf.summary.scalar` and `tf.summary.image` would take from there.
"""

import io
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from lowlevel_mnist import plots
from lowlevel_mnist.console import figures
from lowlevel_mnist.data import Dataset
from lowlevel_mnist.errors import UserError
from lowlevel_mnist.metrics import Evaluation
from lowlevel_mnist.model import Network
from lowlevel_mnist.runs import files
from lowlevel_mnist.runs.checkpoints import TrainingState, is_finite
from lowlevel_mnist.runs.folders import TENSORBOARD
from lowlevel_mnist.runs.run import Run

Metadata = tf.compat.v1.SummaryMetadata
SCALAR, IMAGE = (
    Metadata(plugin_data=Metadata.PluginData(plugin_name=plugin), data_class=data_class)
    for plugin, data_class in (("scalars", 1), ("images", 3))
)


def write_epoch(
    run: Run,
    dataset: Dataset,
    state: TrainingState,
    model: tf.Module,
    validation: Evaluation | None,
) -> None:
    """Writes what there is to see of the last epoch, if the user wants it; only the chief does.

    It is written before the checkpoint: an epoch that is trained again replaces it. Of a network
    that has diverged nothing is, as there will be no checkpoint.

    Raises `UserError` where it can't be written.
    """
    if not (run.flags.tensorboard and run.is_chief and is_finite(model)):
        return
    row = dict(state.history[-1])
    epoch = row.pop("epoch")
    scores = {name: row.pop(f"val_{name}") for name in ("loss", "accuracy")}
    classes = dataset.classes_with_images
    names = figures.names_to_draw(dataset.class_names, classes)
    shape = dataset.train_images.shape[1:]
    weights = {}
    if type(model) is Network:
        weights["weights"] = figures.weights_to_draw(model, classes, names, shape, dataset.title)
    _write(run.folder, "training", epoch, row, weights)
    if validation:
        matrix = figures.matrix_to_draw(dataset, validation, "validation")
        _write(run.folder, "validation", epoch, scores, {"confusion_matrix": matrix})


def write_test(run: Run, dataset: Dataset, state: TrainingState, test: Evaluation) -> None:
    """Writes what there is to see of the test; arguments as of `write_epoch`."""
    if run.flags.tensorboard:
        scores = {"loss": test.loss, "accuracy": test.accuracy}
        epoch = state.best_epoch or len(state.history)
        matrix = figures.matrix_to_draw(dataset, test)
        _write(run.folder, "test", epoch, scores, {"confusion_matrix": matrix})


def _write(
    folder: pathlib.Path,
    kind: str,
    epoch: int,
    scalars: Mapping[str, float],
    pictures: Mapping[str, figures.Picture],
) -> None:
    """Writes the file of an epoch, whole or not at all.

    A file for each epoch: so none is left half-written or written twice, whatever ends the run.

    folder: the run's; kind: of images, for each of which TensorBoard has curves of its own.
    pictures: for each what `plots.save` is given.
    """
    unfinished = folder / f"{files.UNFINISHED}{TENSORBOARD}"  # where TensorBoard does not look
    path = folder / TENSORBOARD / kind / f"events.out.tfevents.{epoch:06}"
    values = {name: (tf.constant(value), SCALAR) for name, value in scalars.items()}
    values |= {name: (_image(*content), IMAGE) for name, content in pictures.items()}
    with files.os_error_as_user_error(f"{path} can't be written"):
        files.remove(unfinished)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            writer = tf.summary.create_file_writer(os.fsencode(unfinished))
            with writer.as_default(step=epoch):
                for name, (value, metadata) in values.items():
                    tf.summary.write(name, value, metadata=metadata)
            writer.close()
            (file,) = unfinished.iterdir()
            _check_whole(file, path, 1 + len(values))
            file.replace(path)
        finally:
            files.remove(unfinished)


def _image(draw: Callable[..., None], *content: Any) -> tf.Tensor:
    """Returns a picture as TensorBoard reads it: width, height and PNG, a tensor of strings [3]."""
    picture = io.BytesIO()
    plots.save(picture, "png", draw, *content)
    png = picture.getvalue()
    width, height = (int.from_bytes(png[start : start + 4], "big") for start in (16, 20))
    return tf.constant([str(width), str(height), png])


def _check_whole(file: pathlib.Path, path: pathlib.Path, count: int) -> None:
    """Raises `UserError` where a file has not so many records: of a full disk TensorFlow is silent.

    path: where it is to be.
    """
    try:
        found = sum(1 for _ in tf.data.TFRecordDataset(os.fsencode(file)))
    except tf.errors.OpError:
        found = 0
    if found != count:
        raise UserError(f"{path} can't be written: there is no room for it.")
