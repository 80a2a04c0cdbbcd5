"""Why the engine is not ready, in Chinese beside the English that every part gives.

A reason is made where the fault is and goes as one English text through the status file and ``/readyz``; here are the
forms that it has. What a form quotes (an address, a path, the operating system's words) stays as it is.
"""

from __future__ import annotations

import re
from typing import Final

NAMES: Final = {"rules": "规则", "lake": "数据湖", "live": "实时值", "completeness": "完整性", "tally": "计数"}
"""Followers of the log."""
_FORMS: Final = tuple(
    (re.compile(form, re.DOTALL), chinese)
    for form, chinese in (
        (r"starting", "正在启动"),
        (r"stopping", "正在停止"),
        (r"stopped", "已停止"),
        (r"rules: being bound to the points", "规则正在与测点绑定"),
        (
            r"house-keeping has stood still for (\d+) s: does the disk of (.+) answer\?",
            "内务已停顿 {0} 秒：{1} 所在磁盘是否有响应？",
        ),
        (r"the engine is not running \(last seen (\d+) s ago\)", "引擎未运行（{0} 秒前最后一次出现）"),
        (r"the engine has said nothing for (\d+) s", "引擎已 {0} 秒没有消息"),
        (r"the engine has not run yet: no status file", "引擎尚未运行过：没有状态文件"),
        (r"the status file cannot be read: (.+)", "状态文件无法读取：{0}"),
        (r"the status file holds no status", "状态文件中没有状态"),
        (r"the engine gives no reason", "引擎未说明原因"),
        (r"follower (\w+) is (\d+) s behind", "{0}落后 {1} 秒"),
        (r"log: (.+)", "日志：{0}"),
        (r"queue: (.+)", "事件队列：{0}"),
        (r"broker (.+?): (.+)", "消息代理 {0}：{1}"),
        (r"not connected", "未连接"),
        (r"connection lost: (.+)", "连接中断：{0}"),
        (r"the broker refuses the connection: (.+)", "代理拒绝连接：{0}"),
        (r"the broker refuses every subscription: (.+)", "代理拒绝全部订阅：{0}"),
        (r"the broker ended (?:the connection|it): (.+)", "代理结束了连接：{0}"),
        (r"no (CONNACK|SUBACK|CONNACK or SUBACK) within (\d+) s", "代理在 {1} 秒内未答复（{0}）"),
        (r"no answer to PINGREQ within (\S+) s", "代理在 {0} 秒内未答复心跳"),
        (r"the log refuses, nothing is acknowledged: (.+)", "日志拒绝写入，不再确认任何报文：{0}"),
        (r"(\S+): \[Errno 111\] Connection refused", "{0} 拒绝连接"),
        (r"(\S+): \[Errno -[25]\] .+", "找不到主机 {0}"),
        (r"(\S+): \[SSL: CERTIFICATE_VERIFY_FAILED\] certificate verify failed: (.+)", "{0} 的证书未通过验证：{1}"),
        (r"(\w+): stopped by a defect at log record (\d+)", "{0}：因程序缺陷停在日志记录 {1}"),
        (r"(rules|lake|live|completeness|tally): (.+)", "{0}：{1}"),
    )
)
"""The first that fits the whole text holds; what it quotes is looked up again."""


def in_chinese(reason: str) -> str:
    """The reason in Chinese; what has no form here comes back as it is."""
    for form, chinese in _FORMS:
        if found := form.fullmatch(reason):
            return chinese.format(*(NAMES.get(part) or in_chinese(part) for part in found.groups()))
    return reason


def in_both(reason: str) -> str:
    """Chinese and English behind one another; once where there is no Chinese."""
    chinese = in_chinese(reason)
    return reason if chinese == reason else f"{chinese} · {reason}"
