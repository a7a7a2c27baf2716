"""Operations of augmentation policies on one image: Pillow's, each with one magnitude.

Names and meanings are those of AutoAugment (arXiv:1805.09501, Table 6), whose code also calls Pillow. An operation takes an RGB
PIL image, its magnitude and the colour `fill` (red, green, blue) of pixels that come from outside; it returns a new image of that
size. Positions between pixels are interpolated bilinearly. Nothing here draws at random.
"""

from PIL import Image, ImageEnhance, ImageOps

BILINEAR = Image.Resampling.BILINEAR


def shear_x(image, slope, fill):
    """Moves each row to the left by `slope` pixels for each row above it."""
    return _affine(image, (1, slope, 0, 0, 1, 0), fill)


def shear_y(image, slope, fill):
    """Moves each column up by `slope` pixels for each column left of it."""
    return _affine(image, (1, 0, 0, slope, 1, 0), fill)


def translate_x(image, pixels, fill):
    """Moves the image to the right by whole `pixels`, rounded towards 0."""
    return _affine(image, (1, 0, -int(pixels), 0, 1, 0), fill)


def translate_y(image, pixels, fill):
    """Moves the image down by whole `pixels`, rounded towards 0."""
    return _affine(image, (1, 0, 0, 0, 1, -int(pixels)), fill)


def rotate(image, degrees, fill):
    """Turns the image about its centre, counter-clockwise."""
    return image.rotate(degrees, BILINEAR, fillcolor=fill)


def brightness(image, change, fill):
    """Multiplies all values by 1 + change: -1 is black."""
    return ImageEnhance.Brightness(image).enhance(1 + change)


def color(image, change, fill):
    """Multiplies the distance of each pixel from its luma by 1 + change: -1 is grey."""
    return ImageEnhance.Color(image).enhance(1 + change)


def contrast(image, change, fill):
    """Multiplies the distance of all values from the image's mean luma by 1 + change: -1 is one grey."""
    return ImageEnhance.Contrast(image).enhance(1 + change)


def sharpness(image, change, fill):
    """Multiplies the distance of all values from the smoothed image by 1 + change: -1 is smoothed, 1 sharpened."""
    return ImageEnhance.Sharpness(image).enhance(1 + change)


def posterize(image, bits, fill):
    """Keeps the upper `bits` of each value, 1 to 8."""
    return ImageOps.posterize(image, int(bits))


def solarize(image, threshold, fill):
    """Inverts the values from `threshold` on: 256 inverts none, 0 all."""
    return ImageOps.solarize(image, threshold)


def auto_contrast(image, magnitude, fill):
    """Stretches each channel from 0 to 255."""
    return ImageOps.autocontrast(image)


def equalize(image, magnitude, fill):
    """Equalises the histogram of each channel."""
    return ImageOps.equalize(image)


def invert(image, magnitude, fill):
    """Subtracts all values from 255."""
    return ImageOps.invert(image)


OPERATIONS = {
    "ShearX": shear_x, "ShearY": shear_y, "TranslateX": translate_x, "TranslateY": translate_y, "Rotate": rotate,
    "Brightness": brightness, "Color": color, "Contrast": contrast, "Sharpness": sharpness, "Posterize": posterize,
    "Solarize": solarize, "AutoContrast": auto_contrast, "Equalize": equalize, "Invert": invert,
}


def _affine(image, inverse, fill):
    """The image whose pixel (x, y) was at (a x + b y + c, d x + e y + f): `inverse` is (a, b, c, d, e, f)."""
    return image.transform(image.size, Image.Transform.AFFINE, inverse, BILINEAR, fillcolor=fill)
