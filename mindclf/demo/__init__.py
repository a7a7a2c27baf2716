"""Demo: a page on this machine to try a net with one's own images, `mindclf demo`. It is made with Gradio, the extra `demo`.

server.py listens, for this machine only; page.py is the page; answers.py what it says of an image, several.py of many;
examples.py the images that it offers.
"""

from mindclf.demo.server import serve

__all__ = ["serve"]
