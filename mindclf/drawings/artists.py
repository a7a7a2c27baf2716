"""The artists of the drawn set, in the order of `class_en`: each draws one thing; rng chooses proportions, colours, details."""

from itertools import pairwise

import numpy as np

from mindclf.drawings.canvas import blob, box, bright, hsv, oval, pick, ribbon, shade, smooth, turned

WHITE, BLACK, CREAM, STEEL = (250, 250, 248), (25, 25, 28), (246, 236, 208), (185, 190, 196)
WOOD, KRAFT, GLASS, BROWN = (214, 178, 120), (188, 146, 98), (205, 228, 232), (96, 68, 40)


def seashell(surface, rng):
    colour = hsv(rng.uniform(0.0, 0.12), rng.uniform(0.2, 0.5), rng.uniform(0.85, 1))
    ribs, spread, height = rng.integers(8, 13), rng.uniform(1.0, 1.25), rng.uniform(0.9, 1.1)
    angles = np.linspace(-spread, spread, ribs * 8 + 1)
    radius = 1.45 * np.cos(0.6 * angles) * (1 + 0.06 * np.abs(np.sin(np.linspace(0, ribs * np.pi, len(angles)))))
    rim = np.stack([radius * np.sin(angles), -height * radius * np.cos(angles)], 1)
    hinge = np.array([0, 0.7])
    surface.fill([(-0.34, 0.5), (0.34, 0.5), (0.2, 0.76), (-0.2, 0.76)], shade(colour, 0.8))
    for number, growth in enumerate((1, 0.88, 0.74, 0.58, 0.42, 0.25)):
        surface.fill(np.vstack([hinge, hinge + growth * rim]), shade(colour, 0.82 if number % 2 else 1.0))
    for tip in rim[::8]:
        surface.line([hinge, hinge + tip], shade(colour, 0.6), 0.018)


def lighter(surface, rng):
    colour, width, top = bright(rng), rng.uniform(0.2, 0.28), rng.uniform(-0.35, -0.2)
    if rng.random() < 0.5:
        flame = smooth([(0, -1.0), (0.1, top - 0.5), (0.07, top - 0.36), (-0.07, top - 0.36), (-0.1, top - 0.5)])
        surface.fill(flame, (255, 150, 30), 230)
        surface.fill(flame * 0.5 + (0, (top - 0.38) / 2), (255, 235, 120))
    surface.round_body([(width * 0.9, top - 0.3), (width * 0.9, top)], STEEL)
    surface.fill(box(width * 0.2, top - 0.36, width * 1.1, top - 0.2), pick(rng, BLACK, (200, 30, 30)))
    surface.ball(-width * 0.35, top - 0.3, 0.12, (90, 90, 95))
    for angle in np.arange(0, 2 * np.pi, 0.5):
        surface.line(turned([(0.06, 0), (0.115, 0)], angle, -width * 0.35, top - 0.3), BLACK, 0.012)
    surface.round_body([(width, top), (width, 0.8), (width * 0.9, 0.86)], colour)
    surface.stain(box(-width, top + 0.06, width, top + rng.uniform(0.2, 0.6)), WHITE, 0.35)  # above the liquid
    surface.line([(0, top + 0.1), (0, 0.8)], shade(colour, 0.65), 0.03)


def old_mirror(surface, rng):
    frame, half = hsv(rng.uniform(0.05, 0.13), rng.uniform(0.4, 0.75), rng.uniform(0.3, 0.7)), rng.uniform(0.45, 0.6)
    outline = pick(rng, oval(0, -0.15, half, rng.uniform(0.6, 0.72)), box(-half, -0.8, half, 0.5))
    outline = np.vstack([outline, outline[:2]])
    if rng.random() < 0.6:
        surface.round_body([(0.1, 0.4), (0.06, 0.6), (0.1, 0.95)], frame)
    surface.fill(outline, hsv(0.55, rng.uniform(0.08, 0.25), rng.uniform(0.7, 0.9)))
    for left in rng.uniform(-0.7, 0.4, 3):
        surface.stain([(left, 1), (left + 0.9, -1), (left + 1.05, -1), (left + 0.15, 1)], WHITE, 0.55)
    for _ in range(12):
        surface.stain(blob(rng, *rng.uniform(-0.5, 0.5, 2), rng.uniform(0.015, 0.06)), BROWN, 0.45)
    start = rng.uniform(-0.25, 0.15, 2)
    for angle in rng.uniform(0, 2 * np.pi, rng.integers(2, 5)):
        surface.line(turned([(0, 0), (0.15, 0.03), (0.25, -0.02), (0.38, 0.03)], angle, *start), (60, 70, 75), 0.012)
    surface.line(outline, frame, 0.15)
    surface.line(outline, shade(frame, 1.45), 0.04)
    for x, y in outline[::3]:
        surface.fill(oval(x, y, 0.05, 0.05, points=12), shade(frame, 1.25))


def broom(surface, rng):
    straw = pick(rng, bright(rng), hsv(rng.uniform(0.1, 0.14), rng.uniform(0.4, 0.65), rng.uniform(0.65, 0.9)))
    spread, length = rng.uniform(0.38, 0.6), rng.uniform(0.75, 0.95)
    surface.round_body([(0.045, -0.98), (0.045, 0.2)], pick(rng, WOOD, bright(rng)))
    for root in np.linspace(-1, 1, 46):
        tip = (root * spread + rng.uniform(-0.05, 0.05), length + rng.uniform(-0.06, 0.03))
        surface.line([(root * 0.12, 0.12), (root * spread * 0.7, 0.45), tip], shade(straw, rng.uniform(0.65, 1.1)), 0.035)
    surface.round_body([(0.07, 0.02), (0.15, 0.12), (0.2, 0.25)], shade(straw, 0.6))
    for height in (0.31, 0.38):
        surface.line([(-0.1 - spread * 0.35, height), (0.1 + spread * 0.35, height)], shade(straw, 0.4), 0.025)


def ceramic_bowl(surface, rng):
    colour, paint = hsv(rng.uniform(0, 1), rng.uniform(0, 0.14), rng.uniform(0.88, 1)), bright(rng)
    tilt, depth = rng.uniform(0.25, 0.45), rng.uniform(0.5, 0.7)
    heights = np.linspace(0, 0.97, 14)
    profile = np.stack([0.85 * np.sqrt(1 - heights ** 2), depth * heights - 0.25], 1)
    surface.round_body([(0.32, depth - 0.3), (0.32, depth - 0.17)], shade(colour, 0.85), tilt=tilt)
    surface.round_body(profile, colour, tilt=tilt)
    surface.round_body(profile[3:5], paint, tilt=tilt)
    half, height = profile[7]
    for x, y in oval(0, height, half, half * tilt, 0.6, np.pi - 0.6, 7):
        surface.fill(oval(x, y, 0.05, 0.05), paint)
    surface.fill(oval(0, -0.25, 0.85, 0.85 * tilt), shade(colour, 0.97))
    surface.fill(oval(0, -0.23, 0.78, 0.77 * tilt), shade(colour, 0.72))
    surface.fill(oval(0, -0.17, 0.66, 0.58 * tilt), shade(colour, 0.82))
    surface.line(oval(0, -0.25, 0.82, 0.82 * tilt), paint, 0.02)


def toothbrush(surface, rng):
    colour, second, bend = bright(rng), bright(rng), rng.uniform(-0.12, 0.12)
    along = np.linspace(-0.95, 0.95, 40)
    spine = np.stack([along, 0.1 + bend * np.sin(along * 2)], 1)
    widths = np.interp(along, [-0.95, -0.9, -0.3, 0.2, 0.45, 0.55, 0.9, 0.95], [0.06, 0.13, 0.15, 0.1, 0.07, 0.13, 0.12, 0.06])
    for x, y in spine[along > 0.5][:-1]:
        tuft = pick(rng, WHITE, WHITE, shade(second, 1.3))
        surface.line([(x, y), (x + rng.uniform(-0.01, 0.01), y - rng.uniform(0.26, 0.3))], tuft, 0.04)
    surface.fill(ribbon(spine, widths), colour)
    surface.line(spine - (0, 0.025), shade(colour, 1.4), 0.02)
    grip = slice(rng.integers(2, 6), rng.integers(12, 18))
    surface.fill(ribbon(spine[grip], widths[grip] * 0.6), second)


def disposable_chopsticks(surface, rng):
    wood, gap, splay = shade(WOOD, rng.uniform(0.9, 1.12)), rng.uniform(0.1, 0.16), rng.uniform(0, 0.14)
    for side in (-1, 1):
        spine = np.array([(side * gap / 2, -0.95), (side * (gap / 2 + splay), 0.95)])
        surface.fill(ribbon(spine, [0.1, 0.06]), wood)
        surface.fill(ribbon(spine + (0.022, 0), [0.03, 0.015]), shade(wood, 0.75))
    if rng.random() < 0.4:
        surface.fill(box(-gap / 2 - 0.05, -0.95, gap / 2 + 0.05, -0.75), shade(wood, 0.95))  # not yet broken apart
    if rng.random() < 0.5:
        top, paint = rng.uniform(0, 0.25), bright(rng)  # a paper sleeve
        surface.fill(box(-0.24, top, 0.24, 0.85), WHITE)
        surface.fill(box(-0.24, top + 0.08, 0.24, top + 0.16), paint)
        surface.fill(oval(0, top + 0.35, 0.11, 0.11), paint)


def dirty_cloth(surface, rng):
    colour, hem = hsv(rng.uniform(0, 1), rng.uniform(0.05, 0.6), rng.uniform(0.55, 0.9)), rng.uniform(0.7, 0.85)
    half = np.array([(0.2, -0.72), (0.5, -0.6), (0.9, -0.15), (0.7, 0.05), (0.46, -0.2), (0.48, 0.3), (0.5, hem), (0.2, hem)])
    shirt = np.vstack([half, half[::-1] * (-1, 1), [(0, -0.55)]]) + rng.uniform(-0.07, 0.07, (17, 2))
    surface.fill(smooth(np.repeat(shirt, 2, axis=0)), colour)  # a doubled point is rounded off less
    surface.line(smooth(shirt[[15, 16, 0]], closed=False), shade(colour, 0.6), 0.06)
    for _ in range(9):
        start, lean = rng.uniform((-0.5, -0.5), (0.4, 0.4)), rng.uniform(-0.3, 0.3)
        fold = smooth([start, start + (lean, 0.2), start + (lean / 2, 0.45)], closed=False)
        surface.stain(ribbon(fold, np.interp(np.arange(len(fold)), [0, 8, len(fold)], [0.01, 0.06, 0.01])), BLACK, 0.3)
    for _ in range(rng.integers(5, 9)):
        surface.stain(blob(rng, *rng.uniform(-0.5, 0.5, 2), rng.uniform(0.06, 0.2), 0.5), BROWN, rng.uniform(0.4, 0.75))


def newspaper(surface, rng):
    page, ink = shade((226, 222, 210), rng.uniform(0.88, 1.04)), (60, 60, 62)
    half, columns = rng.uniform(0.6, 0.72), rng.integers(3, 5)
    surface.fill(turned(box(-half, -0.85, half, 0.85), rng.uniform(-0.1, 0.1)), shade(page, 0.75))
    surface.fill(box(-half, -0.88, half, 0.88), page)
    surface.fill(box(-half + 0.08, -0.8, half - 0.08, -0.64), BLACK)
    surface.fill(box(-half + 0.14, -0.76, half * rng.uniform(0, 0.7), -0.68), page)
    surface.line([(-half + 0.08, -0.58), (half - 0.08, -0.58)], ink, 0.012)
    gutters = np.linspace(-half + 0.06, half - 0.06, columns + 1)
    for left, right in pairwise(gutters):
        for height in np.arange(-0.5, 0.82, 0.06):
            surface.line([(left + 0.03, height), (right - pick(rng, 0.03, 0.03, 0.13), height)], ink, 0.02)
    photo, top = rng.integers(1, columns), rng.uniform(-0.5, 0.2)
    middle = gutters[photo]
    surface.fill(box(gutters[photo - 1] + 0.02, top, gutters[photo + 1] - 0.02, top + 0.42), (120, 120, 122))
    surface.fill(oval(middle, top + 0.2, 0.12, 0.13), (190, 190, 190))
    surface.fill(oval(middle, top + 0.42, 0.2, 0.12, np.pi), (70, 70, 75))
    surface.stain(box(-1, rng.uniform(-0.1, 0), 1, 1), BLACK, 0.1)  # folded: the lower half lies in other light


def glassware(surface, rng):
    tilt, half, drink = rng.uniform(0.2, 0.35), rng.uniform(0.4, 0.55), bright(rng)
    if rng.random() < 0.55:
        bowl = smooth([(half * 0.8, -0.85), (half, -0.4), (half, -0.05), (0.06, 0.15), (0.04, 0.3)], closed=False)
        surface.fill(oval(0, 0.82, 0.42, 0.42 * tilt), shade(GLASS, 0.85), 190)
        surface.round_body([(0.04, 0.15), (0.035, 0.7), (0.12, 0.8)], shade(GLASS, 0.8), 230)
    else:
        bowl = np.array([(half, -0.7), (half * 0.93, -0.2), (half * 0.86, 0.3), (half * 0.8, 0.7)])
    surface.round_body(bowl, GLASS, 130, tilt=tilt)
    if rng.random() < 0.5:
        filled = bowl[len(bowl) // 3:-1]
        surface.round_body(filled, drink, 200, tilt=tilt)
        surface.fill(oval(0, filled[0, 1], filled[0, 0], filled[0, 0] * tilt), shade(drink, 1.2), 210)
    for side in (-1, 1):
        surface.line(bowl * (side, 1), shade(GLASS, 0.7), 0.025, 230)
    surface.line(oval(0, bowl[-1, 1], bowl[-1, 0], bowl[-1, 0] * tilt, 0, np.pi), shade(GLASS, 0.7), 0.03, 230)
    rim = oval(0, bowl[0, 1], bowl[0, 0], bowl[0, 0] * tilt)
    surface.fill(rim, shade(GLASS, 0.9), 110)
    surface.line(rim, WHITE, 0.025, 240)
    surface.line(bowl[1:-2] * (-0.7, 1) + (0, 0.08), WHITE, 0.04, 220)


def basketball(surface, rng):
    colour, radius = hsv(rng.uniform(0.035, 0.075), rng.uniform(0.7, 0.9), rng.uniform(0.75, 0.95)), 0.85
    surface.ball(0, 0, radius, colour)
    for x, y in rng.uniform(-0.6, 0.6, (120, 2)):
        surface.fill(oval(x, y, 0.012, 0.012, points=6), shade(colour, 0.75))
    bend, width = rng.uniform(-0.25, 0.25), rng.uniform(0.03, 0.045)
    surface.line(turned(oval(0, 0, radius * bend, radius * 0.98, -np.pi / 2, np.pi / 2), np.pi / 2), BLACK, width)
    surface.line(oval(0, 0, radius * bend, radius * 0.98, -np.pi / 2, np.pi / 2), BLACK, width)
    arc = np.linspace(-1, 1, 30)
    for side in (-1, 1):
        surface.line(np.stack([side * (0.3 + 0.25 * arc ** 2), 0.63 * arc], 1), BLACK, width)
    surface.line(oval(0, 0, radius, radius), shade(colour, 0.55), 0.02)


def plastic_bottle(surface, rng):
    tint, half, tilt = hsv(rng.uniform(0.45, 0.62), rng.uniform(0.08, 0.35), 0.97), rng.uniform(0.27, 0.34), 0.12
    waist = half * rng.uniform(0.8, 0.95)
    body = smooth([(0.11, -0.72), (0.12, -0.6), (half, -0.35), (half, -0.1), (waist, 0.05), (half, 0.2), (half, 0.75),
                   (half * 0.85, 0.86)], closed=False)
    surface.round_body(body, tint, 135, tilt=tilt)
    surface.round_body(body[len(body) // rng.integers(3, 6):], shade(tint, 0.88), 190, tilt=tilt)  # the water left in it
    for height in np.arange(-0.3, 0.8, 0.12):
        width = np.interp(height, body[:, 1], body[:, 0])
        surface.line(oval(0, height, width, width * tilt, 0.1, np.pi - 0.1), shade(tint, 0.75), 0.018, 220)
    surface.round_body([(half, rng.uniform(-0.28, -0.12)), (waist * 1.03, 0.05), (half, 0.25)], bright(rng), tilt=tilt)
    surface.round_body([(waist * 1.02, 0.0), (waist * 1.05, 0.1)], WHITE, tilt=tilt)
    surface.line([(-half * 0.6, -0.25), (-half * 0.6, 0.78)], WHITE, 0.04, 230)
    surface.round_body([(0.13, -0.9), (0.13, -0.72)], bright(rng), tilt=tilt)
    surface.round_body([(0.15, -0.72), (0.15, -0.68)], shade(tint, 0.9), tilt=tilt)


def cardboard(surface, rng):
    colour = shade(KRAFT, rng.uniform(0.85, 1.15))
    width, depth, height, slope = rng.uniform((0.55, 0.45, 0.45, 0.3), (0.8, 0.7, 0.7, 0.5))
    front = np.array([(depth - width) / 2, 0.15])  # the corner towards us; the others are seen from it
    right, left = front + (width, -width * slope), front - (depth, depth * slope)
    back, down = right + left - front, np.array([0, height])
    surface.fill([left, front, front + down, left + down], shade(colour, 0.95))
    surface.fill([front, right, right + down, front + down], shade(colour, 0.72))
    if rng.random() < 0.6:
        surface.fill([front, right, back, left], shade(colour, 0.45))
        for first, second, out in ((left, back, (-0.2, -0.22)), (back, right, (0.2, -0.22)), (right, front, (0.2, 0.16)),
                                   (front, left, (-0.2, 0.16))):
            flap = np.array([first, second, second + out, first + out])
            surface.fill(flap, shade(colour, rng.uniform(1.0, 1.25)))
            surface.line(flap[2:], shade(colour, 0.7), 0.02)
    else:
        surface.fill([front, right, back, left], shade(colour, 1.2))
        surface.fill(ribbon([(left + front) / 2, (back + right) / 2], 0.14), (222, 200, 150))
    surface.line([front, front + down], shade(colour, 0.6), 0.015)
    for x in (0.35, 0.6):
        arrow = [(-0.06, -0.06), (0, -0.15), (0.06, -0.12), (0, -0.15), (0, 0.1)]  # this side up
        surface.line(front + down * 0.55 + (width * x, -width * slope * x) + arrow, BROWN, 0.025)


def glass_bottle(surface, rng):
    colour = hsv(pick(rng, 0.07, 0.09, 0.28, 0.36, 0.4), rng.uniform(0.65, 0.9), rng.uniform(0.22, 0.5))  # ambers and greens
    half, shoulder, tilt = rng.uniform(0.2, 0.28), rng.uniform(-0.2, 0.05), 0.1
    neck = shoulder - 0.25
    body = smooth([(0.08, -0.92), (0.08, -0.6), (0.085, neck), (half, shoulder), (half, 0.4), (half, 0.9)], closed=False)
    surface.round_body(body, colour, 240, tilt=tilt)
    surface.round_body([(0.1, -0.93), (0.1, -0.87)], shade(colour, 1.2), tilt=tilt)
    if rng.random() < 0.6:
        surface.round_body([(0.095, -0.95), (0.095, rng.uniform(-0.75, -0.6))], pick(rng, bright(rng), (190, 160, 70)))
    if rng.random() < 0.75:
        top = shoulder + rng.uniform(0.15, 0.25)
        surface.round_body([(half, top), (half, top + 0.4)], CREAM, tilt=tilt)
        surface.round_body([(half, top + 0.06), (half, top + 0.12)], bright(rng), tilt=tilt)
        surface.line([(-0.1, top + 0.27), (0.1, top + 0.27)], BROWN, 0.03)
    surface.line(body[4:-1] * (-0.65, 1), shade(colour, 2.6), 0.03, 235)


def metalware(surface, rng):
    steel = shade(STEEL, rng.uniform(0.85, 1.1))
    if rng.random() < 0.5:
        tilt, handle = rng.uniform(0.3, 0.45), rng.uniform(-0.3, 0.1)
        surface.fill(ribbon([(0.3, 0), (0.98, handle)], [0.12, 0.1]), shade(steel, 0.7))
        surface.round_body([(0.55, -0.15), (0.55, 0.35), (0.5, 0.42)], steel, x=-0.25, tilt=tilt)
        surface.line([(-0.6, 0.1), (-0.6, 0.45)], WHITE, 0.06)
        surface.fill(oval(-0.25, -0.15, 0.58, 0.58 * tilt), shade(steel, 1.25))
        surface.fill(oval(-0.25, -0.13, 0.52, 0.5 * tilt), shade(steel, 0.6))
        surface.fill(oval(-0.25, -0.07, 0.46, 0.38 * tilt), shade(steel, 0.8))
        return
    for x in (-0.3, 0.3):
        lean = rng.uniform(-0.08, 0.08)
        surface.fill(turned(ribbon([(0, -0.3), (0, 0.2), (0, 0.95)], [0.07, 0.08, 0.16]), lean, x), steel)
        surface.line(turned([(-0.02, -0.2), (-0.02, 0.9)], lean, x), shade(steel, 1.3), 0.025)
        if x > 0:
            surface.fill(turned(oval(0, -0.58, 0.2, 0.33), lean, x), steel)
            surface.fill(turned(oval(0.02, -0.56, 0.15, 0.27), lean, x), shade(steel, 0.75))
            surface.fill(turned(oval(-0.05, -0.65, 0.05, 0.12), lean, x), WHITE)
        else:
            surface.fill(turned(smooth([(-0.18, -0.6), (0.18, -0.6), (0.14, -0.3), (0, -0.2), (-0.14, -0.3)]), lean, x), steel)
            for tine in (-0.15, -0.05, 0.05, 0.15):
                surface.line(turned([(tine, -0.95), (tine, -0.5)], lean, x), steel, 0.05)


def hats(surface, rng):
    colour, second = hsv(rng.uniform(0, 1), rng.uniform(0.2, 0.8), rng.uniform(0.4, 0.9)), bright(rng)
    if rng.random() < 0.5:
        brim, crown = rng.uniform(0.8, 0.95), rng.uniform(0.4, 0.5)
        surface.fill(oval(0, 0.3, brim, rng.uniform(0.26, 0.34)), shade(colour, 0.7))
        surface.fill(oval(0, 0.27, brim * 0.98, 0.25), colour)
        surface.fill(oval(0, -0.52, crown * 0.75, 0.1), shade(colour, 1.05))
        dome = np.array([(0.75, -0.52), (0.95, -0.45), (1.0, -0.2), (1.05, 0.2)]) * (crown, 1)
        surface.round_body(dome, colour, tilt=0.2)
        surface.round_body([(crown * 1.02, 0.02), (crown * 1.06, 0.2)], second, tilt=0.2)
        surface.stain(oval(0, -0.5, crown * 0.5, 0.07), BLACK, 0.35)
        return
    height = rng.uniform(0.7, 0.85)  # a cap
    surface.fill(np.vstack([oval(-0.2, 0.2, 0.65, height, np.pi), oval(-0.2, 0.2, 0.65, 0.12, 0, np.pi)]), colour)
    surface.stain(oval(-0.35, -0.1, 0.35, height * 0.6), WHITE, 0.15)
    for half in (-0.2, 0.3):
        surface.line(oval(-0.2, 0.2, half, height, -np.pi / 2, 0), shade(colour, 0.6), 0.02)
    visor = [(-0.2, 0.32), (0.45, 0.1), (0.75, 0.16), (1.0, 0.4), (0.9, 0.46), (0.45, 0.36)]
    surface.fill(smooth(visor), shade(second, 0.85))
    surface.ball(-0.2, 0.2 - height, 0.06, second)
    surface.fill(oval(0.22, -0.1, 0.12, 0.16), second)


def cans(surface, rng):
    colour, second, half, tilt = bright(rng), bright(rng), rng.uniform(0.38, 0.45), rng.uniform(0.25, 0.4)
    surface.round_body([(half * 0.96, 0.6), (half * 0.8, 0.7)], STEEL, tilt=tilt)
    surface.round_body([(half * 0.85, -0.66), (half, -0.52), (half, 0.6), (half * 0.96, 0.63)], colour, tilt=tilt)
    band = rng.uniform(-0.1, 0.3)
    surface.round_body([(half, band), (half, band + rng.uniform(0.08, 0.25))], second, tilt=tilt)
    surface.fill(turned(oval(0, 0, 0.25, 0.12), rng.uniform(-0.5, 0.5), -0.05, band), WHITE)
    surface.fill(oval(0, -0.66, half * 0.88, half * 0.88 * tilt), shade(STEEL, 1.25))
    surface.fill(oval(0, -0.65, half * 0.78, half * 0.76 * tilt), shade(STEEL, 0.8))
    surface.fill(oval(0.02, -0.65 + 0.12 * tilt, 0.14, 0.14 * tilt), BLACK)
    surface.fill(oval(0, -0.67 - 0.06 * tilt, 0.09, 0.2 * tilt), shade(STEEL, 1.3))
    surface.line([(-half * 0.55, -0.4), (-half * 0.55, 0.7)], shade(colour, 1.6), 0.05)


def paper(surface, rng):
    white, half, fold = shade(WHITE, rng.uniform(0.92, 1.02)), rng.uniform(0.52, 0.64), rng.uniform(0.15, 0.35)
    for lean in rng.uniform(-0.3, 0.3, rng.integers(0, 4)):
        surface.fill(turned(box(-half, -0.82, half, 0.82), lean), shade(white, rng.uniform(0.8, 0.9)))
    surface.fill([(-half, -0.82), (half - fold, -0.82), (half, -0.82 + fold), (half, 0.82), (-half, 0.82)], white)
    surface.fill([(half - fold, -0.82), (half, -0.82 + fold), (half - fold * 0.95, -0.82 + fold)], shade(white, 0.78))
    if rng.random() < 0.5:
        for height in np.arange(-0.45, 0.8, rng.uniform(0.14, 0.2)):
            surface.line([(-half, height), (half, height)], (150, 180, 225), 0.01)
        surface.line([(-half * 0.7, -0.8), (-half * 0.7, 0.8)], (230, 150, 150), 0.01)
    else:
        for start, stop in rng.uniform(-1, 1, (rng.integers(0, 8), 2, 2)):  # crumpled
            surface.stain([start, stop, rng.uniform(-1, 1, 2)], BLACK, rng.uniform(0.03, 0.12))


def vegetable_leaf(surface, rng):
    colour, vein = hsv(rng.uniform(0.22, 0.36), rng.uniform(0.5, 0.8), rng.uniform(0.45, 0.8)), (220, 233, 187)
    half, angles = rng.uniform(0.45, 0.68), np.linspace(0, 2 * np.pi, 120)
    ripple = 1 + rng.uniform(0.04, 0.1) * np.sin(rng.integers(7, 12) * angles + rng.uniform(0, 6)) + 0.03 * np.sin(23 * angles)
    edge = np.stack([half * np.sin(angles), -0.72 * np.cos(angles)], 1) * ripple[:, None] + (0, -0.2)
    surface.fill(edge, shade(colour, 0.75))
    surface.fill(edge * (0.9, 0.93) + (0, -0.01), colour)
    surface.stain(np.vstack([edge[:60], [(0, 0.5)]]), WHITE, 0.12)  # the halves beside the rib face the light differently
    for height in np.linspace(-0.65, 0.3, 6):
        for side in (-1, 1):
            reach = side * half * rng.uniform(0.6, 0.8) * np.sqrt(max(0.1, 1 - ((height + 0.25) / 0.72) ** 2))
            surface.line([(0, height + 0.12), (reach * 0.5, height), (reach, height - 0.16)], vein, 0.018)
    surface.fill(ribbon([(0, -0.8), (0, 0.4), (rng.uniform(-0.08, 0.08), 0.95)], [0.01, rng.uniform(0.08, 0.14), 0.15]), vein)
    for _ in range(rng.integers(0, 4)):
        surface.stain(blob(rng, *rng.uniform(-0.4, 0.3, 2), rng.uniform(0.03, 0.09)), (150, 120, 40), 0.7)


def orange_peel(surface, rng):
    colour = hsv(rng.uniform(0.06, 0.1), rng.uniform(0.85, 1), rng.uniform(0.85, 1))
    if rng.random() < 0.5:
        angles, radius = np.linspace(0, rng.uniform(2.6, 3.4) * np.pi, 90), np.linspace(0.12, 0.75, 90)
        spine = np.stack([radius * np.cos(angles), radius * np.sin(angles)], 1)
        widths = np.interp(np.arange(90), [0, 15, 75, 89], [0.05, 0.24, 0.3, 0.04])
        surface.fill(ribbon(spine, widths), CREAM)
        surface.fill(ribbon(spine * 1.06, widths * 0.75), colour)
        for x, y in spine[5:-5:2] * 1.06 + rng.uniform(-0.06, 0.06, (40, 2)):
            surface.fill(oval(x, y, 0.012, 0.012, points=6), shade(colour, 0.75))
        return
    petals = rng.integers(4, 7)
    for angle in np.arange(petals) * 2 * np.pi / petals + rng.uniform(-0.15, 0.15, petals):
        length, half = rng.uniform(0.75, 0.95), rng.uniform(0.24, 0.32)
        petal = smooth([(0, -0.1), (length * 0.5, -half), (length, -0.04), (length, 0.04), (length * 0.5, half), (0, 0.1)])
        surface.fill(turned(petal, angle), colour)
        surface.fill(turned(petal * (0.92, 0.8), angle), CREAM)
        if rng.random() < 0.5:  # the tip curls inwards
            surface.fill(turned(petal * (0.5, 0.75) + (length * 0.48, 0), angle), shade(colour, 0.9))
    surface.fill(blob(rng, 0, 0, 0.2), CREAM)


def eggshell(surface, rng):
    colour = hsv(rng.uniform(0.05, 0.1), rng.uniform(0.08, 0.4), rng.uniform(0.88, 1))
    places = pick(rng, [(0, 0, 0.7)], [(-0.4, 0.15, 0.42), (0.45, -0.1, 0.42)])
    for x, y, radius in places:
        lean, jags = rng.uniform(-0.4, 0.6), radius * rng.uniform(0.03, 0.13, 13) * np.tile([1, -1], 7)[:13]
        front = oval(0, 0, radius, radius * 0.3, np.pi, 0, 13) + np.stack([0 * jags, jags], 1)
        back = oval(0, 0, radius, radius * 0.3, np.pi, 2 * np.pi, 13) + np.stack([0 * jags, jags], 1)
        surface.fill(turned(np.vstack([back, front[::-1]]), lean, x, y), shade(WHITE, 0.93))
        surface.fill(turned(np.vstack([back * 0.8 + (0, 0.06), front[::-1] * 0.9]), lean, x, y), shade(colour, 0.72))
        shell = np.vstack([front, oval(0, 0, radius, radius * 1.2, 0, np.pi)])
        surface.fill(turned(shell, lean, x, y), shade(colour, 0.75))
        for step in np.linspace(0.1, 1, 9):
            lit = shell * (1 - 0.5 * step, 1 - 0.3 * step) + radius * 0.12 * step * np.array([-1, 1])
            surface.stain(turned(lit, lean, x, y), shade(colour, 1.1), 0.12)
    for x, y in rng.uniform((-0.8, 0.6), (0.8, 0.9), (rng.integers(0, 5), 2)):
        surface.fill(blob(rng, x, y, rng.uniform(0.05, 0.1), 0.5)[::4], shade(colour, 0.95))


def banana_peel(surface, rng):
    colour = hsv(rng.uniform(0.125, 0.16), rng.uniform(0.7, 0.9), rng.uniform(0.8, 0.98))
    tips = rng.permutation([(-0.9, 0.35), (-0.4, 0.85), (0.35, 0.9), (0.9, 0.4)])[:rng.integers(3, 5)]
    for tip in tips + rng.uniform(-0.08, 0.08, tips.shape):
        spine = smooth([(0, -0.55), (tip[0] * 0.6, -0.45), tip * (0.95, 0.6), tip], closed=False)
        widths = np.interp(np.linspace(0, 1, len(spine)), [0, 0.3, 0.8, 1], [0.16, 0.34, 0.26, 0.05])
        surface.fill(ribbon(spine, widths), colour)
        side = pick(rng, CREAM, shade(colour, 0.97))  # inside or outside up
        surface.fill(ribbon(spine, widths * 0.72), side)
        surface.line(spine, shade(side, 0.82), 0.02)
        surface.fill(oval(*tip, 0.04, 0.04), BROWN)
    surface.fill(ribbon([(0, -0.95), (0.02, -0.7), (0, -0.4)], [0.1, 0.09, 0.3]), shade(colour, 0.85))
    surface.fill(box(-0.06, -0.98, 0.06, -0.9), BROWN)
    for _ in range(rng.integers(4, 12)):
        surface.stain(blob(rng, *rng.uniform(-0.6, 0.6, 2), rng.uniform(0.02, 0.06), 0.5), BROWN, 0.75)


def battery(surface, rng):
    count, half, top = rng.integers(1, 4), rng.uniform(0.17, 0.2), rng.uniform(-0.65, -0.5)
    body, cap, middle = pick(rng, BLACK, bright(rng)), pick(rng, (205, 140, 70), bright(rng)), top + rng.uniform(0.35, 0.42)
    for x in (np.arange(count) - (count - 1) / 2) * half * 2.3:
        surface.round_body([(0.07, top - 0.12), (0.07, top)], STEEL, x=x, tilt=0.2)
        surface.fill(oval(x, top - 0.12, 0.07, 0.02), shade(STEEL, 1.3))
        surface.round_body([(half * 0.95, top), (half, top + 0.03), (half, middle)], cap, x=x, tilt=0.15)
        surface.round_body([(half, middle), (half, 0.72)], shade(body, 1.3), x=x, tilt=0.15)
        surface.round_body([(half * 0.97, 0.7), (half * 0.9, 0.76)], STEEL, x=x, tilt=0.15)
        for left, upper, lower in ((-0.09, top + 0.17, top + 0.21), (-0.02, top + 0.1, top + 0.28), (-0.09, 0.6, 0.64)):
            surface.fill(box(x + left, upper, x - left, lower), WHITE)  # plus and minus
        surface.fill(box(x - 0.06, middle + 0.12, x + 0.04, 0.45), cap)


def tablet_capsules(surface, rng):
    first, second, blister, capsule = bright(rng), pick(rng, WHITE, bright(rng)), rng.random() < 0.4, rng.random() < 0.5
    places = rng.permutation([(x, y) for x in (-0.56, 0, 0.56) for y in (-0.42, 0, 0.42)])
    if blister:
        surface.fill(box(-0.85, -0.65, 0.85, 0.65), shade(STEEL, rng.uniform(0.95, 1.2)))
    else:
        places = (places + rng.uniform(-0.08, 0.08, (9, 2)))[:rng.integers(4, 8)]
    for x, y in places:
        angle = 0 if blister else rng.uniform(0, np.pi)
        if blister:
            surface.fill(oval(x, y, 0.24, 0.17), shade(STEEL, 0.8))
        if capsule if blister else rng.random() < 0.6:
            half = np.vstack([oval(0.1, 0, 0.11, 0.11, -np.pi / 2, np.pi / 2), [(0, 0.11), (0, -0.11)]])
            surface.fill(turned(half, angle, x, y), first)
            surface.fill(turned(half, angle + np.pi, x, y), second)
            surface.line(turned([(-0.15, -0.04), (0.15, -0.04)], angle, x, y), WHITE, 0.03)
        else:
            surface.fill(oval(x + 0.015, y + 0.025, 0.14, 0.14), shade(second, 0.65))
            surface.fill(oval(x, y, 0.14, 0.14), shade(second, 1.1))
            surface.line(turned([(-0.1, 0), (0.1, 0)], angle, x, y), shade(second, 0.6), 0.02)


def fluorescent_lamp(surface, rng):
    glow = hsv(rng.uniform(0.1, 0.6), rng.uniform(0, 0.07), 1.0)
    if rng.random() < 0.6:
        half = rng.uniform(0.075, 0.1)
        for x in pick(rng, (0,), (-0.18, 0.18)):
            surface.round_body([(half, -0.8), (half, 0.8)], glow, x=x)
            surface.line([(x - half * 0.3, -0.65), (x - half * 0.3, 0.65)], (255, 255, 255), 0.04)
            for end in (-1, 1):
                for pin in (-0.03, 0.03):
                    surface.line([(x + pin, end * 0.85), (x + pin, end * 0.97)], (150, 130, 80), 0.02)
                surface.round_body([(half, end * 0.68), (half, end * 0.78)], shade(glow, 0.7), x=x)
                surface.round_body([(half, end * 0.78), (half, end * 0.9)], STEEL, x=x)
        return
    for x in (-0.24, 0, 0.24)[:rng.integers(2, 4)]:  # bent tubes on a screw base
        tube = np.vstack([[(x - 0.09, 0.2)], oval(x, -0.75, 0.09, 0.12, np.pi, 2 * np.pi), [(x + 0.09, 0.2)]])
        surface.line(tube, shade(glow, 0.8), 0.13)
        surface.line(tube - (0.01, 0), glow, 0.07)
    surface.round_body([(0.3, 0.12), (0.38, 0.2), (0.34, 0.4), (0.18, 0.55)], shade(WHITE, 0.95), tilt=0.15)
    surface.round_body([(0.16, 0.55), (0.16, 0.85), (0.08, 0.95)], STEEL, tilt=0.15)
    for height in (0.62, 0.7, 0.78):
        surface.line([(-0.17, height), (0.17, height + 0.04)], shade(STEEL, 0.6), 0.025)


def paint_bucket(surface, rng):
    paint, half, tilt, handle = bright(rng), rng.uniform(0.55, 0.65), rng.uniform(0.25, 0.4), rng.uniform(0.45, 0.6)
    surface.line(oval(0, -0.35, half * 1.02, handle, np.pi, 2 * np.pi), (110, 112, 115), 0.035)
    surface.round_body([(half, -0.35), (half * 0.85, 0.65)], pick(rng, STEEL, WHITE, shade(STEEL, 0.8)), tilt=tilt)
    surface.round_body([(half * 0.96, -0.08), (half * 0.89, 0.4)], bright(rng), tilt=tilt)
    surface.fill(oval(0, 0.16 + half * tilt, 0.2, 0.17), WHITE)
    surface.fill(oval(0, 0.16 + half * tilt, 0.12, 0.1), paint)
    surface.fill(oval(0, -0.35, half * 1.04, half * 1.04 * tilt), shade(STEEL, 1.2))
    surface.fill(oval(0, -0.34, half * 0.95, half * 0.93 * tilt), paint)
    surface.stain(oval(-0.15, -0.38, half * 0.45, half * 0.3 * tilt), WHITE, 0.35)
    for angle in rng.uniform(0.4, 2.7, rng.integers(2, 6)):
        start = np.array([half * np.cos(angle), -0.36 + half * tilt * np.sin(angle)])
        stop = start + (0, rng.uniform(0.15, 0.5))
        surface.line([start, stop], paint, 0.09)
        surface.fill(oval(*stop, 0.05, 0.06), paint)
    for side in (-1, 1):
        surface.ball(side * half, -0.33, 0.05, (120, 120, 125))


ARTISTS = {
    "Seashell": seashell, "Lighter": lighter, "Old Mirror": old_mirror, "Broom": broom, "Ceramic Bowl": ceramic_bowl,
    "Toothbrush": toothbrush, "Disposable Chopsticks": disposable_chopsticks, "Dirty Cloth": dirty_cloth,
    "Newspaper": newspaper, "Glassware": glassware, "Basketball": basketball, "Plastic Bottle": plastic_bottle,
    "Cardboard": cardboard, "Glass Bottle": glass_bottle, "Metalware": metalware, "Hats": hats, "Cans": cans, "Paper": paper,
    "Vegetable Leaf": vegetable_leaf, "Orange Peel": orange_peel, "Eggshell": eggshell, "Banana Peel": banana_peel,
    "Battery": battery, "Tablet capsules": tablet_capsules, "Fluorescent lamp": fluorescent_lamp, "Paint bucket": paint_bucket,
}
