// The Restore room: a queue of pictures, one of them on the easel.
import { by, takeFiles, trying } from "./main.js";
import { Painting, Stage } from "./stage.js";

const EVERY = 1000; // milliseconds, at least, from one preview to the next
const WORKING = ["finding", "waiting", "running"];

const loaded = (address) => new Promise((resolve, reject) => {
  const image = new Image();
  image.onload = () => resolve(image);
  image.onerror = () => reject(new Error("a picture could not be loaded: reload the page"));
  image.src = address;
});

function inWords(seconds) {
  if (seconds < 1) return "less than a second";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  return `${Math.round(seconds / 60)} min`;
}

export class Restore {
  constructor(server) {
    this.server = server;
    this.works = new Map(); // number: {facts, painting, ...}
    this.chosen = null;
    this.stage = new Stage(by("stage"), (factor) => this.onStage(factor), (at) => trying(() => this.find(this.current, at)));
    takeFiles(document.querySelector("[data-drop=pictures]"), by("pictures"), (files) => this.take(files));
    takeFiles(by("easel"), document.createElement("input"), (files) => this.take(files));
    by("example").onclick = () => trying(async () => {
      by("example").disabled = true;
      try { await this.added(await server.ask("pictures/example")); } finally { by("example").disabled = false; }
    });
    for (const tool of document.querySelectorAll("[name=tool]")) tool.onchange = () => { this.stage.tool = tool.value; this.stage.draw(); };
    by("size").oninput = () => this.setSize(Number(by("size").value));
    by("undo").onclick = () => this.edit((painting) => painting.undo());
    by("redo").onclick = () => this.edit((painting) => painting.redo());
    by("clear").onclick = () => this.edit((painting) => painting.add({ clear: true }));
    by("zoom-in").onclick = () => this.stage.zoomBy(1.25);
    by("zoom-out").onclick = () => this.stage.zoomBy(0.8);
    by("zoom-fit").onclick = () => this.stage.fit();
    by("find").onclick = () => trying(() => this.find(this.current));
    by("wishes").onsubmit = (event) => { event.preventDefault(); trying(() => this.start(this.current)); };
    by("all").onclick = () => trying(async () => {
      for (const work of this.works.values())
        if (work.painting?.painted && !WORKING.includes(work.facts.state) && !(work.facts.state === "done" && !work.editing)) await this.start(work);
    });
    by("stop").onclick = () => trying(() => this.ask(this.current, "stop"));
    by("again").onclick = () => { this.current.editing = true; this.draw(true); };
    by("slider").oninput = () => { this.stage.split = by("slider").value / 100; this.stage.draw(); };
    by("overlay").onchange = () => this.draw(true);
    by("copy").onclick = () => trying(async () => {
      by("command").select();
      await navigator.clipboard.writeText(by("command").value);
      by("copy").textContent = "Copied";
      setTimeout(() => { by("copy").textContent = "Copy"; }, 1500);
    });
  }

  get current() { return this.works.get(this.chosen); }

  get busy() { return this.works.size > 0; }

  address(work, view, version = "") { return `${this.server.root}pictures/${work.facts.number}/${view}?${version}`; }

  async ask(work, action, body) { this.one(await this.server.ask(`pictures/${work.facts.number}/${action}`, body)); this.draw(); }

  async take(files) {
    for (const file of files) await trying(async () => this.added(await this.server.send("pictures", file)));
  }

  /** The pages of a file. */
  async added(pages) {
    for (const facts of pages) this.one(facts);
    if (!this.current || !this.current.painting?.strokes.length) await this.choose(pages[0].number);
    else this.draw();
  }

  one(facts) {
    const work = this.works.get(facts.number) ?? { facts, painting: null, editing: false, seen: 0, previewAt: 0 };
    if (facts.n_states >= work.facts.n_states) work.facts = facts; // an answer may come after the event of what is later
    this.works.set(facts.number, work);
    return work;
  }

  async choose(number) {
    this.chosen = number;
    const work = this.current;
    work.painting ??= new Painting(work.facts, await loaded(this.address(work, "view")));
    if (this.chosen !== number) return;
    this.stage.show(work.painting);
    this.setSize(Math.max(6, Math.round(Math.max(work.facts.width, work.facts.height) / 80)), true);
    this.draw(true);
  }

  setSize(size, perhaps = false) {
    if (perhaps && this.sized) return;
    this.sized = true;
    this.stage.size = Math.min(200, Math.max(1, Math.round(size)));
    by("size").value = this.stage.size;
    by("size-told").textContent = this.stage.size;
    this.stage.draw();
  }

  onStage(factor) {
    if (factor) this.setSize(factor > 1 ? Math.max(this.stage.size + 1, this.stage.size * factor) : this.stage.size * factor);
    by("zoom-told").textContent = `${Math.round(100 * this.stage.zoom)}%`;
    if (this.current) this.buttons();
  }

  edit(change) {
    change(this.current.painting);
    this.stage.draw();
    this.buttons();
  }

  /** Damage of the chosen kind, or what has the colour of a pixel. */
  async find(work, at) {
    work.before = work.facts.found?.number ?? 0; // what is found has a greater number: events may be late
    await this.ask(work, "find", { kind: by("kind").value, min_confidence: Number(by("sureness").value) || null, at });
  }

  async start(work) {
    work.editing = false;
    work.seen = 0;
    await this.ask(work, "restore", { strokes: work.painting.strokes, quality: by("quality").value, certainty: by("certainty").checked });
  }

  /** What the server tells of all pictures. */
  show(all) {
    for (const facts of all) if (this.works.has(facts.number)) this.one(facts);
    for (const work of this.works.values()) if (work.facts.found?.number > work.before) trying(() => this.takeFound(work));
    this.draw();
  }

  async takeFound(work) {
    work.before = work.facts.found.number;
    const more = by("sureness").selectedOptions[0].nextElementSibling ? ", or look for what is less sure" : "";
    if (!work.facts.found.pixels) { work.note = `No damage was found: paint over what is lost${more}.`; return this.draw(); }
    const { number } = work.facts.found;
    work.painting.found[number] = await loaded(this.address(work, "found", number));
    work.painting.add({ found: number });
    work.note = `${work.facts.found.places === 1 ? "1 damaged place was" : `${work.facts.found.places.toLocaleString("en")} damaged places were`} found, ${work.facts.found.pixels.toLocaleString("en")} pixels: look at them, erase what is none${more}.`;
    this.stage.draw();
    this.draw();
  }

  async views(work) {
    const { facts } = work;
    const shown = facts.state === "done" && !work.editing;
    const version = `${facts.number} ${facts.n_states}`;
    if (shown && work.version !== version) {
      work.version = version;
      work.after = await loaded(this.address(work, "after", Date.now()));
      work.certainty = facts.certainty === null ? null : await loaded(this.address(work, "certainty", Date.now()));
    }
    if (facts.state === "running" && facts.previews > work.seen && Date.now() - work.previewAt > EVERY) {
      work.previewAt = Date.now();
      work.seen = facts.previews;
      const answer = await fetch(this.address(work, "preview", facts.previews));
      if (answer.status === 200) work.preview = await createImageBitmap(await answer.blob());
    }
    if (work !== this.current) return;
    if (!["running", "waiting"].includes(facts.state)) work.preview = null;
    const now = {
      after: shown ? work.after : null,
      certainty: shown && by("overlay").checked ? work.certainty : null,
      preview: facts.state === "running" ? work.preview ?? null : null,
    };
    if (Object.entries(now).every(([name, picture]) => this.stage[name] === picture)) return;
    Object.assign(this.stage, now).draw();
  }

  buttons() {
    const { painting, facts, editing } = this.current;
    const free = painting && !WORKING.includes(facts.state) && (facts.state !== "done" || editing);
    by("undo").disabled = !free || !painting.strokes.length;
    by("redo").disabled = !free || !painting.undone.length;
    by("clear").disabled = !free || !painting.strokes.length;
    by("find").disabled = by("kind").disabled = by("sureness").disabled = !free;
    by("go").disabled = !free;
  }

  draw(anew = false) {
    this.drawQueue();
    const work = this.current;
    by("easel").hidden = !work;
    by("nothing").hidden = Boolean(work);
    if (!work) return;
    this.buttons(); // none before there is something to paint on
    if (!work.painting) return;
    const { facts } = work;
    const working = WORKING.includes(facts.state), done = facts.state === "done" && !work.editing;
    this.stage.editable = !working && !done;
    by("compare").hidden = by("side-before").hidden = by("side-after").hidden = by("again").hidden = by("done").hidden = !done;
    by("brush").hidden = by("keys").hidden = by("quality-line").hidden = by("certainty-line").hidden = done;
    by("stop").hidden = !working;
    by("go").hidden = working || done;
    by("all").hidden = working || this.works.size < 2;
    by("overlay-line").hidden = facts.certainty === null;
    by("progress").hidden = !working;
    const words = this.words(work);
    by("going").hidden = done || !words;
    by("progress").value = facts.share;
    if (by("told").textContent !== words) by("told").textContent = words;
    if (done) {
      const outcome = `${facts.lost.toLocaleString("en")} pixels were filled in ${inWords(facts.seconds)}, ${facts.quality}; all others are as they were.`;
      if (by("outcome").textContent !== outcome) by("outcome").textContent = outcome;
      by("get-restored").href = this.address(work, "restored");
      by("get-mask").href = this.address(work, "mask");
      [by("get-restored").download, by("get-mask").download] = facts.files;
      by("command").value = facts.command;
      by("legend").replaceChildren();
      if (facts.certainty !== null && by("overlay").checked) {
        const bar = document.createElement("span");
        bar.className = "heat";
        by("legend").append("certain ", bar, ` off by ${facts.certainty.toPrecision(2)} or more (standard deviation)`);
      }
    }
    if (anew || facts.state === "running" || done || work.preview) this.views(work).catch(() => {});
  }

  words(work) {
    const { facts } = work;
    if (facts.state === "finding") return `Looking for damage: ${Math.round(100 * facts.share)}%`;
    if (facts.state === "waiting") return "Waiting for the pictures before it …";
    if (facts.state === "running") {
      const left = facts.left === null ? "" : `, about ${inWords(facts.left)} left`;
      if (facts.share >= 1) return "Filled; measuring how certain it is …";
      return `Restoring: ${Math.round(100 * facts.share)}%${left}`;
    }
    if (facts.state === "failed") return facts.error;
    if (facts.state === "stopped") return "Stopped: nothing was changed.";
    return work.note ?? "";
  }

  drawQueue() {
    const list = by("queue");
    const states = { new: "to be painted", finding: "looking for damage", waiting: "waiting", done: "done", stopped: "stopped", failed: "failed" };
    for (const work of this.works.values()) {
      const { facts } = work;
      if (!work.line) {
        work.line = document.createElement("li");
        const choose = document.createElement("button"), remove = document.createElement("button");
        for (const name of ["name", "state"]) choose.append(Object.assign(document.createElement("span"), { className: name }));
        choose.firstChild.textContent = facts.name;
        choose.onclick = () => trying(() => this.choose(facts.number));
        remove.textContent = "×";
        remove.setAttribute("aria-label", `Remove ${facts.name}`);
        remove.onclick = () => trying(() => this.remove(work));
        for (const button of [choose, remove]) button.type = "button";
        work.line.append(choose, remove);
        list.append(work.line);
      }
      const state = facts.state === "running" ? `${Math.round(100 * facts.share)}%`
        : facts.state === "new" && work.painting?.painted ? "painted" : states[facts.state];
      const words = `${facts.width} × ${facts.height}, ${state}`;
      const place = work.line.firstChild.lastChild;
      if (place.textContent !== words) place.textContent = words;
      work.line.classList.toggle("chosen", facts.number === this.chosen);
      work.line.firstChild.setAttribute("aria-current", facts.number === this.chosen);
    }
  }

  async remove(work) {
    await this.server.ask(`pictures/${work.facts.number}/remove`);
    work.line.remove();
    this.works.delete(work.facts.number);
    if (this.chosen === work.facts.number) {
      this.chosen = null;
      const next = this.works.keys().next().value;
      if (next !== undefined) await this.choose(next);
    }
    this.draw();
  }
}
