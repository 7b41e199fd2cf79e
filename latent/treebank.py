"""nltk's Treebank tokenizer, without the rest of nltk.

Importing `nltk` imports all of it, and scipy, scikit-learn and pandas too where they are installed, for more
than a second. The tokenizer alone takes a tenth of that.
"""

import sys
from importlib.util import find_spec
from types import ModuleType
from typing import Any


def word_tokenizer() -> Any:
    """Return an `NLTKWordTokenizer`; whoever imports nltk later gets all of it, as if this had not been."""
    if "nltk" in sys.modules:
        return _make()
    spec = find_spec("nltk")
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError("understory splits texts into words with nltk: pip install nltk")
    package = ModuleType("nltk")
    package.__path__ = list(spec.submodule_search_locations)
    sys.modules["nltk"] = package
    try:
        return _make()
    finally:
        for name in [name for name in sys.modules if name == "nltk" or name.startswith("nltk.")]:
            del sys.modules[name]


def _make() -> Any:
    from nltk.tokenize.destructive import NLTKWordTokenizer

    return NLTKWordTokenizer()
