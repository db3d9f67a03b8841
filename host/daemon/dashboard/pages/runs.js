// Runs, by filters; a page at a time, so that 100,000 are as quick as 100.

import { get } from "../api.js";
import { fill, h, problem } from "../dom.js";
import { runTable } from "./overview.js";

const STATES = ["", "running", "committing", "interrupted", "succeeded", "failed", "cancelled"];

export async function runs(main, { events, go }) {
  const query = Object.fromEntries(new URLSearchParams(location.search));
  const list = h("div", { "aria-live": "off" });
  const newer = h("button", { type: "button", onclick: () => turn(-1) }, "Newer");
  const older = h("button", { type: "button", onclick: () => turn(1) }, "Older");
  const cursors = [null];
  let next = null;

  const load = async () => {
    const { since, until, ...rest } = query;
    const moments = { since: instant(since), until: instant(until) };
    const page = await get("/runs", { ...rest, ...moments, cursor: cursors.at(-1) });
    next = page.next;
    fill(list, runTable("Runs", page.runs));
    newer.disabled = cursors.length === 1;
    older.disabled = next === null;
  };
  const reload = () => load().catch((error) => fill(list, problem(error)));
  const turn = (step) => {
    if (step > 0) cursors.push(next);
    else cursors.pop();
    reload();
  };
  const search = (event) => {
    event.preventDefault();
    const given = [...new FormData(event.target)].filter(([, value]) => value !== "");
    go(`/ui/runs?${new URLSearchParams(given)}`);
  };
  const field = (name, label, properties = {}) =>
    h("label", {}, label, h("input", { name, value: query[name] ?? "", ...properties }));
  const option = (name) => h("option", { value: name, selected: query.state === name }, name || "any");

  fill(main, h("h1", {}, "Runs"),
    h("form", { class: "filters", role: "search", onsubmit: search },
      field("search", "Text in job or id", { type: "search" }), field("job", "Job"),
      h("label", {}, "State", h("select", { name: "state" }, STATES.map(option))),
      field("since", "Began since", { type: "datetime-local" }), field("until", "Began before", { type: "datetime-local" }),
      h("button", { class: "main" }, "Filter"), h("a", { href: "/ui/runs" }, "Clear")),
    list, h("div", { class: "row" }, newer, older));
  await load();

  let due = null;
  const end = events.follow((kind) => {
    // Only the first page changes.
    if ((kind === "run" || kind === "reconnected") && cursors.length === 1) {
      due ??= setTimeout(() => { due = null; reload(); }, 300);
    }
  });
  return () => { end(); clearTimeout(due); };
}

const instant = (local) => (local ? new Date(local).toISOString() : undefined);
