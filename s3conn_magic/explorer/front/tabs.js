// Tabs of the panel that are lists: versions, properties of a bucket, datasets in a folder.

import { button, make } from "./elements.js";
import { sizeText } from "./texts.js";
import { freshId } from "./transfers.js";

/** A part that the kernel loads on request: its introduction, progress, error or result. */
function looked(panel, name, { before, again, shown }) {
  const part = panel.subject[name];
  if (part?.error) return [panel.problem(part.error, again)];
  if (part?.busy) {
    const wait = make("div", "s3x-waiting");
    const counted = part.objects === undefined ? "Looking…" : `${part.objects.toLocaleString("en")} objects, ${sizeText(part.bytes)} so far`;
    wait.append(make("span", "s3x-spinner"), make("span", "", counted), button("s3x-act", "Stop", () => panel.store.send("halt", { id: "" })));
    return [wait];
  }
  if (part) return shown(part);
  const [text, label] = before;
  const start = make("div", "s3x-nothing");
  start.append(make("div", "", text), button("s3x-act", label, again));
  return [start];
}

/** The contents of a folder by size. */
export function analysisNodes(panel) {
  const again = () => panel.subject.send("analyze", {});
  const before = ["How much is in each folder? Every key below is listed.", "Analyze"];
  return looked(panel, "analysis", { before, again, shown: ({ data }) => panel.treemap(data) });
}

/** The datasets in a folder, each collapsible, with a query that reads it. */
export function datasetNodes(panel) {
  const again = () => panel.subject.send("discover", {});
  const before = ["Which datasets are in here? Every key below is listed, and a few objects are looked into.", "Discover"];
  return looked(panel, "datasets", {
    before, again,
    shown: ({ found, notes }) => {
      const nodes = found.map(({ headline, lines, query }) => {
        const node = make("details", "s3x-dataset");
        node.append(make("summary", "", headline), panel.pairs(lines));
        if (!query) return node;
        const code = make("pre", "s3x-code", query);
        code.tabIndex = 0;
        node.append(code, button("s3x-act", "Copy the query", () => panel.view.copyAs(query, "a query: paste it into a new cell")));
        return node;
      });
      if (nodes.length) nodes[0].open = true;
      else nodes.push(make("div", "s3x-nothing", "There are no objects below here."));
      return [...nodes, ...notes.map((note) => make("div", "s3x-note", note))];
    },
  });
}

/** A bucket's properties, or why one cannot be read. */
export function propertyNodes(panel) {
  const again = () => panel.subject.send("properties", {});
  if (!panel.subject.properties) again();
  return looked(panel, "properties", { before: ["Looking…", "Look"], again, shown: ({ facts }) => [panel.pairs(facts)] });
}

/** The versions of an object, with buttons to restore one. */
export function versionNodes(panel) {
  const { subject, store } = panel;
  const { details, head } = subject;
  const list = make("ul", "s3x-versions");
  const locked = store.state?.locked;
  for (const each of details.versions ?? []) {
    const line = make("li", "s3x-version-line");
    const shown = head.version ? each.id === head.version : each.latest;
    const text = [each.when, each.marker ? "deleted" : each.size, each.storage].filter(Boolean).join(" · ");
    const node = button("s3x-version", "", () => subject.send("version", { id: each.latest ? null : each.id }));
    node.append(make("span", "", text), make("span", "s3x-quiet", `${each.latest ? "current · " : ""}${each.id}`));
    node.disabled = each.marker;
    node.setAttribute("aria-pressed", String(shown));
    line.append(node);
    if (!each.latest && !each.marker && !locked) line.append(restoring(subject, "Restore…", each.when, each.id));
    list.append(line);
  }
  const parts = [make("div", "s3x-quiet s3x-cut", "Choose a version to see its preview and details."), list];
  if (details.deleted && !locked) parts.unshift(restoring(subject, "Bring it back…", "", null));
  return parts;
}

function restoring(subject, label, when, version) {
  const node = button("s3x-act", label, () => subject.send("restore", { id: freshId(), version }));
  if (when) node.setAttribute("aria-label", `Restore the version of ${when}…`);
  return node;
}

/** The options to restore an archived object, with prices. */
export function thawNodes(panel) {
  const { subject, store } = panel;
  if (store.state?.locked) return [];
  return (subject.details.thaws ?? []).map(({ tier, text }) => {
    const line = make("div", "s3x-note");
    line.append(make("span", "", text), button("s3x-act", `Restore: ${tier}…`, () => subject.send("thaw", { id: freshId(), tier })));
    return line;
  });
}
