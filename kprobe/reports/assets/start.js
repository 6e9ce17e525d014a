// What is read first is put on the page first; the rest follows when that is painted.

const KINDS = { dump: "Dump", statistics: "Statistics", comparison: "Comparison" };
const LEVELS = { bad: "Fault", warn: "Note well", good: "Fine", note: "Note" };

function drawHead() {
  at("kind").textContent = `${KINDS[data.kind]} · kprobe report`;
  at("title").textContent = show(data.title);
  at("verdict").replaceChildren(make("span", { class: `mark ${data.level}`, "aria-hidden": "true" }), show(data.verdict, 1000));
  const parts = [...document.querySelectorAll("main > section:not([hidden]) > h2")];
  at("parts").replaceChildren(...parts.map((title) => make("a", { href: `#${title.id}` }, title.textContent)));
  at("maker").textContent = `Made by kprobe ${data.version}. Nothing on this page is fetched from anywhere.`;
}

function drawFindings() {
  at("findings").replaceChildren(
    ...data.findings.map((finding) => {
      const text = [make("span", { class: `mark ${finding.level}`, role: "img", "aria-label": LEVELS[finding.level] }), make("span", {}, show(finding.text, 1000))];
      if (finding.flag && Object.hasOwn(data.flags, finding.flag)) {
        const button = make("button", { type: "button" }, "Show in the table");
        button.setAttribute("aria-label", `Show in the table: ${data.flags[finding.flag]}`);
        button.addEventListener("click", () => {
          at("filter").value = "";
          choose({ flag: finding.flag, filter: "" });
          at("layers-title").scrollIntoView();
          at("layers-title").focus({ preventScroll: true });
        });
        text.push(button);
      }
      return make("li", { class: finding.level }, ...text);
    }),
  );
  at("findings").parentElement.hidden = !data.findings.length;
}

function drawOrigin() {
  at("origin").replaceChildren(
    ...data.facts.flatMap(([title, text]) => [make("dt", {}, show(title)), make("dd", {}, show(text, 2000))]),
  );
}

if (data.kind === "comparison") {
  at("maps-hint").textContent = "The channels that differ most. Both sides of a layer have one scale.";
}
at("network").hidden = !data.tree.length;
at("maps").hidden = !data.layers.some((layer) => layer.maps);
drawFindings();
drawHead();
drawOrigin();
const waiting = [startTable, startLayer, startGraph, startGallery];
function goOn() {
  const next = waiting.shift();
  if (next) {
    next();
    setTimeout(goOn);
  } else document.documentElement.dataset.ready = "yes";
}
requestAnimationFrame(() => setTimeout(goOn));
