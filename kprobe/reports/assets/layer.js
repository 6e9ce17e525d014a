// A layer as it is looked at, and the gallery of feature maps.

// Maps beside each other, cut out of the one picture that a sample has.
function drawMaps(layer, size) {
  const { pictures, others } = layer.maps;
  if (!others.length) return drawStrip(layer, size, pictures, "");
  const name = (side) => make("span", { class: "side", "aria-hidden": "true" }, side);
  const strips = [["A", others], ["B", pictures]].map(([side, of]) =>
    make("div", { class: "beside" }, name(side), drawStrip(layer, size, of, ` in ${side}`)));
  return make("div", {}, ...strips);
}

function drawStrip(layer, size, pictures, side) {
  const { channels, ratio, pixelated } = layer.maps;
  const sample = data.samples[chosen.sample];
  const told = channels.length ? `channels ${channels.join(", ")}` : "all values";
  const strip = make("div", {
    class: pixelated ? "maps pixelated" : "maps",
    role: "img",
    "aria-label": `${show(layer.name)}${side}, ${told}, with the sample ${show(sample)}`,
  });
  const number = Math.max(1, channels.length);
  const alone = number === 1;
  for (let i = 0; i < number; i += 1) {
    const map = make("span", { class: "map", title: channels.length ? `channel ${channels[i]}` : null });
    const wide = alone ? Math.min(4 * size, Math.max(size, size * ratio)) : size * Math.min(3, Math.max(1 / 3, ratio));
    Object.assign(map.style, {
      width: `${Math.round(wide)}px`,
      height: `${Math.round(wide / ratio)}px`,
      maxHeight: `${3 * size}px`,
      backgroundImage: `url("${pictures[chosen.sample]}")`,
      backgroundSize: `${100 * number}% 100%`,
      backgroundPosition: `${alone ? 0 : (100 * i) / (number - 1)}% 0`,
    });
    strip.append(map);
  }
  return strip;
}

function drawScale(layer) {
  const { scale: [low, high], palette } = layer.maps;
  const bar = make("span", { class: "bar" });
  bar.style.background = gradientOf(palette);
  return make("span", { class: "scale" }, write(low, "number"), bar, write(high, "number"));
}

function drawLayer() {
  const aside = at("layer");
  aside.hidden = chosen.layer === null;
  document.body.classList.toggle("looking", !aside.hidden);
  if (aside.hidden) return;
  const layer = data.layers[chosen.layer];
  at("layer-title").textContent = show(layer.name);
  const about = [layer.class_name, layer.shape, layer.dtype].filter(Boolean).map((each) => show(each)).join(" · ");
  const parts = [make("p", { class: "about" }, about)];
  if (layer.flags.length) {
    parts.push(make("p", {}, ...layer.flags.map((flag) => make("span", { class: `flag ${flag}` }, data.flags[flag]))));
  }
  if (layer.edges) {
    parts.push(
      make("div", { class: "large" }, drawHistogram(layer, 320, 90),
        make("p", { class: "axis" }, make("span", {}, write(layer.edges[0], "number")), make("span", {}, write(layer.edges[1], "number")))),
    );
  }
  if (layer.maps) parts.push(drawMaps(layer, 72), make("p", { class: "hint" }, show(data.samples[chosen.sample]), " ", drawScale(layer)));
  const list = make("dl", {});
  for (const figure of data.figures) {
    if (layer.values[figure.key] === null) continue;
    list.append(make("dt", { title: figure.help }, figure.title), make("dd", {}, writeFigure(layer, figure.key)));
  }
  for (const [title, text] of layer.facts) list.append(make("dt", {}, show(title)), make("dd", {}, show(text, 2000)));
  parts.push(list);
  if (layer.upstream !== null) parts.push(...listNeighbours());
  at("layer-body").replaceChildren(...parts);
}

function listNeighbours() {
  const number = chosen.layer;
  const show1 = (title, numbers) => {
    const links = numbers.slice(0, 12).map((each) => {
      const link = make("button", { type: "button", class: "link" }, show(data.layers[each].name));
      link.addEventListener("click", () => choose({ layer: each }));
      return link;
    });
    const rest = numbers.length - links.length;
    return make("p", { class: "neighbours" }, `${title} `, ...links.flatMap((link) => [link, " "]), rest > 0 ? `and ${rest} more` : "");
  };
  const parts = [];
  if (data.layers[number].upstream.length) parts.push(show1("From", data.layers[number].upstream));
  if (downstream[number].length) parts.push(show1("To", downstream[number]));
  const button = make("button", { type: "button" }, "Show in the graph");
  button.addEventListener("click", () => showInGraph(number));
  parts.push(make("p", {}, button));
  return parts;
}

function startLayer() {
  at("close").addEventListener("click", () => choose({ layer: null }));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && chosen.layer !== null && event.target !== at("filter")) choose({ layer: null });
  });
  listeners.push((change) => {
    if ("layer" in change || "sample" in change) drawLayer();
  });
}

function makeFigure(layer) {
  const link = make("button", { type: "button", class: "link" }, show(layer.name));
  link.addEventListener("click", () => choose({ layer: order.get(layer) }));
  const caption = make("figcaption", {}, link, make("span", { class: "about" }, `${show(layer.class_name)} ${show(layer.shape)}`), drawScale(layer));
  const figure = make("figure", {}, caption, drawMaps(layer, 56));
  figure.dataset.layer = String(order.get(layer));
  return figure;
}

// What the chosen sample was made from.
function drawImage() {
  if (!data.images.length) return;
  const alt = `the sample ${show(data.samples[chosen.sample])}`;
  at("image").replaceChildren(make("img", { src: data.images[chosen.sample], alt }));
}

function startGallery() {
  const pictured = data.layers.filter((layer) => layer.maps);
  if (!pictured.length) return;
  at("maps").hidden = false;
  data.samples.forEach((sample, number) => {
    const radio = make("input", { type: "radio", name: "sample", value: number, checked: number === 0 });
    radio.addEventListener("change", () => choose({ sample: number }));
    at("samples").append(make("label", {}, radio, " ", make("span", { class: "sample" }, show(sample))));
  });
  const gallery = at("gallery");
  const more = makeMore(at("more-maps"), 24, "layers", (some) => gallery.append(...some.map(makeFigure)));
  const begin = () => {
    gallery.replaceChildren();
    more.begin(pictured.filter(isFound));
  };
  begin();
  drawImage();
  listeners.push((change) => {
    if ("filter" in change || "flag" in change) begin();
    if ("sample" in change) {
      drawImage();
      for (const figure of gallery.children) {
        figure.lastElementChild.replaceWith(drawMaps(data.layers[Number(figure.dataset.layer)], 56));
      }
    }
  });
}
