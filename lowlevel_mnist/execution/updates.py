"""The rules of `optimizers` by TensorFlow's fused kernels, for eager steps and graphs.

A kernel reads and writes each variable once, where the formula takes six or eight passes through
memory: an eager epoch of mlp-128-dropout with Adam takes a quarter of the time. XLA makes one loop
of the formula by itself. A test compares each kernel with its formula.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from lowlevel_mnist.optimizers import SGD, Adam, Optimizer, RMSprop

Apply = Callable[[Sequence[tf.Tensor]], None]


class Update(NamedTuple):
    """An optimizer as a training step needs it: its parameters, and how they are updated."""

    parameters: Sequence[tf.Variable]
    apply: Apply


def update_of(optimizer: Optimizer, execution: str) -> Update:
    """Returns the update of an optimizer in one of the executions.

    A subclass of a rule may have another formula, so only the rule itself has a kernel.
    """
    make = KERNELS.get(type(optimizer)) if execution != "xla" else None
    return Update(optimizer.parameters, make(optimizer) if make else optimizer.apply)


def _sgd(optimizer: SGD) -> Apply:
    parameters = list(optimizer.parameters)

    def apply(gradients):
        for w, g in zip(parameters, gradients, strict=True):
            tf.raw_ops.ResourceApplyGradientDescent(
                var=w.handle, alpha=optimizer.learning_rate, delta=g
            )

    return apply


def _rmsprop(optimizer: RMSprop) -> Apply:
    # The kernel writes its steps to a slot for a momentum, which this rule does not have. A step
    # that is no number stays there: who goes on after a divergence needs a new trainer.
    steps = optimizer.slots()
    variables = list(zip(optimizer.parameters, optimizer.velocities, steps, strict=True))
    momentum = optimizer.constant(0)

    def apply(gradients):
        for (w, v, step), g in zip(variables, gradients, strict=True):
            tf.raw_ops.ResourceApplyRMSProp(
                var=w.handle,
                ms=v.handle,
                mom=step.handle,
                lr=optimizer.learning_rate,
                rho=optimizer.rho,
                momentum=momentum,
                epsilon=optimizer.epsilon,
                grad=g,
            )

    return apply


def _adam(optimizer: Adam) -> Apply:
    slots = zip(optimizer.momentums, optimizer.velocities, strict=True)
    variables = list(zip(optimizer.parameters, slots, strict=True))
    one = tf.constant(1, optimizer.step.dtype)

    def apply(gradients):
        # t, and the powers of the betas by their kernels: 23 microseconds a step, not 52.
        tf.raw_ops.AssignAddVariableOp(resource=optimizer.step.handle, value=one)
        t = tf.raw_ops.Cast(x=optimizer.step, DstT=optimizer.beta_1.dtype)
        beta_1_power = tf.raw_ops.Pow(x=optimizer.beta_1, y=t)
        beta_2_power = tf.raw_ops.Pow(x=optimizer.beta_2, y=t)
        for (w, (m, v)), g in zip(variables, gradients, strict=True):
            tf.raw_ops.ResourceApplyAdam(
                var=w.handle,
                m=m.handle,
                v=v.handle,
                beta1_power=beta_1_power,
                beta2_power=beta_2_power,
                lr=optimizer.learning_rate,
                beta1=optimizer.beta_1,
                beta2=optimizer.beta_2,
                epsilon=optimizer.epsilon,
                grad=g,
            )

    return apply


KERNELS = {SGD: _sgd, RMSprop: _rmsprop, Adam: _adam}
