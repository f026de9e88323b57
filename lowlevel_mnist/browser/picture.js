"use strict";
// A drawing, brought to the style of the images that the network has learnt from.
//
// These are the steps of ../sources/pictures.py, foreground.py and image_style.py, which say what
// each is for; only the background is known here, and not estimated. Functions and constants have
// the names that they have there, and a test holds both equal: it draws 200 digits. A grid is
// {height, width, values}, values a typed array, row by row. What goes through all pixels of the
// canvas is a plain loop: it is done anew for each movement of the pen, and took 64 ms on a canvas
// of 392 pixels with a function called for each, not 13.

const MIN_CONTRAST = 16;
const FAINT = 0.2;
const SPECKS = 0.002;
const NEAR = 40;
const MIN_BACKGROUND = 0.75;
const FINE_SIDE = 80;
const SHARP = 1e6; // 10 to the power of DECIMALS
const JOINED = 0.15;
const TOUCHING = 0.05;
const TALL = 0.5;
const MAX_PIECES = 30;
const SPECK = 0.005;
const FRAMED = 0.2;
const WIDE = 1.6;
const MAX_TAKEN = 2;
const FINE = 4;
const FINE_BOX = 200;

// ---- pictures.py

/**
 * Brings a drawing to a style.
 *
 * greyLevels: a grid, 0 black to 255 white, a whole multiple of the images' size. The drawing is on
 * the style's background: all that differs from it is foreground, however much there is of it.
 * style: as in metrics.json.
 * Returns {image, otherDigits, fitted}: a Uint8Array in the style of the images; how many more
 * pieces of the foreground could be a digit of their own; and whether it was cut out, scaled and
 * placed. Or null where nothing is to be seen.
 */
function read(greyLevels, style) {
  const image = toSize(greyLevels, style.size);
  if (style.background === null || matches(image, style)) {
    return { image, otherDigits: 0, fitted: false };
  }
  const found = measure(greyLevels, style.background);
  if (found === null) {
    return null;
  }
  const { foreground } = found;
  const otherDigits = style.stroke_widths ? chooseDigit(foreground) : 0;
  return { image: place(fit(foreground, style), style), otherDigits, fitted: true };
}

function toSize(greyLevels, size) {
  const { values } = resize(greyLevels, ...size, BOX);
  return Uint8Array.from(values, (value) => Math.min(Math.max(value, 0), 255) + 0.5);
}

// ---- image_style.py

/** style: one that has a background. */
function matches(image, style) {
  const [height, width] = style.size;
  const grid = { height, width, values: image };
  const mean = sum(image) / image.length;
  if (!(style.mean_grey_levels[0] <= mean && mean <= style.mean_grey_levels[1])) {
    return false;
  }
  const found = measure(grid, style.background);
  if (found === null || !isBackground(border(grid), style.background)) {
    return false;
  }
  const { foreground, rows, columns } = found;
  const side = Math.max(rows[1] - rows[0], columns[1] - columns[0]);
  const [y, x] = style.by_mass
    ? centreOfMass(foreground)
    : [(rows[0] + rows[1]) / 2, (columns[0] + columns[1]) / 2];
  const offset = Math.max(Math.abs(y - style.centre[0]), Math.abs(x - style.centre[1]));
  return (
    style.box_sides[0] <= side &&
    side <= style.box_sides[1] &&
    offset <= style.max_offset &&
    (style.stroke_widths === null || strokeWidth(foreground) >= leastWidth(style))
  );
}

function leastWidth({ stroke_widths: [thin, usual] }) {
  return thin + (usual - thin) / 4;
}

function measure(image, background) {
  const values = new Float64Array(image.values);
  for (let i = 0; i < values.length; i++) {
    values[i] = Math.abs(values[i] - background);
  }
  if (largest(values) < MIN_CONTRAST) {
    return null;
  }
  const foreground = dropFaint({ ...image, values });
  return { foreground, rows: extent(rowSums(foreground)), columns: extent(columnSums(foreground)) };
}

/** Changes the foreground in place, and returns it. */
function dropFaint(foreground) {
  const { values } = foreground;
  const most = largest(values);
  for (let i = 0; i < values.length; i++) {
    const value = values[i] / most;
    values[i] = value < FAINT ? 0 : value;
  }
  return foreground;
}

/** Returns [first, past the last]. */
function extent(mass) {
  const total = sum(mass);
  let [first, last, cumulated] = [0, 0, 0];
  for (const value of mass) {
    cumulated += value;
    const fraction = round(cumulated / total);
    first += fraction <= SPECKS;
    last += fraction <= 1 - SPECKS;
  }
  return [first, Math.min(last, mass.length - 1) + 1];
}

/** Returns [y, x]. */
function centreOfMass(foreground) {
  const [rows, columns] = [rowSums(foreground), columnSums(foreground)];
  const weighted = (mass) => mass.reduce((total, value, i) => total + value * (i + 0.5), 0);
  return [weighted(rows) / sum(rows), weighted(columns) / sum(columns)];
}

function strokeWidth(foreground) {
  const factor = Math.ceil(FINE_SIDE / Math.max(foreground.height, foreground.width));
  const fine = resize(foreground, factor * foreground.height, factor * foreground.width, BICUBIC);
  const { height, width, values } = fine;
  const isLine = (y, x) => y < height && x < width && values[y * width + x] > 0.5;
  let [area, outline] = [0, 0];
  for (let y = 0; y <= height; y++) {
    for (let x = 0; x <= width; x++) {
      const here = isLine(y, x);
      area += here;
      outline += here !== (y > 0 && isLine(y - 1, x));
      outline += here !== (x > 0 && isLine(y, x - 1));
    }
  }
  return (2 * (area / Math.max((outline * Math.PI) / 4, 1))) / factor;
}

function border({ height, width, values }) {
  const sides = [];
  for (let x = 0; x < width; x++) {
    sides.push(values[x], values[(height - 1) * width + x]);
  }
  for (let y = 0; y < height; y++) {
    sides.push(values[y * width], values[(y + 1) * width - 1]);
  }
  return sides;
}

function isBackground(greyLevels, background) {
  const near = greyLevels.filter((level) => Math.abs(level - background) <= NEAR);
  return near.length / greyLevels.length >= MIN_BACKGROUND;
}

// ---- foreground.py

/** Changes the foreground to one digit; returns how many other pieces could be one. */
function chooseDigit(foreground) {
  const { numbers, pieces } = findPieces(foreground);
  const encloses = (one, other) =>
    one.top < other.top &&
    one.bottom > other.bottom &&
    one.left < other.left &&
    one.right > other.right;
  const isFrame = (one) =>
    pieces.some((piece) => encloses(one, piece) && piece.mass >= FRAMED * one.mass);
  const touchesEdge = (piece) =>
    Math.min(piece.top, piece.left) === 0 ||
    piece.bottom === foreground.height ||
    piece.right === foreground.width;
  const unframed = pieces.filter((piece) => !isFrame(piece));
  const main = unframed.reduce((a, b) => (b.mass > a.mass ? b : a));
  const isEdgePiece = (piece) => touchesEdge(piece) && !touchesEdge(main);
  const couldBeDigit = (piece) => piece.bottom - piece.top > TALL * (main.bottom - main.top);
  let others = unframed.filter((piece) => piece !== main && !isEdgePiece(piece));
  const chosen = new Set([main.number]);
  for (let grown = true; grown && others.length > 0; ) {
    const side = Math.max(main.bottom - main.top, main.right - main.left);
    const [joined, touching] = [JOINED, TOUCHING].map((gap) =>
      numbersNear(foreground, numbers, chosen, Math.ceil(gap * side)),
    );
    const near = others.filter((piece) =>
      (couldBeDigit(piece) ? touching : joined).has(piece.number),
    );
    near.forEach((piece) => chosen.add(piece.number));
    others = others.filter((piece) => !near.includes(piece));
    grown = near.length > 0;
  }
  for (let i = 0; i < numbers.length; i++) {
    if (numbers[i] > 0 && !chosen.has(numbers[i])) {
      foreground.values[i] = 0;
    }
  }
  return others.filter(couldBeDigit).length;
}

/** Returns {numbers, pieces}: of each pixel the number of its piece, or 0; and the largest. */
function findPieces({ height, width, values }) {
  const numbers = new Int32Array(values.length);
  const pieces = [];
  for (let start = 0; start < values.length; start++) {
    if (values[start] === 0 || numbers[start] > 0) {
      continue;
    }
    const number = pieces.length + 1;
    const piece = { number, last: 0, mass: 0, top: height, bottom: 0, left: width, right: 0 };
    const reached = [start];
    numbers[start] = number;
    while (reached.length > 0) {
      const i = reached.pop();
      const y = Math.floor(i / width);
      const x = i % width;
      piece.mass += values[i];
      piece.last = Math.max(piece.last, i);
      piece.top = Math.min(piece.top, y);
      piece.bottom = Math.max(piece.bottom, y + 1);
      piece.left = Math.min(piece.left, x);
      piece.right = Math.max(piece.right, x + 1);
      for (let v = Math.max(y - 1, 0); v <= Math.min(y + 1, height - 1); v++) {
        for (let u = Math.max(x - 1, 0); u <= Math.min(x + 1, width - 1); u++) {
          const neighbour = v * width + u;
          if (values[neighbour] > 0 && numbers[neighbour] === 0) {
            numbers[neighbour] = number;
            reached.push(neighbour);
          }
        }
      }
    }
    piece.mass = round(piece.mass);
    pieces.push(piece);
  }
  pieces.sort((a, b) => b.mass - a.mass || a.last - b.last);
  const large = pieces.slice(0, MAX_PIECES).filter((p) => p.mass > SPECK * pieces[0].mass);
  return { numbers, pieces: large };
}

/** Returns the Set of the numbers of pieces that are so near, along rows and columns. */
function numbersNear(foreground, numbers, chosen, distance) {
  const { height, width } = foreground;
  const mask = new Uint8Array(numbers.length);
  for (let i = 0; i < mask.length; i++) {
    mask[i] = numbers[i] > 0 && chosen.has(numbers[i]);
  }
  for (let y = 0; y < height; y++) {
    growLine(mask, y * width, 1, width, distance);
  }
  for (let x = 0; x < width; x++) {
    growLine(mask, x, width, height, distance);
  }
  const found = new Set();
  for (let i = 0; i < mask.length; i++) {
    if (mask[i] && numbers[i] > 0) {
      found.add(numbers[i]);
    }
  }
  return found;
}

function growLine(mask, first, step, length, distance) {
  let [before, after] = [Infinity, Infinity];
  const line = new Uint8Array(length);
  for (let i = 0; i < length; i++) {
    line[i] = mask[first + i * step];
  }
  for (let i = 0; i < length; i++) {
    const mirrored = length - 1 - i;
    before = line[i] ? 0 : before + 1;
    after = line[mirrored] ? 0 : after + 1;
    mask[first + i * step] |= before <= distance;
    mask[first + mirrored * step] |= after <= distance;
  }
}

function fit(foreground, style) {
  let cut = cutToBox(foreground);
  const side = fittingSide(cut, style);
  if (style.stroke_widths) {
    const usual = style.stroke_widths[1];
    const width = (strokeWidth(cut) * side) / Math.max(cut.height, cut.width);
    if (width < leastWidth(style) || width > WIDE * usual) {
      const fine = Math.max(1, Math.min(FINE, Math.trunc(FINE_BOX / style.box_side)));
      const grown = Math.max(((usual - width) * side) / (side - width), -MAX_TAKEN * usual);
      const change = width > usual ? grown : usual - width;
      cut = scale(cut, fine * (side - change));
      cut = (change > 0 ? widen : narrow)(cut, (fine * Math.abs(change)) / 2);
    }
  }
  return scale(cut, fittingSide(cut, style));
}

function fittingSide(foreground, style) {
  const longest = Math.max(foreground.height, foreground.width);
  const [h, w] = style.size;
  return longest * Math.min(style.box_side / longest, h / foreground.height, w / foreground.width);
}

function scale(foreground, side) {
  const factor = side / Math.max(foreground.height, foreground.width);
  const length = (own) => Math.max(1, roundHalfToEven(own * factor));
  const scaled = resize(foreground, length(foreground.height), length(foreground.width), HAMMING);
  const most = largest(scaled.values);
  return { ...scaled, values: Float64Array.from(scaled.values, (value) => value / most) };
}

function widen(foreground, radius) {
  const reach = Math.ceil(radius);
  const [height, width] = [foreground.height + 2 * reach, foreground.width + 2 * reach];
  const values = new Float64Array(height * width);
  for (let y = -reach; y <= reach; y++) {
    for (let x = -reach; x <= reach; x++) {
      const pen = Math.min(Math.max(radius + 0.5 - Math.hypot(y, x), 0), 1);
      for (let v = 0; v < foreground.height; v++) {
        for (let u = 0; u < foreground.width; u++) {
          const i = (v + reach - y) * width + u + reach - x;
          values[i] = Math.max(values[i], pen * foreground.values[v * foreground.width + u]);
        }
      }
    }
  }
  return { height, width, values };
}

function narrow(foreground, radius) {
  const reach = Math.ceil(radius);
  const { height, width } = foreground;
  const around = { height: height + 2 * reach, width: width + 2 * reach };
  around.values = new Float64Array(around.height * around.width).fill(1);
  for (let i = 0; i < foreground.values.length; i++) {
    const [y, x] = [Math.floor(i / width), i % width];
    around.values[(y + reach) * around.width + x + reach] -= foreground.values[i];
  }
  const outside = widen(around, radius);
  const left = cutOut(outside, 2 * reach, 2 * reach + height, 2 * reach, 2 * reach + width);
  return cutToBox({ ...left, values: left.values.map((value) => 1 - value) });
}

function cutToBox(foreground) {
  const [top, bottom] = extent(rowSums(foreground));
  const [left, right] = extent(columnSums(foreground));
  return cutOut(foreground, top, bottom, left, right);
}

function place(foreground, style) {
  const [height, width] = style.size;
  const { height: h, width: w, values } = foreground;
  const own = style.by_mass ? centreOfMass(foreground) : [h / 2, w / 2];
  const first = (axis, room) =>
    Math.min(Math.max(Math.floor(round(style.centre[axis] - own[axis] + 0.5)), 0), room);
  const [top, left] = [first(0, height - h), first(1, width - w)];
  const contrast = (style.background < 128 ? 255 : 0) - style.background;
  const image = new Uint8Array(height * width).fill(style.background);
  for (let y = 0; y < h; y++) {
    for (let x = 0; x < w; x++) {
      image[(top + y) * width + left + x] = style.background + values[y * w + x] * contrast + 0.5;
    }
  }
  return image;
}

// ---- Pillow's resampling, in its order: rows first, float32 between the two.

const BOX = { support: 0.5, weight: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) };
const HAMMING = {
  support: 1,
  weight(x) {
    const angle = Math.PI * Math.abs(x);
    if (angle === 0) {
      return 1;
    }
    return angle < Math.PI ? (Math.sin(angle) / angle) * (0.54 + 0.46 * Math.cos(angle)) : 0;
  },
};
const BICUBIC = {
  support: 2,
  weight(x) {
    const d = Math.abs(x);
    if (d < 1) {
      return (1.5 * d - 2.5) * d * d + 1;
    }
    return d < 2 ? ((-0.5 * d + 2.5) * d - 4) * d + 2 : 0;
  },
};

function resize(grid, height, width, filter) {
  const values = grid.values instanceof Float32Array ? grid.values : new Float32Array(grid.values);
  const narrow = resizeRows({ ...grid, values }, width, filter);
  return transpose(resizeRows(transpose(narrow), height, filter));
}

function resizeRows(grid, width, filter) {
  if (width === grid.width) {
    return grid;
  }
  const step = grid.width / width;
  const stretch = Math.max(step, 1);
  const support = filter.support * stretch;
  const values = new Float32Array(grid.height * width);
  for (let x = 0; x < width; x++) {
    const centre = (x + 0.5) * step;
    const first = Math.max(Math.trunc(centre - support + 0.5), 0);
    const past = Math.min(Math.trunc(centre + support + 0.5), grid.width);
    const weights = Array.from({ length: past - first }, (_, i) =>
      filter.weight((i + first - centre + 0.5) / stretch),
    );
    const total = sum(weights);
    for (let y = 0; y < grid.height; y++) {
      let value = 0;
      for (let i = 0; i < weights.length; i++) {
        value += grid.values[y * grid.width + first + i] * (weights[i] / total);
      }
      values[y * width + x] = value;
    }
  }
  return { height: grid.height, width, values };
}

// ---- NumPy's part

function transpose({ height, width, values }) {
  const turned = new Float32Array(values.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      turned[x * height + y] = values[y * width + x];
    }
  }
  return { height: width, width: height, values: turned };
}

function cutOut(grid, top, bottom, left, right) {
  const [height, width] = [bottom - top, right - left];
  const values = new Float64Array(height * width);
  for (let y = 0; y < height; y++) {
    const first = (top + y) * grid.width + left;
    values.set(grid.values.subarray(first, first + width), y * width);
  }
  return { height, width, values };
}

function rowSums({ height, width, values }) {
  const sums = new Float64Array(height);
  for (let i = 0; i < values.length; i++) {
    sums[Math.floor(i / width)] += values[i];
  }
  return sums;
}

function columnSums({ width, values }) {
  const sums = new Float64Array(width);
  for (let i = 0; i < values.length; i++) {
    sums[i % width] += values[i];
  }
  return sums;
}

function sum(values) {
  return values.reduce((total, value) => total + value, 0);
}

function largest(values) {
  let most = -Infinity;
  for (let i = 0; i < values.length; i++) {
    most = Math.max(most, values[i]);
  }
  return most;
}

function round(value) {
  return Math.round(value * SHARP) / SHARP;
}

/** Rounds as Python does. */
function roundHalfToEven(value) {
  const rounded = Math.round(value);
  return value % 1 === 0.5 && rounded % 2 ? rounded - 1 : rounded;
}
