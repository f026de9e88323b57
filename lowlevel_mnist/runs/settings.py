"""The settings that decide a run: its recipe, data, seed and so on.

A run's folder keeps it as `settings.json` from the start, so that a run can go on after whatever
has ended it. `metrics.json` repeats it beside the results.
"""

import argparse
import dataclasses
import itertools
import json
import math
import pathlib
import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping

from lowlevel_mnist import data
from lowlevel_mnist.errors import UserError
from lowlevel_mnist.recipes import DEFAULT_LEARNING_RATES, EXECUTIONS, RECIPES, Recipe
from lowlevel_mnist.sources.image_style import ImageStyle
from lowlevel_mnist.sources.published import is_class_name

FILE = "settings.json"
# What a new run has where no flag says otherwise. A resumed one has what it had.
DEFAULTS: dict[str, typing.Any] = {
    "recipe": "softmax",
    "execution": "eager",
    "dtype": "float32",
    "seed": 0,
    "invert": False,
}
DTYPES = ("float32", "float64")
MAX_UNITS = 100_000  # of a hidden layer; for 784 pixels its weights take 300 MB
MAX_PARAMETERS = 250_000_000  # of a network: 1 GB, and several times that with slots and gradients
MAX_BYTES = 100_000_000  # of a file; it has the history of as many as 500,000 epochs


@dataclasses.dataclass(frozen=True)
class Settings:
    """The keys are those of `metrics.json`.

    recipe: its name.
    dataset, dataset_source, dataset_verified, data_sha256: as in `data.Dataset`.
    data_dir: the absolute path of the data's folder where one was given.
    image_size: (height, width) of an image in pixels.
    layer_sizes: [pixels, units of each hidden layer ..., classes].
    invert, test_split: whether light and dark of the images are exchanged, and the fraction that
        is set aside as test images, as in `data.Dataset`.
    class_names: the name of each class, None for one that no image has.
    The others are those of `recipes.Recipe` and `training.Trainer`.
    What has a default is missing in runs of older versions.
    """

    recipe: str
    dataset: str
    dataset_source: str
    dataset_verified: bool
    data_dir: str | None
    data_sha256: str
    image_size: tuple[int, int]
    execution: str
    dtype: str
    seed: int
    batch_size: int
    epochs: int
    validation_split: float
    optimizer: str
    learning_rate: float
    layer_sizes: tuple[int, ...]
    dropout: float
    invert: bool = False
    test_split: float = 0.0
    class_names: tuple[str | None, ...] | None = None

    @property
    def parameters(self) -> int:
        """The number of weights and biases of the network."""
        return count_parameters(self.layer_sizes)


def count_parameters(layer_sizes: Iterable[int]) -> int:
    """Returns the number of weights and biases of a network with these layers."""
    return sum((inputs + 1) * outputs for inputs, outputs in itertools.pairwise(layer_sizes))


def flag_or_default(flags: argparse.Namespace, name: str) -> typing.Any:
    """Returns the value of a flag of `train`, or of DEFAULTS where it is not given."""
    value = getattr(flags, name)
    return DEFAULTS[name] if value is None else value


def resolve_recipe(flags: argparse.Namespace) -> Recipe:
    """Returns the recipe of a new run, with the values of the flags that were given.

    flags: those of `train`, None where they are not given.
    Raises `UserError` where they contradict each other.
    """
    recipe = RECIPES[flag_or_default(flags, "recipe")]
    values = {field.name: getattr(flags, field.name, None) for field in dataclasses.fields(Recipe)}
    given = {name: value for name, value in values.items() if value is not None}
    # --data-dir without --dataset means whatever is in that folder.
    given.setdefault("dataset", "auto" if flags.data_dir else recipe.dataset)
    if given.get("optimizer", recipe.optimizer) != recipe.optimizer:
        given.setdefault("learning_rate", DEFAULT_LEARNING_RATES[given["optimizer"]])
    recipe = dataclasses.replace(recipe, **given)
    if recipe.dropout and not recipe.hidden_units:
        raise UserError(
            f"--dropout {recipe.dropout:g} has nothing to drop: {recipe.name} has no hidden "
            "layer. Give it one with --hidden-units."
        )
    return recipe


def resolve_settings(recipe: Recipe, dataset: data.Dataset, flags: argparse.Namespace) -> Settings:
    """Returns the `Settings` of a new run.

    recipe: the one of `resolve_recipe`; flags: those of `train`.
    Raises `UserError` where the network is too large.
    """
    image_size = dataset.train_images.shape[1:]
    if dataset.validation and flags.validation_split:
        raise UserError(
            f"--validation-split {flags.validation_split:g} has nothing to split off: the data has "
            "images for validation. Leave the flag out."
        )
    with_images = set(dataset.classes_with_images.tolist())
    settings = Settings(
        recipe=recipe.name,
        dataset=dataset.name,
        dataset_source=dataset.source,
        dataset_verified=dataset.verified,
        data_dir=flags.data_dir and str(flags.data_dir.absolute()),
        data_sha256=dataset.sha256,
        image_size=image_size,
        **{name: flag_or_default(flags, name) for name in ("execution", "dtype", "seed")},
        batch_size=recipe.batch_size,
        epochs=recipe.epochs,
        validation_split=0.0 if dataset.validation else recipe.validation_split,
        optimizer=recipe.optimizer,
        learning_rate=recipe.learning_rate,
        layer_sizes=(math.prod(image_size), *recipe.hidden_units, dataset.classes),
        dropout=recipe.dropout,
        invert=dataset.inverted,
        test_split=dataset.test_split,
        class_names=tuple(
            name if label in with_images else None for label, name in enumerate(dataset.class_names)
        ),
    )
    if settings.parameters > MAX_PARAMETERS:
        raise UserError(
            f"The network would have {settings.parameters:,} parameters; at most "
            f"{MAX_PARAMETERS:,} are accepted. Choose fewer --hidden-units."
        )
    return settings


def check_flags(
    settings: Settings, flags: argparse.Namespace, whose: str, growing: bool
) -> Settings:
    """Returns the settings of a run that goes on: its own, with as many epochs as asked for.

    flags: those of `train`, None where they are not given.
    whose: the owner of the settings, such as "the run in DIR".
    growing: whether there may be more epochs than the settings say.
    Raises `UserError` where a flag contradicts them.
    """
    values = {**dataclasses.asdict(settings), "hidden_units": list(settings.layer_sizes[1:-1])}
    names = [field.name for field in dataclasses.fields(Recipe) if field.name != "name"]
    for name in ("recipe", *names, "execution", "dtype", "seed", "invert"):
        given, was = getattr(flags, name), values[name]
        grown = growing and name == "epochs" and given is not None and given > was
        if given not in (None, "auto", was) and not grown:
            may = ", which may only grow" if growing and name == "epochs" else ""
            raise UserError(
                f"{_as_flag(name, given)} contradicts {whose}, which has {_as_flag(name, was)}"
                f"{may}. Leave the flag out, or start another run."
            )
    return dataclasses.replace(settings, epochs=flags.epochs or settings.epochs)


def _as_flag(name, value):
    """Returns a flag with its value as one writes them."""
    flag = f"--{name.replace('_', '-')}"
    if isinstance(value, bool):
        return flag if value else f"no {flag}"
    return f"{flag} {format_value(value)}"


def format_value(value: object) -> str:
    """Returns the value of a flag as text, as one writes it."""
    return (" ".join(map(str, value)) or "none") if isinstance(value, (tuple, list)) else str(value)


# Which values a file may give, beyond their types: a run may come from an untrusted source.
RANGES: dict[str, Callable[[typing.Any], bool]] = {
    "recipe": is_class_name,
    "dataset": data.TITLES.__contains__,
    "image_size": lambda sizes: min(sizes) > 0,
    "execution": EXECUTIONS.__contains__,
    "dtype": DTYPES.__contains__,
    "seed": lambda value: value >= 0,
    "batch_size": lambda value: value > 0,
    "epochs": lambda value: value > 0,
    "validation_split": lambda value: 0 <= value < 1,
    "optimizer": DEFAULT_LEARNING_RATES.__contains__,
    "learning_rate": lambda value: value > 0,
    "layer_sizes": lambda sizes: (
        len(sizes) > 1
        and min(sizes) > 0
        and max(sizes[1:-1], default=0) <= MAX_UNITS
        and max(sizes) <= MAX_PARAMETERS
    ),
    "dropout": lambda value: 0 <= value < 1,
    "test_split": lambda value: 0 <= value < 1,
    "class_names": lambda names: all(name is None or is_class_name(name) for name in names or ()),
}
TYPES = typing.get_type_hints(Settings)
OPTIONAL = {key: getattr(Settings, key) for key in TYPES if hasattr(Settings, key)}


def fits(key: str, value: object) -> bool:
    """Returns whether a value that a file gives for a key of `Settings` is a valid one."""
    return has_type(value, TYPES[key]) and (key not in RANGES or RANGES[key](value))


def has_type(value: typing.Any, kind: typing.Any) -> bool:
    """Returns whether a value, read from JSON, was of a type: a tuple is a list in JSON."""
    items = typing.get_args(kind)
    if isinstance(kind, types.UnionType):
        return any(has_type(value, item) for item in items)
    if items:  # tuple[int, int], or tuple[int, ...] for any length
        right = isinstance(value, list) and (items[-1] is ... or len(value) == len(items))
        return right and all(has_type(item, items[0]) for item in value)
    if kind is float:  # no infinity, and no whole number beyond all floats
        return type(value) in (int, float) and abs(value) <= sys.float_info.max
    return type(value) is kind


def from_json(record: Mapping, where: str | pathlib.Path) -> Settings:
    """Returns the `Settings` of which `dataclasses.asdict` had made a dictionary, for JSON.

    where: the source of the record, for the message.
    Raises `UserError` where a value is missing or wrong.
    """
    record = _check(record, TYPES, where)
    return Settings(**{key: _as_tuple(record[key]) for key in TYPES})


def _as_tuple(value) -> typing.Any:
    """Returns a value as it was before JSON made a list of a tuple."""
    return tuple(value) if isinstance(value, list) else value


def style_from_json(record: typing.Any) -> ImageStyle | None:
    """Returns the `ImageStyle` of which `dataclasses.asdict` had made this, for JSON, or None."""
    kinds = typing.get_type_hints(ImageStyle)
    is_complete = isinstance(record, dict) and record.keys() == kinds.keys()
    if not (is_complete and all(has_type(record[key], kind) for key, kind in kinds.items())):
        return None
    style = ImageStyle(**{key: _as_tuple(value) for key, value in record.items()})
    side = max(style.size)
    thin, usual = style.stroke_widths or (1, 1)
    ascending = (
        (0, *style.mean_grey_levels, 255),
        (0, style.background or 0, 255),
        (1, style.box_side, side),
        (0, *style.box_sides, side),
        (0, thin, usual, side),
        (0, style.max_offset, side),
        *((0, place, length) for place, length in zip(style.centre, style.size, strict=True)),
    )
    # Any that is not a number is in no order.
    ordered = all(a <= b for numbers in ascending for a, b in itertools.pairwise(numbers))
    return style if ordered and min(style.size) > 0 and usual > 0 else None


def read_json(path: pathlib.Path, keys: Iterable[str]) -> dict:
    """Returns the content of a `settings.json` or `metrics.json`, a dictionary.

    keys: those of `Settings` that it must have, with a value that fits.
    Raises `UserError` for a file that can't be read or is damaged.
    """
    try:
        if not path.is_file() or path.stat().st_size > MAX_BYTES:
            raise UserError(f"{path} is no file of at most {MAX_BYTES:,} bytes.")
        text = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}.") from error
    try:
        record = json.loads(text.decode())
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged: it is not JSON ({error}).") from error
    return _check(record, keys, path)


def _check(record, keys, where):
    """Returns the record of a file, completed by the defaults of what older versions did not write.

    Raises `UserError` where one of the keys has no value that fits.
    """
    wrong = "content"
    if isinstance(record, dict):
        record = {**OPTIONAL, **record}
        wrong = next((key for key in keys if key not in record or not fits(key, record[key])), None)
        if record.get("dataset") == "custom" and not record.get("data_dir"):
            wrong = "data_dir"
    if wrong:
        raise UserError(f"{where} is not that of a run: its {wrong} is missing or wrong.")
    return record
