// The Classify room: a digit is drawn, or a net of one's own is asked; probabilities, evidence, feature maps, gates.
import { chart } from "./chart.js";
import { by, complain, takeFiles, trying } from "./main.js";
import { Pad } from "./pad.js";

const EMPTY = {
  digits: "Draw a digit: while you draw, the net tells what it takes it for, and why.",
  own: "No answer yet. Drop a net, then what it is to classify.",
};
const GATES = {
  update: "update: the share of the state that is carried on",
  reset: "reset: how much of the state the new one sees",
  input: "input: how much is written to the cell",
  forget: "forget: the share of the cell that is carried on",
  output: "output: how much of the cell is shown",
};
const FILES = {
  pictures: ["a picture", ".png,.jpg,.jpeg,.tif,.tiff,.webp"],
  audio: ["a sound (WAV)", ".wav"],
  text: ["a file of sentences (TXT, CSV)", ".txt,.csv,.tsv,.parquet"],
  series: ["a series (CSV)", ".csv,.tsv,.txt"],
  table: ["a table (CSV, Parquet)", ".csv,.tsv,.parquet"],
};

export function made(tag, words, properties = {}) {
  const element = Object.assign(document.createElement(tag), properties);
  if (words !== undefined) element.textContent = words;
  return element;
}

const percent = (share) => (share > 0.9995 && share < 1 ? "99.9%" : `${(100 * share).toFixed(1)}%`);

export class Classify {
  constructor(server) {
    this.server = server;
    this.which = "digits";
    this.answers = {};
    this.nets = {};
    this.pad = new Pad(by("pad"), (over) => this.drawing(over));
    by("pad-undo").onclick = () => this.pad.undo();
    by("pad-clear").onclick = () => this.pad.clear();
    by("train").onclick = () => trying(async () => this.show(await server.ask("nets/train")));
    by("train-stop").onclick = () => trying(async () => this.show(await server.ask("nets/stop")));
    for (const name of ["digits", "rows"]) by(`get-${name}`).href = `${server.root}nets/${name}/file`;
    for (const one of document.querySelectorAll("[name=which]")) one.onchange = () => this.choose(one.value);
    takeFiles(document.querySelector("[data-drop=net]"), by("own-net"), (files) => trying(async () => {
      const facts = await server.send("nets/own", files[0]);
      delete this.answers.own;
      this.show(facts);
      this.draw();
    }));
    takeFiles(document.querySelector("[data-drop=row]"), by("own-row"), (files) => this.own(() => server.send("nets/own/row", files[0])));
    by("own-text").onsubmit = (event) => {
      event.preventDefault();
      this.own(() => server.ask("nets/own/text", { text: by("typed").value }));
    };
    by("trace").onchange = () => this.drawGates();
    window.addEventListener("resize", () => this.seen());
    this.choose("digits");
    this.seen();
  }

  get busy() { return this.pad.strokes.length > 0 || "own" in this.nets; }

  /** The net of the digits is trained once somebody comes here. */
  seen() {
    if (by("classify").hidden) return;
    if (!this.opened) {
      this.opened = true;
      trying(async () => this.show(await this.server.ask("nets/train")));
    }
    if (this.which !== "contrasts") this.drawGates();
  }

  choose(which) {
    this.which = which;
    by("ask").hidden = which === "contrasts";
    by("contrasts").hidden = which !== "contrasts";
    by("by-drawing").hidden = which !== "digits";
    by("by-own").hidden = which !== "own";
    if (which === "contrasts") window.dispatchEvent(new Event("resize"));
    else this.draw();
  }

  /** What the server tells. */
  show(facts) {
    by("no-torch").hidden = !facts.missing;
    by("with-torch").hidden = Boolean(facts.missing);
    by("no-torch").textContent = facts.missing && `${facts.missing[0].toUpperCase()}${facts.missing.slice(1)}; then start fmkit app anew.`;
    const training = facts.training !== null, there = "digits" in facts.nets, { epoch } = facts;
    by("train-share").hidden = !training;
    by("train-share").value = epoch ? epoch.epoch / epoch.of : 0;
    by("train-stop").hidden = !training;
    by("train").hidden = training || "rows" in facts.nets;
    by("get-digits").hidden = !there;
    const which = { digits: "the net of digits", rows: "a second one, which reads row by row" };
    const sentences = [facts.error];
    if (training) sentences.push(epoch ? `Training ${which[epoch.net]}: pass ${epoch.epoch} of ${epoch.of}, loss ${epoch.loss.toFixed(3)}.` : "Training a net of digits, for some seconds …");
    else if (!there && !facts.error) sentences.push("The net of digits is not trained.");
    if (there) sentences.push(`The net has three convolutions and learned ${facts.tested.digits.rows.toLocaleString("en")} of scikit-learn's digits; of others it has ${percent(facts.tested.digits.tested)} right.`);
    const words = sentences.filter(Boolean).join(" ");
    if (by("train-told").textContent !== words) by("train-told").textContent = words;
    const fresh = ["digits", "rows"].some((name) => name in facts.nets && !this.nets[name]);
    this.nets = facts.nets;
    if (fresh) this.drawing(true);
    const own = JSON.stringify(facts.nets.own);
    if (own !== this.shown) {
      this.shown = own;
      this.showOwn(facts.nets.own);
    }
  }

  showOwn(net) {
    by("own-file").hidden = by("own-text").hidden = !net;
    if (!net) return;
    const n = (number) => number.toLocaleString("en");
    const of = { pictures: `pictures of ${net.shape.join(" x ")}`, audio: "sounds", text: "sentences", series: `series of ${n(net.n_columns)} channel${net.n_columns > 1 ? "s" : ""}`, table: `tables of ${n(net.n_columns)} columns` }[net.kind];
    by("own-facts").textContent = `${net.name}: ${net.holds} for ${of}, ${n(net.n_classes)} classes: ${net.classes.join(", ")}${net.n_classes > net.classes.length ? " …" : ""}`;
    by("own-row-label").textContent = `Drop ${FILES[net.kind][0]} here, or choose it`;
    by("own-row").accept = FILES[net.kind][1];
    by("own-text").hidden = net.kind === "pictures" || net.kind === "audio";
    const names = net.columns.join(",");
    by("typed-label").textContent = { text: "Or type a sentence", series: "Or paste a series", table: "Or paste a row" }[net.kind] ?? "";
    by("typed-help").textContent = {
      text: "",
      series: net.n_columns > 1 ? `A line a step, ${n(net.n_columns)} numbers each` : "Numbers, one after the other",
      table: names ? "The names of the columns, and under them a row, with commas between" : `${n(net.n_columns)} numbers`,
    }[net.kind] ?? "";
    by("typed").value = net.kind === "table" && names ? `${names}\n` : "";
  }

  /** Ask about the drawing as it is now; while one question is out, the next waits, and is about the newest. */
  async drawing() {
    by("pad-undo").disabled = by("pad-clear").disabled = !this.pad.strokes.length;
    this.stale = true;
    if (this.asking || !this.nets.digits) return;
    this.asking = true;
    try {
      while (this.stale) {
        this.stale = false;
        const begin = performance.now();
        const strokes = this.pad.strokes;
        if (strokes.length) this.answers.digits = await this.server.ask("nets/digits/draw", { strokes });
        else delete this.answers.digits;
        if (!this.pad.strokes.length) delete this.answers.digits; // cleared meanwhile
        this.draw();
        by("answer").dataset.milliseconds = Math.round(performance.now() - begin);
      }
    } catch (error) {
      complain(error.message);
    } finally {
      this.asking = false;
    }
  }

  own(ask) {
    return trying(async () => {
      this.answers.own = await ask();
      this.draw();
    });
  }

  draw() {
    const told = this.answers[this.which];
    by("answer").hidden = !told;
    by("no-answer").hidden = Boolean(told);
    by("no-answer").textContent = EMPTY[this.which] ?? "";
    if (!told) return;
    const best = told.classes.find((one) => one.code === told.best);
    by("verdict").textContent = `${this.which === "digits" ? "This is a " : ""}${best.name}, by a probability of ${percent(best.probability)}.`;
    by("chances").replaceChildren(...told.classes.map((one) => this.chance(told, one)));
    const more = [];
    if (told.n_classes > told.classes.length) more.push(`The likeliest ${told.classes.length} of ${told.n_classes} classes.`);
    if (told.rows > 1) more.push(`The first of ${told.rows.toLocaleString("en")} rows; fmkit classify --model … --predict … classifies all of them.`);
    by("chances-more").textContent = more.join(" ");
    by("why").hidden = by("journey").hidden = !told.layers;
    if (told.layers) this.drawJourney(told);
    const { gated } = this;
    by("gates").hidden = !gated;
    if (!gated) return;
    by("reader").hidden = gated === told;
    const taken = gated.classes.find((one) => one.code === gated.best);
    by("reader").querySelector("span").textContent = `A recurrent net reads the same picture row by row, from either end; it takes it for a ${taken.name}, by ${percent(taken.probability)}.`;
    const chosen = by("trace").value;
    by("trace").replaceChildren(...gated.traces.map((one) => new Option(one.name)));
    if (gated.traces.some((one) => one.name === chosen)) by("trace").value = chosen;
    this.drawGates();
  }

  /** The answer whose gates are shown, if it has some. */
  get gated() {
    const told = this.answers[this.which];
    return told?.traces ? told : told?.read;
  }

  chance(told, one) {
    const line = made("tr", undefined, { className: one.code === told.best ? "best" : "" });
    const head = made("th", told.layers ? undefined : one.name, { scope: "row" });
    if (told.layers) {
      const button = made("button", one.name, { type: "button" });
      button.setAttribute("aria-label", `Evidence for ${one.name}`);
      button.setAttribute("aria-pressed", one.code === told.evidence.code);
      button.onclick = () => trying(async () => {
        const which = this.which;
        told.evidence = await this.server.ask(`nets/${which}/evidence/${one.code}`, undefined, "GET");
        if (told !== this.answers[which]) return;
        this.draw();
        by("chances").querySelector("[aria-pressed=true]").focus();
      });
      head.append(button);
    }
    const cell = made("td"), track = made("div", undefined, { className: "track" }), bar = made("span", undefined, { className: "plus" });
    bar.style.left = 0;
    bar.style.width = `${100 * one.probability}%`;
    track.append(bar);
    cell.append(track);
    line.append(head, cell, made("td", percent(one.probability)));
    return line;
  }

  drawJourney(told) {
    const name = told.classes.find((one) => one.code === told.evidence.code)?.name ?? "";
    by("evidence-title").textContent = `Where the evidence for ${name} is (Grad-CAM)`;
    by("seen").src = told.picture;
    by("seen").alt = "The picture, as the net sees it";
    by("evidence").src = told.evidence.picture;
    by("evidence").alt = `The picture, brighter where there is evidence for ${name}`;
    by("evidence-told").textContent = `the evidence for ${name}`;
    by("layers").replaceChildren(...told.layers.map((layer, i) => {
      const line = made("li"), maps = made("div", undefined, { className: "maps" });
      line.append(made("span", `${i + 1}. ${layer.name}: ${layer.n} maps of ${layer.height} x ${layer.width}${layer.n > layer.n_shown ? `, ${layer.n_shown} of them` : ""}`, { className: "name quiet" }));
      for (let k = 0; k < layer.n_shown; k += 1) {
        const map = made("div"); // a part of the strip
        map.setAttribute("role", "img");
        map.setAttribute("aria-label", `map ${k + 1}`);
        map.style.aspectRatio = `${layer.width} / ${layer.height}`;
        map.style.backgroundImage = `url(${layer.strip})`;
        map.style.backgroundSize = `${100 * layer.n_shown}% 100%`;
        map.style.backgroundPosition = `${layer.n_shown > 1 ? (100 * k) / (layer.n_shown - 1) : 0}% 0`;
        maps.append(map);
      }
      line.append(maps);
      return line;
    }));
  }

  drawGates() {
    const told = this.gated;
    if (!told) return;
    const trace = told.traces.find((one) => one.name === by("trace").value);
    by("trace-line").hidden = told.traces.length < 2;
    by("gate-table").hidden = !trace;
    const places = by("gate-charts");
    if (!trace) {
      places.replaceChildren(made("p", told.n_steps ? "The sequence is too long for its gates to be shown, which are computed step by step." : "The sequence has no steps.", { className: "quiet" }));
      return;
    }
    const words = trace.every === 1 ? told.words : [];
    places.replaceChildren(...trace.gates.map((gate) => {
      const figure = made("figure"), svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      svg.setAttribute("class", "chart");
      svg.setAttribute("role", "img");
      const first = gate.means[0].toFixed(2), last = gate.means.at(-1).toFixed(2);
      svg.setAttribute("aria-label", `${gate.name} gate, mean of ${gate.n_units} units over ${gate.means.length} steps: from ${first} to ${last}; the table tells each`);
      figure.append(made("figcaption", GATES[gate.name] ?? gate.name), svg);
      return figure;
    }));
    for (const [i, svg] of [...places.querySelectorAll("svg")].entries()) {
      const { means, units } = trace.gates[i];
      const axis = trace.every > 1 ? `step, every ${trace.every}th` : "step";
      chart(svg, { curves: [{ values: means, kind: i }], steps: means.length, image: { address: units, height: 80 }, words, axis });
    }
    const table = made("table"), head = made("tr");
    head.append(made("th", "step", { scope: "col" }), ...trace.gates.map((gate) => made("th", gate.name, { scope: "col" })));
    table.append(head, ...trace.gates[0].means.map((_, i) => {
      const line = made("tr");
      line.append(made("th", `${1 + i * trace.every}${words[i] ? ` ${words[i]}` : ""}`, { scope: "row" }), ...trace.gates.map((gate) => made("td", gate.means[i].toFixed(2))));
      return line;
    }));
    by("gate-table").querySelector("div").replaceChildren(table);
  }
}
