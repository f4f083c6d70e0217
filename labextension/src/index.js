// Colours `%%upsql` cells and `.usql` files.

import { IEditorLanguageRegistry } from '@jupyterlab/codemirror';
import { IConsoleTracker } from '@jupyterlab/console';
import { PageConfig, URLExt } from '@jupyterlab/coreutils';
import { INotebookTracker } from '@jupyterlab/notebook';

import { keepCells, keepPrompts, MIME } from './cells.js';
import { upsql } from './language.js';

const NOTHING = {
  keywords: [],
  options: [],
  constants: [],
  functions: [],
  beforeName: [],
  beginQuery: [],
  query: []
};

/** The words of the language, which its tables wrote beside this script. Without them the literals are coloured still. */
async function words() {
  const url = URLExt.join(PageConfig.getOption('fullLabextensionsUrl'), 's3conn-magic', 'keywords.json');
  try {
    const answer = await fetch(url, { cache: 'no-cache' });
    return { ...NOTHING, ...(await answer.json()) };
  } catch (error) {
    console.warn('s3conn-magic: the keywords of %%upsql could not be loaded', error);
    return NOTHING;
  }
}

export default {
  id: 's3conn-magic:highlighting',
  description: 'Colours %%upsql cells and .usql files.',
  autoStart: true,
  requires: [IEditorLanguageRegistry],
  optional: [INotebookTracker, IConsoleTracker],
  activate: async (_app, languages, notebooks, consoles) => {
    const support = upsql(await words());
    languages.addLanguage({ name: 'upsql', displayName: 'Upsolver SQL', mime: MIME, extensions: ['usql'], support });
    const loaded = (mime) => languages.getLanguage(mime).catch(() => null);
    notebooks?.forEach((panel) => keepCells(panel.content, loaded));
    notebooks?.widgetAdded.connect((_, panel) => keepCells(panel.content, loaded));
    consoles?.forEach((panel) => keepPrompts(panel.console, loaded));
    consoles?.widgetAdded.connect((_, panel) => keepPrompts(panel.console, loaded));
  }
};
