"""Dressed bodies from the parametric body model ``anny`` (code Apache-2.0, MakeHuman assets CC0).

The base mesh carries, besides the skin, unused "helper" surfaces that follow the body: tights, hair, eyes. Clothes are
cut out of the tights by scalar fields (how far along the arm, how high on the trunk): hems are sharp at any resolution.
Body frame: x to the person's left, y backwards, z up, metres, feet on z = 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files

import numpy as np

SKIN, CLOTH, SHOE, HAIR, EYE, DENIM = range(6)
_ARM = ("upperarm", "lowerarm", "wrist", "finger", "metacarpal")
_LEG = ("upperleg", "lowerleg", "foot", "toe")


@dataclass(frozen=True)
class Look:
    """Clothes and colours (linear RGB in 0..1).

    ``sleeve``: 0 shoulder, 1 elbow, 2 wrist. ``leg``: 0 hip, 1 knee, 2 ankle. ``stripes``: bands per metre, 0 for none.
    ``hair_length``: metres that the hair hangs below the crown, 0.13 is short.
    """

    skin: tuple[float, float, float]
    hair: tuple[float, float, float]
    shirt: tuple[float, float, float]
    trousers: tuple[float, float, float]
    shoes: tuple[float, float, float]
    sleeve: float = 0.6
    leg: float = 1.95
    stripes: float = 0.0
    hair_length: float = 0.13
    denim: bool = False


@dataclass(frozen=True)
class Body:
    """A dressed body in its rest pose.

    Attributes:
        vertices: (V, 3) rest positions. keep: (V,) cut field, see ``rasterise``. colours: (V, 3). materials: (V,).
        triangles: (F, 3). weights: (V, B) skinning weights.
        joints: (B, 3) rest bone heads. labels, parents: of the B bones.
    """

    vertices: np.ndarray
    triangles: np.ndarray
    keep: np.ndarray
    colours: np.ndarray
    materials: np.ndarray
    weights: np.ndarray
    joints: np.ndarray
    labels: list[str]
    parents: list[int]
    index: dict[str, int] = field(default_factory=dict)

    def joint(self, label: str) -> np.ndarray:
        """Rest position (3,) of a bone's head."""
        return self.joints[self.index[label]]


class BodyFactory:
    """Loads the body model once and makes dressed bodies from it."""

    def __init__(self) -> None:
        import anny

        self._model = anny.Anny(rig="makehuman", topology="makehuman", phenotype_blendshapes="original")
        self._faces = _base_mesh_faces()
        bones = self._model.bone_count
        dense = np.zeros((len(self._model.template_vertices), bones), np.float32)
        indices = self._model.vertex_bone_indices.numpy()
        np.add.at(dense, (np.arange(len(dense))[:, None], indices), self._model.vertex_bone_weights.numpy())
        self._weights = dense / dense.sum(1, keepdims=True).clip(1e-6)

    def make(self, look: Look, **phenotype: float) -> Body:
        """Shapes and dresses a body.

        Args:
            look: clothes and colours.
            phenotype: gender (0 male, 1 female), age (0.33 child, 0.67 adult, 1 old), muscle, weight, height,
                proportions.
        """
        import torch

        with torch.no_grad():
            shaped = self._model(phenotype_kwargs=phenotype)
        rest = shaped["rest_vertices"][0].double().numpy()
        joints = shaped["rest_bone_heads"][0].double().numpy()
        floor = rest[_vertices_of(self._faces["body"])][:, 2].min()
        rest, joints = rest - [0, 0, floor], joints - [0, 0, floor]
        wardrobe = Wardrobe(rest, joints, self._weights, list(self._model.bone_labels), self._faces, look)
        return wardrobe.body(list(self._model.bone_parents))


@dataclass
class Wardrobe:
    """Cuts the layers of one dressed body out of the base mesh."""

    rest: np.ndarray
    joints: np.ndarray
    weights: np.ndarray
    labels: list[str]
    faces: dict[str, np.ndarray]
    look: Look

    def __post_init__(self) -> None:
        self.index = {label: i for i, label in enumerate(self.labels)}
        self.arm_part, self.leg_part = self._share(_ARM), self._share(_LEG)
        left = self.rest[:, 0] > 0
        self.along_arm = np.where(self.arm_part > 0.5, self._along(("upperarm01", "lowerarm01", "wrist"), left), 0.0)
        self.along_leg = np.where(self.leg_part > 0.5, self._along(("upperleg01", "lowerleg01", "foot"), left), 0.0)
        self.waist = self._joint("spine05")[2] + 0.06

    def body(self, parents: list[int]) -> Body:
        """All layers joined: skin, trousers, shirt, shoes, hair, eyes."""
        look, tights = self.look, self.faces["helper-tights"]
        trousers, shirt, shoes = self._trousers(), self._shirt(), self._shoes()
        hair = self._hair()
        covered = np.max([trousers, shirt, shoes], axis=0)
        trousers_kind = DENIM if look.denim else CLOTH
        calf = np.clip(self.along_leg - 0.9, 0, 1)
        layers = [
            self._layer(self.faces["body"], 0.0, 0.012 - covered, self._skin_colours(), SKIN),
            self._layer(tights, 0.006 + 0.012 * calf, trousers, look.trousers, trousers_kind),
            self._layer(tights, 0.014, shirt, look.shirt, CLOTH),
            self._layer(tights, 0.010, shoes, look.shoes, SHOE),
            *hair,
            self._layer(self.faces["helper-l-eye"], 0.0, np.ones(len(self.rest)), self._eye_colours(), EYE),
            self._layer(self.faces["helper-r-eye"], 0.0, np.ones(len(self.rest)), self._eye_colours(), EYE),
        ]
        starts = np.cumsum([0, *(len(layer[0]) for layer in layers)])
        vertices, keep, colours, materials, weights = (np.concatenate([layer[k] for layer in layers]) for k in range(5))
        triangles = np.concatenate([layer[5] + start for layer, start in zip(layers, starts, strict=False)])
        return Body(
            vertices, triangles, keep, colours, materials, weights, self.joints, self.labels, parents, self.index
        )

    def _joint(self, label: str) -> np.ndarray:
        return self.joints[self.index[label]]

    def _share(self, prefixes: Sequence[str]) -> np.ndarray:
        mask = np.array([label.startswith(tuple(prefixes)) for label in self.labels])
        return self.weights[:, mask].sum(1)

    def _along(self, chain: tuple[str, str, str], left: np.ndarray) -> np.ndarray:
        along = np.zeros(len(self.rest))
        for side, mask in (("L", left), ("R", ~left)):
            a, b, c = (self._joint(f"{label}.{side}") for label in chain)
            upper = (self.rest[mask] - a) @ (b - a) / ((b - a) @ (b - a))
            lower = (self.rest[mask] - b) @ (c - b) / ((c - b) @ (c - b))
            along[mask] = np.clip(upper, -1, 1) + np.clip(lower, 0, 2)
        return along

    def _trousers(self) -> np.ndarray:
        top = self.waist + 0.03 - self.rest[:, 2]
        hem = np.where(self.leg_part > 0.5, (self.look.leg - self.along_leg) * 0.4, 1.0)
        return np.where(self.arm_part > 0.5, -1.0, np.minimum(top, hem))

    def _shirt(self) -> np.ndarray:
        bottom = self.rest[:, 2] - (self.waist - 0.07)
        neckline = self._joint("neck01")[2] + 0.045 - self.rest[:, 2] + 0.35 * np.minimum(self.rest[:, 1], 0)
        sleeve = np.where(self.arm_part > 0.5, (self.look.sleeve - self.along_arm) * 0.28, 1.0)
        return np.where(self.arm_part > 0.5, sleeve, np.minimum(bottom, neckline))

    def _shoes(self) -> np.ndarray:
        height = self._joint("foot.L")[2] + 0.025 - self.rest[:, 2]
        return np.where(self.leg_part > 0.5, height, -1.0)

    def _hair(self) -> list[tuple[np.ndarray, ...]]:
        rest, head = self.rest, self._joint("head")
        crown = rest[_vertices_of(self.faces["body"])][:, 2].max()
        length = rest[:, 2] - (crown - self.look.hair_length)
        face = np.maximum(rest[:, 1] - (head[1] - 0.055), rest[:, 2] - (crown - 0.05))
        long_cut = np.minimum(length, face)
        layers = [self._layer(self.faces["helper-hair"], 0.0, long_cut, self.look.hair, HAIR)]
        # the skin of the scalp, slightly raised: above a hairline that drops from the forehead to the nape
        backward = (rest[:, 1] - head[1] + 0.10) / 0.12
        hairline = crown - 0.045 - 0.10 * np.clip(backward, 0, 1.2)
        scalp = np.where(
            self._share(("head", "special", "temporalis", "neck", "orbicularis")) > 0.5, rest[:, 2] - hairline, -1.0
        )
        layers.append(self._layer(self.faces["body"], 0.008, scalp, self.look.hair, HAIR))
        return layers

    def _skin_colours(self) -> np.ndarray:
        colours = np.tile(np.asarray(self.look.skin, float), (len(self.rest), 1))
        lips = np.clip(self._share(("oris",)) - 0.55, 0, 1) * 1.2
        colours *= 1 - lips[:, None] * [0.10, 0.45, 0.40]
        return colours

    def _eye_colours(self) -> np.ndarray:
        colours = np.tile([0.62, 0.60, 0.58], (len(self.rest), 1))
        for side in "LR":
            eye = self._joint(f"eye.{side}")
            colours[np.hypot(self.rest[:, 0] - eye[0], self.rest[:, 2] - eye[2]) < 0.007] = (0.03, 0.02, 0.015)
        return colours

    def _layer(
        self,
        faces: np.ndarray,
        offset: np.ndarray | float,
        keep: np.ndarray,
        colour: np.ndarray | tuple[float, float, float],
        material: int,
    ) -> tuple[np.ndarray, ...]:
        used = _vertices_of(faces)
        local = np.full(len(self.rest), -1)
        local[used] = np.arange(len(used))
        triangles = local[faces]
        normals = vertex_normals(self.rest[used], triangles)
        shift = np.broadcast_to(np.asarray(offset, float), len(self.rest))[used]
        colours = np.broadcast_to(np.asarray(colour, float), (len(self.rest), 3))[used]
        return (
            self.rest[used] + normals * shift[:, None],
            keep[used],
            colours,
            np.full(len(used), material),
            self.weights[used],
            triangles,
        )


def vertex_normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Area-weighted unit normals (V, 3)."""
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    flat = np.cross(b - a, c - a)
    normals = np.zeros_like(vertices)
    for axis in range(3):
        for k in range(3):
            normals[:, axis] += np.bincount(triangles[:, k], flat[:, axis], len(vertices))
    return normals / np.linalg.norm(normals, axis=1, keepdims=True).clip(1e-12)


def _vertices_of(faces: np.ndarray) -> np.ndarray:
    return np.unique(faces)


def _base_mesh_faces() -> dict[str, np.ndarray]:
    """Triangles of each group of the base mesh, as indices into its 19158 vertices."""
    text = (files("anny") / "data" / "mpfb2" / "3dobjs" / "base.obj").read_text()
    groups: dict[str, list[tuple[int, int, int]]] = {}
    current: list[tuple[int, int, int]] = []
    for line in text.splitlines():
        if line.startswith("g "):
            current = groups.setdefault(line[2:].strip(), [])
        elif line.startswith("f "):
            a, b, c, d = (int(corner.split("/")[0]) - 1 for corner in line.split()[1:])
            current += [(a, b, c), (a, c, d)]
    return {name: np.array(faces) for name, faces in groups.items() if faces}
