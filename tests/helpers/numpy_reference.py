"""The equations again, slowly: plain NumPy loops that can be checked by eye."""

from __future__ import annotations

import itertools
import math

import numpy as np


def nearest_codes(x: np.ndarray, codebook: np.ndarray) -> np.ndarray:
    """Index of the nearest code, by measuring every distance."""
    flat = x.reshape(-1, x.shape[-1])
    nearest = [
        min(range(len(codebook)), key=lambda j: float(np.sum((v - codebook[j]) ** 2))) for v in flat
    ]
    return np.array(nearest).reshape(x.shape[:-1])


def mm_ema(
    features: dict[str, np.ndarray],
    indices: dict[str, np.ndarray],
    counts: np.ndarray,
    sums: np.ndarray,
    decay: float,
    epsilon: float,
) -> tuple[np.ndarray, np.ndarray]:
    """One step of the multimodal EMA: modality by modality, vector by vector, pair by pair."""
    counts, sums = counts.copy(), sums.copy()
    for name, x in features.items():
        new_counts, new_sums = np.zeros_like(counts), np.zeros_like(sums)
        others = [other for other in features if other != name]
        for place in np.ndindex(x.shape[:-1]):
            vector = x[place] if not others else 0.5 * x[place]
            for other in others:
                vector = vector + 0.5 / len(others) * features[other][place]
            code = indices[name][place]
            new_counts[code] += 1
            new_sums[code] += vector
        for code in range(len(counts)):
            counts[code] = decay * counts[code] + (1 - decay) * new_counts[code]
            sums[code] = decay * sums[code] + (1 - decay) * new_sums[code]
        total = counts.sum()
        for code in range(len(counts)):
            counts[code] = (counts[code] + epsilon) / (total + len(counts) * epsilon) * total
    return counts, sums


def club_upper_bound(mean: np.ndarray, log_variance: np.ndarray, y: np.ndarray) -> float:
    """CLUB over all pairs of a batch: a B x B loop at each frame."""
    mean, log_variance, y = (v if v.ndim == 3 else v[:, None] for v in (mean, log_variance, y))
    batch, frames = y.shape[:2]

    def density(i, j, t):
        gap = (mean[i, t] - y[j, t]) ** 2 / np.exp(log_variance[i, t])
        return -0.5 * float(np.sum(gap))

    total = 0.0
    for i, t in itertools.product(range(batch), range(frames)):
        negatives = [density(i, j, t) for j in range(batch)]
        total += density(i, i, t) - sum(negatives) / batch
    return total / (batch * frames)


def cross_entropy(logits: np.ndarray) -> float:
    """Mean of minus the log of the softmax over each row, on the diagonal."""
    total = 0.0
    for i, row in enumerate(logits):
        largest = max(row)
        total -= row[i] - largest - math.log(sum(math.exp(v - largest) for v in row))
    return total / len(logits)


def code_probabilities(x: np.ndarray, codebook: np.ndarray) -> np.ndarray:
    """Softmax over codes of minus the distance, averaged over frames."""
    clips = []
    for clip in x if x.ndim == 3 else x[:, None]:
        frames = []
        for v in clip:
            scores = np.array([math.exp(-math.dist(v, code)) for code in codebook])
            frames.append(scores / scores.sum())
        clips.append(np.mean(frames, axis=0))
    return np.array(clips)


def code_matching_logits(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """p_i . log q_j + q_j . log p_i, pair by pair."""
    scores = np.zeros((len(p), len(q)))
    for i, j in np.ndindex(scores.shape):
        scores[i, j] = np.sum(p[i] * np.log(q[j])) + np.sum(q[j] * np.log(p[i]))
    return scores


def channel_scores(
    codebook: np.ndarray, usage: np.ndarray | None = None, normalize: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """TOC's similarity and variance of each channel, over every pair of different codes."""
    codes = np.array(codebook, "float64")
    if normalize:
        codes = np.array([code / math.sqrt(float(code @ code)) for code in codes])
    count, dim = codes.shape
    p = np.full(count, 1 / count) if usage is None else np.asarray(usage) / np.sum(usage)
    similarity, variance = np.zeros(dim), np.zeros(dim)
    for k in range(dim):
        for i, j in itertools.permutations(range(count), 2):
            similarity[k] += p[i] * p[j] * codes[i, k] * codes[j, k]
        mean = sum(p[i] * codes[i, k] for i in range(count))
        variance[k] = sum(p[i] * (codes[i, k] - mean) ** 2 for i in range(count))
    return similarity, variance
