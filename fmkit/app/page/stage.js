// The picture on a canvas: moved, zoomed, painted on, and compared with what was made of it.
const COLOUR = "rgb(255, 0, 90)";
const MOST_ZOOM = 32;

/** What was painted on a picture: strokes in its own pixels, with undo and redo. */
export class Painting {
  constructor(facts, view) {
    this.width = facts.width;
    this.height = facts.height;
    this.view = view;
    this.strokes = [];
    this.undone = [];
    this.found = {}; // pictures of what was found, by number
    this.mask = document.createElement("canvas");
    this.mask.width = view.naturalWidth;
    this.mask.height = view.naturalHeight;
  }

  get painted() { return this.strokes.some((one) => one.points ? !one.erase : one.found) && !this.strokes.at(-1)?.clear; }

  add(stroke) {
    this.strokes.push(stroke);
    this.undone = [];
    this.draw(stroke);
  }

  undo() {
    if (this.strokes.length) this.undone.push(this.strokes.pop());
    this.redraw();
  }

  redo() {
    const stroke = this.undone.pop();
    if (stroke) { this.strokes.push(stroke); this.draw(stroke); }
  }

  redraw() {
    this.mask.getContext("2d").clearRect(0, 0, this.mask.width, this.mask.height);
    for (const stroke of this.strokes) this.draw(stroke);
  }

  /** One stroke, or its last segment alone. */
  draw(stroke, lastOnly = false) {
    const pen = this.mask.getContext("2d");
    if (stroke.clear) return pen.clearRect(0, 0, this.mask.width, this.mask.height);
    if (stroke.found) return pen.drawImage(this.found[stroke.found], 0, 0, this.mask.width, this.mask.height);
    const scale = this.mask.width / this.width;
    const points = lastOnly ? stroke.points.slice(-2) : stroke.points;
    pen.save();
    pen.scale(scale, scale);
    pen.globalCompositeOperation = stroke.erase ? "destination-out" : "source-over";
    pen.strokeStyle = COLOUR;
    pen.lineWidth = Math.max(stroke.size, 1 / scale);
    pen.lineCap = pen.lineJoin = "round";
    pen.beginPath();
    pen.moveTo(...points[0]);
    for (const point of points) pen.lineTo(...point);
    pen.stroke();
    pen.restore();
  }
}

export class Stage {
  constructor(canvas, changed, picked) {
    this.canvas = canvas;
    this.changed = changed;
    this.picked = picked;
    this.painting = null;
    this.tool = "paint";
    this.size = 12;
    this.zoom = 1;
    this.at = [0, 0]; // the picture's corner, in pixels of the canvas as the page counts them
    this.preview = this.after = this.certainty = this.stroke = this.cursor = null;
    this.split = 0.5;
    this.editable = true;
    this.fingers = new Map();
    new ResizeObserver(() => this.resize()).observe(canvas);
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => this.up(event));
    canvas.addEventListener("pointerleave", () => { if (!this.stroke) { this.cursor = null; this.draw(); } });
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoomBy(Math.exp(-event.deltaY / 400), [event.offsetX, event.offsetY]);
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  }

  show(painting) {
    this.painting = painting;
    this.preview = this.after = this.certainty = this.stroke = this.cursor = null;
    this.fit();
  }

  resize() {
    const { clientWidth, clientHeight } = this.canvas;
    if (!clientWidth) return;
    const unfitted = !this.canvas.dataset.zoomed;
    this.canvas.width = clientWidth * devicePixelRatio;
    this.canvas.height = clientHeight * devicePixelRatio;
    if (unfitted) this.fit();
    else this.draw();
  }

  fit() {
    if (!this.painting || !this.canvas.clientWidth) return;
    const { clientWidth, clientHeight } = this.canvas;
    this.zoom = Math.min(clientWidth / this.painting.width, clientHeight / this.painting.height, 8);
    this.at = [(clientWidth - this.zoom * this.painting.width) / 2, (clientHeight - this.zoom * this.painting.height) / 2];
    delete this.canvas.dataset.zoomed;
    this.draw();
    this.changed();
  }

  zoomBy(factor, about = [this.canvas.clientWidth / 2, this.canvas.clientHeight / 2]) {
    if (!this.painting) return;
    const zoom = Math.min(MOST_ZOOM, Math.max(16 / Math.max(this.painting.width, this.painting.height), this.zoom * factor));
    this.at = this.at.map((corner, i) => about[i] - (about[i] - corner) * (zoom / this.zoom));
    this.zoom = zoom;
    this.canvas.dataset.zoomed = "yes";
    this.draw();
    this.changed();
  }

  inPicture(x, y) { return [(x - this.at[0]) / this.zoom, (y - this.at[1]) / this.zoom].map((n) => Math.round(n * 10) / 10); }

  down(event) {
    if (!this.painting) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.fingers.set(event.pointerId, [event.offsetX, event.offsetY]);
    const moving = this.tool === "move" || event.button > 0 || this.fingers.size > 1 || !this.editable;
    if (this.fingers.size > 1 && this.stroke) { this.stroke = null; this.painting.redraw(); }
    this.gesture = moving ? "move" : this.tool === "pick" ? "pick" : "paint";
    if (moving) return;
    if (this.tool === "pick") return;
    this.stroke = { points: [this.inPicture(event.offsetX, event.offsetY)], size: this.size, erase: this.tool === "erase" };
    this.painting.draw(this.stroke, true);
    this.draw();
  }

  move(event) {
    if (!this.painting) return;
    const here = [event.offsetX, event.offsetY];
    const before = this.fingers.get(event.pointerId);
    if (this.stroke) {
      for (const one of event.getCoalescedEvents?.() ?? [event]) this.extend(this.inPicture(one.offsetX, one.offsetY));
    } else if (before && this.gesture === "move") {
      const others = [...this.fingers].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
      if (others.length) {
        const apart = (a) => Math.hypot(a[0] - others[0][0], a[1] - others[0][1]);
        this.zoomBy(apart(here) / Math.max(apart(before), 1), others[0]);
      } else {
        this.at = this.at.map((corner, i) => corner + here[i] - before[i]);
        this.canvas.dataset.zoomed = "yes";
      }
    }
    if (before) this.fingers.set(event.pointerId, here);
    this.cursor = this.inPicture(...here);
    this.draw();
  }

  extend(point) {
    const last = this.stroke.points.at(-1);
    if (Math.hypot(point[0] - last[0], point[1] - last[1]) < Math.max(0.5, this.size / 10)) return;
    this.stroke.points.push(point);
    this.painting.draw(this.stroke, true);
  }

  up(event) {
    this.fingers.delete(event.pointerId);
    if (this.stroke && this.gesture === "paint") this.lift();
    if (this.gesture === "pick" && event.type === "pointerup") this.pick((event.offsetX - this.at[0]) / this.zoom, (event.offsetY - this.at[1]) / this.zoom);
  }

  /** The pixel at a point, if it is one of the picture's. */
  pick(x, y) {
    if (x >= 0 && y >= 0 && x < this.painting.width && y < this.painting.height) this.picked([Math.floor(x), Math.floor(y)]);
  }

  lift() {
    const stroke = this.stroke;
    this.stroke = null;
    this.painting.add(stroke);
    this.draw();
    this.changed();
  }

  key(event) {
    if (!this.painting) return;
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (steps[event.key]) {
      const far = event.shiftKey ? 50 : Math.max(1, this.size / 3);
      const [width, height] = [this.painting.width, this.painting.height];
      const from = this.cursor ?? [width / 2, height / 2];
      this.cursor = [
        Math.min(width, Math.max(0, from[0] + far * steps[event.key][0])),
        Math.min(height, Math.max(0, from[1] + far * steps[event.key][1])),
      ];
      if (this.stroke) this.extend(this.cursor);
      this.draw();
    } else if (event.key === " " && this.editable) {
      this.cursor ??= [this.painting.width / 2, this.painting.height / 2];
      if (this.stroke) this.lift();
      else if (this.tool === "pick") this.pick(...this.cursor);
      else {
        this.stroke = { points: [this.cursor], size: this.size, erase: this.tool === "erase" };
        this.painting.draw(this.stroke, true);
        this.draw();
      }
    } else if (event.key === "+" || event.key === "=") this.zoomBy(1.25);
    else if (event.key === "-") this.zoomBy(0.8);
    else if (event.key === "0") this.fit();
    else if (event.key === "[" || event.key === "]") this.changed(event.key === "[" ? 0.8 : 1.25);
    else if (event.ctrlKey && event.key.toLowerCase() === "z" && this.editable) this.painting.undo();
    else if (event.ctrlKey && event.key.toLowerCase() === "y" && this.editable) this.painting.redo();
    else return;
    event.preventDefault();
    this.draw();
    if (event.ctrlKey) this.changed();
  }

  draw() {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.drawNow());
  }

  drawNow() {
    const pen = this.canvas.getContext("2d");
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, this.canvas.width, this.canvas.height);
    if (!this.painting) return;
    const { width, height, view, mask } = this.painting;
    const scale = this.zoom * devicePixelRatio;
    pen.setTransform(scale, 0, 0, scale, this.at[0] * devicePixelRatio, this.at[1] * devicePixelRatio);
    pen.imageSmoothingEnabled = scale < 3;
    pen.imageSmoothingQuality = "high";
    pen.drawImage(this.preview ?? view, 0, 0, width, height);
    if (this.after) {
      const x = this.split * width;
      pen.save();
      pen.beginPath();
      pen.rect(x, 0, width - x, height);
      pen.clip();
      pen.drawImage(this.after, 0, 0, width, height);
      if (this.certainty) pen.drawImage(this.certainty, 0, 0, width, height);
      pen.restore();
      pen.fillStyle = "white";
      pen.fillRect(x - 1 / scale, 0, 2 / scale, height);
    } else if (!this.preview) {
      pen.globalAlpha = 0.6;
      pen.drawImage(mask, 0, 0, width, height);
      pen.globalAlpha = 1;
    }
    if (this.cursor && this.editable && this.tool !== "move") {
      const radius = this.tool === "pick" ? 4 / this.zoom : this.size / 2;
      for (const [colour, wide] of [["black", 3], ["white", 1.2]]) {
        pen.strokeStyle = colour;
        pen.lineWidth = (wide * devicePixelRatio) / scale;
        pen.beginPath();
        pen.arc(...this.cursor, radius, 0, 2 * Math.PI);
        pen.stroke();
      }
    }
  }
}
