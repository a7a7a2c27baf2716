"""mindclf stats: what is in a folder of images."""

from mindclf.cli.arguments import add_image_options
from mindclf.cli.text import print_counts, print_json, print_table, say, tally
from mindclf.utils.language import translate

HELP = "say what is in a folder of images: classes, sizes, kinds, mean and standard deviation of the pixels"


def add_arguments(parser, recipe):
    parser.add_argument("folder", metavar="DIR", help="has a folder for each class, or train/ and test/ with such folders")
    add_image_options(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object")


def run(arguments, config, is_recipe):
    from mindclf.dataset.layout import NAMES_SHOWN
    from mindclf.dataset.statistics import folder_statistics
    from mindclf.preprocessing import Reading

    found = folder_statistics(arguments.folder, Reading.of(config))
    if arguments.json:
        print_json({"folder": arguments.folder, **found.as_dict()})
        return 0
    whole = found.pixels_of == "all"
    print_counts(list(found.counts[found.pixels_of]),
                  {"images" if whole else split: list(counts.values()) for split, counts in found.counts.items()})
    print()
    print_table([("pixels", "smallest", "median", "largest"),
                  *((side, *(f"{number:,g}" for number in numbers))
                    for side, numbers in (("width", found.widths), ("height", found.heights)))], right=(1, 2, 3), has_head=True,
                has_titles=True)
    print()
    problems, remarks = ([line if whole else f"{split}: {line}" for split, lines in group.items() for line in lines]
                         for group in (found.problems, found.remarks))
    problems += found.copies
    of = "all images" if whole else f"the images in {found.pixels_of}/"
    print_table([
        ("formats", tally(found.formats)),
        ("modes", tally(found.modes)),
        ("kinds", f"{found.grey:,} grey, {found.transparent:,} with transparency, {found.turned:,} turned upright as EXIF says"),
        *([("more than 8 bits", f"{found.deep:,}" + (f", in which {found.white:,g} is white" if found.white else ""))]
          if found.deep else []),
        ("mean", f"({', '.join(f'{value:.2f}' for value in found.mean)}) RGB, 0 to 255, over all pixels of {of}"),
        ("std", f"({', '.join(f'{value:.2f}' for value in found.std)})"),
        *([("without contrast", f"{found.one_colour:,} of one colour, {found.constant_channel:,} with a channel of one value")]
          if found.one_colour or found.constant_channel else []),
        *([("broken EXIF", f"{found.broken_exif:,}")] if found.broken_exif else []),
        ("problems", f"{len(problems):,}" if problems else translate("none", words=True))], has_titles=True)
    for problem in problems[:NAMES_SHOWN]:
        say(f"  {problem}")
    if len(problems) > NAMES_SHOWN:
        say(f"  and {len(problems) - NAMES_SHOWN:,} more: --json names them all")
    for remark in remarks:
        say(f"note: {remark}")
    return 0
