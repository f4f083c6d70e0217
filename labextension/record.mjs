// Write down what the prebuilt files were built from, for the test that compares: SHA-256 of each source.

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';

const sources = [
  'package.json',
  'package-lock.json',
  'core/package.json',
  'webpack.config.cjs',
  ...readdirSync('src').map((name) => `src/${name}`)
].sort();
const lines = sources.map((name) => {
  const text = readFileSync(name, 'utf8').replaceAll('\r\n', '\n');
  return `${createHash('sha256').update(text).digest('hex')}  ${name}\n`;
});
writeFileSync('prebuilt.sha256', lines.join(''));
