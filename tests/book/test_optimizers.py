"""Each rule, as formula and as kernel, against float64 NumPy and Keras: 20 steps on any values."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from lowlevel_mnist import cost, optimizers
from lowlevel_mnist.execution import updates
from lowlevel_mnist.recipes import EXECUTIONS

STEPS = 20


def numpy_sgd(w, gradients, learning_rate):
    for g in gradients:
        w = w - learning_rate * g
    return w, {}


def numpy_momentum(w, gradients, learning_rate, momentum, nesterov=False):
    m = np.zeros_like(w)
    for g in gradients:
        m = momentum * m - learning_rate * g
        w = w + (momentum * m - learning_rate * g if nesterov else m)
    return w, {"momentums": m}


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


def numpy_adamw(w, gradients, learning_rate, weight_decay, **options):
    m, v = np.zeros_like(w), np.zeros_like(w)
    beta_1, beta_2 = options["beta_1"], options["beta_2"]
    for t, g in enumerate(gradients, 1):
        m = beta_1 * m + (1 - beta_1) * g
        v = beta_2 * v + (1 - beta_2) * g**2
        alpha = np.sqrt(1 - beta_2**t) / (1 - beta_1**t)
        w = w - learning_rate * weight_decay * w
        w = w - learning_rate * alpha * m / (np.sqrt(v) + options["epsilon"])
    return w, {"momentums": m, "velocities": v}


RULES = {
    "sgd": (numpy_sgd, keras.optimizers.SGD),
    "sgd with momentum": (numpy_momentum, keras.optimizers.SGD),
    "adamw": (numpy_adamw, keras.optimizers.AdamW),
    "rmsprop": (numpy_rmsprop, keras.optimizers.RMSprop),
    "adam": (numpy_adam, keras.optimizers.Adam),
}

# How an optimizer updates: by what is written, and as each execution has it.
FORMS = {
    "formula": lambda optimizer: optimizer.apply,
    "kernel": lambda optimizer: updates.Update(optimizer, "eager").apply,
    "graph": lambda optimizer: tf.function(updates.Update(optimizer, "graph").apply),
    "xla": lambda optimizer: tf.function(updates.Update(optimizer, "xla").apply, jit_compile=True),
}

# Numbers that float32 holds exactly, because Keras rounds some of them to it.
# Decays from a half on: the kernels compute v + (1 - rho) * (g^2 - v), which is the same but for
# the rounding of a large v, and a smaller rho would leave nothing else of it.
decays = st.integers(512, 1023).map(lambda k: k / 1024)
rates = st.builds(lambda k, e: k * 2.0**-e, st.integers(1, 255), st.integers(0, 16))
epsilons = st.integers(7, 40).map(lambda e: 2.0**-e)
HYPERPARAMETERS = {
    "sgd": st.fixed_dictionaries({"learning_rate": rates}),
    "sgd with momentum": st.fixed_dictionaries(
        {"learning_rate": rates, "momentum": decays, "nesterov": st.booleans()}
    ),
    "rmsprop": st.fixed_dictionaries({"learning_rate": rates, "rho": decays, "epsilon": epsilons}),
    "adam": st.fixed_dictionaries(
        {"learning_rate": rates, "beta_1": decays, "beta_2": decays, "epsilon": epsilons}
    ),
}
HYPERPARAMETERS["adamw"] = st.builds(
    lambda options, e: options | {"weight_decay": 2.0**-e},
    HYPERPARAMETERS["adam"],
    st.integers(8, 20),  # times the rate below 1: weights that decay by more than all grow
)
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


def make(name, *arguments, **options):
    """Returns the optimizer of a row of RULES."""
    if "momentum" in name:
        options = {"momentum": 0.75} | options
    return optimizers.OPTIMIZERS[name.partition(" ")[0]](*arguments, **options)


def run_ours(form, name, variables, gradients, options):
    parameters = [tf.Variable(value) for value in variables]
    optimizer = make(name, parameters, **options)
    apply = FORMS[form](optimizer)
    for step in range(STEPS):
        apply([tf.constant(gradient[step]) for gradient in gradients])
    return parameters, optimizer


def assert_near(value, truth, size):
    """Within rounding of what went into it. TensorFlow takes denormals for zero: 1e-300 a step."""
    assert np.all(np.abs(value - truth) <= 1e-12 * size + 1e-290), (value, truth)


def assert_as_numpy(form, name, variables, gradients, options):
    parameters, optimizer = run_ours(form, name, variables, gradients, options)
    for index, (variable, gradient) in enumerate(zip(variables, gradients, strict=True)):
        expected, slots = RULES[name][0](variable, gradient, **options)
        path = way(name, variable, gradient, options)
        assert_near(parameters[index].numpy(), expected, path)
        for slot, truth in slots.items():
            largest = np.abs(gradient).max(axis=0) ** (2 if slot == "velocities" else 1)
            if "momentum" in name:  # a sum of steps, not a mean of gradients
                largest = STEPS * options["learning_rate"] * largest
            assert_near(getattr(optimizer, slot)[index].numpy(), truth, largest)


def way(name, variable, gradient, options):
    """The length of the way that each weight went, its start included."""
    rule = RULES[name][0]
    stops = [variable] + [rule(variable, gradient[:n], **options)[0] for n in range(1, STEPS + 1)]
    return np.abs(variable) + np.abs(np.diff(stops, axis=0)).sum(axis=0)


@pytest.mark.parametrize("form", ["formula", "kernel"])
@pytest.mark.parametrize("name", RULES)
def test_against_numpy(name, form):
    @given(problems(name))
    def check(problem):
        assert_as_numpy(form, name, *problem)

    check()


@pytest.mark.parametrize("form", ["graph", "xla"])
@pytest.mark.parametrize("name", RULES)
def test_compiled_against_numpy(name, form):
    """On gradients from 1e-8 to 1e4, of each weight of one size or of any."""
    generator = np.random.default_rng(0)
    variables, gradients = [], []
    for shape, each in [((30, 20), (1, 30, 20)), ((40,), (STEPS, 40))]:
        variables.append(generator.normal(size=shape))
        sizes = 10 ** generator.uniform(-8, 4, each)
        gradients.append(generator.normal(size=(STEPS, *shape)) * sizes)
    options = {"learning_rate": 2**-6}
    if name == "rmsprop":
        options |= {"rho": 0.875, "epsilon": 2**-23}
    if "momentum" in name:
        options |= {"momentum": 0.875, "nesterov": True}
    if name == "adamw":
        options |= {"weight_decay": 2**-5}
    if name in ("adam", "adamw"):
        options |= {"beta_1": 0.875, "beta_2": 1 - 2**-10, "epsilon": 2**-23}
    assert_as_numpy(form, name, variables, gradients, options)


@pytest.mark.parametrize("name", RULES)
def test_against_keras(name):
    @given(problems(name))
    def check(problem):
        variables, gradients, options = problem
        theirs = [keras.Variable(value, dtype="float64") for value in variables]
        optimizer = RULES[name][1](**options)
        for step in range(STEPS):
            pairs = [(g[step], w) for g, w in zip(gradients, theirs, strict=True)]
            optimizer.apply_gradients(pairs)
        forms = [run_ours(form, name, *problem)[0] for form in ("formula", "kernel")]
        for index, variable in enumerate(variables):
            path = way(name, variable, gradients[index], options)
            by_formula, by_kernel = (parameters[index].numpy() for parameters in forms)
            assert_near(by_formula, theirs[index].numpy(), path)
            assert_near(by_kernel, theirs[index].numpy(), path)
            assert_near(by_kernel, by_formula, path)

    check()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", RULES)
def test_as_many_gradients_as_variables(name, form):
    """Or a variable would stay as it is without a word."""
    optimizer = make(name, [tf.Variable([1.0]), tf.Variable([2.0])], 0.25)
    with pytest.raises(ValueError, match="zip"):
        FORMS[form](optimizer)([tf.constant([2.0])])


@pytest.mark.parametrize("name", RULES)
def test_only_xla_is_given_the_formula_of_a_rule_with_a_kernel(name):
    optimizer = make(name, [tf.Variable([1.0])], 0.25)
    by_formula = [updates.Update(optimizer, e).kernel is None for e in EXECUTIONS]
    assert by_formula == [execution == "xla" for execution in EXECUTIONS]


@pytest.mark.parametrize("form", FORMS)
def test_adam_counts_its_steps_in_a_variable(form):
    """So that a compiled step does not freeze the count, and a checkpoint keeps it."""
    weights = tf.Variable([1.0])
    optimizer = optimizers.Adam([weights], 0.25)
    apply = FORMS[form](optimizer)
    for _ in range(3):
        apply([tf.constant([2.0])])
    assert int(optimizer.step) == 3
    expected, _ = numpy_adam(np.array([1.0]), np.array([[2.0]] * 3), 0.25, 0.9, 0.999, 1e-7)
    np.testing.assert_allclose(weights.numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("scale", [0.0, 1e-3, 1.0, 1e3])
def test_clipping_by_the_global_norm(scale):
    """All gradients together are not longer than the norm, and point where they did."""
    generator = np.random.default_rng(0)
    gradients = [scale * generator.normal(size=shape) for shape in ((3, 4), (4,))]
    norm = np.sqrt(sum((g**2).sum() for g in gradients))
    clipped = cost.clip_by_global_norm([tf.constant(g) for g in gradients], 1.5)
    for g, ours in zip(gradients, clipped, strict=True):
        np.testing.assert_allclose(ours, g * min(1, 1.5 / max(norm, 1e-9)), rtol=1e-14)
