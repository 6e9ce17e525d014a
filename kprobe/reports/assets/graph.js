// The graph of layers: a tree for the keyboard and for screen readers, which has the arrow keys of
// any tree, drawn as boxes with lines between them.

const unfolded = new Set();
const FEW = 40; // so many boxes at first
let boxes = [];
let focused = null; // the key of the box that has the tab stop
let zoom = 1;
let scale = null;

// What is told of in amber rather than in red.
const MILD = new Set(["dead", "constant", "saturated", "weak"]);

const keyOf = (place) => (typeof place === "number" ? `l${place}` : `g${place.number}`);

// At first as many levels are open as there is room for.
function unfoldSome() {
  let number = root.places.length;
  for (let level = groups.filter((group) => group.above === null); level.length; ) {
    number += level.reduce((sum, group) => sum + group.places.length, 0);
    if (number > FEW) return;
    for (const group of level) unfolded.add(group.number);
    level = groups.filter((group) => level.includes(group.above));
  }
}

// Of a group the value that is most: the largest, which for all of these figures is the worst.
function valueOf(place) {
  const numbers = typeof place === "number" ? [place] : place.layers;
  const values = numbers.map((n) => data.layers[n].values[chosen.figure]);
  const known = values.filter((value) => typeof value === "number");
  return known.length ? known.reduce((a, b) => Math.max(a, b)) : null;
}

function flagsOf(place) {
  const numbers = typeof place === "number" ? [place] : place.layers;
  return Object.keys(data.flags).filter((flag) => numbers.some((n) => data.layers[n].flags.includes(flag)));
}

function drawGraph() {
  const laid = flatten(layOut(root, unfolded), 8, 8, 1, [], []);
  boxes = laid.boxes;
  const graph = at("graph");
  const [width, height] = [Math.ceil(laid.width) + 16, Math.ceil(laid.height) + 16];
  graph.style.width = `${width}px`;
  graph.style.height = `${height}px`;
  const svg = draw("svg", { width, height, "aria-hidden": "true", focusable: "false" });
  svg.append(
    draw(
      "defs",
      {},
      draw(
        "marker",
        { id: "arrow", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto" },
        draw("path", { d: "M0 0.5 L8 4 L0 7.5 z", class: "arrow" }),
      ),
    ),
  );
  for (const points of laid.lines) {
    svg.append(draw("path", { d: bend(points), class: "line", "marker-end": "url(#arrow)" }));
  }
  if (!boxes.some((box) => keyOf(box.place) === focused)) {
    focused = boxes.length ? keyOf(boxes[0].place) : null;
  }
  const frames = boxes.filter((box) => box.inner).map((box) => {
    const frame = make("div", { class: "frame" });
    put(frame, box.x, box.y, box.width, box.height);
    return frame;
  });
  for (const box of boxes) box.element = makeBox(box);
  graph.replaceChildren(...frames, svg, ...boxes.map((box) => box.element));
  paintBoxes();
  scaleGraph();
}

function bend(points) {
  const write = ([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`;
  let path = `M${write(points[0])}`;
  for (let i = 1; i < points.length - 1; i += 1) {
    const middle = [0, 1].map((k) => (points[i][k] + points[i + 1][k]) / 2);
    path += ` Q${write(points[i])} ${write(i === points.length - 2 ? points[i + 1] : middle)}`;
  }
  return points.length === 2 ? `${path} L${write(points[1])}` : path;
}

function put(element, x, y, width, height) {
  Object.assign(element.style, { left: `${x}px`, top: `${y}px`, width: `${width}px`, height: `${height}px` });
}

function makeBox(box) {
  const isLayer = typeof box.place === "number";
  const full = isLayer ? data.layers[box.place].name : box.place.name;
  // Inside of a group the names of the groups around it needn't be said again.
  const name = isLayer && box.depth > 1 ? full.slice(cutAt(full)) : full;
  const element = make(
    "div",
    {
      role: "treeitem",
      class: isLayer ? "box layer" : "box group",
      tabindex: keyOf(box.place) === focused ? 0 : -1,
      "aria-level": box.depth,
      "aria-expanded": isLayer ? null : String(Boolean(box.inner)),
      title: isLayer ? show(full) : `${show(full)}: ${box.place.layers.length} layers`,
    },
    make("span", { class: "chip", "aria-hidden": "true" }),
    isLayer ? null : make("span", { class: "fold", "aria-hidden": "true" }, box.inner ? "▾" : "▸"),
    make("span", { class: "name" }, show(name)),
    isLayer ? null : make("span", { class: "size" }, `×${box.place.layers.length}`),
    make("span", { class: "value" }),
    make("span", { class: "unseen" }),
  );
  put(element, box.x, box.y, box.width, box.inner ? NODE.height : box.height);
  element.addEventListener("click", () => {
    focusBox(box, false);
    if (isLayer) choose({ layer: box.place });
    else toggle(box.place, !box.inner);
  });
  return element;
}

function cutAt(name) {
  const head = name.split("//", 1)[0];
  const last = head.lastIndexOf("/");
  return last >= 0 && last < head.length - 1 ? last + 1 : 0;
}

// Colours, numbers, and which are chosen or found: without laying out anything.
function paintBoxes() {
  for (const box of boxes) {
    const isLayer = typeof box.place === "number";
    const value = valueOf(box.place);
    const [chip] = box.element.getElementsByClassName("chip");
    const colour = colourOf(scale.place(value));
    chip.style.background = colour ?? "";
    chip.classList.toggle("none", colour === null);
    const flags = flagsOf(box.place);
    const text = write(value, figures.get(chosen.figure).unit);
    const [told] = box.element.getElementsByClassName("value");
    told.textContent = isLayer ? text : `≤ ${text}`;
    box.element.classList.toggle("flagged", flags.some((flag) => !MILD.has(flag)));
    box.element.classList.toggle("warned", flags.length > 0);
    const has = isLayer ? chosen.layer === box.place : box.place.layers.includes(chosen.layer) && !box.inner;
    box.element.classList.toggle("chosen", has);
    box.element.setAttribute("aria-selected", String(isLayer && has));
    const numbers = isLayer ? [box.place] : box.place.layers;
    box.element.classList.toggle("dim", !numbers.some((n) => isFound(data.layers[n])));
    box.element.lastElementChild.textContent = `, ${tellMore(box, flags).join(", ")}`;
  }
}

// What eyes see by colours and places, for screen readers.
function tellMore(box, flags) {
  const about = [figures.get(chosen.figure).title, ...flags.map((flag) => data.flags[flag])];
  if (typeof box.place !== "number") return [...about, `${box.place.layers.length} layers`];
  const layer = data.layers[box.place];
  if (box.depth > 1) about.push(show(layer.name));
  return layer.class_name ? [...about, show(layer.class_name)] : about;
}

function toggle(group, open) {
  if (open) unfolded.add(group.number);
  else unfolded.delete(group.number);
  focused = keyOf(group);
  const hadFocus = at("graph").contains(document.activeElement);
  drawGraph();
  const box = boxes.find((each) => each.place === group);
  if (hadFocus) box.element.focus({ preventScroll: true });
  reveal(box);
}

function focusBox(box, move = true) {
  focused = keyOf(box.place);
  for (const each of boxes) each.element.tabIndex = each === box ? 0 : -1;
  if (move) box.element.focus({ preventScroll: true });
  if (move) reveal(box);
}

function reveal(box) {
  const frame = at("frame");
  const top = box.y * zoom;
  const left = box.x * zoom;
  if (top < frame.scrollTop || top + 60 > frame.scrollTop + frame.clientHeight) {
    frame.scrollTop = top - frame.clientHeight / 3;
  }
  if (left < frame.scrollLeft || left + NODE.width * zoom > frame.scrollLeft + frame.clientWidth) {
    frame.scrollLeft = left - 20;
  }
}

// Unfold all groups around a layer, and go there.
function showInGraph(number) {
  for (let group = groupOf.get(number); group; group = group.above) unfolded.add(group.number);
  focused = `l${number}`;
  drawGraph();
  const box = boxes.find((each) => each.place === number);
  if (box) focusBox(box);
  at("frame").scrollIntoView({ block: "nearest" });
}

function pressed(event) {
  const now = boxes.findIndex((box) => keyOf(box.place) === focused);
  const box = boxes[now];
  if (!box || event.altKey || event.ctrlKey || event.metaKey) return;
  const isGroup = typeof box.place !== "number";
  const above = isGroup ? box.place.above : groupOf.get(box.place);
  const go = (number) => boxes[number] && focusBox(boxes[number]);
  const keys = {
    ArrowDown: () => go(now + 1),
    ArrowUp: () => go(now - 1),
    Home: () => go(0),
    End: () => go(boxes.length - 1),
    ArrowRight: () => isGroup && (box.inner ? go(now + 1) : toggle(box.place, true)),
    ArrowLeft: () => {
      if (isGroup && box.inner) toggle(box.place, false);
      else if (above) focusBox(boxes.find((each) => each.place === above));
    },
    Enter: () => box.element.click(),
    " ": () => box.element.click(),
  };
  if (!Object.hasOwn(keys, event.key)) return;
  event.preventDefault();
  keys[event.key]();
}

function scaleGraph() {
  at("graph").style.zoom = String(zoom);
}

function drawLegend() {
  const figure = figures.get(chosen.figure);
  scale = makeScale(figure);
  const bar = make("span", { class: "bar" });
  bar.style.background = gradientOf("viridis");
  at("legend").replaceChildren(write(scale.low, figure.unit), bar, write(scale.high, figure.unit));
  at("legend").title = figure.help;
}

function startGraph() {
  if (!root.places.length) return;
  const select = at("figure");
  select.append(
    ...colourable.map((figure) => make("option", { value: figure.key, selected: figure.key === chosen.figure }, figure.title)),
  );
  select.addEventListener("change", () => choose({ figure: select.value }));
  at("unfold-all").addEventListener("click", () => {
    for (const group of groups) unfolded.add(group.number);
    drawGraph();
  });
  at("fold-all").addEventListener("click", () => {
    unfolded.clear();
    drawGraph();
  });
  for (const id of ["unfold-all", "fold-all"]) at(id).hidden = groups.length === 0;
  for (const [id, factor] of [["smaller", 1 / 1.25], ["larger", 1.25]]) {
    at(id).addEventListener("click", () => {
      zoom = Math.min(2, Math.max(0.2, zoom * factor));
      scaleGraph();
    });
  }
  at("graph").addEventListener("keydown", pressed);
  const unknown = "Where it isn’t known what a layer is computed from, its line follows the order of computing. ";
  at("network-hint").textContent =
    (data.linked ? "" : unknown) +
    "Arrow keys go from layer to layer, and fold and unfold groups; Enter shows a layer.";
  unfoldSome();
  drawLegend();
  drawGraph();
  listeners.push((change) => {
    if ("figure" in change) drawLegend();
    if (["figure", "layer", "filter", "flag"].some((name) => name in change)) paintBoxes();
  });
}
