// Where layers and groups of them stand. Each level of the tree is laid out by itself, and only
// what is unfolded: so that thousands of layers take no longer than what can be seen of them.

const NODE = { width: 260, height: 30 };
const GAP = { between: 18, below: 16 };
const INSIDE = { side: 14, top: 42, bottom: 14 };

const groups = [];
const groupOf = new Map();

// Number the groups, and note what they hold: {number, name, places, layers, above, depth}.
function readTree(places, above, depth) {
  const layers = [];
  const read = places.map((place) => {
    if (typeof place === "number") {
      layers.push(place);
      groupOf.set(place, above);
      return place;
    }
    const group = { number: groups.length, name: place.name, above, depth };
    groups.push(group);
    Object.assign(group, readTree(place.inside, group, depth + 1));
    for (const layer of group.layers) layers.push(layer);
    return group;
  });
  return { places: read, layers };
}

const root = readTree(data.tree, null, 1);
const downstream = data.layers.map(() => []);
data.layers.forEach((layer, number) => {
  for (const above of layer.upstream ?? []) downstream[above].push(number);
});

// Lay out a level: its size, where its places stand, and the lines between them.
function layOut(level, unfolded) {
  const graph = new dagre.graphlib.Graph();
  graph.setGraph({ rankdir: "TB", nodesep: GAP.between, ranksep: GAP.below });
  graph.setDefaultEdgeLabel(() => ({}));
  const owner = new Map();
  const inside = level.places.map((place, number) => {
    const isLayer = typeof place === "number";
    for (const layer of isLayer ? [place] : place.layers) owner.set(layer, number);
    const inner = !isLayer && unfolded.has(place.number) ? layOut(place, unfolded) : null;
    const size = inner
      ? {
          width: Math.max(NODE.width, inner.width + 2 * INSIDE.side),
          height: inner.height + INSIDE.top + INSIDE.bottom,
        }
      : { ...NODE };
    graph.setNode(String(number), size);
    return inner;
  });
  addEdges(graph, level, owner);
  dagre.layout(graph);
  return collect(graph, level, inside);
}

// "in" and "out" stand for what is around the level.
function addEdges(graph, level, owner) {
  const link = (from, to) => {
    for (const end of [from, to]) {
      if (!graph.hasNode(end)) graph.setNode(end, { width: 1, height: 1 });
    }
    graph.setEdge(from, to);
  };
  for (const layer of level.layers) {
    const own = owner.get(layer);
    for (const above of data.layers[layer].upstream ?? []) {
      const other = owner.get(above);
      if (other === undefined) link("in", String(own));
      else if (other !== own) link(String(other), String(own));
    }
    if (level !== root && downstream[layer].some((below) => !owner.has(below))) link(String(own), "out");
  }
}

function collect(graph, level, inside) {
  const { width, height } = graph.graph();
  const places = level.places.map((place, number) => {
    const node = graph.node(String(number));
    return {
      place,
      inner: inside[number],
      x: node.x - node.width / 2,
      y: node.y - node.height / 2,
      width: node.width,
      height: node.height,
    };
  });
  const lines = graph.edges().map((edge) => {
    const points = graph.edge(edge).points.map(({ x, y }) => [x, y]);
    // What comes from around begins where the lines from there end: in the middle, above.
    if (edge.v === "in") points.unshift([width / 2, -INSIDE.top / 3]);
    if (edge.w === "out") points.push([width / 2, height + INSIDE.bottom]);
    return points;
  });
  return { width: Math.max(width, 0), height: Math.max(height, 0), places, lines };
}

// Put all levels into one plane: a list of boxes in the order of the tree, and of lines.
function flatten(laid, x, y, depth, boxes, lines) {
  for (const points of laid.lines) lines.push(points.map(([a, b]) => [a + x, b + y]));
  for (const each of laid.places) {
    const box = { ...each, x: each.x + x, y: each.y + y, depth };
    boxes.push(box);
    if (each.inner) {
      const left = box.x + (box.width - each.inner.width) / 2;
      flatten(each.inner, left, box.y + INSIDE.top, depth + 1, boxes, lines);
    }
  }
  return { boxes, lines, width: laid.width, height: laid.height };
}
