"use strict";
// A press on a header sorts its table by that column; another press, the other way round.
// Cells without a key stay at the end.
for (const table of document.querySelectorAll("table.sortable")) {
  const headers = [...table.tHead.rows[0].cells];
  headers.forEach((header, column) => {
    header.firstElementChild.addEventListener("click", () => {
      const descending = header.getAttribute("aria-sort") === "ascending";
      headers.forEach((other) => other.removeAttribute("aria-sort"));
      header.setAttribute("aria-sort", descending ? "descending" : "ascending");
      const numeric = header.classList.contains("number");
      const rows = [...table.tBodies[0].rows].map(
        (row) => ({ row, key: row.cells[column].dataset.key }),
      );
      rows.sort((a, b) => {
        if (a.key === undefined || b.key === undefined) {
          return (a.key === undefined) - (b.key === undefined);
        }
        const order = numeric
          ? a.key - b.key
          : a.key.localeCompare(b.key, undefined, { numeric: true });
        return descending ? -order : order;
      });
      table.tBodies[0].append(...rows.map(({ row }) => row));
    });
  });
}

// The value below the pointer, in a box. With the keyboard: Tab to a picture, then the arrow keys.
const REACH = 30; // pixels from the pointer to a point of a line
const box = document.createElement("div");
box.className = "tip";
box.setAttribute("role", "status");
document.body.append(box);
let owner; // the picture of which the box shows a value

// The places of a picture that have a value: { group, x, y, text }, in units of the picture.
const spotsOf = (picture) => [...picture.querySelectorAll("g")].flatMap((group) => {
  const title = group.querySelector(":scope > title");
  if (!title) return [];
  title.remove(); // or the browser would show a second box
  group.classList.add("spot");
  const name = title.textContent;
  const { tip, points } = group.dataset;
  if (!points) {
    const { x, y, width, height } = group.getBBox();
    return [{ group, x: x + width / 2, y: y + height / 2, text: name }];
  }
  const values = points.split(" ");
  const places = group.querySelector("path").getAttribute("d").match(/-?[\d.]+/g).map(Number);
  return values.filter((_, i) => i % 2 === 0).map((value, i) => ({
    line: true, group, x: places[2 * i], y: places[2 * i + 1],
    text: `${name}\n${tip.replace("{x}", value).replace("{y}", values[2 * i + 1])}`,
  }));
});

for (const picture of document.querySelectorAll("figure svg")) {
  let spots, at = -1;
  const ready = () => (spots ??= spotsOf(picture));
  const onScreen = ({ x, y }) => new DOMPoint(x, y).matrixTransform(picture.getScreenCTM());
  const hide = () => owner === picture && box.classList.remove("shown");
  const show = (spot, place = onScreen(spot)) => {
    owner = picture;
    box.textContent = spot.text;
    box.classList.add("shown");
    const { width, height } = box.getBoundingClientRect();
    const left = Math.min(place.x + 12, document.documentElement.clientWidth - width - 4);
    const above = place.y - height - 12;
    box.style.left = `${Math.max(left, 4) + scrollX}px`;
    box.style.top = `${(above < 4 ? place.y + 16 : above) + scrollY}px`;
  };
  const point = (event) => {
    const pointer = { x: event.clientX, y: event.clientY };
    const away = (spot) => Math.hypot(onScreen(spot).x - pointer.x, onScreen(spot).y - pointer.y);
    const shape = event.target.closest("g");
    const below = ready().find((spot) => !spot.line && spot.group === shape);
    if (below) return show(below, pointer);
    const near = spots.filter((spot) => spot.line).map((spot) => [away(spot), spot]);
    const [distance, spot] = near.reduce((a, b) => (b[0] < a[0] ? b : a), [REACH]);
    return distance < REACH ? show(spot) : hide();
  };
  picture.addEventListener("pointermove", point);
  picture.addEventListener("pointerdown", point);
  picture.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && hide());
  picture.setAttribute("tabindex", "0");
  picture.addEventListener("blur", hide);
  picture.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape") hide();
    if (!step || !ready().length) return;
    event.preventDefault();
    at = (at + step + spots.length) % spots.length;
    show(spots[at]);
  });
}
