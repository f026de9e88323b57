"""Many devices, or many workers on loopback, train the same run as one device alone."""

import contextlib
import functools
import json
import os
import re
import signal
import socket
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

from lowlevel_mnist.distribution import cluster, connection
from lowlevel_mnist.runs import folders
from tests.helpers.commands import (
    assert_ends,
    limit_files,
    run,
    split_cpu,
    start,
    start_anew,
    train,
)
from tests.helpers.data import digit_arrays, write_idx_folder
from tests.helpers.runs import read_metrics

# A batch of 32 is not to be divided by 3; the last one has one image, so most replicas get none.
STEPS, IMAGES = 19, 18 * 32 + 1
RECIPE = ("--recipe", "mlp-512-dropout", "--validation-split", "0.2", "--no-plots")
EPOCH = ("--dtype", "float64", "--epochs", "1", "--execution", "graph")
# Long enough to be killed in the middle: 400 small steps an epoch.
LONG = ("--recipe", "mlp-128-dropout", "--batch-size", "8", "--epochs", "2", "--no-plots")
LONG += ("--dtype", "float64", "--execution", "graph")

TENSORFLOWS = ("E0000 ", "Additional GRPC error", ":UNKNOWN:")  # lines on stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """722 images of digits, of which a fifth is for validation, and 1,000 test images."""
    path = tmp_path_factory.mktemp("digits") / "data"
    return write_idx_folder(path, digit_arrays(722, 1000))


@pytest.fixture(scope="module")
def long_folder(tmp_path_factory):
    return write_idx_folder(tmp_path_factory.mktemp("long") / "data", digit_arrays(3201, 100))


@pytest.fixture(scope="module")
def undisturbed(long_folder):
    """What one device makes of the long run."""
    out = long_folder.parent / "undisturbed"
    train(long_folder, *LONG, "--output-dir", out, cwd=long_folder.parent)
    return read_state(out)


@pytest.fixture(scope="module")
def alone(folder):
    """What one device makes of a float64 epoch: its weights and slots, and its metrics."""
    out = folder.parent / "alone"
    train(folder, *RECIPE, *EPOCH, "--output-dir", out, cwd=folder.parent)
    return read_state(out)


def free_ports(count):
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(socket.create_server(("", 0))) for _ in range(count)]
        return [server.getsockname()[1] for server in servers]


def tf_config(ports, index):
    addresses = [f"127.0.0.1:{port}" for port in ports]
    task = {"type": "worker", "index": index}
    return json.dumps({"cluster": {"worker": addresses}, "task": task})


@contextlib.contextmanager
def workers(configs, *arguments, cwd, commands=None, begin=start, **options):
    """`train` processes, one with each TF_CONFIG, each in a folder of its own within `cwd`."""
    with contextlib.ExitStack() as stack:
        processes = []
        for number, config in enumerate(configs):
            home = cwd / f"home-{number}"
            home.mkdir(exist_ok=True)
            flags = ["--distribute", "multi-worker", *arguments]
            flags += commands[number] if commands else []
            process = begin("train", *flags, cwd=home, TF_CONFIG=config, **options)
            stack.enter_context(process)
            stack.callback(process.kill)
            processes.append(process)
        yield processes


def train_together(count, *arguments, cwd):
    """A training by several workers that succeeds; returns what each has said."""
    ports = free_ports(count)
    configs = [tf_config(ports, index) for index in range(count)]
    with workers(configs, *arguments, cwd=cwd) as processes:
        said = [process.communicate(timeout=200) for process in processes]
    for process, (_, stderr) in zip(processes, said, strict=True):
        # A fork can't have TensorFlow be silent about a worker that ends before the others.
        ours = [line for line in stderr.splitlines() if not line.startswith(TENSORFLOWS)]
        assert (process.returncode, ours) == (0, [])
    return [stdout for stdout, _ in said]


def train_mirrored(devices, *arguments, cwd):
    flags = ["--distribute", "mirrored", *arguments]
    done = run("train", *flags, cwd=cwd, before=split_cpu(devices))
    assert done.returncode == 0
    return done.stdout


def read_state(folder):
    """Weights and slots of a run's newest checkpoint, as arrays by name, and its metrics."""
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(folders.find_checkpoints(folder)[-1]))
    names = reader.get_variable_to_shape_map()
    kept = [name for name in names if name.startswith(("model/", "optimizer/"))]
    return {name: np.asarray(reader.get_tensor(name)) for name in kept}, read_metrics(folder)


def assert_same(state, other):
    (arrays, metrics), (others, other_metrics) = state, other
    assert arrays.keys() == others.keys()
    for name, array in arrays.items():
        np.testing.assert_allclose(others[name], array, rtol=0, atol=1e-9)
    assert other_metrics["confusion_matrix"] == metrics["confusion_matrix"]
    for row, other_row in zip(metrics["history"], other_metrics["history"], strict=True):
        for key in ("loss", "accuracy", "val_loss", "val_accuracy"):
            assert other_row[key] == pytest.approx(row[key], abs=1e-9), key


@pytest.mark.parametrize("count", [2, *(pytest.param(n, marks=pytest.mark.full) for n in (1, 3))])
def test_workers_train_the_same_run(folder, alone, count, tmp_path):
    out = tmp_path / "run"
    arguments = ("--data-dir", folder, *RECIPE, *EPOCH, "--output-dir", out)
    chief, *others = train_together(count, *arguments, cwd=tmp_path)
    assert_same(alone, read_state(out))
    metrics = read_metrics(out)
    assert (metrics["distribute"], metrics["replicas"]) == ("multi-worker", count)
    assert f"Epoch 1/1  {STEPS}/{STEPS}" in chief
    assert not any("Epoch" in stdout for stdout in others), "only the chief reports"
    assert [
        path.name for path in out.parent.iterdir() if path.is_dir() and any(path.iterdir())
    ] == ["run"], "only the chief writes"


@pytest.mark.full
def test_eager_workers_train_the_same_run(folder, alone, tmp_path):
    out = tmp_path / "run"
    arguments = ("--data-dir", folder, *RECIPE, *EPOCH[:-1], "eager", "--output-dir", out)
    train_together(2, *arguments, cwd=tmp_path)
    assert_same(alone, read_state(out))


@pytest.mark.parametrize(
    ("devices", "execution"),
    [
        (2, "graph"),
        pytest.param(4, "graph", marks=pytest.mark.full),
        pytest.param(2, "eager", marks=pytest.mark.full),
    ],
)
def test_devices_train_the_same_run(folder, alone, devices, execution, tmp_path):
    out = tmp_path / "run"
    arguments = ("--data-dir", folder, *RECIPE, *EPOCH[:-1], execution, "--output-dir", out)
    stdout = train_mirrored(devices, *arguments, cwd=tmp_path)
    assert f"shared by {devices} replicas" in stdout
    assert_same(alone, read_state(out))


@pytest.mark.full
def test_clipping_and_a_schedule_are_the_same_for_all(folder, tmp_path):
    """Gradients are clipped when they have been added up, and all have the rate of the step."""
    flags = "--optimizer", "adamw", "--schedule", "cosine", "--clip-norm", 0.25
    flags += "--label-smoothing", 0.1
    arguments = ("--data-dir", folder, *RECIPE, *EPOCH, *flags, "--output-dir")
    train(folder, *arguments[2:], tmp_path / "alone", cwd=tmp_path)
    train_mirrored(2, *arguments, tmp_path / "mirrored", cwd=tmp_path)
    train_together(2, *arguments, tmp_path / "workers", cwd=tmp_path)
    for shared in ("mirrored", "workers"):
        assert_same(read_state(tmp_path / "alone"), read_state(tmp_path / shared))
        ours, theirs = (read_metrics(tmp_path / name)["history"] for name in ("alone", shared))
        assert ours[0]["learning_rate"] == theirs[0]["learning_rate"] > 0


@pytest.fixture
def own_network(tmp_path):
    """The flag of a network of one's own, whose module is in the folders of two workers."""
    for number in range(2):
        (tmp_path / f"home-{number}").mkdir()
        text = "from lowlevel_mnist import Network\n\n\nclass Mine(Network):\n    pass\n"
        (tmp_path / f"home-{number}" / "mine.py").write_text(text, encoding="utf-8")
    return "--model", "mine:Mine"


@pytest.mark.full
def test_workers_bring_a_network_of_their_own(folder, alone, own_network, tmp_path):
    out = tmp_path / "run"
    arguments = ("--data-dir", folder, *RECIPE, *EPOCH, *own_network, "--output-dir", out)
    chief, _ = train_together(2, *arguments, cwd=tmp_path)
    assert "\nNetwork: mine:Mine, 784-512-10, dropout 0.2, 407,050 parameters" in chief
    assert_same(alone, read_state(out))


@pytest.mark.full
def test_workers_need_the_same_network(folder, own_network, tmp_path):
    with (tmp_path / "home-1" / "mine.py").open("a", encoding="utf-8") as module:
        module.write("    dropout_units = (512,)\n")
    ports = free_ports(2)
    configs = [tf_config(ports, index) for index in range(2)]
    arguments = ("--data-dir", folder, *RECIPE, *EPOCH, *own_network)
    with workers(configs, *arguments, cwd=tmp_path) as processes:
        chief, other = end_all(processes)
    assert [process.returncode for process in processes] == [2, 2]
    assert "has mine:Mine with SHA-256 " in other
    assert "All need the same.\n" in other
    assert f"Lost worker 1 (127.0.0.1:{ports[1]})" in chief


@pytest.mark.full
def test_a_worker_imports_no_network_that_only_the_chief_names(long_folder, own_network, tmp_path):
    (tmp_path / "home-1" / "mine.py").write_text("open('executed', 'w')", encoding="utf-8")
    configs = [tf_config(ports, index) for ports in [free_ports(2)] for index in range(2)]
    arguments, commands = ("--data-dir", long_folder, *LONG), [own_network, []]
    with workers(configs, *arguments, cwd=tmp_path, commands=commands) as processes:
        chief, other = end_all(processes)
    assert [process.returncode for process in processes] == [2, 2]
    assert "the chief's run is code of its own" in other
    assert "add --model mine:Mine\n" in other
    assert not (tmp_path / "home-1" / "executed").exists()
    assert "--distribute multi-worker" in chief.partition(" --model mine:Mine")[2]


@pytest.mark.full
def test_float32_is_as_accurate(folder, tmp_path):
    arguments = ("--data-dir", folder, *RECIPE, "--execution", "graph", "--output-dir")
    train_together(2, *arguments, tmp_path / "workers", cwd=tmp_path)
    train_mirrored(2, *arguments, tmp_path / "devices", cwd=tmp_path)
    train(folder, *RECIPE, "--output-dir", tmp_path / "alone", cwd=tmp_path)
    expected = read_metrics(tmp_path / "alone")["test_accuracy"]
    for name in ("workers", "devices"):
        assert read_metrics(tmp_path / name)["test_accuracy"] == pytest.approx(expected, abs=0.004)


@contextlib.contextmanager
def workers_in_epoch_2(folder, out, cwd):
    """Two workers, chief first, in the middle of their second epoch.

    In new interpreters: how much TensorFlow tells of a lost worker is settled by its import.
    """
    ports = free_ports(2)
    configs = [tf_config(ports, index) for index in range(2)]
    arguments = ("--data-dir", folder, *LONG, "--output-dir", out)
    with workers(configs, *arguments, cwd=cwd, begin=start_anew) as processes:
        while not (line := processes[0].stdout.readline()).startswith("Epoch 1/"):
            assert line, processes[0].stderr.read()
        time.sleep(0.3)
        yield processes


@pytest.mark.full
@pytest.mark.parametrize("count", [1, 2])
def test_a_lost_worker_ends_all_and_the_run_goes_on(long_folder, undisturbed, tmp_path, count):
    """By one worker alone, or by two again."""
    out = tmp_path / "run"
    with workers_in_epoch_2(long_folder, out, tmp_path) as (chief, other):
        other.kill()
        _, stderr = chief.communicate(timeout=120)
    assert chief.returncode == 2
    assert stderr.startswith("Lost worker 1 (127.0.0.1:")
    assert f"--resume --output-dir {out} --no-plots --distribute multi-worker" in stderr
    assert stderr.count("\n") == 1
    resume = ["--resume", "--output-dir", out]
    if count == 1:
        assert "Resumed after epoch 1" in run("train", *resume, cwd=tmp_path).stdout
    else:
        train_together(count, *resume, cwd=tmp_path)
    assert_same(undisturbed, read_state(out))


@pytest.mark.full
def test_a_lost_chief_ends_all(long_folder, tmp_path):
    with workers_in_epoch_2(long_folder, tmp_path / "run", tmp_path) as (chief, other):
        chief.kill()
        _, stderr = other.communicate(timeout=120)
    assert other.returncode == 2
    assert stderr.startswith("Lost worker 0 (127.0.0.1:")
    assert stderr.count("\n") == 1


@pytest.mark.full
def test_a_frozen_worker_ends_all(long_folder, tmp_path):
    with workers_in_epoch_2(long_folder, tmp_path / "run", tmp_path) as (chief, other):
        other.send_signal(signal.SIGSTOP)
        _, stderr = chief.communicate(timeout=120)
    assert chief.returncode == 2
    assert stderr.startswith("Lost worker 1 (127.0.0.1:")


@pytest.mark.full
def test_a_signal_to_one_ends_all_with_a_checkpoint(long_folder, undisturbed, tmp_path):
    out = tmp_path / "run"
    with workers_in_epoch_2(long_folder, out, tmp_path) as (chief, other):
        other.terminate()
        _, stderr = chief.communicate(timeout=60)
        other.communicate(timeout=60)
    assert (chief.returncode, other.returncode) == (143, 143)
    assert "Interrupted after step " in stderr
    said = train_together(3, "--resume", "--output-dir", out, "--no-plots", cwd=tmp_path)
    assert re.search(r"Resumed after step \d+ of epoch 2", said[0])
    assert_same(undisturbed, read_state(out))


@pytest.mark.full
def test_a_worker_lost_in_the_first_epoch_leaves_a_run_to_resume(long_folder, tmp_path):
    out = tmp_path / "run"
    ports = free_ports(2)
    arguments = ("--data-dir", long_folder, *LONG, "--batch-size", "2", "--output-dir", out)
    configs = [tf_config(ports, index) for index in range(2)]
    with workers(configs, *arguments, cwd=tmp_path) as (chief, other):
        while not (line := chief.stdout.readline()).startswith("Network:"):
            assert line, chief.stderr.read()
        time.sleep(1)
        other.kill()
        _, stderr = chief.communicate(timeout=120)
    assert chief.returncode == 2
    assert "--resume" in stderr
    done = run("train", "--resume", "--output-dir", out, cwd=tmp_path)
    assert "Resumed at the beginning" in done.stdout


WORKER = '"task": {"type": "worker", "index": 0}'
ONE = '{"cluster": {"worker": ["127.0.0.1:12345"]}, '


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "TF_CONFIG is not set"),
        ("{", "TF_CONFIG is not JSON"),
        ("[" * 100_000, "TF_CONFIG is not JSON"),
        ("[]", "TF_CONFIG has no object 'cluster'"),
        ('{"cluster": {"worker": ["127.0.0.1:12345"]}}', "TF_CONFIG has no object 'task'"),
        ('{"cluster": {"worker": "127.0.0.1:12345"}, ' + WORKER + "}", "has no list 'worker'"),
        ('{"cluster": {"ps": ["127.0.0.1:12345"]}, ' + WORKER + "}", "has a job 'ps'"),
        ('{"cluster": {"chief": [], "worker": ["a:1"]}, ' + WORKER + "}", "more than one chief"),
        ('{"cluster": {"worker": ["a:1", "a:1"]}, ' + WORKER + "}", "address a:1 more than once"),
        ('{"cluster": {"worker": ["a:0"]}, ' + WORKER + "}", "'a:0', which is no host:port"),
        ('{"cluster": {"worker": ["a..b:1"]}, ' + WORKER + "}", "'a..b:1', which is no host:port"),
        ('{"cluster": {"worker": ["[::1]:1"]}, ' + WORKER + "}", "which is no host:port"),
        ('{"cluster": {"worker": ["a\\u0000:1"]}, ' + WORKER + "}", "which is no host:port"),
        ('{"cluster": {"worker": ["a:000012"]}, ' + WORKER + "}", "which is no host:port"),
        (ONE + WORKER + ', "rpc_layer": "tcp"}', "has another rpc_layer than grpc"),
        ('{"cluster": {"worker": [12345]}, ' + WORKER + "}", "12345, which is no host:port"),
        (ONE + '"task": {"type": "worker", "index": 1}}', "none of its cluster's workers"),
        (ONE + '"task": {"type": "worker", "index": "1"}}', "none of its cluster's workers"),
        (ONE + '"task": {"type": "worker", "index": "first"}}', "none of its cluster's workers"),
        (ONE + '"task": {"type": "worker", "index": true}}', "none of its cluster's workers"),
        (ONE + '"task": {"type": "evaluator", "index": 0}}', "none of its cluster's workers"),
    ],
)
def test_a_wrong_tf_config_is_said(text, expected, tmp_path):
    done = run("train", "--distribute", "multi-worker", cwd=tmp_path, TF_CONFIG=text)
    assert done.returncode == 2
    assert expected in done.stderr
    assert '{"cluster": {"worker": ["192.168.0.1:12345"' in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_an_index_may_be_text():
    """As a shell script writes it."""
    number, text = (cluster.read_tf_config(tf_config([1234, 1235], index)) for index in (1, "1"))
    assert text == number


def test_a_forgotten_flag(small_folder, tmp_path):
    flags = ["--data-dir", small_folder, "--no-plots", "--output-dir", "run"]
    done = run("train", *flags, cwd=tmp_path, TF_CONFIG=tf_config([1234, 1235], 1))
    assert_ends(done, 0, "TF_CONFIG is set, but", "--distribute multi-worker")


def _be_patient(seconds):
    connection.PATIENCE = seconds


IMPATIENT = functools.partial(_be_patient, 3)
COME = "Start all workers within 3 seconds of each other"


@pytest.mark.parametrize("here", [0, pytest.param(1, marks=pytest.mark.full)])
def test_a_worker_that_never_comes_is_named(here, tmp_path):
    ports = free_ports(2)
    absent = f"worker {1 - here} (127.0.0.1:{ports[1 - here]})"
    with workers([tf_config(ports, here)], cwd=tmp_path, before=IMPATIENT) as (process,):
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 2
    assert stdout.endswith(f"Waiting for {absent}\n")
    why = ": Connection refused" if here else ""  # TensorFlow does not tell the chief why
    assert stderr.startswith(f"Can't reach {absent}{why}. {COME}")
    assert stderr.count("\n") == 1
    assert not list((tmp_path / "home-0").iterdir())


@pytest.mark.full
def test_all_name_the_worker_that_never_comes(tmp_path):
    ports = free_ports(3)
    configs = [tf_config(ports, index) for index in range(2)]
    with workers(configs, cwd=tmp_path, before=IMPATIENT) as processes:
        said = end_all(processes)
    assert [process.returncode for process in processes] == [2, 2]
    for stderr in said:
        assert stderr.startswith(f"Can't reach worker 2 (127.0.0.1:{ports[2]}). {COME}")


def test_ctrl_c_ends_the_wait(tmp_path):
    with workers([tf_config(free_ports(2), 0)], cwd=tmp_path) as (chief,):
        assert chief.stdout.readline().startswith("Waiting for worker 1")
        time.sleep(1)
        chief.send_signal(signal.SIGINT)
        chief.wait(timeout=5)
    assert chief.returncode in (-signal.SIGINT, 130)


def test_a_port_that_is_taken_is_said(tmp_path):
    with socket.create_server(("", 0)) as server:
        config = tf_config([server.getsockname()[1]], 0)
        done = run("train", "--distribute", "multi-worker", cwd=tmp_path, TF_CONFIG=config)
    assert_ends(done, 2, "can't listen on its port", "Is another program there?")


def end_all(processes):
    return [process.communicate(timeout=100)[1] for process in processes]


@pytest.mark.parametrize("others", [[0, 2], pytest.param([0, 1, 2], marks=pytest.mark.full)])
def test_workers_must_mean_the_same_cluster(others, tmp_path):
    """The chief and worker 1, to whom other addresses are told."""
    ports = free_ports(3)
    configs = [tf_config(ports[:2], 0), tf_config([ports[number] for number in others], 1)]
    with workers(configs, cwd=tmp_path) as processes:
        said = end_all(processes)
    assert [process.returncode for process in processes] == [2, 2]
    for stderr in said:
        assert "All need the same addresses" in stderr


def _be_newer():
    tf.__version__ = "99.0.0"


def test_another_version_of_tensorflow_is_named(tmp_path):
    """Both are the same one here, but the second says otherwise of itself."""
    ports = free_ports(2)
    with (
        workers([tf_config(ports, 0)], cwd=tmp_path) as (chief,),
        workers([tf_config(ports, 1)], cwd=tmp_path / "home-0", before=_be_newer) as (other,),
    ):
        said = end_all([chief, other])
    assert (chief.returncode, other.returncode) == (2, 2)
    me = f"worker 1 (127.0.0.1:{ports[1]})"
    assert f"but {me} 99.0.0. All need the same." in said[1]
    assert f"has TensorFlow {tf.__version__}" in said[1]
    assert f"Lost {me}" in said[0]


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--epochs", "4"], "--epochs 4 contradicts the chief's run, which has --epochs 2."),
        pytest.param(
            *(["--seed", "1"], "--seed 1 contradicts the chief's run, which has --seed 0."),
            marks=pytest.mark.full,
        ),
        pytest.param(
            *(["--data-dir", "nowhere"], "There is no data folder nowhere; check the path."),
            marks=pytest.mark.full,
        ),
    ],
)
def test_a_worker_that_can_not_follow_ends_all(long_folder, flags, expected, tmp_path):
    ports = free_ports(2)
    configs = [tf_config(ports, index) for index in range(2)]
    arguments = ("--data-dir", long_folder, *LONG)
    with workers(configs, *arguments, cwd=tmp_path, commands=[[], flags]) as processes:
        chief, other = end_all(processes)
    assert [process.returncode for process in processes] == [2, 2]
    assert expected in other
    assert f"Lost worker 1 (127.0.0.1:{ports[1]}): it has ended" in chief
    (folder,) = (tmp_path / "home-0").glob("runs/*")
    assert [path.name for path in folder.iterdir()] == ["settings.json"]
    assert (
        f"Go on with: {sys.executable} -m lowlevel_mnist.train --resume --output-dir runs/"
        f"{folder.name}" in chief
    )


def test_other_data_is_refused(folder, long_folder, tmp_path):
    ports = free_ports(2)
    configs = [tf_config(ports, index) for index in range(2)]
    flags = [["--data-dir", str(long_folder)], ["--data-dir", str(folder)]]
    with workers(configs, *LONG, cwd=tmp_path, commands=flags) as processes:
        _, other = end_all(processes)
    assert "is not what the chief's run was trained on" in other


def test_xla_is_refused(folder, tmp_path):
    done = run(
        *("train", "--data-dir", folder, "--execution", "xla", "--distribute", "mirrored"),
        cwd=tmp_path,
    )
    assert done.returncode == 2
    assert "Choose --execution graph" in done.stderr
    assert not list(tmp_path.glob("runs/*"))


@pytest.mark.full
def test_an_unknown_caller_does_no_harm(long_folder, tmp_path):
    ports = free_ports(2)
    arguments = ("--data-dir", long_folder, *LONG, "--epochs", "1")
    with workers([tf_config(ports, 0)], *arguments, cwd=tmp_path) as (chief,):
        assert chief.stdout.readline().startswith("Waiting for worker 1")
        time.sleep(1)
        with socket.create_connection(("127.0.0.1", ports[0])) as caller:
            caller.sendall(os.urandom(1000) + b"\n")
            with workers([tf_config(ports, 1)], *arguments, cwd=tmp_path) as (other,):
                other.communicate(timeout=100)
                _, stderr = chief.communicate(timeout=100)
    assert (chief.returncode, stderr) == (0, "")


@pytest.mark.full
def test_a_worker_lost_while_a_third_is_waited_for_ends_all(tmp_path):
    ports = free_ports(3)
    configs = [tf_config(ports, index) for index in range(3)]
    with workers(configs[:2], cwd=tmp_path) as (chief, lost):
        assert lost.stdout.readline().startswith("This is worker 1")
        time.sleep(3)
        lost.kill()
        with workers(configs[2:], cwd=tmp_path / "home-1") as (third,):
            said = end_all([chief, third])
    assert (chief.returncode, third.returncode) == (2, 2)
    for stderr in said:
        assert f" worker 1 (127.0.0.1:{ports[1]})" in stderr


@pytest.mark.full
@pytest.mark.parametrize("killed", [False, True])
def test_no_worker_says_that_the_run_is_saved_where_it_is_not(long_folder, killed, tmp_path):
    """As the chief's disk is full, or as it is killed after the last epoch."""
    ports = free_ports(2)
    arguments = ("--data-dir", long_folder, "--epochs", "1", "--execution", "graph")
    before = None if killed else limit_files(20_000)
    with (
        workers([tf_config(ports, 0)], *arguments, cwd=tmp_path, before=before) as (chief,),
        workers([tf_config(ports, 1)], cwd=tmp_path / "home-0") as (other,),
    ):
        if killed:
            while not (line := chief.stdout.readline()).startswith("Epoch 1/1"):
                assert line, chief.stderr.read()
            chief.kill()
        stdout, stderr = other.communicate(timeout=100)
        chief.communicate(timeout=100)
    assert (chief.returncode, other.returncode) == (-signal.SIGKILL if killed else 2, 2)
    assert "saved the run" not in stdout
    assert f"Lost worker 0 (127.0.0.1:{ports[0]})" in stderr
