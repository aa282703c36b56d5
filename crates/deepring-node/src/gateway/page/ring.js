// Drawings: pure functions from what a gateway says to elements. Texts of others go in as text, never as markup.
"use strict";

const SVG = "http://www.w3.org/2000/svg";

function svg(name, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function html(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

const short = (key) => (key.length > 22 ? `${key.slice(0, 14)}…${key.slice(-4)}` : key);
const span = (leg) => (leg.first === leg.last ? `${leg.first}` : `${leg.first}–${leg.last}`);
const milliseconds = (ms) => (ms >= 100 ? `${Math.round(ms)} ms` : `${ms.toFixed(1)} ms`);

/** Letters A, B, … for hosts, in the order in which they first hold a leg. */
function lettersOf(ring) {
  const letters = new Map();
  const name = (n) => (n < 26 ? String.fromCharCode(65 + n) : name(Math.floor(n / 26) - 1) + name(n % 26));
  for (const host of [...ring.legs.flatMap((leg) => leg.hosts), ...ring.genesis]) {
    if (!letters.has(host)) letters.set(host, name(letters.size));
  }
  return letters;
}

const shade = (letters, host) => `h${[...letters.keys()].indexOf(host) % 8}`;

/**
 * The ring: Genesis on top, then the legs clockwise, at each the hosts that hold it.
 * `at` says what is shown on it: leg `now`, legs `done`, the hosts that signed, copies that are out of use, words in the middle.
 */
function drawRing(ring, letters, at) {
  const places = ring.legs.length + 1;
  const [size, middle, radius] = [520, 260, 170];
  const node = Math.max(17, Math.min(34, (Math.PI * radius) / places - 4));
  const point = (index, r) => {
    const angle = (index / places) * 2 * Math.PI - Math.PI / 2;
    return [middle + r * Math.cos(angle), middle + r * Math.sin(angle)];
  };
  const label = ring.legs.map((leg, i) => `leg ${i + 1}, blocks ${span(leg)}: ${leg.hosts.map((h) => letters.get(h)).join(", ")}`);
  const drawing = svg("svg", { viewBox: `0 0 ${size} ${size}`, role: "img", "aria-label": `A ring. Genesis; ${label.join("; ")}. ${at.words.map((w) => w.text).join(". ")}` });
  for (let index = 0; index < places; index++) {
    const [x, y] = point(index, radius);
    const [u, v] = point(index + 1, radius);
    const next = (index + 1) % places;
    const lit = at.done.has(index) && (at.done.has(next) || at.now === next);
    const stopped = at.stopped && at.now === next;
    drawing.append(svg("path", { class: `link${stopped ? " stopped" : lit ? " lit" : ""}`, d: `M ${x} ${y} A ${radius} ${radius} 0 0 1 ${u} ${v}` }));
  }
  for (let index = 0; index < places; index++) {
    const leg = index === 0 ? null : ring.legs[index - 1];
    const [x, y] = point(index, radius);
    const hit = leg ? at.out.some((copy) => copy.block >= leg.first && copy.block <= leg.last) : at.out.some((copy) => copy.block === 0);
    const state = hit ? " hit" : at.now === index ? " now" : at.done.has(index) ? " done" : "";
    drawing.append(svg("circle", { class: `leg${state}`, cx: x, cy: y, r: node }));
    drawing.append(svg("text", { class: "blocks", x, y }, leg ? span(leg) : "G"));
    const hosts = leg ? leg.hosts : ring.genesis;
    hosts.forEach((host, i) => {
      const [cx, cy] = point(index + (i - (hosts.length - 1) / 2) * Math.min(0.3, (28 * places) / (2 * Math.PI * (radius + node + 22))), radius + node + 22);
      const copy = svg("g", { class: "copy" });
      copy.append(svg("title", {}, `${letters.get(host)}: ${host}`));
      copy.append(svg("circle", { class: shade(letters, host), cx, cy, r: 12 }));
      copy.append(svg("text", { x: cx, y: cy }, letters.get(host)));
      const out = at.out.some((c) => c.host === host && (leg ? c.block >= leg.first && c.block <= leg.last : c.block === 0));
      if (out) copy.append(svg("circle", { class: "out", cx, cy, r: 15 }), svg("path", { class: "out", d: `M ${cx - 10} ${cy - 10} l 20 20` }));
      if (at.signed.get(index)?.includes(host)) copy.append(svg("path", { class: "tick", d: `M ${cx + 6} ${cy - 12} l 4 5 l 8 -9` }));
      drawing.append(copy);
    });
  }
  at.words.forEach((word, i) => {
    const y = middle + (i - (at.words.length - 1) / 2) * 24;
    drawing.append(svg("text", { class: `word ${word.kind ?? ""}`, x: middle, y }, word.text));
  });
  return drawing;
}

const STEPS = [
  ["arriving", "input read"],
  ["deciding", "computed, compared, validated by the hosts"],
  ["recording", "agreed on by the validators"],
  ["certifying", "cosigned by a quorum"],
];

/** Where the time of one question went, as one bar. */
function drawCost(walk) {
  const all = STEPS.reduce((sum, [key]) => sum + walk.took[key], 0) || 1;
  const words = STEPS.map(([key, text]) => `${text} ${milliseconds(walk.took[key])}`);
  const drawing = svg("svg", { viewBox: "0 0 600 22", role: "img", "aria-label": words.join(", "), preserveAspectRatio: "none" });
  let x = 0;
  STEPS.forEach(([key], i) => {
    const width = (600 * walk.took[key]) / all;
    drawing.append(svg("rect", { class: `t${i}`, x, y: 2, width: Math.max(width, 0), height: 18 }, svg("title", {}, words[i])));
    x += width;
  });
  return drawing;
}

/** From the ring down to the bytes that an alarm names. */
function drawZoom(ring, entry) {
  const blocks = ring.legs.at(-1)?.last ?? 0;
  const block = entry.blocks?.[0];
  const { name, part, tensor, bytes } = entry.place;
  const rows = [["ring", `block ${block ?? "?"} of ${blocks}`]];
  if (block !== undefined) rows.push(["block", `${name}, ${part}`]);
  if (tensor) rows.push(["tensor", tensor]);
  if (bytes) rows.push(["bytes", `${bytes[0]} to ${bytes[1] - 1}`]);
  const height = rows.length * 46;
  const drawing = svg("svg", { class: "zoom", viewBox: `0 0 360 ${height}`, role: "img", "aria-label": rows.map((row) => row.join(": ")).join(", ") });
  let hit = null;
  rows.forEach(([kind, text], i) => {
    const y = i * 46;
    const parts = kind === "ring" ? blocks + 1 : 1;
    const width = 360 / parts;
    if (hit) drawing.append(svg("path", { class: "thin", d: `M ${hit[0]} ${y - 8} L 0 ${y + 20} M ${hit[1]} ${y - 8} L 360 ${y + 20}` }));
    for (let p = 0; p < parts; p++) {
      const last = i === rows.length - 1;
      const here = kind === "ring" ? p === block : last;
      drawing.append(svg("rect", { class: `segment${here ? " hit" : ""}`, x: p * width + 1, y: y + 20, width: Math.max(width - 2, 1), height: 16, rx: 3 }));
      if (here) hit = [p * width, (p + 1) * width];
    }
    drawing.append(svg("text", { x: 0, y: y + 13, "font-size": 13 }, `${kind}: ${text}`));
    if (kind !== "ring") hit = [150, 210];
  });
  return drawing;
}

/** The way from a leaf to the root: `steps` are the hashes beside it, each with the side it stands on. */
function drawPath(index, steps) {
  const gap = 58;
  const height = (steps.length + 1) * gap;
  const drawing = svg("svg", { class: "path", viewBox: `0 0 360 ${height}`, role: "img", "aria-label": `The path of entry ${index} to the root: ${steps.length} hashes` });
  let x = 180;
  const place = (level) => height - level * gap - 28;
  const points = [[x, place(0)]];
  const beside = [];
  steps.forEach((step, level) => {
    const shift = Math.max(92 - level * 12, 40);
    const other = step.side === "left" ? x - shift : x + shift;
    beside.push([other, place(level), step.hash]);
    x = (x + other) / 2;
    x = Math.min(Math.max(x, 110), 250);
    points.push([x, place(level + 1)]);
  });
  beside.forEach(([bx, by], level) => {
    drawing.append(svg("line", { class: "edge", x1: bx, y1: by, x2: points[level + 1][0], y2: points[level + 1][1] }));
    drawing.append(svg("line", { class: "edge lit", x1: points[level][0], y1: points[level][1], x2: points[level + 1][0], y2: points[level + 1][1] }));
  });
  for (const [bx, by, hash] of beside) {
    drawing.append(svg("rect", { class: "hash", x: bx - 38, y: by - 13, width: 76, height: 26, rx: 6 }), svg("text", { x: bx, y: by }, hash.slice(0, 8)));
  }
  points.forEach(([px, py], level) => {
    const text = level === 0 ? `entry ${index}` : level === points.length - 1 ? "root" : "·";
    drawing.append(svg("rect", { class: "hash lit", x: px - 38, y: py - 13, width: 76, height: 26, rx: 6 }), svg("text", { x: px, y: py }, text));
  });
  return drawing;
}
