// The HTML report's slice viewer: a slider, the wheel, the arrow keys or a click on a finding
// choose one axial slice; its panels are cut out of the sheets of tiles that the page carries.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("tiles").textContent);
  const viewer = document.getElementById("viewer");
  const slider = document.getElementById("slider");
  const said = document.getElementById("said");
  const rows = [...document.querySelectorAll("tr[data-tile]")];
  const lines = [...document.querySelectorAll("line.here")];
  const [wide, tall] = data.size;
  const zoom = Math.max(2, Math.ceil(480 / wide));
  const pictures = new Map();
  let shown = data.start;
  let turned = 0;

  function picture(kind, sheet) {
    const key = `${kind} ${sheet}`;
    if (!pictures.has(key)) {
      const image = new Image();
      image.onload = draw;
      image.src = data.sheets[kind][sheet];
      pictures.set(key, image);
    }
    return pictures.get(key);
  }

  function drawPanel(canvas) {
    const pen = canvas.getContext("2d");
    const sheet = Math.floor(shown / data.perSheet);
    const tile = shown % data.perSheet;
    const layers = data.layers[canvas.dataset.panel].map((kind) => picture(kind, sheet));
    pen.clearRect(0, 0, canvas.width, canvas.height);
    if (!layers.every((image) => image.complete && image.naturalWidth > 0)) return;
    const column = tile % data.columns;
    const row = Math.floor(tile / data.columns);
    pen.imageSmoothingQuality = "high";
    for (const image of layers) {
      const finer = image.naturalWidth / (data.columns * wide);
      const [w, h] = [finer * wide, finer * tall];
      pen.drawImage(image, column * w, row * h, w, h, 0, 0, canvas.width, canvas.height);
    }
    if (canvas.dataset.panel === "anomaly") drawNumbers(pen, canvas);
  }

  function drawNumbers(pen, canvas) {
    const perMm = canvas.width / data.wideMm;
    pen.font = `bold ${data.numberMm * perMm}px sans-serif`;
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.lineWidth = 1.8 * perMm;
    pen.lineJoin = "round";
    pen.strokeStyle = "#000";
    pen.fillStyle = "#e9edf1";
    for (const [x, y, number] of data.slices[shown].at) {
      pen.strokeText(number, x * perMm, y * perMm);
      pen.fillText(number, x * perMm, y * perMm);
    }
  }

  function draw() {
    const slice = data.slices[shown];
    for (const canvas of viewer.querySelectorAll("canvas")) {
      drawPanel(canvas);
      canvas.setAttribute("aria-label", `${canvas.dataset.title}, ${slice.words}`);
    }
    said.textContent = slice.words;
    slider.value = shown;
    slider.setAttribute("aria-valuetext", slice.words);
    for (const row of rows) {
      row.classList.toggle("here", slice.findings.includes(Number(row.dataset.finding)));
    }
    for (const line of lines) {
      line.setAttribute("y1", slice.depth);
      line.setAttribute("y2", slice.depth);
      line.setAttribute("visibility", "visible");
    }
  }

  function show(number) {
    shown = Math.min(Math.max(number, 0), data.slices.length - 1);
    draw();
  }

  slider.addEventListener("input", () => show(Number(slider.value)));
  document.getElementById("down").addEventListener("click", () => show(shown - 1));
  document.getElementById("up").addEventListener("click", () => show(shown + 1));
  viewer.querySelector(".panels").addEventListener("wheel", (event) => {
    const up = event.deltaY < 0;
    if (event.ctrlKey || !event.deltaY || shown === (up ? data.slices.length - 1 : 0)) return;
    event.preventDefault();
    turned -= event.deltaY * (event.deltaMode === 0 ? 1 : 40);
    const steps = Math.trunc(turned / 40);
    turned -= 40 * steps;
    if (steps) show(shown + steps);
  }, { passive: false });
  document.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step || event.target === slider || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    show(shown + step);
  });
  for (const row of rows) {
    row.addEventListener("click", (event) => {
      event.preventDefault();
      show(Number(row.dataset.tile));
      viewer.scrollIntoView({ block: "start" });
    });
  }
  for (const canvas of viewer.querySelectorAll("canvas")) {
    canvas.width = zoom * wide;
    canvas.height = zoom * tall;
  }
  document.documentElement.classList.add("scripted");
  viewer.hidden = false;
  draw();
})();
