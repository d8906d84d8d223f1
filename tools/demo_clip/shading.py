"""The light that leaves each pixel of a body: cloth, skin and hair under sun and sky, compiled by numba."""

from __future__ import annotations

import numba
import numpy as np

from demo_clip.bodies import CLOTH, DENIM, EYE, HAIR, SHOE, SKIN
from demo_clip.scenery import knot_noise

SUN_LIGHT = np.array([2.25, 2.08, 1.80], np.float32)
SKY_LIGHT = np.array([0.46, 0.54, 0.66], np.float32)
EARTH_LIGHT = np.array([0.30, 0.27, 0.23], np.float32)
# light bleeds a little round the edge of skin, red the farthest
BLEED = np.array([0.22, 0.10, 0.06], np.float32)
# by material (skin, cloth, shoe, hair, eye, denim): strength and sharpness of the gloss
GLOSS = np.array([[0.055, 18], [0.012, 6], [0.05, 16], [0.09, 24], [0.4, 80], [0.01, 6]], np.float32)


def sky_light(normals: np.ndarray) -> np.ndarray:
    """Ambient light (..., 3) by how far a surface faces upwards."""
    up = 0.5 + 0.5 * normals[..., 2:]
    return up * SKY_LIGHT + (1 - up) * EARTH_LIGHT


@numba.njit(cache=True, error_model="numpy")
def texture(material, rest, stripes, stripe_base, normal, colour):  # type: ignore[no-untyped-def]
    """Folds in cloth, strands in hair, a weave in denim, blotches in skin, pale soles; changes normal and colour."""
    x, y, z = rest
    if material in (CLOTH, DENIM):
        for k in range(3):
            large = knot_noise(x * 16 + 31 * k, y * 16 + 31 * k, z * 9 + 31 * k, k)
            small = knot_noise(x * 37 + 17 * k, y * 37 + 17 * k, z * 21 + 17 * k, k + 3)
            normal[k] += 0.30 * (large + 0.5 * small - 0.75)
    scale = 1.0
    if material == HAIR:
        for k in range(3):
            normal[k] += 0.7 * (knot_noise(x * 160 + 31 * k, y * 160 + 31 * k, z * 12 + 31 * k, k + 6) - 0.5)
        scale = 0.7 + 0.72 * knot_noise(x * 160, y * 160, z * 12, 6)
    elif material == DENIM:
        scale = 0.86 + 0.28 * knot_noise(x * 45, y * 45, z * 45, 11)
    elif material == SKIN:
        scale = 0.93 + 0.14 * knot_noise(x * 28, y * 28, z * 28, 12)
    elif material == EYE:
        scale = 0.8
    for c in range(3):
        colour[c] *= scale
    if stripes > 0 and material == CLOTH and z > stripe_base:
        pale = 0.5 - 0.5 * min(max(np.sin(z * stripes * 2 * np.pi) * 6, -1), 1)
        for c in range(3):
            colour[c] = colour[c] * (1 - pale) + (0.55 * colour[c] + 0.30) * pale
    if material == SHOE and z < 0.012:
        colour[0], colour[1], colour[2] = 0.5, 0.49, 0.46


@numba.njit(cache=True, error_model="numpy")
def _blend(weights, corners, values, out):  # type: ignore[no-untyped-def]
    for c in range(3):
        out[c] = (
            weights[0] * values[corners[0], c] + weights[1] * values[corners[1], c] + weights[2] * values[corners[2], c]
        )


@numba.njit(cache=True, error_model="numpy")
def surface(  # type: ignore[no-untyped-def]
    pixels, rays, buffers, triangles, vertices, materials, stripes, stripe_base, sun, eye, outputs
):
    """Interpolates what the light meets at each (row, column) of ``pixels``; fills the four outputs."""
    nearness, triangle, weights = buffers
    normals, colours, rests = vertices
    colour_out, normal_out, point_out, gloss_out = outputs
    normal, colour, rest = np.empty(3, np.float32), np.empty(3, np.float32), np.empty(3, np.float32)
    for n in range(len(pixels)):
        row, column = pixels[n]
        corners, share, ray = triangles[triangle[row, column]], weights[row, column], rays[row, column]
        _blend(share, corners, normals, normal)
        _blend(share, corners, colours, colour)
        _blend(share, corners, rests, rest)
        normal /= np.sqrt((normal * normal).sum()) + np.float32(1e-9)
        if normal[0] * ray[0] + normal[1] * ray[1] + normal[2] * ray[2] > 0:
            normal *= np.float32(-1)
        material = materials[corners[0]]
        texture(material, rest, stripes, stripe_base, normal, colour)
        normal /= np.sqrt((normal * normal).sum()) + np.float32(1e-9)
        length = np.sqrt((ray * ray).sum())
        aligned, half_length = 0.0, 0.0
        for c in range(3):
            half = sun[c] - ray[c] / length
            aligned += half * normal[c]
            half_length += half * half
            colour_out[n, c], normal_out[n, c] = colour[c], normal[c]
            point_out[n, c] = ray[c] / nearness[row, column] + 0.012 * normal[c]
        point_out[n, 2] += eye
        gloss_out[n] = GLOSS[material, 0] * max(aligned / np.sqrt(half_length), 0.0) ** GLOSS[material, 1]


@numba.njit(cache=True, error_model="numpy")
def light(pixels, triangle, triangles, materials, sun, sunny, occlusion, colours, normals, gloss, image):  # type: ignore[no-untyped-def]
    """Writes the light of each pixel into the (H, W, 3) image."""
    for n in range(len(pixels)):
        row, column = pixels[n]
        facing = normals[n, 0] * sun[0] + normals[n, 1] * sun[1] + normals[n, 2] * sun[2]
        skin = materials[triangles[triangle[row, column], 0]] == SKIN
        up = 0.5 + 0.5 * normals[n, 2]
        for c in range(3):
            bleed = BLEED[c] if skin else 0.0
            direct = min(max((facing + bleed) / (1 + bleed), 0.0), 1.0) * sunny[n]
            ambient = up * SKY_LIGHT[c] + (1 - up) * EARTH_LIGHT[c]
            total = colours[n, c] * (direct * SUN_LIGHT[c] + ambient) + gloss[n] * sunny[n] * SUN_LIGHT[c]
            image[row, column, c] = total * occlusion[row, column]
