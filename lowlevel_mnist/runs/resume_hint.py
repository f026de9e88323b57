"""The hint for a user whose training ends early: how to go on with the run."""

import contextlib
import shlex
import sys
from collections.abc import Iterator

from lowlevel_mnist import startup
from lowlevel_mnist.errors import DivergedError, Interrupted, UserError
from lowlevel_mnist.runs import files, folders


@contextlib.contextmanager
def add_resume_hint(run) -> Iterator[None]:
    """Adds to the error that ends a training early how to go on with the run.

    run: the `run.Run`, whose folder stays as it is.
    """
    try:
        with files.disk_full_as_user_error():
            yield
    except DivergedError as error:
        error.args = (f"{error} {_divergence_hint(run)}",)
        raise
    except (Interrupted, UserError) as error:
        error.args = (f"{error} {_resume_hint(run)}".rstrip(),)
        raise
    except BrokenPipeError:
        print(f"Nobody reads the output any more. {_resume_hint(run)}", file=sys.stderr)
        raise


def _divergence_hint(run):
    rate = run.settings.learning_rate
    hint = f"Try a new run with a much smaller --learning-rate than {rate:g}."
    if folders.find_checkpoints(run.folder):
        command = f"{startup.command_line('evaluate')} --run {shlex.quote(str(run.folder))}"
        hint += f" The network of the last checkpoint is kept; see it with {command}"
    return hint


def _resume_hint(run):
    if not folders.is_run(run.folder):  # it could not be written
        return ""
    command = startup.command_line("train")
    command += f" --resume --output-dir {shlex.quote(str(run.folder))}"
    command += " --no-plots" * run.flags.no_plots
    if run.flags.distribute != "none":
        command += f" --distribute {run.flags.distribute}"
    return f"Go on with: {command}"
