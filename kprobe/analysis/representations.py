"""How alike two layers represent the same samples: linear CKA and RSA, batch by batch.

CKA is that of Kornblith, Norouzi, Lee and Hinton (2019), "Similarity of Neural Network
Representations Revisited", in the form for minibatches of Nguyen, Raghu and Kornblith (2021), "Do
Wide and Deep Networks Learn the Same Things?", equations 2 and 3: the unbiased estimator of HSIC of
Song, Smola, Gretton, Bedo and Borgwardt (2012), "Feature Selection via Dependence Maximization",
equation 4, averaged over batches. The estimator is computed as the inner product of U-centred Gram
matrices (Székely and Rizzo, 2014), which is the same.

RSA is that of Kriegeskorte, Mur and Bandettini (2008): the dissimilarity of two samples is 1 less
the correlation of their patterns, and layers are compared by Spearman's rank correlation of the
dissimilarities. Over more samples than a batch has, it is the mean over batches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from kprobe.analysis.compiling import run_kernel

if TYPE_CHECKING:
    from collections.abc import Sequence

Array = np.ndarray[Any, np.dtype[np.float64]]
Method = Literal["cka", "rsa"]

# The unbiased estimator divides by n - 3.
LEAST_SAMPLES = 4
# Of sums of squares: what is smaller is what rounding leaves.
_ROUNDING = 1e-12


class Alikeness:
    """How alike each layer of A is to each of B, averaged over batches.

    Args:
        method: "cka" or "rsa".
        layers_a: How many layers A has.
        layers_b: How many B has.
    """

    def __init__(self, method: Method, layers_a: int, layers_b: int) -> None:
        self._method = method
        self._batches = 0
        self._sums = np.zeros((layers_a, layers_b))
        self._own_a, self._own_b = np.zeros(layers_a), np.zeros(layers_b)

    def add(self, patterns_a: Sequence[Pattern], patterns_b: Sequence[Pattern]) -> None:
        """Take in a batch: what its samples are in every layer."""
        prepare = _center if self._method == "cka" else _rank
        a = np.stack([prepare(pattern) for pattern in patterns_a])
        b = np.stack([prepare(pattern) for pattern in patterns_b])
        own_a, own_b = (a * a).sum(1), (b * b).sum(1)
        products = a @ b.T
        self._batches += 1
        if self._method == "rsa":
            # Each batch has a correlation of its own.
            self._sums += _divide(products, np.sqrt(np.outer(own_a, own_b)))
            return
        self._sums += products
        self._own_a += own_a
        self._own_b += own_b

    def finish(self) -> Array:
        """Give the similarities, of shape (layers_a, layers_b); NaN where there is none."""
        if self._method == "rsa":
            return self._sums / self._batches
        # The mean HSIC of a layer with itself may be below 0 where it is all noise.
        with np.errstate(invalid="ignore"):
            return _divide(self._sums, np.sqrt(np.outer(self._own_a, self._own_b)))


class Pattern:
    """What the samples of a batch are in one layer.

    Args:
        samples: How many there are.

    Attributes:
        gram: The inner products of all two samples, float64 of shape (samples, samples).
        size: How many values of each sample were taken in.
        sums: The sum of each sample's values, float64 of shape (samples,).
    """

    def __init__(self, samples: int) -> None:
        self.gram: Array = np.zeros((samples, samples))
        self.size = 0
        self.sums: Array = np.zeros(samples)

    @property
    def means(self) -> Array:
        """The mean of each sample's values, float64 of shape (samples,)."""
        return self.sums / max(self.size, 1)

    def add(self, values: Array, *, fast: bool = False) -> None:
        """Take in some of the values of all samples.

        Args:
            values: float64 of shape (samples, any).
            fast: Whether to use compiled kernels.
        """
        with np.errstate(invalid="ignore", over="ignore"):
            self.gram += _multiply(values) if fast else values @ values.T
            self.sums += values.sum(1)
        self.size += values.shape[1]

    def merge(self, other: Pattern) -> None:
        """Take in other values of the same samples."""
        with np.errstate(invalid="ignore", over="ignore"):
            self.gram += other.gram
            self.sums += other.sums
        self.size += other.size


def _multiply(values: Array) -> Array:
    from kprobe.analysis.gram_kernel import add_products

    samples = len(values)
    even = values if samples % 2 == 0 else np.pad(values, ((0, 1), (0, 0)))
    gram = np.zeros((len(even), len(even)))
    run_kernel(add_products, np.ascontiguousarray(even), gram)
    upper = np.triu(gram[:samples, :samples])
    return np.asarray(upper + np.triu(upper, 1).T)


def _center(pattern: Pattern) -> Array:
    """Center a Gram matrix so that products of two, over n (n - 3), are unbiased."""
    n = len(pattern.gram)
    gram = pattern.gram.copy()
    np.fill_diagonal(gram, 0)
    sums = gram.sum(0)
    gram -= (sums[:, None] + sums[None, :]) / (n - 2)
    gram += sums.sum() / ((n - 1) * (n - 2))
    np.fill_diagonal(gram, 0)
    if np.abs(gram).max() <= _ROUNDING * np.abs(pattern.gram).max():
        gram[:] = 0
    return np.asarray(gram.reshape(-1) / np.sqrt(n * (n - 3)))


def _rank(pattern: Pattern) -> Array:
    """Rank the dissimilarities of all two samples, less the mean rank."""
    means, size = pattern.means, max(pattern.size, 1)
    covariances = pattern.gram / size - np.outer(means, means)
    variances = np.maximum(np.diag(covariances), 0)
    # What rounding leaves of the deviation of a constant pattern is none; it is like no other.
    variances[variances <= _ROUNDING * np.diag(pattern.gram) / size] = 0
    scales = np.sqrt(np.outer(variances, variances))
    correlations = np.divide(covariances, scales, out=np.zeros_like(scales), where=scales != 0)
    apart = 1 - correlations[np.triu_indices(len(means), 1)]
    if not np.isfinite(apart).all():
        return np.full(len(apart), np.nan)
    # Equal ones share the mean of their ranks. What differs by rounding alone is equal.
    _, place, counts = np.unique(apart.round(12), return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return np.asarray(ranks - ranks.mean())


def _divide(products: Array, scales: Array) -> Array:
    good = scales > 0
    return np.divide(products, scales, out=np.full_like(products, np.nan), where=good)
