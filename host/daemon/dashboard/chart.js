// A line of the last minutes.

import { h, svg } from "./dom.js";

/** How many samples a chart has, at two a second. */
const SAMPLES = 240;

/** A chart that takes samples with `add(value)`; `text(value)` writes the newest and the highest. */
export function chart(title, text) {
  const samples = [];
  const area = svg("path", { class: "area" });
  const line = svg("path");
  const picture = svg("svg", { class: "chart", viewBox: `0 0 ${SAMPLES} 100`, preserveAspectRatio: "none", "aria-hidden": "true" }, area, line);
  const caption = h("figcaption", { class: "small quiet" }, title);
  const figure = h("figure", { class: "card" }, caption, picture);
  figure.add = (value) => {
    samples.push(value);
    if (samples.length > SAMPLES) samples.shift();
    const most = Math.max(...samples, 1);
    const start = SAMPLES - samples.length;
    const points = samples.map((sample, at) => `${start + at},${(98 - (sample / most) * 94).toFixed(1)}`);
    line.setAttribute("d", `M${points.join("L")}`);
    area.setAttribute("d", `M${start},98L${points.join("L")}L${SAMPLES - 1},98Z`);
    caption.textContent = `${title}: ${text(value)} now, ${text(most)} at most`;
  };
  return figure;
}
