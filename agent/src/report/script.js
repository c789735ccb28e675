"use strict";
// Filters and search: they hide rows and lines, and dim boxes without one. Without this script everything is shown.
(() => {
  const get = (id) => document.getElementById(id);
  const bar = document.querySelector(".filters");
  if (!bar) return;
  bar.hidden = false;
  const search = get("search"), conduit = get("conduit"), state = get("state"), found = get("found");
  const idioms = [...document.querySelectorAll("input[name=idiom]")];
  const edges = [...document.querySelectorAll("svg .edge")];
  const nodes = [...document.querySelectorAll("svg .node")];
  const rows = [...document.querySelectorAll("tr.flow")];
  let picked = null;

  const apply = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const off = new Set(idioms.filter((box) => !box.checked).map((box) => box.value));
    const fits = (one) =>
      words.every((word) => one.dataset.find.includes(word)) &&
      !off.has(one.dataset.idiom) &&
      (!conduit.value || one.dataset.conduit === conduit.value) &&
      (!state.value || one.dataset.state === state.value);
    const used = new Set();
    let lines = 0;
    for (const edge of edges) {
      const shown = fits(edge) && (picked === null || edge.dataset.a === picked || edge.dataset.b === picked);
      edge.classList.toggle("off", !shown);
      if (shown) {
        lines += 1;
        used.add(edge.dataset.a).add(edge.dataset.b);
      }
    }
    for (const node of nodes) {
      node.classList.toggle("off", !used.has(node.dataset.node));
      node.setAttribute("aria-pressed", node.dataset.node === picked ? "true" : "false");
    }
    for (const row of rows) row.hidden = !fits(row);
    found.textContent = lines + " of " + edges.length + " lines shown" + (picked === null ? "" : ", of one box");
  };

  for (const field of [search, conduit, state, ...idioms]) field.addEventListener("input", apply);
  for (const node of nodes) {
    node.setAttribute("tabindex", "0");
    node.setAttribute("role", "button");
    const pick = () => {
      picked = picked === node.dataset.node ? null : node.dataset.node;
      apply();
    };
    node.addEventListener("click", pick);
    node.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        pick();
      }
    });
  }
  apply();
})();
