/** Style of the page for raters, light and dark. */
export const pageStyle = `
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --surface: #fff; --text: #1a1f2b; --muted: #5b6475; --line: #cfd5df; --accent: #2459b8; --chosen: #e4edfd;
  --wrong: #fde7e4; --wrong-line: #b3261e; --on-accent: #fff;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #10131a; --surface: #181c26; --text: #e8ebf2; --muted: #9aa4b6; --line: #3a4356; --accent: #86aef5; --chosen: #1f3157;
    --wrong: #47211e; --wrong-line: #f2938a; --on-accent: #10131a;
  }
}
* { box-sizing: border-box; }
[hidden] { display: none !important; }
body { margin: 0; background: var(--page); color: var(--text); font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
header { display: flex; flex-wrap: wrap; gap: 4px 16px; align-items: baseline; padding: 12px 20px; border-bottom: 1px solid var(--line); background: var(--surface); }
h1 { font-size: 17px; margin: 0; } h2 { font-size: 16px; margin: 0 0 8px; }
#progress { color: var(--muted); font-size: 14px; margin: 0 0 0 auto; }
main { max-width: 1080px; margin: 0 auto; padding: 20px; }
#message { min-height: 24px; margin: 0 0 8px; color: var(--muted); }
#message.fault { color: var(--wrong-line); font-weight: 600; }
.card { background: var(--surface); border: 1px solid var(--line); border-radius: 12px; padding: 20px; }
#join { max-width: 440px; margin: 40px auto; }
#work { display: grid; grid-template-columns: minmax(220px, 2fr) 3fr; gap: 20px; align-items: start; }
@media (max-width: 760px) { #work { grid-template-columns: 1fr; } }
#face { width: 100%; border-radius: 12px; display: block; background: var(--line); }
@media (min-width: 761px) { .photo { position: sticky; top: 16px; } }
#caption p { margin: 0 0 4px; }
#caption label { display: block; padding: 2px 6px; border-radius: 6px; border-left: 3px solid transparent; }
#caption .wrong { background: var(--wrong); border-left-color: var(--wrong-line); }
fieldset { border: 0; padding: 0; margin: 20px 0 0; min-width: 0; }
legend { padding: 0; font-weight: 600; margin-bottom: 6px; }
.choices { display: flex; flex-wrap: wrap; gap: 6px; }
.choices label { border: 1px solid var(--line); border-radius: 8px; padding: 4px 10px; cursor: pointer; }
.choices label.chosen { background: var(--chosen); border-color: var(--accent); }
.choices.small label { padding: 1px 8px; font-size: 14px; }
.choices input { accent-color: var(--accent); margin: 0 6px 0 0; }
.group { color: var(--muted); font-size: 13px; margin: 8px 0 4px; }
input[type=text], textarea { width: 100%; font: inherit; color: inherit; background: var(--page); border: 1px solid var(--line); border-radius: 8px; padding: 8px 10px; }
button { font: inherit; font-weight: 600; border: 0; border-radius: 8px; padding: 9px 18px; background: var(--accent); color: var(--on-accent); cursor: pointer; margin-top: 16px; }
kbd { font: 12px/1 ui-monospace, monospace; border: 1px solid var(--line); border-radius: 4px; padding: 1px 5px; color: var(--muted); }
button kbd { color: inherit; border-color: currentColor; }
.facts { display: flex; flex-wrap: wrap; gap: 6px; list-style: none; margin: 0 0 12px; padding: 0; font-size: 14px; }
.facts li { border: 1px solid var(--line); border-radius: 8px; padding: 1px 8px; }
.note { color: var(--muted); font-size: 14px; }
summary { cursor: pointer; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
/* takes the focus so that the caption is read aloud */
h2:focus-visible { outline: none; }
`;
