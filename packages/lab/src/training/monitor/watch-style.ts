/** Style of the live page, light and dark. */
export const watchStyle = `
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --surface: #fff; --text: #1a1f2b; --muted: #566072; --line: #d3d8e1; --accent: #2459b8; --grid: #e6e9ef;
  --alarm: #fde7e4; --alarm-line: #b3261e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #10131a; --surface: #181c26; --text: #e8ebf2; --muted: #9aa4b6; --line: #3a4356; --accent: #86aef5; --grid: #262d3b;
    --alarm: #47211e; --alarm-line: #f2938a;
  }
}
* { box-sizing: border-box; }
[hidden] { display: none !important; }
body { margin: 0; background: var(--page); color: var(--text); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
header { display: flex; flex-wrap: wrap; gap: 2px 16px; align-items: baseline; padding: 12px 20px; border-bottom: 1px solid var(--line); background: var(--surface); }
h1 { font-size: 17px; margin: 0; } h1 span { font-weight: 400; }
h2 { font-size: 16px; margin: 0; } h3 { font-size: 14px; margin: 16px 0 6px; }
#state { color: var(--muted); margin: 0 0 0 auto; }
main { max-width: 1280px; margin: 0 auto; padding: 16px 20px 40px; display: grid; gap: 16px; }
section { background: var(--surface); border: 1px solid var(--line); border-radius: 12px; padding: 16px; min-width: 0; }
.heading { display: flex; flex-wrap: wrap; gap: 6px 16px; align-items: center; }
.heading label { color: var(--muted); font-size: 14px; } .wide { flex: 1 1 200px; display: flex; gap: 8px; align-items: center; } .wide input { flex: 1; }
select { font: inherit; color: var(--text); background: var(--page); border: 1px solid var(--line); border-radius: 8px; padding: 3px 8px; max-width: 100%; }
input { accent-color: var(--accent); }
progress { width: 100%; height: 10px; accent-color: var(--accent); }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(120px, 1fr)); gap: 10px 16px; margin: 12px 0 0; }
dt { color: var(--muted); font-size: 13px; } dd { margin: 0; font-size: 19px; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.note { color: var(--muted); font-size: 14px; margin: 4px 0 10px; }
#alarms { background: var(--alarm); border: 1px solid var(--alarm-line); border-radius: 12px; padding: 12px 16px; }
#alarms p { margin: 0; } #alarms strong { color: var(--alarm-line); }
#curves, #entropy { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 290px), 1fr)); gap: 12px; }
.curve { border: 1px solid var(--line); border-radius: 8px; padding: 8px; min-width: 0; }
.curve p { display: flex; justify-content: space-between; gap: 8px; margin: 0 0 4px; font-size: 14px; }
.curve p span:last-child { color: var(--muted); font-variant-numeric: tabular-nums; }
figure { margin: 12px 0 0; }
#sample-grid { display: flex; flex-wrap: wrap; gap: 12px; align-items: stretch; }
#sample-image { width: min(100%, 420px); image-rendering: pixelated; border-radius: 8px; display: block; }
#sample-prompts { margin: 0; padding: 0; list-style: none; display: grid; flex: 1 1 180px; align-items: center; }
figcaption { color: var(--muted); font-size: 14px; margin-top: 8px; }
.scroll { overflow-x: auto; } .log { max-height: 260px; overflow-y: auto; }
table { border-collapse: collapse; font-size: 14px; } th, td { text-align: left; padding: 4px 10px; border-bottom: 1px solid var(--line); }
#loads th { white-space: nowrap; }
#loads td { text-align: right; font-variant-numeric: tabular-nums; border: 1px solid var(--surface); }
#scale { display: flex; gap: 2px; margin: 0 0 10px; font-size: 13px; } #scale span { padding: 1px 10px; }
.strip { display: grid; grid-template-columns: 64px 1fr; gap: 8px; align-items: center; margin-bottom: 6px; font-size: 13px; color: var(--muted); }
.strip canvas { width: 100%; height: 72px; image-rendering: pixelated; border-radius: 4px; display: block; }
#notes { margin: 0; padding: 0; list-style: none; font: 13px/1.6 ui-monospace, monospace; overflow-wrap: anywhere; }
#notes .alarm { color: var(--alarm-line); font-weight: 600; }
.wrong { color: var(--alarm-line); }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
`;
