// What the pages do beside the server: times in the reader's zone, charts, renewing blocks that have changed.
"use strict";
(() => {
  const language = document.documentElement.lang || undefined;
  const offset = Date.parse(document.body.dataset.now) - Date.now();
  // The year is said where it is another one.
  const year = (moment) => new Date(moment).getFullYear() === new Date(Date.now() + offset).getFullYear() ? undefined : "numeric";
  const dated = (options) => {
    const both = [undefined, "numeric"].map((year) => new Intl.DateTimeFormat(language, { year, month: "short", day: "numeric", ...options }));
    return { format: (moment) => both[year(moment) ? 1 : 0].format(moment) };
  };
  const full = dated({ hour: "numeric", minute: "2-digit", second: "2-digit" });
  const clock = new Intl.DateTimeFormat(language, { timeStyle: "short" });
  const date = dated({});
  const ago = new Intl.RelativeTimeFormat(language, { numeric: "auto" });
  const units = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

  function sinceOrUntil(moment) {
    const seconds = Math.round((moment - Date.now() - offset) / 1000);
    if (Math.abs(seconds) > 30 * 86400) return date.format(moment);
    const [unit, length] = units.find(([, length]) => Math.abs(seconds) >= length) || units[3];
    return ago.format(Math.trunc(seconds / length), unit);
  }

  function tellTimes(root) {
    for (const each of root.querySelectorAll("time[datetime]")) {
      const moment = Date.parse(each.dateTime);
      if (Number.isNaN(moment)) continue;
      each.title = full.format(moment);
      const text = "ago" in each.dataset ? sinceOrUntil(moment) : full.format(moment);
      if (each.textContent !== text) each.textContent = text;
    }
  }

  function inWords(value, unit) {
    if (unit !== "duration") return value.toLocaleString(language);
    const [short, length] = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]].find(([, length]) => value >= 2 * length) || ["ms", 0.001];
    return `${Math.round(value / length)} ${short}`;
  }

  function draw(root) {
    if (!window.uPlot) return;
    for (const each of root.querySelectorAll("[data-chart]")) {
      if (each.drawn === each.dataset.chart && each.firstChild) continue;
      each.drawn = each.dataset.chart;
      each.replaceChildren();
      const { times, values } = JSON.parse(each.dataset.chart);
      const style = getComputedStyle(each);
      const size = () => ({ width: Math.max(each.clientWidth, 60), height: 44 });
      const plot = new uPlot({
        ...size(),
        legend: { show: false },
        cursor: { show: true, x: false, y: false, drag: { x: false, y: false } },
        padding: [4, 0, 0, 0],
        scales: { y: { range: (_, low, high) => [0, Math.max(high, 1)] } },
        axes: [{ show: false }, { show: false }],
        series: [{}, { stroke: style.color, width: 2, fill: style.getPropertyValue("--fill").trim() || undefined, points: { show: false } }],
        hooks: { setCursor: [(at) => {
          const index = at.cursor.idx;
          each.title = index == null ? "" : `${clock.format(times[index] * 1000)}: ${inWords(values[index], each.dataset.unit)}`;
        }] },
      }, [times, values], each);
      new ResizeObserver(() => plot.setSize(size())).observe(each);
    }
  }

  function compareClocks() {
    const note = document.getElementById("clock"), minutes = Math.round(Math.abs(offset) / 60000);
    if (!note || minutes < 2) return;
    note.textContent = note.dataset.text.replace("{minutes}", minutes);
    note.hidden = false;
  }

  // The session has ended: say so, lead to sign-in, and leave alone what was typed. Back with a new session, go on.
  let over = document.body.hasAttribute("data-ended");
  const fields = "input:not([type=hidden]), textarea, select";
  function isTyped(each) {
    if (each.type === "checkbox" || each.type === "radio") return each.checked !== each.defaultChecked;
    if (each.options) return each.selectedOptions[0] !== ([...each.options].find((one) => one.defaultSelected) ?? each.options[0]);
    return each.value !== each.defaultValue;
  }
  function ended() {
    const note = document.getElementById("ended");
    if (over || !note) return;
    over = true;
    if ([...document.querySelectorAll(fields)].some((each) => each.form?.method === "post" && isTyped(each))) {
      note.querySelector("span").textContent = note.dataset.typed;
      note.querySelector("a").target = "_blank";
    }
    note.hidden = false;
    follow();
  }
  async function probe() {
    let answer;
    try {
      answer = await fetch(document.body.dataset.probe, { headers: { "HX-Request": "true" } });
    } catch { return; } // the engine cannot be reached: what follows asks again
    if (answer.status === 401) ended();
    if (!answer.ok || !over) return;
    const token = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("[name=form_token]");
    for (const each of document.getElementsByName("form_token")) each.value = token.value;
    over = false;
    const note = document.getElementById("ended");
    if (note) note.hidden = true;
    follow();
    renew(null);
  }
  document.addEventListener("htmx:response:error", (event) => { if (event.detail.ctx.response.status === 401) ended(); });

  let stream = null;
  function renew(topics) {
    for (const block of document.querySelectorAll("[data-live]")) {
      if (!topics || block.dataset.live.split(" ").some((topic) => topics.has(topic))) htmx.trigger(block, "renew");
    }
  }
  function follow() {
    const wanted = document.querySelector("[data-live]") && !document.hidden && !over;
    if (wanted && !stream) {
      stream = new EventSource(document.body.dataset.stream);
      stream.addEventListener("changed", (event) => renew(new Set(event.data.split(" "))));
      stream.addEventListener("error", () => {
        if (stream?.readyState !== EventSource.CLOSED) return; // it connects again by itself
        stream = null;
        probe();
        setTimeout(follow, 10000);
      });
    } else if (!wanted && stream) {
      stream.close();
      stream = null;
    }
  }

  function dress() {
    tellTimes(document);
    draw(document);
  }
  dress();
  compareClocks();
  setInterval(() => tellTimes(document), 20000);
  let due = false;
  new MutationObserver(() => {
    if (due) return;
    due = true;
    requestAnimationFrame(() => { due = false; dress(); });
  }).observe(document.body, { childList: true, subtree: true, attributes: true, attributeFilter: ["datetime", "data-chart"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const each of document.querySelectorAll("[data-chart]")) each.drawn = null;
    draw(document);
  });
  if (document.body.dataset.stream) follow();
  if (document.body.dataset.stream || over) {
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) follow();
      else if (over || !document.querySelector("[data-live]")) probe();
      else { follow(); renew(null); }
    });
  }
  // Esc closes what asks before something is done for good, and gives the focus back.
  document.addEventListener("keydown", (event) => {
    const open = event.key === "Escape" && document.querySelector("details.confirm[open]");
    if (open) { open.open = false; open.querySelector("summary").focus(); }
  });
})();
