// What moves in the console. Every page works without it.
"use strict";

(() => {
  const ANNOUNCE_EVERY_MS = 10000;
  const YEAR_S = 31536000;
  const consolePath = document.currentScript.dataset.path;
  let announcedAt = 0;
  let openDetails = [];

  function tellZone() {
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    if (zone && !document.cookie.includes(`timezone=${zone}`)) {
      document.cookie = `timezone=${zone}; path=${consolePath}; max-age=${YEAR_S}; samesite=lax`;
    }
  }

  function announce(text) {
    const announcer = document.getElementById("announcer");
    const now = Date.now();
    if (announcer && text && now - announcedAt >= ANNOUNCE_EVERY_MS) {
      announcer.textContent = text;
      announcedAt = now;
    }
  }

  function announceEnd(text) {
    const wait = Math.max(0, ANNOUNCE_EVERY_MS - (Date.now() - announcedAt));
    window.setTimeout(() => announce(text), wait);
  }

  async function copy(text, what) {
    await navigator.clipboard.writeText(text);
    const announcer = document.getElementById("announcer");
    announcer.textContent = `Copied ${what}.`;
  }

  function makeCopyable(root) {
    for (const place of root.querySelectorAll("span[data-copy]")) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "copyable";
      button.textContent = place.textContent;
      button.title = `Copy ${place.dataset.what}`;
      button.addEventListener("click", () => copy(place.dataset.copy, place.dataset.what));
      place.replaceWith(button);
    }
    for (const place of root.querySelectorAll("pre[data-copy-whole]:not(.with-button)")) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "copy-whole";
      button.textContent = "Copy";
      button.setAttribute("aria-label", `Copy ${place.dataset.copyWhole}`);
      button.addEventListener("click", () => copy(place.textContent.trim(), place.dataset.copyWhole));
      place.classList.add("with-button");
      place.before(button);
    }
  }

  function returnFocus() {
    const target = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
    const refusal = document.getElementById("refusal");
    if (target) {
      target.focus();
    } else if (refusal && document.querySelector(".action-form")) {
      refusal.focus();
    }
  }

  document.addEventListener("htmx:beforeSwap", () => {
    openDetails = [...document.querySelectorAll("details[open][id]")].map((details) => details.id);
  });

  document.addEventListener("htmx:afterSettle", () => {
    for (const id of openDetails) {
      document.getElementById(id)?.setAttribute("open", "");
    }
    makeCopyable(document);
    const live = document.getElementById("live");
    if (live) {
      (live.hasAttribute("hx-get") ? announce : announceEnd)(live.dataset.announce);
    }
  });

  // While there is no database, or when the session has ended, a part of a page stays as it was, with a line above it.
  document.addEventListener("htmx:beforeOnLoad", ({ detail }) => {
    document.getElementById("away")?.remove();
    if (detail.xhr.status === 503 || detail.xhr.status === 401) {
      const away = document.createElement("div");
      away.id = "away";
      away.innerHTML = detail.xhr.responseText;
      detail.target.before(away);
    }
  });

  document.addEventListener("DOMContentLoaded", () => {
    tellZone();
    makeCopyable(document);
    returnFocus();
  });
})();
