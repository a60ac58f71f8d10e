// Sort, filter, open a cell, switch the epoch, draw the charts. Pages are complete without it.
(() => {
  const root = document.documentElement;
  const RULES = ["reported", "best", "last", "selected"];
  const store = (key, value) => { try { localStorage.setItem(`kdbench-${key}`, value); } catch { /* private */ } };
  const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];
  const tables = [];
  // Okabe and Ito's colours, lighter: the darkest are hard to see on a dark page.
  const ON_DARK = { "#0072b2": "#6cb4f0", "#d55e00": "#ff9a57", "#009e73": "#4fd6ab", "#cc79a7": "#eaa9cd", "#e69f00": "#f4bd4a", "#56b4e9": "#a9daf7", "#888888": "#b8b8b8" };

  // Tables -----------------------------------------------------------------------------------
  function sortable(table) {
    const pages = Number(table.dataset.pages || 0);
    const api = new window.kdbenchTables.DataTable(table, {
      order: [],
      paging: pages > 0 && table.tBodies[0].rows.length > pages,
      pageLength: pages || 10,
      lengthChange: false,
      info: pages > 0,
      autoWidth: false,
      columnDefs: [{ targets: "no-sort", orderable: false }],
      language: { search: table.dataset.search || "Search", emptyTable: "Nothing here yet." },
      layout: { topStart: "search", topEnd: null, bottomStart: pages ? "info" : null, bottomEnd: pages ? "paging" : null },
    });
    tables.push(api);
    if (table.dataset.filtered) filters(table, api);
  }

  function filters(table, api) {
    const selects = all("[data-filter]");
    const asked = new URLSearchParams(location.hash.slice(1));
    for (const select of selects) {
      const value = asked.get(select.dataset.filter);
      if (value && [...select.options].some((option) => option.value === value)) select.value = value;
      select.addEventListener("change", () => api.draw());
    }
    window.kdbenchTables.DataTable.ext.search.push((settings, data, index) => {
      if (settings.nTable !== table) return true;
      const row = api.row(index).node();
      return selects.every((select) => !select.value || row.dataset[select.dataset.filter] === select.value);
    });
    api.draw();
  }

  // Epoch -----------------------------------------------------------------------------------
  function chooseRule(rule) {
    root.dataset.rule = rule;
    store("rule", rule);
    const place = RULES.indexOf(rule);
    for (const api of tables) {
      let changed = false;
      for (const cell of api.cells().nodes().toArray()) {
        if (!cell.dataset.orders) continue;
        cell.dataset.order = cell.dataset.orders.split("|")[place];
        changed = true;
      }
      if (changed) api.rows().invalidate("dom").draw(false);
    }
  }

  // Theme -----------------------------------------------------------------------------------
  function showTheme() {
    const button = document.getElementById("theme");
    const dark = root.classList.contains("dark");
    button.setAttribute("aria-pressed", String(dark));
    button.textContent = dark ? "Light" : "Dark";
  }

  function switchTheme() {
    const dark = root.classList.toggle("dark");
    store("theme", dark ? "dark" : "light");
    showTheme();
    all(".vega[data-drawn]").forEach(draw);
  }

  // Charts ----------------------------------------------------------------------------------
  let library = null;
  function chartLibrary() {
    library ??= new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = document.body.dataset.charts;
      script.onload = resolve;
      script.onerror = reject;
      document.head.append(script);
    });
    return library;
  }

  async function draw(place) {
    if (!document.body.dataset.charts) return;
    await chartLibrary();
    let text = document.getElementById(place.dataset.spec).textContent;
    if (root.classList.contains("dark")) text = text.replace(/"(#[0-9a-f]{6})"/g, (whole, colour) => ON_DARK[colour] ? `"${ON_DARK[colour]}"` : whole);
    const spec = JSON.parse(text);
    const curves = spec.usermeta?.curves;
    if (curves) spec.data = { values: curves.flatMap(([seed, curve, points]) => points.map(([epoch, value]) => ({ seed, curve, epoch, value }))) };
    const legend = spec.encoding?.color?.legend;
    if (legend?.columns && place.clientWidth < 480) legend.columns = 1;
    const style = getComputedStyle(root);
    const ink = style.getPropertyValue("--ink").trim();
    const line = style.getPropertyValue("--line").trim();
    const config = {
      background: "transparent",
      font: getComputedStyle(document.body).fontFamily,
      axis: { labelColor: ink, titleColor: ink, gridColor: line, domainColor: line, tickColor: line },
      legend: { labelColor: ink, titleColor: ink },
      header: { labelColor: ink, titleColor: ink },
      title: { color: ink },
      text: { color: ink },
      view: { stroke: line },
    };
    const actions = { export: true, source: false, compiled: false, editor: false };
    await window.vegaEmbed(place, spec, { renderer: "svg", actions, config });
    place.querySelector("summary")?.setAttribute("aria-label", "Save this chart");
    place.dataset.drawn = "yes";
  }

  // Cells -----------------------------------------------------------------------------------
  function open(id, remember = true) {
    const dialog = document.getElementById(id);
    if (!dialog || dialog.tagName !== "DIALOG" || dialog.open) return;
    dialog.showModal();
    if (remember) history.replaceState(null, "", `#${id}`);
    all(".vega:not([data-drawn])", dialog).forEach(draw);
  }

  function onClick(event) {
    const target = event.target;
    const opener = target.closest("[data-open]");
    if (opener) return open(opener.dataset.open);
    const closer = target.closest("dialog .close");
    if (closer) return closer.closest("dialog").close();
    if (target.tagName === "DIALOG") return target.close();  // the backdrop
    const copy = target.closest(".copy");
    if (copy) copyText(copy);
  }

  async function copyText(button) {
    const code = button.parentElement.querySelector("code");
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code);
      button.textContent = "Selected";
    }
  }

  // Start -----------------------------------------------------------------------------------
  if (window.kdbenchTables) all("table.sortable").forEach(sortable);
  const rule = document.getElementById("rule");
  rule.value = root.dataset.rule;
  if (rule.value !== "reported") chooseRule(rule.value);
  rule.addEventListener("change", () => chooseRule(rule.value));
  showTheme();
  document.getElementById("theme").addEventListener("click", switchTheme);
  document.addEventListener("click", onClick);
  all("dialog").forEach((dialog) => dialog.addEventListener("close", () => history.replaceState(null, "", location.pathname)));
  all("main > .chart .vega, main section > .chart .vega").forEach(draw);
  addEventListener("hashchange", () => open(location.hash.slice(1), false));
  open(location.hash.slice(1), false);
  const again = document.getElementById("again");
  if (again) setInterval(() => { if (again.checked) location.reload(); }, 1000 * Math.max(2, Number(again.dataset.every)));
})();
