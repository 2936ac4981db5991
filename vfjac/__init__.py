"""vfjac: the Jacobian of a single-cell vector field, cell by cell.

The names stand in `__init__.pyi`, where type checkers and editors find them. They are loaded when
they are first used, so that `import vfjac` stays quick and Altair and ipywidgets are only loaded
for charts and widgets.
"""
__version__ = "0.2.0"

import ast
import sys
from importlib import import_module
from pkgutil import get_data

_lines = ast.parse(get_data(__name__, "__init__.pyi") or b"").body
_imports = [line for line in _lines if isinstance(line, ast.ImportFrom)]
_home = {name.name: line.module for line in _imports for name in line.names}
__all__ = [name for name, module in _home.items() if module]
__all__ += ["datasets", "charts", "diagrams", "dynamics", "pl", "pp", "tl"]


def __getattr__(name):
    if name not in _home: raise AttributeError(f"module 'vfjac' has no attribute {name!r}")
    module = import_module(f"vfjac.{_home[name] or name}")
    for room in {module.__name__, "vfjac.pp", "vfjac.datasets"} & sys.modules.keys():
        ready = import_module("vfjac.docments").add_parameters(sys.modules[room])
        if hasattr(ready, "AnnData"): import_module("vfjac.adata").answer_words(ready)
    return getattr(module, name) if _home[name] else module


def __dir__(): return sorted({*globals(), *_home})
