"use strict";
// The closed lists in both languages, and what all parts of the page do alike. Comes first; the parts after it use `shared`.
const shared = (() => {
  const LEVELS = [["red", "红色", "Red", "I"], ["orange", "橙色", "Orange", "II"], ["yellow", "黄色", "Yellow", "III"], ["blue", "蓝色", "Blue", "IV"]];
  const REASONS = {
    malformed_packet: "报文损坏", malformed_payload: "载荷格式错误", unknown_device: "未知设备", unknown_quantity: "未知测量量",
    not_a_number: "不是数值", out_of_span: "超出量程", future_timestamp: "时间超前", too_old: "时间过旧", oversized: "报文过大", duplicate: "重复上报",
  };
  const STATES = {
    new: "新报", explained: "已归因", lapsed: "随因消除", cancelled: "注销", filed: "立案", dispatched: "已派遣", accepted: "已接受", handling: "处置中", "co-handling": "联合处置",
    "extension-asked": "申请延期", suspended: "挂账", returned: "退单", "fed-back": "已反馈", "check-failed": "返工", closed: "结案",
    evaluated: "已评价", reopened: "重新立案",
  };
  const UTILITIES = { gas: "燃气", water: "供水", heat: "供热" };
  const LOGGED = {
    open: "开立", escalate: "升级", confirm: "遥测印证", fold: "并入起因", consequence: "指明起因", untied: "归因解除", "return-to-normal": "报警全部恢复",
    "active-again": "再次报警", "re-alarm": "再次提示", withdraw: "报警不成立", "alarm-ended": "报警终止", remind: "催办", overdue: "超期", report: "来报",
    mode: "平急转换", "emergency-ended": "应急结束",
  };
  const ACTIONS = {
    file: "立案", cancel: "注销", dispatch: "派遣", accept: "接受", return: "退单", handle: "处置", "co-handle": "联合处置",
    "ask-extension": "申请延期", "grant-extension": "同意延期", "refuse-extension": "不同意延期", suspend: "挂账", resume: "恢复",
    "feed-back": "反馈", close: "结案", "fail-check": "核查不通过", evaluate: "评价", reopen: "重新立案", note: "备注",
    supervise: "督办", grade: "定级", explain: "归于起因", tell: "重新上报", lapse: "随因消除",
  };
  const CAUSES = {
    leak: "泄漏", burst: "爆管", "third-party-damage": "第三方破坏", "equipment-fault": "设备故障", operation: "操作或调度", biogas: "沼气",
    maintenance: "检修作业", "sensor-fault": "传感器故障", "no-fault-found": "未发现异常", other: "其他",
  };
  const zone = document.documentElement.dataset.timezone || "UTC";
  const wall = new Intl.DateTimeFormat("en-US", { timeZone: zone, hourCycle: "h23", year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric", second: "numeric" });

  /** A new element with a class and, as text, what it says. */
  function make(tag, name, text) {
    const element = document.createElement(tag);
    if (name) element.className = name;
    if (text !== undefined && text !== null) element.textContent = String(text);
    return element;
  }
  /** A word of a list with its Chinese name before it. */
  function both(list, word) { return Object.hasOwn(list, word) ? list[word] + " " + word : word; }
  /** Epoch ms of a wall time of the site ("2026-11-26T18:30"): people mean the clock on the page, not their browser's. */
  function siteTime(text) {
    const told = Date.parse(text + "Z");
    const ahead = (at) => {
      const part = Object.fromEntries(wall.formatToParts(at).map(({ type, value }) => [type, Number(value)]));
      return Date.UTC(part.year, part.month - 1, part.day, part.hour, part.minute, part.second) - at;
    };
    return told - ahead(told - ahead(told)); // the offset at that time, not at the same figures in UTC
  }
  return { LEVELS, REASONS, STATES, UTILITIES, LOGGED, ACTIONS, CAUSES, zone, make, both, siteTime };
})();
