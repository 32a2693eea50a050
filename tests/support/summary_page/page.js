// Shows a summary as GitHub does, and finds faults of its layout.

const MARGIN = 1; // Pixels that rounding may add.

// Show the HTML of a summary with its diagrams. Returns after all fonts and diagrams are drawn.
async function show(html, isDark) {
  const body = document.querySelector(".markdown-body");
  body.innerHTML = html;
  showAlerts(body);
  await loadFonts();
  mermaid.initialize({
    startOnLoad: false,
    securityLevel: "strict",
    theme: isDark ? "dark" : "default",
    fontFamily: '"Noto Sans", "Noto Color Emoji", sans-serif',
    flowchart: { diagramPadding: 48 },
  });
  for (const block of body.querySelectorAll('pre[lang="mermaid"]')) {
    const diagram = document.createElement("div");
    diagram.className = "mermaid";
    diagram.textContent = block.textContent;
    block.replaceWith(diagram);
  }
  // An error becomes a picture, which `diagrams` recognizes.
  await mermaid.run({ nodes: body.querySelectorAll(".mermaid"), suppressErrors: true });
  await loadFonts();
}

// GitHub's Markdown library leaves alerts to the site.
function showAlerts(body) {
  for (const quote of body.querySelectorAll("blockquote")) {
    const text = quote.querySelector("p")?.firstChild;
    const match = /^\[!(NOTE|TIP|IMPORTANT|WARNING|CAUTION)\]\n/.exec(text?.data ?? "");
    if (match) {
      text.data = text.data.slice(match[0].length);
      quote.classList.add("markdown-alert", `markdown-alert-${match[1].toLowerCase()}`);
      quote.dataset.title = match[1][0] + match[1].slice(1).toLowerCase();
    }
  }
}

async function loadFonts() {
  document.body.getBoundingClientRect(); // Text asks for its fonts when it is placed.
  await document.fonts.ready;
}

function setOpen(isOpen) {
  document.querySelectorAll("details").forEach((details) => (details.open = isOpen));
}

// Return a sentence for each fault of the page. All sections must be open.
function faults() {
  const page = document.scrollingElement;
  const found = [];
  if (page.scrollWidth > page.clientWidth) {
    found.push(`the page is ${page.scrollWidth} px wide, the window ${page.clientWidth} px`);
  }
  for (const cell of document.querySelectorAll("td, th")) {
    if (cell.offsetWidth > page.clientWidth) found.push(`wider than the page: ${cell.innerText}`);
  }
  for (const [text, element, boxes] of texts(document.querySelector(".markdown-body"))) {
    if (element.closest(".mermaid")) continue;
    if (boxes.length === 0 || !element.checkVisibility({ opacityProperty: true, visibilityProperty: true })) {
      found.push(`hidden: ${text}`);
    }
    const container = element.closest("td, th, pre, p, summary, blockquote, .markdown-body");
    const right = Math.max(...boxes.map((box) => box.right));
    if (container.tagName !== "PRE" && right > container.getBoundingClientRect().right + MARGIN) {
      found.push(`wider than its ${container.tagName.toLowerCase()}: ${text}`);
    }
  }
  return found;
}

// Return the heading of each table that is wider than the page. Such a table scrolls in itself.
function scrollingTables() {
  return [...document.querySelectorAll("table")]
    .filter((table) => table.scrollWidth > table.clientWidth + MARGIN)
    .map((table) => `${table.rows[0].innerText.replaceAll("\t", " | ")}: ${table.scrollWidth} px`);
}

// Yield the text, the element and the boxes of each text node that is not blank.
function* texts(root) {
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    if (!node.data.trim()) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    yield [node.data, node.parentElement, [...range.getClientRects()].filter((box) => box.width && box.height)];
  }
}

// Return the labels of each diagram: the text, the height of its letters in pixels, the contrast with what lies behind
// it, and whether it is complete, which means that it lies in its box and in the diagram.
function diagrams() {
  return [...document.querySelectorAll(".mermaid")].map((diagram) => {
    const svg = diagram.querySelector("svg");
    if (!svg || svg.getAttribute("aria-roledescription") === "error") return { error: diagram.innerText, labels: [] };
    const frame = svg.getBoundingClientRect();
    const labels = [...svg.querySelectorAll("foreignObject")]
      .filter((box) => box.textContent.trim())
      .map((box) => {
        const scale = svg.getScreenCTM().a;
        const outer = box.getBoundingClientRect();
        const span = box.querySelector("span");
        const style = getComputedStyle(span);
        const background = backgroundOf(box);
        const boxes = [...texts(box)].flatMap(([, , list]) => list);
        return {
          text: span.innerText.replaceAll("\n", " "),
          size: parseFloat(style.fontSize) * scale,
          contrast: contrast(over(background, rgba(style.color)), background),
          isComplete: boxes.every((inner) => within(inner, outer) && within(inner, frame)),
        };
      });
    return { error: "", labels, width: frame.width };
  });
}

function within(inner, outer) {
  return (
    inner.left >= outer.left - MARGIN &&
    inner.right <= outer.right + MARGIN &&
    inner.top >= outer.top - MARGIN &&
    inner.bottom <= outer.bottom + MARGIN
  );
}

// Return the color behind a label: its own, that of the shape of its node or group, or that of the page.
function backgroundOf(box) {
  const group = box.closest(".node, .cluster, .edgeLabel");
  const shape = group.querySelector(":scope > rect, :scope > path, :scope > g > path, :scope > polygon, :scope .outer-path path");
  const own = [...box.querySelectorAll("div, span, p")].map((part) => getComputedStyle(part).backgroundColor);
  const layers = [
    getComputedStyle(document.body).backgroundColor,
    ...(shape ? [getComputedStyle(shape).fill] : []),
    ...own,
  ];
  return layers.map(rgba).reduce(over);
}

function rgba(text) {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  canvas.fillStyle = text;
  canvas.fillRect(0, 0, 1, 1);
  const [red, green, blue, alpha] = canvas.getImageData(0, 0, 1, 1).data;
  return [red, green, blue, alpha / 255];
}

function over(below, above) {
  return [0, 1, 2].map((index) => above[index] * above[3] + below[index] * (1 - above[3])).concat(1);
}

// The contrast ratio of WCAG 2, between 1 and 21.
function contrast(first, second) {
  const [light, dark] = [luminance(first), luminance(second)].sort((a, b) => b - a);
  return (light + 0.05) / (dark + 0.05);
}

function luminance(color) {
  const [red, green, blue] = color.map((value) => {
    const part = value / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
