// The map of a run's chunks: a square for each, drawn on a canvas, so that 10,000 are as quick as 10.

import { get } from "./api.js";
import { bytes, counted, fill, h, number } from "./dom.js";

/** The states, by their letters. */
const STATES = {
  d: ["done", "chunk-done"],
  r: ["under way", "chunk-running"],
  a: ["tried again", "chunk-retry"],
  f: ["failed", "chunk-failed"],
  ".": ["waiting", "chunk-waiting"],
};

const GAP = 1;
const LARGEST = 18;
const SMALLEST = 4;

/** How often it is drawn again while chunks are read. */
const REDRAW_MILLIS = 1000;

/** The map of the run at an API's path: `element`, `load()`, `soon()`, `end()`. */
export function chunkMap(path) {
  const element = h("div");
  let maps = [];
  let due = null;
  const load = async () => {
    const found = await get(`${path}/chunks`);
    const relations = found.relations.filter((relation) => relation.chunks > 0);
    const isSame = maps.length === relations.length && maps.every((map, at) => map.name === relations[at].name);
    if (!isSame) {
      maps = relations.map((relation) => relationMap(path, relation.name));
      fill(element, maps.length ? maps.map((map) => map.element) : h("p", { class: "quiet" }, "None: the run is not planned, or it is over and its manifest has them."));
    }
    relations.forEach((relation, at) => maps[at].draw(relation));
  };
  const soon = () => { due ??= setTimeout(() => { due = null; load().catch(() => {}); }, REDRAW_MILLIS); };
  const resized = new ResizeObserver(() => maps.forEach((map) => map.redraw()));
  resized.observe(element);
  return { element, load, soon, end: () => { clearTimeout(due); resized.disconnect(); } };
}

function relationMap(path, name) {
  const canvas = h("canvas", { class: "chunks", role: "img", tabindex: "0" });
  const title = h("h3", {}, name);
  const legend = h("ul", { class: "legend" });
  const detail = h("p", { class: "small", "aria-live": "polite" }, "Choose a chunk with the mouse, or with the arrow keys.");
  const element = h("section", { class: "card", "aria-label": `Chunks of ${name}` }, title, canvas, legend, detail);
  let relation = null;
  let grid = { size: LARGEST, columns: 1 };
  let chosen = null;

  const redraw = () => {
    if (!relation || !canvas.clientWidth) return;
    const count = relation.states.length;
    const width = canvas.clientWidth;
    const size = Math.max(SMALLEST, Math.min(LARGEST, Math.floor(Math.sqrt((width * 220) / Math.max(count, 1)))));
    const columns = Math.max(1, Math.floor(width / size));
    grid = { size, columns };
    const height = Math.ceil(count / columns) * size;
    const ratio = window.devicePixelRatio || 1;
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    canvas.style.height = `${height}px`;
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    const colours = colourTable(legend);
    for (let chunk = 0; chunk < count; chunk += 1) {
      pen.fillStyle = colours[relation.states[chunk]] ?? colours["."];
      pen.fillRect((chunk % columns) * size, Math.floor(chunk / columns) * size, size - GAP, size - GAP);
    }
    if (chosen !== null && chosen < count) {
      pen.strokeStyle = getComputedStyle(canvas).color;
      pen.lineWidth = 2;
      pen.strokeRect((chosen % columns) * size, Math.floor(chosen / columns) * size, size - GAP, size - GAP);
    }
  };
  const draw = (now) => {
    relation = now;
    const counts = {};
    for (const letter of now.states) counts[letter] = (counts[letter] ?? 0) + 1;
    const told = Object.entries(STATES).map(([letter, [word, kind]]) => [counts[letter] ?? 0, word, kind]);
    title.textContent = `${name}: ${counted(now.states.length, "chunk")}`;
    fill(legend, told.map(([count, word, kind]) => h("li", {}, h("i", { class: kind }), `${number(count)} ${word}`)));
    canvas.setAttribute("aria-label", `${name}: ${told.filter(([count]) => count).map(([count, word]) => `${counted(count, "chunk")} ${word}`).join(", ")}`);
    redraw();
  };
  const choose = async (chunk) => {
    if (chunk < 0 || chunk >= relation.states.length) return;
    chosen = chunk;
    redraw();
    const word = STATES[relation.states[chunk]]?.[0] ?? "waiting";
    const attempts = relation.attempts.find(([at]) => at === chunk)?.[1] ?? 1;
    detail.textContent = `Chunk ${chunk}: ${word}${attempts > 1 ? `, ${attempts} attempts` : ""}`;
    try {
      const more = await get(`${path}/chunks/${encodeURIComponent(name)}/${chunk}`);
      if (chosen !== chunk) return;
      const errors = more.attempts.filter((attempt) => attempt.error).map((attempt) => `attempt ${attempt.attempt + 1}: ${attempt.error}`);
      const rows = more.rows === null ? "" : `, about ${counted(more.rows, "row")}`;
      const size = more.bytes === null ? "" : `, ${bytes(more.bytes)}`;
      detail.textContent += `, ${more.label}${rows}${size}${errors.length ? `. ${errors.join("; ")}` : ""}`;
    } catch {
      // The manifest has the chunks of a run that is over.
    }
  };
  canvas.addEventListener("click", (event) => {
    const column = Math.floor(event.offsetX / grid.size);
    choose(Math.floor(event.offsetY / grid.size) * grid.columns + Math.min(column, grid.columns - 1));
  });
  canvas.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -grid.columns, ArrowDown: grid.columns };
    const step = steps[event.key];
    if (step === undefined) return;
    event.preventDefault();
    choose(chosen === null ? 0 : chosen + step);
  });
  return { element, name, draw, redraw };
}

/** The colours of the legend's classes, which follow the light or dark mode. */
function colourTable(legend) {
  const colours = {};
  for (const [letter, [, kind]] of Object.entries(STATES)) {
    const square = legend.querySelector(`.${kind}`);
    colours[letter] = square ? getComputedStyle(square).backgroundColor : "gray";
  }
  return colours;
}
