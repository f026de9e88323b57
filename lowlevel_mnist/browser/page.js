"use strict";
// The page: what is drawn goes through the network, and what it says is shown.

const UNITS = 8; // of each hidden layer that are shown
const CELL = 8; // screen pixels for each pixel in the map of reasons
const SMALL_CELL = 3; // and in the pictures of units
const MAX_MAP_SIDE = 400; // screen pixels of a map's side, for images of many pixels
const USUAL = 5; // on the slider from 1 to 10: as wide as the lines of the images
const PATIENCE = 6; // milliseconds that reasons may take while the pen moves
const REST = 100; // milliseconds without a movement, after which they may take longer
const CHOICES = "lowlevel_mnist"; // the name under which the browser keeps language and theme
const DARK = matchMedia("(prefers-color-scheme: dark)");

const content = JSON.parse(byId("content").textContent);
const layers = content.layers.map(({ weights, biases }) => ({
  weights: floats(weights),
  biases: floats(biases),
}));
const images = content.images.map((image) => ({ ...image, pixels: bytes(image.pixels) }));
const names = content.classes.map((name, label) => name ?? String(label));
const [height, width] = content.imageStyle.size;
const facts = {
  ...content,
  layers,
  names: content.classes.filter((name) => name !== null),
  mistakes: images.filter((image) => image.label !== image.predicted).length,
};

let { theme } = keep({}); // the one that was switched to; undefined for the system's
let language = String(keep({}).language ?? navigator.language).startsWith("ko") ? "ko" : "en";
let pinned = null; // the class that was clicked on, whose reasons are shown
let pointed = null; // the class that the mouse points at
let seen = null; // what look has returned
let slowness = 0; // milliseconds that showReasons took
let waiting = null; // the timer of showReasons

// ---- What is drawn

const drawing = newDrawing(byId("drawing"), (isDown) => {
  byId("hint").hidden = !drawing.isBlank;
  seen = look(drawing);
  showAnswer();
  clearTimeout(waiting);
  if (isDown && slowness > PATIENCE) {
    waiting = setTimeout(showReasons, REST);
  } else {
    showReasons();
  }
  if (isDown) {
    byId("spoken").textContent = TEXTS[language].penDown;
  } else {
    speak();
  }
});
const blank = new Uint8Array(height * width).fill(drawing.background);
document.documentElement.style.setProperty("--aspect", width / height);
drawing.handlePointer();
drawing.handleKeys(byId("cursor"));

function newDrawing(canvas, onChange) {
  return new Drawing(canvas, content.imageStyle, content.invert, onChange);
}

/** Returns what the network sees of a drawing and calculates from it, or null for nothing. */
function look(drawing) {
  const found = whatIsSeen(drawing);
  if (found === null) {
    return null;
  }
  const pixels = Float32Array.from(found.image, (value) => value / 255);
  const sums = preActivations(layers, pixels);
  const logits = sums[sums.length - 1];
  const result = { ...found, pixels, sums, logits, probabilities: probabilities(logits) };
  return { ...result, isUnsure: isUnsure(result) };
}

/** Returns whether an image is darker or brighter than any test image, or no class is probable. */
function isUnsure({ image, probabilities }) {
  const mean = sum(image) / image.length;
  const [darkest, brightest] = content.meanGreyLevels;
  return mean < darkest || mean > brightest || Math.max(...probabilities) < content.unsureBelow;
}

function whatIsSeen(drawing) {
  if (drawing.isBlank) {
    return null;
  }
  const image = drawing.untouchedImage;
  return image ? { image, fitted: false } : read(drawing.greyLevels(), content.imageStyle);
}

/**
 * Looks at two lines, which nobody gets to see, until the browser has compiled what it takes.
 *
 * Without this, the bars were 80 ms behind the first movement of the pen, and not 15.
 */
function warmUp(times) {
  const trial = newDrawing(make("canvas"), () => {});
  const [right, bottom] = [trial.canvas.width, trial.canvas.height];
  for (const x of [right / 4, right / 2]) {
    trial.begin([x, bottom / 4]);
    trial.extend([[x, bottom / 2]]);
  }
  for (const one of [trial, drawing]) {
    seen = look(one);
    showAnswer();
    showReasons();
  }
  if (times > 1 && drawing.isBlank) {
    setTimeout(warmUp, 0, times - 1);
  }
}

// ---- What is shown of it

function showAnswer() {
  const text = TEXTS[language];
  const answer = theAnswer();
  byId("answerTitle").textContent = seen?.isUnsure ? text.notSure : text.answerTitle;
  byId("answer").textContent = (seen ? names[answer] : "") + (!seen || seen.isUnsure ? "?" : "");
  byId("answer").classList.toggle("long", seen !== null && names[answer].length > 3);
  byId("probability").textContent = seen ? percent(seen.probabilities[answer]) : text.nothing;
  byId("remark").textContent = seen ? remark(answer) : "";
  paintGrey(byId("seen"), seen ? seen.image : blank);
  rows.forEach(({ row, bar, figure }, label) => {
    const probability = seen ? seen.probabilities[label] : 0;
    bar.style.transform = `scaleX(${probability})`;
    figure.textContent = seen ? percent(probability) : "";
    row.classList.toggle("answer", label === answer);
    row.parentElement.hidden = content.classes[label] === null && label !== answer;
  });
}

/** Returns what is to be said of the picture that is seen. */
function remark(answer) {
  const text = TEXTS[language];
  const example = images.find(({ pixels }) => pixels === drawing.untouchedImage);
  if (example) {
    return text.truth(names[example.label], example.label === answer);
  }
  if (seen.otherDigits > 0) {
    return text.otherDigits(seen.otherDigits);
  }
  return seen.fitted ? text.fitted : "";
}

/** Returns the most probable class, or null where nothing is seen. */
function theAnswer() {
  return seen && seen.probabilities.indexOf(Math.max(...seen.probabilities));
}

/** Shows what in the picture speaks for a class and what against it, and the hidden units. */
function showReasons() {
  const begun = performance.now();
  showContributions(pointed ?? pinned ?? theAnswer());
  showUnits();
  slowness = performance.now() - begun;
}

/** label: the class; null for none. */
function showContributions(label) {
  const text = TEXTS[language];
  rows.forEach(({ row }, other) => {
    row.setAttribute("aria-pressed", String(other === pinned));
    row.classList.toggle("chosen", other === label);
  });
  const title = label === null ? text.noReasons : text.reasonsTitle(names[label]);
  byId("reasonsTitle").textContent = title;
  let description = title;
  const figures = { sumFor: "", sumAgainst: "", sumBiases: "", logit: "" };
  let contributions = new Float64Array(height * width);
  if (seen && label !== null) {
    const slopes = gradient(layers, layers.length - 1, label, seen.sums);
    contributions = slopes.map((slope, i) => slope * seen.pixels[i]);
    const positive = contributions.reduce((total, value) => total + relu(value), 0);
    const negative = contributions.reduce((total, value) => total - relu(-value), 0);
    figures.sumFor = signed(positive);
    figures.sumAgainst = signed(negative);
    // As long as the same units are active, the network is linear: the rest is from its biases.
    figures.sumBiases = signed(seen.logits[label] - positive - negative);
    figures.logit = signed(seen.logits[label]);
    description = text.contributions(names[label], figures.sumFor, figures.sumAgainst);
  }
  byId("contributions").setAttribute("aria-label", description);
  paintSigned(byId("contributions"), contributions, CELL);
  Object.entries(figures).forEach(([id, figure]) => (byId(id).textContent = figure));
}

function showUnits() {
  const text = TEXTS[language];
  hiddenLayers.forEach(({ places, section }, layer) => {
    const outputs = seen ? seen.sums[layer].map(relu) : new Float64Array(0);
    const mostActive = Array.from(outputs.keys())
      .filter((unit) => outputs[unit] > 0)
      .sort((a, b) => outputs[b] - outputs[a])
      .slice(0, UNITS);
    section.classList.toggle("empty", mostActive.length === 0);
    places.forEach((place, i) => {
      const unit = mostActive[i];
      place.item.classList.toggle("empty", unit === undefined);
      if (unit === undefined) {
        return;
      }
      const output = outputs[unit].toFixed(2);
      place.figure.textContent = `${unit}: ${output}`;
      place.canvas.setAttribute("aria-label", text.unit(unit, output));
      if (layer > 0 || unit !== place.unit) {
        paintSigned(place.canvas, gradient(layers, layer, unit, seen.sums), SMALL_CELL);
        place.unit = unit;
      }
    });
  });
}

/** Says the answer to a screen reader, when a stroke has ended. */
function speak() {
  const text = TEXTS[language];
  const [answer, ...more] = ["answer", "probability", "remark"].map((id) => byId(id).textContent);
  const doubt = seen?.isUnsure ? `${text.notSure}: ` : "";
  byId("spoken").textContent = seen ? `${doubt}${answer}, ${more.join(". ")}` : text.nothing;
}

// ---- Pictures

function paintExample(canvas, { pixels }) {
  [canvas.width, canvas.height] = [width, height];
  paintGrey(canvas, pixels);
}

function paintGrey(canvas, image) {
  contextOf(canvas).putImageData(enlarged(image, width, 1), 0, 0);
}

/**
 * Paints a number for each pixel: the larger, the stronger; above 0 a filled square, below a dot.
 *
 * cell: screen pixels for each, where the image is small enough.
 */
function paintSigned(canvas, values, cell) {
  cell = Math.max(Math.min(cell, Math.floor(MAX_MAP_SIDE / Math.max(height, width))), 1);
  [canvas.width, canvas.height] = [width * cell, height * cell];
  const gap = Math.floor(cell / 3);
  const most = values.reduce((largest, value) => Math.max(largest, Math.abs(value)), 1e-12);
  const picture = new ImageData(canvas.width, canvas.height);
  const pixels = new Uint32Array(picture.data.buffer);
  values.forEach((value, i) => {
    const [y, x] = [Math.floor(i / width) * cell, (i % width) * cell];
    const first = value < 0 ? gap : 0;
    // In the bytes' order: red, green, blue and opacity, the last in the highest byte.
    const colour = value < 0 ? colours.against : colours.for;
    const opacity = Math.round(255 * Math.sqrt(Math.abs(value) / most));
    for (let v = first; v < cell; v++) {
      const line = (y + v) * canvas.width + x;
      pixels.fill(colour | (opacity << 24), line + first, line + cell);
    }
  });
  contextOf(canvas).putImageData(picture, 0, 0);
}

/** Returns the two colours of the theme, as 0xbbggrr. */
function readColours() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => {
    const [red, green, blue] = style.getPropertyValue(name).match(/[0-9a-f]{2}/g);
    return parseInt(blue + green + red, 16);
  };
  return { for: colour("--for"), against: colour("--against") };
}

let colours = readColours();

// ---- The elements that depend on the network

[byId("seen").width, byId("seen").height] = [width, height];
const longestName = Math.max(...names.map((name) => name.length));
document.body.classList.toggle("wide", longestName > 3);
byId("examples").hidden = images.length === 0;
byId("classes").style.setProperty("--names", `${0.62 * Math.min(longestName + 1, 14)}em`);

const rows = names.map((name, label) => {
  const row = make("button", "", byId("classes").appendChild(make("li")));
  row.type = "button";
  make("span", "name", row).textContent = name;
  const example = images.find((image) => image.label === label && image.predicted === label);
  if (example && content.kind !== "digits") {
    paintExample(make("canvas", "", row), example);
  }
  const bar = make("span", "bar", make("span", "track", row));
  const figure = make("span", "figure", row);
  row.addEventListener("click", () => {
    pinned = pinned === label ? null : label;
    showReasons();
    byId("spoken").textContent = byId("contributions").getAttribute("aria-label");
  });
  const point = (at) => {
    pointed = at;
    showReasons();
  };
  row.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && point(label));
  row.addEventListener("pointerleave", () => point(null));
  row.addEventListener("keyup", () => point(label)); // also of the key that has brought the focus
  row.addEventListener("blur", () => point(null));
  return { row, bar, figure };
});

const hiddenLayers = layers.slice(0, -1).map((_, layer) => {
  const section = make("section", "units", byId("hidden"));
  const [title, note] = [make("h2", "", section), make("p", "note", section)];
  const list = make("ul", "", section);
  const places = Array.from({ length: UNITS }, () => {
    const item = make("li", "", list);
    const canvas = make("canvas", "", item);
    canvas.setAttribute("role", "img");
    return { item, canvas, figure: make("span", "", item), unit: null };
  });
  return { section, title, note, places };
});

images.forEach((image) => {
  const button = make("button", "", byId("images").appendChild(make("li")));
  button.type = "button";
  paintExample(make("canvas", "", button), image);
  image.button = button;
  const isRight = image.label === image.predicted;
  button.classList.toggle("mistake", !isRight);
  const lines = [names[image.label], `${isRight ? "✓" : "✗"}\u00a0${names[image.predicted]}`];
  lines.forEach((line) => (make("span", "", button).textContent = line));
  image.lines = lines.join(" ");
  button.addEventListener("click", () => {
    pinned = null;
    drawing.load(image.pixels);
    byId("board").scrollIntoView({ block: "nearest" });
  });
});

// ---- Tools, language and theme

function erase(isOn) {
  drawing.erasing = isOn;
  byId("erase").setAttribute("aria-pressed", String(isOn));
}

byId("erase").addEventListener("click", () => erase(!drawing.erasing));
byId("undo").addEventListener("click", () => drawing.undo());
byId("clear").addEventListener("click", () => {
  erase(false);
  drawing.load(null);
});
document.addEventListener("keydown", (event) => {
  if (event.key.toLowerCase() === "z" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    drawing.undo();
  }
});

const usual = (content.imageStyle.stroke_widths?.[1] ?? 2) * drawing.factor;
const chooseWidth = () => (drawing.penWidth = (usual * Number(byId("width").value)) / USUAL);
byId("width").value = USUAL;
byId("width").addEventListener("input", chooseWidth);
chooseWidth();

byId("language").addEventListener("click", () => {
  language = language === "en" ? "ko" : "en";
  keep({ language });
  byId("spoken").textContent = "";
  write();
});
byId("theme").addEventListener("click", () => {
  theme = currentTheme() === "dark" ? "light" : "dark";
  keep({ theme });
  write();
});
DARK.onchange = write; // Safari 13 has no addEventListener for it

function currentTheme() {
  return theme ?? (DARK.matches ? "dark" : "light");
}

/** Writes and paints all of the page, in its language and theme. */
function write() {
  const text = TEXTS[language];
  document.documentElement.lang = language;
  document.documentElement.dataset.theme = currentTheme();
  document.title = text.title(facts);
  document.querySelectorAll("[data-text]").forEach((element) => {
    const entry = text[element.dataset.text];
    element.textContent = typeof entry === "function" ? entry(facts) : entry;
  });
  byId("language").textContent = text.language;
  byId("language").lang = language === "en" ? "ko" : "en";
  byId("theme").textContent = text.themes[currentTheme() === "dark" ? "light" : "dark"];
  byId("drawing").setAttribute("aria-label", text.canvas);
  byId("seen").setAttribute("aria-label", text.seen(width, height));
  hiddenLayers.forEach(({ title, note }, layer) => {
    title.textContent = text.hiddenTitle(layer + 1, hiddenLayers.length);
    note.textContent = text.hiddenNote(layer + 1);
  });
  images.forEach(({ button, lines, label, predicted }, i) => {
    const description = text.example(i + 1, names[label], names[predicted], label === predicted);
    button.setAttribute("aria-label", `${lines}: ${description}`); // what is seen comes first
  });
  colours = readColours();
  hiddenLayers.forEach(({ places }) => places.forEach((place) => (place.unit = null)));
  showAnswer();
  showReasons();
}

write();
warmUp(30);
byId("unstarted").remove();

// ---- Small help

function byId(id) {
  return document.getElementById(id);
}

function make(tag, className = "", parent = null) {
  const element = document.createElement(tag);
  element.className = className;
  parent?.append(element);
  return element;
}

/** Has the browser keep what was chosen, for the next time; returns all that it keeps. */
function keep(choices) {
  try {
    const all = { ...JSON.parse(localStorage.getItem(CHOICES)), ...choices };
    localStorage.setItem(CHOICES, JSON.stringify(all));
    return all;
  } catch {
    return choices; // it was told to keep nothing
  }
}

/** Returns the Uint8Array of which this is the base64. */
function bytes(base64) {
  const text = atob(base64);
  const array = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) {
    array[i] = text.charCodeAt(i);
  }
  return array;
}

/** Returns the Float32Array of whose bytes, lowest first, this is the base64. */
function floats(base64) {
  return new Float32Array(bytes(base64).buffer);
}
