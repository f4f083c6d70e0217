// The table of a preview: loads rows as they are scrolled to, sorts by any column, and filters by a text.

import { button, icon, make } from "./elements.js";

const ROW = 24; // px per row, as in details.css
const PART = 200; // rows per request
const AROUND = 20; // rows drawn above and below those in view
const SIGN = 14; // px of the sort arrow
const TYPING = 200; // ms after the last key until the rows are filtered

/** The table of one preview in one view. */
export class Table {
  /**
   * @param {import("./subject.js").Subject} subject
   * @param {Partial<import("./protocol.js").AnswerOf<"preview">>} preview
   */
  constructor(subject, { table, schema }) {
    this.subject = subject;
    this.given = table;
    this.types = schema.map(([, type]) => type);
    this.order = { by: -1, descending: false, filter: "" };
    /** @type {Map<number, (string | null)[]>} */
    this.rows = new Map(table.rows.map((row, at) => [at, row]));
    this.count = table.loaded;
    this.loaded = -1;
    this.more = this.busy = false;
    this.waiting = this.drawn = null;
    this.root = make("div", "s3x-records");
    this.root.append(this.buildBar(), this.buildFrame(), this.buildFoot());
    this.take(table);
  }

  buildBar() {
    const bar = make("div", "s3x-records-bar");
    this.find = make("input", "s3x-field");
    this.find.type = "text";
    this.find.spellcheck = false;
    this.find.placeholder = "Filter the loaded rows";
    this.find.setAttribute("aria-label", "Filter the loaded rows");
    this.find.addEventListener("input", () => {
      clearTimeout(this.typing);
      this.typing = setTimeout(() => this.show({ filter: this.find.value }), TYPING);
    });
    this.find.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !this.find.value) return;
      event.stopPropagation();
      this.find.value = "";
      this.show({ filter: "" });
    });
    this.found = make("span", "s3x-quiet");
    this.found.setAttribute("role", "status");
    bar.append(icon("find"), this.find, this.found);
    return bar;
  }

  buildFrame() {
    this.frame = make("div", "s3x-table");
    this.frame.tabIndex = 0;
    this.frame.setAttribute("role", "group");
    this.frame.setAttribute("aria-label", "Rows");
    this.frame.addEventListener("scroll", () => requestAnimationFrame(() => this.paint()), { passive: true });
    const head = make("tr");
    this.heads = this.given.columns.map((name, at) => this.head(name, at));
    head.append(...this.heads);
    const top = make("thead");
    top.append(head);
    this.body = make("tbody");
    this.table = make("table");
    this.table.append(top, this.body);
    this.frame.append(this.table);
    return this.frame;
  }

  head(name, at) {
    const cell = make("th", this.given.numeric[at] ? "s3x-number" : "");
    cell.scope = "col";
    const order = button("s3x-order", name || "(no name)", () => this.orderBy(at));
    order.title = `${name}: order by it`;
    const about = button("s3x-tool", `What stands in ${name}`, () => this.describe(at), "info");
    const line = make("div", "s3x-column-name");
    line.append(order, about);
    cell.append(line, make("div", "s3x-type", this.types[at] ?? ""));
    return cell;
  }

  buildFoot() {
    const foot = make("div", "s3x-records-foot");
    this.said = make("span", "s3x-quiet");
    this.said.setAttribute("role", "status");
    this.further = button("s3x-act", "Load more rows", () => this.goOn());
    foot.append(this.said, this.further);
    this.about = make("div", "s3x-column");
    this.about.hidden = true;
    const all = make("div");
    all.append(foot, this.about);
    return all;
  }

  /** Take the kernel's message about its number of rows. */
  take({ loaded, said, more, busy = false, error = null }) {
    const grown = this.loaded >= 0 && loaded !== this.loaded;
    Object.assign(this, { loaded, more, busy });
    this.said.textContent = [error ? error.message : busy ? "Reading more rows…" : said, this.given.left].filter(Boolean).join(" · ");
    this.further.hidden = !more;
    this.further.disabled = busy;
    if (!grown) return;
    if (this.order.by < 0 && !this.order.filter) this.count = loaded;
    else this.show({});
    this.refresh();
  }

  goOn() {
    if (this.busy || !this.more) return;
    this.busy = true;
    this.subject.send("further", {});
  }

  // ---- order and filter

  orderBy(at) {
    const { by, descending } = this.order;
    if (by !== at) this.show({ by: at, descending: false });
    else this.show(descending ? { by: -1, descending: false } : { descending: true });
  }

  /** Show the rows in another order or filter, from the top. */
  show(change) {
    this.order = { ...this.order, ...change };
    this.heads.forEach((head, at) => {
      if (at === this.order.by) head.setAttribute("aria-sort", this.order.descending ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    this.rows = new Map();
    this.frame.scrollTop = 0;
    this.ask(0);
  }

  async ask(from) {
    const order = this.order;
    if (this.waiting === order) return;
    this.waiting = order;
    const answer = await this.subject.ask("records", { from, to: from + PART, ...order });
    if (order !== this.order) return; // the order or filter has changed meanwhile
    this.waiting = null;
    this.count = answer.count;
    answer.rows.forEach((row, at) => this.rows.set(answer.from + at, row));
    this.found.textContent = order.filter ? `${answer.count.toLocaleString("en")} of ${this.loaded.toLocaleString("en")} loaded rows hold it` : "";
    this.refresh();
  }

  // ---- drawing

  refresh() {
    this.drawn = null;
    this.paint();
  }

  /** Draw the rows in view, and some around them. */
  paint() {
    const { scrollTop, clientHeight } = this.frame;
    const top = Math.floor(scrollTop / ROW), bottom = Math.min(this.count, Math.ceil((scrollTop + (clientHeight || 400)) / ROW));
    if (bottom >= this.count && this.more && this.order.by < 0 && !this.order.filter && scrollTop > 0) this.goOn();
    if (this.drawn && top >= this.drawn[0] && bottom <= this.drawn[1]) return;
    const first = Math.max(0, Math.min(top, this.count) - AROUND), last = Math.min(this.count, bottom + AROUND);
    if (this.drawn || scrollTop > 0) this.freeze();
    this.drawn = [first, last];
    const lines = [];
    let missing = -1;
    for (let at = first; at < last; at++) {
      lines.push(this.line(at));
      if (missing < 0 && !this.rows.has(at)) missing = at;
    }
    this.body.replaceChildren(...this.pad(first), ...lines, ...this.pad(this.count - last));
    this.table.setAttribute("aria-rowcount", String(this.count + 1));
    if (missing >= 0) this.ask(missing);
  }

  /** Fix the column widths, so that they do not change with the rows. */
  freeze() {
    if (this.frozen || !this.frame.clientWidth) return;
    this.frozen = true;
    const widths = this.heads.map((head) => head.offsetWidth + SIGN);
    this.heads.forEach((head, at) => (head.style.width = `${widths[at]}px`));
    this.table.style.width = `${widths.reduce((all, each) => all + each, 0)}px`;
    this.table.style.tableLayout = "fixed";
  }

  pad(count) {
    if (count <= 0) return [];
    const line = make("tr", "s3x-pad"), cell = make("td");
    cell.colSpan = this.heads.length;
    cell.style.height = `${count * ROW}px`;
    line.setAttribute("aria-hidden", "true");
    line.append(cell);
    return [line];
  }

  line(at) {
    const line = make("tr", at % 2 ? "s3x-odd" : "");
    line.setAttribute("aria-rowindex", String(at + 2));
    const { numeric } = this.given;
    const cells = this.rows.get(at) ?? numeric.map(() => "…");
    cells.forEach((text, column) => {
      const cell = make("td", text === null ? "s3x-missing" : numeric[column] ? "s3x-number" : "", text ?? "null");
      if (text?.length > 40) cell.title = text;
      line.append(cell);
    });
    return line;
  }

  // ---- one column

  async describe(at) {
    const name = this.given.columns[at];
    if (!this.about.hidden && this.described === at) {
      this.about.hidden = true;
      return;
    }
    this.described = at;
    this.about.hidden = false;
    this.about.replaceChildren(make("div", "s3x-quiet", `Looking at ${name}…`));
    const { facts = [], said, error } = await this.subject.ask("column", { at });
    if (this.described !== at) return;
    const list = make("dl", "s3x-pairs");
    for (const [label, value] of facts) list.append(make("dt", "", label), make("dd", "", value));
    const head = make("div", "s3x-column-head");
    const close = button("s3x-small", "Close", () => {
      this.about.hidden = true;
      this.heads[at].querySelector(".s3x-tool").focus();
    }, "clear");
    head.append(make("span", "s3x-label", name), make("span", "s3x-quiet", error ? error.message : said), close);
    this.about.replaceChildren(head, list);
    this.about.setAttribute("role", "status");
    this.about.scrollIntoView({ block: "nearest" });
  }
}
