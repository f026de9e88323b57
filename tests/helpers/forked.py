"""What a command imports, imported once by the process from which `commands.run` forks them.

It must not start threads, which a fork does not have: no operation of TensorFlow is executed.
"""

import os

from tests.helpers.commands import environment

changed = environment()
os.environ.clear()
os.environ.update(changed)

from lowlevel_mnist import startup  # noqa: E402

startup.import_tensorflow()

# All modules but the commands themselves, each of which becomes __main__.
from lowlevel_mnist import metrics, plots, preprocessing, training  # noqa: E402, F401
from lowlevel_mnist.console import figures  # noqa: E402, F401
from lowlevel_mnist.distribution import run, trainer  # noqa: E402, F401
from lowlevel_mnist.runs import checkpoints  # noqa: E402, F401
