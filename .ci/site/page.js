(function () {
  "use strict";
  const root = document.querySelector('meta[name="quarto:offset"]').content, by = id => document.getElementById(id);
  by("theme").onclick = () => {
    const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = next;
    try { localStorage.setItem("theme", next); } catch (e) { /* kept for this page only */ }
  };
  by("menu").onclick = () => by("menu").setAttribute("aria-expanded", by("side").classList.toggle("open"));
  const find = by("find"), found = by("found");
  const close = () => { found.hidden = true; find.setAttribute("aria-expanded", "false"); };
  function score(page, words) { // every word must be there; in a title it counts most, then in a heading
    let total = 0;
    for (const word of words) {
      const points = 20 * page.title.toLowerCase().includes(word) + 5 * page.heads.toLowerCase().includes(word)
        + page.text.includes(word);
      if (!points) return 0;
      total += points;
    }
    return total;
  }
  find.oninput = () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    const hits = words.length ? (window.searchPages || []).map(page => [score(page, words), page])
      .filter(hit => hit[0]).sort((a, b) => b[0] - a[0]).slice(0, 12) : [];
    found.replaceChildren(...hits.map(([, page]) => {
      const item = document.createElement("li"), link = document.createElement("a"), about = document.createElement("small");
      link.href = root + page.url;
      link.textContent = page.title;
      about.textContent = " " + page.about;
      link.append(about);
      item.append(link);
      item.setAttribute("role", "option");
      return item;
    }));
    if (words.length && !hits.length) found.append(Object.assign(document.createElement("li"), { textContent: "Nothing found." }));
    found.hidden = !words.length;
    find.setAttribute("aria-expanded", String(!found.hidden));
  };
  document.addEventListener("keydown", event => {
    if (event.key === "Escape") close();
    else if (event.key === "/" && !/^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName)) { event.preventDefault(); find.focus(); }
    else if (event.key === "Enter" && document.activeElement === find) found.querySelector("a")?.click();
  });
  document.addEventListener("click", event => { if (!event.target.closest(".find")) close(); });
})();
