"""A picture of the last rounds for TensorBoard, as PNG: the lane of each worker and the aggregator.

TensorBoard shows it at a third of its size, so it has large letters.
"""

import io
import math
from collections.abc import Iterable, Mapping, Sequence

from PIL import Image, ImageDraw, ImageFont
from tensorboard.compat.proto.summary_pb2 import Summary

from ddp.counting import round_of
from ddp.timing.kinds import KINDS
from ddp.timing.paths import kind_of, read_slices
from ddp.tracking.who import AGGREGATOR, worker_name

PICTURE_TAG = "timeline/last_rounds"
WIDTH, LEFT, RIGHT, TOP, BOTTOM, LEGEND = 840, 150, 24, 44, 52, 36
LANES_HEIGHT, LANE, GAP = 480, 44, 6  # more lanes than fit into the height are lower
FONT_SIZE = 26
PER_ROW = 4  # kinds in a row of the legend
LEAST_SHARE = 0.01  # a kind with less of the picture has no place in the legend
MOST_TICKS = 5
INK, MUTED, LINE = "#1d2126", "#59616b", "#d8dce1"

# (path, start, seconds) of each slice: see ddp/timing/paths.py, `read_slices`.
Slices = Sequence[tuple[str, float, float]]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
# lane -> (round_index, slices): a worker's lane, or the aggregator's (None)
Rounds = Mapping[int | None, Iterable[tuple[int, bytes]]]


def summary_of_rounds(rounds: Rounds) -> Summary:
    """The picture, from the beginning of the aggregator's first round to the end of its last."""
    workers = sorted(worker for worker in rounds if worker is not None)
    lanes = {AGGREGATOR: _slices(rounds[None])}
    lanes |= {worker_name(worker): _slices(rounds[worker]) for worker in workers}
    starts = {
        f"round {round_of(number)}": read_slices(slices)[0][1] for number, slices in rounds[None]
    }
    _, start, seconds = lanes[AGGREGATOR][-1]
    image = timeline(starts, lanes, start + seconds)
    value = Summary.Image(
        height=image.height, width=image.width, colorspace=3, encoded_image_string=png(image)
    )
    return Summary(value=[Summary.Value(tag=PICTURE_TAG, image=value)])


def _slices(rounds: Iterable[tuple[int, bytes]]) -> Slices:
    return [each for _, content in rounds for each in read_slices(content)]


def timeline(starts: Mapping[str, float], lanes: Mapping[str, Slices], end: float) -> Image.Image:
    """Draws the slices of each lane up to `end`, in seconds on the clock of the slices.

    `starts`: the name of each round, and its start. `lanes`: by the name of the lane. Each slice
    has the light colour of its kind, and a legend names the kinds that can be seen.
    """
    begin = min(starts.values())
    kinds = _seen(lanes, begin, end)
    pitch = min(LANE + GAP, LANES_HEIGHT // len(lanes))
    bottom = TOP + len(lanes) * pitch
    height = bottom + BOTTOM + LEGEND * -(-len(kinds) // PER_ROW)
    image = Image.new("RGB", (WIDTH, height), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(FONT_SIZE)
    scale = (WIDTH - LEFT - RIGHT) / max(end - begin, 1e-9)
    _draw_ticks(draw, font, (end - begin), bottom)
    small = ImageFont.load_default(min(FONT_SIZE, pitch))
    for row, (name, lane) in enumerate(lanes.items()):
        y = TOP + row * pitch
        label = name.replace("_", " ")
        draw.text((LEFT - 10, y + (pitch - GAP) / 2), label, INK, small, anchor="rm")
        for path, start, seconds in lane:
            first, last = max(start, begin), min(start + seconds, end)
            if last > first:
                left, right = (LEFT + (at - begin) * scale for at in (first, last))
                draw.rectangle((left, y, right, y + pitch - GAP), KINDS[kind_of(path)].light)
    for name, start in starts.items():
        x = LEFT + (start - begin) * scale
        draw.line((x, TOP - 34, x, bottom), INK, 2)
        draw.text((x + 6, 6), name, INK, font)
    _draw_legend(draw, font, kinds, bottom + BOTTOM)
    return image


def _seen(lanes: Mapping[str, Slices], begin: float, end: float) -> list[str]:
    """The kinds that are large enough to be seen, in the order of the table."""
    shares = dict.fromkeys(KINDS, 0.0)
    for lane in lanes.values():
        for path, start, seconds in lane:
            seen = min(start + seconds, end) - max(start, begin)
            shares[kind_of(path)] += max(seen, 0.0) / max(end - begin, 1e-9)
    return [kind for kind, share in shares.items() if share / len(lanes) >= LEAST_SHARE]


def _draw_ticks(draw: ImageDraw.ImageDraw, font: Font, length_s: float, bottom: int) -> None:
    """Draws a line from the top to `bottom` at each round number of milliseconds."""
    for at_ms in ticks(length_s * 1e3):
        x = LEFT + (WIDTH - LEFT - RIGHT) * at_ms / (length_s * 1e3)
        draw.line((x, TOP, x, bottom + 8), LINE, 2)
        text = f"{at_ms:g}" if at_ms else "0 ms"
        draw.text((x, bottom + 10), text, MUTED, font, anchor="ma")


def ticks(length: float) -> list[float]:
    """At most six round numbers from 0 on, at distances of 1, 2 or 5 times a power of ten."""
    if length <= 0:
        return [0.0]
    power = 10.0 ** math.floor(math.log10(length / MOST_TICKS))
    distance = next(power * each for each in (1, 2, 5, 10) if power * each * MOST_TICKS >= length)
    return [number * distance for number in range(int(length / distance) + 1)]


def _draw_legend(draw: ImageDraw.ImageDraw, font: Font, kinds: Sequence[str], top: int) -> None:
    """Draws the colour and the name of each kind, from `top` on downwards."""
    for number, kind in enumerate(kinds):
        x = 16 + number % PER_ROW * ((WIDTH - 16) // PER_ROW)
        y = top + number // PER_ROW * LEGEND
        draw.rectangle((x, y + 4, x + 22, y + 26), KINDS[kind].light)
        draw.text((x + 32, y), kind.replace("_", " "), INK, font)


def png(image: Image.Image) -> bytes:
    """The picture as the bytes of a PNG file."""
    content = io.BytesIO()
    image.save(content, "PNG")
    return content.getvalue()
