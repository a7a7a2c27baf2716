"""argparse's parser and its help, in the language in force."""

import argparse
import sys

from mindclf.utils.language import translate, wrap


class HelpFormatter(argparse.HelpFormatter):
    """argparse's own, with texts that are translated before they are broken into lines."""

    def start_section(self, heading):
        super().start_section(translate(heading, words=True))

    def add_usage(self, usage, actions, groups, prefix=None):
        super().add_usage(usage, actions, groups, translate("usage: ", words=True) if prefix is None else prefix)

    def add_text(self, text):
        super().add_text(text if text in (None, argparse.SUPPRESS) else translate(text))

    def _get_help_string(self, action):
        return translate(action.help)

    def _split_lines(self, text, width):
        return wrap(" ".join(text.split()), width)

    def _fill_text(self, text, width, indent):
        return "\n".join(wrap(" ".join(text.split()), width, indent, indent))


class PlainHelpFormatter(argparse.RawDescriptionHelpFormatter, HelpFormatter):
    """Leaves the lines of descriptions as they are."""


class Parser(argparse.ArgumentParser):
    """argparse's own, with errors that are translated."""

    def error(self, message):
        self.print_usage(sys.stderr)
        self.exit(2, f"{self.prog}: {translate('error:', words=True)} {translate(message)}\n")

    def commands(self):
        """{name: parser} of the commands."""
        return next(action.choices for action in self._actions if isinstance(action, argparse._SubParsersAction))
