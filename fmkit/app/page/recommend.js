// The Recommend room: tables and a model on the left, people and their lists on the right.
import { Evaluation } from "./evaluation.js";
import { by, takeFiles, trying } from "./main.js";

const ROLES = ["user", "item", "rating", "time"];

function made(tag, words, properties = {}) {
  const element = Object.assign(document.createElement(tag), properties);
  if (words !== undefined) element.textContent = words;
  return element;
}

function signed(value) {
  const digits = Math.abs(value).toFixed(2);
  return digits === "0.00" ? digits : (value < 0 ? "−" : "+") + digits;
}

export class Recommend {
  constructor(server) {
    this.server = server;
    this.version = 0;
    this.rated = {};
    this.opened = new Set(); // items whose reasons somebody opened: they stay open while the list changes
    this.user = null;
    this.page = 0;
    for (const role of ["ratings", "items"])
      takeFiles(document.querySelector(`[data-drop=${role}]`), by(role), (files) => trying(async () => this.table(role, await server.send(`tables?role=${role}`, files[0]))));
    takeFiles(document.querySelector("[data-drop=model]"), by("model"), (files) => trying(async () => this.show(await server.send("model", files[0]))));
    by("example-ratings").onclick = () => trying(async () => {
      const told = await server.ask("tables/example");
      for (const role of ["ratings", "items"]) this.table(role, told[role]);
    });
    const wishes = () => {
      if (by("columns").hidden) throw new Error("there is no table of ratings yet: drop one, or try MovieLens");
      const columns = Object.fromEntries(ROLES.map((role) => [role, by(`column-${role}`).value]));
      if (!columns.user || !columns.item)
        throw new Error("choose the column that tells who rates (Who) and the one that tells what is rated (What)");
      return { columns, quality: by("learn-quality").value, feedback: by("learn-feedback").value };
    };
    by("column-rating").onchange = by("learn-feedback").onchange = () => this.aim();
    this.evaluation = new Evaluation(server, wishes);
    by("columns").onsubmit = (event) => {
      event.preventDefault();
      trying(async () => this.show(await server.ask("learn", wishes())));
    };
    by("learn-stop").onclick = () => trying(async () => this.show(await server.ask("learn/stop")));
    by("get-model").href = `${server.root}model`;
    for (const one of document.querySelectorAll("[name=whom]")) one.onchange = () => this.forWhom(one.value);
    by("others").onclick = () => trying(() => this.ask(this.page + 1));
    by("forget").onclick = () => { this.rated = {}; trying(() => this.ask(0)); this.list(); };
    by("search").oninput = () => trying(() => this.search());
    for (const name of ["diversity", "risk"])
      by(name).oninput = () => { by(`${name}-told`).textContent = by(name).value.replace("-", "−"); this.list(); };
    by("n-listed").onchange = () => this.list();
  }

  get busy() { return Object.keys(this.rated).length > 0 || this.version > 0; }

  table(role, told) {
    if (role === "items") {
      by("items-name").textContent = `With the items of ${told.name}: ${told.columns.join(", ")}`;
      return;
    }
    by("columns").hidden = false;
    by("table-name").textContent = told.name;
    for (const one of ROLES) {
      const select = by(`column-${one}`);
      const none = one === "user" || one === "item" ? [] : [new Option(one === "rating" ? "none: clicks" : "none", "")];
      if (!told.found[one] && !none.length) none.push(new Option("choose …", ""));
      select.replaceChildren(...none, ...told.columns.map((name) => new Option(name)));
      select.value = told.found[one] ?? "";
    }
    this.aim();
  }

  /** Without ratings, lists can only be of what people choose. */
  aim() {
    const select = by("learn-feedback"), clicks = by("column-rating").value === "";
    if (clicks || select.disabled) select.value = clicks ? "implicit" : "auto";
    select.disabled = clicks;
    by("aim").textContent = select.value === "implicit" ? "Each row counts as a choice. Lists are nearer to what people take up."
      : "Foretells ratings. Lists may hold what few know and would like.";
  }

  /** What the server tells. */
  show(facts) {
    this.evaluation.show(facts);
    const learning = facts.learning !== null;
    by("learn").hidden = learning;
    by("learn-stop").hidden = !learning;
    const words = learning ? `Learning: ${facts.learning} s so far …` : facts.error;
    if (by("learning").textContent !== words) by("learning").textContent = words;
    by("learning").classList.toggle("bad", !learning && words !== "");
    by("desk").hidden = !facts.model;
    by("no-model").hidden = Boolean(facts.model);
    if (facts.version === this.version || !facts.model) return;
    this.version = facts.version;
    this.values = facts.model.values;
    by("told-model").hidden = false;
    const n = (number) => number.toLocaleString("en");
    by("facts").textContent = `A model of ${n(facts.model.rows)} ${this.values.length ? "ratings" : "clicks"}, ${n(facts.model.users)} users, ${n(facts.model.items)} items`;
    by("notes").replaceChildren(...facts.told.map((one) => made("li", one)));
    by("risk-line").hidden = by("risk-words").hidden = !this.values.length;
    by("rate-title").textContent = this.values.length ? "Rate some of these" : "Which of these do you have?";
    this.rated = {};
    this.user = null;
    by("search").value = "";
    by("people").replaceChildren();
    trying(() => this.ask(0));
    trying(() => this.search());
    this.list();
  }

  forWhom(whom) {
    by("newcomer").hidden = whom !== "new";
    by("known").hidden = whom === "new";
    this.list();
  }

  async ask(page) {
    this.page = page;
    const items = await this.server.ask(`to-rate?page=${page}`, undefined, "GET");
    by("to-rate").replaceChildren(...items.map((item) => this.toRate(item)));
  }

  toRate(item) {
    const line = made("li"), choice = made("fieldset", undefined, { className: "choice" });
    choice.append(made("legend", `Rating of ${item.name}`, { className: "unseen" }));
    for (const value of this.values.length ? this.values : [1]) {
      const label = made("label"), input = made("input", undefined, { type: "radio", name: `rate-${item.code}`, value });
      input.checked = this.rated[item.code] === value;
      input.onclick = () => {
        if (!this.values.length && this.rated[item.code]) { delete this.rated[item.code]; input.checked = false; }
        else this.rated[item.code] = value;
        this.list();
      };
      label.append(input, made("span", this.values.length ? value : "I have it"));
      choice.append(label);
    }
    line.append(made("span", item.name), choice);
    return line;
  }

  async search() {
    const people = await this.server.ask(`people?q=${encodeURIComponent(by("search").value)}`, undefined, "GET");
    by("n-people").textContent = people.length ? `${people.length === 20 ? "The first 20" : people.length} found; choose one.` : "Nobody is called so.";
    by("people").replaceChildren(...people.map((person) => {
      const button = made("button", person.name, { type: "button" });
      button.setAttribute("aria-pressed", person.code === this.user);
      button.onclick = () => {
        this.user = person.code;
        for (const other of by("people").querySelectorAll("button")) other.setAttribute("aria-pressed", other === button);
        this.list();
      };
      const line = made("li");
      line.append(button);
      return line;
    }));
  }

  /** Ask for the list anew; answers that come late are dropped. */
  list() {
    const known = document.querySelector("[name=whom]:checked").value === "known";
    const n = Object.keys(this.rated).length;
    by("n-rated").textContent = n ? `${n} rated.` : "Nothing is rated yet.";
    const number = (this.asked = (this.asked ?? 0) + 1);
    if (known ? this.user === null : !n) {
      by("list").replaceChildren();
      by("empty").hidden = false;
      return Promise.resolve();
    }
    const wishes = { n: Number(by("n-listed").value), diversity: Number(by("diversity").value) };
    if (this.values.length) wishes.risk = Number(by("risk").value);
    return trying(async () => {
      const begin = performance.now();
      const items = await this.server.ask("lists", { user: known ? this.user : null, rated: this.rated, ...wishes });
      if (number !== this.asked) return;
      by("empty").hidden = items.length > 0;
      by("list").replaceChildren(...items.map((item, i) => this.line(item, i === 0 || this.opened.has(item.code))));
      by("list").dataset.milliseconds = Math.round(performance.now() - begin);
    });
  }

  line(item, open) {
    const line = made("li"), head = made("div", undefined, { className: "head" });
    const alike = made("button", "Similar items", { type: "button" });
    alike.setAttribute("aria-label", `Similar items: ${item.name}`);
    alike.onclick = () => trying(async () => {
      const found = await this.server.ask(`similar/${item.code}`, undefined, "GET");
      line.querySelector(".alike")?.remove();
      line.append(made("p", `Similar: ${found.map((one) => `${one.name} (${one.similarity.toFixed(2)})`).join(", ")}`, { className: "alike" }));
    });
    const score = item.expected === null ? item.score.toFixed(2) : `expected ${item.expected.toFixed(2)}, ranked by ${item.score.toFixed(2)}`;
    head.append(made("strong", item.name), made("span", score, { className: "score" }), alike);
    const details = made("details", undefined, { open });
    const summary = made("summary", "Why");
    summary.onclick = () => (details.open ? this.opened.delete(item.code) : this.opened.add(item.code));
    details.append(summary, this.parts(item));
    line.append(head, details);
    return line;
  }

  /** A bar for each part, which begins where the one before it ended. */
  parts(item) {
    const table = made("table", undefined, { className: "parts" });
    table.append(made("caption", `What the score of ${item.name} is the sum of`, { className: "unseen" }));
    const columns = made("colgroup");
    columns.append(made("col"), made("col"), made("col"));
    table.append(columns);
    const ends = [0];
    for (const [, value] of item.parts) ends.push(ends.at(-1) + value);
    const first = this.values.length ? 1 : 0; // of ratings, all begin far from 0: the axis need not reach it
    const shown = ends.slice(first);
    const low = Math.min(...shown), span = Math.max(...shown) - low || 1;
    const at = (value) => 4 + (92 * (value - low)) / span;
    const row = (words, value, from, to, kind) => {
      const line = made("tr", undefined, { className: kind === "sum" ? "sum" : "" });
      const track = made("div", undefined, { className: "track" }), bar = made("span", undefined, { className: kind });
      bar.style.left = `${Math.min(from, to)}%`;
      bar.style.width = `${Math.abs(to - from)}%`;
      track.append(bar);
      const cell = made("td");
      cell.append(track);
      line.append(made("th", words, { scope: "row" }), cell, made("td", value));
      table.append(line);
    };
    for (const [i, [words, value]] of item.parts.entries()) {
      if (first && i === 0) row(words, value.toFixed(2), 0, at(ends[1]), "base");
      else row(words, signed(value), at(ends[i]), at(ends[i + 1]), value < 0 ? "minus" : "plus");
    }
    row("the score", item.score.toFixed(2), 0, at(ends.at(-1)), "sum");
    const figure = made("div");
    figure.append(table, made("p", `Each bar begins where the one before ended${first ? "; the first and the last are cut at the left" : ""}.`, { className: "quiet" }));
    return figure;
  }
}
