"""Layers of networks in numpy, from their definitions: plain loops over the outputs."""

import numpy as np


def relu(x):
    return np.maximum(x, 0.0)


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def windows(x, size, stride, padding, fill):
    """[N, height, width, C] -> [N, rows, columns, size, size, C], the pixels under each place of a square window."""
    if padding == "same":
        widths = [(0, 0)]
        for length in x.shape[1:3]:
            missing = max((-(-length // stride) - 1) * stride + size - length, 0)
            widths.append((missing // 2, missing - missing // 2))
        x = np.pad(x, [*widths, (0, 0)], constant_values=fill)
    rows = range(0, x.shape[1] - size + 1, stride)
    columns = range(0, x.shape[2] - size + 1, stride)
    return np.stack([np.stack([x[:, i : i + size, j : j + size] for j in columns], axis=1) for i in rows], axis=1)


def convolve(x, kernel, bias, stride=1, padding="valid"):
    return np.einsum("nrchwi,hwio->nrco", windows(x, kernel.shape[0], stride, padding, 0.0), kernel) + bias


def max_pool(x, size, stride):
    return windows(x, size, stride, "same", -np.inf).max(axis=(3, 4))


def randomise(variables, seed=0, scale=1.0):
    """Gives each variable random values of about the size of the paper's initialisation, biases too; numpy copies."""
    random = np.random.default_rng(seed)
    for variable in variables:
        fan_in = int(np.prod(variable.shape[:-1])) or 1
        variable.assign(random.normal(size=variable.shape) * scale / np.sqrt(fan_in))
    return [np.asarray(variable, np.float64) for variable in variables]
