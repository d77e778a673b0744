// The page of `vantage play`: draws the newest moment of the stream, and says what is held and pressed.
"use strict";

const $ = (id) => document.getElementById(id);
const KEPT = 60; // answers from which the latency is told
const DEAD = 0.12; // of a stick, around its middle
const PRESSES = { enter: "begin", space: "take over", b: "hand back", x: "failed", escape: "pause" };
const SAID = {
  ready: "Ready. Enter begins; space begins and takes over.",
  paused: "The world stands still. Enter goes on.",
  solved: "Solved. The next episode comes by itself; meanwhile the run may train or evaluate.",
  failed: "Not solved. The next episode comes by itself; meanwhile the run may train or evaluate.",
  elsewhere: "Another tab has the controls now. Load this page again to take them here.",
  ended: "The run is done.",
  stopped: "The run has stopped; its terminal says why.",
};
const LAST = { solved: "The last one was solved. ", failed: "The last one was not solved. " };

let page = 0;
let facts = {};
let decoding = false;
let newest = null; // what came while pictures were decoded

// ------------------------------------------------------------------------------------------ what is said

const keys = new Set();
let analog = [];
let presses = [];
let speed = null;
let n = 0;
let dirty = false;
let asking = false;

async function say() {
  if (asking || !page) return;
  asking = true;
  while (dirty) {
    dirty = false;
    const said = { page, n, keys: [...keys], analog, presses, speed };
    [presses, speed] = [[], null];
    try {
      const answer = await fetch("said", {
        method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(said),
      });
      const value = await answer.json();
      if (!answer.ok) throw new Error(value.problem);
      complain("");
    } catch (error) {
      complain(error instanceof TypeError ? "`vantage play` does not answer." : error.message);
    }
  }
  asking = false;
}

function changed(at) {
  n += 1;
  dirty = true;
  if (facts.human && facts.state === "running") sent.set(n, at === undefined ? performance.now() : at);
  $("held").replaceChildren(...[...keys].map((key) => {
    const shown = document.createElement("kbd");
    shown.textContent = key;
    return shown;
  }));
  say();
}

function press(word) {
  presses.push(word);
  dirty = true;
  say();
}

// -------------------------------------------------------------------------------------------- how late it is

const sent = new Map(); // number of what was said -> when the key went down
const latencies = [];

function answered(number) {
  const now = performance.now();
  for (const [said, at] of sent) {
    if (said > number) break;
    sent.delete(said);
    latencies.push(now - at);
  }
  if (latencies.length > KEPT) latencies.splice(0, latencies.length - KEPT);
  if (!latencies.length) return;
  const sorted = [...latencies].sort((one, other) => one - other);
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
  $("latency").textContent = `key to picture ${at(0.5).toFixed(0)} ms, 95 % ${at(0.95).toFixed(0)} ms`;
  document.body.dataset.latency = at(0.5).toFixed(1);
  document.body.dataset.latency95 = at(0.95).toFixed(1);
  document.body.dataset.answers = String(Number(document.body.dataset.answers || 0) + 1);
}

// ------------------------------------------------------------------------------------------------ the screen

function complain(sentence) {
  $("problem").textContent = sentence;
  $("problem").hidden = !sentence;
}

function canvases(cameras) {
  const known = [...document.querySelectorAll("#cameras canvas")];
  if (known.length === cameras.length && known.every((one, place) => one.dataset.camera === cameras[place])) return known;
  $("cameras").replaceChildren(...cameras.map((camera) => {
    const figure = document.createElement("figure");
    const canvas = document.createElement("canvas");
    canvas.dataset.camera = camera;
    const caption = document.createElement("figcaption");
    caption.textContent = camera;
    figure.append(canvas, caption);
    return figure;
  }));
  return [...document.querySelectorAll("#cameras canvas")];
}

async function show(moment) {
  if (decoding) {
    newest = moment;
    return;
  }
  decoding = true;
  for (let next = moment; next; [next, newest] = [newest, null]) await draw(next);
  decoding = false;
}

async function draw({ head, pictures }) {
  if (pictures.length) {
    const bitmaps = await Promise.all(pictures.map((jpeg) => createImageBitmap(new Blob([jpeg], { type: "image/jpeg" }))));
    canvases(head.cameras).forEach((canvas, place) => {
      const bitmap = bitmaps[place];
      if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
      canvas.getContext("2d").drawImage(bitmap, 0, 0);
      bitmap.close();
    });
  }
  if (head.state === "running" && head.human) answered(head.applied);
  else sent.clear();
  document.body.dataset.number = head.number;
}

function tell(head) {
  facts = head;
  const { body } = document;
  body.dataset.state = head.state;
  if (head.human !== undefined) {
    body.dataset.human = head.human;
    body.dataset.t = head.t;
    $("title").textContent = head.prompt === head.task ? head.task : `${head.task} · ${head.prompt}`;
    $("driver").textContent = head.human ? "you drive" : "the policy drives";
    $("time").textContent = `${(head.t / head.fps).toFixed(2)} s, step ${head.t} of ${head.limit}`;
    $("meter").style.width = `${(100 * head.t) / head.limit}%`;
    const wanted = head.fps * head.speed;
    $("rate").textContent = head.rate ? `${head.rate.toFixed(1)} of ${wanted.toFixed(1)} steps a second` : "";
    if (head.rate) body.dataset.rate = head.rate.toFixed(1);
    for (const button of document.querySelectorAll("[data-press='hand back'],[data-press='take over']")) button.hidden = head.always;
    tellSpeeds(head.speed);
    tellAxes(head);
  }
  if (head.last) {
    const { solved, failed } = head.finished;
    [body.dataset.solved, body.dataset.failed] = [solved, failed];
    $("tally").textContent = `${solved} solved, ${failed} not, since the command was given`;
  }
  const before = head.state === "ready" && head.last ? LAST[head.last] : "";
  $("state").textContent = before + (head.sentence || SAID[head.state] || "");
}

function tellSpeeds(now) {
  for (const button of document.querySelectorAll("#speeds button")) {
    button.setAttribute("aria-pressed", String(Number(button.dataset.speed) === now));
  }
}

let axesTold = "";
function tellAxes(head) {
  const text = JSON.stringify([head.axes, head.teleoperator]);
  if (text === axesTold) return;
  axesTold = text;
  const line = (title, ...words) => {
    const [row, name, meaning] = ["div", "dt", "dd"].map((tag) => document.createElement(tag));
    name.textContent = title;
    meaning.append(...words);
    row.append(name, meaning);
    return row;
  };
  const key = (name) => {
    const shown = document.createElement("kbd");
    shown.textContent = name;
    return shown;
  };
  const means = { push: "while held", latch: "until the other key", move: "moves while held", still: "has no key" };
  $("axes").replaceChildren(...(head.teleoperator
    ? [line("action", `the teleoperator ${head.teleoperator}`)]
    : head.axes.map(([kind, less, more], dimension) => line(
      `action ${dimension}`, ...(less ? [key(less), " less ", key(more), " more, "] : []), means[kind]))));
}

function tellSpeedButtons(speeds, now) {
  $("speeds").replaceChildren(...speeds.map((value) => {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.speed = value;
    button.textContent = value === 1 ? "1×" : `1/${1 / value}`;
    button.addEventListener("click", () => { button.blur(); speed = value; dirty = true; say(); });
    return button;
  }));
  tellSpeeds(now);
}

// ------------------------------------------------------------------------------------------------ the stream

async function* moments() {
  const answer = await fetch("moments");
  if (!answer.ok) throw new Error(`the server answers ${answer.status}`);
  const reader = answer.body.getReader();
  let kept = new Uint8Array(0);
  const read = async (count) => {
    while (kept.length < count) {
      const { done, value } = await reader.read();
      if (done) return null;
      const joined = new Uint8Array(kept.length + value.length);
      joined.set(kept);
      joined.set(value, kept.length);
      kept = joined;
    }
    const taken = kept.slice(0, count);
    kept = kept.slice(count);
    return taken;
  };
  while (true) {
    const length = await read(4);
    if (!length) return;
    const text = await read(new DataView(length.buffer).getUint32(0));
    if (!text) return;
    const head = JSON.parse(new TextDecoder().decode(text));
    const pictures = [];
    for (const size of head.sizes) pictures.push(await read(size));
    if (pictures.includes(null)) return;
    yield { head, pictures };
  }
}

async function listen() {
  try {
    for await (const moment of moments()) {
      if (moment.head.page) {
        page = moment.head.page;
        document.body.dataset.page = page;
        tellSpeedButtons(moment.head.speeds, moment.head.speed);
        $("title").textContent = "Nothing is played yet";
        $("state").textContent = "The run trains or evaluates; the next episode comes by itself.";
      } else if (moment.head.state) {
        tell(moment.head);
        show(moment);
      }
    }
  } catch (error) {
    if (!["ended", "elsewhere", "stopped"].includes(facts.state)) complain(error.message);
  }
  page = 0;
  if (!["ended", "elsewhere", "stopped"].includes(facts.state)) {
    complain("`vantage play` does not answer. Give the same command again: whole episodes are kept.");
  }
}

// ------------------------------------------------------------------------------------------ keys and gamepad

function named(event) {
  return event.key === " " ? "space" : event.key.toLowerCase();
}

function onDown(event) {
  if (event.altKey || event.metaKey || event.ctrlKey) return;
  const key = named(event);
  if (key === "?") { $("help").showModal(); return; }
  if ($("help").open) return;
  if (event.target instanceof HTMLButtonElement && (key === "enter" || key === "space")) event.target.blur();
  event.preventDefault();
  if (event.repeat) return;
  if (PRESSES[key]) press(PRESSES[key]);
  else if (!keys.has(key)) {
    keys.add(key);
    changed(event.timeStamp);
  }
}

function onUp(event) {
  if (keys.delete(named(event))) changed(event.timeStamp);
}

function letGo() {
  if (!keys.size) return;
  keys.clear();
  changed();
}

let buttonsBefore = [];
const PAD = { 0: "take over", 1: "hand back", 2: "failed" };

// Deflections in the order of the action's dimensions: right, away, up, then the triggers (right closes),
// the other way of the right stick, and the cross.
function readPad(pad) {
  const axis = (place) => {
    const value = pad.axes[place] || 0;
    return Math.abs(value) < DEAD ? 0 : Math.round(value * 100) / 100;
  };
  const button = (place) => (pad.buttons[place] ? Math.round(pad.buttons[place].value * 100) / 100 : 0);
  const values = [
    axis(0), -axis(1), -axis(3), button(7) - button(6), axis(2), button(15) - button(14), button(12) - button(13),
  ].map((value) => value + 0);
  const now = pad.buttons.map((one) => one.pressed);
  for (const [place, word] of Object.entries(PAD)) if (now[place] && !buttonsBefore[place]) press(word);
  if (now[9] && !buttonsBefore[9]) press(facts.state === "running" ? "pause" : "begin");
  buttonsBefore = now;
  return values;
}

function lookAtPad() {
  const pad = (navigator.getGamepads ? [...navigator.getGamepads()] : []).find(Boolean);
  const values = pad ? readPad(pad) : analog.map(() => 0);
  if (values.length !== analog.length || values.some((value, place) => value !== analog[place])) {
    analog = values;
    changed();
  }
  requestAnimationFrame(lookAtPad);
}

document.addEventListener("keydown", onDown);
document.addEventListener("keyup", onUp);
window.addEventListener("blur", letGo);
document.addEventListener("visibilitychange", () => { if (document.hidden) { letGo(); press("pause"); } });
document.querySelectorAll("[data-press]").forEach((button) => button.addEventListener("click", () => {
  button.blur();
  press(button.dataset.press);
}));
$("ask").addEventListener("click", () => { $("ask").blur(); $("help").showModal(); });
requestAnimationFrame(lookAtPad);
listen();
