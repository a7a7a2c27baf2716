"""Training views: what random augmentation makes of an image, up to what a net takes, in one pass.

A view is rendered from a few numbers, which are drawn here from random words (see mindclf.dataset.draws): where in the image
each of its pixels lies (crop, resizing, rotation, flips), in what light (brightness, contrast, saturation, hue, grey), and how it
is normalised. It is what MindSpore's RandomCropDecodeResize, RandomRotation, flips, RandomColorAdjust, Normalize and HWC2CHW make
of an image one after another; but here pixels are interpolated once, and clipped once, after all of them.

C renders the views (mindclf/kernels/csrc/view.c) where it is compiled, and elsewhere NumPy, which takes many times as long: they
agree to a hundredth of a pixel value. Sizes are (height, width) in pixels; `mean` and `std` are RGB, on the scale of the pixels,
0 to 255.
"""

import math

import numpy as np
from PIL import Image

from mindclf import kernels
from mindclf.dataset.draws import integers, uniform
from mindclf.dataset.policies import changed

ATTEMPTS = 10  # to draw a crop that fits into the image
PENDING_BYTES = 2**20  # of images that wait to be rendered together
LUMA = np.array([0.299, 0.587, 0.114])  # of red, green and blue: ITU-R BT.601
GREY_AXIS = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)  # times a colour: cross product with the axis of greys
NO_MEMORY = 1  # as in view.h
EMPTY = "an image, or a view of one, has no pixels"
VIEW = np.dtype([  # the View of view.h
    ("rows", "i8"), ("columns", "i8"), ("height", "i8"), ("width", "i8"), ("grid", "f8", 6), ("colour", "f4", (3, 3)),
    ("pivot", "f4"), ("fill", "f4", 3), ("scale", "f4", 3), ("shift", "f4", 3)], align=True)


class RandomViews:
    """Makes batches of training views of `images`: called with `indices` (N,) and `words` (N, len(names), WORDS).

    `crop` draws the box that is shown, a RandomCropDecodeResize or a RandomCrop; `load(index)` is a context that gives the image,
    as a PIL image or as uint8 (H, W, 3). Then, in this order, and not drawn at all where the argument is 0:

    - the box is brought to `size` by bilinear interpolation;
    - it is turned by an angle uniform in -rotation to +rotation degrees; corners that this bares have the colour `mean`;
    - it is mirrored left for right with probability flip_prob, and top for bottom with vertical_flip_prob;
    - brightness, contrast (about the mean luma of the view) and saturation (about the luma of each pixel) are multiplied by
      factors uniform in 1 - color_adjust to 1 + color_adjust;
    - the hue is turned, about the axis of the greys, by a fraction of the colour wheel uniform in -hue_adjust to +hue_adjust;
    - with probability grey_prob only luma is left;
    - `policy`, one of mindclf.dataset.policies, changes the view, whose values are rounded to 8 bits for it;
    - a square of `cutout` pixels a side gets the colour `mean`. Its centre is any pixel of the view, and what of it lies outside
      is lost (arXiv:1708.04552);
    - with probability erasing_prob a box gets the colour `mean`: its fraction of the area is uniform in erasing_scale, the
      logarithm of its width over height in erasing_ratio. One that does not fit is drawn again, and after ATTEMPTS nothing is
      erased (random erasing, arXiv:1708.04896, where the ratio itself is uniform).

    Returns float32 (N, 3, height, width), normalised. All choices are independent of each other, if the words are.
    """

    def __init__(self, load, crop, size, mean, std, rotation=0.0, flip_prob=0.5, vertical_flip_prob=0.0, color_adjust=0.4,
                 hue_adjust=0.0, grey_prob=0.0, cutout=0, policy=None, erasing_prob=0.0, erasing_scale=(0.02, 0.4),
                 erasing_ratio=(0.3, 3.333)):
        self.load, self.crop, self.size = load, crop, tuple(size)
        self.rotation, self.flip_prob, self.vertical_flip_prob = rotation, flip_prob, vertical_flip_prob
        self.color_adjust, self.hue_adjust, self.grey_prob, self.cutout = color_adjust, hue_adjust, grey_prob, cutout
        self.policy, self.erasing_prob = policy, erasing_prob
        self.erasing_scale, self.erasing_ratio = erasing_scale, erasing_ratio
        self.mean, self.std = np.asarray(mean, np.float32), np.asarray(std, np.float32)
        self.names = ("crop", *(name for name, amount in (
            ("rotation", rotation), ("horizontal flip", flip_prob), ("vertical flip", vertical_flip_prob),
            ("light", color_adjust or hue_adjust), ("grey", grey_prob), ("cutout", cutout), ("erasing", erasing_prob),
            ("erased box", erasing_prob)) if amount), *(policy.names if policy else ()))

    def __call__(self, indices, words):
        words = {name: words[:, number] for number, name in enumerate(self.names)}
        views = np.zeros(len(indices), VIEW)
        views["height"], views["width"] = self.size
        views["colour"], views["pivot"] = self._colours(words, len(indices))
        views["fill"], views["scale"] = self.mean, 1
        if not self.policy:  # which takes pixels
            views["scale"], views["shift"] = 1 / self.std, -self.mean / self.std
        images = np.empty((len(indices), 3, *self.size), np.float32)
        boxes, turns = self.crop.drawn(words["crop"]), self._turns(words, len(indices)).tolist()
        rows, columns, grids = views["rows"], views["columns"], views["grid"]
        pending, first = [], 0  # pixels of images that are not rendered yet: many small ones are rendered in one call
        for number, (index, box, turn) in enumerate(zip(indices.tolist(), boxes, turns)):
            with self.load(index) as image:
                pixels = cropped(image, self.crop.box(*size_of(image), box))
            rows[number], columns[number] = pixels.shape[:2]
            grids[number] = _grid(turn, self.size, pixels.shape[:2])
            pending.append(pixels)
            if len(pending) * pixels.nbytes > PENDING_BYTES or number + 1 == len(indices):
                render(views[first:number + 1], pending, images[first:number + 1])
                pending, first = [], number + 1
        if self.policy:
            self._change(images, self.policy.drawn(words))
        if self.cutout:
            self._cut_out(images, words["cutout"])
        if self.erasing_prob:
            self._erase(images, words)
        return images

    def _turns(self, words, count):
        """(N, 2, 2): from where a pixel of the view lies, (x, y) from the centre, to where it lay before turning and flips."""
        angles, flips = np.zeros(count), np.ones((2, count))
        if self.rotation:
            angles = np.radians(uniform(words["rotation"][:, 0], -self.rotation, self.rotation))
        for sign, name, prob in zip(flips, ("horizontal flip", "vertical flip"), (self.flip_prob, self.vertical_flip_prob)):
            if prob:
                sign[uniform(words[name][:, 0]) < prob] = -1
        cosine, sine = np.cos(angles), np.sin(angles)
        return np.stack([cosine * flips[0], -sine * flips[1], sine * flips[0], cosine * flips[1]], 1).reshape(-1, 2, 2)

    def _colours(self, words, count):
        """(colour (N, 3, 3), pivot (N,)): a pixel becomes colour @ pixel + pivot * mean luma of the view."""
        colour, pivot, luma = np.broadcast_to(np.eye(3), (count, 3, 3)), np.zeros(count), np.broadcast_to(LUMA, (3, 3))
        if self.color_adjust:
            brightness, contrast, saturation = uniform(words["light"][:, :3], 1 - self.color_adjust, 1 + self.color_adjust).T
            pivot = brightness * (1 - contrast)
            saturation = saturation[:, None, None]
            colour = (brightness * contrast)[:, None, None] * (saturation * np.eye(3) + (1 - saturation) * luma)
        if self.hue_adjust:
            angles = 2 * np.pi * uniform(words["light"][:, 3:, None], -self.hue_adjust, self.hue_adjust)
            colour = (np.cos(angles) * np.eye(3) + (1 - np.cos(angles)) / 3 + np.sin(angles) * GREY_AXIS) @ colour
        if self.grey_prob:
            is_grey = uniform(words["grey"][:, :1, None]) < self.grey_prob
            colour = np.where(is_grey, luma @ colour, colour)
        return colour, pivot

    def _change(self, images, steps):
        """Applies the steps of a policy to each of `images`, pixels, and normalises them."""
        scale, shift = (1 / self.std)[:, None, None], (-self.mean / self.std)[:, None, None]
        for image, of_image in zip(images, steps):
            planes = map(Image.fromarray, np.rint(image).astype(np.uint8))
            pixels = np.asarray(changed(Image.merge("RGB", tuple(planes)), of_image, self.mean.tolist()))
            np.multiply(pixels.transpose(2, 0, 1), scale, out=image)
            image += shift

    def _cut_out(self, images, words):
        rows, columns = (integers(words[:, axis], self.size[axis]) - self.cutout // 2 for axis in (0, 1))
        for image, row, column in zip(images, rows, columns):
            image[:, max(row, 0):max(row + self.cutout, 0), max(column, 0):max(column + self.cutout, 0)] = 0

    def _erase(self, images, words):
        chosen, drawn = uniform(words["erasing"][:, 0]) < self.erasing_prob, drawn_boxes(words["erased box"])
        for image, is_chosen, numbers in zip(images, chosen, drawn):
            box = random_box(*self.size, self.erasing_scale, self.erasing_ratio, numbers) if is_chosen else None
            if box:
                top, left, height, width = box
                image[:, top:top + height, left:left + width] = 0


class RandomCropDecodeResize:
    """A random box of a decoded image, which is then brought to one size: the box of MindSpore's operation of that name.

    It is a `random_box`; where none fits, the largest one in the centre whose ratio is allowed (Szegedy et al., arXiv:1409.4842,
    as torchvision and MindSpore have it).
    """

    def __init__(self, scale, ratio):
        self.scale, self.ratio = scale, ratio

    def drawn(self, words):
        """What `box` takes, for each of `words` (N, WORDS)."""
        return drawn_boxes(words)

    def box(self, height, width, drawn):
        """(top, left, height, width) in an image of this size."""
        box = random_box(height, width, self.scale, self.ratio, drawn)
        if box:
            return box
        shape = min(max(width / height, self.ratio[0]), self.ratio[1])
        box_width, box_height = min(width, max(round(height * shape), 1)), min(height, max(round(width / shape), 1))
        return (height - box_height) // 2, (width - box_width) // 2, box_height, box_width


class RandomCrop:
    """An image shifted over black by -padding to +padding whole pixels in height and in width, each as likely as the others."""

    def __init__(self, padding):
        self.padding = padding

    def drawn(self, words):
        """What `box` takes, for each of `words` (N, WORDS)."""
        return (integers(words[:, :2], 2 * self.padding + 1) - self.padding).tolist()

    def box(self, height, width, drawn):
        """(top, left, height, width) in an image of this size, partly outside."""
        return (*drawn, height, width)


def drawn_boxes(words):
    """What `random_box` takes, for each of `words` (N, WORDS)."""
    return zip(uniform(words).tolist(), words)


def random_box(height, width, scale, ratio, drawn):
    """(top, left, height, width) of a random box in an image of this size, or None if ATTEMPTS of them fit nowhere.

    Its fraction of the area is uniform in `scale`, the logarithm of its width over height in `ratio`, and its position among
    those where it fits. `drawn` is an entry of `drawn_boxes`.
    """
    (low, high), (narrow, wide) = scale, map(math.log, ratio)
    (numbers, words), again = drawn, None
    for _ in range(ATTEMPTS):
        area, shape, row, column = numbers
        area, shape = height * width * (low + (high - low) * area), math.exp(narrow + (wide - narrow) * shape)
        box_width, box_height = max(round(math.sqrt(area * shape)), 1), max(round(math.sqrt(area / shape)), 1)
        if box_width <= width and box_height <= height:
            return int(row * (height - box_height + 1)), int(column * (width - box_width + 1)), box_height, box_width
        again = again or np.random.Generator(np.random.Philox(key=words[:2]))
        numbers = again.random(4).tolist()
    return None


def size_of(image):
    """(height, width) of a PIL image or an array (H, W, 3)."""
    return image.shape[:2] if isinstance(image, np.ndarray) else (image.height, image.width)


def cropped(image, box):
    """A box (top, left, height, width) of a PIL image or of uint8 (H, W, 3), as uint8 (height, width, 3); outside is black."""
    top, left, height, width = box
    if not isinstance(image, np.ndarray):
        part = image.crop((left, top, left + width, top + height))
        return np.asarray(part if part.mode == "RGB" else part.convert("RGB"))
    inside = image[max(top, 0):max(top + height, 0), max(left, 0):max(left + width, 0)]
    if inside.shape[:2] == (height, width):
        return np.ascontiguousarray(inside)
    part = np.zeros((height, width, 3), np.uint8)
    part[max(-top, 0):, max(-left, 0):][:inside.shape[0], :inside.shape[1]] = inside
    return part


def _grid(turn, size, box):
    """Pixel (x, y) of a view of `size` lies at column g0 x + g1 y + g2 and row g3 x + g4 y + g5 of a `box` of that size: g."""
    (height, width), ((xx, xy), (yx, yy)) = size, turn
    across, down = box[1] / width, box[0] / height  # pixels of the box in one of the view
    centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
    return (xx * across, xy * across, (width / 2 - xx * centre_x - xy * centre_y) * across - 0.5,
            yx * down, yy * down, (height / 2 - yx * centre_x - yy * centre_y) * down - 0.5)


def render(views, pixels, images):
    """Writes `views`, VIEW (N,), of N arrays `pixels`, uint8 (rows, columns, 3), to `images`, float32 (N, 3, height, width).

    Raises ValueError for an image or a view without pixels.
    """
    in_c = kernels.render_views()
    if in_c is None:
        for view, source, image in zip(views, pixels, images):
            image[:] = rendered_by_numpy(view, source)
        return
    addresses = np.array([source.ctypes.data for source in pixels], np.uintp)
    status = in_c(len(views), views.ctypes.data, addresses.ctypes.data, images.ctypes.data)
    if status:
        raise MemoryError("no memory for a row of an image") if status == NO_MEMORY else ValueError(EMPTY)


def rendered_by_numpy(view, pixels):
    """What view.c computes, in the same order: positions in float64, pixels in float32."""
    if min(view[side] for side in ("rows", "columns", "height", "width")) < 1:
        raise ValueError(EMPTY)
    y, x = np.indices((view["height"], view["width"]))
    (a, b, c), (d, e, f) = view["grid"].reshape(2, 3)
    column, row = a * x + b * y + c, d * x + e * y + f
    last_row, last_column = view["rows"] - 1, view["columns"] - 1
    outside = (b != 0) | (d != 0)
    outside = outside & ((column < -0.5) | (row < -0.5) | (column > last_column + 0.5) | (row > last_row + 0.5))
    column, row = np.clip(column, 0, last_column), np.clip(row, 0, last_row)
    left, above = column.astype(int), row.astype(int)
    right, below = np.minimum(left + 1, int(last_column)), np.minimum(above + 1, int(last_row))
    across, down = (column - left).astype(np.float32)[..., None], (row - above).astype(np.float32)[..., None]
    at = pixels.astype(np.float32)
    near = at[above, left] + down * (at[below, left] - at[above, left])
    far = at[above, right] + down * (at[below, right] - at[above, right])
    sampled = near + across * (far - near)
    sampled[outside] = view["fill"]
    offset = view["pivot"] * np.float32(sampled.mean((0, 1), np.float64) @ LUMA) if view["pivot"] else np.float32(0)
    lit = np.clip(sampled @ view["colour"].T + offset, 0, 255)
    return (lit * view["scale"] + view["shift"]).transpose(2, 0, 1)
