"""The messages of mindclf, found in its source: every text that a person may see, as an entry of the catalogue has it."""

import ast
import re
from pathlib import Path
from typing import NamedTuple

import mindclf
from mindclf.utils.shipped import shipped

PACKAGE = Path(mindclf.__file__).parent
# Two words of letters with a blank between them: what looks like a sentence, wherever it stands.
PROSE = re.compile(r"[A-Za-z]{2,}['\"]?[,;:.]? ['\"(]?[A-Za-z]{2,}|[a-z]{2,}[,;:]? +\{|\}[,;:]? [a-z]{2,}")
MARKUP = re.compile(r"<(?!class>|image>)/?!?[a-z]+[ >]")  # HTML, whose messages are texts of their own
FILE = re.compile(r"\w+\.(csv|png|html)")
FILLED_IN = re.compile(r"%\(\w+\)[sdgf]|%[-#0 +,]*\d*(?:\.\d+)?[sdgfr]")  # of a message of the log
FORMATTED = re.compile(r"\{[\w.]*(?::[^{}]*)?\}")  # of "...".format
SHOWING = {"say", "complain", "error", "info", "warning", "Stopped", "print_table", "print_counts", "_section", "Field",
           "add_argument", "add_argument_group", "progress_bar", "ArgumentParser", "Parser", "set", "set_title", "html_text",
           "translate"}  # functions whose texts are shown, single words too
SHOWN_KEYWORDS = {"help", "title", "xlabel", "ylabel", "label", "unit", "description", "epilog", "alt"}
# Files of names, fonts and styles, and the page of `mindclf demo`, which has both languages side by side: of these only what is
# raised, logged or translated.
TABLES = ("imagenet", "labels", "drawings/artists", "dataset/policies", "dataset/names", "report/fonts", "demo/page",
          "demo/answers", "demo/several", "demo/examples", "nets/__init__", "dataset/views")

# What looks like a message and is none that a person reads: keys, names of files, code, what others say.
NOT_MESSAGES = frozenset({
    " and", " or", "%(prog)s --workers N {RECIPE train|train FOLDER} [field=value ...]",
    "%(prog)s [options] [CHECKPOINT] FOLDER --to FILE.npz", "--on-bad-image skip", "<!DOCTYPE html>",
    "CHECKPOINT field=value", "DejaVu Sans", "Error:", "MindSpore Hub", "RECIPE train ...", "Raw profile type exif",
    "The old name of `{1}`.", "Worker process (\\d+) exit with exception\\. Error code: (-?\\d+)", "balanced order",
    "compare",
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; frame-ancestors 'none'; form-action 'self'",
    "draws {1} {2}", "held out", "its own choice", "mindclf demo", "mindclf export NET --format onnx",
    "mindclf predict photo.jpg", "mindclf predict photos --sort-into sorted", "mindclf train my_photos", "mindclf {1}",
    "mindclf: {1}", "missing from font", "mixup or cutmix", "model name", "newest epoch of a run", "newest step of a run",
    "no photos", "offset points", "out of fold", "output={1}", "outside right upper",
    "upper left", "validation {1}", "version https://git-lfs", "{1} predict photo.jpg", "{1} train {2}",
})

KEPT = re.compile(  # what stays as it is: commands, code, names of packages and of papers
    r"python [^，。；：（）]*|mindclf [a-z-]+( [a-zA-Z./_-]+)*|pip install [^，。；：（）]*|git lfs pull|curl [^，。；]*|"
    r"\([^()]*arXiv[^()]*\)|"
    r"jupyter notebook|MindSpore Hub|ONNX Runtime|Git LFS|state dict|AlexNet in one column|Intel\(R\)[\w ()@.]*|AMD [\w -]*|"
    r"usage: |用法: .*|Linux \w+|[A-Z][a-z]+ [A-Z][a-z]+(?= )|field=value \.\.\.|\[[^\]]*\]|RECIPE train|'[^']*'|`[^`]*`|"
    r"\S+(, \S+)+ 之一|(train|help|FOLDER|NAME|FILE|Ascend|GPU|CPU|auto)(, \w+)+|命令有：.*|网络有：.*|字段有：.*")


class Message(NamedTuple):
    """A text of the source, with {1}, {2}, ... for what the program fills in."""

    text: str
    file: str
    line: int


def english_of(text):
    """What is left of English in `text`: two words or more, other than names, paths and commands."""
    return re.findall(r"(?<![\w./=-])[A-Za-z]{2,}(?: [A-Za-z]{2,})+(?![\w./=-])", KEPT.sub("#", text))


def messages() -> list[Message]:
    """All of them, in the order of files and lines; of recipes the first line, which `mindclf recipes` lists."""
    found = []
    for file in sorted(shipped("recipes").glob("*.py")):
        first = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))).splitlines()[0]
        found.append(Message(first, f"recipes/{file.name}", 1))
    for file in sorted(PACKAGE.rglob("*.py")):
        found += sorted(_Finder(file).messages(), key=lambda message: message.line)
    return found


def _pieces(node):
    """The literal texts of an expression, and None for each part that is filled in; None if it is no text."""
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return [piece for value in node.values for piece in _constant(value)]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _pieces(node.left), _pieces(node.right)
        return None if left is None and right is None else [*(left or [None]), *(right or [None])]
    return None


def _constant(value):
    """[the text] of a part of an f-string that is a text, padded as it says; [None] of one that is filled in."""
    if isinstance(value, ast.Constant):
        return [value.value]
    if isinstance(value.value, ast.Constant) and isinstance(value.value.value, str) and value.format_spec:
        return [format(value.value.value, value.format_spec.values[0].value)]
    return [None]


def numbered(pieces):
    """The pieces as one text."""
    count, text = 0, ""
    for piece in pieces:
        count += piece is None
        text += f"{{{count}}}" if piece is None else piece
    return text


class _Finder:
    def __init__(self, file):
        self.file = file.relative_to(PACKAGE.parent).as_posix()
        self.is_table = self.file.removeprefix("mindclf/").removesuffix(".py") in TABLES
        self.tree = ast.parse(file.read_text(encoding="utf-8"))
        self.parents = {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}

    def messages(self):
        for node in ast.walk(self.tree):
            pieces = _pieces(node) if isinstance(node, (ast.Constant, ast.JoinedStr, ast.BinOp)) else None
            if pieces and not self._is_inside(node) and not self._is_documentation(node):
                yield from self._of(node, pieces)

    def _is_inside(self, node):
        """Whether the node is a part of a text that is looked at as a whole."""
        parent = self.parents.get(node)
        if isinstance(parent, ast.FormattedValue):
            return parent.format_spec is node or (isinstance(node, ast.Constant) and bool(parent.format_spec))
        return isinstance(parent, ast.JoinedStr) or (isinstance(parent, ast.BinOp) and _pieces(parent) is not None)

    def _is_documentation(self, node):
        """Whether it is a docstring, or a style sheet."""
        parent = self.parents.get(node)
        return isinstance(parent, ast.Expr) or (isinstance(parent, ast.Assign)
                                                and getattr(parent.targets[0], "id", "") == "STYLE")

    def _of(self, node, pieces):
        shown, is_log = self._place(node)
        method = getattr(self.parents.get(node), "attr", "") if isinstance(node, ast.Constant) else ""
        if is_log and len(pieces) == 1:
            pieces = [piece and piece.replace("%%", "%") for piece in _split(pieces[0], FILLED_IN)]
        if method == "format":
            pieces = _split(pieces[0], FORMATTED)
        for line in _lines(pieces):
            text = numbered(line).rstrip(" ")
            text = text if re.match(" [^ ]", text) else text.lstrip(" ")  # a blank alone: the end of a longer text
            if MARKUP.search(text) or FILE.fullmatch(text):
                continue
            letters = numbered([piece for piece in line if piece is not None])
            if (PROSE.search(text) and not self.is_table) or (shown and re.search("[A-Za-z]{2,}", letters)):
                yield Message(text, self.file, node.lineno)

    def _place(self, node):
        """(whether it stands where texts are shown, whether in a message of the log)."""
        child, parent, keyword = node, self.parents.get(node), None
        while parent is not None and not isinstance(parent, (ast.stmt, ast.comprehension)):
            if isinstance(parent, (ast.Subscript, ast.Compare)) and getattr(parent, "value", None) is not child:
                return False, False
            if isinstance(parent, ast.keyword):
                keyword = parent.arg
            if isinstance(parent, ast.Call) and child is not parent.func:
                name = getattr(parent.func, "id", getattr(parent.func, "attr", ""))
                if name in SHOWING:
                    is_log = name in ("info", "warning", "error") and getattr(parent.func.value, "id", "") == "log"
                    first = not keyword and bool(parent.args) and child is parent.args[0]
                    shown = keyword in SHOWN_KEYWORDS if keyword else name not in ("add_argument", "Parser")
                    if name == "Field" and parent.args and child is parent.args[0]:  # the default
                        shown = False
                    return shown, is_log and first
            child, parent = parent, self.parents.get(parent)
        return isinstance(parent, ast.Raise), False


def _split(text, pattern):
    pieces = [piece for literal in pattern.split(text) for piece in (None, literal)][1:]
    return [piece for piece in pieces if piece != ""]


def _lines(pieces):
    """The pieces of each line of a text."""
    lines = [[]]
    for piece in pieces:
        first, *others = [None] if piece is None else piece.split("\n")
        lines[-1].append(first)
        lines += [[other] for other in others]
    return [[piece for piece in line if piece != ""] for line in lines]
