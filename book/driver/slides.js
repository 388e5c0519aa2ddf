// One slide at a time. Keys: right, space, page down: on; left, page up: back; home, end; n: all notes open or shut.
(() => {
  const slides = [...document.querySelectorAll("main > section")];
  const label = document.getElementById("place");
  let at = 0;
  const show = (k, focus) => {
    slides[at].classList.remove("now");
    at = Math.max(0, Math.min(slides.length - 1, k));
    slides[at].classList.add("now");
    label.textContent = `${at + 1} of ${slides.length}`;
    history.replaceState(null, "", `#slide-${at + 1}`);
    if (focus) slides[at].focus({ preventScroll: true });
  };
  const asked = () => slides.findIndex((slide) => `#${slide.id}` === location.hash);
  const notes = () => {
    const all = [...document.querySelectorAll("details.notes")];
    const open = !all.some((one) => one.open);
    all.forEach((one) => { one.open = open; });
  };
  const moves = {
    ArrowRight: () => at + 1, PageDown: () => at + 1, " ": () => at + 1,
    ArrowLeft: () => at - 1, PageUp: () => at - 1, Home: () => 0, End: () => slides.length - 1,
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    // A slider has keys of its own; a button and the notes are pressed with the space bar.
    if (event.target.closest("input, select, textarea")) return;
    if (event.key === " " && event.target.closest("button, summary")) return;
    if (event.key === "n") notes();
    if (!moves[event.key]) return;
    event.preventDefault();
    show(moves[event.key](), true);
  });
  document.getElementById("back").addEventListener("click", () => show(at - 1, false));
  document.getElementById("next").addEventListener("click", () => show(at + 1, false));
  window.addEventListener("hashchange", () => asked() >= 0 && show(asked(), true));
  document.documentElement.classList.add("on");
  show(asked(), false);
})();
