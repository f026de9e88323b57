"""Early stopping: when a training ends, and with which weights."""

import itertools

import keras
import numpy as np
import tensorflow as tf

from lowlevel_mnist import BestWeights, Network, early_stopping


class Counter:
    """What Keras's callback asks of a model. Its only weight is the number of the last epoch."""

    weight, stop_training = 0, False

    def get_weights(self):
        return [self.weight]

    def set_weights(self, weights):
        (self.weight,) = weights


def keras_stop(losses, patience):
    """(epochs trained, best epoch, the weight at the end) of Keras on such validation losses."""
    callback = keras.callbacks.EarlyStopping(
        monitor="val_loss", patience=patience, restore_best_weights=True, mode="min"
    )
    model = Counter()
    callback.set_model(model)
    callback.on_train_begin()
    for epoch, loss in enumerate(losses):
        model.weight = epoch + 1
        callback.on_epoch_end(epoch, {"val_loss": loss})
        if model.stop_training:
            break
    callback.on_train_end()
    return epoch + 1, callback.best_epoch + 1, model.weight


def our_stop(losses, patience):
    """What `keras_stop` returns, of a loop as a user writes it."""
    model = tf.Module()
    model.weight = tf.Variable(0.0)
    best, seen = BestWeights(model), []
    for epoch, loss in enumerate(losses, start=1):
        model.weight.assign(epoch)
        seen.append(loss)
        best.keep(seen)
        if early_stopping.is_exhausted(seen, patience):
            break
    best.put_into_model()
    return epoch, early_stopping.best_epoch(seen), int(model.weight.numpy())


def test_it_stops_where_keras_does():
    """Falls, rises and ties of six epochs, and some longer ones with numbers that are none."""
    cases = list(itertools.product([1.0, 2.0, 3.0], repeat=6))
    generator = np.random.default_rng(0)
    cases += generator.choice([0.0, 0.5, 1.0, np.inf, np.nan], (200, 12)).tolist()
    for losses, patience in itertools.product(cases[::8], [1, 2, 4]):
        assert our_stop(losses, patience) == keras_stop(losses, patience), (losses, patience)


def test_variables_that_are_not_trained_are_kept_and_given_back():
    """Running means of batch normalisation belong to an epoch as its weights do."""
    model = Network([4, 3])
    model.mean = tf.Variable([1.0, 2.0], trainable=False)
    best = BestWeights(model)
    model.mean.assign([3.0, 4.0])
    best.keep([0.5])
    model.mean.assign([5.0, 6.0])
    best.keep([0.5, 0.7])
    for in_model, expected in [(True, [3, 4]), (True, [3, 4]), (False, [5, 6]), (True, [3, 4])]:
        best.put_into_model(in_model)
        assert model.mean.numpy().tolist() == expected
