// What the pages do beyond being read: they look again, ask in a dialog, and take keys.
(() => {
  "use strict";
  const LOOK_MS = 800;
  const $ = (selector, from = document) => from.querySelector(selector);
  const $$ = (selector) => [...document.querySelectorAll(selector)];
  const main = $("#main"), live = $("#live"), away = $("#away"), dialog = $("#dialog");
  let seenAt = Date.now(), problem = "";

  $("nav [aria-current=page]")?.scrollIntoView({ block: "nearest", inline: "center" });

  // ---- looking again

  const paused = () => sessionStorage.getItem("paused") === "yes";

  // Says why the page does not look again just now; an empty text when it does.
  function held() {
    if (paused()) return "paused";
    if (document.hidden || !document.hasFocus()) return "in the background";
    if ($("dialog[open]")) return "asking";
    if (String(getSelection()) && main.contains(getSelection().anchorNode)) return "text is selected";
    if ($("input[name=run]:checked")) return "rows are selected";
    const typed = [...main.querySelectorAll("input, textarea, select")];
    return typed.some(isTouched) ? "you are writing" : "";
  }

  function isTouched(field) {
    if (field === document.activeElement && field.type !== "checkbox") return true;
    if (field.type === "checkbox" || field.type === "radio") return field.checked !== field.defaultChecked;
    if (field.options) return [...field.options].some((each) => each.selected !== each.defaultSelected);
    return field.value !== field.defaultValue;
  }

  function look() {
    const why = held();
    if (live) {
      live.classList.toggle("held", !!why);
      live.lastElementChild.textContent = why || "live";
    }
    if (!why) htmx.trigger(main, "live");
    tellAway();
  }

  function tellAway() {
    away.hidden = !problem;
    main.classList.toggle("old", !!problem);
    if (problem) away.textContent = `${problem} What you see is ${age(Date.now() - seenAt)} old.`;
  }

  function age(ms) {
    const s = Math.round(ms / 1000);
    return s < 120 ? `${s} s` : `${Math.round(s / 60)} min`;
  }

  document.addEventListener("htmx:after:request", (event) => {
    const { ctx } = event.detail;
    if (ctx.sourceElement !== main) return;
    const { status } = ctx.response;
    if (status === 401) location.reload();
    problem = status >= 500 ? "Redis is unavailable." : "";
    if (!problem) seenAt = Date.now();
    tellAway();
  });
  document.addEventListener("htmx:error", (event) => {
    if (event.detail.ctx?.sourceElement !== main) return;
    problem = "stepflow web does not answer.";
    tellAway();
  });

  if (live) {
    live.hidden = false;
    live.addEventListener("click", pause);
    setInterval(look, LOOK_MS);
  }
  // a page that could not be shown comes back by itself
  if ($("#is-away")) setTimeout(() => location.reload(), 2 * LOOK_MS);

  function pause() {
    if (!live) return;
    sessionStorage.setItem("paused", paused() ? "no" : "yes");
    look();
  }

  // ---- dialogs

  document.addEventListener("htmx:after:swap", (event) => {
    if (event.detail.ctx.target?.id !== "asked" || dialog.open) return;
    dialog.showModal();
    $("[autofocus], input, textarea, button", dialog)?.focus();
  });
  document.addEventListener("click", (event) => {
    const close = event.target.closest("[data-close]");
    if (close && dialog.open) {
      event.preventDefault();
      dialog.close();
      return;
    }
    const copied = event.target.closest("[data-copy]");
    if (copied && !String(getSelection())) copy(copied);
    const row = event.target.closest("tr[data-href]");
    if (row && !event.target.closest("a, button, input, label, summary, .where") && !String(getSelection())) open(row);
  });

  async function copy(from) {
    await navigator.clipboard?.writeText(from.dataset.copy);
    from.classList.add("copied");
    setTimeout(() => from.classList.remove("copied"), 800);
  }

  // ---- links that change what the page shows, and stay where they are

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-inside], .time a[href*='?']");
    if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    history.pushState(null, "", link.href);
    main.setAttribute("hx-get", link.pathname + link.search);
    $$("[data-seen]").forEach((each) => each.remove());
    htmx.trigger(main, "live");
  });
  addEventListener("popstate", () => location.reload());

  // ---- keys

  const rows = () => $$("tr[data-href]");
  const current = () => $("tr[aria-selected=true]");
  const open = (row) => location.assign(row.dataset.href);
  let before = "";

  // The row beside one, or the first.
  const beside = (all, one, by) => {
    const at = all.indexOf(one);
    return all[Math.max(0, Math.min(all.length - 1, at < 0 ? 0 : at + by))];
  };

  function step(by) {
    const bars = $$(".tl");
    if (bars.length) return beside(bars, document.activeElement, by).focus();
    const next = beside(rows(), current(), by);
    if (!next) return;
    current()?.removeAttribute("aria-selected");
    next.setAttribute("aria-selected", "true");
    next.scrollIntoView({ block: "nearest" });
  }

  const KEYS = {
    "/": () => $("#search")?.select() ?? $("#search")?.focus(),
    "?": () => $("#keys").showModal(),
    j: () => step(1),
    k: () => step(-1),
    p: pause,
    x: () => $("input[type=checkbox]", current() ?? main)?.click(),
    Enter: () => current() && open(current()),
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || $("dialog[open]")) return;
    if (event.target.closest("input, textarea, select")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (event.key === "Enter" && event.target.closest("a, button, summary")) return;
    const page = before === "g" && $(`nav [data-key="${CSS.escape(event.key)}"]`);
    before = event.key;
    const does = page ? () => page.click() : KEYS[event.key];
    if (!does) return;
    event.preventDefault();
    before = "";
    does();
  });

  // ---- choosing rows

  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-all]"))
      $$("input[name=run]").forEach((box) => (box.checked = event.target.checked));
    const chosen = $$("input[name=run]:checked").length;
    $$("[data-chosen]").forEach((each) => (each.textContent = chosen));
  });
})();
