"""What a run's folder holds, and how two runs are compared."""

import json

import numpy as np

from lowlevel_mnist.runs import folders


def read_metrics(folder):
    return json.loads((folder / "metrics.json").read_text(encoding="utf-8"))


def change_settings(folder, **changes):
    """Gives keys in the `settings.json` of a run other values, as damage or a stranger would."""
    path = folder / "settings.json"
    path.write_text(
        json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8"
    )


def read_state(folder):
    """What must be equal to the bit when a run is repeated or goes on after an end.

    Returns a dictionary: each weight, bias and slot of the newest checkpoint as an array, and the
    `metrics.json` without seconds.
    """
    import tensorflow as tf  # not before the line above that asks it to be quiet

    reader = tf.train.load_checkpoint(str(folders.find_checkpoints(folder)[-1]))
    names = reader.get_variable_to_shape_map()
    kept = [name for name in names if name.startswith(("model/", "optimizer/", "best/"))]
    metrics = read_metrics(folder)
    metrics["history"] = [{**row, "seconds": None} for row in metrics["history"]]
    return {"metrics": metrics} | {name: np.asarray(reader.get_tensor(name)) for name in kept}


def differences(ours, theirs):
    """What differs in any bit between two runs, of which `read_state` has told, in words."""
    found = [f"only one has {name}" for name in ours.keys() ^ theirs.keys()]
    for name in ours.keys() & theirs.keys() - {"metrics"}:
        if ours[name].tobytes() != theirs[name].tobytes():
            most = np.abs(ours[name] - theirs[name]).max()
            found.append(f"{name} differs by up to {most}")
    for key in ours["metrics"].keys() | theirs["metrics"].keys():
        our, their = (state["metrics"].get(key) for state in (ours, theirs))
        if our != their:
            found.append(f"metrics.json has {key} {our}, not {their}")
    return sorted(found)


def assert_same_bits(folder, expected):
    """Two runs, by their folders or as `read_state` has told of them, are equal to the bit."""
    states = (
        state if isinstance(state, dict) else read_state(state) for state in (folder, expected)
    )
    assert differences(*states) == []
