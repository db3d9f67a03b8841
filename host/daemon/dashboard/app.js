// The dashboard: one page at a time in `main`, chosen by the path.

import { Events, get } from "./api.js";
import { fill, h, problem } from "./dom.js";
import { overview } from "./pages/overview.js";
import { runs } from "./pages/runs.js";
import { run } from "./pages/run.js";
import { schedule, schedules } from "./pages/schedules.js";
import { plugins } from "./pages/plugins.js";
import { sources } from "./pages/sources.js";
import { submit } from "./pages/submit.js";

// A page is shown by `(main, context, ...names)`; what it gives is called when the page is left.
const PAGES = [
  [/^\/(?:ui\/?)?$/, overview],
  [/^\/ui\/runs$/, runs],
  [/^\/ui\/runs\/([^/]+)$/, run],
  [/^\/ui\/schedules$/, schedules],
  [/^\/ui\/schedules\/([^/]+)$/, schedule],
  [/^\/ui\/plugins$/, plugins],
  [/^\/ui\/sources$/, sources],
  [/^\/ui\/submit$/, submit],
];

const main = document.getElementById("main");
const connection = document.getElementById("connection");
const events = new Events((lost) => {
  connection.classList.toggle("lost", lost !== null);
  connection.textContent = lost ? `Disconnected since ${lost.toLocaleTimeString("sv-SE")}` : "Live";
});
const context = { events, session: null, go };
let leave = null;

/** Goes to a page. */
function go(path) {
  history.pushState(null, "", path);
  show(true);
}

async function show(isMove) {
  leave?.();
  leave = null;
  const path = location.pathname;
  for (const link of document.querySelectorAll("nav a")) {
    const target = link.getAttribute("href");
    const isHere = target === "/" ? /^\/(ui\/?)?$/.test(path) : path.startsWith(target);
    if (isHere) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const [match, page] = PAGES.map(([pattern, page]) => [path.match(pattern), page]).find(([match]) => match) ?? [];
  if (!page) {
    fill(main, h("h1", {}, "There is no such page"), h("p", {}, h("a", { href: "/" }, "Overview")));
    return;
  }
  try {
    context.session ??= await get("/session");
    leave = await page(main, context, ...match.slice(1).map(decodeURIComponent));
  } catch (error) {
    fill(main, error.status === 401 ? login() : [h("h1", {}, "This page cannot be shown"), problem(error)]);
  }
  document.title = `${main.querySelector("h1")?.textContent ?? "Overview"} · Longshore`;
  // A reader of the screen is told of the new page.
  if (isMove) main.focus();
}

function login() {
  context.session = null;
  return [
    h("h1", {}, "Log in"),
    h("p", {}, "Run this on the daemon's machine, as the user of the daemon, and open the link that it prints:"),
    h("pre", {}, "longshore dashboard"),
    h("p", { class: "quiet" }, "The link works once, and for five minutes."),
  ];
}

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href^='/']");
  const isPlain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey;
  if (!link || !isPlain || link.hasAttribute("download") || link.pathname.startsWith("/api/")) return;
  event.preventDefault();
  go(link.getAttribute("href"));
});
window.addEventListener("popstate", () => show(true));
show(false);
