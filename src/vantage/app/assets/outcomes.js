// The page of `vantage outcomes`: plays an episode, draws what is said of it, and asks the server to write
// every press down. What was pressed is shown when the server has answered, that is: when it is on the disk.
"use strict";

const $ = (id) => document.getElementById(id);
const SPEEDS = [1, 2, 4];
const MARKS = { success: "✓", failure: "✗", unknown: "?", "left out": "–" };
const WORDS = { success: "success", failure: "failure", unknown: "not recorded", "left out": "no attempt" };
const AHEAD = 24; // pictures that are asked for before they are shown

let dataset = null; // what /state said, with every entry as of the last answer
let shown = null; // what /episode/N said of the episode on the stage
let screens = []; // one per camera
let frame = 0;
let playing = false;
let speed = 1;
let curvesAsked = false;
let noteBefore = "";

// ------------------------------------------------------------------------------------------------ asking

async function ask(path, body) {
  const options = body === undefined ? {} : {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body),
  };
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Error("not saved: `vantage outcomes` does not answer. Start it again; what was saved is safe.");
  }
  const value = await answer.json().catch(() => ({}));
  if (answer.status === 409) {
    dataset.episodes[body.episode] = value.entry;
    draw();
  }
  if (!answer.ok) throw new Error(value.problem || `the server answers ${answer.status}`);
  return value;
}

// Keys and clicks count one after the other, each on what the one before has left.
let queue = Promise.resolve();
let waiting = 0;

function enqueue(work) {
  waiting += 1;
  document.body.dataset.busy = "yes";
  queue = queue.then(work).then(() => complain(""), (error) => complain(error.message)).finally(() => {
    waiting -= 1;
    if (!waiting) delete document.body.dataset.busy;
  });
  return queue;
}

function complain(sentence) {
  $("problem").textContent = sentence;
  $("problem").hidden = !sentence;
}

const descriptions = new Map();

function description(number) {
  if (!descriptions.has(number)) {
    if (descriptions.size > 16) descriptions.delete(descriptions.keys().next().value);
    const asked = ask(`episode/${number}`);
    asked.catch(() => descriptions.delete(number));
    descriptions.set(number, asked);
  }
  return descriptions.get(number);
}

// --------------------------------------------------------------------------------------------- the screens

class Film {
  constructor(camera, fps) {
    this.element = document.createElement("video");
    Object.assign(this.element, { muted: true, playsInline: true, preload: "auto", src: camera.video });
    this.element.disablePictureInPicture = true;
    this.fps = fps;
    this.wanted = null;
    this.element.addEventListener("seeked", () => this.seekOn());
    this.element.addEventListener("loadedmetadata", () => this.seekOn());
    this.take(camera);
  }

  take(camera) {
    this.source = camera.video;
    this.first = camera.first;
  }

  get position() { return this.element.currentTime * this.fps - this.first; }

  // The middle of a frame's time: no rounding leads to its neighbour.
  show(number) {
    this.wanted = (this.first + number + 0.5) / this.fps;
    if (this.element.readyState > 0 && !this.element.seeking) this.seekOn();
  }

  seekOn() {
    if (this.wanted === null) return;
    const target = this.wanted;
    this.wanted = null;
    if (Math.abs(this.element.currentTime - target) > 1e-4) this.element.currentTime = target;
  }

  get ready() { return this.wanted === null && !this.element.seeking && this.element.readyState >= 2; }

  play() { this.element.playbackRate = speed; this.element.play().catch(() => {}); }

  pause() { this.element.pause(); }

  // Follow the first camera: a little faster or slower, or by a jump where they are far apart.
  follow(position) {
    const late = (position - this.position) / this.fps;
    if (!this.ready) return;
    if (Math.abs(late) > 0.3) this.element.currentTime += late;
    else this.element.playbackRate = speed * (1 + Math.max(-0.25, Math.min(0.25, late * 3)));
  }
}

class Pictures {
  constructor(camera) {
    this.element = document.createElement("img");
    this.element.alt = "";
    this.ahead = new Map();
    this.take(camera);
  }

  take(camera) {
    this.source = camera.pictures;
    this.ahead.clear();
  }

  show(number) {
    this.element.src = `${this.source}/${number}`;
    const last = Math.min(number + AHEAD, shown.frames - 1);
    for (let next = number + 1; next <= last; next += 1) {
      if (this.ahead.has(next)) continue;
      const picture = new Image();
      picture.src = `${this.source}/${next}`;
      this.ahead.set(next, picture);
    }
    for (const known of this.ahead.keys()) if (known < number || known > last) this.ahead.delete(known);
  }

  get ready() { return this.element.complete; }

  play() {}

  pause() {}

  follow() {}
}

function buildScreens() {
  const before = new Map(screens.map((screen) => [screen.name, screen]));
  screens = [];
  const figures = shown.cameras.map((camera) => {
    const old = before.get(camera.name);
    if (old && old.player.source === (camera.video || camera.pictures) && camera.video) {
      old.player.take(camera); // the same file: only to be wound on
      screens.push(old);
      return old.figure;
    }
    if (old && camera.pictures && old.player instanceof Pictures) {
      old.player.take(camera);
      screens.push(old);
      return old.figure;
    }
    if (old) old.player.pause();
    return buildScreen(camera);
  });
  $("cameras").replaceChildren(...figures);
  $("cameras").hidden = !figures.length;
}

function buildScreen(camera) {
  const figure = document.createElement("figure");
  const screen = document.createElement("div");
  screen.className = "screen";
  const caption = document.createElement("figcaption");
  caption.textContent = camera.name;
  figure.append(screen, caption);
  const fail = (sentence) => { screen.classList.add("broken"); screen.replaceChildren(sentence); };
  if (camera.problem) {
    fail(camera.problem);
    return figure;
  }

  const player = camera.video ? new Film(camera, dataset.fps) : new Pictures(camera);
  const entry = { name: camera.name, player, figure };
  player.element.addEventListener("error", () => {
    screens = screens.filter((other) => other !== entry);
    fail(camera.video ? "this browser cannot play the video as it was encoded; try another browser"
      : "this picture cannot be shown");
  });
  screen.append(player.element);
  screens.push(entry);
  return figure;
}

// ---------------------------------------------------------------------------------------------------- time

const leader = () => screens.find((screen) => screen.player instanceof Film)?.player;
let began = null; // [when, at which frame] the clock was started, where no film tells the time

function goTo(number) {
  frame = Math.max(0, Math.min(shown.frames - 1, number));
  screens.forEach((screen) => screen.player.show(frame));
  began = [performance.now(), frame];
  drawTime();
}

function setPlaying(on) {
  if (on && frame >= shown.frames - 1) goTo(0);
  playing = on;
  screens.forEach((screen) => (on ? screen.player.play() : screen.player.pause()));
  if (!on) goTo(frame);
  began = [performance.now(), frame];
  $("toggle").textContent = on ? "Pause" : "Play";
}

function tick(now) {
  requestAnimationFrame(tick);
  if (!shown || !playing) return;
  const film = leader();
  let position;
  if (film) {
    if (!film.ready) return;
    position = film.position;
    screens.forEach((screen) => screen.player !== film && screen.player.follow(position));
  } else {
    position = began[1] + ((now - began[0]) / 1000) * dataset.fps * speed;
  }
  const number = Math.max(0, Math.floor(position + 1e-3));
  if (number >= shown.frames - 1) {
    frame = shown.frames - 1;
    setPlaying(false);
    return;
  }
  if (number !== frame) {
    frame = number;
    screens.forEach((screen) => screen.player instanceof Pictures && screen.player.show(frame));
    drawTime();
  }
}

function setSpeed(value) {
  speed = value;
  if (shown) began = [performance.now(), frame];
  if (playing) screens.forEach((screen) => screen.player.play());
  document.querySelectorAll("[data-speed]").forEach((button) =>
    button.setAttribute("aria-pressed", String(Number(button.dataset.speed) === speed)));
}

const faster = (by) => setSpeed(SPEEDS[Math.max(0, Math.min(SPEEDS.length - 1, SPEEDS.indexOf(speed) + by))]);

// --------------------------------------------------------------------------------------------- what is said

const entry = () => dataset.episodes[shown.episode];
const stretchAt = (at) => entry().attempts.findIndex(([, last]) => at <= last);
const isDone = (one) => one.attempts.every(([, , said]) => said !== null);

function nextOpen(after) {
  const count = dataset.episodes.length;
  for (let step = 1; step <= count; step += 1) {
    const number = (after + step + count) % count;
    if (!isDone(dataset.episodes[number])) return number;
  }
  return null;
}

async function open(number, { play = true, at = 0 } = {}) {
  const description_ = await description(number);
  if (shown) setPlaying(false);
  shown = description_;
  frame = 0;
  buildScreens();
  goTo(at);
  noteBefore = entry().note;
  $("note").value = noteBefore;
  history.replaceState(null, "", `#${number}`);
  draw();
  drawCurves();
  if (play && shown.frames > 1) setPlaying(true);
  const next = nextOpen(number);
  if (next !== null) description(next).catch(() => {});
}

async function press(word, note) {
  const at = frame;
  const body = { episode: shown.episode, press: word, frame: at, n: entry().n };
  if (note !== undefined) body.note = note;
  const answer = await ask("press", body);
  dataset.episodes[answer.episode] = answer.entry;
  const length = entry().attempts.length;
  const which = length > 1 && word in WORDS ? `, attempt ${stretchAt(at) + 1} of ${length}` : "";
  tell(`saved: episode ${answer.episode}${which}, ${WORDS[word] || word}`);
  draw();
  if (word in WORDS && $("onwards").checked) await goOn();
}

async function goOn() {
  const stretches = entry().attempts;
  const rest = stretches.filter(([first, , said]) => said === null && first > frame);
  const open_ = rest[0] || stretches.find(([, , said]) => said === null);
  if (open_) {
    goTo(open_[0]);
    setPlaying(true);
    return;
  }
  const next = nextOpen(shown.episode);
  if (next === null) tell(`all ${dataset.episodes.length} episodes are judged and saved`);
  else await open(next);
}

async function undo() {
  const answer = await ask("undo", {});
  if (answer.episode === null) {
    tell("there is nothing to undo");
    return;
  }
  dataset.episodes[answer.episode] = answer.entry;
  tell(`saved: episode ${answer.episode}, the last press is taken back`);
  if (answer.episode === shown.episode) {
    if (playing) setPlaying(false);
    goTo(answer.frame);
  } else await open(answer.episode, { play: false, at: answer.frame });
  noteBefore = entry().note;
  $("note").value = noteBefore;
  draw();
}

async function saveNote() {
  const text = $("note").value;
  if (text === noteBefore) return;
  await press("note", text);
  noteBefore = text;
}

const tell = (sentence) => { $("saved").textContent = sentence; };

// -------------------------------------------------------------------------------------------------- drawing

function element(name, attributes, ...inside) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...inside);
  return made;
}

const classOf = (said) => (said === null ? "none" : said.replace(" ", "-"));

function draw() {
  const done = dataset.episodes.filter(isDone).length;
  $("progress").textContent = `${done} of ${dataset.episodes.length} episodes judged`;
  $("meter").style.width = `${(100 * done) / dataset.episodes.length}%`;
  drawList();
  if (!shown) return;

  $("title").textContent = `Episode ${shown.episode}${shown.prompt ? ` · ${shown.prompt}` : ""}`;
  const known = shown.recorded_by && shown.recorded !== null && shown.recorded_by !== "demo";
  $("recorded").textContent = known
    ? `the recording itself says ${shown.recorded ? "success" : "failure"} (${shown.recorded_by})` : "";
  drawAxis();
  drawTime();
}

let rows = [];

function drawList() {
  if (rows.length !== dataset.episodes.length) {
    rows = dataset.episodes.map((one, number) => {
      const row = document.createElement("button");
      row.type = "button";
      row.addEventListener("click", () => { row.blur(); enqueue(() => open(number)); });
      return row;
    });
    $("list").replaceChildren(...rows);
  }
  dataset.episodes.forEach((one, number) => drawRow(rows[number], one, number));
}

function drawRow(row, one, number) {
  const here = Boolean(shown) && number === shown.episode;
  const key = `${here}${JSON.stringify(one)}`;
  if (row.dataset.key === key) return;
  row.dataset.key = key;
  const marks = document.createElement("span");
  marks.className = "word";
  for (const [, , said] of one.attempts) {
    const mark = document.createElement("span");
    mark.className = `mark-of ${classOf(said)}`;
    mark.textContent = said === null ? "" : MARKS[said];
    marks.append(mark);
  }
  const name = document.createElement("span");
  name.textContent = `${number}${one.note ? " ✎" : ""}`;
  const length = document.createElement("span");
  length.className = "length";
  length.textContent = `${(one.frames / dataset.fps).toFixed(1)} s`;
  row.replaceChildren(marks, name, length);
  const words = one.attempts.map(([, , said]) => (said === null ? "not judged" : WORDS[said])).join(", ");
  row.setAttribute("aria-label", `Episode ${number}: ${words}`);
  row.setAttribute("aria-current", String(here));
  if (here) row.scrollIntoView({ block: "nearest", inline: "nearest" });
}

const GUTTER = 58;
let scale = null;

function drawAxis() {
  const width = Math.max(240, $("axis").clientWidth);
  const last = Math.max(1, shown.frames);
  scale = (at) => GUTTER + ((width - GUTTER - 8) * at) / last;
  const parts = [];
  const label = (y, text) => parts.push(element("text", { x: GUTTER - 8, y, "text-anchor": "end" }, text));
  let y = 8;

  if (shown.p_v) {
    const height = 64;
    const level = (value) => y + height * (1 - value);
    for (const value of [0, 0.5, 1]) {
      parts.push(element("line", { x1: GUTTER, x2: width - 8, y1: level(value), y2: level(value), class: "grid" }));
    }
    label(level(1) + 5, "pᵥ 1");
    label(level(0) + 4, "0");
    let path = "";
    let drawing = false;
    shown.p_v.forEach((value, at) => {
      if (value !== null) path += `${drawing ? "L" : "M"}${scale(at + 0.5).toFixed(1)} ${level(value).toFixed(1)}`;
      drawing = value !== null;
    });
    parts.push(element("path", { d: path, class: "mark policy", id: "p_v" }));
    y += height + 12;
  } else if (dataset.values.state === "computing") {
    parts.push(element("text", { x: GUTTER, y: y + 12, id: "computing" }, "pᵥ is being computed"));
    y += 24;
  }
  if (shown.human) {
    label(y + 12, "driver");
    const strip = (first, stop, who) => {
      const [left, room] = [scale(first), scale(stop) - scale(first)];
      parts.push(element("rect", { x: left, y, width: Math.max(0.5, room), height: 16, class: `strip ${who}` }));
      if (room > 52) parts.push(element("text", { x: left + 6, y: y + 12, class: "word" }, who === "human" ? "person" : who));
    };
    let reached = 0;
    for (const [first, end] of shown.human) {
      if (first > reached) strip(reached, first, "policy");
      strip(first, end + 1, "human");
      reached = end + 1;
    }
    if (reached < shown.frames) strip(reached, shown.frames, "policy");
    y += 24;
  }
  label(y + 19, "said");
  for (const [first, end, said] of entry().attempts) {
    const room = scale(end + 1) - scale(first);
    parts.push(element("rect", {
      x: scale(first) + 1, y, width: Math.max(1, room - 2), height: 28, rx: 6,
      class: `attempt ${classOf(said)}`, "data-first": first,
    }));
    const word = said === null ? "not judged" : WORDS[said];
    const text = room > 88 ? word : room > 18 && said !== null ? MARKS[said] : "";
    const dark = said === null || said === "left out" ? " dark" : "";
    parts.push(element("text", {
      x: (scale(first) + scale(end + 1)) / 2, y: y + 18, "text-anchor": "middle", class: `word${dark}`,
    }, text));
  }
  y += 36;
  for (const at of shown.cuts) {
    parts.push(element("line", { x1: scale(at), x2: scale(at), y1: 6, y2: y - 6, class: "cut" },
      element("title", {}, "frames are missing here")));
  }
  const seconds = shown.frames / dataset.fps;
  const step = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300].find((one) => seconds / one <= width / 90) || 600;
  for (let at = 0; at <= seconds; at += step) {
    const name = `${Number(at.toFixed(1))} s`;
    parts.push(element("text", { x: scale(at * dataset.fps), y: y + 10, "text-anchor": "middle" }, name));
  }
  parts.push(element("line", { id: "cursor", class: "cursor", y1: 2, y2: y - 2 }));
  parts.push(element("circle", { id: "knob", class: "knob", cy: 4, r: 4 }));
  $("axis").replaceChildren(element("svg", { width, height: y + 16, viewBox: `0 0 ${width} ${y + 16}` }, ...parts));
}

function drawTime() {
  const middle = scale ? scale(frame + 0.5) : 0;
  if ($("cursor")) {
    $("cursor").setAttribute("x1", middle);
    $("cursor").setAttribute("x2", middle);
    $("knob").setAttribute("cx", middle);
  }
  const who = !shown.human ? "" : shown.human.some(([a, b]) => a <= frame && frame <= b) ? ", a person" : ", policy";
  const value = shown.p_v && shown.p_v[frame] !== null ? `, pᵥ ${shown.p_v[frame].toFixed(2)}` : "";
  const bold = document.createElement("b");
  bold.textContent = `${(frame / dataset.fps).toFixed(2)} s`;
  $("time").replaceChildren(bold, ` frame ${frame} of ${shown.frames}${who}${value}`);
  $("axis").setAttribute("aria-valuemax", shown.frames - 1);
  $("axis").setAttribute("aria-valuenow", frame);
  document.body.dataset.frame = frame;
  document.body.dataset.episode = shown.episode;

  const number = stretchAt(frame);
  document.querySelectorAll("#axis .attempt").forEach((box) => box.classList.toggle(
    "here", entry().attempts.length > 1 && Number(box.dataset.first) === entry().attempts[number][0]));
  document.querySelectorAll("[data-press]").forEach((button) => {
    if (button.dataset.press !== "split") {
      button.setAttribute("aria-pressed", String(entry().attempts[number][2] === button.dataset.press));
    }
  });
  document.querySelectorAll("#curves .cursor").forEach((line) => {
    line.setAttribute("x1", frame + 0.5);
    line.setAttribute("x2", frame + 0.5);
  });
}

function drawCurves() {
  const wanted = curvesAsked || !shown.cameras.some((camera) => !camera.problem);
  $("curves").hidden = !wanted;
  if (!wanted) return;
  $("curves").replaceChildren(...shown.curves.map((curve) => {
    const lines = curve.values.map((values, number) => {
      const known = values.filter((value) => value !== null);
      const [low, high] = [Math.min(...known), Math.max(...known)];
      const level = (value) => (high === low ? 50 : 96 - (92 * (value - low)) / (high - low));
      const points = values.map((value, at) => (value === null ? "" : `${at * curve.step + 0.5},${level(value).toFixed(2)}`));
      return element("polyline", { points: points.join(" "), class: `k${number % 8}` });
    });
    const figure = document.createElement("figure");
    const caption = document.createElement("figcaption");
    caption.append(`${curve.name}, each on its own scale:`);
    curve.names.forEach((name, number) => {
      const bold = document.createElement("b");
      bold.className = `k${number % 8}`;
      bold.textContent = name;
      caption.append(bold);
    });
    if (curve.dimensions > curve.names.length) caption.append(`and ${curve.dimensions - curve.names.length} more`);
    const cursor = element("line", { class: "cursor", y1: 0, y2: 100, "vector-effect": "non-scaling-stroke" });
    figure.append(caption, element("svg", {
      viewBox: `0 0 ${shown.frames} 100`, preserveAspectRatio: "none",
    }, ...lines, cursor));
    return figure;
  }));
  drawTime();
}

// ----------------------------------------------------------------------------------------------------- keys

const step = (by) => enqueue(async () => { if (playing) setPlaying(false); goTo(frame + by); });
const episodeBy = (by) => enqueue(async () => {
  const number = shown.episode + by;
  if (number >= 0 && number < dataset.episodes.length) await open(number);
});
const PRESSES = { s: "success", f: "failure", u: "unknown", x: "left out", c: "clear", m: "split", Enter: "split" };

function onKey(event) {
  if (!shown || $("help").open || event.altKey || event.metaKey) return;
  if (event.target === $("note")) {
    if (event.key === "Escape" || event.key === "Enter") {
      event.preventDefault();
      $("note").blur();
    }
    return;
  }
  if (event.target instanceof HTMLButtonElement && (event.key === "Enter" || event.key === " ")) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (event.ctrlKey && key !== "z") return;
  const second = Math.max(1, Math.round(dataset.fps));
  let known = true;
  if (PRESSES[key]) {
    if (!event.repeat) enqueue(() => press(PRESSES[key]));
  } else if (key === " ") {
    if (!event.repeat) enqueue(async () => setPlaying(!playing));
  } else if (key === "ArrowLeft") step(event.shiftKey ? -second : -1);
  else if (key === "ArrowRight") step(event.shiftKey ? second : 1);
  else if (key === "Home") step(-shown.frames);
  else if (key === "End") step(shown.frames);
  else if (key === "ArrowUp" || key === "p") episodeBy(-1);
  else if (key === "ArrowDown" || key === "n") episodeBy(1);
  else if (key === "z") {
    if (!event.repeat) enqueue(undo);
  } else if (key === "g") {
    enqueue(async () => { const next = nextOpen(shown.episode); if (next !== null) await open(next); });
  } else if (key === "," || key === "-") enqueue(async () => faster(-1));
  else if (key === "." || key === "+" || key === "=") enqueue(async () => faster(1));
  else if (key === "t") $("note").focus();
  else if (key === "v") { curvesAsked = !curvesAsked; drawCurves(); }
  else if (key === "a") $("onwards").checked = !$("onwards").checked;
  else if (key === "?") $("help").showModal();
  else known = false;
  if (known) event.preventDefault();
}

function onPointer(event) {
  if (!shown || (event.type === "pointermove" && !event.buttons)) return;
  if (event.type === "pointerdown") $("axis").setPointerCapture(event.pointerId);
  const left = $("axis").getBoundingClientRect().left;
  const room = scale(shown.frames) - scale(0);
  const at = Math.floor(((event.clientX - left - scale(0)) / room) * shown.frames);
  if (playing) setPlaying(false);
  goTo(at);
}

function drawSaid() {
  const sentences = dataset.values.problem ? [...dataset.said, dataset.values.problem] : dataset.said;
  $("said").replaceChildren(...sentences.map((sentence) => {
    const line = document.createElement("li");
    line.textContent = sentence;
    return line;
  }));
  $("said").hidden = !sentences.length;
}

// The critic looks at the recordings while somebody judges them; what it says appears when it is there.
async function awaitValues() {
  while (dataset.values.state === "computing") {
    await new Promise((done) => setTimeout(done, 1000));
    try {
      dataset.values = await ask("values");
    } catch {
      continue; // the next press says that nobody answers
    }
  }
  drawSaid();
  descriptions.clear();
  enqueue(async () => {
    shown.p_v = (await description(shown.episode)).p_v;
    draw();
  });
}

async function begin() {
  dataset = await ask("state");
  drawSaid();
  setSpeed(1);
  tell(`every press is saved in ${dataset.journal.split("/").pop()}`);
  const asked = Number.parseInt(location.hash.slice(1), 10);
  const open_ = nextOpen(dataset.last === null ? -1 : dataset.last - 1);
  const number = asked >= 0 && asked < dataset.episodes.length ? asked : open_ === null ? 0 : open_;
  await open(number);
  if (dataset.values.state === "computing") awaitValues();
}

document.addEventListener("keydown", onKey);
document.querySelectorAll("[data-press]").forEach((button) => button.addEventListener("click", () => {
  button.blur();
  enqueue(() => press(button.dataset.press));
}));
document.querySelectorAll("[data-speed]").forEach((button) => button.addEventListener("click", () => {
  button.blur();
  enqueue(async () => setSpeed(Number(button.dataset.speed)));
}));
document.querySelector("[data-do=undo]").addEventListener("click", (event) => {
  event.currentTarget.blur();
  enqueue(undo);
});
$("toggle").addEventListener("click", () => { $("toggle").blur(); enqueue(async () => setPlaying(!playing)); });
$("ask").addEventListener("click", () => $("help").showModal());
$("note").addEventListener("blur", () => enqueue(saveNote));
for (const kind of ["pointerdown", "pointermove"]) $("axis").addEventListener(kind, onPointer);
new ResizeObserver(() => { if (shown) { drawAxis(); drawTime(); } }).observe($("axis"));
requestAnimationFrame(tick);
enqueue(begin);
