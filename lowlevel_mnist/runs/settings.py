"""The settings that decide a run: its recipe, data, seed and so on.

A run's folder keeps it as `settings.json` from the start, so that a run can go on after whatever
has ended it. `metrics.json` repeats it beside the results.
"""

import argparse
import dataclasses
import itertools
import math
import pathlib
import re
import typing

import lowlevel_mnist
from lowlevel_mnist import data
from lowlevel_mnist.errors import UserError
from lowlevel_mnist.recipes import DEFAULT_LEARNING_RATES, EXECUTIONS, RECIPES, SCHEDULES
from lowlevel_mnist.runs import files, records
from lowlevel_mnist.sources import image_style
from lowlevel_mnist.sources.published import is_class_name

MAX_TITLE = 60  # characters of hidden units in the name of a run's folder
MODEL = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")  # MODULE:NAME
MAX_BYTES = 1_000_000  # of a `settings.json`; what makes it large is the names of 256 classes
FORMAT_VERSION = 1  # of a run's files; it changes when these can't be read any more
# What a new run has where no flag says otherwise. A resumed one has what it had.
DEFAULTS: dict[str, typing.Any] = {
    "recipe": "softmax",
    "model": None,
    "execution": "eager",
    "dtype": "float32",
    "seed": 0,
    "invert": False,
    "momentum": 0.0,
    "nesterov": False,
    "weight_decay": 0.0,
    "clip_norm": None,
    "label_smoothing": 0.0,
    "schedule": "constant",
    "patience": None,
}
DEFAULT_WEIGHT_DECAY = 0.004  # of AdamW, as Keras has it
OPTIONS = {"sgd": ("momentum", "nesterov"), "adamw": ("weight_decay",)}  # of optimizers
GROWING = ("epochs", "patience")  # may be more when a run goes on
DTYPES = ("float32", "float64")
MAX_UNITS = 100_000  # of a hidden layer; for 784 pixels its weights take 300 MB
MAX_PARAMETERS = 250_000_000  # of a network: 1 GB, and several times that with slots and gradients


@dataclasses.dataclass(frozen=True)
class Settings:
    """The keys are those of `settings.json` and `metrics.json`.

    recipe: its name.
    model: MODULE:NAME of a network of one's own, None for a `model.Network`.
    dataset, dataset_source, dataset_verified, data_sha256: as in `data.Dataset`.
    data_dir: the absolute path of the data's folder where one was given.
    image_size: (height, width) of an image in pixels.
    layer_sizes: [pixels, units of each hidden layer ..., classes].
    invert, test_split: whether light and dark of the images are exchanged, and the fraction that
        is set aside as test images, as in `data.Dataset`.
    class_names: the name of each class, None for one that no image has.
    patience: with early stopping, after how many epochs without a lower validation loss it comes.
    image_style: that of the training images, to which people's own pictures are brought.
    momentum, nesterov, weight_decay: as of `optimizers.SGD` and `optimizers.AdamW`; 0 for others.
    clip_norm: as of a `training.Trainer`; label_smoothing: as of `cost.cross_entropy`.
    schedule: one of `recipes.SCHEDULES`.
    version: of the package, when the run began; None in runs that are older than this key.
    The others are those of `recipes.Recipe` and `training.Trainer`.
    Raises `UserError` for a network that can't be trained, and `ValueError` for any other value
    that can't be.
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
    invert: bool
    test_split: float
    class_names: tuple[str | None, ...]
    image_style: image_style.ImageStyle
    format_version: int = FORMAT_VERSION
    model: str | None = DEFAULTS["model"]
    momentum: float = DEFAULTS["momentum"]
    nesterov: bool = DEFAULTS["nesterov"]
    weight_decay: float = DEFAULTS["weight_decay"]
    clip_norm: float | None = DEFAULTS["clip_norm"]
    label_smoothing: float = DEFAULTS["label_smoothing"]
    schedule: str = DEFAULTS["schedule"]
    patience: int | None = DEFAULTS["patience"]
    version: str | None = None

    def __post_init__(self) -> None:
        sizes, names = self.layer_sizes, self.class_names
        is_valid = {
            "recipe": is_class_name(self.recipe),
            "model": self.model is None or MODEL.fullmatch(self.model),
            "dataset": self.dataset in data.TITLES,
            "data_dir": self.data_path or self.dataset != "custom",
            "image_size": min(self.image_size) > 0 and sizes[:1] == (math.prod(self.image_size),),
            "execution": self.execution in EXECUTIONS,
            "dtype": self.dtype in DTYPES,
            "batch_size": self.batch_size > 0,
            "epochs": self.epochs > 0,
            "validation_split": self.validation_split < 1,
            "optimizer": self.optimizer in DEFAULT_LEARNING_RATES,
            "learning_rate": self.learning_rate > 0,
            "layer_sizes": len(sizes) > 1 and all(0 < units <= MAX_UNITS for units in sizes[1:]),
            "dropout": self.dropout < 1,
            "test_split": self.test_split < 1,
            "class_names": sizes[-1:] == (len(names),)
            and all(name is None or is_class_name(name) for name in names),
            "image_style": self.image_style.size == self.image_size,
            "momentum": self.momentum < 1,
            "clip_norm": self.clip_norm is None or self.clip_norm > 0,
            "label_smoothing": self.label_smoothing < 1,
            "schedule": self.schedule in SCHEDULES,
            "patience": self.patience is None or self.patience > 0,
        }
        for key, valid in is_valid.items():
            if not valid:
                raise ValueError(f"its {key} is missing or wrong")
        is_own = self.model is not None  # `own_model` tries it out
        if self.dropout and len(sizes) == 2 and not is_own:
            raise UserError(
                f"--dropout {self.dropout:g} has nothing to drop: {self.recipe} has no hidden "
                "layer. Give it one with --hidden-units."
            )
        for owner, names in OPTIONS.items():
            for name in names:
                if getattr(self, name) and self.optimizer != owner:
                    raise UserError(
                        f"--{name.replace('_', '-')} has no meaning for {self.optimizer}: it needs "
                        f"--optimizer {owner}."
                    )
        if self.nesterov and not self.momentum:
            raise UserError("--nesterov needs a --momentum, such as 0.9.")
        if self.parameters > MAX_PARAMETERS and not is_own:
            raise UserError(
                f"The network would have {self.parameters:,} parameters; at most "
                f"{MAX_PARAMETERS:,} are accepted. Choose fewer --hidden-units."
            )

    @property
    def data_path(self) -> pathlib.Path | None:
        """The path of `data_dir`, which is UTF-8, as the locale of this process has it."""
        return files.as_path(self.data_dir) if self.data_dir else None

    @property
    def optimizer_options(self) -> dict[str, typing.Any]:
        """The arguments of the optimizer beside the learning rate, by their names."""
        return {name: getattr(self, name) for name in OPTIONS.get(self.optimizer, ())}

    @property
    def parameters(self) -> int:
        """The number of weights and biases of a `model.Network`."""
        layers = itertools.pairwise(self.layer_sizes)
        return sum((inputs + 1) * outputs for inputs, outputs in layers)

    @property
    def network_arguments(self) -> tuple[tuple[int, ...], int, str]:
        """What `model.Network`, or a network of one's own, is called with."""
        return self.layer_sizes, self.seed, self.dtype

    @property
    def model_flag(self) -> list[str]:
        """The flag that a command needs to use a network of one's own, as words, or none."""
        return ["--model", self.model] if self.model else []

    @property
    def title(self) -> str:
        """The recipe, and what was changed of its network, as in "softmax+256-128".

        Of a network of one's own, it begins with its name.
        """
        hidden_units, recipe = self.layer_sizes[1:-1], RECIPES.get(self.recipe)
        changes = [self.model.partition(":")[2] if self.model else self.recipe]
        if recipe and hidden_units != recipe.hidden_units:
            units = "-".join(map(str, hidden_units))
            changes.append(units if len(units) < MAX_TITLE else f"{len(hidden_units)}-layers")
        if recipe and self.dropout != recipe.dropout:
            changes.append(f"dropout-{self.dropout:g}")
        return "+".join(changes)

    def data_source(self, data_dir: pathlib.Path | None = None) -> dict[str, typing.Any]:
        """Returns the arguments of `data.load` for the data of the run, by their names.

        data_dir: where the data lies now, if not where it did.
        """
        custom = data_dir is not None or self.dataset == "custom"
        return {
            "name": "auto" if custom else self.dataset,
            "data_dir": data_dir or self.data_path,
            "invert": self.invert,
            "seed": self.seed,
        }


# What is missing in the records of runs that are older than it, and what these did.
YOUNGER = {
    field.name: field.default
    for field in dataclasses.fields(Settings)
    if field.default is not dataclasses.MISSING
}


def resolve_flags(flags: argparse.Namespace) -> dict[str, typing.Any]:
    """Returns what a new run's flags say, and where they are not given, its recipe and DEFAULTS.

    flags: those of `train`, None where they are not given.
    The keys are those of `recipes.Recipe` and DEFAULTS.
    """
    recipe = RECIPES[flags.recipe or DEFAULTS["recipe"]]
    values = DEFAULTS | vars(recipe)
    given = {name: flag for name in values if (flag := getattr(flags, name, None)) is not None}
    if flags.data_dir:  # without --dataset, it means whatever is in that folder
        values["dataset"] = "auto"
    if given.get("optimizer", recipe.optimizer) != recipe.optimizer:
        values["learning_rate"] = DEFAULT_LEARNING_RATES[given["optimizer"]]
    if given.get("optimizer") == "adamw":
        values["weight_decay"] = DEFAULT_WEIGHT_DECAY
    return values | given


def resolve_settings(flags: argparse.Namespace, dataset: data.Dataset) -> Settings:
    """Returns the `Settings` of a new run.

    flags: those of `train`; dataset: what is trained on.
    Raises `UserError` where data and flags contradict each other, or the network is too large.
    """
    if dataset.validation and flags.validation_split:
        raise UserError(
            f"--validation-split {flags.validation_split:g} has nothing to split off: the data has "
            "images for validation. Leave the flag out."
        )
    values = resolve_flags(flags)
    if values["patience"] and not (dataset.validation or values["validation_split"]):
        raise UserError(
            f"--patience {values['patience']} needs images for validation, by whose loss the "
            "training ends. Set some aside: --validation-split 0.1"
        )
    image_size, with_images = dataset.train_images.shape[1:], set(dataset.classes_with_images)
    values |= {
        "dataset": dataset.name,
        "dataset_source": dataset.source,
        "dataset_verified": dataset.verified,
        "data_dir": flags.data_dir and files.as_text(flags.data_dir.absolute()),
        "data_sha256": dataset.sha256,
        "image_size": image_size,
        "validation_split": 0.0 if dataset.validation else values["validation_split"],
        "layer_sizes": (math.prod(image_size), *values.pop("hidden_units"), dataset.classes),
        "test_split": dataset.test_split,
        "class_names": tuple(
            name if label in with_images else None for label, name in enumerate(dataset.class_names)
        ),
        "image_style": image_style.learn(dataset.train_images),
        "version": lowlevel_mnist.__version__,
    }
    del values["name"]  # that of the recipe
    return Settings(**values)


def check_flags(
    settings: Settings, flags: argparse.Namespace, whose: str, growing: bool
) -> Settings:
    """Returns the settings of a run that goes on: its own, but for what may grow.

    flags: those of `train`, None where they are not given.
    whose: the owner of the settings, such as "the run in DIR".
    growing: whether there may be more epochs (not under a schedule, which has ended with them) and
        more patience than the settings say.
    Raises `UserError` where a flag contradicts them.
    """
    check_model_flag(settings, flags.model, whose)
    values = {**vars(settings), "hidden_units": list(settings.layer_sizes[1:-1])}
    del values["data_dir"]  # the data may lie elsewhere now
    for name, value in values.items():
        given = getattr(flags, name, None)
        has_ended = name == "epochs" and settings.schedule != "constant"
        may_grow = growing and name in GROWING and value and not has_ended
        may = ", which may only grow" if may_grow else ""
        if given not in (None, "auto", value) and not (may and given > value):
            raise UserError(
                f"{_as_flag(name, given)} contradicts {whose}, which has {_as_flag(name, value)}"
                f"{may}. Leave the flag out, or start another run."
            )
    grown = {name: getattr(flags, name) or getattr(settings, name) for name in GROWING}
    return dataclasses.replace(settings, **grown)


def check_model_flag(settings: Settings, given: str | None, whose: str) -> None:
    """Raises `UserError` where the flag --model does not say what the settings do.

    A run's folder may be a stranger's, and its network whatever he has written: it is imported only
    where the flag says so once more.

    given: the flag's value, None where it is not given; whose: as for `check_flags`.
    """
    if settings.model and given is None:
        raise UserError(
            f"The network of {whose} is code of its own, which is executed only where you ask for "
            f"it: if you trust it, add --model {settings.model}"
        )
    if given != settings.model:
        advice = "Give that instead" if settings.model else "Leave the flag out"
        raise UserError(
            f"{_as_flag('model', given)} contradicts {whose}, which has "
            f"{_as_flag('model', settings.model)}. {advice}, or start another run."
        )


def _as_flag(name: str, value: object) -> str:
    """Returns a flag with its value as one writes them."""
    flag = f"--{name.replace('_', '-')}"
    if isinstance(value, bool) or value is None:
        return flag if value else f"no {flag}"
    return f"{flag} {format_value(value)}"


def format_value(value: object) -> str:
    """Returns the value of a flag as text, as one writes it."""
    return (" ".join(map(str, value)) or "none") if isinstance(value, (tuple, list)) else str(value)


def read(path: pathlib.Path) -> Settings:
    """Returns the `Settings` in a `settings.json`.

    Raises `UserError` where it can't be read, is damaged or of another version.
    """
    return from_json(records.read_json(path, MAX_BYTES), path)


def from_json(record: typing.Any, where: str | pathlib.Path) -> Settings:
    """Returns the `Settings` of which `dataclasses.asdict` and JSON have made a record.

    where: the source of the record, for the message.
    Raises `UserError` where it is none, or of another version.
    """
    version = record.get("format_version") if isinstance(record, dict) else FORMAT_VERSION
    if version != FORMAT_VERSION:
        raise UserError(
            f"{where} is of another version of lowlevel_mnist: its format_version is "
            f"{version!r:.20}, not {FORMAT_VERSION}. Train the network again with this one."
        )
    try:
        return records.from_json(Settings, YOUNGER | record if isinstance(record, dict) else record)
    except UserError as error:
        raise UserError(f"{where} is not that of a run. {error}") from error
    except ValueError as error:
        raise UserError(f"{where} is not that of a run: {error}.") from error
