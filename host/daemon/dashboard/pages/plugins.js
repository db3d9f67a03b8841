// The plugins that serve.

import { get } from "../api.js";
import { fill, h, state, table } from "../dom.js";

export async function plugins(main) {
  const { plugins: list } = await get("/plugins");
  fill(main, h("h1", {}, "Plugins"), table("Plugins", [
    { title: "Name", cell: (plugin) => plugin.name },
    { title: "Version", cell: (plugin) => plugin.version },
    { title: "Kind", cell: (plugin) => plugin.kind },
    { title: "Contract", cell: (plugin) => plugin.contract },
    { title: "Digest", cell: (plugin) => h("code", { title: plugin.digest }, plugin.digest?.replace("sha256:", "").slice(0, 12)) },
    { title: "May use", long: true, cell: (plugin) => grants(plugin) },
    { title: "Signed by", cell: (plugin) => plugin.signer ?? "nobody" },
    { title: "State", cell: (plugin) => state(plugin.error ? "failed" : "serves") },
    { title: "Problem", long: true, cell: (plugin) => plugin.error ?? "" },
  ], list, "No plugin serves."));
}

function grants(plugin) {
  const given = plugin.grants ?? plugin.capabilities ?? [];
  return Array.isArray(given) ? given.join(", ") : String(given);
}
