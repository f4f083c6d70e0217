// Generated from protocol.json by `npm run protocol` in frontend/.

export type Place = [number, number];
export type Version = {id: string, when: string, size: string, storage: string, latest: boolean, marker: boolean};
export type Task = {id: string, kind: string, name: string, page: string, state: 'working' | 'asking' | 'done' | 'failed' | 'stopped', text: string, hint: string, confirm: string, question: string, count: number, done: number, total: number, credit: number};
export type Failure = {message: string, hint: string};
export type Records = {columns: string[], numeric: boolean[], rows: (string | null)[][], left: string, loaded: number, said: string, more: boolean};
export type Found = {headline: string, lines: [string, string][], query: string};

/** Messages that change the tree, the focus or the selection. */
export interface Actions {
  begin: {  };
  toggle: { place: Place };
  right: { place: Place };
  left: { place: Place };
  siblings: { place: Place };
  root: { place: Place };
  at: { place: Place; mode: 'one' | 'move' | 'toggle' | 'range' };
  all: {  };
  more: { number: number; every?: boolean };
  cancel: { number: number };
  stop: {  };
  refresh: {  };
  go: { text: string };
  search: { text: string };
  filter: { text: string };
  crumb: { index: number };
  clear: {  };
  up: {  };
  order: { by: 'name' | 'size' | 'date'; descending: boolean };
  typed: { text: string };
  deleted: { shown: boolean };
}

/** Messages that do not. */
export interface Requests {
  rows: { from: number; to: number };
  show: { place: Place };
  hide: {  };
  version: { serial: number; id: string | null };
  retry: {  };
  records: { serial: number; id: string; from: number; to: number; by: number; descending: boolean; filter: string };
  column: { serial: number; id: string; at: number };
  further: { serial: number };
  text: { id: string; what: 'uris' | 'arns' | 'query' | 'analyze' | 'discover'; place?: Place };
  link: { serial: number; id: string; seconds: number };
  download: { serial: number; id: string; save: boolean };
  zip: { id: string; save: boolean };
  taken: { id: string; size: number };
  restore: { serial: number; id: string; version: string | null };
  thaw: { serial: number; id: string; tier: string };
  upload: { id: string; name: string; size: number; mime: string; here: string };
  chunk: { id: string; at: number };
  delete: { id: string };
  confirm: { id: string; question: string };
  halt: { id: string };
  analyze: { serial: number };
  discover: { serial: number };
  properties: { serial: number };
  code: { serial: number };
  descend: { serial: number; name: string };
}

/** Messages of the kernel. */
export type Answer =
  | { type: "rows"; page: string; version: number; from: number; done: boolean; rows: any[]; folders: Record<number, [string, number, number, boolean]> }
  | { type: "state"; page: string; seq: number; said: [number, string]; total: number; focus: [number, number, number]; selected: string[]; crumbs: [string, string][]; here: string; find: string; filter: string; sort: [string, boolean]; summary: string; follow: boolean; title: string; version: number; busy: boolean; acts: boolean; discovers: boolean; deleted: boolean; locked: string }
  | { type: "tasks"; tasks: Task[] }
  | { type: "asked"; page: string; question: string; from: number; names: string[] }
  | { type: "piece"; id: string; name: string; mime: string; at: number; done: boolean }
  | { type: "panel"; serial: number; open: boolean; name?: string; shown?: string; uri?: string; arn?: string; folder?: boolean; bucket?: boolean; version?: string | null; links?: number[]; snippets?: [string, string][] }
  | { type: "details"; serial: number; busy?: boolean; error?: Failure; facts?: [string, string][]; metadata?: [string, string][]; tags?: [string, string][] | null; versions?: Version[]; thaws?: {tier: string, text: string}[]; deleted?: boolean; notes?: string[] }
  | { type: "preview"; serial: number; busy?: boolean; error?: Failure; kind?: string; summary?: string; notes?: string[]; table?: Records | null; schema?: [string, string][]; text?: string | null; cut?: string; document?: boolean; image?: {mime: string, width: number, height: number, size: number} | null }
  | { type: "loaded"; serial: number; loaded: number; said: string; more: boolean; busy?: boolean; error?: Failure }
  | { type: "records"; page: string; id: string; from?: number; count?: number; rows?: (string | null)[][]; error?: Failure }
  | { type: "column"; page: string; id: string; facts?: [string, string][]; said?: string; error?: Failure }
  | { type: "analysis"; serial: number; busy?: boolean; error?: Failure; objects?: number; bytes?: number; data?: any }
  | { type: "datasets"; serial: number; busy?: boolean; error?: Failure; objects?: number; bytes?: number; found?: Found[]; notes?: string[] }
  | { type: "properties"; serial: number; busy?: boolean; error?: Failure; facts?: [string, string][] }
  | { type: "code"; serial: number; busy?: boolean; error?: Failure; snippets?: [string, string][] }
  | { type: "image"; serial: number; at: number; total: number; mime: string }
  | { type: "text"; page: string; id: string; from: number; done: boolean; lines: string[] }
  | { type: "link"; id: string; url?: string; ends?: string; note?: string; error?: Failure };

export type AnswerOf<T extends Answer["type"]> = Extract<Answer, { type: T }>;
