"""What does not need TensorFlow does not wait for it."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig

import pytest

from lowlevel_mnist import startup
from lowlevel_mnist.execution import machine
from tests.helpers.commands import (
    PROJECT,
    assert_ends,
    assert_refused,
    environment,
    run_anew,
    run_python,
)

COMMANDS = ["train", "evaluate", "show_random", "predict", "export", "page", "benchmark"]


@pytest.fixture
def without_tensorflow(tmp_path):
    """Environment changes under which `import tensorflow` and `import keras` end the process."""
    folder = tmp_path / "poison"
    folder.mkdir()
    for module in ("tensorflow", "keras", "matplotlib"):
        (folder / f"{module}.py").write_text(
            f"raise SystemExit('{module} was imported')", encoding="utf-8"
        )
    return {"PYTHONPATH": f"{folder}:{environment()['PYTHONPATH']}"}


def test_the_poison_works(without_tensorflow, small_folder, tmp_path):
    done = run_anew("train", "--data-dir", small_folder, cwd=tmp_path, **without_tensorflow)
    assert done.returncode == 1
    assert "tensorflow was imported" in done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_help(command, without_tensorflow, tmp_path):
    done = run_anew(command, "--help", cwd=tmp_path, **without_tensorflow)
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: python -m lowlevel_mnist.{command}")


@pytest.mark.parametrize("command", COMMANDS)
def test_bad_flags(command, without_tensorflow, tmp_path):
    needed = {"predict": ["any.png"], "export": ["--to", "model"]}.get(command, [])
    done = run_anew(command, *needed, "--no-such-flag", cwd=tmp_path, **without_tensorflow)
    assert_refused(done, "--no-such-flag")


def test_bad_data(without_tensorflow, tmp_path):
    (tmp_path / "data").mkdir()
    done = run_anew("train", "--data-dir", "data", cwd=tmp_path, **without_tensorflow)
    assert_refused(done, "data")


@pytest.mark.parametrize("python", ["python", ".venv/bin/python3"])
def test_commands_to_try_name_python_as_the_user_did(tmp_path, python):
    # Under another name, Python does not find its virtual environment by itself.
    packages = sysconfig.get_path("purelib")
    done = subprocess.run(
        [python, "-m", "lowlevel_mnist.evaluate"],
        executable=sys.executable,
        cwd=tmp_path,
        env=environment(PYTHONPATH=f"{PROJECT}:{packages}"),
        capture_output=True,
        text=True,
    )
    assert_refused(done, f"make one with {python} -m lowlevel_mnist.train, or")


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
    program = r"C:\Program Files\Python311\python.exe"
    assert startup.shell_line("py", *words) == f"py {line}"
    quoted = startup.shell_line(program, *words)
    assert quoted == rf'C:\"Program Files"\Python311\python.exe {line}'


def test_a_command_for_other_shells():
    words = ["실행/my runs", "Kim's R&D", "$HOME", "-m", "runs/one"]
    assert shlex.split(startup.shell_line(*words)) == words
    assert shlex.split(startup.command_line("train", *words))[1:] == [
        "-m",
        "lowlevel_mnist.train",
        *words,
    ]


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_closed_output(tmp_path, closed):
    """Without a reader for one output a command goes on, and the other one has its own lines."""
    command = shlex.join([sys.executable, "-m", "lowlevel_mnist.train", "--list"])
    bad = shlex.join([sys.executable, "-m", "lowlevel_mnist.train", "--data-dir", "absent"])
    done = subprocess.run(
        f"{command} {closed} && {bad} {closed}",
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


def test_the_package_itself(without_tensorflow, tmp_path):
    done = run_python("-c", "import lowlevel_mnist", cwd=tmp_path, **without_tensorflow)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.full
def test_a_process_started_by_a_quiet_one_is_quiet():
    child = "from lowlevel_mnist import startup; startup.import_tensorflow().constant(1)"
    parent = f"{child}; import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    done = run_python("-c", parent)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.full
@pytest.mark.parametrize("level", ["2", "3"])
def test_who_has_asked_for_quiet_gets_it(level):
    script = "from lowlevel_mnist import startup; startup.import_tensorflow()\n"
    script += "import os; print(os.environ['TF_CPP_MIN_LOG_LEVEL'])"
    done = run_python("-c", script, TF_CPP_MIN_LOG_LEVEL=level)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{level}\n", "")


IMPORT = "from lowlevel_mnist import startup; startup.import_tensorflow()\n"
SPEECH = "import os, signal; os.write(2, b'the reason, in C++')\n"


def import_stand_in(folder, content, script=IMPORT):
    """Runs a script with this content in the place of TensorFlow's."""
    (folder / "tensorflow.py").write_text(SPEECH + content, encoding="utf-8")
    (folder / "script.py").write_text(script, encoding="utf-8")
    path = f"{folder}:{environment()['PYTHONPATH']}"
    return run_python(folder / "script.py", cwd=folder, PYTHONPATH=path)


@pytest.mark.parametrize("error", ["ImportError", "RuntimeError"])
def test_a_failing_import_of_tensorflow_says_why(tmp_path, error):
    """What was held back while TensorFlow started is shown when it does not start."""
    done = import_stand_in(tmp_path, f"raise {error}('no TensorFlow\\nat all')")
    assert done.returncode == 1
    assert done.stderr.startswith("the reason, in C++Traceback")
    assert "UserError: TensorFlow can't be imported (no TensorFlow). Install it" in done.stderr


@pytest.mark.parametrize(
    ("end", "returncode"),
    [("os.abort()", -6), ("os.kill(os.getpid(), signal.SIGKILL)", -9), ("os._exit(7)", 7)],
)
def test_the_end_of_the_process_in_tensorflow_is_not_silent(tmp_path, end, returncode):
    done = import_stand_in(tmp_path, end)
    assert done.returncode == returncode
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


def test_an_import_leaves_nothing_behind(tmp_path):
    well = "class config: list_physical_devices = print\nget_logger = lambda: logging.root"
    script = f"""{IMPORT}
import os
try:
    os.wait()
except ChildProcessError:
    print(len(os.listdir("/dev/fd")))
os.write(2, b"all is shown again")
"""
    done = import_stand_in(tmp_path, f"import logging\n{well}", script)
    assert (done.returncode, done.stderr) == (0, "all is shown again")
    assert done.stdout.split() == ["4"]  # 0, 1, 2 and that of the list


def test_an_unknown_flag_of_xla_s(small_folder, tmp_path):
    """TensorFlow ends the process then."""
    flags = ["--data-dir", small_folder, "--execution", "xla"]
    done = run_anew("train", *flags, cwd=tmp_path, XLA_FLAGS="--xla_nonsense=1")
    assert done.returncode not in (0, 2)
    assert "Unknown flag" in done.stderr
    assert "--xla_nonsense=1" in done.stderr


@pytest.mark.parametrize(
    ("limit", "value", "words"),
    [
        ("-v", 200_000, ["not enough memory", "ulimit -v"]),  # for the data
        ("-v", 1_000_000, ["TensorFlow can't be imported", "more memory", "ulimit -v"]),
        ("-n", 6, ["Too many open files", "ulimit -n"]),
    ],
)
def test_limits(tmp_path, limit, value, words):
    command = f"ulimit {limit} {value} && exec {sys.executable} -m lowlevel_mnist.train"
    done = subprocess.run(
        ["sh", "-c", f"{command} --dataset digits"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        encoding="utf-8",
    )
    assert_refused(done, *words)


@pytest.mark.parametrize(
    ("cpuinfo", "lacks"),
    [
        ("processor\t: 0\nflags\t\t: fpu sse4_2 avx avx2\n\nprocessor\t: 1\n", False),
        ("processor\t: 0\nflags\t\t: fpu sse4_2 popcnt\nvmx flags\t: avx\n", True),
        ("processor\t: 0\nFeatures\t: fp asimd\n", False),  # of ARM
        ("", False),
    ],
)
def test_processors_without_avx(tmp_path, cpuinfo, lacks):
    (tmp_path / "cpuinfo").write_text(cpuinfo, encoding="utf-8")
    assert machine.lacks_avx(tmp_path / "cpuinfo") == lacks
    assert not machine.lacks_avx(tmp_path / "absent")


def test_a_machine_without_avx(small_folder, tmp_path):
    """Linux's description of the processor lies under that of an older one."""
    (tmp_path / "cpuinfo").write_text("flags\t\t: fpu sse4_2\n", encoding="utf-8")
    cover = ["unshare", "-m", "sh", "-c", 'mount --bind cpuinfo /proc/cpuinfo && exec "$@"', "sh"]
    if not shutil.which("unshare") or subprocess.run([*cover, "true"], cwd=tmp_path).returncode:
        pytest.skip("needs Linux, and the right to mount")
    command = [sys.executable, "-m", "lowlevel_mnist.train", "--data-dir", small_folder]
    done = subprocess.run(
        [*cover, *command],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        encoding="utf-8",
    )
    assert_refused(done, "TensorFlow needs a processor with AVX")


@pytest.mark.parametrize(("visible", "is_hidden"), [(None, False), ("0", False), ("-1", True)])
def test_a_gpu_that_tensorflow_does_not_use(tmp_path, monkeypatch, visible, is_hidden):
    """A file in place of the device; whatever TensorFlow sees here, it is no such GPU."""
    import tensorflow as tf

    assert tf.config.list_physical_devices("GPU") == []
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setattr(machine, "GPU", tmp_path / "nvidia0")
    assert machine.gpu_remark(tf) is None
    (tmp_path / "nvidia0").touch()
    remark = machine.gpu_remark(tf)
    assert is_hidden == (remark is None)
    assert is_hidden or "pip install 'tensorflow[and-cuda]'" in remark


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else elsewhere")
def test_temporary_folders_that_are_closed(tmp_path):
    (tmp_path / "closed").mkdir(mode=0o700)
    tmp_path.chmod(0o755)
    script = f"""
import locale, os, sys
from lowlevel_mnist import startup
os.chroot({str(tmp_path)!r})
os.chdir("/")
os.setuid(65534)
try:
    startup.import_tensorflow()
except startup.UserError as error:
    sys.exit(str(error))
"""
    done = run_python("-c", script, TMPDIR="/closed")
    assert_ends(done, 1, "temporary files", "no right to", "'/closed'", "TMPDIR")
    assert "full" not in done.stderr


NO_BACKENDS = ["nonsense", "module://no.such"]


@pytest.mark.parametrize("backend", NO_BACKENDS)
def test_pictures_need_no_backend(tmp_path, backend):
    script = "from lowlevel_mnist import plots; plots.save('a.png', 'png', lambda figure: None)"
    done = run_python("-c", script, cwd=tmp_path, MPLBACKEND=backend)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "a.png").exists()


@pytest.mark.parametrize(
    ("backend", "reason"),
    [("nonsense", ""), ("module://no.such", "No window can be opened: No module named 'no'.")],
)
def test_no_window_without_a_backend(backend, reason):
    script = "from lowlevel_mnist import plots; print(plots.show(lambda figure: None))"
    done = run_python("-c", script, MPLBACKEND=backend)
    assert (done.returncode, done.stdout) == (0, "False\n")
    assert reason in done.stderr
    assert bool(done.stderr) == bool(reason)


@pytest.mark.parametrize("before", ["", "import matplotlib; matplotlib.use('pdf')"])
def test_a_backend_that_somebody_has_chosen_stays(before):
    script = f"{before}\nfrom lowlevel_mnist import plots\nfrom matplotlib import pyplot\n"
    done = run_python("-c", f"{script}print(pyplot.get_backend())", MPLBACKEND="svg")
    assert (done.stdout, done.stderr) == ("pdf\n" if before else "svg\n", "")


def test_nobody_needs_keras_or_a_backend_to_train(small_folder, tmp_path):
    """Neither tf_keras nor any of these is there."""
    changes = {"TF_USE_LEGACY_KERAS": "1", "KERAS_BACKEND": "absent", "MPLBACKEND": "absent"}
    done = run_anew("train", "--data-dir", small_folder, cwd=tmp_path, **changes)
    assert (done.returncode, done.stderr) == (0, "")


def test_keras_is_there_for_who_wants_it():
    script = """
from lowlevel_mnist import startup
tensorflow = startup.import_tensorflow()
import sys
assert not [name for name in sys.modules if name.startswith("keras")]
from tensorflow.keras import layers
import keras
assert layers.Dense is keras.layers.Dense
tensorflow.keras.Sequential([layers.Dense(3)])(tensorflow.ones((2, 2)))
"""
    done = run_python("-c", script)
    assert (done.returncode, done.stderr) == (0, "")
