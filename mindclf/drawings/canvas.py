"""What the artists of the drawn set draw with: colours, shapes, and the surface.

A surface is a square whose coordinates run from -1 to 1, x to the right and y down. A shape is an array (points, 2). Colours are
(red, green, blue) of 0 to 255.
"""

import colorsys
from itertools import pairwise

import numpy as np
from PIL import Image, ImageChops, ImageDraw

CANVAS = 448  # pixels of an artist's layer; twice the usual image, so that shrinking it smooths the edges
STRIPS = 14  # of a round body: enough that single strips do not show


def hsv(hue, saturation, value):
    """A colour from hue, saturation and value in 0 to 1; the hue wraps round."""
    return tuple(round(255 * part) for part in colorsys.hsv_to_rgb(hue % 1, saturation, value))


def shade(colour, light):
    """The colour under more light (above 1) or less (below 1)."""
    return tuple(min(255, round(part * light)) for part in colour)


def bright(rng):
    """A saturated colour, as on plastic and print."""
    return hsv(rng.uniform(0, 1), rng.uniform(0.6, 0.95), rng.uniform(0.6, 0.95))


def pick(rng, *options):
    return options[rng.integers(len(options))]


def oval(x, y, width, height, start=0.0, stop=2 * np.pi, points=48):
    """An ellipse with half axes `width` and `height`, or its arc from angle start to stop; angles grow from right to down."""
    angles = np.linspace(start, stop, points)
    return np.stack([x + width * np.cos(angles), y + height * np.sin(angles)], 1)


def box(left, top, right, bottom):
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)])


def blob(rng, x, y, radius, roughness=0.25):
    """A round spot with an uneven edge."""
    return smooth(oval(0, 0, radius, radius, points=10)[:-1] * rng.uniform(1 - roughness, 1 + roughness, (9, 1)) + (x, y))


def smooth(points, closed=True):
    """The outline with its corners cut three times, which rounds them."""
    points = np.asarray(points, float)
    for _ in range(3):
        following = np.roll(points, -1, axis=0)
        cut = np.stack([0.75 * points + 0.25 * following, 0.25 * points + 0.75 * following], 1).reshape(-1, 2)
        points = cut if closed else np.concatenate([points[:1], cut[1:-3], points[-1:]])
    return points


def ribbon(spine, widths):
    """The band around the line `spine`, as wide as `widths` says (one number, or one a point)."""
    spine = np.asarray(spine, float)
    along = np.gradient(spine, axis=0)
    across = along[:, ::-1] * (-1, 1) / np.linalg.norm(along, axis=1, keepdims=True)
    half = across * np.broadcast_to(widths, len(spine))[:, None] / 2
    return np.concatenate([spine + half, (spine - half)[::-1]])


def turned(points, angle, x=0.0, y=0.0):
    """The points turned by `angle` around 0, then moved by (x, y)."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.asarray(points) @ np.array([[cos, sin], [-sin, cos]]) + (x, y)


class Surface:
    """A transparent layer to draw on. Shapes replace what is below them, also where they are translucent, like glass."""

    def __init__(self):
        self.image = Image.new("RGBA", (CANVAS, CANVAS), (0, 0, 0, 0))
        self.pen = ImageDraw.Draw(self.image)

    def fill(self, points, colour, alpha=255):
        self.pen.polygon(_pixels(points), fill=(*colour, alpha))

    def line(self, points, colour, width=0.02, alpha=255):
        self.pen.line(_pixels(points), fill=(*colour, alpha), width=max(1, round(width * CANVAS / 2)), joint="curve")

    def stain(self, points, colour, strength=0.5):
        """Mixes `colour` into what is already there inside the points, and colours nothing beside it."""
        mask = Image.new("L", self.image.size)
        ImageDraw.Draw(mask).polygon(_pixels(points), fill=round(255 * strength))
        spot = mask.getbbox()  # most stains are small, and mixing is slow
        if spot:
            self.image.paste((*colour, 255), spot, ImageChops.multiply(mask.crop(spot), self.image.crop(spot).getchannel("A")))

    def round_body(self, profile, colour, alpha=255, x=0.0, tilt=0.0):
        """A body as from a potter's wheel: `profile` lists (half width, y) from top to bottom; tilt > 0 looks from above.

        Strips from left to right take their light from the side, and sink by the front of the circle that they stand on.
        """
        widths, heights = np.transpose(profile)
        edges = np.linspace(-1, 1, STRIPS + 1)
        sides = [np.stack([x + edge * widths, heights + tilt * widths * np.sqrt(1 - edge ** 2)], 1) for edge in edges]
        for edge, (left, right) in zip(edges[:-1], pairwise(sides), strict=True):
            light = 1.12 - 0.55 * (edge + 0.37) ** 2
            self.fill(np.concatenate([left, right[::-1]]), shade(colour, light), alpha)

    def ball(self, x, y, radius, colour):
        for step in np.linspace(0, 1, 12):
            self.fill(oval(x - 0.3 * radius * step, y - 0.3 * radius * step, *[radius * (1 - 0.75 * step)] * 2),
                      shade(colour, 0.72 + 0.4 * step))


def _pixels(points):
    return ((np.asarray(points) + 1) * (CANVAS / 2)).ravel().tolist()
