// The overview: what runs now, what waits, how the last day went.

import { get } from "../api.js";
import { chart } from "../chart.js";
import { bytes, counted, fill, h, moment, number, problem, runLink, seconds, since, state, table } from "../dom.js";

/** More relations than this are summed up. */
const RELATIONS = 6;

/** How often what no event tells is asked for. */
const REFRESH_MILLIS = 5000;

export async function overview(main, { events }) {
  const rows = chart("Rows per second", number);
  const volume = chart("Bytes per second", (value) => `${bytes(value)}/s`);
  const figures = h("dl", { class: "figures" });
  const active = h("div");
  const queue = h("div");
  const recent = h("div");
  let shown = await get("/overview");

  const showFigures = () => {
    const { memory, counts } = shown;
    const figure = (name, value, extra) => h("div", {}, h("dt", {}, name), h("dd", {}, value, extra));
    fill(figures,
      figure("Running", `${shown.active.length} of ${shown.jobs_at_once}`),
      figure("Waiting", number(shown.queue.length)),
      figure("Memory", bytes(memory.used_bytes), [
        h("span", { class: "quiet small" }, ` of ${bytes(memory.budget_bytes)}`),
        h("meter", { min: "0", max: String(memory.budget_bytes), value: String(memory.used_bytes), "aria-label": "Memory of rows against the budget" }),
      ]),
      figure("Succeeded, 24 h", number(counts.succeeded)),
      figure("Failed, 24 h", number(counts.failed)),
      figure("Interrupted", number(counts.interrupted)));
  };
  const showActive = (runs) => {
    fill(active, runs.length ? runs.map(card) : h("p", { class: "card quiet" }, "No job is running."));
  };
  const showQueue = () => fill(queue, shown.queue.length ? table("Waiting", [
    { title: "Job", cell: (waiting) => waiting.job },
    { title: "Asked for by", cell: (waiting) => waiting.trigger },
    { title: "Run", cell: (waiting) => runLink(waiting.run) },
  ], shown.queue, "") : h("p", { class: "card quiet" }, "Nothing waits."));
  const refresh = async () => {
    try {
      const [now, ended] = await Promise.all([get("/overview"), get("/runs", { limit: 8 })]);
      shown = now;
      showFigures();
      showActive(now.active);
      showQueue();
      fill(recent, runTable("Newest runs", ended.runs));
    } catch (error) {
      if (error.status) fill(recent, problem(error));
    }
  };

  fill(main, h("h1", {}, "Overview"), figures, h("div", { class: "two" }, rows, volume),
    h("h2", {}, "Running"), active, h("h2", {}, "Waiting"), queue, h("h2", {}, "Newest runs"), recent);
  await refresh();

  let due = null;
  const soon = () => { due ??= setTimeout(() => { due = null; refresh(); }, 150); };
  const end = events.follow((kind, data) => {
    if (kind === "progress") {
      rows.add(total(data, "rows_per_second"));
      volume.add(total(data, "bytes_per_second"));
      showActive(data);
    } else if (kind !== "log") soon();
  });
  const timer = setInterval(refresh, REFRESH_MILLIS);
  return () => { end(); clearInterval(timer); clearTimeout(due); };
}

const total = (runs, key) => runs.reduce((sum, run) => sum + run[key], 0);

function card(run) {
  const chunks = total(run.relations, "chunks");
  const fraction = chunks ? run.relations.reduce((sum, relation) => sum + relation.fraction * relation.chunks, 0) / chunks : 0;
  const shown = run.relations.filter((relation) => relation.fraction < 1).slice(0, RELATIONS);
  const rest = run.relations.length - shown.length;
  return h("section", { class: "card", "aria-label": `Run of ${run.job}` },
    h("div", { class: "row between" },
      h("h3", {}, runLink(run.run, run.job)),
      h("span", { class: "row small" }, state(run.phase), h("span", {}, counted(run.rows, "row")),
        h("span", {}, `${number(run.rows_per_second)} rows/s`), h("span", {}, `${bytes(run.bytes_per_second)}/s`),
        h("span", {}, run.eta_seconds === null ? `since ${seconds(since(run.started))}` : `${seconds(run.eta_seconds)} to go`))),
    bar("All relations", fraction, run.job),
    h("div", { class: "bars small" }, shown.map((relation) => [
      h("span", {}, relation.name), bar(relation.name, relation.fraction, run.job),
      h("span", { class: "quiet" }, `${number(relation.done)} of ${counted(relation.chunks, "chunk")}`)])),
    rest > 0 && shown.length ? h("p", { class: "small quiet" }, `and ${rest} more: done, or not begun`) : null);
}

const bar = (name, fraction, job) => h("progress", { max: "1", value: String(fraction), "aria-label": `${name} of ${job}` });

/** Runs, a line each. */
export function runTable(caption, runs) {
  return table(caption, [
    { title: "Began", cell: (run) => moment(run.created) },
    { title: "Job", cell: (run) => runLink(run.run, run.job) },
    { title: "State", cell: (run) => state(run.state) },
    { title: "Rows", number: true, cell: (run) => number(run.report?.rows ?? run.rows_read) },
    { title: "Took", number: true, cell: (run) => seconds(run.report?.seconds ?? (run.finished ? null : since(run.created))) },
    { title: "Asked for by", cell: (run) => run.report?.trigger?.kind ?? (run.owner === "command" ? "command" : "file") },
    { title: "Error", long: true, cell: (run) => run.report?.error ? `${run.report.error.class}: ${run.report.error.message}` : "" },
  ], runs, "No run is like this.");
}
