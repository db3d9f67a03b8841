// One run: its phases, relations, chunks, errors, manifest and log.

import { get, post } from "../api.js";
import { chunkMap } from "../chunk_map.js";
import { bytes, fill, h, moment, notice, number, problem, runLink, seconds, since, state, table } from "../dom.js";

/** The log's lines that are kept on the page. */
const LINES = 500;

/** How long a cancel waits before it tells what still lives. */
const CANCEL_SECS = 30;

const PHASES = ["queued", "planning", "reading", "committing"];

export async function run(main, { events, session, go }, id) {
  const path = `/runs/${encodeURIComponent(id)}`;
  let shown = await get(path);
  const head = h("div");
  const timeline = h("ol", { class: "timeline card", "aria-label": "Phases" });
  const outcome = h("div");
  const relations = h("div");
  const map = chunkMap(path);
  const executors = h("div");
  const attempts = h("div");
  const happened = h("div");
  const manifest = h("div");
  const log = h("pre", { tabindex: "0", "aria-label": "Log", role: "log" });
  const lines = [];

  const show = () => {
    fill(head, header(shown, session, { cancel, retry }));
    fill(timeline, phases(shown));
    showOutcome();
    showRelations(shown.progress?.relations ?? shown.relations);
    fill(attempts, attemptTable(shown.attempts.filter((attempt) => attempt.class || attempt.finished)));
    fill(executors, shown.executors.length ? [h("h2", {}, "Executors"), executorTable(shown.executors)] : null);
    fill(happened, shown.events.length ? table("What happened", [
      { title: "When", cell: (event) => moment(event.at) },
      { title: "What", long: true, cell: (event) => event.text },
    ], shown.events, "") : h("p", { class: "quiet" }, "Nothing else happened."));
    if (shown.state === "succeeded") fill(manifest, manifestOf(path));
  };
  const showOutcome = () => fill(outcome, facts(shown), shown.report?.error ? problem(shown.report.error) : null);
  const showRelations = (rows) => fill(relations, table("Relations", [
    { title: "Relation", cell: (relation) => relation.name },
    { title: "Done", cell: (relation) => h("progress", { max: "1", value: String(relation.fraction ?? share(relation)), "aria-label": `Done of ${relation.name}` }) },
    { title: "Chunks", number: true, cell: (relation) => `${number(relation.done)} of ${number(relation.chunks)}` },
    { title: "Rows", number: true, cell: (relation) => number(relation.rows) },
    { title: "Bytes", number: true, cell: (relation) => bytes(relation.bytes) },
  ], rows, shown.finished ? "None." : "Not planned yet."));
  const reload = async () => {
    try {
      shown = await get(path);
      show();
      await map.load();
    } catch (error) {
      if (error.status) fill(outcome, problem(error));
    }
  };
  const act = async (work) => {
    try {
      await work();
    } catch (error) {
      fill(outcome, problem(error));
    }
    await reload();
  };
  const cancel = () => confirm(`Cancel the run of ${shown.job}? Nothing of it is published.`) && act(async () => {
    notice("Cancelling …");
    const done = await post(`${path}/cancel`, { deadline_seconds: CANCEL_SECS });
    notice(done.is_over ? `The run is ${done.state}.` : `Still alive after ${CANCEL_SECS} s: ${done.alive.join(", ")}`);
  });
  const retry = () => act(async () => {
    const next = await post(`${path}/retry`, {});
    notice("Another attempt is asked for.");
    go(`/ui/runs/${encodeURIComponent(next.run)}`);
  });
  const addLine = (line) => {
    const isAtEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 8;
    lines.push(line);
    log.append(h("div", {}, `${line.at.slice(11, 23)} ${line.level.toUpperCase().padEnd(5)} ${line.text}${fieldsOf(line)}`));
    if (lines.length > LINES) { lines.shift(); log.firstChild.remove(); }
    if (isAtEnd) log.scrollTop = log.scrollHeight;
  };

  fill(main, head, timeline, outcome, h("h2", {}, "Relations"), relations, h("h2", {}, "Chunks"), map.element,
    executors, h("h2", {}, "Attempts that failed"), attempts, h("h2", {}, "Events"), happened, manifest,
    h("h2", {}, "Log"), log);
  show();
  await map.load();
  const first = await get(`${path}/log`);
  let after = first.next;
  first.lines.forEach(addLine);
  if (!lines.length) fill(log, h("div", { class: "quiet" }, "The daemon keeps only the newest lines: none of this run."));

  let due = null;
  const soon = () => { due ??= setTimeout(() => { due = null; reload(); }, 200); };
  const end = events.follow((kind, data) => {
    if (kind === "log") {
      if (data.id <= after) return;
      if (!lines.length) log.replaceChildren();
      after = data.id;
      addLine(data);
    } else if (kind === "progress") {
      const mine = data.find((active) => active.run === id);
      if (!mine) return;
      shown.progress = mine;
      showOutcome();
      showRelations(mine.relations);
      map.soon();
    } else if (kind === "reconnected" || data.run === id) soon();
  }, id);
  return () => { end(); map.end(); clearTimeout(due); };
}

const share = (relation) => (relation.chunks ? relation.done / relation.chunks : 0);

const fieldsOf = (line) => Object.entries(line.fields ?? {}).filter(([key]) => key !== "run" && key !== "job")
  .map(([key, value]) => `  ${key}=${value}`).join("");

function header(shown, session, { cancel, retry }) {
  const mayAct = session.role !== "viewer";
  const isOver = ["succeeded", "failed", "cancelled"].includes(shown.state);
  return [
    h("div", { class: "row between" }, h("h1", {}, shown.job), h("div", { class: "row" }, state(shown.state),
      mayAct && !isOver && shown.state !== "committing" ? h("button", { class: "danger", type: "button", onclick: cancel }, "Cancel") : null,
      mayAct && isOver && shown.state !== "succeeded" ? h("button", { class: "main", type: "button", onclick: retry }, "Try again") : null)),
    h("p", { class: "mono quiet" }, shown.run),
  ];
}

function phases(shown) {
  const at = Object.fromEntries((shown.phases ?? []).map((event) => [event.phase, event.at]));
  at.planning ??= shown.state === "queued" ? undefined : shown.created;
  const last = shown.finished ? [shown.state] : ["published"];
  const names = [...PHASES.filter((name) => name !== "queued" || at.queued), ...last];
  return names.map((name) => {
    const moment_ = name === shown.state && shown.finished ? shown.finished : at[name];
    const isNow = !shown.finished && name === shown.phase;
    const kind = isNow ? "now" : !moment_ ? "" : name === "failed" || name === "cancelled" ? "bad" : "reached";
    return h("li", { class: kind, "aria-current": isNow ? "step" : null }, h("b", {}, name), h("span", { class: "small quiet" }, moment_ ? moment(moment_) : isNow ? "now" : "–"));
  });
}

function facts(shown) {
  const report = shown.report ?? {};
  const parameters = Object.entries(shown.parameters ?? {});
  const incomplete = (report.relations ?? []).filter((relation) => relation.left_out);
  const fact = (name, value) => (value === undefined || value === null || value === "" ? null : h("div", {}, h("dt", {}, name), h("dd", {}, value)));
  return [
    h("dl", { class: "figures" },
      fact("Rows", number(report.rows ?? shown.progress?.rows ?? shown.rows_read)),
      fact("Bytes", bytes(report.bytes ?? shown.progress?.bytes)),
      fact("Took", seconds(report.seconds ?? since(shown.created))),
      fact("Consistency", report.consistency),
      fact("Restarts", shown.restarts || null),
      fact("Rows left out", incomplete.length ? number(incomplete.reduce((all, { left_out }) => all + left_out.rows, 0)) : null),
      fact("Retries", shown.tasks.failed_attempts || null)),
    h("p", { class: "small" }, shown.file ? ["Job file: ", h("code", {}, shown.file)] : null,
      shown.trigger ? ` · Asked for by ${triggerText(shown.trigger)}` : null),
    parameters.length ? h("p", { class: "small" }, "Parameters: ", h("code", {}, parameters.map(([name, value]) => `${name}=${value}`).join(" "))) : null,
    incomplete.map(({ relation, left_out }) => h("p", { class: "small quiet" }, `${relation}, rows left out: ${number(left_out.rows)}. The first: ${left_out.first}`)),
    (report.interruptions ?? []).map((text) => h("p", { class: "small quiet" }, text)),
  ];
}

function triggerText(trigger) {
  const scheduled = trigger.scheduled ? `, scheduled for ${trigger.scheduled}` : "";
  const by = trigger.requested_by ? `, ${trigger.requested_by}` : "";
  return `${trigger.kind}${scheduled}${by}`;
}

const executorTable = (executors) => table("Executors", [
  { title: "Executor", cell: (one) => one.executor },
  { title: "Running", number: true, cell: (one) => number(one.running) },
  { title: "Done", number: true, cell: (one) => number(one.done) },
  { title: "Failed", number: true, cell: (one) => number(one.failed) },
], executors, "None.");

const attemptTable = (attempts) => table("Attempts", [
  { title: "Began", cell: (attempt) => moment(attempt.started) },
  { title: "Relation", cell: (attempt) => attempt.relation },
  { title: "Chunk", number: true, cell: (attempt) => attempt.chunk },
  { title: "Attempt", number: true, cell: (attempt) => attempt.attempt + 1 },
  { title: "Class", cell: (attempt) => attempt.class ?? "left" },
  ...(attempts.some((attempt) => attempt.executor) ? [{ title: "Executor", cell: (attempt) => attempt.executor }] : []),
  { title: "Who must act", cell: (attempt) => attempt.who_must_act },
  { title: "Error", long: true, cell: (attempt) => attempt.error },
], attempts, "None.");

/** The manifest is large: it is read when somebody opens it. */
function manifestOf(path) {
  const place = h("div", {}, "Loading …");
  const open = async (event) => {
    if (!event.target.open || place.dataset.loaded) return;
    place.dataset.loaded = "yes";
    try {
      const manifest = await get(`${path}/manifest`);
      fill(place, parts(manifest), h("pre", { tabindex: "0", "aria-label": "Manifest" }, JSON.stringify(manifest, null, 2).slice(0, 200_000)));
    } catch (error) {
      fill(place, problem(error));
    }
  };
  return [h("h2", {}, "Parts and manifest"),
    h("details", { ontoggle: open }, h("summary", {}, "Show what was published"), place)];
}

function parts(manifest) {
  const all = manifest.relations.flatMap((relation) => relation.parts.map((part) => ({ ...part, relation: relation.published_as })));
  const shown = all.slice(0, 500);
  return [
    h("p", { class: "small quiet" }, `Snapshot: ${manifest.snapshot ? `${manifest.snapshot.id} of ${manifest.snapshot.source}` : "none"}. Plugins: ${manifest.plugins.map((plugin) => `${plugin.name} ${plugin.version}`).join(", ")}.`),
    table("Parts", [
      { title: "Relation", cell: (part) => part.relation },
      { title: "File", cell: (part) => part.file },
      { title: "Chunk", number: true, cell: (part) => part.chunk },
      { title: "Rows", number: true, cell: (part) => number(part.rows) },
      { title: "Bytes", number: true, cell: (part) => bytes(part.bytes) },
    ], shown, "No part."),
    all.length > shown.length ? h("p", { class: "small quiet" }, `The first ${shown.length} of ${number(all.length)} parts.`) : null,
  ];
}
