// Standing jobs and their schedules.

import { get, post } from "../api.js";
import { fill, h, moment, notice, problem, runLink, seconds, state, table } from "../dom.js";

const path = (name, action = "") => `/schedules/${encodeURIComponent(name)}${action}`;

export async function schedules(main, { session, events }) {
  const place = h("div");
  const reload = async () => {
    const list = await get("/schedules");
    fill(place, table("Schedules", [
      { title: "Job", cell: (row) => h("a", { href: `/ui/schedules/${encodeURIComponent(row.name)}` }, row.name) },
      { title: "When", cell: (row) => row.recurrence ?? "when asked for" },
      { title: "Next", cell: (row) => row.paused ? state("paused") : moment(row.next) },
      { title: "Last run", cell: (row) => row.last ? h("span", { class: "row" }, state(row.last.state), runLink(row.last.run, "show")) : "never" },
      { title: "For", cell: (row) => moment(row.last?.scheduled) },
      { title: "Problem", long: true, cell: (row) => row.problem ?? (row.paused ? `paused: ${row.paused.reason}` : "") },
      { title: "Actions", cell: (row) => session.role === "viewer" ? null : actions(row, reload) },
    ], list.schedules, "No standing job: start the daemon with --jobs-dir, and put job files there."));
  };
  fill(main, h("h1", {}, "Schedules"), place);
  await reload();
  return live(events, reload);
}

export async function schedule(main, { session, events }, name) {
  const place = h("div");
  const reload = async () => {
    const shown = await get(path(name));
    fill(place,
      h("div", { class: "row between" }, h("h1", {}, shown.name), session.role === "viewer" ? null : actions(shown, reload)),
      shown.problem ? problem({ message: shown.problem }) : null,
      shown.paused ? h("p", {}, state("paused"), ` since `, moment(shown.paused.since), `: ${shown.paused.reason}`) : null,
      h("p", {}, `${shown.recurrence ?? "Runs when asked for"} · jitter ${seconds(shown.jitter_secs)} · overlap: ${shown.overlap} · catch-up: ${shown.catch_up}, within ${seconds(shown.window_secs)}`),
      shown.needs.length ? h("p", {}, `After: ${shown.needs.join(", ")}`) : null,
      h("p", { class: "small quiet" }, h("code", {}, shown.job_file)),
      h("div", { class: "two" },
        h("div", {}, h("h2", {}, "Next"), table("Next times", [
          { title: "Scheduled", cell: (time) => moment(time.scheduled) },
          { title: "Starts", cell: (time) => moment(time.starts) },
        ], shown.upcoming, "No time is scheduled.")),
        h("div", {}, h("h2", {}, "Runs"), table("Runs", [
          { title: "For", cell: (row) => moment(row.scheduled ?? row.requested) },
          { title: "Asked for by", cell: (row) => row.kind },
          { title: "State", cell: (row) => state(row.state) },
          { title: "Run", cell: (row) => runLink(row.run, "show") },
        ], shown.runs, "None yet."))),
      h("h2", {}, "What happened"), table("What happened", [
        { title: "When", cell: (event) => moment(event.at) },
        { title: "Kind", cell: (event) => event.kind },
        { title: "What", long: true, cell: (event) => event.text },
      ], shown.events ?? [], "Nothing."));
  };
  fill(main, place);
  await reload();
  return live(events, reload);
}

function live(events, reload) {
  let due = null;
  const soon = () => { due ??= setTimeout(() => { due = null; reload().catch(() => {}); }, 400); };
  const end = events.follow((kind) => { if (kind === "run" || kind === "reconnected") soon(); });
  return () => { end(); clearTimeout(due); };
}

function actions(shown, reload) {
  const act = async (action, body, done) => {
    try {
      await post(path(shown.name, action), body);
      notice(done);
    } catch (error) {
      notice(`${error.message}${error.next_step ? `. Next: ${error.next_step}` : ""}`);
    }
    await reload();
  };
  const button = (text, work) => h("button", { type: "button", "aria-label": `${text}: ${shown.name}`, onclick: work }, text);
  return h("span", { class: "row" },
    button("Run now", () => act("/run-now", {}, `${shown.name}: a run is asked for.`)),
    shown.paused
      ? button("Resume", () => act("/resume", {}, `${shown.name}: resumed.`))
      : button("Pause", () => act("/pause", { reason: "paused in the dashboard" }, `${shown.name}: paused.`)),
    button("Backfill", () => backfill(shown.name, (range) => act("/backfill", range, `${shown.name}: the runs are asked for.`))));
}

function backfill(name, ask) {
  const submit = (event) => {
    const { from, to } = Object.fromEntries(new FormData(event.target));
    ask({ from: new Date(from).toISOString(), to: new Date(to).toISOString() });
  };
  const dialog = h("dialog", { "aria-labelledby": "backfill", onclose: () => dialog.remove() },
    h("form", { method: "dialog", onsubmit: submit },
      h("h2", { id: "backfill" }, `Backfill ${name}`),
      h("p", { class: "small quiet" }, "One run for each scheduled time from the first moment up to, and without, the second; one after the other."),
      h("div", { class: "row" },
        h("label", {}, "From", h("input", { type: "datetime-local", name: "from", required: true })),
        h("label", {}, "To", h("input", { type: "datetime-local", name: "to", required: true }))),
      h("p", { class: "row" }, h("button", { class: "main" }, "Ask for the runs"),
        h("button", { type: "button", onclick: () => dialog.close() }, "Close"))));
  document.body.append(dialog);
  dialog.showModal();
}
