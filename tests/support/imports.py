"""Whether what a program imports of ours is there, told without running it: it may need packages or data of its own."""

import ast
import importlib
import importlib.util
from types import MappingProxyType


def imports_of_ours(source, others=MappingProxyType({})):
    """(count, missing) of the lines "from X import Y" in `source`: how many are of mindclf or `others`, and what is not there.

    `others` are further modules by the name that `source` has for them. `missing` is a list of texts.
    """
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)]
    ours = [node for node in nodes if node.module.partition(".")[0] in ("mindclf", *others)]
    missing = []
    for node in ours:
        module = others.get(node.module) or importlib.import_module(node.module)
        missing += [f"{node.module} has no {alias.name}" for alias in node.names if not hasattr(module, alias.name)
                    and importlib.util.find_spec(f"{node.module}.{alias.name}") is None]
    return len(ours), missing
