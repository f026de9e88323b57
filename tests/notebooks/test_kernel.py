"""Commands by `%run` in a notebook: its kernel goes on after them, as it was before."""

import re

import pytest
from jupyter_client.manager import start_new_kernel

from tests.helpers.commands import PATIENCE, environment
from tests.helpers.data import pattern_arrays, write_idx_folder

HANDLERS = """
import signal
print([signal.getsignal(getattr(signal, name)) for name in ("SIGINT", "SIGTERM", "SIGHUP")])
"""
TRAIN = "%run -m lowlevel_mnist.train -- --data-dir data --no-plots"
IMPATIENT = """
import os, signal, time
from lowlevel_mnist.console import cli, interruption
def main(_):
    with interruption.defer_signals():
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(interruption.GRACE + 0.2)
        os.kill(os.getpid(), signal.SIGINT)
        print("not interrupted")
cli.run_command(main, lambda: None)
"""


class Kernel:
    """A running kernel in the folder `base`, in which there is a data set, `data`."""

    def __init__(self, base):
        self.base = base
        write_idx_folder(base / "data", pattern_arrays())
        self.manager, self.client = start_new_kernel(
            kernel_name="python3", cwd=str(base), env=environment(IPYTHONDIR=base / "ipython")
        )
        self.handlers = self.run(HANDLERS)["stdout"]

    def run(self, cell, interrupted_at="never"):
        """Executes a cell, and interrupts it as soon as it prints a text.

        Returns what it writes to "stdout" and "stderr", "shown", the texts of its other outputs, as
        they are replaced, and how many "pictures" are among them.
        """
        written = {"stdout": "", "stderr": "", "shown": [], "pictures": 0}

        def take(message):
            if message["header"]["msg_type"] == "stream":
                name, text = message["content"]["name"], message["content"]["text"]
                is_first = interrupted_at not in written[name]
                written[name] += text
                if is_first and interrupted_at in written[name]:
                    self.manager.interrupt_kernel()
            if message["header"]["msg_type"] in ("display_data", "update_display_data"):
                written["pictures"] += "image/png" in message["content"]["data"]
                written["shown"].append(message["content"]["data"]["text/plain"])

        self.client.execute_interactive(cell, timeout=PATIENCE, output_hook=take)
        print(written)
        return written

    def assert_as_before(self):
        assert self.manager.is_alive()
        assert self.run("print(6 * 7)")["stdout"] == "42\n"


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    kernel = Kernel(tmp_path_factory.mktemp("kernel"))
    yield kernel
    kernel.client.stop_channels()
    kernel.manager.shutdown_kernel(now=True)


def test_a_training(kernel):
    cell = f"{TRAIN} --output-dir done --epochs 2\n{HANDLERS}"
    written = kernel.run(cell)
    assert "Saved in done" in written["stdout"]
    assert not {"\r", "\x1b"} & set(written["stdout"])
    first, *progress, last = written["shown"]
    assert first == "Loading the data ..."
    assert re.search(r"2/2 ━+ 4/4  0:00 left  loss \d\.\d{4}  accuracy", " ".join(progress))
    assert last == "", "nothing is left of it"
    assert written["stdout"].endswith(kernel.handlers)
    assert written["stderr"] == ""
    kernel.assert_as_before()


def test_an_interrupted_training_and_one_more(kernel):
    """A kernel's interrupt asks a training to end each time, and says how it goes on."""
    cell = f"{TRAIN} --output-dir again --epochs 100000"
    for _ in range(2):
        written = kernel.run(f"{cell}\n{HANDLERS}", interrupted_at="Epoch ")
        assert "Interrupted after " in written["stderr"]
        (advice,) = re.findall("Go on with:\n(%run .*)\n", written["stderr"])
        assert written["stdout"].endswith(kernel.handlers)
        kernel.assert_as_before()
        cell = advice


def test_a_bad_flag(kernel):
    written = kernel.run(f"{TRAIN} --output-dir bad --batch-size 10000\n{HANDLERS}")
    (sentence,) = written["stderr"].splitlines()
    assert "--batch-size 10000 is larger than the data" in sentence
    assert written["stdout"].endswith(kernel.handlers)
    kernel.assert_as_before()


def test_a_picture_is_shown_below_the_cell(kernel, softmax_run):
    cell = f"%run -m lowlevel_mnist.show_random -- --run {softmax_run.folder} --seed 1"
    written = kernel.run(f"%matplotlib inline\n{cell}")
    assert "Saved in" not in written["stdout"]
    assert written["pictures"] == 1


def test_who_asks_again_ends_the_command_alone(kernel):
    written = kernel.run(IMPATIENT)
    assert "Interrupted at once; what had been saved before is kept.\n" in written["stderr"]
    assert written["stdout"] == ""
    assert kernel.run(HANDLERS)["stdout"] == kernel.handlers
    kernel.assert_as_before()
