// The gateway's page in Chromium, over a network of four nodes: `node page.mjs DEEPRING DEEPRINGD CHROMIUM PLACE`. A question is
// asked on the page and seen on its way; a node is killed, and the next answer names it; a byte of a node's ring file is changed, and its
// alarm and its repair are seen. Pictures of what was seen are left in PLACE.
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync, openSync, readSync, writeSync, closeSync, fstatSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

const [deepring, deepringd, chrome, place] = process.argv.slice(2);
const { chromium } = createRequire(join(place, "node_modules/"))("playwright-core");
const root = new URL("../..", import.meta.url).pathname;
const folder = mkdtempSync(join(tmpdir(), "deepring-page-"));
const net = join(folder, "net");
const at = (...names) => join(folder, ...names);
const environment = { ...process.env, DEEPRING_TRUST: at("trust.json") };
const run = (program, ...words) => execFileSync(program, words, { env: environment, stdio: ["ignore", "pipe", "pipe"] });
const nodes = new Map();
const seen = [];
let pages = 0;

function must(holds, what) {
  if (!holds) throw new Error(`not so: ${what}`);
  seen.push(what);
}

const node = (n) => join(net, `node-${n}`);

function start(n) {
  const child = spawn(deepringd, ["run", join(node(n), "deepringd.toml")], { env: environment, stdio: ["ignore", "ignore", openSync(at(`node-${n}.log`), "a")] });
  nodes.set(n, child);
}

async function die(n, signal = "SIGKILL") {
  const child = nodes.get(n);
  const gone = new Promise((resolve) => child.once("exit", resolve));
  child.kill(signal);
  await gone;
  nodes.delete(n);
}

function setUp() {
  run(deepring, "keygen", "--out", at("keys"));
  run(deepring, "seal", join(root, "zoo/fashion-lenet5.onnx"), "--owner", at("keys/owner.key"), "--host", at("keys/host.pub"), "--cut", "op",
    "--labels", join(root, "zoo/labels.txt"), "--preprocess", "color=gray,scale=1/255,layout=NCHW", "-o", at("model.ring"));
  run(deepringd, "cluster", "init", "--nodes", "4", "--copies", "3", "--ring", at("model.ring"), "--owner-key", at("keys/owner.key"),
    "--first-port", "28100", "-o", net);
  for (const n of [1, 2, 3, 4]) {
    const file = join(node(n), "deepringd.toml");
    const text = readFileSync(file, "utf8");
    // An audit a second, so that a changed byte is found while somebody looks.
    const quick = text.includes("audit_seconds") ? text.replace(/audit_seconds = \d+/, "audit_seconds = 1") : text.replace("[host]\n", "[host]\naudit_seconds = 1\n");
    must(quick !== text, `node ${n} audits every second`);
    writeFileSync(file, quick);
  }
}

/** Where a node's gateway listens. */
function gateway(n) {
  const text = readFileSync(join(node(n), "deepringd.toml"), "utf8");
  return `http://${text.match(/\[gateway\]\nlisten = "([^"]+)"/)[1]}`;
}

/** The gateway of the first node that has one, and that node. */
function firstGateway() {
  for (const n of [1, 2, 3, 4]) {
    if (readFileSync(join(node(n), "deepringd.toml"), "utf8").includes("[gateway]")) return [n, gateway(n)];
  }
  throw new Error("no node has a gateway");
}

async function ready(url) {
  for (let i = 0; i < 600; i++) {
    try {
      // Nothing is recorded before the validator set and the ring are.
      const entries = (await (await fetch(`${url}/v1/ledger`)).json()).size;
      if (entries >= 2 && (await fetch(`${url}/ready`)).status === 200) return;
    } catch { /* Not yet. */ }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error("the gateway is not ready after a minute");
}

/** Changes a byte in the middle of a ring file, where there are parameters. */
function damage(n) {
  const name = readdirSync(node(n)).find((file) => file.endsWith(".ring"));
  const file = openSync(join(node(n), name), "r+");
  const middle = Math.floor(fstatSync(file).size / 2);
  const byte = Buffer.alloc(1);
  readSync(file, byte, 0, 1, middle);
  byte[0] ^= 0x40;
  writeSync(file, byte, 0, 1, middle);
  closeSync(file);
}

async function ask(page) {
  const before = await page.locator("#walks .card").count();
  await page.setInputFiles("#file", join(root, "zoo/fashion-sample/example.png"));
  await page.click("#send");
  await page.waitForSelector("#answer .good, #answer .bad", { timeout: 60_000 });
  const bad = await page.locator("#answer .bad").count();
  if (bad) throw new Error(await page.textContent("#answer"));
  await page.waitForFunction((n) => document.querySelectorAll("#walks .card").length > n, before, { timeout: 20_000 });
}

async function look(page, name) {
  pages += 1;
  await page.screenshot({ path: join(place, `${pages}-${name}.png`), fullPage: true });
}

async function looked(browser) {
  const [mine, url] = firstGateway();
  await ready(url);
  const page = await browser.newPage({ viewport: { width: 1100, height: 900 } });
  const complaints = [];
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("request", (request) => request.url().startsWith(url) || request.url().startsWith("data:") || request.url().startsWith("blob:") || complaints.push(`asked ${request.url()}`));
  await page.goto(url);
  await page.waitForFunction(() => document.querySelector("#said").textContent === "This node is ready.");
  must((await page.locator("#hosts tbody tr").count()) === 4, "four hosts are drawn with their legs");

  await ask(page);
  await page.waitForFunction(() => /certified after/.test(document.querySelector("#step").textContent), null, { timeout: 30_000 });
  must(true, "a question was seen on its way, until it was certified");
  must((await page.locator("#ring .tick").count()) >= 8, "each leg has the ticks of two hosts that computed it");
  must((await page.locator("#answer table tr").count()) === 6, "the five largest outputs are shown");
  await look(page, "answered");

  const decision = (await page.textContent("#answer .good")).match(/entry (\d+)/)[1];
  await page.waitForSelector(`#tape [data-index="${decision}"]`);
  await page.locator("#tape").focus();
  await page.keyboard.press("Home");
  await page.keyboard.press("Enter");
  await page.waitForSelector("#entry svg");
  must(/leads to the root/.test(await page.textContent("#entry")), "an entry that was chosen by keyboard leads to the root");
  const [download] = await Promise.all([page.waitForEvent("download"), page.click("#answer a")]);
  await download.saveAs(at("answer.certificate"));
  run(deepring, "certificate", "verify", at("answer.certificate"), "--owner", join(net, "owner.pub"), "--validators", join(net, "validators.set"));
  must(true, "the certificate that the page gives verifies offline");
  await page.setInputFiles("#certificate", at("answer.certificate"));
  await page.click("#find-form button");
  await page.waitForFunction(() => /holds the certificate's entry/.test(document.querySelector("#found").textContent));
  must(true, "the certificate is found in the ledger");

  const other = [4, 3, 2].find((n) => n !== mine);
  await die(other);
  await ask(page);
  const dead = readFileSync(join(node(other), "host.pub"), "utf8").trim();
  const last = await page.evaluate(() => state.walks.at(-1));
  must(last.failed === null && last.legs.every((leg) => leg.validated_by.length > 0), "with a node killed, the answer came, and each leg of it was validated");
  must(last.legs.every((leg) => ![leg.host, ...leg.validated_by].includes(dead)), "by others than the node that was killed");
  must(last.named.some((copy) => copy.host === dead && copy.fault === "absent"), "which is named as absent");
  console.log(`milliseconds with a node killed: ${JSON.stringify(last.took)}`);
  await page.waitForFunction(() => /certified after/.test(document.querySelector("#step").textContent), null, { timeout: 30_000 });
  await look(page, "a-node-was-killed");
  start(other);

  const damaged = [2, 3, 4].find((n) => n !== mine && n !== other);
  damage(damaged);
  await page.waitForSelector("#alarms .card", { timeout: 120_000 });
  must(/found this in its own copy/.test(await page.textContent("#alarms")), "a node found what was changed in its file");
  must((await page.locator("#alarms svg .segment.hit").count()) >= 1, "the alarm is drawn down to where it is");
  await page.waitForFunction(() => /repair .*in use again/.test(document.querySelector("#alarms").textContent), null, { timeout: 120_000 });
  must(true, "it repaired its copy, which is in use again");
  await look(page, "repaired");
  await ask(page);
  must(true, "and the ring answers");

  for (const [name, width, colorScheme] of [["dark", 1100, "dark"], ["narrow", 320, "light"]]) {
    const small = await browser.newPage({ viewport: { width, height: 900 }, colorScheme });
    await small.goto(url);
    await small.waitForSelector("#walks .card");
    await small.waitForSelector("#alarms .card");
    must((await small.evaluate(() => document.documentElement.scrollWidth)) <= width, `nothing is wider than the window (${name})`);
    await look(small, name);
    await small.close();
  }
  // A gateway that answers 503 while it catches up is told by the browser too; nothing else may be.
  const wrong = complaints.filter((text) => !/status of 50[34]/.test(text));
  must(wrong.length === 0, `no complaint of the browser, no request to anywhere else: ${wrong.join("; ")}`);
}

mkdirSync(place, { recursive: true });
let failed = null;
let browser = null;
try {
  setUp();
  [1, 2, 3, 4].forEach(start);
  browser = await chromium.launch({ executablePath: chrome, args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"] });
  await looked(browser);
} catch (error) {
  failed = error;
}
await browser?.close();
for (const n of [...nodes.keys()]) await die(n);
seen.forEach((what) => console.log(`seen: ${what}`));
if (failed) {
  console.error(failed);
  for (const n of [1, 2, 3, 4]) {
    try { console.error(`node ${n}:\n${readFileSync(at(`node-${n}.log`), "utf8").slice(-1500)}`); } catch { /* It was not started. */ }
  }
}
rmSync(folder, { recursive: true, force: true });
process.exit(failed ? 1 : 0);
