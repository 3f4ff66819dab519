"use strict";
(async () => {
  const BOLTZMANN_EV_K = 8.617333262e-5;
  const config = {
    responsive: true,
    displaylogo: false,
    showSendToCloud: false,
    modeBarButtonsToRemove: [
      "lasso2d", "select2d", "zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "autoScale2d", "resetCameraLastSave3d",
    ],
    toImageButtonOptions: { scale: 2 },
  };
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const places = [...document.querySelectorAll(".canvas")].filter((place) => figures[place.id]);
  const slider = document.getElementById("temperature");

  // Rates: log10 of Hz; a hop is 1 px thick where it takes a second, 9 px where it takes a picosecond.
  const logRate = (logPrefactor, barrier, kelvin) => logPrefactor - barrier / (BOLTZMANN_EV_K * kelvin * Math.LN10);
  const width = ({ log_prefactor: logPrefactor, barrier }, kelvin) =>
    1 + 8 * Math.min(Math.max(logRate(logPrefactor, barrier, kelvin) / 12, 0), 1);
  const written = (prefactor, barrier, kelvin) => {
    const rate = logRate(Math.log10(prefactor), barrier, kelvin);
    const power = Math.floor(rate);
    return `${Math.pow(10, rate - power).toFixed(1)}·10<sup>${power}</sup> Hz`;
  };
  const described = (passes, kelvin) =>
    passes.customdata.map(
      ([, forward, forwardPrefactor, backward, backwardPrefactor]) =>
        `<br>at ${kelvin} K: → ${written(forwardPrefactor, forward, kelvin)}, ` +
        `← ${written(backwardPrefactor, backward, kelvin)}`,
    );

  const scene = figures["network-3d"].data;
  const binned = scene.map((trace, index) => index).filter((index) => scene[index].meta);
  const passes = scene.findIndex((trace) => trace.name === "passes");
  for (const index of binned) scene[index].line.width = width(scene[index].meta, Number(slider.value));
  scene[passes].text = described(scene[passes], Number(slider.value));

  // One figure a task: the text is readable and the page answers while they appear.
  const pause = () => new Promise((done) => setTimeout(done, 0));
  for (const place of places) {
    await pause();
    await Plotly.newPlot(place, figures[place.id].data, figures[place.id].layout, config);
  }

  const network = document.getElementById("network-3d");
  slider.addEventListener("input", () => {
    const kelvin = Number(slider.value);
    document.getElementById("temperature-value").textContent = `${kelvin} K`;
    if (binned.length) Plotly.restyle(network, { "line.width": binned.map((index) => width(scene[index].meta, kelvin)) }, binned);
  });
  slider.addEventListener("change", () =>
    Plotly.restyle(network, { text: [described(scene[passes], Number(slider.value))] }, [passes]),
  );
  // A WebGL canvas is blank on paper, so the scene is printed as an image of its present view.
  const printed = new Image();
  printed.className = "printed";
  printed.alt = "The network in three dimensions";
  network.querySelector(".gl-container").before(printed);
  window.addEventListener("beforeprint", () => {
    printed.src = network._fullLayout.scene._scene.toImage("png");
  });
  window.matchMedia("print").addEventListener("change", () => places.forEach((place) => Plotly.Plots.resize(place)));
  document.documentElement.dataset.drawn = "yes";
})();
