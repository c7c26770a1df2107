package generator

// pageStyle follows the reader's light or dark, as the plots do; their
// backgrounds are those of the cards.
const pageStyle = `
:root{color-scheme:light dark;--page:#f6f8fa;--card:#fff;--text:#1f2328;--muted:#59636e;--line:#d8dee4;--accent:#c4510a;--bad:#cf222e;--warn:#fff8e5;--warn-line:#d4a72c}
@media (prefers-color-scheme:dark){
:root{--page:#010409;--card:#0d1117;--text:#e6edf3;--muted:#9198a1;--line:#2b323b;--accent:#f0883e;--bad:#ff7b72;--warn:#231c0c;--warn-line:#9e7a1f}
}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--text);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Helvetica,Arial,sans-serif}
main{max-width:864px;margin:0 auto;padding:32px 16px 48px}
h1{margin:0;font-size:26px;line-height:1.2}
h2{margin:0 0 12px;font-size:18px}
h3{margin:20px 0 8px;font-size:15px}
code,.what{font:13px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;overflow-wrap:anywhere}
.what{margin:10px 0 2px;font-size:15px;color:var(--accent)}
.how,.note{color:var(--muted)}
.how{margin:0 0 20px}
section{margin:0 0 16px;padding:16px;background:var(--card);border:1px solid var(--line);border-radius:8px}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(148px,1fr));gap:12px;padding:0;background:none;border:0}
.tile{display:flex;flex-direction:column;padding:12px 14px;background:var(--card);border:1px solid var(--line);border-radius:8px}
.tile .name,.tile .note{font-size:13px;color:var(--muted)}
.tile strong{font-size:21px;white-space:nowrap;line-height:1.35;font-variant-numeric:tabular-nums}
.tile.bad strong{color:var(--bad)}
.warning{margin:0 0 16px;padding:10px 14px;background:var(--warn);border:1px solid var(--warn-line);border-radius:8px}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:6px 10px;text-align:left;font-weight:400;border-bottom:1px solid var(--line);white-space:nowrap}
thead th{font-size:13px;color:var(--muted)}
tbody tr:last-child>*{border-bottom:0}
.number{text-align:right}
p.note{margin:12px 0 0;font-size:13px}
figure{margin:0 -15px 8px}
figure svg{display:block;width:100%}
dl{display:grid;grid-template-columns:max-content 1fr;gap:6px 20px;margin:0}
dt{color:var(--muted)}
dd{margin:0;min-width:0}
`
