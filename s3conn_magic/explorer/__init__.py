"""The tree explorer: `widget.Explorer` shows what a `model.ChildrenOf` lists.

The widget never sees a connection. One way through the folder: `model` (what is asked for) → `columns` (the loaded
rows of one folder) → `tree` (the open folders as one list of lines) → `messages` (lines as messages of bounded size)
→ `widget` (the kernel's end) → `front/` (the browser's end, by the messages of `front/protocol.json`).
"""
