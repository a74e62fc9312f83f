// SPDX-License-Identifier: Apache-2.0
// Draws the charts of a page when they come into view. All figures stand in tables as well.
(() => {
  "use strict";
  const data = JSON.parse(document.getElementById("chart-data").textContent);
  const drawn = new Map();  // Element -> its charts.
  const kMostBarsOfOneKind = 3;
  const kMostCurves = 8;

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  const faded = (text, part) => text + Math.round(part * 255).toString(16).padStart(2, "0");

  // As figure_text.cpp does it, for the axes.
  const kUnits = {
    rate: [[1, "/s"], [1e3, "k/s"], [1e6, "M/s"], [1e9, "G/s"]],
    time: [[1, "ns"], [1e3, "us"], [1e6, "ms"], [1e9, "s"]],
    size: [[1, "B"], [1024, "KiB"], [1048576, "MiB"], [1073741824, "GiB"]],
    percent: [[1, "%"]],
    plain: [[1, ""], [1e3, "k"], [1e6, "M"], [1e9, "G"]],
  };
  const kindOf = (figure) =>
    figure.endsWith("_per_second") ? "rate" : figure.endsWith("_ns") ? "time" : figure.endsWith("_bytes") ? "size"
      : figure.endsWith("_percent") ? "percent" : "plain";
  const axisText = (figure, value) => {
    const units = kUnits[kindOf(figure)];
    const unit = [...units].reverse().find(([factor]) => Math.abs(value) >= factor * 0.9995) || units[0];
    return (Number((value / unit[0]).toPrecision(3)) + " " + unit[1]).trim();
  };

  // Long names in lines, broken where their parts meet.
  const lines = (text, width) => {
    const parts = text.split(/(?<=[/ ])/).flatMap((part) => (part.length > width ? part.split(/(?<=[:_])/) : [part]));
    const result = [""];
    for (const part of parts) {
      const last = result[result.length - 1];
      if (last.length > 0 && last.length + part.length > width) result.push(part);
      else result[result.length - 1] = last + part;
    }
    return result;
  };
  // A chart gives all rows the same height.
  const heightOf = (labels, least) =>
    labels.length * Math.max(least, ...labels.map((label) => label.length * 14 + 6));

  // The spread as a thin line, the median as a dot where a bar would not be true to a logarithmic axis.
  const marks = {
    id: "marks",
    afterDatasetsDraw(chart) {
      const {ctx, chartArea} = chart;
      const options = chart.options.plugins.marks;
      const along = chart.scales[options.axis];
      ctx.save();
      ctx.beginPath();
      ctx.rect(chartArea.left - 6, chartArea.top - 6, chartArea.width + 12 + options.room, chartArea.height + 12);
      ctx.clip();
      ctx.lineWidth = 1.25;
      chart.data.datasets.forEach((dataset, index) => {
        if (!chart.isDatasetVisible(index)) return;
        chart.getDatasetMeta(index).data.forEach((element, at) => {
          const mark = dataset.marks[at];
          if (!mark) return;
          const from = along.getPixelForValue(mark.least);
          const to = along.getPixelForValue(mark.most);
          ctx.strokeStyle = options.dots ? dataset.ink[at] : colour("text");
          ctx.beginPath();
          if (options.axis === "x") {
            ctx.moveTo(from, element.y); ctx.lineTo(to, element.y);
            for (const end of [from, to]) { ctx.moveTo(end, element.y - 3); ctx.lineTo(end, element.y + 3); }
          } else {
            ctx.moveTo(element.x, from); ctx.lineTo(element.x, to);
          }
          ctx.stroke();
          if (options.axis !== "x") return;
          if (options.dots) {
            ctx.fillStyle = dataset.ink[at];
            ctx.beginPath();
            ctx.arc(along.getPixelForValue(mark.median), element.y, 4.5, 0, 2 * Math.PI);
            ctx.fill();
          }
          ctx.fillStyle = colour("text");
          ctx.textBaseline = "middle";
          ctx.font = "11px " + getComputedStyle(document.body).fontFamily;
          ctx.fillText(mark.text, Math.max(from, to, along.getPixelForValue(mark.median)) + 6, element.y);
        });
      });
      ctx.restore();
    },
  };

  const figureIn = (element, title, height, description, wide) => {
    const figure = document.createElement("figure");
    if (wide) figure.className = "wide";
    if (title) figure.appendChild(document.createElement("figcaption")).textContent = title;
    const box = figure.appendChild(document.createElement("div"));
    box.className = "canvas";
    box.style.height = height + "px";
    const canvas = box.appendChild(document.createElement("canvas"));
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", description);
    element.appendChild(figure);
    return canvas;
  };

  const axisStyle = () => ({grid: {color: colour("line")}, ticks: {color: colour("faint"), font: {size: 11}}});

  const kindColour = (bar, among) => {
    const alike = among.filter((other) => other.kind === bar.kind);
    const nth = alike.findIndex((other) => other.subject === bar.subject);
    return bar.kind === "ours" && nth > 0 ? colour("c" + (nth % 8 + 1)) : colour(bar.kind);
  };

  // rows: labels down the side; datasets: [{subject, kind, bars: [bar or null for each label]}]
  const drawBars = (element, group, title, labels, datasets, wide) => {
    const all = datasets.flatMap((each) => each.bars).filter(Boolean);
    const least = Math.min(...all.map((bar) => bar.least));
    const most = Math.max(...all.map((bar) => bar.most));
    const dots = least > 0 && most / least > 25;
    const figure = all[0].figure;
    const narrow = element.clientWidth < 520;
    const shown = labels.map((label) => lines(label, narrow ? 16 : 26));
    const legend = datasets.length > 1;
    const canvas = figureIn(element, title, heightOf(shown, 22 * datasets.length) + 46 + (legend ? 30 : 0),
      `${group.name} ${title}: ` + all.map((bar) => `${bar.subject} ${bar.text}`).join(", "), wide);
    return new Chart(canvas, {
      type: "bar",
      plugins: [marks],
      data: {
        labels: shown,
        datasets: datasets.map((each) => {
          const ink = each.bars.map((bar) => (bar ? kindColour(bar, legend ? datasets : all) : "#0000"));
          const solid = ink.find((one) => one !== "#0000");
          return {
            label: each.subject,
            data: each.bars.map((bar) => (bar ? bar.median : null)),
            marks: each.bars,
            ink,
            backgroundColor: dots ? "#0000" : legend ? solid : ink,
            legendColour: solid,
            maxBarThickness: 18,
          };
        }),
      },
      options: {
        indexAxis: "y", animation: false, maintainAspectRatio: false, responsive: true,
        layout: {padding: {right: 66}},
        scales: {
          x: dots
            ? {type: "logarithmic", min: least / 1.6, max: most * 1.1, ...axisStyle(),
               ticks: {...axisStyle().ticks, maxRotation: 0, autoSkipPadding: 14,
                       callback: (value) => (Number.isInteger(Math.log10(value)) ? axisText(figure, value) : null)}}
            : {type: "linear", beginAtZero: true, max: most > 0 ? most * 1.02 : 1, ...axisStyle(),
               ticks: {...axisStyle().ticks, maxTicksLimit: narrow ? 4 : 7, maxRotation: 0, includeBounds: false,
                       callback: (value) => axisText(figure, value)}},
          y: {grid: {display: false}, ticks: {color: colour("text"), autoSkip: false, font: {size: 11}}},
        },
        plugins: {
          marks: {axis: "x", dots, room: 66},
          legend: {display: legend, position: "bottom",
                   labels: {color: colour("text"), boxWidth: 12, font: {size: 11},
                            generateLabels: (chart) => chart.data.datasets.map((dataset, index) => ({
                              text: dataset.label, fillStyle: dataset.legendColour, strokeStyle: dataset.legendColour,
                              fontColor: colour("text"), datasetIndex: index, hidden: !chart.isDatasetVisible(index)}))}},
          tooltip: {callbacks: {label: (item) => {
            const bar = item.dataset.marks[item.dataIndex];
            return `${bar.subject}: ${bar.text} (${bar.range})`;
          }}},
        },
      },
    });
  };

  const drawCurves = (element, group, title, curves, wide) => {
    const kTicks = {0.301: "p50", 1: "p90", 2: "p99", 3: "p99.9", 4: "p99.99"};
    const points = curves.flatMap((curve) => curve.points);
    const most = Math.max(...points.map((point) => point.x));
    const canvas = figureIn(element, title, 300 + 18 * Math.ceil(curves.length / 2),
      `${group.name}, time by percentile: ` + curves.map((curve) =>
        `${curve.subject} ${curve.parameters} from ${axisText("_ns", curve.points[0].y)} to ` +
        axisText("_ns", curve.points[curve.points.length - 1].y)).join(", "), wide);
    return new Chart(canvas, {
      type: "line",
      plugins: [marks],
      data: {datasets: curves.map((curve, index) => {
        const ink = colour("c" + (index % 8 + 1));
        return {
          label: `${curve.subject} ${curve.parameters}`.trim(), data: curve.points, marks: curve.points,
          ink: curve.points.map(() => faded(ink, 0.55)), borderColor: ink, backgroundColor: ink,
          borderWidth: curve.kind === "ours" ? 2.5 : 1.5, pointRadius: 3.5,
          pointStyle: ["circle", "triangle", "rectRot"][Math.floor(index / 8) % 3],  // Eight colours, then other shapes.
          borderDash: curve.kind === "limit" ? [2, 3] : curve.kind === "baseline" ? [7, 4] : [],
        };
      })},
      options: {
        animation: false, maintainAspectRatio: false, responsive: true,
        layout: {padding: {right: 16}},
        scales: {
          x: {type: "linear", min: 0.2, max: most + 0.1, ...axisStyle(),
              afterBuildTicks: (axis) => {
                axis.ticks = Object.keys(kTicks).map(Number).filter((x) => x <= most + 0.01).sort((a, b) => a - b)
                  .map((value) => ({value}));
              },
              ticks: {...axisStyle().ticks, autoSkip: false, maxRotation: 0, callback: (value) => kTicks[value]}},
          y: {type: "logarithmic", min: Math.min(...points.map((point) => point.least || point.y)) / 1.2,
              max: Math.max(...points.map((point) => point.most)) * 1.2, ...axisStyle(),
              ticks: {...axisStyle().ticks,
                      callback: (value) => (/^[125]/.test(value.toExponential()) ? axisText("_ns", value) : null)}},
        },
        plugins: {
          marks: {axis: "y", dots: true, room: 0},
          legend: {position: "bottom", labels: {color: colour("text"), usePointStyle: true, boxWidth: 8, boxHeight: 7, padding: 14, font: {size: 11}}},
          tooltip: {callbacks: {
            title: () => "",
            label: (item) => `${item.dataset.label}: ${axisText("_ns", item.raw.y)} ` +
              `(${axisText("_ns", item.raw.least)} to ${axisText("_ns", item.raw.most)})`}},
        },
      },
    });
  };

  const drawGroup = (element, group) => {
    const charts = [];
    const crowded = group.setups.some((setup) => setup.bars.length > kMostBarsOfOneKind);
    if (crowded) {
      for (const setup of group.setups) {
        const ordered = [...setup.bars];
        charts.push(drawBars(element, group, setup.parameters, ordered.map((bar) => bar.subject),
          [{subject: "", kind: "", bars: ordered}], group.setups.length === 1));
      }
    } else if (group.setups.length > 0) {
      const subjects = [];
      for (const bar of group.setups.flatMap((setup) => setup.bars)) {
        if (!subjects.some((each) => each.subject === bar.subject)) subjects.push({subject: bar.subject, kind: bar.kind});
      }
      const alone = subjects.length > 1 && group.setups.length === 1;
      if (alone) {
        const bars = group.setups[0].bars;
        charts.push(drawBars(element, group, group.setups[0].parameters, bars.map((bar) => bar.subject),
          [{subject: "", kind: "", bars}], true));
      } else if (subjects.length > 4) {  // Subjects with setups of their own: no legend could keep them apart.
        const bars = group.setups.flatMap((setup) => setup.bars);
        const labels = group.setups.flatMap((setup) => setup.bars.map((bar) => `${bar.subject} ${setup.parameters}`.trim()));
        charts.push(drawBars(element, group, "", labels, [{subject: "", kind: "", bars}], true));
      } else {
        charts.push(drawBars(element, group, subjects.length === 1 ? subjects[0].subject : "",
          group.setups.map((setup) => setup.parameters || subjects[0].subject),
          subjects.map((each) => ({...each, bars: group.setups.map((setup) =>
            setup.bars.find((bar) => bar.subject === each.subject) || null)})), true));
      }
    }
    if (group.curves.length === 0) return charts;
    if (group.curves.length <= kMostCurves) {
      charts.push(drawCurves(element, group, "Time by percentile", group.curves, true));
      return charts;
    }
    const setups = [...new Set(group.curves.map((curve) => curve.parameters))];
    for (const parameters of setups) {
      const curves = group.curves.filter((curve) => curve.parameters === parameters);
      charts.push(drawCurves(element, group, `Time by percentile, ${parameters}`,
        curves.map((curve) => ({...curve, parameters: ""})), setups.length === 1));
    }
    return charts;
  };

  // Ratios to the run before, with all that the rounds of both allow; 1 is no change.
  const drawChanges = (element) => {
    const charts = [];
    const verdictColour = {better: "good", worse: "bad", noise: "unknown"};
    for (const suite of new Set(data.changes.map((change) => change.suite))) {
      const changes = data.changes.filter((change) => change.suite === suite);
      const narrow = element.clientWidth < 520;
      const labels = changes.map((change) => lines(change.name, narrow ? 18 : 44));
      const least = Math.min(0.8, ...changes.map((change) => change.least));
      const most = Math.max(1.25, ...changes.map((change) => change.most));
      const canvas = figureIn(element, suite, heightOf(labels, 20) + 46,
        `${suite}, new divided by old: ` + changes.map((change) =>
          `${change.name} ${change.ratio.toFixed(2)} ${change.verdict}`).join(", "), true);
      charts.push(new Chart(canvas, {
        type: "bar",
        plugins: [marks],
        data: {labels, datasets: [{
          data: changes.map((change) => change.ratio),
          marks: changes.map((change) => ({least: change.least, most: change.most, median: change.ratio,
                                            text: `${change.ratio.toFixed(2)} ${change.verdict}`})),
          ink: changes.map((change) => colour(verdictColour[change.verdict])),
          backgroundColor: "#0000",
        }]},
        options: {
          indexAxis: "y", animation: false, maintainAspectRatio: false, responsive: true,
          layout: {padding: {right: 84}},
          scales: {
            x: {type: "logarithmic", min: least * 0.97, max: most * 1.03, ...axisStyle(),
                grid: {color: (line) => (line.tick && line.tick.value === 1 ? colour("text") : colour("line"))},
                afterBuildTicks: (axis) => {
                  axis.ticks = [0.1, 0.2, 0.5, 0.8, 1, 1.25, 2, 5, 10].filter((x) => x >= axis.min && x <= axis.max)
                    .map((value) => ({value}));
                },
                ticks: {...axisStyle().ticks, autoSkip: false, maxRotation: 0, callback: (value) => String(value)}},
            y: {grid: {display: false}, ticks: {color: colour("text"), autoSkip: false, font: {size: 11}}},
          },
          plugins: {legend: {display: false}, tooltip: {enabled: false}, marks: {axis: "x", dots: true, room: 84}},
        },
      }));
    }
    return charts;
  };

  const draw = (element) => {
    if (drawn.has(element)) return;
    element.replaceChildren();
    drawn.set(element, "changes" in element.dataset
      ? drawChanges(element)
      : drawGroup(element, data.suites[element.dataset.suite].groups[element.dataset.group]));
  };
  const forgetAll = () => {
    for (const charts of drawn.values()) charts.forEach((chart) => chart.destroy());
    drawn.clear();
  };
  const all = [...document.querySelectorAll(".charts")];
  const drawOpen = () => all.filter((element) => !element.closest("details:not([open])")).forEach(draw);

  for (const details of document.querySelectorAll("details.group")) details.addEventListener("toggle", drawOpen);
  drawOpen();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { forgetAll(); drawOpen(); });

  // On paper everything is open and light, but for what was closed inside.
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details.group:not([open])")];
    closed.forEach((details) => { details.open = true; });
    document.documentElement.classList.add("printed");
    forgetAll();
    drawOpen();
  });
  addEventListener("afterprint", () => {
    closed.forEach((details) => { details.open = false; });
    document.documentElement.classList.remove("printed");
    forgetAll();
    drawOpen();
  });
})();
