// Groups of objects as a treemap or as bars. Data reaches the page only as text nodes and attribute values.
//
//   const map = new Treemap(element, { choose: (group) => …, opens: (group) => true });
//   map.show({ title, label, kind, ordered, groups, total });
//
// groups   [{ name, shown, objects, bytes, newest, oldest }]: exact name, its visible form if that differs, and times
//          as text; must include the largest by bytes and the largest by objects
// total    { groups, objects, bytes } of all groups, including those not in `groups`
// title    what is analyzed; `label` is what a group is, such as "folder"
// kind     initially "treemap" or "bars"; `ordered` keeps the groups' order in bars

import { make } from "./elements.js";
import { sizeText } from "./texts.js";

const MOST = 200; // maximum of rectangles or bars, besides the one for all others
const NARROW = 46, WIDE = 66, LOW = 23, TALL = 38; // px that the texts of a rectangle need
const KINDS = [["treemap", "Treemap"], ["bars", "Bars"]];
const MEASURES = [["bytes", "Bytes"], ["objects", "Objects"]];
const AHEAD = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

const exact = (count) => count.toLocaleString("en-US");
const counted = (count, one) => `${exact(count)} ${one}${count === 1 ? "" : "s"}`;
const percent = (part) => (part > 0 && part < 1e-5 ? "< 0.001 %" : `${(100 * part).toFixed(part && part < 0.001 ? 3 : 1)} %`);

/** Nearly square rectangles [x, y, width, height] with these areas (largest first) that fill a rectangle. */
export function squarified(values, width, height) {
  const placed = [];
  const sum = values.reduce((all, one) => all + one, 0);
  let [x, y, w, h, at] = [0, 0, width, height, 0];
  const scale = sum ? (width * height) / sum : 0;
  while (at < values.length) {
    const side = Math.max(Math.min(w, h), 1e-9);
    let [end, area, worst] = [at, 0, Infinity];
    // A row takes more areas as long as its least square rectangle gets more square.
    while (end < values.length) {
      const more = area + values[end] * scale;
      const [most, least] = [values[at] * scale, values[end] * scale];
      const next = Math.max((side * side * most) / (more * more), (more * more) / (side * side * least));
      if (next > worst) break;
      [end, area, worst] = [end + 1, more, next];
    }
    const depth = area / side;
    let along = 0;
    for (; at < end; at++) {
      const length = (values[at] * scale) / Math.max(depth, 1e-9);
      placed.push(w >= h ? [x, y + along, depth, length] : [x + along, y, length, depth]);
      along += length;
    }
    if (w >= h) [x, w] = [x + depth, w - depth];
    else [y, h] = [y + depth, h - depth];
  }
  return placed;
}

/** The index of the next rectangle in a direction. */
export function neighbour(boxes, at, [right, down]) {
  const [x, y, w, h] = boxes[at];
  const middle = [x + w / 2, y + h / 2];
  let [best, least] = [at, Infinity];
  boxes.forEach(([left, top, width, height], index) => {
    const ahead = right ? (right > 0 ? left - x - w : x - left - width) : down > 0 ? top - y - h : y - top - height;
    if (index === at || ahead < -1) return;
    // Distance to the side of the middle; none for a rectangle straight ahead.
    const across = right ? [top, top + height, middle[1]] : [left, left + width, middle[0]];
    const aside = Math.max(0, across[0] - across[2], across[2] - across[1]);
    const far = Math.max(0, ahead) + 4 * aside;
    if (far < least) [best, least] = [index, far];
  });
  return best;
}

export class Treemap {
  /** @param {HTMLElement} host @param {{choose?: (group: any) => void, opens?: (group: any) => boolean}} options */
  constructor(host, { choose = null, opens = () => true } = {}) {
    this.choose = choose;
    this.opens = opens;
    this.kind = "treemap";
    this.measure = "bytes";
    this.at = 0;
    this.hidden = 0; // number of groups not drawn
    /** @type {{group: any, shown: string, share: number, facts: string, value: number}[]} */
    this.items = [];
    /** @type {number[][]} */
    this.boxes = [];
    this.root = make("div", "s3t tex2jax_ignore mathjax_ignore");
    this.stage = make("div", "s3t-stage");
    this.stage.setAttribute("role", "listbox");
    this.foot = make("div", "s3t-foot");
    this.note = make("div", "s3t-note", "Waiting for the kernel…");
    this.detail = make("div", "s3t-detail");
    this.foot.append(this.note, this.detail);
    this.root.append(this.bar(), this.stage, this.foot);
    host.append(this.root);
    this.listen();
  }

  bar() {
    const bar = make("div", "s3t-bar");
    this.title = make("span", "s3t-title");
    this.switches = [...this.group("Drawn as", "kind", KINDS), ...this.group("Measured in", "measure", MEASURES)];
    bar.append(this.title, ...new Set(this.switches.map((node) => node.parentNode)));
    return bar;
  }

  /** A group of buttons, one of them pressed. */
  group(label, field, choices) {
    const group = make("span", "s3t-switch");
    group.setAttribute("role", "group");
    group.setAttribute("aria-label", label);
    return choices.map(([value, text]) => {
      const node = make("button", "s3t-button", text);
      node.type = "button";
      Object.assign(node.dataset, { field, value });
      node.addEventListener("click", () => this.turn(field, value));
      group.append(node);
      return node;
    });
  }

  turn(field, value) {
    const name = this.items[this.at]?.group?.name;
    this[field] = value;
    this.draw();
    this.at = Math.max(0, this.items.findIndex((item) => item.group?.name === name));
    this.mark();
  }

  listen() {
    this.stage.addEventListener("keydown", (event) => this.onKey(event));
    this.stage.addEventListener("click", (event) => this.onClick(event));
    this.stage.addEventListener("focusin", (event) => this.onFocus(this.indexOf(event)));
    this.stage.addEventListener("mousemove", (event) => this.tell(this.indexOf(event)));
    for (const left of ["mouseleave", "focusout"]) this.stage.addEventListener(left, () => this.tell(-1));
    // Keys typed on a button must not trigger the notebook's shortcuts.
    this.root.addEventListener("keydown", (event) => {
      if (event.target.closest("button") && event.key !== "Tab") event.stopPropagation();
    });
    this.watch = new ResizeObserver(([{ contentRect }]) => {
      if (Math.round(contentRect.width) !== this.width && this.data) this.place();
    });
    this.watch.observe(this.stage);
  }

  close() {
    this.watch.disconnect();
    this.root.remove();
  }

  /** Show a text instead of a chart, such as what it waits for. */
  say(text) {
    this.note.textContent = text;
  }

  show(data) {
    this.data = data;
    this.kind = data.kind ?? this.kind;
    this.at = 0;
    this.title.textContent = this.title.title = data.title ?? "";
    this.stage.setAttribute("aria-label", `${data.title ?? ""} by ${data.label ?? "group"}`.trim());
    this.draw();
  }

  /** The groups to draw, and one item for all others. */
  chosen() {
    const { groups, total, ordered } = this.data;
    const bars = this.kind === "bars";
    const some = groups.filter((group) => bars || group[this.measure] > 0);
    if (!bars || !ordered) some.sort((one, other) => other[this.measure] - one[this.measure]);
    const items = some.slice(0, MOST).map((group) => this.item(group));
    const rest = { groups: total.groups - items.length, objects: total.objects, bytes: total.bytes };
    for (const { group } of items) [rest.objects, rest.bytes] = [rest.objects - group.objects, rest.bytes - group.bytes];
    if (bars ? rest.groups : rest[this.measure] > 0) items.push(this.item(null, rest));
    return [items, rest.groups];
  }

  item(group, counts = group) {
    const shown = group ? (group.shown ?? group.name) : `${exact(counts.groups)} more`;
    const share = counts[this.measure] / (this.data.total[this.measure] || 1);
    const times = group?.newest ? [`newest ${group.newest}`, `oldest ${group.oldest}`] : [];
    const parts = [counted(counts.objects, "object"), `${exact(counts.bytes)} bytes (${sizeText(counts.bytes)})`];
    const facts = [...parts, `${percent(share)} of ${this.measure}`, ...times].join(" · ");
    return { group, shown, share, facts, value: counts[this.measure] };
  }

  draw() {
    if (!this.data) return;
    const focused = this.stage.contains(document.activeElement);
    [this.items, this.hidden] = this.chosen();
    this.root.dataset.kind = this.kind;
    for (const node of this.switches) {
      node.setAttribute("aria-pressed", String(this[node.dataset.field] === node.dataset.value));
    }
    this.nodes = this.items.map((item, index) => this.node(item, index));
    this.stage.replaceChildren(...this.nodes);
    this.place();
    this.mark();
    this.note.textContent = this.summary();
    this.tell(-1);
    if (focused) this.nodes[this.at]?.focus({ preventScroll: true });
  }

  node(item, index) {
    const node = make("div", item.group ? "s3t-item" : "s3t-item s3t-rest");
    const most = Math.max(...this.items.filter((one) => one.group).map((one) => one.value), 1);
    const part = item.group ? item.value / most : 0;
    node.dataset.index = index;
    node.setAttribute("role", "option");
    node.setAttribute("aria-label", `${item.shown}: ${item.facts}`);
    node.title = `${item.shown}\n${item.facts}`;
    node.style.setProperty("--s3t-mix", `${Math.round(12 + 40 * Math.sqrt(part))}%`);
    node.classList.toggle("s3t-opens", this.canChoose(item));
    const value = this.measure === "bytes" ? sizeText(item.value) : exact(item.value);
    node.append(make("span", "s3t-name", item.shown), make("span", "s3t-value", value));
    if (this.kind === "bars") node.append(this.track(item.group ? part : Math.min(1, item.value / most)));
    return node;
  }

  track(part) {
    const track = make("span", "s3t-track");
    const fill = make("span", "s3t-fill");
    fill.style.width = `${100 * part}%`;
    track.append(fill);
    return track;
  }

  /** Place the rectangles for the current width. */
  place() {
    this.width = Math.round(this.stage.clientWidth);
    const map = this.kind === "treemap";
    const height = Math.round(Math.min(400, Math.max(200, this.width * 0.42)));
    this.stage.style.height = map && this.items.length ? `${height}px` : "";
    this.boxes = map ? squarified(this.items.map((item) => item.value), this.width, height) : [];
    this.boxes.forEach(([x, y, wide, high], index) => {
      const { style, classList } = this.nodes[index];
      Object.assign(style, { left: `${x}px`, top: `${y}px`, width: `${wide}px`, height: `${high}px` });
      classList.toggle("s3t-bare", wide < NARROW || high < LOW);
      classList.toggle("s3t-line", wide < WIDE || high < TALL);
    });
  }

  summary() {
    const { groups, objects, bytes } = this.data.total;
    if (!groups) return "There is no object here";
    const all = [counted(groups, "group"), counted(objects, "object"), sizeText(bytes)].join(" · ");
    if (!this.items.length) return `${all} · nothing to draw by ${this.measure}`;
    const last = this.items.at(-1).group === null;
    if (!this.hidden) return all;
    return `${all} · ${last ? `the ${exact(this.items.length - 1)} largest are drawn apart` : `${exact(this.hidden)} without ${this.measure} not drawn`}`;
  }

  /** Show the facts of the item that is pointed at or focused. */
  tell(index) {
    const item = this.items[index] ?? (this.stage.contains(document.activeElement) ? this.items[this.at] : null);
    if (item === this.told) return;
    this.told = item;
    this.detail.replaceChildren();
    if (item) this.detail.append(make("b", "s3t-shown", item.shown), document.createTextNode(item.facts));
  }

  mark() {
    this.nodes?.forEach((node, index) => {
      node.tabIndex = index === this.at ? 0 : -1;
      node.setAttribute("aria-selected", String(index === this.at));
    });
  }

  indexOf(event) {
    return Number(event.target.closest(".s3t-item")?.dataset.index ?? -1);
  }

  focus(index) {
    this.nodes[Math.max(0, Math.min(index, this.nodes.length - 1))]?.focus();
  }

  onFocus(index) {
    if (index < 0) return;
    this.at = index;
    this.mark();
    this.tell(index);
  }

  canChoose(item) {
    return Boolean(this.choose && item?.group && this.opens(item.group));
  }

  onClick(event) {
    const index = this.indexOf(event);
    if (index < 0) return;
    this.focus(index);
    this.act();
  }

  act() {
    const item = this.items[this.at];
    if (this.canChoose(item)) this.choose(item.group);
  }

  onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.key === "Tab" || event.key === "Escape") return;
    event.stopPropagation();
    const to = this.target(event.key);
    if (to === undefined && event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    if (to === undefined) this.act();
    else this.focus(to);
  }

  /** The item that a key moves the focus to. */
  target(key) {
    if (key === "Home") return 0;
    if (key === "End") return this.items.length - 1;
    if (!(key in AHEAD)) return undefined;
    if (this.boxes.length) return neighbour(this.boxes, this.at, AHEAD[key]);
    return this.at + AHEAD[key][0] + AHEAD[key][1];
  }
}
