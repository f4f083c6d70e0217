// Generate front/protocol.d.ts from the table of messages, front/protocol.json: `npm run protocol`.

import { readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const FRONT = new URL("../s3conn_magic/explorer/front/", import.meta.url);
export const TYPES = new URL("protocol.d.ts", FRONT);

/** The fields of a message in TypeScript. */
const fields = (row) => Object.entries(row).map(([name, kind]) => `${name}: ${kind}`).join("; ");

const record = (name, rows) => [`export interface ${name} {`, ...Object.entries(rows).map(([kind, row]) => `  ${kind}: { ${fields(row)} };`), "}"].join("\n");

/** The declarations for the table. */
export function declarations() {
  const { types, actions, requests, answers } = JSON.parse(readFileSync(new URL("protocol.json", FRONT), "utf8"));
  const named = Object.entries(types).map(([name, kind]) => `export type ${name} = ${kind};`);
  const said = Object.entries(answers).map(([kind, row]) => `  | { type: "${kind}"; ${fields(row)} }`);
  return [
    "// Generated from protocol.json by `npm run protocol` in frontend/.",
    named.join("\n"),
    "/** Messages that change the tree, the focus or the selection. */\n" + record("Actions", actions),
    "/** Messages that do not. */\n" + record("Requests", requests),
    "/** Messages of the kernel. */\nexport type Answer =\n" + said.join("\n") + ";",
    "export type AnswerOf<T extends Answer[\"type\"]> = Extract<Answer, { type: T }>;",
    "",
  ].join("\n\n").replace(/\n\n$/, "\n");
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) writeFileSync(TYPES, declarations());
