"""A picture of one round for TensorBoard, as PNG: the lane of each worker and of the aggregator."""

import io
from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw, ImageFont
from tensorboard.compat.proto.summary_pb2 import Summary

from ddp.timing.kinds import KINDS
from ddp.timing.paths import kind_of, read_slices
from ddp.tracking.tracker import AGGREGATOR, worker_name

PICTURE_TAG = "timeline/last_round"
WIDTH, LEFT, RIGHT, TOP, LANE, GAP, LEGEND = 1200, 120, 16, 44, 30, 8, 28
FONT_SIZE = 15
PER_ROW = 8  # kinds in a row of the legend
INK, MUTED, LINE = "#1d2126", "#59616b", "#d8dce1"

# (path, start, seconds) of each slice: see ddp/timing/paths.py, `read_slices`.
Slices = Sequence[tuple[str, float, float]]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def summary_of_round(slices: Mapping[int | None, bytes], round_index: int) -> Summary:
    """The picture of a round, from the beginning to the end of the aggregator's.

    `slices`: of each worker, and of the aggregator (None).
    """
    workers = sorted(worker for worker in slices if worker is not None)
    lanes = {AGGREGATOR: read_slices(slices[None])}
    lanes |= {worker_name(worker): read_slices(slices[worker]) for worker in workers}
    own = lanes[AGGREGATOR]
    image = timeline(f"round {round_index}", lanes, own[0][1], own[-1][1] + own[-1][2])
    value = Summary.Image(
        height=image.height, width=image.width, colorspace=3, encoded_image_string=png(image)
    )
    return Summary(value=[Summary.Value(tag=PICTURE_TAG, image=value)])


def timeline(title: str, lanes: Mapping[str, Slices], begin: float, end: float) -> Image.Image:
    """Draws the slices of each lane from `begin` to `end`, in seconds on the clock of the slices.

    `lanes`: by the name of the lane. Each slice has the light colour of its kind, and a legend
    names the kinds.
    """
    kinds = [
        kind
        for kind in KINDS
        if any(kind_of(path) == kind for lane in lanes.values() for path, _, _ in lane)
    ]
    bottom = TOP + len(lanes) * (LANE + GAP)
    height = bottom + 30 + LEGEND * -(-len(kinds) // PER_ROW)
    image = Image.new("RGB", (WIDTH, height), "white")
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(FONT_SIZE)
    scale = (WIDTH - LEFT - RIGHT) / max(end - begin, 1e-9)
    draw.text((LEFT, 12), title, INK, font)
    _draw_axis(draw, font, (end - begin) * 1e3, bottom)
    for row, (name, lane) in enumerate(lanes.items()):
        y = TOP + row * (LANE + GAP)
        draw.text((LEFT - 10, y + LANE / 2), name, INK, font, anchor="rm")
        for path, start, seconds in lane:
            first, last = max(start, begin), min(start + seconds, end)
            if last > first:
                box = (LEFT + (first - begin) * scale, y, LEFT + (last - begin) * scale, y + LANE)
                draw.rectangle(box, KINDS[kind_of(path)].light)
    _draw_legend(draw, font, kinds, bottom + 30)
    return image


def _draw_axis(draw: ImageDraw.ImageDraw, font: Font, length_ms: float, bottom: int) -> None:
    """Draws six lines from the top to `bottom`, each with its time."""
    for tick in range(6):
        x = LEFT + (WIDTH - LEFT - RIGHT) * tick / 5
        draw.line((x, TOP, x, bottom), LINE)
        anchor = "ra" if tick == 5 else "ma"
        draw.text((x, bottom + 2), f"{length_ms * tick / 5:.3g} ms", MUTED, font, anchor=anchor)


def _draw_legend(draw: ImageDraw.ImageDraw, font: Font, kinds: Sequence[str], top: int) -> None:
    """Draws the colour and the name of each kind, from `top` on downwards."""
    for number, kind in enumerate(kinds):
        x = LEFT + number % PER_ROW * ((WIDTH - LEFT) // PER_ROW)
        y = top + number // PER_ROW * LEGEND
        draw.rectangle((x, y + 2, x + 13, y + 15), KINDS[kind].light)
        draw.text((x + 19, y), kind.replace("_", " "), INK, font)


def png(image: Image.Image) -> bytes:
    """The picture as the bytes of a PNG file."""
    content = io.BytesIO()
    image.save(content, "PNG")
    return content.getvalue()
