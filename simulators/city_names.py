"""Names and places of the sixteen management areas of Zhengzhou and their townships. Data only.

Districts, counties and cities carry their GB/T 2260 code. The four functional zones have no code of their own in that
standard: they get 410171 .. 410174 here. Names of streets (街道), towns (镇) and rural townships (乡) are in common
use; their three-digit numbers (streets 001.., towns 101.., rural townships 201.., as GB/T 10114 orders them) are ours.
Coordinates are rounded centres (degrees), ``radius_km`` a rough size, ``urban`` and ``rural`` relative weights.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class District(NamedTuple):
    """One management area: code, name, centre, size, weights for urban and rural grids, townships."""

    code: str
    name: str
    lon: float
    lat: float
    radius_km: float
    urban: float
    rural: float
    streets: str
    towns: str = ""
    rurals: str = ""


CITY_CODE: Final = "410100"
CITY_NAME: Final = "郑州市"
CITY_LON: Final = 113.625
CITY_LAT: Final = 34.747

DISTRICTS: Final[tuple[District, ...]] = (
    District(
        "410102",
        "中原区",
        113.613,
        34.748,
        5.5,
        9.5,
        0.1,
        "林山寨 建设路 棉纺路 秦岭路 桐柏路 三官庙 绿东村 汝河路 航海西路 中原西路 西流湖 须水 柳湖 莲湖",
    ),
    District(
        "410103",
        "二七区",
        113.640,
        34.715,
        6.0,
        9.0,
        0.3,
        "淮河路 解放路 铭功路 一马路 蜜蜂张 五里堡 大学路 建中街 福华街 德化街 嵩山路 长江路 京广路 金水源 人和路",
        "马寨",
        "侯寨",
    ),
    District(
        "410104",
        "管城回族区",
        113.685,
        34.738,
        5.5,
        8.0,
        0.2,
        "北下街 西大街 南关 城东路 东大街 二里岗 陇海马路 紫荆山南路 航海东路 十八里河 南曹 金岱 商都路",
    ),
    District(
        "410105",
        "金水区",
        113.660,
        34.800,
        6.0,
        14.0,
        0.1,
        "经八路 花园路 人民路 杜岭 大石桥 南阳路 南阳新村 文化路 丰产路 东风路 "
        "北林路 未来路 凤凰台 杨金路 丰庆路 兴达路 国基路",
    ),
    District("410106", "上街区", 113.308, 34.803, 3.5, 1.8, 0.2, "济源路 中心路 新安路 工业路 矿山", "峡窝"),
    District(
        "410108", "惠济区", 113.617, 34.868, 6.5, 3.8, 0.5, "新城 刘寨 老鸦陈 长兴路 迎宾路 大河路", "花园口 古荥"
    ),
    District(
        "410122",
        "中牟县",
        113.976,
        34.719,
        15.0,
        4.0,
        12.0,
        "青年路 东风路 广惠街",
        "韩寺 官渡 狼城岗 万滩 雁鸣湖 姚家 黄店",
        "刁家",
    ),
    District(
        "410181",
        "巩义市",
        112.982,
        34.752,
        16.0,
        4.5,
        12.0,
        "杜甫路 新华路 紫荆路 孝义 永安路",
        "米河 新中 小关 竹林 大峪沟 河洛 站街 康店 北山口 西村 芝田 回郭镇 鲁庄 夹津口 涉村",
    ),
    District(
        "410182",
        "荥阳市",
        113.391,
        34.789,
        14.0,
        4.5,
        10.0,
        "索河 京城路",
        "乔楼 豫龙 广武 王村 汜水 高山 刘河 崔庙 贾峪",
        "城关 高村 金寨",
    ),
    District(
        "410183",
        "新密市",
        113.391,
        34.539,
        15.0,
        4.5,
        13.0,
        "青屏街 新华路 西大街 矿区",
        "城关 米村 牛店 平陌 超化 苟堂 大隗 刘寨 白寨 岳村 来集 曲梁",
        "袁庄",
    ),
    District(
        "410184",
        "新郑市",
        113.740,
        34.396,
        13.0,
        6.0,
        11.0,
        "新建路 新华路 新烟",
        "新村 辛店 观音寺 梨河 和庄 薛店 孟庄 郭店 龙湖",
        "城关",
    ),
    District(
        "410185",
        "登封市",
        113.050,
        34.454,
        17.0,
        4.0,
        14.0,
        "嵩阳 少林 中岳",
        "大金店 颍阳 卢店 告成 大冶 宣化 徐庄 东华",
        "白坪 君召 石道 唐庄",
    ),
    District("410171", "郑州经济技术开发区", 113.745, 34.715, 6.5, 4.5, 1.2, "明湖 潮河 京航 前程 九龙 祥云"),
    District("410172", "郑州高新技术产业开发区", 113.556, 34.806, 5.5, 4.5, 0.4, "石佛 枫杨 沟赵 梧桐 双桥", ""),
    District(
        "410173",
        "郑州航空港经济综合实验区",
        113.853,
        34.530,
        12.0,
        6.0,
        6.0,
        "新港 郑港 银河 滨河 八千 龙王 清河 明港 岗李",
        "三官庙 八岗 冯堂 大营",
    ),
    District(
        "410174",
        "郑东新区",
        113.765,
        34.772,
        7.0,
        7.5,
        0.8,
        "祭城路 龙子湖 如意湖 商都路 博学路 龙湖 龙源路 金光路 豫兴路 圃田",
        "白沙 杨桥",
    ),
)
