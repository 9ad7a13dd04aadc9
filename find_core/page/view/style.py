"""What the page looks like: one column on a phone, two on a desk."""

# Okabe and Ito's colours with enough contrast on white; errors have words and a line, not only red.
PRIMARY, WARNING = "#0072b2", "#a34700"

CSS = """
body { background: #f6f7f8; color: #141414; }
.find-page { display: grid; gap: 16px; width: 100%; max-width: 1400px; margin: 0 auto; padding: 12px;
  grid-template-columns: minmax(0, 3fr) minmax(0, 2fr); }
.find-head { grid-column: 1 / -1; }
.find-panel { background: #fff; border: 1px solid #c9ced3; border-radius: 8px; padding: 12px;
  display: flex; flex-direction: column; gap: 8px; min-width: 0; }
.find-panel h2, .find-head h1 { font-size: 1.05rem; line-height: 1.4; font-weight: 600; margin: 0; }
.find-column { display: flex; flex-direction: column; gap: 16px; min-width: 0; }
.find-row { display: flex; flex-wrap: wrap; gap: 8px; align-items: center; width: 100%; }
.find-grow { flex: 1 1 12rem; min-width: 0; }
.find-number { width: 6rem; }
.find-picture { width: 100%; min-height: 120px; background: #e4e7ea; border-radius: 4px;
  overflow: hidden; }
.find-marking img { cursor: crosshair; touch-action: none; }
.find-curve { width: 100%; height: 110px; background: #f0f2f4; border-radius: 4px;
  aspect-ratio: auto !important; cursor: pointer; }
.find-slider { flex: 1 1 100%; height: 28px; accent-color: #0072b2; }
.find-chip { border: 1px solid #6b7680; border-radius: 999px; padding: 2px 10px; font-size: .9rem; }
.find-chip-picture { border-style: dashed; border-width: 2px; }
.find-quiet { color: #4a5258; font-size: .9rem; }
.find-reference { height: 48px; max-width: 80px; object-fit: contain; background: #e4e7ea; }
.find-table { width: 100%; overflow-x: auto; }
:focus-visible { outline: 3px solid #d55e00 !important; outline-offset: 2px; }
@media (max-width: 800px) { .find-page { grid-template-columns: minmax(0, 1fr); padding: 6px; } }
"""
