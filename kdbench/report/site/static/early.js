// Before the first paint: the reader's theme and epoch, so that nothing flickers.
(() => {
  const root = document.documentElement;
  const stored = (key) => { try { return localStorage.getItem(`kdbench-${key}`); } catch { return null; } };
  const dark = stored("theme") || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  root.classList.toggle("dark", dark === "dark");
  root.dataset.rule = ["best", "last", "selected"].includes(stored("rule")) ? stored("rule") : "reported";
})();
