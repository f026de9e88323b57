"""What TensorFlow needs of a machine, checked before its import, and why it uses no GPU."""

import os
import pathlib
import tempfile
from types import ModuleType

from lowlevel_mnist.errors import UserError

PROCESSOR = pathlib.Path("/proc/cpuinfo")  # on Linux
GPU = pathlib.Path("/dev/nvidia0")


def check() -> None:
    """Raises `UserError` where TensorFlow could not start: without AVX or temporary files."""
    if lacks_avx(PROCESSOR):
        raise UserError(
            "TensorFlow needs a processor with AVX, which this one does not have. Use another "
            "machine; a virtual one may be given its host's processor."
        )
    try:
        tempfile.gettempdir()
    except FileNotFoundError as error:
        raise UserError(
            "TensorFlow needs a folder for temporary files, and none can be written to: there is "
            f"no room, or no right to. Name another one in TMPDIR. ({error.strerror})"
        ) from error


def lacks_avx(processor: pathlib.Path) -> bool:
    """Returns whether this is Linux's description of an x86 processor without AVX.

    TensorFlow ends the process there, before it could raise an exception.
    """
    if not processor.exists():
        return False
    with processor.open(encoding="utf-8", errors="replace") as lines:
        flags = next((line.split() for line in lines if line.startswith("flags")), ["avx"])
    return "avx" not in flags


def explain_import_error(error: BaseException) -> str:
    """Returns why TensorFlow can't be imported, and what to do."""
    while error.__cause__:  # the first one says more than what TensorFlow makes of it
        error = error.__cause__
    reason = str(error).partition("\n")[0]
    advice = (
        "Install it with pip install tensorflow, or see https://www.tensorflow.org/install/errors"
    )
    if "failed to map segment" in reason:
        advice = "It takes more memory, perhaps, than `ulimit -v` allows"
    return f"TensorFlow can't be imported ({reason}). {advice}."


def gpu_remark(tensorflow: ModuleType) -> str | None:
    """Returns why TensorFlow does not use NVIDIA's GPU.

    None where it does, where there is none, or where the user has hidden it.
    """
    is_hidden = os.environ.get("CUDA_VISIBLE_DEVICES", "any").strip() in ("", "-1")
    if is_hidden or not GPU.exists() or tensorflow.config.list_physical_devices("GPU"):
        return None
    has_cuda = tensorflow.test.is_built_with_cuda()
    reason = "CUDA's libraries are missing, or do not fit it" if has_cuda else "it has no CUDA"
    return (
        f"TensorFlow does not use this machine's GPU: {reason}. What it needs comes with "
        "pip install 'tensorflow[and-cuda]'; TF_CPP_MIN_LOG_LEVEL=0 shows more."
    )
