"""The report's HTML, CSS and script; `$name`s are filled in by `report`."""

TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>$title</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; color: #141414; background: #f6f7f8; margin: 0; }
main { max-width: 900px; margin: 0 auto; padding: 12px; display: grid; gap: 16px; }
section { background: #fff; border: 1px solid #c9ced3; border-radius: 8px; padding: 12px; min-width: 0; }
h1 { font-size: 1.3rem; margin: 0; } h2 { font-size: 1.05rem; margin: 0 0 8px; }
canvas { width: 100%; height: auto; display: block; background: #e4e7ea; border-radius: 4px; }
.controls { display: flex; gap: 12px; align-items: center; margin-top: 8px; }
.controls input { flex: 1; min-width: 0; accent-color: #0072b2; height: 28px; }
button { font: inherit; padding: 6px 16px; border: 0; border-radius: 4px; background: #0072b2; color: #fff; }
svg { width: 100%; height: 140px; display: block; background: #f0f2f4; cursor: pointer; touch-action: none; }
svg * { vector-effect: non-scaling-stroke; fill: none; }
svg .interval { fill: #56b4e9; fill-opacity: .35; }
svg .level { stroke: #555; stroke-dasharray: 4 4; }
svg .curve { stroke: #141414; stroke-width: 2; }
svg .now { stroke: #d55e00; stroke-width: 3; }
.prompt { font-size: 1.2rem; margin: 0; } mark { background: #f0e442; padding: 0 4px; border-radius: 4px; }
figure { display: inline-block; margin: 8px 12px 0 0; } figure img { height: 90px; border: 2px dashed #6b7680; }
figcaption { text-align: center; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: 4px 12px 4px 0; border-bottom: 1px solid #c9ced3; }
pre { background: #f0f2f4; padding: 8px; overflow-x: auto; margin: 4px 0 12px; }
ul { margin: 8px 0 0; }
:focus-visible { outline: 3px solid #d55e00; outline-offset: 2px; }
</style>
</head>
<body>
<main>
<h1>$title</h1>
<section aria-label="What was asked"><h2>What was asked</h2>$prompt</section>
<section aria-label="What was seen"><h2>What was seen</h2>
<canvas id="film" role="img" aria-label="The film, with what was found"></canvas>
<div class="controls"><button id="play" type="button">Play</button>
<input id="frame" type="range" min="0" value="0" aria-label="Frame of the film">
<output id="says"></output></div>
<h2>Relevance</h2>
<svg id="chart" viewBox="0 0 $width $height" preserveAspectRatio="none" role="img"
  aria-label="Relevance over time; the slider above moves the film">$curve<line id="now" class="now" y1="0" y2="$height"/></svg>
</section>
<section aria-label="What was found"><h2>What was found</h2><div class="scroll"><table>
<thead><tr><th scope="col">Entity</th><th scope="col">Found in</th><th scope="col">Best score</th>
<th scope="col">At</th><th scope="col">Tracks</th></tr></thead><tbody>$rows</tbody></table></div></section>
$cloud
<section aria-label="What now"><h2>What now</h2><ol>$commands</ol></section>
</main>
<script type="application/json" id="data">$data</script>
<script>
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const film = byId("film"), slider = byId("frame"), play = byId("play"), chart = byId("chart");
const times = data.times, last = times.length - 1, span = Math.max(times[last] - times[0], 1e-6);
const images = data.frames.map((source) => { const image = new Image(); image.src = source; return image; });
let shown = -1, timer = null;

function show(index) {
  const image = images[index];
  shown = index;
  slider.value = index;
  byId("says").textContent = times[index].toFixed(1) + " s, relevance " + data.relevance[index].toFixed(2);
  const x = $width * (times[index] - times[0]) / span;
  byId("now").setAttribute("x1", x);
  byId("now").setAttribute("x2", x);
  image.decode().then(() => {
    if (shown !== index) return;
    film.width = image.naturalWidth;
    film.height = image.naturalHeight;
    film.getContext("2d").drawImage(image, 0, 0);
  });
}

function stop() {
  clearTimeout(timer);
  timer = null;
  play.textContent = "Play";
}

function next() {
  if (shown >= last) { stop(); return; }
  const wait = Math.min(Math.max(times[shown + 1] - times[shown], 0.02), 1);
  timer = setTimeout(() => { show(shown + 1); next(); }, 1000 * wait);
}

play.addEventListener("click", () => {
  if (timer !== null) { stop(); return; }
  play.textContent = "Pause";
  if (shown >= last) show(0);
  next();
});
slider.max = last;
slider.addEventListener("input", () => { stop(); show(Number(slider.value)); });

function seek(event) {
  const box = chart.getBoundingClientRect();
  const at = times[0] + span * (event.clientX - box.left) / box.width;
  let best = 0;
  times.forEach((time, index) => { if (Math.abs(time - at) < Math.abs(times[best] - at)) best = index; });
  stop();
  show(best);
}
chart.addEventListener("pointerdown", (event) => { chart.setPointerCapture(event.pointerId); seek(event); });
chart.addEventListener("pointermove", (event) => { if (event.buttons) seek(event); });
show(0);
$cloud_script</script>
</body>
</html>
"""
