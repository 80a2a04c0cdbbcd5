// One event in a dialog: what is known, what was done, and what the viewer may do now. Whatever came from a device or a
// person is put on the page as text only; acts carry the session's token, the version that was seen, and a key of their own.
(() => {
  const { ACTIONS, CAUSES, LEVELS, LOGGED, STATES, UTILITIES, zone, make, both, siteTime } = shared;
  /** What an action carries beside a note: [field, words, choices or kind of input]. */
  const FIELDS = {
    dispatch: ["owner", "单位（空：按责任矩阵） unit; empty: as proposed", "text"],
    "co-handle": ["co_owners", "协办单位 co-units", "text"],
    close: ["cause", "原因 cause", Object.entries(CAUSES)],
    "ask-extension": ["until", "延期至 until (" + zone + ")", "datetime-local"],
    evaluate: ["satisfaction", "满意度 satisfaction", [["5", "5 分"], ["4", "4 分"], ["3", "3 分"], ["2", "2 分"], ["1", "1 分"]]],
    supervise: ["supervision", "督办级别 supervision", [["1", "一级"], ["2", "二级"], ["3", "三级"], ["0", "解除 lifted"]]],
    grade: ["level", "等级 level", LEVELS.map(([level, zh]) => [level, zh])],
  };
  const NUMBERS = new Set(["satisfaction", "supervision"]);
  const dialog = document.getElementById("event");
  const part = (name) => dialog.querySelector("." + name);
  const format = new Intl.DateTimeFormat("zh-CN", { timeZone: zone, hour12: false, month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit" });
  const time = (at) => (Number.isFinite(at) ? format.format(new Date(at)) : "–");
  let shown = null, chosen = "";

  function levelled(level) {
    const known = LEVELS.find(([one]) => one === level);
    return known ? known[1] + " " + level : level;
  }
  function fact(list, words, value) {
    if (value === null || value === undefined || value === "" || value === "–") return;
    const box = make("div");
    box.append(make("dt", "", words), make("dd", "", value));
    list.append(box);
  }
  async function ask(path, options) {
    const answer = await fetch(path, { cache: "no-store", ...options });
    if (answer.status === 401) location.assign("/login");
    const body = await answer.json();
    if (!answer.ok) throw new Error(body.detail || body.title || answer.status);
    return body;
  }

  function show(event) {
    shown = event;
    part("title").textContent = event.title;
    const facts = part("facts"), list = [];
    facts.replaceChildren();
    fact(facts, "编号 id", event.event_id);
    fact(facts, "等级 level", levelled(event.level));
    fact(facts, "状态 status", both(STATES, event.status));
    fact(facts, "行业 utility", both(UTILITIES, event.utility || ""));
    fact(facts, "区划 area", [event.area_code, ...(event.also_in || [])].filter(Boolean).join(", "));
    fact(facts, "单位 unit", [event.owner, event.co_owners].filter(Boolean).join(" + "));
    fact(facts, "时限 due", time(event.due_at));
    fact(facts, "督办 supervision", event.supervision || "");
    fact(facts, "原因 cause", both(CAUSES, event.cause || ""));
    fact(facts, "关联事件 related", event.related_id || "");
    fact(facts, "归因于此 explains", event.explains ? event.explains + " 起；报警未恢复时结案，它们恢复新报 new again if closed while it stands" : "");
    fact(facts, "为何派给 why", event.routing && event.routing.zh);
    fact(facts, "网格员 staff", (event.staff || []).map((one) => one.name).join(", "));
    fact(facts, "摄像机 cameras", (event.cameras || []).map((one) => one.name + " " + Math.round(one.distance_m) + " m").join(", "));
    for (const alarm of (event.alarms || []).slice(-50).reverse()) {
      const item = make("li");
      item.append(make("time", "", time(alarm.detected_at)), make("span", "", alarm.device_id + " · " + alarm.quantity + " · " + alarm.rule_id),
        make("b", "", (Number.isFinite(alarm.value) ? alarm.value.toPrecision(4) : "") + (alarm.cleared_at ? " 已恢复 cleared" : alarm.latched ? " 锁存，已恢复待确认 latched" : "")));
      list.push(item);
    }
    part("alarms").replaceChildren(...list);
    part("log").replaceChildren(...(event.log || []).slice(-100).reverse().map((entry) => {
      const item = make("li");
      item.append(make("time", "", time(entry.at)), make("span", "", entry.actor + " · " + both({ ...LOGGED, ...ACTIONS }, entry.action)), make("b", "", entry.note));
      return item;
    }));
    part("acts").replaceChildren(...(event.actions || []).map((action) => {
      const button = make("button", "", both(ACTIONS, action));
      button.type = "button";
      button.dataset.action = action;
      button.addEventListener("click", () => choose(action));
      return button;
    }));
    if (!(event.actions || []).length) part("acts").append(make("span", "quiet", "您在此无可用操作 nothing for you to do here"));
    choose("");
  }

  function choose(action) {
    chosen = action;
    for (const button of part("acts").querySelectorAll("button")) button.classList.toggle("chosen", button.dataset.action === action);
    part("form").hidden = !action;
    const slot = part("slot"), known = FIELDS[action];
    slot.replaceChildren();
    if (known) {
      const label = make("label", "", known[1] + " ");
      const input = make(Array.isArray(known[2]) ? "select" : "input");
      if (Array.isArray(known[2])) for (const [value, words] of known[2]) { const option = make("option", "", words + " " + value); option.value = value; input.append(option); }
      else input.type = known[2];
      input.name = known[0];
      label.append(input);
      slot.append(label);
    }
    if (action) part("words").focus();
  }

  async function act() {
    const body = {}, words = part("words").value.trim(), input = part("slot").querySelector("input, select");
    if (words) body.note = words;
    if (input && input.value) body[input.name] = NUMBERS.has(input.name) ? Number(input.value) : input.type === "datetime-local" ? siteTime(input.value) : input.value;
    part("send").disabled = true;
    try {
      const headers = { "Content-Type": "application/json", "X-CSRF-Token": document.documentElement.dataset.csrf, "If-Match": '"' + shown.version + '"', "Idempotency-Key": crypto.randomUUID() };
      await ask("/api/v1/events/" + shown.event_id + "/actions/" + chosen, { method: "POST", headers, body: JSON.stringify(body) });
      part("words").value = "";
      say("");
      show(await ask("/api/v1/events/" + shown.event_id));
    } catch (error) { say(error.message); }
    part("send").disabled = false;
  }
  function say(text) { part("fault").textContent = text; }

  async function open(id) {
    say("");
    try { show(await ask("/api/v1/events/" + id)); }
    catch (error) { // gone, no longer ours, or nobody answers
      part("title").textContent = "事件读取失败 The event cannot be read";
      for (const name of ["facts", "alarms", "log", "acts"]) part(name).replaceChildren();
      choose("");
      say(error.message);
    }
    if (!dialog.open) dialog.showModal();
  }
  document.addEventListener("lifeline:event", (message) => open(message.detail));
  part("send").addEventListener("click", act);
  part("shut").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (click) => { if (click.target === dialog) dialog.close(); });
})();
