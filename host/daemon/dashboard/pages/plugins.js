// The plugins that serve.

import { get } from "../api.js";
import { fill, h, state, table } from "../dom.js";

/** The digits of a digest or a key that people see, as `longshore plugin list` has it. */
const SHOWN_DIGITS = 12;

export async function plugins(main) {
  const { plugins: list } = await get("/plugins");
  fill(main, h("h1", {}, "Plugins"), table("Plugins", [
    { title: "Name", cell: (plugin) => plugin.name ?? plugin.path.split("/").pop() },
    { title: "State", cell: (plugin) => state(plugin.error ? "failed" : "serves") },
    { title: "Version", cell: (plugin) => plugin.version },
    { title: "Kind", cell: (plugin) => plugin.kind },
    { title: "Contract", cell: (plugin) => plugin.contract },
    { title: "Digest", cell: (plugin) => plugin.digest ? h("code", { title: plugin.digest }, plugin.digest.slice(0, SHOWN_DIGITS)) : null },
    { title: "Signer", cell: (plugin) => plugin.signer ? h("code", { title: plugin.signer }, plugin.signer.slice(0, SHOWN_DIGITS)) : null },
    { title: "Asks the host for", long: true, cell: (plugin) => plugin.imports?.join(", ") || "nothing" },
    { title: "What it is", long: true, cell: (plugin) => plugin.error?.message ?? plugin.summary },
  ], list, "No plugin serves."),
  h("p", { class: "small quiet" }, "What a plugin may reach is decided by each job: the servers and secrets that it names, within the policy."));
}
