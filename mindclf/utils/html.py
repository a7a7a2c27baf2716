"""HTML: images inside of a page."""

import base64
import io
from html import escape

JPEG_QUALITY = 80


def jpeg_element(image, alt):
    """An img element that has `image`, a PIL image in RGB, inside."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return image_element(buffer.getvalue(), "jpeg", alt)


def image_element(data, kind, alt):
    """An img element that has the encoded image `data` of that kind, such as "png", inside."""
    return f'<img alt="{escape(alt)}" src="data:image/{kind};base64,{base64.b64encode(data).decode()}">'
