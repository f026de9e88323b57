"""The rules of `optimizers` by TensorFlow's fused kernels, for eager steps and graphs.

A kernel reads and writes each variable once, where the formula takes six or eight passes through
memory: an eager epoch of mlp-128-dropout with Adam takes a quarter of the time. XLA makes one loop
of the formula by itself. A test compares each kernel with its formula.
"""

from collections.abc import Callable, Sequence

import tensorflow as tf

from lowlevel_mnist.execution import kernels
from lowlevel_mnist.optimizers import SGD, Adam, AdamW, Optimizer, RMSprop

Kernel = Callable[[Sequence[tf.Tensor], tf.Tensor], None]  # of gradients and the learning rate


class Update:
    """An optimizer as a training step needs it: its parameters, and how they are updated.

    A subclass of a rule may have another formula, so only the rule itself has a kernel.

    execution: one of `recipes.EXECUTIONS`.
    rate: the optimizer's learning rate as a tensor, or None to read it in each step; that takes 13
        of the 435 microseconds of an eager step of softmax.
    """

    def __init__(self, optimizer: Optimizer, execution: str):
        make = KERNELS.get(type(optimizer)) if execution != "xla" else None
        self.optimizer, self.parameters = optimizer, optimizer.parameters
        self.kernel = make(optimizer) if make else None
        self.rate: tf.Tensor | None = None

    def apply(self, gradients: Sequence[tf.Tensor]) -> None:
        """Updates each of the parameters by its gradient."""
        if self.kernel is None:
            self.optimizer.apply(gradients)
        else:
            rate = kernels.read(self.optimizer.learning_rate) if self.rate is None else self.rate
            self.kernel(gradients, rate)


def _sgd(optimizer: SGD) -> Kernel:
    parameters, momentums = list(optimizer.parameters), list(optimizer.momentums)

    def apply(gradients: Sequence[tf.Tensor], rate: tf.Tensor) -> None:
        for w, g in zip(parameters, gradients, strict=True):
            tf.raw_ops.ResourceApplyGradientDescent(var=w.handle, alpha=rate, delta=g)

    def apply_with_momentum(gradients: Sequence[tf.Tensor], rate: tf.Tensor) -> None:
        for w, m, g in zip(parameters, momentums, gradients, strict=True):
            tf.raw_ops.ResourceApplyKerasMomentum(
                var=w.handle,
                accum=m.handle,
                lr=rate,
                grad=g,
                momentum=optimizer.momentum,
                use_nesterov=optimizer.nesterov,
            )

    return apply_with_momentum if momentums else apply


def _rmsprop(optimizer: RMSprop) -> Kernel:
    # The kernel writes its steps to a slot for a momentum, which this rule does not have. A step
    # that is no number stays there: who goes on after a divergence needs a new trainer.
    steps = optimizer.slots()
    variables = list(zip(optimizer.parameters, optimizer.velocities, steps, strict=True))
    momentum = optimizer.constant(0)

    def apply(gradients: Sequence[tf.Tensor], rate: tf.Tensor) -> None:
        for (w, v, step), g in zip(variables, gradients, strict=True):
            tf.raw_ops.ResourceApplyRMSProp(
                var=w.handle,
                ms=v.handle,
                mom=step.handle,
                lr=rate,
                rho=optimizer.rho,
                momentum=momentum,
                epsilon=optimizer.epsilon,
                grad=g,
            )

    return apply


def _adam(optimizer: Adam) -> Kernel:
    slots = zip(optimizer.momentums, optimizer.velocities, strict=True)
    variables = list(zip(optimizer.parameters, slots, strict=True))
    one = tf.constant(1, optimizer.step.dtype)

    def apply(gradients: Sequence[tf.Tensor], rate: tf.Tensor) -> None:
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
                lr=rate,
                beta1=optimizer.beta_1,
                beta2=optimizer.beta_2,
                epsilon=optimizer.epsilon,
                grad=g,
            )

    return apply


def _adamw(optimizer: AdamW) -> Kernel:
    parameters, adam = list(optimizer.parameters), _adam(optimizer)

    def apply(gradients: Sequence[tf.Tensor], rate: tf.Tensor) -> None:
        decay = rate * optimizer.weight_decay
        for w in parameters:  # gradient descent on the weights themselves
            tf.raw_ops.ResourceApplyGradientDescent(
                var=w.handle, alpha=decay, delta=kernels.read(w)
            )
        adam(gradients, rate)

    return apply


KERNELS: dict[type[Optimizer], Callable[..., Kernel]] = {
    SGD: _sgd,
    RMSprop: _rmsprop,
    Adam: _adam,
    AdamW: _adamw,
}
