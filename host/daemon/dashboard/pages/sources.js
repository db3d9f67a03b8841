// Sources: whether a connection works.

import { get, post } from "../api.js";
import { fill, h, problem } from "../dom.js";

const EXAMPLE = `source: { url: "postgres://reader@db.example/shop" }
tables: [orders]
target: { url: "file:///srv/lake" }
`;

export async function sources(main, { session }) {
  const { jobs } = await get("/jobs");
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
  const ofJob = (name) => test(() => post(`/jobs/${encodeURIComponent(name)}/test`, {}));
  fill(main, h("h1", {}, "Sources"),
    jobs.length ? [h("h2", {}, "Of standing jobs"), h("ul", {}, jobs.map((job) =>
      h("li", {}, job.name, " ", mayAct ? h("button", { type: "button", "aria-label": `Test the source of ${job.name}`, onclick: () => ofJob(job.name) }, "Test") : null)))] : null,
    h("h2", {}, "Of a job"), h("label", { for: "job" }, "Job file (YAML); only its source is used"), text,
    h("p", {}, h("button", { class: "main", type: "button", disabled: !mayAct, onclick: ofText }, "Test the connection")), answer);
}

function result(found) {
  return [h("p", { class: "card" }, "The source answers."), h("pre", { tabindex: "0", "aria-label": "What the source answers" }, JSON.stringify(found, null, 2))];
}
