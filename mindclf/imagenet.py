"""The classes of ImageNet (ILSVRC 2012), in the order of their labels, 0 to 999: English and Chinese names."""
NAMES = """tench 丁鱥"""
