"""Durations in words."""


def rough_time(seconds):
    """A duration in words, as rough as an estimate is: "40 s", "7 min", "2.5 h"."""
    if seconds < 90:
        return f"{10 * max(1, round(seconds / 10))} s"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"
