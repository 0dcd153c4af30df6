// The Recommend room's evaluation: a recommender beside baselines, as bars with their intervals, and in words.
import { by, trying } from "./main.js";

const SVG = "http://www.w3.org/2000/svg";
const LIKELY = 0.05; // a p-value of less is no chance, by the usual measure

// What a metric means; "up" if more is better, "down" if less is. Of the others neither is.
const METRICS = {
  ndcg: ["up", "How far up in the list stands what the person liked: 1 if all of it comes first, 0 if nothing of it is listed."],
  recall: ["up", "The share of what the person liked that the list holds."],
  precision: ["up", "The share of the list that the person liked."],
  map: ["up", "Precision at each hit of the list, on average: early hits count more."],
  mrr: ["up", "One over the place of the first hit: 1 if it stands first, 0.5 if second."],
  hit_rate: ["up", "The share of people whose list holds at least one thing that they liked."],
  rmse: ["down", "How far foretold ratings are off, in units of the rating; large errors count more (root of the mean square)."],
  mae: ["down", "How far foretold ratings are off on average, in units of the rating."],
  nll: ["down", "How much the true ratings surprise a model that says how sure it is (negative log likelihood)."],
  bias: ["", "Foretold less true rating on average: above 0, too much is foretold. Best near 0."],
  inside_50: ["", "The share of ratings inside the intervals that are to hold 50% of them. Best near 0.5."],
  inside_80: ["", "The share of ratings inside the intervals that are to hold 80% of them. Best near 0.8."],
  inside_90: ["", "The share of ratings inside the intervals that are to hold 90% of them. Best near 0.9."],
  inside_95: ["", "The share of ratings inside the intervals that are to hold 95% of them. Best near 0.95."],
  novelty: ["", "How rare the listed items are, in bits: 1 more if half as many people have them."],
  popularity: ["", "The share of all items that fewer people have than the listed ones: 0.5 if lists do not care."],
  diversity: ["", "How unlike each other the items of a list are, by what is known of them: 0 if all are alike."],
  coverage: ["", "The share of all items that stand in anybody's list."],
  gini: ["", "How unevenly items are listed: 0 if all alike, near 1 if a few are shown to everyone."],
  personalisation: ["", "How unlike each other the lists of two people are: 0 if all are the same."],
};
const KNOWN = { Popularity: "what most people have", UserItemMeans: "means of the person and of the item", ItemKNN: "items like those the person has", EASE: "a linear model of items by items", fmkit: "this table's model" };
const AIM = { up: "More is better.", down: "Less is better.", "": "No aim by itself." };

const kind = (metric) => METRICS[metric.split("@")[0]] ?? ["", ""];
const number = (value) => value.toFixed(Math.abs(value) >= 100 ? 1 : 4).replace("-", "−");
const listed = (names) => (names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`);

function made(tag, words, properties = {}) {
  const element = Object.assign(document.createElement(tag), properties);
  if (words !== undefined) element.textContent = words;
  return element;
}

function drawn(tag, attributes, words) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (words !== undefined) element.textContent = words;
  return element;
}

/** Which differences of a metric are more than chance, as sentences. */
export function verdicts(found, metric) {
  const test = found.tests[metric];
  if (!test) return [`Only ${listed(Object.keys(found.tests)) || "no metric"} is tested for chance: where intervals overlap widely, take models for alike.`];
  const far = test.others.filter((one) => one.p < LIKELY), near = test.others.filter((one) => one.p >= LIKELY);
  const told = (one) => `${one.name} (p ${one.p < 0.001 ? "below 0.001" : one.p.toPrecision(2)})`;
  const said = [`Best is ${test.to}.`];
  if (near.length) said.push(`No difference that is more than chance: ${listed(near.map(told))}.`);
  if (far.length) said.push(`${metric === "rmse" ? "Farther off" : "Behind it"} by more than chance: ${listed(far.map(told))}.`);
  return said;
}

export class Evaluation {
  /** `wishes` gives the columns and the quality that are chosen. */
  constructor(server, wishes) {
    this.server = server;
    this.version = 0;
    by("judge-form").onsubmit = (event) => {
      event.preventDefault();
      trying(async () => {
        const asked = { ...wishes(), how: by("how").value, test: Number(by("test-share").value) / 100, top: Number(by("top").value) };
        this.show(await server.ask("evaluation", asked));
      });
    };
    by("judge-stop").onclick = () => trying(async () => this.show(await server.ask("evaluation/stop")));
    by("how").onchange = () => { by("share-line").hidden = by("how").value === "leave-last-out"; };
    by("metric").onchange = () => this.draw();
    new ResizeObserver(() => { if (this.width !== by("bars").clientWidth) this.draw(); }).observe(by("bars"));
  }

  /** What the server tells. */
  show(facts) {
    const judging = facts.judging !== null;
    by("evaluate").hidden = judging;
    by("judge-stop").hidden = !judging;
    const words = judging ? `Fitting all models to one part, and judging by the other: ${facts.judging} s so far …` : facts.judging_error;
    if (by("judging").textContent !== words) by("judging").textContent = words;
    if (facts.judged === this.version) return;
    this.version = facts.judged;
    trying(async () => this.take(await this.server.ask("evaluation", undefined, "GET")));
  }

  take(found) {
    this.found = found;
    const metrics = [...new Set(found.models.flatMap((model) => Object.keys(model.values)))];
    const first = [...new Set([found.headline, "rmse", "mae"])].filter((metric) => metrics.includes(metric));
    const groups = [["Lists", (metric) => metric.includes("@")], ["Ratings", (metric) => /^(rmse|mae|nll|bias|inside)/.test(metric)]];
    const rest = (metric) => !groups.slice(0, 2).some(([, holds]) => holds(metric));
    groups.push(["What lists are like", rest]);
    by("metric").replaceChildren(...groups.map(([label, holds]) => {
      const group = made("optgroup", undefined, { label });
      group.append(...metrics.filter(holds).map((metric) => new Option(metric)));
      return group;
    }).filter((group) => group.children.length));
    by("metric").value = first[0];
    this.table(metrics);
    by("judge-notes").replaceChildren(...found.notes.map((note) => made("li", note)));
    by("judge-command").value = found.command;
    by("judged").hidden = false;
    this.draw();
  }

  /** Bars of a metric, best on top, each with its interval; the width is the window's, so that letters keep their size. */
  draw() {
    const width = (this.width = by("bars").clientWidth), metric = by("metric").value;
    if (!this.found || !width) return;
    const [aim, meaning] = kind(metric);
    const rows = this.found.models.filter((model) => metric in model.values);
    if (aim) rows.sort((a, b) => (a.values[metric][0] - b.values[metric][0]) * (aim === "down" ? 1 : -1));
    by("meaning").textContent = `${meaning} ${AIM[aim]}`;
    by("judge-verdict").replaceChildren(...(aim && rows.length > 1 ? verdicts(this.found, metric) : []).map((one) => made("li", one)));

    const narrow = width < 520, left = narrow ? 4 : 150, top = 8, step = narrow ? 58 : 40, thick = 20;
    const height = top + step * rows.length + 34;
    const ends = rows.flatMap((model) => model.values[metric].filter((value) => value !== null));
    const low = Math.min(0, ...ends), high = Math.max(0, ...ends) || 1;
    const at = (value) => left + ((width - left - 76) * (value - low)) / (high - low);
    const chart = drawn("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img" });
    const told = rows.map(({ name, values }) => `${name} ${number(values[metric][0])}`);
    chart.setAttribute("aria-label", `${metric} of each model: ${told.join(", ")}. All numbers are in the table below.`);
    const pattern = drawn("pattern", { id: "hatch", width: 7, height: 7, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" });
    pattern.append(drawn("rect", { width: 7, height: 7, class: "baseline" }), drawn("rect", { width: 2, height: 7, class: "stripe" }));
    const inside = drawn("defs", {});
    inside.append(pattern);
    chart.append(inside);
    for (const value of ticks(low, high, narrow ? 3 : 6)) {
      const x = at(value);
      chart.append(drawn("line", { x1: x, x2: x, y1: top, y2: height - 26, class: "grid" }));
      chart.append(drawn("text", { x, y: height - 8, class: "tick", "text-anchor": x < 20 ? "start" : "middle" }, String(value).replace("-", "−")));
    }
    for (const [i, { name, baseline, values }] of rows.entries()) {
      const [value, from, to] = values[metric], middle = top + step * i + (narrow ? 38 : step / 2);
      const x = Math.min(at(0), at(value));
      chart.append(drawn("text", { x: narrow ? left : left - 10, y: narrow ? middle - 16 : middle + 5, "text-anchor": narrow ? "start" : "end", class: baseline ? "" : "ours" }, name));
      chart.append(drawn("rect", { x, y: middle - thick / 2, width: Math.max(Math.abs(at(value) - at(0)), 1), height: thick, ...(baseline ? { fill: "url(#hatch)" } : { class: "model" }) }));
      if (from !== null) {
        const line = `M${at(from)} ${middle}H${at(to)}M${at(from)} ${middle - 6}v12M${at(to)} ${middle - 6}v12`;
        chart.append(drawn("path", { d: line, class: "halo" }), drawn("path", { d: line, class: "whisker" }));
      }
      chart.append(drawn("text", { x: Math.max(at(value), at(to ?? value), at(0)) + 8, y: middle + 5, class: "value" }, number(value)));
    }
    by("bars").replaceChildren(chart);
  }

  /** All metrics of all models; a row a metric, whose name stays where a narrow window scrolls the models. */
  table(metrics) {
    const { models } = this.found, head = made("tr"), body = made("tbody"), top = made("thead");
    head.append(made("th", "metric", { scope: "col" }));
    for (const model of models) {
      const cell = made("th", model.name, { scope: "col" });
      if (KNOWN[model.name]) cell.append(made("small", KNOWN[model.name]));
      head.append(cell);
    }
    top.append(head);
    for (const metric of metrics) {
      const line = made("tr"), [aim] = kind(metric);
      line.append(made("th", metric, { scope: "row", title: kind(metric)[1] }));
      const there = models.map((model) => model.values[metric]?.[0]).filter((value) => value !== undefined);
      const best = aim === "up" ? Math.max(...there) : aim === "down" ? Math.min(...there) : null;
      for (const model of models) {
        const cell = made("td"), [value, low, high] = model.values[metric] ?? [];
        if (value !== undefined) {
          cell.append(made(value === best && there.length > 1 ? "strong" : "span", number(value)));
          if (low !== null) cell.append(made("small", `${number(low)} to ${number(high)}`));
        } else cell.append("–");
        line.append(cell);
      }
      body.append(line);
    }
    const seconds = made("tr");
    seconds.append(made("th", "seconds to fit", { scope: "row" }), ...models.map((model) => made("td", model.seconds.toFixed(1))));
    body.append(seconds);
    by("metrics").replaceChildren(top, body);
  }
}

/** Round numbers from low to high, at most so many. */
function ticks(low, high, most) {
  const rough = (high - low) / most, power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
  const found = [];
  for (let i = Math.ceil(low / step); i * step <= high; i += 1) found.push(Number((i * step).toPrecision(6)));
  return found;
}
