"""Random people: shape of the body, clothes, hair."""

from __future__ import annotations

import colorsys
from dataclasses import replace
from typing import Any

import numpy as np
from demo_clip.bodies import Body, BodyFactory, Look

_LIGHT_SKIN, _DARK_SKIN = np.array([0.62, 0.42, 0.33]), np.array([0.10, 0.05, 0.03])
_HAIRS = ((0.012, 0.010, 0.010), (0.05, 0.028, 0.014), (0.12, 0.06, 0.025), (0.36, 0.22, 0.08), (0.25, 0.07, 0.02))


def random_look(rng: np.random.Generator, old: bool) -> Look:
    """Clothes and colours at random; old people's hair is mostly grey."""
    skin = _LIGHT_SKIN + rng.uniform(0, 1) * (_DARK_SKIN - _LIGHT_SKIN)
    grey = rng.uniform(0.25, 0.6)
    hair = (grey, grey, grey * 0.97) if old and rng.random() < 0.8 else _HAIRS[rng.integers(len(_HAIRS))]
    return Look(
        skin=_triple(skin * rng.uniform(0.9, 1.1, 3)),
        hair=_triple(np.array(hair) * rng.uniform(0.8, 1.3)),
        shirt=cloth(rng),
        trousers=cloth(rng),
        shoes=cloth(rng),
        sleeve=float(rng.choice([rng.uniform(0.2, 0.8), rng.uniform(1.2, 1.95)])),
        leg=float(rng.choice([rng.uniform(0.4, 1.1), rng.uniform(1.8, 2.02)], p=[0.3, 0.7])),
        hair_length=float(rng.choice([rng.uniform(0.05, 0.14), rng.uniform(0.2, 0.45)])),
        denim=bool(rng.random() < 0.3),
    )


def random_body(factory: BodyFactory, rng: np.random.Generator) -> Body:
    """A dressed body at random: children, adults and old people, thin to stout."""
    age = float(rng.choice([rng.uniform(0.36, 0.52), rng.uniform(0.55, 0.8), rng.uniform(0.8, 1.0)], p=[0.2, 0.6, 0.2]))
    phenotype: dict[str, Any] = {
        "gender": float(rng.beta(0.5, 0.5)),
        "age": age,
        "muscle": float(rng.uniform(0.25, 0.8)),
        "weight": float(rng.uniform(0.25, 0.85)),
        "height": float(rng.uniform(0.3, 0.7)),
        "proportions": float(rng.uniform(0.35, 0.9)),
    }
    return without_hidden_parts(factory.make(random_look(rng, age > 0.8), **phenotype))


def without_hidden_parts(body: Body) -> Body:
    """The body without what clothes and hair cut away, which is half of it."""
    triangles = body.triangles[(body.keep[body.triangles] >= 0).any(1)]
    used, index = np.unique(triangles, return_inverse=True)
    fields = {name: getattr(body, name)[used] for name in ("vertices", "keep", "colours", "materials", "weights")}
    return replace(body, triangles=index.reshape(triangles.shape), **fields)


def cloth(rng: np.random.Generator) -> tuple[float, float, float]:
    """A colour of cloth or paint, linear RGB: from black to white, most of them muted."""
    bright = rng.uniform(0.1, 0.95) ** 2
    return _triple(np.array(colorsys.hsv_to_rgb(rng.random(), rng.beta(1, 2), bright)))


def _triple(values: np.ndarray) -> tuple[float, float, float]:
    r, g, b = np.clip(values, 0.008, 0.9)
    return float(r), float(g), float(b)
