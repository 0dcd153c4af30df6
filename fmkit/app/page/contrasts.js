// The contrasts: nets that differ in their ingredients, side by side, as they learn.
import { chart } from "./chart.js";
import { made } from "./classify.js";
import { by, trying } from "./main.js";

const INGREDIENTS = [
  ["activation", "Activation", [["relu", "ReLU"], ["tanh", "tanh"]]],
  ["init", "First weights", [["normalised", "normalised variance"], ["constant", "constant variance"]]],
  ["regularisation", "Regularisation", [["none", "nothing"], ["dropout", "dropout"], ["dropout and batch normalisation", "dropout, batch norm."], ["L2", "L2"], ["L1 and L2", "L1 and L2"]]],
  ["descent", "Descent", [["stochastic", "stochastic (32 rows)"], ["batch", "batch (all rows)"]]],
];
const MODERN = { activation: "relu", init: "normalised", regularisation: "dropout and batch normalisation", descent: "stochastic" };
const TRADITIONAL = { activation: "tanh", init: "constant", regularisation: "L1 and L2", descent: "batch" };
const ADDED = [{ ...MODERN, activation: "tanh" }, { ...MODERN, descent: "batch" }]; // each is a contrast to A
const NAMES = ["A", "B", "C", "D"];
const COLUMNS = ["net", "pass", "loss", "saturated", "tested", "trained on", "overfit"];

export class Contrasts {
  constructor(server) {
    this.server = server;
    this.version = 0;
    this.wishes = [{ ...MODERN }, { ...TRADITIONAL }];
    by("contrast-add").onclick = () => {
      this.wishes.push({ ...ADDED[this.wishes.length - 2] });
      this.form();
      by("contrast-nets").querySelector("fieldset:last-child select").focus();
    };
    by("contrast-form").onsubmit = (event) => {
      event.preventDefault();
      trying(async () => this.show(await server.ask("contrasts", { nets: this.wishes, epochs: Number(by("contrast-epochs").value) })));
    };
    by("contrast-stop").onclick = () => trying(async () => this.show(await server.ask("contrasts/stop")));
    window.addEventListener("resize", () => this.facts && this.draw());
    this.form();
  }

  get busy() { return Boolean(this.facts?.running); }

  form() {
    by("contrast-add").disabled = this.wishes.length >= NAMES.length;
    by("contrast-nets").replaceChildren(...this.wishes.map((wishes, i) => {
      const box = made("fieldset", undefined, { className: `net-${i}` }), pairs = made("div", undefined, { className: "pairs" });
      box.append(made("legend", `Net ${NAMES[i]}`), pairs);
      for (const [name, words, choices] of INGREDIENTS) {
        const select = made("select", undefined, { id: `contrast-${i}-${name}` });
        select.append(...choices.map(([value, text]) => new Option(text, value)));
        select.value = wishes[name];
        select.onchange = () => { wishes[name] = select.value; };
        pairs.append(made("label", words, { htmlFor: select.id }), select);
      }
      if (this.wishes.length > 2) {
        const remove = made("button", "Remove", { type: "button" });
        remove.setAttribute("aria-label", `Remove net ${NAMES[i]}`);
        remove.onclick = () => { this.wishes.splice(i, 1); this.form(); by("contrast-add").focus(); };
        box.append(remove);
      }
      return box;
    }));
  }

  /** What the server tells. */
  show(facts) {
    if (!facts.version) return;
    this.facts = facts;
    by("contrast-stop").hidden = !facts.running;
    const results = facts.nets.map((net, i) => net.end && `net ${NAMES[i]} has ${(100 * net.end.test).toFixed(1)}% right`).filter(Boolean);
    const begun = facts.nets.some((net) => net.rows.length);
    let words = facts.error;
    if (facts.running) words = begun ? "Training …" : "The nets are being made …";
    else if (!facts.error) words = facts.stopped ? "Stopped." : `Done. Of the digits that they have not seen, ${results.join(", ")}.`;
    if (by("contrast-told").textContent !== words) by("contrast-told").textContent = words;
    by("contrast-shown").hidden = !begun;
    this.draw();
  }

  draw() {
    const { nets, epochs } = this.facts;
    const curves = (value) => nets.map((net, kind) => ({ name: NAMES[kind], kind, values: net.rows.map(value) }));
    const most = (row) => Math.max(...row.saturation);
    const losses = nets.flatMap((net) => net.rows.map((row) => row.train_loss)).filter((loss) => loss > 0);
    const low = 10 ** Math.floor(Math.log10(Math.min(0.1, ...losses))), high = 10 ** Math.ceil(Math.log10(Math.max(1.1, ...losses)));
    chart(by("chart-loss"), { curves: curves((row) => row.train_loss), steps: epochs, low, high, log: true, axis: "pass" });
    chart(by("chart-saturation"), { curves: curves(most), steps: epochs, axis: "pass" });
    chart(by("chart-accuracy"), { curves: curves((row) => row.test), steps: epochs, axis: "pass" });
    for (const [id, name, value] of [["loss", "Loss", (row) => row.train_loss], ["saturation", "Saturation", most], ["accuracy", "Accuracy", (row) => row.test]])
      by(`chart-${id}`).setAttribute("aria-label", `${name} by pass; last: ${nets.map((net, i) => `net ${NAMES[i]} ${net.rows.length ? value(net.rows.at(-1)).toFixed(3) : "not yet"}`).join(", ")}`);
    const head = made("tr");
    head.append(...COLUMNS.map((name) => made("th", name, { scope: "col" })));
    by("contrast-table").replaceChildren(head, ...nets.map((net, i) => {
      const line = made("tr"), last = net.rows.at(-1), cells = last
        ? [last.epoch, last.train_loss.toPrecision(3), most(last).toFixed(2), (net.end?.test ?? last.test).toFixed(3), (net.end?.train ?? last.train).toFixed(3), net.end ? net.end.overfit.toFixed(3) : ""]
        : ["", "", "", "", "", ""];
      if (net.end?.diverged) cells.splice(0, 6, "", "diverged", "", net.end.test.toFixed(3), "", "");
      line.append(made("th", NAMES[i], { scope: "row", className: `net-${i}` }), ...cells.map((cell) => made("td", cell)));
      return line;
    }));
  }
}
