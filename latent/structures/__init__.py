"""The structures, by name."""

from latent.structures.base import ProjectionInfo, Structure, Support
from latent.structures.categorical import Categorical
from latent.structures.nonprojective_tree import NonProjectiveTree
from latent.structures.projective_tree import ProjectiveTree

STRUCTURES: dict[str, type[Structure]] = {
    "projective": ProjectiveTree,
    "nonprojective": NonProjectiveTree,
    "categorical": Categorical,
}
"""Every structure by its name."""

__all__ = [
    "STRUCTURES",
    "Categorical",
    "NonProjectiveTree",
    "ProjectionInfo",
    "ProjectiveTree",
    "Structure",
    "Support",
]
