// Sources: whether a connection works.

import { get, post } from "../api.js";
import { fill, h, problem, table } from "../dom.js";

/** The relations that are listed. */
const SHOWN = 200;

const EXAMPLE = `source: { url: "postgres://reader@db.example/shop" }
tables: [orders]
target: { url: "file:///srv/lake" }
`;

export async function sources(main, { session }) {
  const { schedules: jobs } = await get("/schedules");
  const answer = h("div", { "aria-live": "polite" });
  const text = h("textarea", { id: "job", spellcheck: "false" });
  text.value = EXAMPLE;
  const test = async (send) => {
    fill(answer, h("p", { class: "quiet" }, "Testing …"));
    try {
      fill(answer, result(await send()));
    } catch (error) {
      fill(answer, problem(error));
    }
  };
  const mayAct = session.role !== "viewer";
  const ofText = () => test(() => post("/sources/test", text.value, { type: "application/yaml" }));
  const ofJob = (name) => test(() => post(`/schedules/${encodeURIComponent(name)}/test`));
  fill(main, h("h1", {}, "Sources"),
    jobs.length ? [h("h2", {}, "Of standing jobs"), h("ul", {}, jobs.map((job) =>
      h("li", {}, job.name, " ", mayAct ? h("button", { type: "button", "aria-label": `Test: ${job.name}`, onclick: () => ofJob(job.name) }, "Test") : null)))] : null,
    h("h2", {}, "Of a job"), h("label", { for: "job" }, "Job file (YAML); only its source is used"), text,
    h("p", {}, h("button", { class: "main", type: "button", disabled: !mayAct, onclick: ofText }, "Test the connection")), answer);
}

function result(found) {
  return [
    h("dl", { class: "figures" }, ["source", "target", "register"].filter((part) => found[part]).map((part) =>
      h("div", {}, h("dt", {}, part), h("dd", { class: "small" }, found[part])))),
    table("What can be read", [{ title: "Relation", cell: (name) => name }], found.relations.slice(0, SHOWN), "The source lists nothing."),
    found.relations.length > SHOWN ? h("p", { class: "small quiet" }, `The first ${SHOWN} of ${found.relations.length}.`) : null,
  ];
}
