// Create elements and icons. Data reaches the page only as text nodes.

export const ICONS = {
  bucket: "M2.2 4.2c0-1.2 2.6-2 5.8-2s5.8.8 5.8 2-2.6 2-5.8 2-5.8-.8-5.8-2Zm0 0L3.6 12c.2 1.1 2 1.8 4.4 1.8s4.2-.7 4.4-1.8l1.4-7.8",
  folder: "M1.8 12.2V3.8c0-.6.4-1 1-1h3.5l1.6 1.8h5.3c.6 0 1 .4 1 1v6.6c0 .6-.4 1-1 1H2.8c-.6 0-1-.4-1-1Z",
  object: "M9.2 1.8H4.3c-.6 0-1 .4-1 1v10.4c0 .6.4 1 1 1h7.4c.6 0 1-.4 1-1V5.3L9.2 1.8Zm0 0v3.5h3.5",
  twisty: "m6 3.8 4.2 4.2L6 12.2",
  copy: "M5.6 5.6V3.2c0-.6.4-1 1-1h6.2c.6 0 1 .4 1 1v6.2c0 .6-.4 1-1 1h-2.4M3.2 5.6h6.2c.6 0 1 .4 1 1v6.2c0 .6-.4 1-1 1H3.2c-.6 0-1-.4-1-1V6.6c0-.6.4-1 1-1Z",
  done: "m3 8.6 3.2 3.2L13 4.6",
  enter: "M3 3v5.2c0 .6.4 1 1 1h8.6M9.4 5.8l3.4 3.4-3.4 3.4",
  refresh: "M13.2 8A5.2 5.2 0 1 1 11.5 4.1M13.4 1.9v3h-3",
  stop: "M4.2 4.2h7.6v7.6H4.2z",
  back: "M13.2 8H3.4M7.3 3.9 3.2 8l4.1 4.1",
  up: "M8 13.2V3.4M3.9 7.3 8 3.2l4.1 4.1",
  find: "M7 11.6a4.6 4.6 0 1 0 0-9.2 4.6 4.6 0 0 0 0 9.2Zm3.4-1.2 3.4 3.4",
  clear: "m4 4 8 8m0-8-8 8",
  keys: "M5.9 6.1a2.1 2.1 0 1 1 3 1.9c-.6.3-.9.7-.9 1.4v.3M8 12v.2M8 14.2A6.2 6.2 0 1 0 8 1.8a6.2 6.2 0 0 0 0 12.4Z",
  warn: "M8 2.2 14.4 13.4H1.6L8 2.2Zm0 4.2v3.4m0 1.7v.2",
  info: "M8 14.2A6.2 6.2 0 1 0 8 1.8a6.2 6.2 0 0 0 0 12.4Zm0-7v4m0-6.4v.2",
  download: "M8 2.4v8M4.6 7.2 8 10.6l3.4-3.4M2.6 13.4h10.8",
  upload: "M8 10.6v-8M4.6 5.8 8 2.4l3.4 3.4M2.6 13.4h10.8",
  remove: "M2.8 4.2h10.4M6 4.2V2.6h4v1.6m-5.8 0 .6 9c0 .4.4.8.8.8h4.8c.4 0 .8-.4.8-.8l.6-9M6.6 6.8v4.6m2.8-4.6v4.6",
  save: "M3 2.6h8.2l2.2 2.2v8.6H2.6V2.6H3Zm2 0v3.6h5V2.6M4.8 13.4V9.2h6.4v4.2",
  restore: "M3.4 5.6A5.2 5.2 0 1 1 2.8 8M2.6 2.4v3.4H6M8 5.2V8l2 1.6",
  connection: "M5.4 2.2v3m5.2-3v3M3.6 5.2h8.8v2.4a4.4 4.4 0 0 1-8.8 0V5.2ZM8 12v2.4",
};

export function make(tag, name, text) {
  const node = document.createElement(tag);
  if (name) node.className = name;
  if (text) node.textContent = text;
  return node;
}

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("class", "s3x-icon");
  svg.setAttribute("aria-hidden", "true");
  svg.append(document.createElementNS(svg.namespaceURI, "path"));
  draw(svg, name);
  return svg;
}

export function draw(svg, name) {
  if (svg.dataset.icon === name) return;
  svg.dataset.icon = name;
  svg.firstChild.setAttribute("d", ICONS[name]);
}

export function button(name, label, act, drawn) {
  const node = make("button", `s3x-button ${name}`);
  node.type = "button";
  if (drawn) {
    node.append(icon(drawn));
    node.title = label;
    node.setAttribute("aria-label", label);
  } else node.textContent = label;
  node.addEventListener("click", act);
  return node;
}

/** Put a text on the clipboard, through its API or in a copy event; both keep every byte. */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const answer = (event) => {
      event.clipboardData.setData("text/plain", text);
      event.preventDefault();
      event.stopImmediatePropagation();
    };
    document.addEventListener("copy", answer, { capture: true, once: true });
    const done = document.execCommand("copy");
    document.removeEventListener("copy", answer, { capture: true });
    return done;
  }
}
