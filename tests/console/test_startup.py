"""What does not need TensorFlow does not wait for it, and TensorFlow starts without a word."""

import re
import shlex
import subprocess
import sys
import sysconfig

import pytest

from lowlevel_mnist import startup
from lowlevel_mnist.execution import machine
from tests.helpers.commands import PROJECT, assert_refused, environment, run_anew, run_python

COMMANDS = ["train", "evaluate", "show_random", "predict", "export", "page", "benchmark"]


@pytest.fixture
def without_tensorflow(tmp_path):
    """Environment changes under which importing TensorFlow or another slow one ends the process."""
    folder = tmp_path / "poison"
    folder.mkdir()
    for module in ("tensorflow", "keras", "matplotlib"):
        text = f"raise SystemExit('{module} was imported')"
        (folder / f"{module}.py").write_text(text, encoding="utf-8")
    return {"PYTHONPATH": f"{folder}:{PROJECT}"}


def test_the_poison_works(without_tensorflow, small_folder, tmp_path):
    done = run_anew("train", "--data-dir", small_folder, cwd=tmp_path, **without_tensorflow)
    assert done.returncode == 1
    assert "tensorflow was imported" in done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_help(command, without_tensorflow, tmp_path):
    done = run_anew(command, "--help", cwd=tmp_path, **without_tensorflow)
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: python -m lowlevel_mnist.{command}")


@pytest.mark.parametrize("flags", [["--no-such-flag"], ["--data-dir", "absent"]])
def test_what_is_refused(flags, without_tensorflow, tmp_path):
    done = run_anew("train", *flags, cwd=tmp_path, **without_tensorflow)
    assert_refused(done, flags[-1])


def test_commands_to_try_name_python_as_the_user_did(tmp_path):
    # Under another name, Python does not find its virtual environment by itself.
    packages = sysconfig.get_path("purelib")
    done = subprocess.run(
        [".venv/bin/python3", "-m", "lowlevel_mnist.evaluate"],
        executable=sys.executable,
        cwd=tmp_path,
        env=environment(PYTHONPATH=f"{PROJECT}:{packages}"),
        capture_output=True,
        text=True,
    )
    assert_refused(done, "make one with .venv/bin/python3 -m lowlevel_mnist.train, or")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["python", "-m", "runs/one", "softmax+256-128"], "python -m runs/one softmax+256-128"),
        ([r"C:\실행\my runs", "Kim's", "R&D"], r'''"C:\실행\my runs" "Kim's" "R&D"'''),
        (["a,b", "a;b", "a^b", "~1"], '"a,b" "a;b" "a^b" "~1"'),
        ([r"\\server\my share" + "\\", "C:\\"], r'"\\server\my share\\" C:' + "\\"),
    ],
)
def test_a_command_for_windows(monkeypatch, words, line):
    """What cmd and PowerShell both take: no single quotes, and none where a program begins."""
    monkeypatch.setattr(sys, "platform", "win32")
    assert startup.shell_line("py", *words) == f"py {line}"
    quoted = startup.shell_line(r"C:\Program Files\Python311\python.exe", *words)
    assert quoted == rf'C:\"Program Files"\Python311\python.exe {line}'


def test_a_command_for_other_shells():
    words = ["실행/my runs", "Kim's R&D", "$HOME", "-m", "runs/one"]
    line = shlex.split(startup.command_line("train", *words))
    assert line[1:] == ["-m", "lowlevel_mnist.train", *words]
    assert startup.command_line("").endswith(" -m lowlevel_mnist")


@pytest.mark.parametrize("closed", [">&-", "2>&-"])
def test_a_closed_output(tmp_path, closed):
    """Without a reader for one output a command goes on, and the other one has its own lines."""
    command = shlex.join([sys.executable, "-m", "lowlevel_mnist.train"])
    done = subprocess.run(
        f"{command} --list {closed} && {command} --data-dir absent {closed}",
        shell=True,
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 2
    assert ("mlp-512" in done.stdout) == (closed == "2>&-")
    assert ("no data folder absent" in done.stderr) == (closed == ">&-")
    assert "Traceback" not in done.stderr


def test_too_little_memory():
    script = "import numpy\nfrom lowlevel_mnist.console import cli\n"
    script += "cli.run_command(lambda _: numpy.empty(1 << 50), lambda: None)"
    assert_refused(run_python("-c", script), "not enough memory (Unable to", "`ulimit -v`")


def test_too_few_open_files(small_folder, tmp_path):
    command = f"ulimit -n 6 && exec {sys.executable} -m lowlevel_mnist.train --data-dir data"
    done = subprocess.run(
        ["sh", "-c", command], cwd=tmp_path, env=environment(), capture_output=True, text=True
    )
    assert_refused(done, "Too many open files", "ulimit -n")


# How TensorFlow is imported. In its place is a module of a few lines, which end in different ways.

IMPORT = "from lowlevel_mnist import startup; startup.import_tensorflow()\n"
SPEECH = "import os, signal; os.write(2, b'the reason, in C++')\n"


def import_stand_in(folder, content, script=IMPORT, **changes):
    """Runs a script with this content in the place of TensorFlow's."""
    (folder / "tensorflow.py").write_text(SPEECH + content, encoding="utf-8")
    (folder / "script.py").write_text(script, encoding="utf-8")
    path = f"{folder}:{PROJECT}"
    return run_python(folder / "script.py", cwd=folder, PYTHONPATH=path, **changes)


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        ("RuntimeError('no TensorFlow\\nat all')", "(no TensorFlow). Install it with pip"),
        ("ImportError('failed to map segment')", "It takes more memory, perhaps, than `ulimit -v`"),
    ],
)
def test_a_failing_import_of_tensorflow_says_why(tmp_path, error, advice):
    """What was held back while TensorFlow started is shown when it does not start."""
    done = import_stand_in(tmp_path, f"raise RuntimeError('what becomes of it') from {error}")
    assert done.returncode == 1
    assert done.stderr.startswith("the reason, in C++")
    assert "UserError: TensorFlow can't be imported (" in done.stderr
    assert advice in done.stderr


def test_the_end_of_the_process_in_tensorflow_is_not_silent(tmp_path):
    done = import_stand_in(tmp_path, "os.kill(os.getpid(), signal.SIGKILL)")
    assert done.returncode == -9
    assert re.fullmatch("The process ended within .*\nthe reason, in C\\+\\+", done.stderr)


def test_ctrl_c_in_tensorflow_is_silent(tmp_path):
    script = f"try:\n {IMPORT}except KeyboardInterrupt: print('Interrupted')"
    done = import_stand_in(tmp_path, "os.kill(os.getpid(), signal.SIGINT)", script)
    assert (done.returncode, done.stdout, done.stderr) == (0, "Interrupted\n", "")


def test_a_death_by_ctrl_c_is_silent(tmp_path):
    """As in a long call into TensorFlow that Python does not interrupt, from a terminal."""
    death = "time.sleep(1); signal.signal(signal.SIGINT, signal.SIG_DFL); os.kill(0, signal.SIGINT)"
    script = f"import os, signal; os.setsid()\n{IMPORT}"
    done = import_stand_in(tmp_path, f"import time; {death}", script)
    assert (done.returncode, done.stderr) == (-2, "")


@pytest.mark.parametrize("level", [None, "0", "2", "3"])
def test_an_import_leaves_nothing_behind(tmp_path, level):
    """No process, no file; and the variable that hides TensorFlow's lines is as the user set it."""
    well = "class config: list_physical_devices = print\nget_logger = lambda: logging.root"
    script = f"""{IMPORT}
import os
try:
    os.wait()
except ChildProcessError:
    print(len(os.listdir("/dev/fd")), os.environ.get("TF_CPP_MIN_LOG_LEVEL"))
os.write(2, b", all is shown again")
"""
    changes = {"TF_CPP_MIN_LOG_LEVEL": level} if level else {}
    done = import_stand_in(tmp_path, f"import logging\n{well}", script, **changes)
    before = "the reason, in C++" if level == "0" else ""
    assert (done.returncode, done.stderr) == (0, f"{before}, all is shown again")
    assert done.stdout.split() == ["4", str(level)]  # 0, 1, 2 and that of the list


def test_a_machine_without_avx(tmp_path):
    """TensorFlow would end the process; it is not imported."""
    (tmp_path / "cpuinfo").write_text("vmx flags : avx\nflags : fpu sse4_2\n", encoding="utf-8")
    script = "from lowlevel_mnist.execution import machine\n"
    script += f"machine.PROCESSOR = machine.pathlib.Path('cpuinfo')\n{IMPORT}"
    done = import_stand_in(tmp_path, "", script)
    assert done.stderr.startswith("Traceback")
    assert "UserError: TensorFlow needs a processor with AVX" in done.stderr


@pytest.mark.parametrize("cpuinfo", ["flags\t\t: fpu avx\n", "Features\t: fp asimd\n", None])
def test_other_processors(tmp_path, cpuinfo):
    """One with AVX, ARM's, and what is not Linux."""
    if cpuinfo:
        (tmp_path / "cpuinfo").write_text(cpuinfo, encoding="utf-8")
    assert not machine.lacks_avx(tmp_path / "cpuinfo")


@pytest.mark.parametrize("visible", [None, "0", "-1"])
def test_a_gpu_that_tensorflow_does_not_use(tmp_path, monkeypatch, visible):
    """A file in place of the device; whatever TensorFlow sees here, it is no such GPU."""
    import tensorflow as tf

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setattr(machine, "GPU", tmp_path / "nvidia0")
    assert machine.gpu_remark(tf) is None
    (tmp_path / "nvidia0").touch()
    remark = machine.gpu_remark(tf)
    assert (remark is None) == (visible == "-1"), "hidden by the user"
    assert remark is None or "pip install 'tensorflow[and-cuda]'" in remark


@pytest.mark.parametrize(
    ("backend", "reason"),
    [("nonsense", ""), ("module://no.such", "No window can be opened: No module named 'no'.")],
)
def test_pictures_need_no_backend_and_windows_say_so(tmp_path, backend, reason):
    script = "from lowlevel_mnist import plots\ndraw = lambda figure: None\n"
    script += "plots.save('a.png', 'png', draw)\nprint(plots.show(draw))"
    done = run_python("-c", script, cwd=tmp_path, MPLBACKEND=backend)
    assert (done.returncode, done.stdout) == (0, "False\n")
    assert done.stderr.partition("Remark: ")[2].strip() == reason
    assert (tmp_path / "a.png").exists()


@pytest.mark.parametrize("before", ["", "import matplotlib; matplotlib.use('pdf')"])
def test_a_backend_that_somebody_has_chosen_stays(before):
    script = f"{before}\nfrom lowlevel_mnist import plots\nfrom matplotlib import pyplot\n"
    done = run_python("-c", f"{script}print(pyplot.get_backend())", MPLBACKEND="svg")
    assert (done.stdout, done.stderr) == ("pdf\n" if before else "svg\n", "")


@pytest.mark.full
def test_a_training_needs_no_keras_which_is_there_for_who_wants_it(small_folder, tmp_path):
    """In an interpreter of its own, whose every line is seen: there is none of TensorFlow's."""
    script = """
import runpy, sys
runpy.run_module("lowlevel_mnist.train", run_name="__main__")
assert not [name for name in sys.modules if name.startswith("keras")]
import tensorflow, keras
from tensorflow.keras import layers
assert layers.Dense is keras.layers.Dense
tensorflow.keras.Sequential([layers.Dense(3)])(tensorflow.ones((2, 2)))
"""
    done = run_python("-c", script, "--data-dir", small_folder, cwd=tmp_path, MPLBACKEND="absent")
    assert (done.returncode, done.stderr) == (0, "")
