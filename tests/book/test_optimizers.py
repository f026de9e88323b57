"""Step 5: each rule, as formula and as kernel, against float64 NumPy: 10 steps on any values."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import lowlevel_mnist
from lowlevel_mnist import optimizers
from lowlevel_mnist.execution import updates
from lowlevel_mnist.recipes import DEFAULT_LEARNING_RATES, EXECUTIONS
from tests.book.test_against_keras import RULES as KERAS_RULES
from tests.helpers.commands import PROJECT

STEPS = 10


def numpy_sgd(w, gradients, learning_rate, momentum=0.0, nesterov=False):
    m = np.zeros_like(w)
    for g in gradients:
        m = momentum * m - learning_rate * g
        w = w + (momentum * m - learning_rate * g if nesterov else m)
    return w, {"momentums": m} if momentum else {}


def numpy_rmsprop(w, gradients, learning_rate, rho, epsilon):
    v = np.zeros_like(w)
    for g in gradients:
        v = rho * v + (1 - rho) * g**2
        w = w - learning_rate * g / np.sqrt(v + epsilon)
    return w, {"velocities": v}


def numpy_adam(w, gradients, learning_rate, beta_1, beta_2, epsilon, weight_decay=0.0):
    m, v = np.zeros_like(w), np.zeros_like(w)
    for t, g in enumerate(gradients, 1):
        m = beta_1 * m + (1 - beta_1) * g
        v = beta_2 * v + (1 - beta_2) * g**2
        alpha = learning_rate * np.sqrt(1 - beta_2**t) / (1 - beta_1**t)
        w = w - learning_rate * weight_decay * w
        w = w - alpha * m / (np.sqrt(v) + epsilon)
    return w, {"momentums": m, "velocities": v}


RULES = {
    "sgd": numpy_sgd,
    "sgd with momentum": numpy_sgd,
    "rmsprop": numpy_rmsprop,
    "adam": numpy_adam,
    "adamw": numpy_adam,
}

# How an optimizer updates: by what is written, as XLA does, or by kernels, as graphs do, too.
FORMS = {
    "formula": lambda optimizer: optimizer.apply,
    "kernel": lambda optimizer: updates.Update(optimizer, "eager").apply,
}

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
        st.lists(npst.array_shapes(min_dims=1, max_dims=2, max_side=4), max_size=2, min_size=1)
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


def way(name, variable, gradient, options):
    """The length of the way that each weight went, its start included."""
    rule = RULES[name]
    stops = [variable] + [rule(variable, gradient[:n], **options)[0] for n in range(1, STEPS + 1)]
    return np.abs(variable) + np.abs(np.diff(stops, axis=0)).sum(axis=0)


@pytest.mark.parametrize("name", optimizers.OPTIMIZERS)
def test_no_rule_is_left_out(name):
    """Neither by these tests nor by the command, for scripts, or on the pages."""
    assert name in {rule.partition(" ")[0] for rule in RULES}, "RULES of this file"
    assert name in KERAS_RULES, "RULES of test_against_keras.py"
    assert name in DEFAULT_LEARNING_RATES, "lowlevel_mnist/recipes.py"
    title = optimizers.OPTIMIZERS[name].__name__
    assert title in lowlevel_mnist.__all__, "lowlevel_mnist/__init__.py"
    for page in ("README.md", "README.ko.md", "tests/README.md"):
        assert title in (PROJECT / page).read_text(encoding="utf-8"), page


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", RULES)
def test_against_numpy(name, form):
    @given(problems(name))
    def check(problem):
        parameters, optimizer = run_ours(form, name, *problem)
        for index, (variable, gradient) in enumerate(zip(*problem[:2], strict=True)):
            expected, slots = RULES[name](variable, gradient, **problem[2])
            path = way(name, variable, gradient, problem[2])
            assert_near(parameters[index].numpy(), expected, path)
            for slot, truth in slots.items():
                largest = np.abs(gradient).max(axis=0) ** (2 if slot == "velocities" else 1)
                if "momentum" in name:  # a sum of steps, not a mean of gradients
                    largest = STEPS * problem[2]["learning_rate"] * largest
                assert_near(getattr(optimizer, slot)[index].numpy(), truth, largest)

    check()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", RULES)
def test_as_many_gradients_as_variables(name, form):
    """Or a variable would stay as it is without a word."""
    optimizer = make(name, [tf.Variable([1.0]), tf.Variable([2.0])], 0.25)
    with pytest.raises(ValueError, match="zip"):
        FORMS[form](optimizer)([tf.constant([2.0])])


@pytest.mark.parametrize("rule", updates.KERNELS)
def test_only_xla_is_given_the_formula_of_a_rule_with_a_kernel(rule):
    optimizer = rule([tf.Variable([1.0])], 0.25)
    by_formula = [updates.Update(optimizer, e).kernel is None for e in EXECUTIONS]
    assert by_formula == [execution == "xla" for execution in EXECUTIONS]
