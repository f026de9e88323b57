"""Step 5 of the walkthrough: the update of the variables.

Each class is one rule. It owns the rule's memory, its slots, as one `tf.Variable` for each
variable of the network, so a checkpoint keeps it. Names and defaults are Keras's; the arithmetic
is one kernel a variable, because written out in six or eight operations a step of RMSprop or Adam
takes three times as long.
"""

import tensorflow as tf


class SGD(tf.Module):
    """Gradient descent.

        w <- w - learning_rate * g

    "Stochastic", because the gradient g is that of one batch and not of all images
    (H. Robbins and S. Monro, "A stochastic approximation method", 1951).

    parameters: sequence of the `tf.Variable`s w, of one dtype.
    learning_rate: float above 0.
    """

    def __init__(self, parameters, learning_rate):
        super().__init__()
        self.parameters = list(parameters)
        self.learning_rate = _constant(learning_rate, parameters)

    def apply(self, gradients):
        """Updates each variable by its gradient, in the order of `parameters`."""
        for w, g in zip(self.parameters, gradients, strict=True):
            tf.raw_ops.ResourceApplyGradientDescent(var=w.handle, alpha=self.learning_rate, delta=g)


class RMSprop(tf.Module):
    """Gradient descent with a step size for each weight: small where gradients were large.

        v <- rho * v + (1 - rho) * g^2
        w <- w - learning_rate * g / sqrt(v + epsilon)

    T. Tieleman and G. Hinton, "Lecture 6.5 - RMSprop", Coursera, 2012. As in Keras, epsilon
    stands inside the root.

    parameters: sequence of the `tf.Variable`s w, of one dtype.
    learning_rate, rho, epsilon: floats; rho in [0, 1).
    velocities: the slots v, zero at the start.
    """

    def __init__(self, parameters, learning_rate, rho=0.9, epsilon=1e-7):
        super().__init__()
        self.parameters = list(parameters)
        self.velocities = _slots(parameters)
        # The kernel writes its steps here, for a momentum that this rule does not have.
        self.steps = _slots(parameters)
        self.learning_rate = _constant(learning_rate, parameters)
        self.rho = _constant(rho, parameters)
        self.momentum = _constant(0, parameters)
        self.epsilon = _constant(epsilon, parameters)

    def apply(self, gradients):
        """Updates each variable by its gradient, in the order of `parameters`."""
        for w, v, step, g in zip(
            self.parameters, self.velocities, self.steps, gradients, strict=True
        ):
            tf.raw_ops.ResourceApplyRMSProp(
                var=w.handle,
                ms=v.handle,
                mom=step.handle,
                lr=self.learning_rate,
                rho=self.rho,
                momentum=self.momentum,
                epsilon=self.epsilon,
                grad=g,
            )


class Adam(tf.Module):
    """Running means of the gradient and of its square, both corrected for their start at zero.

        t <- t + 1
        m <- beta_1 * m + (1 - beta_1) * g
        v <- beta_2 * v + (1 - beta_2) * g^2
        alpha = learning_rate * sqrt(1 - beta_2^t) / (1 - beta_1^t)
        w <- w - alpha * m / (sqrt(v) + epsilon)

    D. Kingma and J. Ba, "Adam: a method for stochastic optimization" (2015), algorithm 1 in the
    faster order at the end of its section 2.

    parameters: sequence of the `tf.Variable`s w, of one dtype.
    learning_rate, beta_1, beta_2, epsilon: floats; the betas in [0, 1).
    step: t, an `int64` variable, zero at the start.
    momentums, velocities: the slots m and v, zero at the start.
    """

    def __init__(self, parameters, learning_rate, beta_1=0.9, beta_2=0.999, epsilon=1e-7):
        super().__init__()
        self.parameters = list(parameters)
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.one = tf.constant(1, tf.int64)
        self.momentums = _slots(parameters)
        self.velocities = _slots(parameters)
        self.learning_rate = _constant(learning_rate, parameters)
        self.beta_1 = _constant(beta_1, parameters)
        self.beta_2 = _constant(beta_2, parameters)
        self.epsilon = _constant(epsilon, parameters)

    def apply(self, gradients):
        """Updates each variable by its gradient, in the order of `parameters`."""
        # t, and the powers of the betas by their kernels: 23 microseconds a step, not 52.
        tf.raw_ops.AssignAddVariableOp(resource=self.step.handle, value=self.one)
        t = tf.raw_ops.Cast(x=self.step, DstT=self.beta_1.dtype)
        beta_1_power = tf.raw_ops.Pow(x=self.beta_1, y=t)
        beta_2_power = tf.raw_ops.Pow(x=self.beta_2, y=t)
        for w, m, v, g in zip(
            self.parameters, self.momentums, self.velocities, gradients, strict=True
        ):
            tf.raw_ops.ResourceApplyAdam(
                var=w.handle,
                m=m.handle,
                v=v.handle,
                beta1_power=beta_1_power,
                beta2_power=beta_2_power,
                lr=self.learning_rate,
                beta1=self.beta_1,
                beta2=self.beta_2,
                epsilon=self.epsilon,
                grad=g,
            )


OPTIMIZERS = {"sgd": SGD, "rmsprop": RMSprop, "adam": Adam}


def _constant(value, parameters):
    return tf.constant(value, parameters[0].dtype)


def _slots(parameters):
    return [tf.Variable(tf.zeros_like(w), trainable=False) for w in parameters]
