// The browser's side of the chart of ANALYZE.

import { Treemap } from "../explorer/front/treemap.js";

export default () => {
  let data = null;
  const shown = new Set();
  return {
    initialize({ model }) {
      model.on("msg:custom", (content) => {
        data = JSON.parse(content.json);
        for (const map of shown) map.show(data);
      });
      model.send({ type: "begin" });
    },
    render({ el }) {
      const map = new Treemap(el);
      shown.add(map);
      if (data) map.show(data);
      return () => {
        shown.delete(map);
        map.close();
      };
    },
  };
};
