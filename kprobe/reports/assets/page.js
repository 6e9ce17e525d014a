// What all parts of the page share: the data, elements, numbers as text, colours, and what is
// chosen. Texts of the data become text nodes and attributes, and never markup.

const data = JSON.parse(document.getElementById("data").textContent);
const figures = new Map(data.figures.map((figure) => [figure.key, figure]));
const SVG = "http://www.w3.org/2000/svg";

const at = (id) => document.getElementById(id);

function make(tag, attributes, ...inside) {
  return fill(document.createElement(tag), attributes, inside);
}

function draw(tag, attributes, ...inside) {
  return fill(document.createElementNS(SVG, tag), attributes, inside);
}

function fill(element, attributes, inside) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value !== null && value !== undefined && value !== false) {
      element.setAttribute(name, value === true ? "" : value);
    }
  }
  element.append(...inside.filter((each) => each !== null));
  return element;
}

// Characters that can't be seen, or that turn round what stands beside them, are shown as escapes.
const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]/gu;

// What is longer than anyone reads is cut short.
function show(text, most = 240) {
  const cut = text.length > most ? `${text.slice(0, most)}… (${text.length.toLocaleString("en-US")} characters)` : text;
  return cut.replace(HIDDEN, (each) => `\\u${each.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

function write(value, unit) {
  if (value === null || value === undefined) return "–";
  if (unit === "count") return value.toLocaleString("en-US");
  if (unit === "percent") {
    const percent = 100 * value;
    if (percent > 0 && percent < 0.1) return "< 0.1 %";
    if (percent < 100 && percent > 99.9) return "> 99.9 %";
    return `${Number(percent.toFixed(1))} %`;
  }
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) {
    return value.toExponential(2).replace("e", "e").replace("-", "−").replace("e+", "e");
  }
  return String(Number(value.toPrecision(4))).replace("-", "−");
}

function writeFigure(layer, key) {
  return write(layer.values[key], figures.get(key).unit);
}

// The part of the way from the least to the largest value, for colours; null for no value.
function makeScale(figure) {
  const known = data.layers
    .filter((layer) => layer.upstream !== null)
    .map((layer) => layer.values[figure.key])
    .filter((value) => typeof value === "number");
  const log = figure.colour === "log";
  const usable = log ? known.filter((value) => value > 0) : known;
  let low = usable.reduce((a, b) => Math.min(a, b), Infinity);
  let high = usable.reduce((a, b) => Math.max(a, b), -Infinity);
  if (figure.unit === "percent") [low, high] = [0, 1];
  else if (figure.unit === "count" && !log) [low, high] = [0, Math.max(1, high)];
  if (!usable.length) [low, high] = [0, 1];
  // Beside zeros, one value isn't the least, too.
  if (log && low === high) low = high / 1000;
  const bend = log && usable.length ? Math.log : (value) => value;
  const width = bend(high) - bend(low);
  return {
    low,
    high,
    place(value) {
      if (typeof value !== "number") return null;
      if (log && value <= 0) return 0;
      return width > 0 ? Math.min(1, Math.max(0, (bend(value) - bend(low)) / width)) : 0.5;
    },
  };
}

function colourOf(place, palette = "viridis") {
  const colours = data.palettes[palette];
  return place === null ? null : colours[Math.round(place * (colours.length - 1))];
}

function gradientOf(palette) {
  return `linear-gradient(to right, ${data.palettes[palette].join(", ")})`;
}

// What is chosen. `choose` tells everyone who listens.
const colourable = data.figures.filter((figure) => figure.colour !== null);
const chosen = {
  layer: null,
  sample: 0,
  figure: (data.figures.find((figure) => figure.key === data.sort) ?? colourable[0]).key,
  flag: "",
  filter: "",
};
const listeners = [];

function choose(change) {
  Object.assign(chosen, change);
  for (const listen of listeners) listen(change);
}

// Words with spaces between them, each of which must be in the name or the class.
function isFound(layer) {
  if (chosen.flag && !layer.flags.includes(chosen.flag)) return false;
  const text = `${layer.name} ${layer.other} ${layer.class_name}`.toLowerCase();
  return chosen.filter.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

// Show some of many, and more when asked to. `add` puts those from `start` to `stop` on the page.
function makeMore(place, step, noun, add) {
  let shown = 0;
  let items = [];
  function extend(stop) {
    // In parts, since a function takes only so many arguments.
    for (let start = shown; start < Math.min(stop, items.length); start += 1000) {
      add(items.slice(start, Math.min(stop, start + 1000)));
    }
    shown = Math.min(stop, items.length);
    const rest = items.length - shown;
    const buttons = [];
    if (rest > 0) {
      const some = make("button", { type: "button" }, `Show ${Math.min(step, rest)} more`);
      some.addEventListener("click", () => extend(shown + step));
      buttons.push(some);
      if (rest > step) {
        const all = make("button", { type: "button" }, `Show all ${items.length.toLocaleString("en-US")}`);
        all.addEventListener("click", () => extend(items.length));
        buttons.push(all);
      }
      buttons.push(`${rest.toLocaleString("en-US")} ${noun} more`);
    }
    place.replaceChildren(...buttons.flatMap((each) => [each, " "]));
  }
  return {
    begin(all) {
      [items, shown] = [all, 0];
      extend(step);
    },
    finish: () => extend(items.length),
  };
}
