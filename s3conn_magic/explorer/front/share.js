// The Copy tab: URI, ARN, a link, and code that reads the location.

import { button, copyText, draw, make } from "./elements.js";

const SPANS = new Map([[900, "15 minutes"], [3600, "1 hour"], [43200, "12 hours"], [604800, "7 days"]]);

/** The Copy tab of one panel. */
export class Share {
  constructor(panel) {
    this.panel = panel;
  }

  get subject() { return this.panel.subject; }

  nodes() {
    const { head } = this.subject;
    const parts = [this.line("URI", head.uri, "the s3:// URI", head.shown), this.line("ARN", head.arn, "the ARN")];
    if (!head.folder) parts.push(this.link());
    return [...parts, ...this.snippets()];
  }

  async copy(text, what, node) {
    const done = await this.panel.view.copyAs(text, what);
    const drawn = node?.querySelector("svg");
    if (!done || !drawn) return;
    draw(drawn, "done");
    setTimeout(() => draw(drawn, "copy"), 1500);
  }

  line(label, text, what, shown = text) {
    const line = make("div", "s3x-share");
    const node = button("s3x-small", `Copy ${what}`, () => this.copy(text, what, node), "copy");
    line.append(make("span", "s3x-label", label), make("code", "", shown), node);
    return line;
  }

  link() {
    const box = make("div", "s3x-link");
    const line = make("div", "s3x-share");
    const span = make("select");
    span.setAttribute("aria-label", "How long the link lasts");
    for (const seconds of this.subject.head.links) {
      const option = make("option", "", SPANS.get(seconds) ?? `${seconds} seconds`);
      option.value = seconds;
      span.append(option);
    }
    span.value = this.span ?? "3600";
    span.addEventListener("change", () => (this.span = span.value));
    const result = make("div", "s3x-quiet");
    result.setAttribute("role", "status");
    line.append(make("span", "s3x-label", "Link"), span, button("s3x-act", "Copy a link", () => this.makeLink(Number(span.value), result)));
    box.append(line, result);
    return box;
  }

  /** A link opens the object for anyone who has it, so it is created only on a click, and kept only on the page. */
  async makeLink(seconds, result) {
    result.textContent = "Making a link…";
    const { url, ends, note, error } = await this.subject.ask("link", { seconds });
    if (error) return result.replaceChildren(this.panel.problem(error, () => this.makeLink(seconds, result)));
    const field = make("input", "s3x-field");
    field.readOnly = true;
    field.value = url;
    field.setAttribute("aria-label", "Link");
    field.addEventListener("focus", () => field.select());
    const copied = await copyText(url);
    const said = [copied ? "Copied." : "Copy it from the field.", ends && `It opens the object for anyone who has it until ${ends}.`, note];
    result.replaceChildren(field, make("div", "", said.filter(Boolean).join(" ")));
  }

  /** Code snippets; for a folder they are improved once its contents are known. */
  snippets() {
    const { head, code } = this.subject;
    if (head.folder && !code) this.subject.send("code", {});
    const snippets = code?.snippets ?? head.snippets;
    if (!snippets.length) return [];
    const chosen = snippets.find(([label]) => label === this.library) ?? snippets[0];
    const bar = make("div", "s3x-libraries");
    bar.setAttribute("role", "group");
    bar.setAttribute("aria-label", "Code for");
    for (const [label] of snippets) {
      const node = button("s3x-library", label, () => {
        this.library = label;
        this.panel.paintContent();
        [...this.panel.content.querySelectorAll(".s3x-library")].find((each) => each.textContent === label)?.focus();
      });
      node.setAttribute("aria-pressed", String(label === chosen[0]));
      bar.append(node);
    }
    const copy = button("s3x-small", `Copy the code for ${chosen[0]}`, () => this.copy(chosen[1], "the code", copy), "copy");
    bar.append(copy);
    const shown = make("pre", "s3x-code", chosen[1]);
    shown.tabIndex = 0;
    return [bar, shown];
  }
}
