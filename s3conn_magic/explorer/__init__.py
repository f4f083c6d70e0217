"""The explorer: `widget.Explorer` shows the tree that a `model.ChildrenOf` lists.

The widget never sees a connection. Data flow: `model` (requests and answers) → `tree` (rows of the open folders, in
columns, as one list of lines) → `messages` (lines as messages of limited size) → `widget` (the kernel's side) →
`front/` (the browser's side, with the messages of `front/protocol.json`).
"""
