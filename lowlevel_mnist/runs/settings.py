"""What decides a run, from the first image to the last: its recipe, data, seed and so on.

A run's folder keeps it as `settings.json` from the start, so that a run can go on after whatever
has ended it. `metrics.json` repeats it beside the results.
"""

import dataclasses
import itertools
import json
import math

from lowlevel_mnist import data
from lowlevel_mnist.runs import files
from lowlevel_mnist.errors import UserError
from lowlevel_mnist.recipes import EXECUTIONS, OPTIMIZERS, Recipe

FILE = "settings.json"
DTYPES = ("float32", "float64")
MOST_UNITS = 100_000  # of a hidden layer; for 784 pixels its weights take 300 MB
MOST_PARAMETERS = 250_000_000  # of a network: 1 GB, and several times that with slots and gradients
MOST_BYTES = 100_000_000  # of a file; it has the history of as many as 500,000 epochs


@dataclasses.dataclass(frozen=True)
class Settings:
    """The keys are those of `metrics.json`.

    recipe: its name.
    dataset, dataset_source, dataset_verified, data_sha256: as in `data.Dataset`.
    data_dir: the absolute path of the data's folder where one was given.
    image_size: (height, width) of an image in pixels.
    layer_sizes: [pixels, units of each hidden layer ..., classes].
    The others are those of `recipes.Recipe` and `training.Trainer`.
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

    @property
    def parameters(self):
        """How many weights and biases the network has."""
        return sum((a + 1) * b for a, b in itertools.pairwise(self.layer_sizes))


def decide(recipe, dataset, arguments):
    """Returns the `Settings` of a new run.

    recipe: a `recipes.Recipe`, overridden by the flags; dataset: a `data.Dataset`.
    arguments: the other flags of `train`.
    """
    image_size = dataset.train_images.shape[1:]
    return Settings(
        recipe=recipe.name,
        dataset=dataset.name,
        dataset_source=dataset.source,
        dataset_verified=dataset.verified,
        data_dir=arguments.data_dir and str(arguments.data_dir.resolve()),
        data_sha256=dataset.sha256,
        image_size=image_size,
        execution=arguments.execution,
        dtype=arguments.dtype,
        seed=arguments.seed,
        batch_size=recipe.batch_size,
        epochs=recipe.epochs,
        validation_split=recipe.validation_split,
        optimizer=recipe.optimizer,
        learning_rate=recipe.learning_rate,
        layer_sizes=(math.prod(image_size), *recipe.hidden_units, dataset.classes),
        dropout=recipe.dropout,
    )


def agree(settings, arguments, whose, growing):
    """Returns the settings of a run that goes on: its own, with as many epochs as asked for.

    arguments: the flags of `train`, None where they are not given.
    whose: whose settings these are, in words.
    growing: whether there may be more epochs than the settings say.
    Raises `UserError` where a flag contradicts them.
    """
    values = {**dataclasses.asdict(settings), "hidden_units": list(settings.layer_sizes[1:-1])}
    flags = [field.name for field in dataclasses.fields(Recipe) if field.name != "name"]
    for flag in ("recipe", *flags, "execution", "dtype", "seed"):
        given, was = getattr(arguments, flag), values[flag]
        grown = growing and flag == "epochs" and given is not None and given > was
        if given not in (None, "auto", was) and not grown:
            name = flag.replace("_", "-")
            may = ", which may only grow" if growing and flag == "epochs" else ""
            raise UserError(
                f"--{name} {in_words(given)} contradicts {whose}, which has --{name} "
                f"{in_words(was)}{may}. Leave the flag out, or start another run."
            )
    return dataclasses.replace(settings, epochs=arguments.epochs or settings.epochs)


def in_words(value):
    """Returns a value of a flag as one writes it."""
    return (" ".join(map(str, value)) or "none") if isinstance(value, (tuple, list)) else str(value)


def _is_size(value):
    return type(value) is int and value > 0


def _are_sizes(value, fewest, most=math.inf):
    return isinstance(value, list) and fewest <= len(value) <= most and all(map(_is_size, value))


def _is_part(value):
    return type(value) in (int, float) and 0 <= value < 1


# Whether a value that a file gives for a key can be one. A run may come from a stranger.
FITS = {
    "recipe": lambda value: isinstance(value, str) and value.isprintable(),
    "dataset": lambda value: isinstance(value, str) and value in data.TITLES,
    "dataset_source": lambda value: isinstance(value, str),
    "dataset_verified": lambda value: isinstance(value, bool),
    "data_dir": lambda value: value is None or isinstance(value, str),
    "data_sha256": lambda value: isinstance(value, str),
    "image_size": lambda value: _are_sizes(value, 2, 2),
    "execution": lambda value: value in EXECUTIONS,
    "dtype": lambda value: value in DTYPES,
    "seed": lambda value: type(value) is int and value >= 0,
    "batch_size": _is_size,
    "epochs": _is_size,
    "validation_split": _is_part,
    "optimizer": lambda value: isinstance(value, str) and value in OPTIMIZERS,
    "learning_rate": lambda value: type(value) is float and 0 < value < math.inf,
    "layer_sizes": lambda value: _are_sizes(value, 2) and max(value[1:-1], default=0) <= MOST_UNITS,
    "dropout": _is_part,
}


def write_settings(folder, settings):
    files.write_json(folder / FILE, dataclasses.asdict(settings))


def read_settings(folder):
    """Returns the `Settings` of the run in a folder, or raises `UserError`."""
    return from_json(read_json(folder / FILE, ()), folder / FILE)


def from_json(said, where):
    """Returns the `Settings` of which `dataclasses.asdict` had made a dictionary, for JSON.

    where: where this is from, in words.
    Raises `UserError` where a value is missing or wrong.
    """
    _check(said, FITS, where)
    values = {key: said[key] for key in FITS}
    lists = {key: tuple(values[key]) for key in ("image_size", "layer_sizes")}
    return Settings(**{**values, **lists})


def read_json(path, keys):
    """Returns the content of a `settings.json` or `metrics.json`, a dictionary.

    keys: those of FITS that it must have, with a value that fits.
    Raises `UserError` for a file that can't be read or is damaged.
    """
    try:
        if not path.is_file() or path.stat().st_size > MOST_BYTES:
            raise UserError(f"{path} is no file of at most {MOST_BYTES:,} bytes.")
        said = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged: it is not JSON ({error}).") from error
    _check(said, keys, path)
    return said


def _check(said, keys, where):
    """Raises `UserError` where one of the keys has no value that fits."""
    wrong = _find_wrong(said, keys)
    if wrong:
        raise UserError(f"{where} is not that of a run: its {wrong} is missing or wrong.")


def _find_wrong(said, keys):
    """Returns the first of the keys without a value that fits, or None."""
    if not isinstance(said, dict):
        return "content"
    for key in keys:
        if key not in said or not FITS[key](said[key]):
            return key
    if said.get("dataset") == "custom" and not said.get("data_dir"):
        return "data_dir"
    return None
