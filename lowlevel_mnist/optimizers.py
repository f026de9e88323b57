"""Step 5 of the walkthrough: the update of the variables."""

import tensorflow as tf


class SGD:
    """Gradient descent: w <- w - learning_rate * gradient.

    "Stochastic", because the gradient is that of one batch and not of all images
    (H. Robbins and S. Monro, "A stochastic approximation method", 1951).

    variables: sequence of `tf.Variable`s of one dtype, those that are updated.
    learning_rate: float above 0.
    """

    def __init__(self, variables, learning_rate):
        self.variables = variables
        self.learning_rate = tf.constant(learning_rate, variables[0].dtype)

    def apply(self, gradients):
        """Updates each variable by its gradient, in the order of `variables`."""
        for variable, gradient in zip(self.variables, gradients, strict=True):
            # One kernel for variable.assign_sub(learning_rate * gradient).
            tf.raw_ops.ResourceApplyGradientDescent(
                var=variable.handle, alpha=self.learning_rate, delta=gradient
            )
