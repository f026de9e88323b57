"""Many devices, or many workers on loopback, train the same run as one device alone."""

import functools
import re
import signal
import socket
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

from lowlevel_mnist.distribution import cluster, connection
from lowlevel_mnist.errors import UserError
from tests.helpers.commands import assert_ends, run, start_anew, train
from tests.helpers.data import digit_arrays, write_idx_folder
from tests.helpers.runs import read_metrics, read_state
from tests.helpers.workers import (
    end_all,
    tf_config,
    tf_configs,
    train_mirrored,
    train_together,
    workers,
)

# A batch of 32 is not to be divided by 3; the last one has one image, so most replicas get none.
STEPS, IMAGES = 19, 18 * 32 + 1
# The second of its epochs is the best, and the third the last, so the weights change places.
RECIPE = ("--recipe", "mlp-512-dropout", "--validation-split", "0.2", "--no-plots")
RECIPE += ("--epochs", "9", "--patience", "1", "--learning-rate", "0.02")
RECIPE += ("--dtype", "float64", "--execution", "graph")
# Long enough to be killed in the middle: 400 small steps an epoch.
LONG = ("--recipe", "mlp-128-dropout", "--batch-size", "8", "--epochs", "2", "--no-plots")
LONG += ("--dtype", "float64", "--execution", "graph")


@pytest.fixture(scope="module")
def digits_folder(tmp_path_factory):
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
def alone(digits_folder):
    """What one device makes of RECIPE."""
    out = digits_folder.parent / "alone"
    train(digits_folder, *RECIPE, "--output-dir", out, cwd=digits_folder.parent)
    state = read_state(out)
    best, epochs = state["metrics"]["best_epoch"], len(state["metrics"]["history"])
    assert 1 < best < epochs < 9
    return state


def assert_same(expected, folder):
    """A run has the weights, slots and results of another, up to rounding."""
    state = read_state(folder)
    assert state.keys() == expected.keys()
    for name in expected.keys() - {"metrics"}:
        np.testing.assert_allclose(state[name], expected[name], rtol=0, atol=1e-9)
    ours, theirs = state["metrics"], expected["metrics"]
    for key in ("confusion_matrix", "best_epoch"):
        assert ours[key] == theirs[key]
    for our, their in zip(ours["history"], theirs["history"], strict=True):
        assert {**our, "seconds": 0} == pytest.approx({**their, "seconds": 0}, abs=1e-9)


@pytest.mark.parametrize("count", [2, *(pytest.param(n, marks=pytest.mark.full) for n in (1, 3))])
def test_workers_train_the_same_run(digits_folder, alone, count, tmp_path):
    out = tmp_path / "run"
    flags = ("--data-dir", digits_folder, *RECIPE, "--output-dir", out)
    chief, *others = train_together(count, *flags, cwd=tmp_path)
    assert_same(alone, out)
    metrics = read_metrics(out)
    assert (metrics["distribute"], metrics["replicas"]) == ("multi-worker", count)
    assert f"Epoch 1/9  {STEPS}/{STEPS}" in chief
    assert not any("Epoch" in stdout for stdout in others), "only the chief reports"
    assert [path.parent for path in tmp_path.rglob("settings.json")] == [out], "or writes"


@pytest.mark.parametrize("execution", ["graph", pytest.param("eager", marks=pytest.mark.full)])
def test_devices_train_the_same_run(digits_folder, alone, execution, tmp_path):
    flags = (*RECIPE, "--execution", execution, "--output-dir", "run")
    stdout = train_mirrored(2, "--data-dir", digits_folder, *flags, cwd=tmp_path)
    assert "shared by 2 replicas" in stdout
    assert_same(alone, tmp_path / "run")


@pytest.fixture
def own_network(tmp_path):
    """The flag of a network of one's own, whose module is in the folders of two workers."""
    text = "from lowlevel_mnist import Network\n\n\nclass Mine(Network):\n    pass\n"
    for home in (tmp_path / "home-0", tmp_path / "home-1", tmp_path):
        home.mkdir(exist_ok=True)
        (home / "mine.py").write_text(text, encoding="utf-8")
    return "--model", "mine:Mine"


@pytest.mark.full
def test_other_ways_to_train_are_the_same_for_all(digits_folder, own_network, tmp_path):
    """Gradients are clipped when they have been added up, and all have the rate of the step."""
    flags = ("--data-dir", digits_folder, *RECIPE, *own_network, "--optimizer", "adamw")
    flags += ("--schedule", "cosine", "--clip-norm", "0.25", "--label-smoothing", "0.1")
    flags += ("--epochs", "1", "--output-dir")
    train(digits_folder, *flags[2:], tmp_path / "alone", cwd=tmp_path)
    expected = read_state(tmp_path / "alone")
    assert expected["metrics"]["history"][0]["learning_rate"] > 0
    train_mirrored(2, *flags, tmp_path / "mirrored", cwd=tmp_path)
    assert_same(expected, tmp_path / "mirrored")
    train_together(2, *flags, tmp_path / "workers", cwd=tmp_path)
    assert_same(expected, tmp_path / "workers")


@pytest.mark.full
def test_workers_need_the_same_network(digits_folder, own_network, tmp_path):
    with (tmp_path / "home-1" / "mine.py").open("a", encoding="utf-8") as module:
        module.write("    dropout_units = (512,)\n")
    ports, configs = tf_configs(2)
    flags = ("--data-dir", digits_folder, *RECIPE, *own_network)
    with workers(configs, *flags, cwd=tmp_path) as processes:
        chief, other = end_all(processes)
    assert "has mine:Mine with SHA-256 " in other
    assert "All need the same.\n" in other
    assert f"Lost worker 1 (127.0.0.1:{ports[1]})" in chief


@pytest.mark.full
def test_a_worker_imports_no_network_that_only_the_chief_names(long_folder, own_network, tmp_path):
    (tmp_path / "home-1" / "mine.py").write_text("open('executed', 'w')", encoding="utf-8")
    _, configs = tf_configs(2)
    flags, of_each = ("--data-dir", long_folder, *LONG), [own_network, []]
    with workers(configs, *flags, cwd=tmp_path, flags_of_each=of_each) as processes:
        chief, other = end_all(processes)
    assert "the chief's run is code of its own" in other
    assert "add --model mine:Mine\n" in other
    assert not (tmp_path / "home-1" / "executed").exists()
    assert "--distribute multi-worker" in chief.partition(" --model mine:Mine")[2]


def in_epoch_2(folder, out, cwd):
    """Two workers, chief first, in the middle of their second epoch.

    In new interpreters: how much TensorFlow tells of a lost worker is settled by its import.
    """
    _, configs = tf_configs(2)
    flags = ("--data-dir", folder, *LONG, "--output-dir", out)
    return workers(configs, *flags, cwd=cwd, begin=start_anew, until="Epoch 1/")


@pytest.mark.full
def test_a_lost_worker_ends_all_and_the_run_goes_on(long_folder, undisturbed, tmp_path):
    """Here by one worker alone."""
    out = tmp_path / "run"
    with in_epoch_2(long_folder, out, tmp_path) as (chief, other):
        other.kill()
        _, stderr = chief.communicate(timeout=120)
    assert chief.returncode == 2
    assert stderr.startswith("Lost worker 1 (127.0.0.1:")
    assert f"--resume --output-dir {out} --no-plots --distribute multi-worker" in stderr
    assert stderr.count("\n") == 1
    done = run("train", "--resume", "--output-dir", out, cwd=tmp_path)
    assert "Resumed after epoch 1" in done.stdout
    assert_same(undisturbed, out)


@pytest.mark.full
@pytest.mark.parametrize(("lost", "number"), [(0, signal.SIGKILL), (1, signal.SIGSTOP)])
def test_a_lost_chief_or_a_frozen_worker_ends_all(long_folder, tmp_path, lost, number):
    with in_epoch_2(long_folder, tmp_path / "run", tmp_path) as processes:
        processes[lost].send_signal(number)
        _, stderr = processes[1 - lost].communicate(timeout=120)
    assert processes[1 - lost].returncode == 2
    assert stderr.startswith(f"Lost worker {lost} (127.0.0.1:")


@pytest.mark.full
def test_a_signal_to_one_ends_all_with_a_checkpoint(long_folder, undisturbed, tmp_path):
    """And other workers, more of them, go on."""
    out = tmp_path / "run"
    with in_epoch_2(long_folder, out, tmp_path) as processes:
        processes[1].terminate()
        said = [process.communicate(timeout=60)[1] for process in processes]
    assert [process.returncode for process in processes] == [143, 143]
    assert "Interrupted after step " in said[0]
    flags = ("--resume", "--output-dir", out, "--no-plots")
    chief, *_ = train_together(3, *flags, cwd=tmp_path)
    assert re.search(r"Resumed after step \d+ of epoch 2", chief)
    assert_same(undisturbed, out)


WORKER = '"task": {"type": "worker", "index": 0}'
ONE = '{"cluster": {"worker": ["127.0.0.1:12345"]}, '


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, "TF_CONFIG is not set"),
        ("{", "TF_CONFIG is not JSON"),
        ("[" * 100_000, "TF_CONFIG is not JSON"),
        ("[]", "TF_CONFIG has no object 'cluster'"),
        (ONE + '"tasks": {}}', "TF_CONFIG has no object 'task'"),
        ('{"cluster": {"worker": "127.0.0.1:12345"}, ' + WORKER + "}", "has no list 'worker'"),
        ('{"cluster": {"ps": ["127.0.0.1:12345"]}, ' + WORKER + "}", "has a job 'ps'"),
        ('{"cluster": {"chief": [], "worker": ["a:1"]}, ' + WORKER + "}", "more than one chief"),
        ('{"cluster": {"worker": ["a:1", "a:1"]}, ' + WORKER + "}", "address a:1 more than once"),
        (ONE + WORKER + ', "rpc_layer": "tcp"}', "has another rpc_layer than grpc"),
        *(
            ('{"cluster": {"worker": [' + address + "]}, " + WORKER + "}", "which is no host:port")
            for address in ('"a:0"', '"a:65536"', '"a..b:1"', '"[::1]:1"', '"a\\u0000:1"', "12345")
        ),
        *(
            (ONE + '"task": ' + task + "}", "none of its cluster's workers")
            for task in (
                '{"type": "worker", "index": 1}',
                '{"type": "worker", "index": "first"}',
                '{"type": "worker", "index": false}',
                '{"type": "evaluator", "index": 0}',
            )
        ),
    ],
)
def test_a_wrong_tf_config_is_said(text, expected):
    with pytest.raises(UserError) as caught:
        cluster.read_tf_config(text)
    assert expected in str(caught.value)
    assert '{"cluster": {"worker": ["192.168.0.1:12345"' in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_index_may_be_text_and_the_chief_comes_first():
    """As a shell script writes the one, and TensorFlow numbers the other."""
    number, text = (cluster.read_tf_config(tf_config([1234, 65535], index)) for index in (1, "1"))
    assert text == number
    assert (text.index, text.is_chief, text.others) == (1, False, [0])
    assert text.describe(0, 1) == "worker 0 (127.0.0.1:1234), worker 1 (127.0.0.1:65535)"
    workers_and_chief = '{"cluster": {"worker": ["a:1", "b:2"], "chief": ["c:3"]}, ' + WORKER + "}"
    found = cluster.read_tf_config(workers_and_chief)
    assert found == cluster.Cluster(("chief 0", "worker 0", "worker 1"), ("c:3", "a:1", "b:2"), 1)
    said = "in /job:chief/replica:0/task:0, /job:worker/task:0 and /job:worker/replica:0/task:1"
    assert found.find_named(said) == [0, 2]


def test_a_forgotten_flag(small_folder, tmp_path):
    flags = ["--data-dir", small_folder, "--no-plots", "--output-dir", "run"]
    done = run("train", *flags, cwd=tmp_path, TF_CONFIG=tf_config([1234, 1235], 1))
    assert_ends(done, 0, "TF_CONFIG is set, but", "--distribute multi-worker")


def test_no_tf_config(tmp_path):
    done = run("train", "--distribute", "multi-worker", cwd=tmp_path)
    assert_ends(done, 2, "TF_CONFIG is not set")
    assert not list(tmp_path.iterdir())


def _be_patient(seconds):
    connection.PATIENCE = seconds


IMPATIENT = functools.partial(_be_patient, 2)
COME = "Start all workers within 2 seconds of each other"


@pytest.mark.full
@pytest.mark.parametrize("here", [0, 1])
def test_a_worker_that_never_comes_is_named(here, tmp_path):
    ports, configs = tf_configs(2)
    absent = f"worker {1 - here} (127.0.0.1:{ports[1 - here]})"
    with workers(configs[here : here + 1], cwd=tmp_path, before=IMPATIENT) as (process,):
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 2
    assert stdout.endswith(f"Waiting for {absent}\n")
    why = ": Connection refused" if here else ""  # TensorFlow does not tell the chief why
    assert stderr.startswith(f"Can't reach {absent}{why}. {COME}")
    assert stderr.count("\n") == 1
    assert not list((tmp_path / "home-0").iterdir())


@pytest.mark.full
def test_all_name_the_worker_that_never_comes(tmp_path):
    ports, configs = tf_configs(3)
    with workers(configs[:2], cwd=tmp_path, before=IMPATIENT) as processes:
        said = end_all(processes)
    for stderr in said:
        assert stderr.startswith(f"Can't reach worker 2 (127.0.0.1:{ports[2]}). {COME}")


def test_ctrl_c_ends_the_wait(tmp_path):
    _, configs = tf_configs(2)
    with workers(configs[:1], cwd=tmp_path, until="Waiting for worker 1") as (chief,):
        time.sleep(1)
        chief.send_signal(signal.SIGINT)
        chief.wait(timeout=20)
    assert chief.returncode in (-signal.SIGINT, 130)


def test_a_port_that_is_taken_is_said(tmp_path):
    with socket.create_server(("", 0)) as server:
        config = tf_config([server.getsockname()[1]], 0)
        done = run("train", "--distribute", "multi-worker", cwd=tmp_path, TF_CONFIG=config)
    assert_ends(done, 2, "can't listen on its port", "Is another program there?")


@pytest.mark.full
def test_workers_must_mean_the_same_cluster(tmp_path):
    """To worker 1, another address of its own is told than to the chief."""
    ports, configs = tf_configs(2)
    _, others = tf_configs(1)
    with workers([configs[0], tf_config([ports[0], 1 + ports[1]], 1)], cwd=tmp_path) as processes:
        said = end_all(processes)
    for stderr in said:
        assert "All need the same addresses" in stderr


def _be_newer():
    tf.__version__ = "99.0.0"


@pytest.mark.full
def test_another_version_of_tensorflow_is_named(tmp_path):
    """Both are the same one here, but the second says otherwise of itself."""
    ports, configs = tf_configs(2)
    with (
        workers(configs[:1], cwd=tmp_path) as (chief,),
        workers(configs[1:], cwd=tmp_path / "other", before=_be_newer) as (other,),
    ):
        said = end_all([chief, other])
    me = f"worker 1 (127.0.0.1:{ports[1]})"
    assert f"but {me} 99.0.0. All need the same." in said[1]
    assert f"has TensorFlow {tf.__version__}" in said[1]
    assert f"Lost {me}" in said[0]


@pytest.mark.full
@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--epochs", "4"], "--epochs 4 contradicts the chief's run, which has --epochs 2."),
        (["--data-dir", "nowhere"], "There is no data folder nowhere; check the path."),
    ],
)
def test_a_worker_that_can_not_follow_ends_all(long_folder, flags, expected, tmp_path):
    ports, configs = tf_configs(2)
    arguments, of_each = ("--data-dir", long_folder, *LONG), [[], flags]
    with workers(configs, *arguments, cwd=tmp_path, flags_of_each=of_each) as processes:
        chief, other = end_all(processes)
    assert expected in other
    assert f"Lost worker 1 (127.0.0.1:{ports[1]}): it has ended" in chief
    (folder,) = (tmp_path / "home-0").glob("runs/*")
    assert [path.name for path in folder.iterdir()] == ["settings.json"]
    command = f"{sys.executable} -m lowlevel_mnist.train --resume --output-dir runs/{folder.name}"
    assert f"Go on with: {command}" in chief


def test_xla_is_refused(digits_folder, tmp_path):
    flags = ("--execution", "xla", "--distribute", "mirrored")
    done = run("train", "--data-dir", digits_folder, *flags, cwd=tmp_path)
    assert done.returncode == 2
    assert "Choose --execution graph" in done.stderr
    assert not list(tmp_path.glob("runs/*"))


@pytest.mark.full
def test_a_worker_lost_while_a_third_is_waited_for_ends_all(tmp_path):
    ports, configs = tf_configs(3)
    with workers(configs[:2], cwd=tmp_path) as (chief, lost):
        assert lost.stdout.readline().startswith("This is worker 1")
        time.sleep(3)
        lost.kill()
        with workers(configs[2:], cwd=tmp_path / "other") as (third,):
            said = end_all([chief, third])
    for stderr in said:
        assert f" worker 1 (127.0.0.1:{ports[1]})" in stderr


@pytest.mark.full
def test_no_worker_says_that_the_run_is_saved_where_it_is_not(long_folder, tmp_path):
    """As the chief is killed after the last epoch."""
    ports, configs = tf_configs(2)
    flags = ("--data-dir", long_folder, "--epochs", "1", "--execution", "graph")
    with (
        workers(configs[1:], cwd=tmp_path / "other") as (other,),
        workers(configs[:1], *flags, cwd=tmp_path / "chief", until="Epoch 1/1") as (chief,),
    ):
        chief.kill()
        stdout, stderr = other.communicate(timeout=100)
    assert other.returncode == 2
    assert "saved the run" not in stdout
    assert f"Lost worker 0 (127.0.0.1:{ports[0]})" in stderr
