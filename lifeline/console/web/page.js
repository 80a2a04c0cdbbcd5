// Polls /status.json each second and /events.json every other. Whatever came from a device is put on the page as text
// only (textContent); nothing here turns data into markup.
(() => {
  const { LEVELS, REASONS, STATES, UTILITIES, zone, make } = shared;
  const SECOND = 1000, HISTORY = 180, ROWS = 40, TIMEOUT = 4000, LAG_FULL_S = 30, LAG_WARN_S = 5;
  const FOLLOWERS = { rules: "规则", lake: "数据湖", live: "实时值", completeness: "完整性", tally: "统计", shadow: "影子规则" };
  const DONE = new Set(["lapsed", "cancelled", "closed", "evaluated"]);

  const at = (id) => document.getElementById(id);
  const format = (options) => new Intl.DateTimeFormat("zh-CN", { timeZone: zone, hour12: false, ...options });
  const clockFormat = format({ hour: "2-digit", minute: "2-digit", second: "2-digit" });
  const dateFormat = format({ year: "numeric", month: "long", day: "numeric", weekday: "short" });
  const dayFormat = format({ month: "2-digit", day: "2-digit" });
  const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
  const title = document.title;

  function english(text) { const element = make("span", "", text); element.lang = "en"; return element; }
  function put(id, text) { at(id).textContent = text; }
  function count(value) { return Number.isFinite(value) ? whole.format(value) : "–"; }
  function short(value) {
    if (!Number.isFinite(value)) return "–";
    for (const [size, unit] of [[1e9, " G"], [1e6, " M"]]) if (value >= size) return (value / size).toFixed(2) + unit;
    return whole.format(value);
  }
  function span(ms) {
    if (!Number.isFinite(ms)) return "–";
    return ms >= 10000 ? (ms / 1000).toFixed(1) + " s" : whole.format(ms) + " ms";
  }
  function when(value) {
    const date = value === null || value === undefined ? null : new Date(value);
    return date && !Number.isNaN(date.getTime()) ? date : null;
  }
  function moment(date) {
    const today = dayFormat.format(date) === dayFormat.format(new Date());
    return (today ? "" : dayFormat.format(date) + " ") + clockFormat.format(date);
  }

  // --- level tiles ---------------------------------------------------------------------------------------------
  const tiles = LEVELS.map(([level, zh, en, rank]) => {
    const tile = make("div", "level none " + level), number = make("span", "count", "–"), what = make("span", "what");
    what.append(make("b", "", zh), english(en + " · 未结 open"));
    tile.append(number, what, make("span", "rank", rank));
    at("levels").append(tile);
    return { level, tile, number };
  });
  function showLevels(open) {
    let worst = 0;
    for (const { level, tile, number } of tiles) {
      const n = open[level] || 0;
      number.textContent = count(n);
      tile.classList.toggle("open", n > 0);
      tile.classList.toggle("none", n === 0);
      if (level === "red" || level === "orange") worst += n;
    }
    document.title = worst ? "(" + worst + ") " + title : title;
  }

  // --- flow ----------------------------------------------------------------------------------------------------
  const rates = [];
  function showFlow(status) {
    const rate = status.readings_per_s;
    put("rate", count(rate)); put("received", short(status.received)); put("late", short(status.late)); put("unacked", count(status.unacknowledged));
    rates.push(Number.isFinite(rate) ? rate : 0);
    if (rates.length > HISTORY) rates.shift();
    const peak = Math.max(...rates), top = Math.max(peak, 1) * 1.08, step = 300 / (HISTORY - 1), first = 300 - (rates.length - 1) * step;
    const line = rates.map((r, i) => (i ? "L" : "M") + (first + i * step).toFixed(1) + " " + (63 - 62 * r / top).toFixed(1)).join("");
    const [area, stroke] = at("spark").children;
    stroke.setAttribute("d", line);
    area.setAttribute("d", line + "L300 64L" + first.toFixed(1) + " 64Z");
    put("peak", peak > 0 ? "峰值 peak " + count(peak) : "");
  }

  // --- lists ---------------------------------------------------------------------------------------------------
  function bar(zh, en, value, share, warn) {
    const item = make("li"), label = make("span", "", zh ? zh + " " : ""), track = make("div", "track"), fill = make("div", "fill" + (warn ? " warn" : ""));
    label.append(english(en));
    fill.style.width = Math.min(100, Math.max(share > 0 ? 1 : 0, share * 100)) + "%";
    track.append(fill);
    item.append(label, make("span", "value" + (warn ? " warn" : ""), value), track);
    return item;
  }
  function fillList(id, items, nothing) { at(id).replaceChildren(...(items.length ? items : [make("li", "quiet", nothing)])); }
  function showFollowers(followers) {
    fillList("followers", followers.map((f) =>
      bar(FOLLOWERS[f.name], f.name, (f.lag_s || 0).toFixed(1) + " s", (f.lag_s || 0) / LAG_FULL_S, f.lag_s > LAG_WARN_S)), "没有数据 nothing yet");
  }
  function showRejects(rejected) {
    const entries = Object.entries(rejected).filter(([, n]) => n > 0).sort((a, b) => b[1] - a[1]), most = entries.length ? entries[0][1] : 1;
    fillList("rejects", entries.map(([reason, n]) => bar(REASONS[reason], reason.replaceAll("_", " "), count(n), n / most, false)), "无拒收 none");
  }
  function showBrokers(brokers) {
    fillList("brokers", brokers.map((broker) => {
      const item = make("li"), head = make("div", "head");
      head.append(make("span", "", broker.name), make("span", broker.connected ? "up" : "down", broker.connected ? "● 已连接 up" : "✕ 断开 down"));
      item.append(head);
      const granted = broker.granted_qos && typeof broker.granted_qos === "object" ? Object.entries(broker.granted_qos).map(([f, q]) => f + " QoS " + q).join(", ")
        : broker.granted_qos === undefined || broker.granted_qos === null ? "" : "QoS " + broker.granted_qos;
      const parts = [granted, broker.session_present ? "会话保留 session kept" : "新会话 new session"];
      if (Number.isFinite(broker.messages)) parts.push(short(broker.messages) + " 报文 messages");
      if (broker.reconnects) parts.push("重连 reconnects " + count(broker.reconnects));
      item.append(make("div", "detail", parts.filter(Boolean).join(" · ")));
      if (broker.last_error && !broker.connected) item.append(make("div", "fault", broker.last_error));
      return item;
    }), "未配置 none");
  }

  // --- readiness -----------------------------------------------------------------------------------------------
  function showReady(kind, mark, zh, en, reason, reasonZh) {
    at("ready").className = "ready " + kind;
    at("ready").firstElementChild.textContent = mark;
    put("ready-zh", zh); put("ready-en", en);
    const both = reason && reasonZh && reasonZh !== reason;
    at("reason").replaceChildren(...(both ? [make("span", "", reasonZh + " ")] : []), ...(reason ? [english(reason)] : []));
  }
  function showStatus(status) {
    if (status.ready) showReady("good", "✓", "运行正常", "Engine ready");
    else showReady("bad", "✕", "未就绪", "Not ready", status.reason || "no reason given", status.reason_zh || (status.reason ? "" : "未说明原因"));
    at("main").classList.toggle("old", Boolean(status.stale) || status.at === undefined);
    showLevels(status.events_open || {});
    showFlow(status);
    showFollowers(status.followers || []);
    showRejects(status.rejected || {});
    showBrokers(status.brokers || []);
    const latency = status.ingest_to_event_ms || {};
    put("p50", span(latency.p50)); put("p99", span(latency.p99)); put("pmax", span(latency.max));
    const up = status.uptime_s;
    put("uptime", Number.isFinite(up) ? "已运行 up " + (up >= 7200 ? (up / 3600).toFixed(1) + " h" : Math.round(up / 60) + " min") : "");
  }

  // --- events --------------------------------------------------------------------------------------------------
  function eventRow(event) {
    const row = make("tr", DONE.has(event.status) ? "done" : ""), known = LEVELS.find(([level]) => level === event.level);
    const level = make("td"), chip = make("span", "chip " + (known ? known[0] : "blue"));
    chip.append(make("i", "", known ? known[3] : "?"), make("span", "", known ? known[1] + " " + known[2] : event.level));
    level.append(chip);
    const raised = when(event.raised_at), due = when(event.due_at);
    const place = make("td", "place", event.place || event.area_name || event.area_code || "–");
    const below = [UTILITIES[event.utility], event.area_name || (event.place ? event.area_code : null)].filter(Boolean).join(" · ");
    if (below) place.append(make("small", "", below));
    if ((event.also_in || []).length) place.append(make("small", "also", "也涉及 also " + event.also_in.join(" ")));
    const state = make("td", "state", (STATES[event.status] || "") + " ");
    state.append(english(event.status));
    const late = due && !DONE.has(event.status) && event.status !== "explained" && due < new Date();
    row.append(level, make("td", "when", raised ? moment(raised) : "–"), make("td", "title", event.title), place, state,
      make("td", "number", count(event.alarm_count)), make("td", "when" + (late ? " late-due" : ""), due ? moment(due) + (late ? " 超时 overdue" : "") : "–"));
    if (event.event_id) {
      const tell = () => document.dispatchEvent(new CustomEvent("lifeline:event", { detail: event.event_id }));
      row.classList.add("can");
      row.tabIndex = 0;
      row.addEventListener("click", tell);
      row.addEventListener("keydown", (key) => { if (key.key === "Enter") tell(); });
    }
    return row;
  }
  function showEvents(events) {
    const rows = events.map(eventRow);
    if (!rows.length) {
      const row = make("tr"), cell = make("td", "empty", "没有事件 No events");
      cell.colSpan = 7; row.append(cell); rows.push(row);
    }
    at("events").replaceChildren(...rows);
    put("events-note", "");
  }

  // --- the loop ------------------------------------------------------------------------------------------------
  async function ask(path) {
    const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(TIMEOUT) });
    if (answer.status === 401) location.assign("/login"); // the session is over
    const body = await answer.json();
    if (!answer.ok) throw new Error(body.detail || body.title || answer.status);
    return body;
  }
  let turn = 0;
  async function poll() {
    const started = Date.now();
    try { showStatus(await ask("/status.json")); }
    catch (error) {
      showReady("bad", "✕", "控制台失联", "Console unreachable", "以下为最后已知状态 shown below: the last known state");
      at("main").classList.add("old");
    }
    if (turn++ % 2 === 0) {
      try { showEvents((await ask("/events.json?limit=" + ROWS)).events); }
      catch (error) { put("events-note", "事件队列读取失败 cannot be read: " + error.message); }
    }
    setTimeout(poll, Math.max(200, SECOND - (Date.now() - started)));
  }
  function tick() {
    const now = new Date();
    put("clock", clockFormat.format(now)); put("date", dateFormat.format(now));
    setTimeout(tick, SECOND - now.getMilliseconds());
  }
  // the stream says at once that an event has changed; polling goes on for everything else, and where it is missing
  let asked = false;
  async function refresh() {
    if (asked) return;
    asked = true;
    await new Promise((resolve) => setTimeout(resolve, 250));
    asked = false;
    try { showEvents((await ask("/events.json?limit=" + ROWS)).events); } catch (error) { /* the loop says so */ }
  }
  new EventSource("/api/v1/stream").addEventListener("change", refresh);
  at("leave").addEventListener("click", async () => {
    await fetch("/logout", { method: "POST", headers: { "X-CSRF-Token": document.documentElement.dataset.csrf } });
    location.assign("/login");
  });
  tick();
  poll();
})();
