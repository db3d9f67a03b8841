// A job: written, checked while it is typed, planned, previewed and submitted.

import { get, post } from "../api.js";
import { fill, h, notice, number, problem, table } from "../dom.js";

/** How long nothing is typed before the job is checked. */
const CHECK_MILLIS = 300;

const KEPT = "longshore-job";

const EXAMPLE = `source: { url: "tpch:", scale: 0.1 }
tables: [orders, customer]
target: { url: "file:///srv/lake" }
`;

export async function submit(main, { session, go }) {
  const schema = await get("/schema/job.json");
  const name = h("input", { id: "name", value: "job", required: true });
  const format = h("select", { id: "format" }, ["yaml", "json", "toml"].map((each) => h("option", { value: each }, each)));
  const parameters = h("input", { id: "parameters", placeholder: "day=2026-11-20 n=7" });
  const text = h("textarea", { id: "job", spellcheck: "false", "aria-describedby": "verdict help" });
  text.value = sessionStorage.getItem(KEPT) ?? EXAMPLE;
  const verdict = h("div", { id: "verdict", "aria-live": "polite" });
  const help = h("p", { id: "help", class: "small quiet" });
  const answer = h("div", { "aria-live": "polite" });
  const mayAct = session.role !== "viewer";

  const type = () => ({ type: `application/${format.value}` });
  const values = () => Object.fromEntries(parameters.value.trim().split(/\s+/).filter(Boolean).map((pair) => {
    const at = pair.indexOf("=");
    return at < 0 ? [pair, ""] : [pair.slice(0, at), pair.slice(at + 1)];
  }));
  const query = () => {
    const pairs = Object.entries(values()).map(([key, value]) => [`param.${key}`, value]);
    return new URLSearchParams(pairs).toString();
  };
  let asked = 0;
  const check = async () => {
    asked += 1;
    const mine = asked;
    sessionStorage.setItem(KEPT, text.value);
    try {
      const found = await post(`/jobs/validate?${query()}`, text.value, type());
      if (mine !== asked) return;
      const place = found.error?.line ? `Line ${found.error.line}${found.error.column ? `, column ${found.error.column}` : ""}: ` : "";
      fill(verdict, found.valid ? h("p", { class: "small" }, h("span", { class: "state succeeded" }, "The job is valid."), found.warnings.map((warning) => ` ${warning}`))
        : problem({ ...found.error, message: `${place}${found.error.message}` }));
    } catch (error) {
      if (mine === asked) fill(verdict, problem(error));
    }
  };
  let due = null;
  const typed = () => { clearTimeout(due); due = setTimeout(check, CHECK_MILLIS); };
  const explain = () => { help.textContent = keyHelp(schema, text.value, text.selectionStart); };
  const ask = (label, work) => async () => {
    fill(answer, h("p", { class: "quiet" }, `${label} …`));
    try {
      fill(answer, await work());
    } catch (error) {
      fill(answer, problem(error));
    }
  };
  const plan = ask("Planning", async () => planView(await post(`/jobs/plan?${query()}`, text.value, type())));
  const preview = ask("Reading the first rows", async () => previewView(await post(`/jobs/preview?rows=20&${query()}`, text.value, type())));
  const send = ask("Submitting", async () => {
    const key = crypto.randomUUID?.() ?? String(Math.random());
    const done = await post("/runs", { name: name.value, document: text.value, format: format.value, parameters: values(), key });
    notice("The job is submitted.");
    go(`/ui/runs/${encodeURIComponent(done.run)}`);
  });
  text.addEventListener("input", typed);
  for (const event of ["click", "keyup", "focus"]) text.addEventListener(event, explain);
  format.addEventListener("change", typed);
  parameters.addEventListener("input", typed);

  fill(main, h("h1", {}, "Submit a job"), h("div", { class: "two" },
    h("div", {},
      h("div", { class: "row" }, h("label", {}, "Name", name), h("label", {}, "Format", format), h("label", {}, "Parameters", parameters)),
      h("p", {}, h("label", { for: "job" }, "Job file")), text, help, verdict,
      h("div", { class: "row" },
        h("button", { type: "button", onclick: plan }, "Plan"),
        h("button", { type: "button", onclick: preview, disabled: !mayAct }, "Preview"),
        h("button", { type: "button", class: "main", onclick: send, disabled: !mayAct }, "Submit"))),
    answer));
  await check();
  return () => clearTimeout(due);
}

/** What the schema says of the key on the line of the cursor. */
function keyHelp(schema, text, at) {
  const lines = text.slice(0, at).split("\n");
  const rest = text.slice(at).split("\n")[0];
  const line = lines.pop() + rest;
  const path = [];
  let depth = Infinity;
  for (const each of [...lines, line].reverse()) {
    const [, indent, key] = /^([\s-]*)"?([A-Za-z_]+)"?\s*:/.exec(each) ?? [];
    if (key !== undefined && indent.length < depth) { path.unshift(key); depth = indent.length; }
    if (depth === 0) break;
  }
  const found = path.reduce((node, key) => property(schema, node, key), schema);
  const description = found?.description ?? resolve(schema, found)?.description;
  return description ? `${path.join(".")}: ${description}` : "";
}

function resolve(schema, node) {
  const name = node?.$ref?.replace("#/$defs/", "");
  return name ? schema.$defs?.[name] : node;
}

function property(schema, node, key) {
  const open = [resolve(schema, node)];
  for (let at = 0; at < open.length && at < 50; at += 1) {
    const each = open[at];
    if (!each) continue;
    if (each.properties?.[key]) return each.properties[key];
    for (const kind of ["anyOf", "oneOf", "allOf"]) open.push(...(each[kind] ?? []).map((one) => resolve(schema, one)));
    if (each.items) open.push(resolve(schema, each.items));
  }
  return undefined;
}

function planView(plan) {
  const relations = plan.relations ?? [];
  return [h("h2", {}, "Plan"), relations.length ? table("Relations", [
    { title: "Relation", cell: (relation) => relation.name ?? relation.relation },
    { title: "Chunks", number: true, cell: (relation) => number(Array.isArray(relation.chunks) ? relation.chunks.length : relation.chunks) },
    { title: "Rows, about", number: true, cell: (relation) => number(relation.estimated_rows ?? relation.rows) },
  ], relations, "None.") : null,
  h("details", { open: !relations.length }, h("summary", {}, "All of it"), h("pre", { tabindex: "0", "aria-label": "Plan" }, JSON.stringify(plan, null, 2).slice(0, 100_000)))];
}

function previewView({ relations }) {
  return relations.map((relation) => [h("h2", {}, relation.name), table(relation.name,
    relation.columns.map((column, at) => ({ title: `${column.name} (${column.type})`, cell: (row) => row[at] ?? h("i", { class: "quiet" }, "NULL") })),
    relation.rows, "No rows.")]);
}
