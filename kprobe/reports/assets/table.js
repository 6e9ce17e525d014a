// The table of layers: sorted by its buttons, filtered by what is typed.

const sorted = { key: data.sort, down: true };
const columns = data.figures.filter((figure) => figure.column);
const order = new Map(data.layers.map((layer, number) => [layer, number]));
let rows = null;

// Layers in the order asked for: those without a number come last, and equal ones as computed.
function sortLayers(layers) {
  const { key, down } = sorted;
  if (key === null) return down ? layers : [...layers].reverse();
  const isText = key === "name" || key === "class_name";
  const value = (layer) => (isText ? layer[key] : layer.values[key]);
  return [...layers].sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === y) return order.get(a) - order.get(b);
    if (x === null || x === "") return 1;
    if (y === null || y === "") return -1;
    const less = isText ? x.localeCompare(y, "en", { numeric: true }) : x - y;
    return down ? -less : less;
  });
}

function drawHeader() {
  const cells = [
    ["#", null, "in the order of computing"],
    ["layer", "name", "its address"],
    ["class", "class_name", "the class of the layer"],
    ["shape", undefined, "the shape of a row"],
    ...(data.layers.some((layer) => layer.edges) ? [["values", undefined, "the histogram of all finite values; heights are square roots of counts"]] : []),
    ...columns.map((figure) => [figure.title, figure.key, figure.help]),
  ].map(([title, key, help]) => {
    if (key === undefined) return make("th", { scope: "col", title: help }, title);
    const button = make("button", { type: "button", title: help }, title);
    button.dataset.key = key ?? "";
    button.addEventListener("click", () => sortBy(key));
    return make("th", { scope: "col", class: isNumber(key) ? "number" : null }, button);
  });
  at("table").tHead.replaceChildren(make("tr", {}, ...cells));
  markSorted();
}

const isNumber = (key) => key === null || figures.has(key);

function sortBy(key) {
  // Numbers begin with the largest, texts and the order of computing with the first.
  const first = figures.has(key) || key === null;
  sorted.down = sorted.key === key ? !sorted.down : first;
  sorted.key = key;
  markSorted();
  drawRows();
}

function markSorted() {
  for (const button of at("table").tHead.querySelectorAll("button")) {
    const is = button.dataset.key === (sorted.key ?? "");
    const up = sorted.key === null ? sorted.down : !sorted.down;
    const cell = button.parentElement;
    if (is) cell.setAttribute("aria-sort", up ? "ascending" : "descending");
    else cell.removeAttribute("aria-sort");
  }
}

function drawHistogram(layer, width, height) {
  const most = layer.counts.reduce((a, b) => Math.max(a, b), 1);
  const step = width / layer.counts.length;
  let path = "";
  layer.counts.forEach((count, number) => {
    if (!count) return;
    // Square roots, so that beside the zeros of a ReLU the rest can be seen.
    const size = Math.max(1, height * Math.sqrt(count / most));
    path += `M${(number * step).toFixed(1)} ${height}v-${size.toFixed(1)}h${(step * 0.86).toFixed(1)}V${height}z`;
  });
  const label = `from ${write(layer.edges[0], "number")} to ${write(layer.edges[1], "number")}`;
  return draw(
    "svg",
    { class: "histogram", width, height, viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": `Histogram ${label}` },
    draw("path", { d: path }),
  );
}

function makeRow(layer) {
  const number = order.get(layer);
  const name = make("button", { type: "button", class: "link", title: show(layer.name) }, show(layer.name));
  name.addEventListener("click", () => choose({ layer: number }));
  const row = make(
    "tr",
    { class: layer.flags.length ? "flagged" : null },
    make("td", { class: "number" }, String(number + 1)),
    make("th", { scope: "row" }, name, layer.other ? make("span", { class: "other" }, `A: ${show(layer.other)}`) : null, ...layer.flags.map((flag) => make("span", { class: `flag ${flag}` }, data.flags[flag]))),
    make("td", { class: "text" }, show(layer.class_name)),
    make("td", { class: "shape" }, `${show(layer.shape)} `, make("span", { class: "dtype" }, show(layer.dtype))),
    ...(data.layers.some((each) => each.edges)
      ? [make("td", {}, layer.edges ? drawHistogram(layer, 96, 22) : "")]
      : []),
    ...columns.map((figure) => make("td", { class: "number" }, writeFigure(layer, figure.key))),
  );
  row.dataset.layer = String(number);
  if (chosen.layer === number) row.classList.add("chosen");
  return row;
}

function drawRows() {
  const found = sortLayers(data.layers.filter(isFound));
  at("table").tBodies[0].replaceChildren();
  rows.begin(found);
  const of = data.layers.length.toLocaleString("en-US");
  at("found").textContent =
    found.length === data.layers.length ? `${of} layers` : `${found.length.toLocaleString("en-US")} of ${of} layers`;
}

function startTable() {
  const body = at("table").tBodies[0];
  rows = makeMore(at("more"), 100, "layers", (some) => body.append(...some.map(makeRow)));
  drawHeader();
  drawRows();
  const flag = at("flag");
  flag.append(
    make("option", { value: "" }, "all layers"),
    ...Object.entries(data.flags).map(([key, text]) => make("option", { value: key }, text)),
  );
  at("flag-label").hidden = Object.keys(data.flags).length === 0;
  flag.addEventListener("change", () => choose({ flag: flag.value }));
  at("filter").addEventListener("input", () => choose({ filter: at("filter").value.trim() }));
  listeners.push((change) => {
    if ("filter" in change || "flag" in change) {
      flag.value = chosen.flag;
      drawRows();
    }
    if ("layer" in change) {
      for (const row of body.rows) row.classList.toggle("chosen", row.dataset.layer === String(chosen.layer));
    }
  });
  window.addEventListener("beforeprint", () => rows.finish());
}
