// The page: asks the gateway every second, and shows what it says. It believes nothing that it can compute: an entry's path to the
// root is computed here. A certificate is verified by `deepring certificate verify`, not here: this page comes from whom it would judge.
"use strict";

const $ = (id) => document.getElementById(id);
const still = matchMedia("(prefers-reduced-motion: reduce)");
const EVERY = 1000;

const state = { key: null, ring: null, letters: null, network: null, seen: 0, begun: false, size: -1, oldest: 0, entries: new Map(), chosen: null, walking: false, walks: [], view: idle() };

function idle() {
  return { now: -1, done: new Set(), signed: new Map(), stopped: false, words: [] };
}

class Refused extends Error {
  constructor(status, problem) {
    super(problem?.detail ?? `status ${status}`);
    this.status = status;
    this.kind = problem?.type;
  }
}

async function ask(path, options = {}) {
  const headers = { ...(options.headers ?? {}) };
  if (state.key !== null) headers.Authorization = `Bearer ${state.key}`;
  const response = await fetch(path, { ...options, headers, cache: "no-store", credentials: "omit" });
  if (response.ok) return response;
  let problem = null;
  try { problem = await response.json(); } catch { /* It said nothing that can be read. */ }
  throw new Refused(response.status, problem);
}

const json = async (path) => (await ask(path)).json();

function say(text, kind = "") {
  if ($("said").textContent !== text) $("said").textContent = text;
  $("said").className = `bar ${kind}`;
}

// ---- what is there

async function begin() {
  state.ring = await json("v1/ring");
  state.letters = lettersOf(state.ring);
  $("which").textContent = state.ring.origin;
  $("title").textContent = `Ring ${state.ring.ring.slice(0, 8)}, version ${state.ring.version}`;
  $("file-label").textContent = `Input: ${state.ring.inputs.map((s) => `${s.name} ${s.dtype} [${(s.dims ?? ["…"]).join(", ")}]`).join(", ")}, as a NumPy array (.npy) or JSON${state.ring.pictures ? ", or a picture" : ""}`;
  $("legend").replaceChildren(...STEPS.flatMap(([, text], i) => [html("span", { class: `swatch t${i}` }), text]));
}

function tiles(network) {
  const fit = network.health.caught_up && network.health.blocks_open && network.health.disk_writable;
  const wants = [!network.health.caught_up && "behind", !network.health.blocks_open && "a block is out of use", !network.health.disk_writable && "disk"].filter(Boolean);
  const rows = [
    ["This node", fit ? "ready" : wants.join(", "), fit ? "good" : "bad"],
    ["Height", network.ledger.height, ""],
    ["Entries", network.ledger.size, ""],
    ["Cosigned by a quorum", network.ledger.certified ?? "none yet", ""],
    ["Copies out of use", network.quarantined.length, network.quarantined.length ? "bad" : ""],
    ["Split views", network.ledger.split_views, network.ledger.split_views ? "bad" : ""],
  ];
  $("tiles").replaceChildren(...rows.map(([name, value, kind]) => html("div", {}, html("dt", {}, name), html("dd", { class: kind }, `${value}`))));
}

function hosts(network) {
  const { ring, letters } = state;
  const last = state.walks.at(-1);
  const rows = [...letters].map(([host, letter]) => {
    const legs = ring.legs.flatMap((leg, i) => (leg.hosts.includes(host) ? [`${i + 1}${leg.hosts[0] === host ? "" : "′"}`] : []));
    const out = network.quarantined.filter((copy) => copy.host === host).map((copy) => copy.block);
    const fault = last?.named.find((named) => named.host === host)?.fault;
    const words = [host === network.host && "this node", ring.genesis.includes(host) && "Genesis", out.length && `out of use: block ${out.join(", ")}`, fault && `${fault} in the last question`].filter(Boolean);
    const kind = out.length ? "bad" : fault ? "warn" : "";
    return html("tr", {}, html("td", {}, html("span", { class: `letter ${shade(letters, host)}` }, letter)), html("td", {}, html("code", { title: host }, short(host))), html("td", {}, legs.join(" ") || "–"), html("td", { class: kind }, words.join("; ")));
  });
  $("hosts").tBodies[0].replaceChildren(...rows);
}

function ringNow() {
  if (!state.network) return;
  const words = state.view.words.length ? state.view.words : [{ text: `${state.ring.legs.length} legs`, kind: "big" }, { text: `${state.letters.size} hosts` }];
  $("ring").replaceChildren(drawRing(state.ring, state.letters, { ...state.view, words, out: state.network.quarantined }));
}

// ---- a question on its way

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, still.matches ? 0 : ms));

async function walk(question) {
  state.walking = true;
  const letter = (host) => state.letters.get(host) ?? "?";
  state.view = idle();
  const show = (text, kind) => {
    state.view.words = text.map((line, i) => ({ text: line, kind: i === 0 ? `big ${kind ?? ""}` : "" }));
    ringNow();
  };
  state.view.now = 0;
  show([`Question ${question.number}`, "opened by Genesis"]);
  await wait(400);
  state.view.done.add(0);
  for (let i = 0; i < question.legs.length; i++) {
    const leg = question.legs[i];
    const index = state.ring.legs.findIndex((dealt) => dealt.first === leg.first) + 1;
    state.view.now = index;
    state.view.signed.set(index, [leg.host, ...leg.validated_by]);
    const parts = Object.entries(leg.covered).map(([how, n]) => `${n} ${how}`).join(", ");
    show([`Blocks ${span(leg)}`, `${letter(leg.host)} computed, check ${leg.check}`, parts, leg.validated_by.length ? `${leg.validated_by.map(letter).join(", ")} validated` : "nobody validated"]);
    $("step").textContent = `Leg ${i + 1} of ${question.legs.length}: ${letter(leg.host)} computed with check ${leg.check} (${parts}); ${leg.validated_by.length ? `${leg.validated_by.map(letter).join(", ")} validated by computing the same` : "nobody validated"}.`;
    await wait(700);
    state.view.done.add(index);
  }
  const total = STEPS.reduce((sum, [key]) => sum + question.took[key], 0);
  if (question.failed) {
    state.view.stopped = true;
    show(["No answer", question.failed], "bad");
    $("step").textContent = `Question ${question.number} was not answered: ${question.failed}.`;
  } else {
    state.view.now = 0;
    show(["Certified", `entry ${question.entry}`, milliseconds(total)], "good");
    $("step").textContent = `Question ${question.number}: closed, recorded as entry ${question.entry} and certified after ${milliseconds(total)}.`;
  }
  await wait(600);
  state.walking = false;
}

function costs() {
  if (!state.walks.length) return;
  const cards = state.walks.slice(-12).reverse().map((question) => {
    const total = STEPS.reduce((sum, [key]) => sum + question.took[key], 0);
    const named = question.named.map((copy) => `${state.letters.get(copy.host) ?? short(copy.host)} ${copy.fault}`).join(", ");
    const line = [`Question ${question.number}`, question.failed ? `not answered: ${question.failed}` : `entry ${question.entry}`, milliseconds(total), named].filter(Boolean).join(" · ");
    return html("div", { class: "card" }, html("p", { class: question.failed ? "bad" : "" }, line), drawCost(question));
  });
  $("walks").replaceChildren(...cards);
}

// ---- the ledger

const GLYPH = { decision: "✓", alarm: "!", repair: "↻", "validator set": "§", "ring registered": "◯", deal: "⇄" };

async function ledger() {
  const { size, entries } = await json("v1/entries?count=64");
  for (const entry of entries) state.entries.set(entry.index, entry);
  for (const index of state.entries.keys()) if (index + 512 < size) state.entries.delete(index);
  state.size = size;
  tape();
  alarms();
}

function tape() {
  const focused = document.activeElement?.dataset?.index;
  const newest = [...state.entries.values()].sort((a, b) => b.index - a.index).slice(0, 64);
  $("tape").replaceChildren(...newest.map((entry) => {
    const button = html("button", { type: "button", role: "option", tabindex: "-1", "aria-selected": `${entry.index === state.chosen}`, class: entry.event, "data-index": entry.index });
    button.append(html("b", {}, `${GLYPH[entry.event] ?? "•"} ${entry.index}`), entry.event);
    button.addEventListener("click", () => choose(entry.index));
    return button;
  }));
  if (focused !== undefined) $("tape").querySelector(`[data-index="${focused}"]`)?.focus();
}

function alarms() {
  const all = [...state.entries.values()].sort((a, b) => b.index - a.index);
  const found = all.filter((entry) => entry.event === "alarm").slice(0, 8);
  if (!found.length) return;
  const letter = (host) => state.letters.get(host) ?? short(host);
  $("alarms").replaceChildren(...found.map((alarm) => {
    const mends = (entry) => entry.index > alarm.index && ((entry.event === "repair" && entry.author === alarm.about) || (entry.event === "quarantine lifted" && entry.about === alarm.about)) && alarm.blocks.length > 0 && alarm.blocks.every((block) => entry.blocks.includes(block));
    const mended = all.filter(mends).at(-1);
    const own = alarm.author === alarm.about;
    const card = html("div", { class: "card" });
    card.append(html("p", { class: "bad" }, `Entry ${alarm.index}: ${own ? `${letter(alarm.about)} found this in its own copy` : `${letter(alarm.about)} is accused by ${letter(alarm.author)}`}: ${alarm.text}`));
    card.append(drawZoom(state.ring, alarm));
    const open = state.network.quarantined.some((copy) => copy.host === alarm.about && alarm.blocks.includes(copy.block));
    card.append(html("p", { class: mended ? "good" : open ? "bad" : "fine" }, mended ? `Entry ${mended.index}: ${mended.event}${mended.text ? ` (${mended.text})` : ""}; the copy is in use again.` : open ? "The copy is out of use." : "No copy is out of use because of it."));
    return card;
  }));
}

const hex = (bytes) => [...bytes].map((b) => b.toString(16).padStart(2, "0")).join("");
const raw = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));

async function hash(...parts) {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) { all.set(part, at); at += part.length; }
  return new Uint8Array(await crypto.subtle.digest("SHA-256", all));
}

/** A c2sp.org/tlog-proof: its index, hashes, the entry in it, and size and root of its checkpoint. */
function parseProof(text) {
  const lines = text.split("\n");
  let at = 1;
  let entry = null;
  if (lines[at]?.startsWith("extra ")) entry = raw(lines[at++].slice(6));
  const index = Number(lines[at++]?.replace(/^index /, ""));
  const hashes = [];
  while (lines[at]) hashes.push(raw(lines[at++]));
  return { index, entry, hashes, size: Number(lines[at + 2]), root: raw(lines[at + 3]) };
}

/** RFC 9162, 2.1.3.2: which side each hash stands on. */
function sides(index, size, count) {
  const of = [];
  let [f, s] = [index, size - 1];
  for (let i = 0; i < count; i++) {
    if (f % 2 === 1 || f === s) {
      of.push("left");
      while (f % 2 === 0 && f !== 0) { f = Math.floor(f / 2); s = Math.floor(s / 2); }
    } else of.push("right");
    f = Math.floor(f / 2);
    s = Math.floor(s / 2);
  }
  return of;
}

async function rootOf(proof) {
  let node = await hash(Uint8Array.of(0), proof.entry);
  const of = sides(proof.index, proof.size, proof.hashes.length);
  for (let i = 0; i < of.length; i++) {
    node = of[i] === "left" ? await hash(Uint8Array.of(1), proof.hashes[i], node) : await hash(Uint8Array.of(1), node, proof.hashes[i]);
  }
  return node;
}

/** An author's clock says what it likes. */
function when(ms) {
  const at = new Date(ms);
  return Number.isNaN(at.getTime()) ? `${ms} ms` : at.toISOString();
}

async function choose(which) {
  const { entry, proof: text } = await json(`v1/entries/${encodeURIComponent(which)}`);
  state.chosen = entry.index;
  state.entries.set(entry.index, entry);
  tape();
  const proof = parseProof(text);
  const steps = sides(proof.index, proof.size, proof.hashes.length).map((side, i) => ({ side, hash: hex(proof.hashes[i]) }));
  const rows = Object.entries({ index: entry.index, event: entry.event, author: entry.author, at: when(entry.at), ring: entry.ring, decision: entry.decision, number: entry.number, about: entry.about, blocks: entry.blocks?.join(", "), text: entry.text });
  const table = html("table");
  for (const [name, value] of rows) if (value !== undefined && value !== "") table.append(html("tr", {}, html("th", { scope: "row" }, name), html("td", {}, html("code", {}, `${value}`))));
  let verdict = html("p", { class: "warn" }, "This browser computes no hashes here: open the page over HTTPS, or on the machine itself.");
  if (globalThis.crypto?.subtle && proof.entry) {
    const right = proof.index === entry.index && hex(await rootOf(proof)) === hex(proof.root);
    verdict = html("p", { class: right ? "good" : "bad" }, right ? `Computed here: the path leads to the root of the checkpoint of ${proof.size} entries.` : "The path does not lead to the checkpoint's root.");
  }
  $("entry").replaceChildren(html("div", { class: "card" }, table), html("div", { class: "card" }, verdict, drawPath(entry.index, steps)));
  return proof;
}

/** The proof in a certificate: "DCERTIFY", version, then outline, decision and proof, each behind its length. */
function proofIn(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (new TextDecoder().decode(bytes.subarray(0, 8)) !== "DCERTIFY") return null;
  let at = 10;
  for (let i = 0; i < 2; i++) at += 4 + view.getUint32(at, true);
  const length = view.getUint32(at, true);
  return parseProof(new TextDecoder().decode(bytes.subarray(at + 4, at + 4 + length)));
}

async function findCertificate(file) {
  let proof = null;
  try {
    if (file.size <= 1 << 20) proof = proofIn(new Uint8Array(await file.arrayBuffer()));
  } catch { /* It is too short to be one. */ }
  if (!proof?.entry) return found("This file is no certificate.", "bad");
  const there = await choose(proof.index);
  const same = there.entry && hex(there.entry) === hex(proof.entry);
  found(same ? `The ledger holds the certificate's entry at ${proof.index}.` : `The ledger holds another entry at ${proof.index} than the certificate.`, same ? "good" : "bad");
}

function found(text, kind) {
  $("found").textContent = text;
  $("found").className = `fine ${kind}`;
}

const saying = (e) => (e.status === 401 ? "This gateway wants a key." : e.message);

$("find-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const [file] = $("certificate").files;
  const sought = $("sought").value.trim();
  try {
    if (sought) {
      await choose(sought);
      found("Found.", "good");
    } else if (file) await findCertificate(file);
    else found("Give an index, a decision's id, or a certificate.", "warn");
  } catch (e) {
    found(saying(e), "bad");
  }
});

for (const name of ["dragover", "drop"]) {
  $("find-form").addEventListener(name, (event) => {
    event.preventDefault();
    const [file] = name === "drop" ? event.dataTransfer.files : [];
    if (file) findCertificate(file).catch((e) => found(saying(e), "bad"));
  });
}

$("tape").addEventListener("keydown", (event) => {
  const step = { ArrowRight: -1, ArrowLeft: 1, Home: Infinity, End: -Infinity }[event.key];
  if (step === undefined && event.key !== "Enter" && event.key !== " ") return;
  const buttons = [...$("tape").children];
  if (!buttons.length) return;
  const at = buttons.indexOf(document.activeElement);
  event.preventDefault();
  if (step === undefined) return void buttons[Math.max(at, 0)].click();
  // The newest stands first: to the right are the older ones.
  const next = step === Infinity ? 0 : step === -Infinity ? buttons.length - 1 : Math.min(Math.max(at - step, 0), buttons.length - 1);
  buttons[next].focus();
});

// ---- asking

const TYPES = { npy: "application/x-npy", json: "application/json", png: "image/png", jpg: "image/jpeg", jpeg: "image/jpeg" };

$("ask-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const [file] = $("file").files;
  const type = TYPES[file?.name.split(".").at(-1).toLowerCase()];
  if (!type) return void $("answer").replaceChildren(html("p", { class: "warn" }, "Choose a .npy, .json, .png or .jpg file."));
  $("send").disabled = true;
  $("answer").replaceChildren(html("p", { class: "fine" }, "The hosts compute, validate and agree …"));
  try {
    const nonce = hex(crypto.getRandomValues(new Uint8Array(32)));
    const headers = { "Content-Type": type, ...(type === "application/json" ? {} : { "Deepring-Nonce": nonce }) };
    answered(await (await ask("v1/decisions", { method: "POST", headers, body: file })).json());
  } catch (e) {
    $("answer").replaceChildren(html("p", { class: "bad" }, saying(e)));
  }
  $("send").disabled = false;
});

function answered(answer) {
  const card = html("div", { class: "card" });
  card.append(html("p", { class: "good" }, `Decision ${answer.decision.slice(0, 16)}…, entry ${answer.entry}, height ${answer.height}`));
  for (const output of answer.outputs[0]) {
    const best = output.data.map((value, i) => [Number(value), i]).filter(([value]) => !Number.isNaN(value)).sort((a, b) => b[0] - a[0]).slice(0, 5);
    const table = html("table", {}, html("tr", {}, html("th", {}, `${output.name}, largest first`), html("th", {}, "value")));
    for (const [value, i] of best) table.append(html("tr", {}, html("td", {}, `${i}`), html("td", {}, value.toPrecision(6))));
    card.append(table);
  }
  const file = new Blob([raw(answer.certificate)], { type: "application/octet-stream" });
  const link = html("a", { href: URL.createObjectURL(file), download: `${answer.decision.slice(0, 16)}.certificate` }, "its certificate");
  card.append(html("p", {}, "Believe it by ", link, ": ", html("code", {}, "deepring certificate verify … --owner OWNER.pub --validators SET")));
  $("answer").replaceChildren(card);
}

$("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  state.key = $("key").value;
  $("key").value = "";
  $("key-form").hidden = true;
});

// ---- round and round

async function round() {
  if (!state.ring) await begin();
  const network = await json(`v1/network?walk=${state.seen}`);
  // A gateway that was started anew counts from the beginning.
  if (network.newest_walk < state.seen) { state.seen = 0; state.walks = []; return; }
  state.network = network;
  const fresh = network.walks;
  if (fresh.length) {
    state.seen = fresh.at(-1).number;
    state.walks = [...state.walks, ...fresh].slice(-32);
    costs();
  }
  tiles(network);
  hosts(network);
  if (network.ledger.size !== state.size) await ledger();
  else if (network.quarantined.length !== state.outOfUse) alarms();
  state.outOfUse = network.quarantined.length;
  if (state.begun && fresh.length && !state.walking) walk(fresh.at(-1));
  else if (!state.walking) ringNow();
  state.begun = true;
  const fit = network.health.caught_up && network.health.blocks_open && network.health.disk_writable;
  say(fit ? "This node is ready." : "This node is not ready; others of the network may be.", fit ? "good" : "warn");
}

async function forever() {
  try {
    if ($("key-form").hidden) await round();
  } catch (e) {
    if (e.status === 401) {
      $("key-form").hidden = false;
      say("This gateway wants a key.", "warn");
    } else say(e instanceof Refused ? `The gateway says: ${e.message}` : "The gateway does not answer.", "bad");
  }
  setTimeout(forever, EVERY);
}

forever();
