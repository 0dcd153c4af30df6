// The session, what the server tells of it, errors, and the tabs.
import { Classify } from "./classify.js";
import { Contrasts } from "./contrasts.js";
import { Recommend } from "./recommend.js";
import { Restore } from "./restore.js";

export const by = (id) => document.getElementById(id);

/** Show a sentence on top of the page; it stays until it is closed or another comes. */
export function complain(sentence) {
  const place = by("alert");
  place.replaceChildren();
  if (!sentence) return;
  const words = document.createElement("span");
  words.textContent = sentence;
  const close = document.createElement("button");
  close.type = "button";
  close.textContent = "Close";
  close.onclick = () => complain("");
  place.append(words, close);
}

export class Server {
  constructor(told) {
    this.root = `/s/${told.session}/`;
    this.mostBytes = told.most_bytes;
  }

  /** Ask for JSON; the server's sentence is thrown if it refuses. */
  async ask(path, body, method = "POST") {
    const how = { method };
    if (body instanceof Blob) how.body = body;
    else if (body !== undefined) how.body = JSON.stringify(body);
    let answer;
    try {
      answer = await fetch(this.root + path, how);
    } catch {
      throw new Error("fmkit app does not answer: is it still running in its terminal?");
    }
    const told = await answer.json().catch(() => ({ error: `fmkit app answered ${answer.status}: its terminal tells more` }));
    if (!answer.ok) throw new Error(told.error);
    return told;
  }

  /** Send a file; one that is too large is not even begun with. */
  async send(path, file) {
    if (file.size > this.mostBytes)
      throw new Error(`${file.name}: files of at most ${this.mostBytes / 2 ** 20} MB are taken, this one is larger`);
    return this.ask(`${path}${path.includes("?") ? "&" : "?"}name=${encodeURIComponent(file.name)}`, file, "PUT");
  }
}

/** Do it, and show what goes wrong. */
export async function trying(work) {
  try {
    complain("");
    return await work();
  } catch (error) {
    complain(error.message);
  }
}

/** Let files be dropped on a part of the page, or chosen in its input. */
export function takeFiles(place, input, take) {
  input.onchange = () => {
    const files = [...input.files];
    input.value = "";
    if (files.length) take(files);
  };
  place.addEventListener("dragover", (event) => { event.preventDefault(); place.classList.add("over"); });
  place.addEventListener("dragleave", () => place.classList.remove("over"));
  place.addEventListener("drop", (event) => {
    event.preventDefault();
    event.stopPropagation();
    place.classList.remove("over");
    take([...event.dataTransfer.files]);
  });
}

function tabs(list) {
  const all = [...list.querySelectorAll("[role=tab]")];
  const choose = (tab, focus) => {
    for (const one of all) {
      one.setAttribute("aria-selected", one === tab);
      one.tabIndex = one === tab ? 0 : -1;
      by(one.getAttribute("aria-controls")).hidden = one !== tab;
    }
    if (list.closest("header")) history.replaceState(null, "", `#${tab.getAttribute("aria-controls")}`);
    if (focus) tab.focus();
    window.dispatchEvent(new Event("resize"));
  };
  for (const [i, tab] of all.entries()) {
    tab.onclick = () => choose(tab);
    tab.onkeydown = (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (step) choose(all[(i + step + all.length) % all.length], true);
    };
  }
  const asked = all.find((tab) => `#${tab.getAttribute("aria-controls")}` === location.hash);
  if (asked) choose(asked);
}

async function begin() {
  for (const list of document.querySelectorAll("[role=tablist]")) tabs(list);
  for (const name of ["dragover", "drop"]) window.addEventListener(name, (event) => event.preventDefault());
  const server = new Server(await (await fetch("/session", { method: "POST" })).json());
  const rooms = { restore: new Restore(server), recommend: new Recommend(server), classify: new Classify(server), contrasts: new Contrasts(server) };
  const events = new EventSource(`${server.root}events`);
  events.onmessage = (event) => {
    for (const [name, facts] of Object.entries(JSON.parse(event.data))) rooms[name]?.show(facts);
  };
  events.onerror = () => {
    if (events.readyState === EventSource.CLOSED)
      complain("the work of this page has ended, for its tab was closed or fmkit app was started anew: reload the page");
  };
  window.addEventListener("beforeunload", (event) => {
    if (Object.values(rooms).some((room) => room.busy)) event.preventDefault();
  });
  document.body.dataset.ready = "yes";
}

begin();
