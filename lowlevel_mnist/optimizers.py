"""Step 5 of the walkthrough: the update of the variables.

Each class is one rule, and its `apply` is the formula. It owns the rule's memory, its slots: each
is a `tf.Variable` beside a variable of the network, so a checkpoint keeps it. Names and defaults
are Keras's. With execution "xla", a `training.Trainer` has `apply` compiled as it is written here.
Eagerly and in a graph, where each operation is a pass through memory, it calls one fused kernel a
variable for these three rules (`execution.updates`), and `apply` for any other.
"""

from collections.abc import Iterable, Sequence

import tensorflow as tf


class Optimizer(tf.Module):
    """What all rules have. A rule of your own is a subclass that defines `apply`.

    parameters: the `tf.Variable`s w that are updated, at least one, all of one dtype.
    learning_rate: float above 0.
    Raises `ValueError` where they are not.
    """

    def __init__(self, parameters: Iterable[tf.Variable], learning_rate: float):
        super().__init__()
        self.parameters = list(parameters)
        if not all(isinstance(w, tf.Variable) for w in self.parameters):
            raise ValueError(f"parameters must be tf.Variables; they are {self.parameters!r:.200}.")
        dtypes = sorted({w.dtype.name for w in self.parameters})
        if len(dtypes) != 1:
            given = f"they are {', '.join(dtypes)}" if dtypes else "there are none"
            raise ValueError(f"parameters must be tf.Variables of one dtype; {given}.")
        if not learning_rate > 0:
            raise ValueError(f"learning_rate is {learning_rate!r}; it must be above 0.")
        self.learning_rate = self.constant(learning_rate)

    def apply(self, gradients: Sequence[tf.Tensor]) -> None:
        """Updates each variable by its gradient g, in the order of `parameters`."""
        raise TypeError(f"{type(self).__name__} has no rule: it must define apply.")

    def constant(self, value: float) -> tf.Tensor:
        """Returns a number as a tensor of the variables' dtype."""
        return tf.constant(value, self.parameters[0].dtype)

    def slots(self) -> list[tf.Variable]:
        """Returns a new variable of zeros beside each of the parameters."""
        return [tf.Variable(tf.zeros_like(w), trainable=False) for w in self.parameters]


class SGD(Optimizer):
    """Gradient descent.

        w <- w - learning_rate * g

    "Stochastic", because the gradient g is that of one batch and not of all images
    (H. Robbins and S. Monro, "A stochastic approximation method", 1951).
    """

    def apply(self, gradients: Sequence[tf.Tensor]) -> None:
        for w, g in zip(self.parameters, gradients, strict=True):
            w.assign_sub(self.learning_rate * g)


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
        self.rho = self.constant(rho)
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
        self.beta_1 = self.constant(beta_1)
        self.beta_2 = self.constant(beta_2)
        self.epsilon = self.constant(epsilon)

    def apply(self, gradients: Sequence[tf.Tensor]) -> None:
        t = tf.cast(self.step.assign_add(1), self.beta_1.dtype)
        alpha = self.learning_rate * tf.sqrt(1 - self.beta_2**t) / (1 - self.beta_1**t)
        slots = zip(self.momentums, self.velocities, strict=True)
        for w, (m, v), g in zip(self.parameters, slots, gradients, strict=True):
            m.assign_add((1 - self.beta_1) * (g - m))
            v.assign_add((1 - self.beta_2) * (g**2 - v))
            w.assign_sub(alpha * m / (tf.sqrt(v) + self.epsilon))


# A new one needs a line in `recipes.DEFAULT_LEARNING_RATES` as well: the flags know it by that.
OPTIMIZERS = {"sgd": SGD, "rmsprop": RMSprop, "adam": Adam}
