"use strict";
// The canvas that one draws on: by mouse, finger or pen, or with the keys.

const CANVAS_SIDE = 280; // pixels of its longer side, or a few less: ten for each of MNIST's
const ERASER = 1.5; // its width in the pen's, so that it takes a line's blurred edges along

/**
 * A picture that is drawn: strokes on a blank background, or on an image.
 *
 * Its grey levels, 0 black to 255 white, are those of the network's images; only on the canvas are
 * light and dark as they were before --invert.
 *
 * canvas: the element, of a multiple of the images' size. style: theirs, as in metrics.json.
 * invert: whether light and dark were exchanged in them. onChange: called after whatever changes
 * the picture, with whether the pen is still down.
 */
class Drawing {
  constructor(canvas, { size: [height, width], background }, invert, onChange) {
    this.canvas = canvas;
    this.background = background ?? 0;
    this.foreground = this.background < 128 ? 255 : 0;
    [this.invert, this.onChange] = [invert, onChange];
    this.factor = Math.max(Math.floor(CANVAS_SIDE / Math.max(height, width)), 1);
    canvas.height = height * this.factor;
    canvas.width = width * this.factor;
    this.context = contextOf(canvas);
    this.context.lineCap = "round";
    this.actions = []; // what can be undone: strokes, and {image} for what was loaded
    this.stroke = null; // the one that is under way
    this.showCursor = () => {};
    this.erasing = false;
    this.penWidth = 2 * this.factor;
    this.paint();
  }

  /** The image that lies under the strokes, or null. */
  get image() {
    return this.actions.reduce((image, action) => ("image" in action ? action.image : image), null);
  }

  get strokes() {
    return this.actions.slice(this.actions.map((action) => "image" in action).lastIndexOf(true) + 1);
  }

  /** Whether nothing is drawn and no image is loaded. */
  get isBlank() {
    return this.image === null && this.strokes.length === 0;
  }

  /** The image that was loaded, while nothing is drawn on it; otherwise null. */
  get untouchedImage() {
    return this.strokes.length === 0 ? this.image : null;
  }

  /** Returns the grey levels of all pixels, a grid as in picture.js. */
  greyLevels() {
    const { width, height } = this.canvas;
    const { data } = this.context.getImageData(0, 0, width, height);
    const values = new Float32Array(width * height);
    for (let i = 0; i < values.length; i++) {
      values[i] = this.onCanvas(data[4 * i]); // of red, which green and blue are equal to
    }
    return { height, width, values };
  }

  /** Turns a grey level of the images into the one on the canvas, or back. */
  onCanvas(level) {
    return this.invert ? 255 - level : level;
  }

  /** Shows an image in place of all else: a Uint8Array of the size of the network's, or null. */
  load(image) {
    if (image || !this.isBlank) {
      this.actions.push({ image });
    }
    this.showAnew();
  }

  /** Takes a stroke back, or what was loaded or cleared. */
  undo() {
    this.actions.pop();
    this.showAnew();
  }

  showAnew() {
    this.stroke = null;
    this.showCursor();
    this.paint();
    this.onChange(false);
  }

  begin(point, byPen = false) {
    this.stroke = this.erasing
      ? { points: [], byPen, width: ERASER * this.penWidth, level: this.background }
      : { points: [], byPen, width: this.penWidth, level: this.foreground };
    this.actions.push(this.stroke);
    this.extend([point]);
  }

  extend(points) {
    for (const point of points) {
      this.stroke.points.push(point);
      this.paintSegment(this.stroke, this.stroke.points.length - 1);
    }
    this.onChange(true);
  }

  end() {
    if (this.stroke) {
      this.stroke = null;
      this.onChange(false);
    }
  }

  /** Takes the stroke back that is under way. */
  cancel() {
    if (this.stroke) {
      this.undo();
    }
  }

  paint() {
    const { context, canvas } = this;
    context.fillStyle = grey(this.onCanvas(this.background));
    context.fillRect(0, 0, canvas.width, canvas.height);
    if (this.image) {
      const image = this.image.map((level) => this.onCanvas(level));
      context.putImageData(enlarged(image, canvas.width / this.factor, this.factor), 0, 0);
    }
    for (const stroke of this.strokes) {
      stroke.points.forEach((_, i) => this.paintSegment(stroke, i));
    }
  }

  /** Draws what a point has added to a stroke: a line from the one before, or a dot. */
  paintSegment({ points, width, level }, i) {
    const { context } = this;
    const [x, y] = points[i];
    const colour = grey(this.onCanvas(level));
    context.beginPath();
    if (i === 0) {
      context.fillStyle = colour;
      context.arc(x, y, width / 2, 0, 2 * Math.PI);
      context.fill();
    } else {
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.moveTo(...points[i - 1]);
      context.lineTo(x, y);
      context.stroke();
    }
  }

  /**
   * Lets the mouse, a finger or a pen draw; one of them at a time.
   *
   * A touch may be that of the hand which holds a pen. So a pen takes back what a touch is drawing,
   * and where a pen has drawn, touches do not, until all is cleared.
   */
  handlePointer() {
    const { canvas } = this;
    let pointer = null; // the event that has begun the stroke which is under way
    const isOurs = (event) => event.pointerId === pointer?.pointerId;
    const place = (event) => {
      const box = canvas.getBoundingClientRect();
      return [
        ((event.clientX - box.left) * canvas.width) / box.width,
        ((event.clientY - box.top) * canvas.height) / box.height,
      ];
    };
    canvas.addEventListener("pointerdown", (event) => {
      const [byPen, byTouch] = ["pen", "touch"].map((type) => type === event.pointerType);
      const isPalm = byTouch && this.strokes.some((stroke) => stroke.byPen);
      const takesOver = byPen && pointer?.pointerType === "touch";
      if (event.button === 0 && !isPalm && (pointer === null || takesOver)) {
        if (takesOver) {
          this.cancel();
        }
        pointer = event;
        canvas.setPointerCapture(event.pointerId);
        this.begin(place(event), byPen);
      }
    });
    canvas.addEventListener("pointermove", (event) => {
      if (isOurs(event) && event.buttons === 0) {
        pointer = null; // it was released where nobody told us
        this.end();
      } else if (isOurs(event) && this.stroke) {
        // A browser keeps back what happens between two frames; without it, a quick curve has
        // corners.
        const events = event.getCoalescedEvents?.() ?? [];
        this.extend((events.length > 0 ? events : [event]).map(place));
      }
    });
    for (const [name, finish] of Object.entries({ pointerup: "end", pointercancel: "cancel" })) {
      canvas.addEventListener(name, (event) => {
        if (isOurs(event)) {
          pointer = null;
          this[finish]();
        }
      });
    }
  }

  /**
   * Lets the arrow keys move a pen, which the space bar puts down and lifts.
   *
   * cursor: the element that shows where it is while the canvas has the focus.
   */
  handleKeys(cursor) {
    const { canvas } = this;
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    let at = [canvas.width / 2, canvas.height / 4];
    this.showCursor = () => {
      cursor.style.left = `${(100 * at[0]) / canvas.width}%`;
      cursor.style.top = `${(100 * at[1]) / canvas.height}%`;
      cursor.classList.toggle("down", this.stroke !== null);
    };
    canvas.addEventListener("keydown", (event) => {
      if (event.key in steps) {
        const length = event.shiftKey ? 3 * this.factor : this.factor;
        const [x, y] = at.map((value, axis) => value + length * steps[event.key][axis]);
        at = [clamp(x, 0, canvas.width), clamp(y, 0, canvas.height)];
        if (this.stroke) {
          this.extend([at]);
        }
      } else if (event.key === " ") {
        if (this.stroke) {
          this.end();
        } else {
          this.begin(at);
        }
      } else {
        return;
      }
      event.preventDefault();
      this.showCursor();
    });
    canvas.addEventListener("focus", () => this.showCursor());
    canvas.addEventListener("blur", () => this.end());
  }
}

/** Returns what paints on a canvas. It is all done pixel by pixel, so not on a graphics card. */
function contextOf(canvas) {
  return canvas.getContext("2d", { willReadFrequently: true });
}

function grey(level) {
  return `rgb(${level}, ${level}, ${level})`;
}

function clamp(value, least, most) {
  return Math.min(Math.max(value, least), most);
}

/** Returns the ImageData of an image, each pixel a square of so many pixels. */
function enlarged(image, width, factor) {
  const height = image.length / width;
  const data = new ImageData(width * factor, height * factor);
  const pixels = new Uint32Array(data.data.buffer);
  for (let i = 0; i < pixels.length; i++) {
    const [y, x] = [Math.floor(i / data.width / factor), Math.floor((i % data.width) / factor)];
    const level = image[y * width + x];
    pixels[i] = 0xff000000 | (level << 16) | (level << 8) | level;
  }
  return data;
}
