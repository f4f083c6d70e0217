"""Jobs in the language: their statements, their one table of options, grammar rules, and how they are bound."""
