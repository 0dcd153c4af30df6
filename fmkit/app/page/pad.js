// A square to draw lines on, with a mouse, a finger or keys; its sides count 100 units.
const SIDE = 100, PEN = 7;

export class Pad {
  /** changed(over) is called as a line grows, and once it is over. */
  constructor(canvas, changed) {
    this.canvas = canvas;
    this.changed = changed;
    this.strokes = [];
    this.stroke = this.cursor = null;
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button > 0 || this.finger !== undefined) return;
      canvas.setPointerCapture(event.pointerId);
      this.finger = event.pointerId;
      this.cursor = null;
      this.down(this.place(event));
    });
    canvas.addEventListener("pointermove", (event) => {
      if (event.pointerId !== this.finger || !this.stroke) return;
      for (const one of event.getCoalescedEvents?.() ?? [event]) this.to(this.place(one));
    });
    for (const name of ["pointerup", "pointercancel"])
      canvas.addEventListener(name, (event) => {
        if (event.pointerId !== this.finger) return;
        this.finger = undefined;
        if (this.stroke) this.lift();
      });
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("blur", () => { if (this.stroke) this.lift(); this.cursor = null; this.draw(); });
  }

  place(event) { return [event.offsetX, event.offsetY].map((at) => Math.round((1000 * at) / this.canvas.clientWidth) / 10); }

  down(point) {
    this.stroke = { points: [point] };
    this.strokes.push(this.stroke);
    this.draw();
    this.changed(false);
  }

  to(point) {
    const last = this.stroke.points.at(-1);
    if (Math.hypot(point[0] - last[0], point[1] - last[1]) < 0.7) return;
    this.stroke.points.push(point);
    this.draw();
    this.changed(false);
  }

  lift() {
    this.stroke = null;
    this.draw();
    this.changed(true);
  }

  undo() {
    this.stroke = null;
    this.strokes.pop();
    this.draw();
    this.changed(true);
  }

  clear() {
    this.stroke = null;
    this.strokes = [];
    this.draw();
    this.changed(true);
  }

  key(event) {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (steps[event.key]) {
      const far = event.shiftKey ? 10 : 4;
      this.cursor = (this.cursor ?? [SIDE / 2, SIDE / 2]).map((at, i) => Math.min(SIDE - 2, Math.max(2, at + far * steps[event.key][i])));
      if (this.stroke) this.to(this.cursor);
    } else if (event.key === " ") {
      this.cursor ??= [SIDE / 2, SIDE / 2];
      if (this.stroke) this.lift();
      else this.down(this.cursor);
    } else if (event.ctrlKey && event.key.toLowerCase() === "z") this.undo();
    else return;
    event.preventDefault();
    this.draw();
  }

  draw() {
    const { canvas } = this, wide = canvas.clientWidth * devicePixelRatio;
    if (!wide) return;
    if (canvas.width !== Math.round(wide)) canvas.width = canvas.height = Math.round(wide);
    const pen = canvas.getContext("2d");
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, canvas.width, canvas.height);
    pen.setTransform(canvas.width / SIDE, 0, 0, canvas.width / SIDE, 0, 0);
    pen.strokeStyle = getComputedStyle(canvas).color;
    pen.lineWidth = PEN;
    pen.lineCap = pen.lineJoin = "round";
    for (const { points } of this.strokes) {
      pen.beginPath();
      pen.moveTo(...points[0]);
      for (const point of points) pen.lineTo(...point);
      pen.stroke();
    }
    if (!this.cursor) return;
    pen.lineWidth = 1;
    pen.beginPath();
    pen.arc(...this.cursor, PEN / 2 + 1, 0, 2 * Math.PI);
    pen.stroke();
  }
}
