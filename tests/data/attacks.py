"""Sources that are damaged, incomplete, of another kind, or made to do harm.

Every public function of the modules here spoils a good source: it fills an empty folder and
returns the source and the words that the error must have.
"""

import inspect

import attacks_on_annotations
import attacks_on_archives
import attacks_on_folders
import attacks_on_pickles
from families import PICKLED


def attacks_on(name):
    """The attacks that a family can meet."""
    modules = [attacks_on_archives, attacks_on_folders]
    if name in PICKLED:
        modules.append(attacks_on_pickles)
    if name == "tinyimagenet":
        modules.append(attacks_on_annotations)
    attacks = [attack for module in modules for attack in _public(module)]
    if name in PICKLED:  # their archives hold no picture files
        attacks.remove(attacks_on_archives.empty_picture_in_archive)
    return attacks


def _public(module):
    functions = inspect.getmembers(module, inspect.isfunction)
    own = [f for name, f in functions if f.__module__ == module.__name__ and name[0] != "_"]
    assert own
    return own
