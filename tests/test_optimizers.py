"""Each rule, fuzzed against float64 NumPy and against Keras: 20 steps on any values."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from lowlevel_mnist import optimizers

STEPS = 20


def numpy_sgd(w, gradients, learning_rate):
    for g in gradients:
        w = w - learning_rate * g
    return w, {}


def numpy_rmsprop(w, gradients, learning_rate, rho, epsilon):
    v = np.zeros_like(w)
    for g in gradients:
        v = rho * v + (1 - rho) * g**2
        w = w - learning_rate * g / np.sqrt(v + epsilon)
    return w, {"velocities": v}


def numpy_adam(w, gradients, learning_rate, beta_1, beta_2, epsilon):
    m, v = np.zeros_like(w), np.zeros_like(w)
    for t, g in enumerate(gradients, 1):
        m = beta_1 * m + (1 - beta_1) * g
        v = beta_2 * v + (1 - beta_2) * g**2
        alpha = learning_rate * np.sqrt(1 - beta_2**t) / (1 - beta_1**t)
        w = w - alpha * m / (np.sqrt(v) + epsilon)
    return w, {"momentums": m, "velocities": v}


RULES = {
    "sgd": (numpy_sgd, keras.optimizers.SGD),
    "rmsprop": (numpy_rmsprop, keras.optimizers.RMSprop),
    "adam": (numpy_adam, keras.optimizers.Adam),
}

# Numbers that float32 holds exactly, because Keras rounds some of them to it.
# Decays from a half on: the kernels compute v + (1 - rho) * (g^2 - v), which is the same but for
# the rounding of a large v, and a smaller rho would leave nothing else of it.
decays = st.integers(512, 1023).map(lambda k: k / 1024)
rates = st.builds(lambda k, e: k * 2.0**-e, st.integers(1, 255), st.integers(0, 16))
epsilons = st.integers(7, 40).map(lambda e: 2.0**-e)
HYPERPARAMETERS = {
    "sgd": st.fixed_dictionaries({"learning_rate": rates}),
    "rmsprop": st.fixed_dictionaries({"learning_rate": rates, "rho": decays, "epsilon": epsilons}),
    "adam": st.fixed_dictionaries(
        {"learning_rate": rates, "beta_1": decays, "beta_2": decays, "epsilon": epsilons}
    ),
}
# From denormals (below 2e-308) to 1e4, of either sign, and zero.
values = st.one_of(
    st.floats(-1e4, 1e4),
    st.floats(-1e-300, 1e-300, allow_subnormal=True),
    st.sampled_from([0.0, 5e-324, -5e-324, 1e4, -1e4]),
)


@st.composite
def problems(draw, name):
    """Returns variables, STEPS gradients for each, and hyperparameters."""
    shapes = draw(
        st.lists(npst.array_shapes(min_dims=1, max_dims=2, max_side=4), max_size=3, min_size=1)
    )
    variables, gradients = [], []
    for shape in shapes:
        variables.append(draw(npst.arrays(np.float64, shape, elements=values)))
        gradients.append(draw(npst.arrays(np.float64, (STEPS, *shape), elements=values)))
    return variables, gradients, draw(HYPERPARAMETERS[name])


def run_ours(name, variables, gradients, options, by_xla=False):
    parameters = [tf.Variable(value) for value in variables]
    optimizer = optimizers.OPTIMIZERS[name](parameters, **options)
    optimizer.is_compiled_by_xla = by_xla
    for step in range(STEPS):
        optimizer.apply([tf.constant(gradient[step]) for gradient in gradients])
    return parameters, optimizer


def assert_near(value, truth, size):
    """Within rounding of what went into it. TensorFlow takes denormals for zero: 1e-300 a step."""
    assert np.all(np.abs(value - truth) <= 1e-12 * size + 1e-290), (value, truth)


@pytest.mark.parametrize(
    ("name", "by_xla"), [*((name, False) for name in RULES), ("rmsprop", True)]
)
def test_against_numpy(name, by_xla):
    @given(problems(name))
    def check(problem):
        variables, gradients, options = problem
        parameters, optimizer = run_ours(name, variables, gradients, options, by_xla)
        for index, (variable, gradient) in enumerate(zip(variables, gradients, strict=True)):
            expected, slots = RULES[name][0](variable, gradient, **options)
            path = way(name, variable, gradient, options)
            assert_near(parameters[index].numpy(), expected, path)
            for slot, truth in slots.items():
                largest = np.abs(gradient).max(axis=0) ** (2 if slot == "velocities" else 1)
                assert_near(getattr(optimizer, slot)[index].numpy(), truth, largest)

    check()


def way(name, variable, gradient, options):
    """The length of the way that each weight went, its start included."""
    rule = RULES[name][0]
    stops = [variable] + [rule(variable, gradient[:n], **options)[0] for n in range(1, STEPS + 1)]
    return np.abs(variable) + np.abs(np.diff(stops, axis=0)).sum(axis=0)


@pytest.mark.parametrize("name", RULES)
def test_against_keras(name):
    @given(problems(name))
    def check(problem):
        variables, gradients, options = problem
        parameters, _ = run_ours(name, variables, gradients, options)
        theirs = [keras.Variable(value, dtype="float64") for value in variables]
        optimizer = RULES[name][1](**options)
        for step in range(STEPS):
            pairs = [(g[step], w) for g, w in zip(gradients, theirs, strict=True)]
            optimizer.apply_gradients(pairs)
        for index, variable in enumerate(variables):
            path = way(name, variable, gradients[index], options)
            assert_near(parameters[index].numpy(), theirs[index].numpy(), path)

    check()


@pytest.mark.parametrize("by_xla", [False, True])
@pytest.mark.parametrize("name", RULES)
def test_as_many_gradients_as_variables(name, by_xla):
    """Or a variable would stay as it is without a word."""
    optimizer = optimizers.OPTIMIZERS[name]([tf.Variable([1.0]), tf.Variable([2.0])], 0.25)
    optimizer.is_compiled_by_xla = by_xla
    with pytest.raises(ValueError, match="zip"):
        optimizer.apply([tf.constant([2.0])])


def test_adam_counts_its_steps_in_a_variable():
    """So that a compiled step does not freeze the count, and a checkpoint keeps it."""
    weights = tf.Variable([1.0])
    optimizer = optimizers.Adam([weights], 0.25)
    step = tf.function(lambda: optimizer.apply([tf.constant([2.0])]))
    for _ in range(3):
        step()
    assert int(optimizer.step) == 3
    expected, _ = numpy_adam(np.array([1.0]), np.array([[2.0]] * 3), 0.25, 0.9, 0.999, 1e-7)
    np.testing.assert_allclose(weights.numpy(), expected, rtol=1e-6)
