"""Aliases: names from before mindclf took the field's words. They still work, and say once what they are called now."""

import warnings

OLD_NAMES = {  # class: {its old attribute or method: the new one}
    "Predictor": {"sort": "predict_iter"},
    "Explanation": {"guess": "prediction", "guesses": "predictions", "heat": "heatmap"},
}


def with_old_names(cls):
    """A decorator: `cls`, a class in OLD_NAMES, with those names besides. A line that uses one is warned about once."""
    for old, new in OLD_NAMES[cls.__name__].items():
        setattr(cls, old, _alias(cls, old, new))
    return cls


def _alias(cls, old, new):
    def renamed(self):
        warnings.warn(f"{cls.__name__}.{old} is called {new} now", DeprecationWarning, stacklevel=2)
        return getattr(self, new)

    return property(renamed, doc=f"The old name of `{new}`.")
