// Elements, and how figures and moments are written.

/** Makes an element. Properties that begin with `on` are listeners; children are elements or texts. */
export function h(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "class") element.className = value;
    else if (key in element && typeof value !== "string") element[key] = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export function svg(name, properties = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(properties)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** Replaces what an element holds. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** A table. Columns are `{ title, number, long, cell(row) }`. */
export function table(caption, columns, rows, empty) {
  const head = columns.map((column) => h("th", { scope: "col", class: column.number ? "number" : null }, column.title));
  const cell = (column, row) => h("td", { class: column.number ? "number" : column.long ? "long" : null }, column.cell(row) ?? "–");
  const body = rows.map((row) => h("tr", {}, columns.map((column) => cell(column, row))));
  if (!rows.length) body.push(h("tr", {}, h("td", { colspan: String(columns.length), class: "quiet" }, empty)));
  // What scrolls sideways can be reached by the keyboard.
  return h("div", { class: "table", tabindex: "0", role: "region", "aria-label": caption },
    h("table", {}, h("thead", {}, h("tr", {}, head)), h("tbody", {}, body)));
}

export const state = (name) => h("span", { class: `state ${name}` }, name);

export const runLink = (run, text = run) => h("a", { href: `/ui/runs/${encodeURIComponent(run)}`, class: text === run ? "mono" : null }, text);

const whole = new Intl.NumberFormat("en");
export const number = (value) => (value === null || value === undefined ? "–" : whole.format(Math.round(value)));

/** How many, and of what: `1 chunk`, `2 chunks`. */
export const counted = (value, noun) => `${number(value)} ${noun}${value === 1 ? "" : "s"}`;

export function bytes(value) {
  if (value === null || value === undefined) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let at = 0;
  while (value >= 1024 && at < units.length - 1) { value /= 1024; at += 1; }
  return `${at === 0 ? value : value.toFixed(1)} ${units[at]}`;
}

export function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (value < 1) return `${Math.round(value * 1000)} ms`;
  if (value < 60) return `${value.toFixed(value < 10 ? 1 : 0)} s`;
  const whole = Math.round(value);
  const parts = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const first = parts.findIndex(([size]) => whole >= size);
  return parts.slice(first, first + 2)
    .map(([size, unit], at) => [Math.floor((at ? whole % parts[first][0] : whole) / size), unit])
    .filter(([count]) => count > 0).map(([count, unit]) => `${count} ${unit}`).join(" ");
}

const here = new Intl.DateTimeFormat("sv-SE", { dateStyle: "short", timeStyle: "medium" });

/** A moment in the reader's time zone; the moment itself is its title. */
export function moment(text) {
  if (!text) return "–";
  return h("time", { datetime: text, title: text }, here.format(new Date(text)));
}

export const since = (text) => (Date.now() - new Date(text).getTime()) / 1000;

/** An error of the API: what happened, who must act, what to do. */
export function problem(error) {
  const also = (error.also ?? []).map((other) => h("p", { class: "small" }, other.message));
  return h("div", { class: "problem", role: "alert" },
    h("p", {}, h("b", {}, error.class ? `${error.class}: ` : ""), error.message),
    also,
    error.owner || error.who_must_act ? h("p", { class: "small quiet" }, `Who must act: ${error.owner ?? error.who_must_act}`) : null,
    error.next_step ? h("p", { class: "small" }, `Next: ${error.next_step}`) : null);
}

/** Says something in passing. */
export function notice(text) {
  const place = document.getElementById("notice");
  place.textContent = text;
  clearTimeout(notice.timer);
  notice.timer = setTimeout(() => { place.textContent = ""; }, 8000);
}
