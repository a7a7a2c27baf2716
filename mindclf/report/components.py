"""Principal components: features of many channels as points in a plane."""

import numpy as np


def principal_components(features, count=2):
    """(points (n, count), explained (count,)) of features (n, channels): their `count` directions of the largest variance.

    By the singular values of the features less their mean; `explained` is the fraction of all variance along each direction, 0
    where nothing varies. A direction points to where its largest entry is positive, so that the same features give the same
    points.
    """
    centred = features.astype(np.float64) - features.mean(0, dtype=np.float64)
    _, values, directions = np.linalg.svd(centred, full_matrices=False)
    directions *= np.sign(directions[np.arange(len(directions)), np.abs(directions).argmax(1)])[:, None]
    points, explained = np.zeros((len(features), count)), np.zeros(count)
    found = min(count, len(values))
    points[:, :found] = centred @ directions[:found].T
    if values.any():
        explained[:found] = (np.square(values) / np.square(values).sum())[:found]
    return points, explained
