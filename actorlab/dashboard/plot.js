// Draw curves that grow: the server sends which points are new, this keeps them and tells ECharts.
const actorlabPlots = {
  plots: new Map(),
  tell(id, told) {
    let plot = this.plots.get(id);
    if (!plot || told.clear) this.plots.set(id, (plot = { points: {}, names: {}, x: told.x, y: told.y }));
    for (const one of told.curves) {
      const points = (plot.points[one.id] ??= []);
      points.length = Math.min(points.length, one.begin);
      for (const point of one.points) points.push(point);
      plot.names[one.id] = one.name;
    }
    this.draw(id, 100);
  },
  draw(id, tries) {
    const plot = this.plots.get(id);
    const chart = getElement(id)?.chart;
    if (!plot) return;
    if (!chart) {
      if (tries > 0) setTimeout(() => this.draw(id, tries - 1), 50);
      else this.plots.delete(id);
      return;
    }
    chart.setOption(this.options(plot), { replaceMerge: ["series"] });
  },
  options(plot) {
    const style = getComputedStyle(document.body);
    const of = (name) => style.getPropertyValue(name).trim();
    const dark = document.documentElement.classList.contains("dark");
    const axis = {
      type: "value", scale: true, nameLocation: "middle", nameTextStyle: { color: of("--muted"), fontSize: 13 },
      axisLabel: { color: of("--muted"), hideOverlap: true }, axisLine: { show: true, lineStyle: { color: of("--line") } },
      splitLine: { lineStyle: { color: of("--line"), opacity: 0.6 } },
    };
    const ids = Object.keys(plot.points);
    const few = ids.reduce((sum, id) => sum + plot.points[id].length, 0) <= 60;
    return {
      animation: false, backgroundColor: "transparent", textStyle: { fontFamily: style.fontFamily },
      color: dark ? ["#6cb6ff", "#f0a45d", "#63d2a1", "#e89cc6", "#e9d16c", "#b9a5f5"]
                  : ["#0072b2", "#d55e00", "#00805d", "#b0558a", "#8a6d00", "#5b4bb3"],
      grid: { left: 16, right: 24, top: ids.length > 1 ? 60 : 36, bottom: 36, containLabel: true },
      legend: { show: ids.length > 1, type: "scroll", top: 4, textStyle: { color: of("--text") } },
      tooltip: { trigger: "axis", confine: true, backgroundColor: of("--panel"), borderColor: of("--line"), textStyle: { color: of("--text") } },
      xAxis: { ...axis, name: plot.x, nameGap: 28 },
      yAxis: { ...axis, name: plot.y, nameLocation: "end", nameTextStyle: { ...axis.nameTextStyle, align: "left" } },
      dataZoom: [{ type: "inside", filterMode: "none" }],
      series: ids.map((id) => ({
        id, name: plot.names[id], type: "line", data: plot.points[id], showSymbol: few, symbolSize: 5, lineStyle: { width: 1.8 },
      })),
    };
  },
  redraw() {
    for (const id of [...this.plots.keys()]) {
      if (getElement(id)?.chart) this.draw(id, 0);
      else this.plots.delete(id);
    }
  },
};
new MutationObserver(() => actorlabPlots.redraw()).observe(document.documentElement, { attributeFilter: ["class"] });
