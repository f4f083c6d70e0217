// Cells whose first line is `%%upsql` are of our language, for as long as it is.

export const MIME = 'text/x-upsql';
const OURS = /^\s*%%upsql(?!\S)/;

/**
 * Keeps the language of one cell.
 *
 * @param cell the cell's model
 * @param plain gives the language of the other cells, which is the kernel's
 * @param loaded resolves when a language is loaded, so that an editor's earlier wish for it cannot come later than ours
 */
function keep(cell, plain, loaded) {
  const settle = async () => {
    await loaded(plain());
    const ours = OURS.test(cell.sharedModel.getSource());
    if (ours !== (cell.mimeType === MIME)) {
      cell.mimeType = ours ? MIME : plain();
    }
  };
  cell.contentChanged.connect(settle);
  cell.mimeTypeChanged.connect(settle);
  void settle();
}

/** Keeps the language of every code cell of a notebook, those that come later too. */
export function keepCells(notebook, loaded) {
  const keepAll = (cells) => {
    for (const cell of cells) {
      if (cell.type === 'code') {
        keep(cell, () => notebook.codeMimetype, loaded);
      }
    }
  };
  const follow = () => {
    if (notebook.model) {
      keepAll(notebook.model.cells);
      notebook.model.cells.changed.connect((_, change) => keepAll(change.type === 'remove' ? [] : change.newValues));
    }
  };
  notebook.modelChanged.connect(follow);
  follow();
}

/** Keeps the language of a console's prompt; its first own language is the kernel's. */
export function keepPrompts(console, loaded) {
  const follow = (prompt) => {
    let plain = prompt.model.mimeType;
    prompt.model.mimeTypeChanged.connect((model) => {
      plain = model.mimeType === MIME ? plain : model.mimeType;
    });
    keep(prompt.model, () => plain, loaded);
  };
  console.promptCellCreated.connect((_, prompt) => follow(prompt));
  if (console.promptCell) {
    follow(console.promptCell);
  }
}
