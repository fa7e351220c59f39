/** Style of the page of statistics, light and dark. Ranks go from strong to faint. */
export const statsStyle = `
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --surface: #ffffff; --text: #1a1f2b; --muted: #5b6475; --line: #dfe3ea; --own: #e8f0fe;
  --series-0: #2f6fde; --group-0: #2f6fde; --group-1: #b4530f; --group-2: #1d7f4f;
  --rank-0: #8fb5f5; --rank-1: #b3cdf8; --rank-2: #cbdcfa; --rank-3: #dde8fc; --rank-4: #e9f0fd; --rank-5: #e6e8ec;
  --on-rank: #14203a;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #10131a; --surface: #181c26; --text: #e8ebf2; --muted: #9aa4b6; --line: #2d3444; --own: #1d2b49;
    --series-0: #6d9cf0; --group-0: #4f83e3; --group-1: #c2661f; --group-2: #2f9463;
    --rank-0: #2f5cab; --rank-1: #284b88; --rank-2: #233e6d; --rank-3: #203355; --rank-4: #1d2a43; --rank-5: #303642;
    --on-rank: #eef3fc;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 860px; margin: 0 auto; padding: 32px 16px 64px; }
h1 { margin: 0; font-size: 28px; letter-spacing: -0.01em; }
header p { margin: 4px 0 24px; color: var(--muted); }
h2 { margin: 0 0 12px; font-size: 18px; }
section { background: var(--surface); border: 1px solid var(--line); border-radius: 12px; padding: 20px; margin: 16px 0; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(125px, 1fr)); gap: 12px; margin: 0; }
.tiles div { background: var(--surface); border: 1px solid var(--line); border-radius: 12px; padding: 12px 14px; display: flex; flex-direction: column-reverse; }
.tiles dt { color: var(--muted); font-size: 13px; line-height: 1.3; }
.tiles dd { margin: 0; font-size: 24px; font-weight: 650; font-variant-numeric: tabular-nums; }
figure { margin: 20px 0; }
figcaption { font-weight: 600; margin-bottom: 8px; }
.scroll { overflow-x: auto; }
.scroll svg { display: block; max-width: 100%; height: auto; margin: 0 auto; }
.wheel { width: 100%; max-width: 700px; font-family: inherit; }
.legend { display: flex; flex-wrap: wrap; gap: 16px; margin: 0 0 8px; color: var(--muted); }
.legend i { display: inline-block; width: 12px; height: 12px; border-radius: 3px; margin-right: 6px; }
.group-0 { background: var(--group-0); } .group-1 { background: var(--group-1); } .group-2 { background: var(--group-2); }
table { border-collapse: collapse; width: 100%; font-size: 14px; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--muted); font-size: 13px; padding: 4px 0; }
th, td { padding: 6px 10px; border-bottom: 1px solid var(--line); text-align: right; vertical-align: top; }
th { font-weight: 600; } tbody th { font-weight: 500; } thead th { color: var(--muted); font-size: 13px; }
.left { text-align: left; }
.own { background: var(--own); } .own th, .own td { font-weight: 650; }
.note { color: var(--muted); font-size: 13px; margin: 12px 0 0; }
details { margin-top: 8px; } summary { cursor: pointer; color: var(--muted); font-size: 14px; }
:focus-visible { outline: 2px solid var(--series-0); outline-offset: 2px; }
`;
