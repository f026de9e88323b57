"""The quiet start of TensorFlow."""

import os
import sys
import tempfile

from lowlevel_mnist.errors import UserError


def import_tensorflow(xla=False):
    """Imports TensorFlow without its start-up lines and returns it.

    xla: whether XLA will be used, which has start-up lines of its own.
    Where the user has set `TF_CPP_MIN_LOG_LEVEL`, nothing is hidden.
    Raises `UserError` where there is no room for temporary files, without which it does not start.
    """
    try:
        tempfile.gettempdir()
    except FileNotFoundError as error:
        raise UserError(
            "TensorFlow needs a folder for temporary files, and none has room: the disk is full. "
            "Make room, or name another folder in TMPDIR."
        ) from error
    if "tensorflow" not in sys.modules and "TF_CPP_MIN_LOG_LEVEL" not in os.environ:
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"  # from here on, errors only
        _import_with_stderr_aside(xla)
        # It has been read. A process that this one starts must not take it for the user's.
        del os.environ["TF_CPP_MIN_LOG_LEVEL"]
        sys.modules["tensorflow"].get_logger().setLevel("ERROR")
    import tensorflow

    return tensorflow


def _import_with_stderr_aside(xla):
    """Imports TensorFlow while file descriptor 2 leads to a file.

    Some lines are written by C++ code that does not heed TF_CPP_MIN_LOG_LEVEL. They come to
    light again where the import fails.
    """
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as aside:
        os.dup2(aside.fileno(), 2)
        try:
            import tensorflow

            tensorflow.config.list_physical_devices()  # the search for GPUs reports, too
            if xla:  # so does the first compilation, in TensorFlow 2.18
                tensorflow.function(lambda: tensorflow.constant(0), jit_compile=True)()
        except Exception:
            aside.seek(0)
            os.write(stderr, aside.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
