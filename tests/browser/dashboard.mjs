// Looks at the dashboard in Chromium: node dashboard.mjs MODULES PICTURES URL SCENARIO [ARGUMENT ..]
// URL is a login link, or a page for a browser whose session is kept in PICTURES.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import readline from "node:readline";

const [modules, pictures, url, scenario, ...args] = process.argv.slice(2);
const require = createRequire(path.join(modules, "package.json"));
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

/** How long a page has for what it should show. */
const PATIENCE_MILLIS = 180_000;

const LOOKS = {
  light: { colorScheme: "light", viewport: { width: 1280, height: 900 } },
  dark: { colorScheme: "dark", viewport: { width: 1280, height: 900 } },
  narrow: { colorScheme: "light", viewport: { width: 375, height: 760 } },
};

const session = path.join(pictures, "session.json");
const origin = new URL(url).origin;
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"] });

/** A page with the session, and with every error of its scripts and of the policy for content as a failure. */
async function open(look = "light") {
  const context = await browser.newContext({ ...LOOKS[look], storageState: existsSync(session) ? session : undefined });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MILLIS);
  page.faults = [];
  page.on("pageerror", (error) => page.faults.push(String(error)));
  page.on("console", (message) => {
    const isNetwork = /ERR_CONNECTION|Failed to load resource/.test(message.text());
    if (message.type() === "error" && !isNetwork) page.faults.push(message.text());
  });
  page.on("dialog", (dialog) => dialog.accept());
  return page;
}

async function visit(page, where) {
  await page.goto(new URL(where, origin).href);
  await page.locator("main h1").first().waitFor();
}

async function settle(page) {
  assert.deepEqual(page.faults, []);
  await page.context().close();
}

/** Barriers to access that axe finds. */
async function barriers(page) {
  // Through the debugger: the page's own policy lets no foreign script in.
  await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run({ resultTypes: ["violations"] }));
  return found.violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.target).join(", ")}`);
}

const text = (page) => page.locator("main").innerText();

const scenarios = {
  /** Follows a login link, once. */
  async login() {
    const page = await open();
    await page.goto(url);
    await page.getByRole("heading", { name: "Overview" }).waitFor();
    await page.context().storageState({ path: session });
    const again = await open();
    const answer = await (await browser.newContext()).request.get(url, { maxRedirects: 0 });
    assert.equal(answer.status(), 401);
    await again.context().close();
    await settle(page);
  },

  /** Takes pictures of pages in each look, and finds no barrier. */
  async pictures(...pages) {
    for (const look of Object.keys(LOOKS)) {
      const page = await open(look);
      for (const [name, where] of pages.map((each) => each.split("="))) {
        await visit(page, where);
        await page.waitForTimeout(700);
        await page.screenshot({ path: path.join(pictures, `${name}-${look}.png`), fullPage: true });
        assert.deepEqual(await barriers(page), [], `${name}, ${look}`);
        const sideways = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
        assert.ok(sideways <= 0, `${name} is ${sideways} pixels too wide for ${look}`);
      }
      await settle(page);
    }
  },

  /** Reaches every page by the keyboard alone. */
  async keyboard() {
    const page = await open();
    await visit(page, "/");
    for (const name of ["Runs", "Schedules", "Plugins", "Sources", "Submit"]) {
      const link = page.getByRole("navigation").getByRole("link", { name });
      await link.focus();
      await page.keyboard.press("Enter");
      await page.waitForFunction((title) => document.title.startsWith(title), name);
      assert.equal(await page.evaluate(() => document.activeElement.id), "main");
    }
    await settle(page);
  },

  /** Writes a job, sees it checked, planned and previewed, submits it, and watches it to its end. */
  async submit(document, wrong) {
    const page = await open();
    await visit(page, "/ui/submit");
    const editor = page.locator("textarea");
    await editor.fill(wrong);
    await page.locator("#verdict .problem").waitFor();
    await editor.fill(document);
    await page.getByText("The job is valid.").waitFor();
    await page.getByRole("button", { name: "Plan" }).click();
    await page.getByRole("heading", { name: "Plan" }).waitFor();
    await page.getByRole("button", { name: "Preview" }).click();
    await page.locator("th", { hasText: "o_orderkey" }).first().waitFor();
    await page.screenshot({ path: path.join(pictures, "submit-preview.png"), fullPage: true });
    await page.getByRole("button", { name: "Submit", exact: true }).click();
    await page.waitForURL(/\/ui\/runs\/./);
    await page.locator("main .state.reading, main .state.running, main .state.succeeded").first().waitFor();
    await page.screenshot({ path: path.join(pictures, "run-reading.png"), fullPage: true });
    await page.locator("main h1 ~ .row .state.succeeded").waitFor({ timeout: 180_000 });
    await page.getByText("Show what was published").click();
    await page.locator("pre[aria-label=Manifest]").waitFor();
    await page.screenshot({ path: path.join(pictures, "run-succeeded.png"), fullPage: true });
    console.log(decodeURIComponent(page.url().split("/").pop()));
    await settle(page);
  },

  /** Cancels a run that is under way, and tries it again. */
  async cancel(run) {
    const page = await open();
    await visit(page, `/ui/runs/${run}`);
    const chunks = page.locator("canvas.chunks").first();
    await chunks.click({ position: { x: 5, y: 5 } });
    await page.getByText(/^Chunk \d+: /).first().waitFor();
    await page.getByRole("button", { name: "Cancel" }).click();
    await page.locator("h1 ~ .row .state.cancelled").waitFor();
    await page.screenshot({ path: path.join(pictures, "run-cancelled.png"), fullPage: true });
    await page.getByRole("button", { name: "Try again" }).click();
    await page.waitForURL((now) => !now.href.endsWith(run));
    await page.locator("h1 ~ .row .state").first().waitFor();
    console.log(page.url().split("/").pop());
    await settle(page);
  },

  /** Keeps a page open while the daemon goes and comes back: says each step on stdout, goes on at a line on stdin. */
  async restart(run) {
    const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
    const page = await open();
    await visit(page, `/ui/runs/${run}`);
    await page.getByText("Live").waitFor();
    console.log("open");
    await page.getByText(/Disconnected since/).waitFor();
    await page.screenshot({ path: path.join(pictures, "disconnected.png") });
    console.log("lost");
    await lines.next();
    await page.getByText("Live").waitFor();
    await page.locator("h1 ~ .row .state.succeeded").waitFor({ timeout: 180_000 });
    console.log("back");
    await settle(page);
    process.stdin.destroy();
  },

  /** Finds runs among very many, and says how long pages took. */
  async many(job) {
    const page = await open();
    const began = Date.now();
    await visit(page, "/ui/runs");
    await page.locator("tbody tr").nth(49).waitFor();
    const first = Date.now() - began;
    const turned = Date.now();
    await page.getByRole("button", { name: "Older" }).click();
    await page.getByRole("button", { name: "Newer" }).and(page.locator(":enabled")).waitFor();
    const next = Date.now() - turned;
    await page.getByLabel("Job", { exact: true }).fill(job);
    await page.getByRole("button", { name: "Filter" }).click();
    await page.waitForURL(/job=/);
    await page.locator("tbody tr a", { hasText: job }).first().waitFor();
    console.log(JSON.stringify({ first_page_millis: first, next_page_millis: next }));
    await settle(page);
  },

  /** Draws a run of very many chunks, and says how long that took. */
  async chunks(run, count) {
    const page = await open();
    const began = Date.now();
    await visit(page, `/ui/runs/${run}`);
    await page.getByRole("heading", { name: new RegExp(`${Number(count).toLocaleString("en")} chunks`) }).waitFor();
    const shown = Date.now() - began;
    const canvas = page.locator("canvas.chunks");
    await canvas.focus();
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("ArrowDown");
    await page.getByText(/^Chunk \d+: /).waitFor();
    await page.screenshot({ path: path.join(pictures, "run-chunks.png"), fullPage: true });
    console.log(JSON.stringify({ shown_millis: shown }));
    await settle(page);
  },

  /** Says what a page shows. */
  async read(where) {
    const page = await open();
    await visit(page, where);
    console.log(await text(page));
    await settle(page);
  },
};

try {
  await scenarios[scenario](...args);
} finally {
  await browser.close();
}
