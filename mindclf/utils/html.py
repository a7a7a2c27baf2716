"""HTML: messages and images inside of a page."""

import base64
import io
from html import escape

from mindclf.utils.language import translate

JPEG_QUALITY = 80


def html_text(message, words=False):
    """A message in the language in force, see `translate`, as HTML shows it."""
    return escape(translate(message, words))


def jpeg_element(image, alt):
    """An img element that has `image`, a PIL image in RGB, inside."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return image_element(buffer.getvalue(), "jpeg", alt)


def image_element(data, kind, alt):
    """An img element that has the encoded image `data` of that kind, such as "png", inside; the message `alt` describes it."""
    return f'<img alt="{html_text(alt)}" src="data:image/{kind};base64,{base64.b64encode(data).decode()}">'
