"""MNIST with nothing hidden: `tf.Variable`, one-hot labels, `tf.GradientTape` and the loop itself.

Read the modules in the order of the walkthrough: `data`, `preprocessing`, `model`, `cost`,
`optimizers`, `training`, `metrics`, `plots`. Run `python -m lowlevel_mnist.train --help`.
"""
