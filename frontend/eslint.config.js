import js from "@eslint/js";
import globals from "globals";

export default [
  js.configs.recommended,
  {
    languageOptions: { ecmaVersion: 2022, sourceType: "module", globals: globals.browser },
    rules: {
      eqeqeq: "error",
      "no-var": "error",
      "prefer-const": ["error", { destructuring: "all" }],
      "no-shadow": "error",
      complexity: ["error", 16],
      "max-lines": ["error", 480],
      "max-lines-per-function": ["error", 40],
      // Data reaches the page as text nodes only, and nothing is run that was not here from the beginning.
      "no-eval": "error",
      "no-implied-eval": "error",
      "no-new-func": "error",
      "no-restricted-properties": ["error", ...["innerHTML", "outerHTML", "insertAdjacentHTML", "write"].map((property) => ({ property }))],
    },
  },
  { files: ["frontend/**", "**/frontend/*.js", "test/**", "*.js"], languageOptions: { globals: globals.node } },
];
