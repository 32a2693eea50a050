"use strict";

// Without this script, the page shows every gate, the worst first, and has no search.
{
  const body = document.querySelector("tbody");
  const rows = body ? [...body.rows] : [];
  const search = document.querySelector("#search");
  const boxes = [...document.querySelectorAll(".tools input[type=checkbox]")];
  const shown = document.querySelector("#shown");
  const texts = new Map();

  const text = (row) => {
    if (!texts.has(row)) {
      texts.set(row, row.textContent.toLowerCase());
    }
    return texts.get(row);
  };

  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const results = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
    let count = 0;
    for (const row of rows) {
      row.hidden = !results.has(row.dataset.result) || !words.every((word) => text(row).includes(word));
      count += row.hidden ? 0 : 1;
    }
    shown.textContent = `${count} of ${rows.length} gates shown`;
  };

  const keys = {
    rank: (row) => Number(row.dataset.rank),
    name: (row) => row.cells[1].textContent,
    found: (row) => row.cells[2].firstElementChild.textContent,
    seconds: (row) => Number(row.dataset.seconds),
  };

  const sort = (header) => {
    const isDescending = header.getAttribute("aria-sort") === "ascending";
    for (const other of header.parentElement.cells) {
      other.removeAttribute("aria-sort");
    }
    header.setAttribute("aria-sort", isDescending ? "descending" : "ascending");
    const key = keys[header.dataset.key];
    const compare = (left, right) =>
      typeof left === "number" ? left - right : left.localeCompare(right, undefined, { numeric: true });
    const sorted = [...rows].sort((left, right) => compare(key(left), key(right)));
    body.append(...(isDescending ? sorted.reverse() : sorted));
  };

  for (const header of document.querySelectorAll("th[data-key]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = header.textContent;
    button.addEventListener("click", () => sort(header));
    header.replaceChildren(button);
  }
  if (search) {
    search.addEventListener("input", filter);
    boxes.forEach((box) => box.addEventListener("change", filter));
    document.querySelector(".tools").hidden = false;
    filter();
  }
}
