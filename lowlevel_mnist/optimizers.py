"""Step 5 of the walkthrough: the update of the variables.

Each class is one rule, and its `apply` is the formula. It owns the rule's memory, its slots: each
is a `tf.Variable` beside a variable of the network, so a checkpoint keeps it. Names and defaults
are Keras's. With execution "xla", a `training.Trainer` has `apply` compiled as it is written here.
Eagerly and in a graph, where each operation is a pass through memory, it calls one fused kernel a
variable for these rules (`execution.updates`), and `apply` for any other.
"""

import math
import numbers
from collections.abc import Iterable, Sequence
from typing import Any

import tensorflow as tf


class Fixed:
    """Attributes that are set once, except those whose names begin with "_".

    A compiled step keeps what it was compiled with, and would not heed a change.
    """

    def __setattr__(self, name: str, value: object) -> None:
        """Sets an attribute. Raises `ValueError` where it has been set before."""
        if name in vars(self) and not name.startswith("_"):
            raise ValueError(
                f"{name} of {type(self).__name__} can't be set anew, as compiled steps would not "
                "heed it. Make a new object; or let it be a tf.Variable, and assign to that."
            )
        super().__setattr__(name, value)


class Optimizer(Fixed, tf.Module):
    """What all rules have. A rule of your own is a subclass that defines `apply`.

    parameters: the `tf.Variable`s w that are updated, at least one, all of one dtype; Keras's
        variables are taken as the `tf.Variable`s that they hold.
    learning_rate: float above 0. It is a scalar `tf.Variable`, and may be set between two steps.
    Raises `ValueError` where they are not.
    """

    def __init__(self, parameters: Iterable[tf.Variable], learning_rate: float):
        super().__init__()
        self.parameters = [held_by(w) for w in parameters]
        if not all(isinstance(w, tf.Variable) for w in self.parameters):
            raise ValueError(f"parameters must be tf.Variables; they are {self.parameters!r:.200}.")
        if len({w.ref() for w in self.parameters}) < len(self.parameters):
            raise ValueError("parameters name a variable twice; each step would be twice as long.")
        dtypes = sorted({w.dtype.name for w in self.parameters})
        if len(dtypes) != 1:
            given = f"they are {', '.join(dtypes)}" if dtypes else "there are none; build the model"
            raise ValueError(f"parameters must be tf.Variables of one dtype; {given}.")
        self._learning_rate = tf.Variable(
            check_rate(learning_rate), trainable=False, dtype=dtypes[0]
        )

    @property
    def learning_rate(self) -> tf.Variable:
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self._learning_rate.assign(check_rate(value))

    def apply(self, gradients: Sequence[tf.Tensor]) -> None:
        """Updates each variable by its gradient g, in the order of `parameters`."""
        raise TypeError(f"{type(self).__name__} has no rule: it must define apply.")

    def constant(self, value: float) -> tf.Tensor:
        """Returns a number as a tensor of the variables' dtype."""
        return tf.constant(value, self.parameters[0].dtype)

    def fraction(self, value: float) -> tf.Tensor:
        """Returns a number as `constant` does. Raises `ValueError` where it is not in [0, 1)."""
        if not 0 <= value < 1:
            raise ValueError(f"{value!r} is no momentum, rho or beta: these are in [0, 1).")
        return self.constant(value)

    def slots(self) -> list[tf.Variable]:
        """Returns a new variable of zeros beside each of the parameters."""
        return [tf.Variable(tf.zeros_like(w), trainable=False) for w in self.parameters]


def held_by(variable: Any) -> Any:
    """Returns the `tf.Variable` that a variable of Keras holds, or what else is given."""
    value = getattr(variable, "value", None)  # of a tf.Variable, it is a method
    return value if isinstance(value, tf.Variable) else variable


def check_rate(learning_rate: Any) -> float:
    """Returns a learning rate. Raises `ValueError` where it is no number above 0."""
    is_number = isinstance(learning_rate, (numbers.Real, tf.Tensor, tf.Variable))
    if not is_number or not 0 < learning_rate < math.inf:
        raise ValueError(
            f"learning_rate is {learning_rate!r:.100}; it must be a number above 0. A rate that "
            "changes from step to step is one of `schedules`, for training.Trainer(schedule=...)."
        )
    return float(learning_rate)


class SGD(Optimizer):
    """Gradient descent.

        w <- w - learning_rate * g

    "Stochastic", because the gradient g is that of one batch and not of all images
    (H. Robbins and S. Monro, "A stochastic approximation method", 1951).

    With momentum, it goes on in the direction that it had (B. Polyak, "Some methods of speeding up
    the convergence of iteration methods", 1964):

        m <- momentum * m - learning_rate * g
        w <- w + m

    With Nesterov's, the step is the one that would come next (I. Sutskever, J. Martens, G. Dahl and
    G. Hinton, "On the importance of initialization and momentum in deep learning", 2013):

        w <- w + momentum * m - learning_rate * g

    momentum: float in [0, 1); 0 for none.
    nesterov: whether the momentum is Nesterov's.
    momentums: with momentum, the slots m, zero at the start.
    """

    def __init__(
        self,
        parameters: Iterable[tf.Variable],
        learning_rate: float,
        momentum: float = 0.0,
        nesterov: bool = False,
    ):
        super().__init__(parameters, learning_rate)
        if nesterov and not momentum:
            raise ValueError("nesterov needs a momentum above 0.")
        self.momentum = self.fraction(momentum)
        self.nesterov = nesterov
        self.momentums = self.slots() if momentum else []

    def apply(self, gradients: Sequence[tf.Tensor]) -> None:
        slots = self.momentums or [None] * len(self.parameters)
        for w, m, g in zip(self.parameters, slots, gradients, strict=True):
            step = self.learning_rate * g
            if m is None:
                w.assign_sub(step)
            else:
                m.assign(self.momentum * m - step)
                w.assign_add(self.momentum * m - step if self.nesterov else m)


class RMSprop(Optimizer):
    """Gradient descent with a step size for each weight: small where gradients were large.

        v <- rho * v + (1 - rho) * g^2
        w <- w - learning_rate * g / sqrt(v + epsilon)

    T. Tieleman and G. Hinton, "Lecture 6.5 - RMSprop", Coursera, 2012. As in Keras, epsilon
    stands inside the root.

    rho, epsilon: floats; rho in [0, 1).
    velocities: the slots v, zero at the start.
    """

    def __init__(
        self,
        parameters: Iterable[tf.Variable],
        learning_rate: float,
        rho: float = 0.9,
        epsilon: float = 1e-7,
    ):
        super().__init__(parameters, learning_rate)
        self.velocities = self.slots()
        self.rho = self.fraction(rho)
        self.epsilon = self.constant(epsilon)

    def apply(self, gradients: Sequence[tf.Tensor]) -> None:
        for w, v, g in zip(self.parameters, self.velocities, gradients, strict=True):
            v.assign(self.rho * v + (1 - self.rho) * g**2)
            w.assign_sub(self.learning_rate * g / tf.sqrt(v + self.epsilon))


class Adam(Optimizer):
    """Running means of the gradient and of its square, both corrected for their start at zero.

        t <- t + 1
        m <- m + (1 - beta_1) * (g - m)
        v <- v + (1 - beta_2) * (g^2 - v)
        alpha = learning_rate * sqrt(1 - beta_2^t) / (1 - beta_1^t)
        w <- w - alpha * m / (sqrt(v) + epsilon)

    D. Kingma and J. Ba, "Adam: a method for stochastic optimization" (2015), algorithm 1 in the
    faster order at the end of its section 2. Its beta_1 * m + (1 - beta_1) * g, and v likewise,
    are written in the form in which TensorFlow's kernel rounds them.

    beta_1, beta_2, epsilon: floats; the betas in [0, 1).
    step: t, an `int64` variable, zero at the start.
    momentums, velocities: the slots m and v, zero at the start.
    """

    def __init__(
        self,
        parameters: Iterable[tf.Variable],
        learning_rate: float,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
    ):
        super().__init__(parameters, learning_rate)
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.momentums = self.slots()
        self.velocities = self.slots()
        self.beta_1 = self.fraction(beta_1)
        self.beta_2 = self.fraction(beta_2)
        self.epsilon = self.constant(epsilon)

    def apply(self, gradients: Sequence[tf.Tensor]) -> None:
        t = tf.cast(self.step.assign_add(1), self.beta_1.dtype)
        alpha = self.learning_rate * tf.sqrt(1 - self.beta_2**t) / (1 - self.beta_1**t)
        slots = zip(self.momentums, self.velocities, strict=True)
        for w, (m, v), g in zip(self.parameters, slots, gradients, strict=True):
            m.assign_add((1 - self.beta_1) * (g - m))
            v.assign_add((1 - self.beta_2) * (g**2 - v))
            w.assign_sub(alpha * m / (tf.sqrt(v) + self.epsilon))


class AdamW(Adam):
    """Adam with decoupled weight decay: the weights also shrink, by a part that no slot sees.

        w <- w - learning_rate * weight_decay * w,   then as Adam

    I. Loshchilov and F. Hutter, "Decoupled weight decay regularization" (2019), algorithm 2, with
    Keras's order. As there, biases decay as well.

    weight_decay: float of 0 or more. The others are those of `Adam`.
    """

    def __init__(
        self,
        parameters: Iterable[tf.Variable],
        learning_rate: float,
        weight_decay: float = 0.004,
        **options: float,
    ):
        super().__init__(parameters, learning_rate, **options)
        if not 0 <= weight_decay < math.inf:
            raise ValueError(f"weight_decay is {weight_decay!r}; it must be 0 or more.")
        self.weight_decay = self.constant(weight_decay)

    def apply(self, gradients: Sequence[tf.Tensor]) -> None:
        for w in self.parameters:
            w.assign_sub(self.learning_rate * self.weight_decay * w)
        super().apply(gradients)


# A new one needs a line in `recipes.DEFAULT_LEARNING_RATES` as well: the flags know it by that.
OPTIMIZERS: dict[str, type[Optimizer]] = {
    "sgd": SGD,
    "rmsprop": RMSprop,
    "adam": Adam,
    "adamw": AdamW,
}
