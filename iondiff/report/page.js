"use strict";
(() => {
  const BOLTZMANN_EV_K = 8.617333262e-5;
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const config = {
    responsive: true,
    displaylogo: false,
    showSendToCloud: false,
    modeBarButtonsToRemove: ["lasso2d", "select2d", "zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "autoScale2d", "resetCameraLastSave3d"],
    toImageButtonOptions: { scale: 2 },
  };
  for (const [name, figure] of Object.entries(figures)) {
    const place = document.getElementById(name);
    if (place) Plotly.newPlot(place, figure.data, figure.layout, config);
  }

  const scene = document.getElementById("network-3d");
  const slider = document.getElementById("temperature");
  if (!scene || !slider) return;
  const hopTraces = scene.data.map((trace, index) => index).filter((index) => scene.data[index].meta);
  const passes = scene.data.findIndex((trace) => trace.name === "passes");

  const logRate = (logPrefactor, barrier, kelvin) => logPrefactor - barrier / (BOLTZMANN_EV_K * kelvin) / Math.LN10;
  // From 1 px where a hop takes a second to 9 px where it takes a picosecond.
  const width = (rate) => 1 + 8 * Math.min(Math.max(rate / 12, 0), 1);
  const written = (prefactor, barrier, kelvin) => {
    const rate = logRate(Math.log10(prefactor), barrier, kelvin);
    const power = Math.floor(rate);
    return `${Math.pow(10, rate - power).toFixed(1)}·10<sup>${power}</sup> Hz`;
  };

  const show = () => {
    const kelvin = Number(slider.value);
    document.getElementById("temperature-value").textContent = `${kelvin} K`;
    const widths = hopTraces.map((index) => {
      const { barrier, log_prefactor: logPrefactor } = scene.data[index].meta;
      return width(logRate(logPrefactor, barrier, kelvin));
    });
    return Plotly.restyle(scene, { "line.width": widths }, hopTraces);
  };
  const describe = () => {
    if (passes < 0) return;
    const kelvin = Number(slider.value);
    const text = scene.data[passes].customdata.map(
      ([, forward, forwardPrefactor, backward, backwardPrefactor]) =>
        `<br>at ${kelvin} K → ${written(forwardPrefactor, forward, kelvin)}, ← ${written(backwardPrefactor, backward, kelvin)}`,
    );
    Plotly.restyle(scene, { text: [text] }, [passes]);
  };
  slider.addEventListener("input", show);
  slider.addEventListener("change", describe);
  show();
  describe();

  const fit = () => Object.keys(figures).forEach((name) => Plotly.Plots.resize(document.getElementById(name)));
  window.matchMedia("print").addEventListener("change", fit);
})();
