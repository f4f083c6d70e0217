// The language of `%%upsql` for CodeMirror, by the rules of `s3conn_magic/notebook/lexer.py`.

import { LanguageSupport, StreamLanguage } from '@codemirror/language';

const HEAD = /^(%%upsql)(?!\S)/u;
const TARGET = /^([\p{L}_][\p{L}\p{N}_]*)(?=[^\S\n]*<<)/u;
const WORD = /^[\p{L}_][\p{L}\p{N}_]*/u;
const NUMBER = /^\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/;
const CALL = /^\s*\(/;
const OPENS = /^(?:\/\*|'|"|\$(?:[A-Za-z_][A-Za-z0-9_]*)?\$)/;
const PUNCTUATION = ';,()';

/** What of CodeMirror's vocabulary stands for each kind of piece; themes colour these. */
const STYLES = {
  magic: 'meta',
  target: 'variableName.definition',
  keyword: 'keyword',
  option: 'propertyName',
  constant: 'bool',
  function: 'variableName.standard',
  name: 'variableName',
  quoted: 'string.special',
  string: 'string',
  variable: 'variableName.special',
  number: 'number',
  operator: 'operator',
  punctuation: 'punctuation',
  comment: 'comment'
};

const QUOTES = `'"`;
const KINDS = { '/*': 'comment', '"': 'quoted' };
const ENDS = { '/*': '*/' };

/**
 * Go to the end of a literal or comment, or of the line, and give its kind.
 *
 * `state.inside` is what it began with, which but for a comment is what it ends with, and null once it has ended.
 */
function finish(stream, state) {
  const begun = state.inside;
  const end = ENDS[begun] ?? begun;
  while (state.inside !== null && stream.skipTo(end)) {
    stream.match(end);
    // A quote that stands twice is one inside the text.
    state.inside = QUOTES.includes(end) && stream.eat(end) ? begun : null;
  }
  if (state.inside !== null) {
    stream.skipToEnd();
  }
  return KINDS[begun] ?? 'string';
}

/** Something that is not a word: no name comes any more, and `;` ends the statement. */
function pass(state, mark) {
  state.nameNext = state.first = false;
  if (mark === ';') {
    state.first = true;
    state.query = false;
  }
}

function kindOfWord(words, stream, state, text) {
  const word = text.toUpperCase();
  const named = state.nameNext && word !== 'IF';
  const { first } = state;
  state.nameNext = state.first = false;
  if (named) {
    return 'name';
  }
  state.query ||= word === 'SELECT' || (first && words.beginQuery.has(word));
  if (state.query) {
    const called = stream.match(CALL, false) ? 'function' : 'name';
    return words.constants.has(word) ? 'constant' : words.query.has(word) ? 'keyword' : called;
  }
  state.nameNext = words.beforeName.has(word);
  const kinds = ['constant', 'function', 'keyword', 'option'];
  return kinds.find((kind) => words[`${kind}s`].has(word)) ?? 'name';
}

/** The first line of a cell: `%%upsql`, and `name <<` after it. Null where it is another's. */
function head(stream, state) {
  if (state.head === 'start') {
    state.head = stream.match(HEAD) ? 'magic' : 'over';
    return state.head === 'magic' ? 'magic' : null;
  }
  if (state.head === 'magic') {
    state.head = stream.match(TARGET) ? 'target' : 'over';
    return state.head === 'target' ? 'target' : null;
  }
  state.head = 'over';
  return stream.match('<<') ? 'operator' : null;
}

function open(stream, state) {
  if (stream.match(/^--/)) {
    stream.skipToEnd();
    return 'comment';
  }
  const begun = stream.match(OPENS);
  if (!begun) {
    return null;
  }
  [state.inside] = begun;
  if (state.inside !== '/*') {
    pass(state, '');
  }
  return finish(stream, state);
}

function rest(words, stream, state) {
  if (stream.match(NUMBER)) {
    pass(state, '');
    return 'number';
  }
  const word = stream.match(WORD);
  if (word) {
    return kindOfWord(words, stream, state, word[0]);
  }
  const mark = stream.next();
  pass(state, mark);
  if (mark === '$' && stream.match(WORD)) {
    return 'variable';
  }
  return PUNCTUATION.includes(mark) ? 'punctuation' : 'operator';
}

function next(words, stream, state) {
  if (state.inside) {
    return finish(stream, state);
  }
  if (stream.sol() && state.head !== 'start') {
    state.head = 'over';
  }
  if (stream.eatSpace()) {
    return null;
  }
  return (state.head !== 'over' && head(stream, state)) || open(stream, state) || rest(words, stream, state);
}

/** The language, given the words of `keywords.json`. */
export function upsql(found) {
  const words = Object.fromEntries(Object.entries(found).map(([kind, list]) => [kind, new Set(list)]));
  const language = StreamLanguage.define({
    name: 'upsql',
    startState: () => ({ head: 'start', inside: null, first: true, nameNext: false, query: false }),
    token: (stream, state) => STYLES[next(words, stream, state)] ?? null,
    languageData: {
      commentTokens: { line: '--', block: { open: '/*', close: '*/' } },
      closeBrackets: { brackets: ['(', "'", '"'] }
    }
  });
  return new LanguageSupport(language);
}
