// Finds faults in the look of a report; arguments: the width of the screen, the smallest text in pixels, the lowest contrast.
// (A phone's innerWidth is no width of the screen: it grows with what does not fit.)
const [screenWidth, smallest, lowest] = arguments;
const problems = [];
for (const element of document.querySelectorAll("details")) element.open = true;

const inside = (element) => element.closest(".scroll");
const name = (element) => `${element.tagName} "${element.textContent.trim().slice(0, 40)}"`;

if (document.documentElement.scrollWidth > screenWidth) problems.push(`the page is wider than the screen: ${document.documentElement.scrollWidth}`);

const pictures = [...document.querySelectorAll("figure svg")];
for (const picture of pictures) {
  const box = picture.getBoundingClientRect();
  if (box.width < 50 || box.height < 20) problems.push(`no size: ${picture.ariaLabel} ${box.width} x ${box.height}`);
  const frame = (inside(picture) ?? picture).getBoundingClientRect();
  if (frame.left < 0 || frame.right > screenWidth) problems.push(`outside: ${picture.ariaLabel} ${frame.left} to ${frame.right}`);
}
for (const element of document.querySelectorAll("main *, header *")) {
  const box = element.getBoundingClientRect();
  if (!inside(element) && !element.closest("svg") && box.right > screenWidth + 1) problems.push(`outside: ${name(element)} to ${box.right}`);
}

// Colours as [r, g, b, alpha]; the browser turns every kind of colour into rgb.
const colour = (text) => {
  const [r, g, b, alpha = 1] = text.match(/[\d.]+/g).map(Number);
  return [r, g, b, alpha];
};
const over = (top, below, opacity = 1) => {
  const alpha = top[3] * opacity;
  return [0, 1, 2].map((i) => alpha * top[i] + (1 - alpha) * below[i]).concat(1);
};
const luminance = (rgb) => {
  const [r, g, b] = rgb.map((value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const contrast = (one, other) => {
  const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
};
const background = (element) => {
  const stack = [];
  for (let each = element; each; each = each.parentElement) stack.unshift(colour(getComputedStyle(each).backgroundColor));
  return stack.reduce((below, top) => over(top, below), [255, 255, 255, 1]);
};
const behind = (text) => {
  // What was filled before, at the middle of the text.
  const box = text.getBoundingClientRect();
  const [x, y] = [box.left + box.width / 2, box.top + box.height / 2];
  let seen = background(text.closest("svg").parentElement);
  for (const shape of text.closest("svg").querySelectorAll("path, rect, text")) {
    if (shape === text) break;
    const style = getComputedStyle(shape);
    const { left, right, top, bottom } = shape.getBoundingClientRect();
    if (shape.tagName === "text" || shape.closest("defs") || style.fill === "none") continue;
    if (left <= x && x <= right && top <= y && y <= bottom) seen = over(colour(style.fill), seen, style.opacity * style.fillOpacity);
  }
  return seen;
};

let texts = 0;
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement;
  if (!walker.currentNode.data.trim() || !element.getClientRects().length || element.closest("title, script, style")) continue;
  texts += 1;
  const style = getComputedStyle(element);
  const picture = element.closest("figure svg");
  const size = parseFloat(style.fontSize) * (picture ? picture.getBoundingClientRect().width / picture.viewBox.baseVal.width : 1);
  const found = contrast(colour(picture ? style.fill : style.color), picture ? behind(element) : background(element));
  if (picture) {
    const [text, frame] = [element.getBoundingClientRect(), picture.getBoundingClientRect()];
    if (text.left < frame.left - 1 || text.right > frame.right + 1 || text.bottom > frame.bottom + 1) problems.push(`cut off: ${name(element)}`);
  }
  if (size < smallest) problems.push(`text of ${size} px: ${name(element)}`);
  if (found < lowest) problems.push(`contrast of ${found.toFixed(2)}: ${name(element)}`);
}
return { problems, texts, pictures: pictures.length, surface: getComputedStyle(document.body).backgroundColor };
