// What a page tells about itself, for tests/browser.py. Loaded before the page's own scripts; nothing here changes the
// page but `unfold`, `ready` and `thin`.
window.rules = {
  // Open what a reader can open: hidden code, solutions, boxes that fold.
  unfold() {
    for (const each of document.querySelectorAll("details")) each.open = true;
    for (const each of document.querySelectorAll(".toggle-hidden")) each.classList.remove("toggle-hidden");
  },

  // Wait for mathematics, fonts and pictures, also those that wait to be scrolled to; the pictures that fail.
  async ready() {
    const failed = [];
    await window.MathJax?.startup?.promise;
    await document.fonts.ready;
    for (const each of document.images) {
      each.loading = "eager";
      await each.decode().catch(() => failed.push(each.src));
    }
    // The theme looks 300 ms after a change of size which parts scroll, and lets the keyboard reach them; what was unfolded is new
    // to it. A part that it never finds is left to axe.
    const unreached = (each) => each.scrollWidth > each.clientWidth && each.tabIndex !== 0;
    window.dispatchEvent(new Event("resize"));
    for (let k = 0; k < 100 && [...document.querySelectorAll("pre")].some(unreached); k++) {
      await new Promise((done) => setTimeout(done, 50));
    }
    return failed;
  },

  // Everything a page loads or leads to, with the address as the browser understands it.
  facts() {
    const all = (selector, get) => [...document.querySelectorAll(selector)].map(get);
    const address = (each) => each.currentSrc || each.src || each.href?.baseVal || each.href || each.data || "";
    return {
      ids: all("[id]", (each) => each.id),
      links: all("a[href]", (each) => each.href.baseVal ?? each.href),
      loads: all("script[src], link[href], img[src], iframe, source, video, audio, object, embed, use", (each) => [
        each.tagName.toLowerCase(), each.rel || "", String(address(each))]),
      images: all("img, [role=img]:not([aria-hidden=true], [aria-hidden=true] *)", (each) => ({
        tag: each.tagName.toLowerCase(), source: each.src || "", inside: !!each.closest("article") && !each.matches(".toggler"),
        alt: each.tagName === "IMG" ? each.getAttribute("alt")
          : each.getAttribute("aria-label") ?? each.querySelector(":scope > title")?.textContent ?? null,
      })),
    };
  },

  visible: (each) => each.checkVisibility({ visibilityProperty: true, opacityProperty: true }),

  // What lies beyond the left or right edge of the window where nobody can scroll to it within its own box.
  cut() {
    const width = document.documentElement.clientWidth, found = [];
    for (const each of document.body.querySelectorAll("*")) {
      const box = each.getBoundingClientRect();
      if (!box.width || !box.height || (box.right <= width + 1 && box.left >= -1) || !rules.visible(each)) continue;
      let kept = false;
      for (let up = each; up !== document.body && up; up = up.parentElement) {
        const style = getComputedStyle(up);
        // It scrolls in its own box, or is clipped away: MathJax's words for screen readers.
        kept ||= /auto|scroll/.test(style.overflowX) || style.clip !== "auto";
      }
      if (!kept) found.push(`${rules.name(each)} from ${Math.round(box.left)} to ${Math.round(box.right)} px`);
    }
    const page = document.documentElement.scrollWidth;
    return found.length || page <= width ? found : [`the page is ${page} px wide`];
  },

  name: (each) => each.outerHTML.match(/^<[^>]*>/)[0].replace(/\s+/g, " ").slice(0, 120),

  // Whether a link of the menu can be seen in the window.
  menu: () => [...document.querySelectorAll("nav.bd-links a")].some((each) => {
    const box = each.getBoundingClientRect();
    return rules.visible(each) && box.width > 0 && box.right > 0 && box.left < innerWidth;
  }),

  // Note one of each kind of text: equal in every style that contrast depends on, and so are all around it. Then leave
  // only those noted. Of a page of ten thousand elements axe has to measure some hundred.
  noted: new Set(),
  note() {
    const kinds = new Set(), paths = new Map();
    for (const each of document.body.querySelectorAll("*")) {
      const style = getComputedStyle(each);
      const own = [each.tagName, each.className, each.getAttribute("style"), style.color, style.backgroundColor,
        style.backgroundImage, style.fontSize, style.fontWeight, style.opacity, style.visibility, style.textDecoration];
      const path = `${paths.get(each.parentElement) ?? ""}>${own.join("|")}`;
      paths.set(each, path);
      if (kinds.has(path)) continue;
      kinds.add(path);
      for (let up = each; up && !rules.noted.has(up); up = up.parentElement) rules.noted.add(up);
    }
  },
  thin() {
    for (const each of [...document.body.querySelectorAll("*")]) if (!rules.noted.has(each)) each.remove();
  },

  // What a slider shows, and what it says to those who do not see it; `ready` may have set `loading`.
  slider(root) {
    const view = root.querySelector(".frames-view > *"), drawing = view.cloneNode(true), input = root.querySelector("input");
    for (const name of ["aria-label", "alt", "loading"]) drawing.removeAttribute(name);
    return {
      drawing: drawing.outerHTML, title: root.querySelector("strong").textContent, value: input.value,
      "text alternative": view.getAttribute("aria-label") ?? view.alt, "spoken value": input.getAttribute("aria-valuetext"),
    };
  },

  // The same of each slider as the page was written, before any script ran.
  async written() {
    const page = new DOMParser().parseFromString(await (await fetch(location.href)).text(), "text/html");
    return [...page.querySelectorAll(".frames")].map(rules.slider);
  },

  // Which names of a slider's legend are pressed, and which of its lines, in the same order, are faded.
  legend: (root) => ({
    pressed: [...root.querySelectorAll("button")].map((each) => each.getAttribute("aria-pressed") === "true"),
    faded: [...root.querySelectorAll(".frames-view g path")].map((each) => getComputedStyle(each).opacity < 0.5),
  }),

  // The contrast of each part of a drawing with the ground behind it, texts first told from marks.
  parts(drawing) {
    const ground = rules.ground(drawing.parentElement), found = [];
    for (const each of drawing.querySelectorAll("text, tspan, path, line, circle, ellipse, rect, polyline, polygon")) {
      if (!rules.visible(each) || each.closest("defs, clipPath, marker")) continue;
      const style = getComputedStyle(each), text = /^t/.test(each.tagName);
      if (text && ![...each.childNodes].some((child) => child.nodeType === 3 && child.data.trim())) continue;
      let alpha = 1;
      for (let up = each; up && up !== drawing.parentElement; up = up.parentElement) alpha *= getComputedStyle(up).opacity;
      const inks = [[style.fill, style.fillOpacity], text ? ["none"] : [style.stroke, style.strokeOpacity]]
        .filter(([colour]) => /^rgb/.test(colour))
        .map(([colour, own]) => rules.contrast(rules.over(rules.rgba(colour, own * alpha), ground), ground));
      if (inks.length) found.push({ text, name: rules.name(each), contrast: Math.max(...inks) });
    }
    return found;
  },

  filters(each) {
    const found = [];
    for (let up = each; up; up = up.parentElement) found.push(getComputedStyle(up).filter);
    return found.filter((name) => name !== "none");
  },

  // The colour behind an element: the backgrounds of all around it, one upon the other, on the white of the canvas.
  ground(each) {
    const under = each ? rules.ground(each.parentElement) : [255, 255, 255];
    return each ? rules.over(rules.rgba(getComputedStyle(each).backgroundColor, 1), under) : under;
  },
  rgba(colour, alpha) {
    const [red, green, blue, own = 1] = colour.match(/[\d.]+/g).map(Number);
    return [red, green, blue, own * alpha];
  },
  over: ([red, green, blue, alpha], under) => [red, green, blue].map((v, i) => alpha * v + (1 - alpha) * under[i]),
  // Contrast and luminance as WCAG 2.2 defines them.
  contrast(a, b) {
    const [low, high] = [a, b].map(rules.luminance).sort((x, y) => x - y);
    return (high + 0.05) / (low + 0.05);
  },
  luminance(colour) {
    const [red, green, blue] = colour.map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  },
};
