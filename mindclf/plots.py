"""Pictures of what happened. Each function writes one PNG; none of them needs a display."""

import math

import numpy as np
from matplotlib.figure import Figure

from mindclf.dataset import decode_picture
from mindclf.evaluate import softmax

GRID_ROWS, GRID_COLUMNS = 4, 6


def training_curves(history, path):
    """Loss, accuracy and learning rate against the epoch; `history` has a row an epoch, phases divided by dotted lines."""
    epochs = np.arange(1, len(history) + 1)
    column = {name: np.array([row[name] for row in history]) for name in history[0]}
    watched = history[0]["watched"].replace(" ", "-")
    figure = Figure(figsize=(12, 3.5), layout="constrained")
    loss, accuracy, rate = figure.subplots(1, 3)
    loss.plot(epochs, column["train_loss"], ".-", label="training (augmented, smoothed labels)")
    loss.plot(epochs, column["loss"], ".-", label=watched)
    loss.set(title="Loss", ylabel="cross-entropy")
    accuracy.plot(epochs, 100 * column["top1"], ".-", label="top-1")
    accuracy.plot(epochs, 100 * column["top5"], ".-", label="top-5")
    accuracy.set(title=f"Accuracy on the {watched} pictures", ylabel="%")
    rate.plot(epochs, column["learning_rate"], ".-")
    rate.set(title="Learning rate at the end of the epoch")
    for axis in (loss, accuracy):
        axis.legend()
    for axis in (loss, accuracy, rate):
        axis.set_xlabel("epoch")
        axis.grid(alpha=0.3)
        for boundary in np.flatnonzero(np.diff(column["phase"])):
            axis.axvline(boundary + 1.5, color="grey", linestyle=":")
    figure.savefig(path, dpi=100)


def confusion_matrix(confusion, classes, path):
    """Counts of predicted (columns) against true (rows) classes; what lies off the diagonal is red."""
    size = max(5, 0.36 * len(classes) + 2.5)
    figure = Figure(figsize=(size, size), layout="constrained")
    axis = figure.subplots()
    axis.imshow(confusion, cmap="Greens", vmin=0, vmax=max(1, confusion.max()))
    for true, predicted in zip(*np.nonzero(confusion)):
        right = true == predicted
        dark = confusion[true, predicted] > 0.6 * confusion.max()
        axis.text(predicted, true, confusion[true, predicted], ha="center", va="center", fontsize=8,
                  color="white" if right and dark else "black" if right else "red", fontweight="normal" if right else "bold")
    axis.set_xticks(range(len(classes)), classes, rotation=90, fontsize=8)
    axis.set_yticks(range(len(classes)), classes, fontsize=8)
    axis.set(xlabel="predicted", ylabel="true",
             title=f"{confusion.diagonal().sum()} of {confusion.sum()} pictures right")
    figure.savefig(path, dpi=100)


def prediction_grid(pictures, logits, path):
    """Up to 24 of `pictures`, spread evenly, titled with the prediction: green if right, red with the truth if wrong."""
    count = min(len(pictures), GRID_ROWS * GRID_COLUMNS)
    chosen = np.linspace(0, len(pictures) - 1, count).round().astype(int)
    probabilities = softmax(logits)
    figure = Figure(figsize=(13, 2.5 * math.ceil(count / GRID_COLUMNS)), layout="constrained")
    axes = figure.subplots(math.ceil(count / GRID_COLUMNS), GRID_COLUMNS, squeeze=False).ravel()
    for axis in axes:
        axis.axis("off")
    for axis, index in zip(axes, chosen):
        predicted, true = probabilities[index].argmax(), pictures.labels[index]
        title = f"{pictures.classes[predicted]} {probabilities[index, predicted]:.0%}"
        if predicted != true:
            title += f"\n(is {pictures.classes[true]})"
        axis.imshow(decode_picture(pictures.paths[index]))
        axis.set_title(title, fontsize=9, color="green" if predicted == true else "red")
    figure.savefig(path, dpi=80)
