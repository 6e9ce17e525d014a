"""CKA and RSA, against their definitions over all samples at once."""

from __future__ import annotations

import numpy as np
import pandas
import pytest

from kprobe.analysis.representations import Alikeness, Pattern


def make_pattern(values):
    pattern = Pattern(len(values))
    pattern.add(values)
    return pattern


def compare(method, a, b, batches=1):
    alike = Alikeness(method, len(a), len(b))
    for part in np.array_split(np.arange(len(a[0])), batches):
        alike.add(*([make_pattern(layer[part]) for layer in side] for side in (a, b)))
    return alike.finish()


def hsic(x, y):
    """Equation 4 of Song et al. (2012), term by term."""
    k, l = (values @ values.T for values in (x, y))  # noqa: E741
    n, one = len(k), np.ones(len(k))
    np.fill_diagonal(k, 0)
    np.fill_diagonal(l, 0)
    both = one @ k @ one * (one @ l @ one) / ((n - 1) * (n - 2))
    return (np.trace(k @ l) + both - 2 / (n - 2) * (one @ k @ l @ one)) / (n * (n - 3))


def biased_cka(x, y):
    """Kornblith et al. (2019), with centred Gram matrices."""
    n = len(x)
    h = np.eye(n) - 1 / n
    k, l = (h @ values @ values.T @ h for values in (x, y))  # noqa: E741
    return np.trace(k @ l) / np.sqrt(np.trace(k @ k) * np.trace(l @ l))


@pytest.fixture(scope="module")
def layers():
    random = np.random.default_rng(0)
    x = random.normal(size=(90, 12)) + 3
    return [
        x,
        np.maximum(x @ random.normal(size=(12, 20)), 0),
        random.normal(size=(90, 7)),
        x @ np.linalg.qr(random.normal(size=(12, 12)))[0] * 5 + 100,
    ]


@pytest.mark.parametrize("batches", [1, 3])
def test_cka_is_that_of_the_unbiased_estimator(layers, batches):
    found = compare("cka", layers, layers[::-1], batches)
    parts = np.array_split(np.arange(90), batches)
    for i, x in enumerate(layers):
        for j, y in enumerate(layers[::-1]):
            products, own_x, own_y = (
                np.mean([hsic(left[p], right[p]) for p in parts])
                for left, right in ((x, y), (x, x), (y, y))
            )
            assert found[i, j] == pytest.approx(products / np.sqrt(own_x * own_y), rel=1e-9)
    # Rotated, scaled and moved, a layer is the same.
    assert found[0, 0] == pytest.approx(1, rel=1e-9)
    assert abs(found[0, 1]) < 0.1  # the others are drawn by chance


def test_with_many_samples_cka_is_that_of_centred_gram_matrices():
    random = np.random.default_rng(1)
    x = random.normal(size=(1500, 4))
    y = np.tanh(x @ random.normal(size=(4, 5))) + random.normal(size=(1500, 5))
    assert compare("cka", [x], [y])[0, 0] == pytest.approx(biased_cka(x, y), abs=3e-3)
    # Of few samples with many values the biased one is near 1 whatever they are; this isn't.
    few, others = random.normal(size=(2, 20, 5000))
    assert biased_cka(few, others) > 0.9
    assert abs(compare("cka", [few], [others])[0, 0]) < 0.4


@pytest.mark.parametrize("batches", [1, 3])
def test_rsa_is_spearmans_correlation_of_dissimilarities(layers, batches):
    # Equal samples have equal dissimilarities, which share their ranks.
    doubled = [np.concatenate([layer[:45], layer[:45]])[np.arange(90)] for layer in layers]
    found = compare("rsa", layers, doubled, batches)
    for i, x in enumerate(layers):
        for j, y in enumerate(doubled):
            each = []
            for part in np.array_split(np.arange(90), batches):
                upper = np.triu_indices(len(part), 1)
                ranks = [
                    pandas.Series((1 - np.corrcoef(v[part]))[upper].round(12)).rank()
                    for v in (x, y)
                ]
                each.append(np.corrcoef(*ranks)[0, 1])
            assert found[i, j] == pytest.approx(np.mean(each), abs=1e-9)


@pytest.mark.parametrize("method", ["cka", "rsa"])
def test_what_is_constant_or_not_finite_is_like_nothing(layers, method):
    bad = layers[0].copy()
    bad[3, 2] = np.nan
    odd = [np.full((90, 6), 7.0), bad, layers[0]]
    found = compare(method, layers[:2], odd)
    assert np.isnan(found[:, :2]).all()
    assert np.isfinite(found[:, 2]).all()


def test_values_may_be_taken_in_parts(layers):
    values = layers[1]
    pattern = Pattern(90)
    for part in np.array_split(values, 3, axis=1):
        pattern.add(part)
    np.testing.assert_allclose(pattern.gram, values @ values.T, rtol=1e-12)
    np.testing.assert_allclose(pattern.means, values.mean(1), rtol=1e-12)


@pytest.mark.parametrize("samples", [4, 7, 90])
@pytest.mark.parametrize("size", [1, 3, 512, 1300])
def test_compiled_kernels_give_what_numpy_gives(samples, size):
    values = np.random.default_rng(0).normal(size=(samples, size)) + 5
    values[1, 0] = np.nan if size == 3 else 2
    pattern = Pattern(samples)
    pattern.add(values[:, : size // 2], fast=True)
    pattern.add(values[:, size // 2 :], fast=True)
    np.testing.assert_allclose(pattern.gram, values @ values.T, rtol=1e-12)
    assert pattern.size == size
