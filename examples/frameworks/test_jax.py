"""A training loop in JAX under a golden, and its compiled form held to the one that is not."""

from itertools import pairwise

import jax
import jax.numpy as jnp

import goldmark
from goldmark import Metric, experiment


def weights(key, sizes=(2, 32, 1)):
    """Weights and biases of a perceptron."""
    shapes = list(pairwise(sizes))
    keys = jax.random.split(key, len(shapes))
    return [
        {"w": jax.random.normal(key, shape) / shape[0] ** 0.5, "b": jnp.zeros(shape[1])}
        for key, shape in zip(keys, shapes, strict=True)
    ]


def predict(layers, inputs):
    """Return outputs (B, 1)."""
    for layer in layers[:-1]:
        inputs = jnp.tanh(inputs @ layer["w"] + layer["b"])
    return inputs @ layers[-1]["w"] + layers[-1]["b"]


def mse(layers, inputs, targets):
    """Return the mean squared error."""
    return jnp.mean((predict(layers, inputs) - targets) ** 2)


def step(layers, inputs, targets, lr):
    """Return the loss, and the weights after a step of gradient descent."""
    loss, gradients = jax.value_and_grad(mse)(layers, inputs, targets)
    return loss, jax.tree.map(lambda weight, gradient: weight - lr * gradient, layers, gradients)


def waves(key, n=512):
    """Points of the plane, with the height of a wave."""
    inputs = jax.random.uniform(key, (n, 2), minval=-2, maxval=2)
    return inputs, jnp.sin(2 * inputs[:, :1]) + 0.5 * inputs[:, 1:]


@experiment(seeds=8, metrics=[Metric("val_mse", margin="25%", better="lower", guard="one_key")])
def wave(seed, *, splits_keys=True, steps=300, lr=0.05):
    """Learn the height of a wave; without new keys every batch is the same one."""
    key, data_key, weight_key = jax.random.split(jax.random.key(seed), 3)
    inputs, targets = waves(data_key)
    layers, compiled = weights(weight_key), jax.jit(step)
    for _ in range(steps):
        if splits_keys:
            key, _ = jax.random.split(key)
        batch = jax.random.randint(key, (8,), 0, 256)
        _, layers = compiled(layers, inputs[batch], targets[batch], lr)
    return {"val_mse": float(mse(layers, inputs[256:], targets[256:]))}


one_key = wave.variant("one_key", splits_keys=False)


def test_wave(golden):
    """The error of every seed is that of the golden, within 25 % in the mean."""
    golden.runs(wave)


def test_keys_must_be_split():
    """Ordinary tests read the same runs."""
    assert wave.mean("val_mse") < 0.5 * one_key.mean("val_mse")


def descent(nudge, take_step):
    """Ten steps; arrays of JAX cannot be changed, so that the nudged weights are those that nudge returns."""
    layers = nudge(weights(jax.random.key(0)))
    inputs, targets = waves(jax.random.key(1), n=64)
    for _ in range(10):
        loss, layers = take_step(layers, inputs, targets, 0.1)
        yield {"loss": loss} | {
            f"{name}{number}": one for number, part in enumerate(layers) for name, one in part.items()
        }


def test_compiling_changes_nothing():
    """But for rounding, in the loss and every weight of every step."""
    assert goldmark.same_trajectory(lambda nudge: descent(nudge, step), lambda nudge: descent(nudge, jax.jit(step)))
