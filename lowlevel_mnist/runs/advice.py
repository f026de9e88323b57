"""What a user is told where a training ends early: how to go on with the run."""

import contextlib
import shlex
import sys
from collections.abc import Iterator

from lowlevel_mnist import startup
from lowlevel_mnist.errors import DivergedError, Interrupted, UserError
from lowlevel_mnist.runs import files, folders


@contextlib.contextmanager
def on_an_early_end(run) -> Iterator[None]:
    """Adds to what ends a training early what can be done with the run.

    run: the `run.Run`, whose folder stays as it is.
    """
    try:
        with files.naming_a_full_disk():
            yield
    except DivergedError as error:
        error.args = (f"{error} {_after_divergence(run)}",)
        raise
    except (Interrupted, UserError) as error:
        error.args = (f"{error} {_how_to_go_on(run)}".rstrip(),)
        raise
    except BrokenPipeError:
        print(f"Nobody reads the output any more. {_how_to_go_on(run)}", file=sys.stderr)
        raise


def _after_divergence(run):
    rate = run.settings.learning_rate
    advice = f"Try a new run with a much smaller --learning-rate than {rate:g}."
    if folders.find_checkpoints(run.folder):
        command = f"{startup.command_line('evaluate')} --run {shlex.quote(str(run.folder))}"
        advice += f" The network of the last checkpoint is kept; see it with {command}"
    return advice


def _how_to_go_on(run):
    if not folders.is_run(run.folder):  # it could not be written
        return ""
    command = startup.command_line("train")
    command += f" --resume --output-dir {shlex.quote(str(run.folder))}"
    command += " --no-plots" * run.flags.no_plots
    if run.flags.distribute != "none":
        command += f" --distribute {run.flags.distribute}"
    return f"Go on with: {command}"
