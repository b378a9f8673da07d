/** Colours keep WCAG AA's contrast in both schemes, and differ in lightness too: nothing is told by red and green. */
const COLOURS = `
:root {
  color-scheme: light dark;
  --paper: #f5f4f0; --card: #fff; --ink: #1b2227; --dim: #566169; --line: #dedbd3; --hover: #f0eee8;
  --well: #1d7282; --watch: #8a5200; --out: #a5301a; --fill: #3f93a3; --track: #e6e3dc;
  --well-tint: #e9f3f4; --watch-tint: #fdf3e0; --out-tint: #fcece7; --lost-tint: #e9e8e5;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #11161a; --card: #192025; --ink: #e3e8ea; --dim: #9ba8b0; --line: #2c363d; --hover: #222b31;
    --well: #6cc0cf; --watch: #e8b55c; --out: #ff9478; --fill: #3e8e9d; --track: #2a343a;
    --well-tint: #14272c; --watch-tint: #2b2313; --out-tint: #331d18; --lost-tint: #20272c;
  }
}
`;

const BASE = `
* { box-sizing: border-box; }
[hidden] { display: none !important; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.45 system-ui, -apple-system, "Segoe UI", sans-serif;
  font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
h1, h2, h3, p, ul, dl, dd { margin: 0; padding: 0; }
h1 { font-size: clamp(1.35rem, 1rem + 1.8vw, 2rem); line-height: 1.2; letter-spacing: -.015em; font-weight: 650; text-wrap: balance; }
h2 { font-size: 1.05rem; font-weight: 650; }
h3 { font-size: .95rem; font-weight: 650; }
ul { list-style: none; }
dt, .note, .more, .empty, .when { color: var(--dim); }
.more, .empty, .note, .when { font-size: .85rem; }
.more { margin-top: .4rem; }
.top, main { max-width: 78rem; margin: 0 auto; padding: 0 1.25rem; }
.top { display: flex; flex-wrap: wrap; gap: 0 1rem; align-items: baseline; padding-top: .9rem; padding-bottom: .75rem; }
.product { font-weight: 650; }
.where { color: var(--dim); flex: 1 1 auto; }
.connection { color: var(--dim); font-size: .85rem; min-width: 8.5rem; text-align: right; }
.connection::before { content: ""; display: inline-block; width: .5rem; height: .5rem; border-radius: 50%; background: var(--fill);
  margin-right: .45rem; }
.connection.lost { color: var(--ink); font-weight: 600; }
.connection.lost::before { background: none; border: 2px solid var(--dim); }
main { padding-bottom: 3rem; }
section { margin-top: 1.75rem; }
.section-head { display: flex; flex-wrap: wrap; gap: .15rem 1.25rem; align-items: baseline; justify-content: space-between; }
h2, .section-head { margin-bottom: .6rem; }
.section-head h2 { margin: 0; }
.loading { padding: 1.5rem 0; color: var(--dim); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: .85rem 1rem; min-width: 0; }
.cards { display: grid; gap: .75rem; }
.environments { grid-template-columns: repeat(auto-fill, minmax(min(100%, 21rem), 1fr)); }
.partitions { grid-template-columns: repeat(auto-fit, minmax(min(100%, 30rem), 1fr)); }
.columns-two { display: grid; gap: .75rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 30rem), 1fr)); align-items: start; }
#content { transition: opacity .3s .3s, filter .3s .3s; }
#content.stale { opacity: .62; filter: grayscale(1); }
@media (prefers-reduced-motion: reduce) { #content { transition: none; } }
`;

const HEADLINE = `
.headline { --level: var(--dim); --tint: var(--lost-tint); --sign: "–"; margin: 0; background: var(--tint); border: 1px solid var(--line);
  border-left: 6px solid var(--level); border-radius: 10px; padding: 1.1rem 1.25rem; min-height: 5.6rem; }
.headline.well { --level: var(--well); --tint: var(--well-tint); --sign: "✓"; }
.headline.watch { --level: var(--watch); --tint: var(--watch-tint); --sign: "!"; }
.headline.out { --level: var(--out); --tint: var(--out-tint); --sign: "✕"; }
.headline h1 { display: flex; gap: .65rem; align-items: baseline; }
.headline h1::before { content: var(--sign); content: var(--sign) / ""; color: var(--level); font-weight: 700; min-width: .8em; text-align: center; }
#headline-detail { margin-top: .3rem; }
.problems { display: grid; gap: 1rem; margin-top: .9rem; }
.problems:empty { display: none; }
.problem { border-top: 1px solid var(--line); padding-top: .9rem; display: grid; gap: .4rem; }
.problem:first-child { border-top: 0; padding-top: 0; }
.problem .facts { display: flex; flex-wrap: wrap; gap: .35rem 2.25rem; }
.problem .facts dt { font-size: .82rem; color: var(--ink); }
.problem .facts dd { font-size: 1.3rem; font-weight: 650; line-height: 1.25; }
.todo { max-width: 62rem; }
.runbook { font-size: .85rem; }
code { font: .92em ui-monospace, "SFMono-Regular", Menlo, Consolas, monospace; }
`;

const CARDS = `
.card-head { display: flex; gap: .6rem; align-items: center; min-height: 2rem; }
.card-head h3 { flex: 1 1 auto; min-width: 0; overflow: hidden; text-overflow: ellipsis; }
.badge { font-size: .8rem; font-weight: 600; border: 1px solid currentColor; border-radius: 99px; padding: .05rem .55rem; white-space: nowrap; }
.badge::before { margin-right: .35rem; }
.badge.well { color: var(--well); border-color: transparent; } .badge.well::before { content: "●"; content: "●" / ""; }
.badge.watch, .badge.paused { color: var(--watch); background: var(--watch-tint); } .badge.watch::before { content: "!"; content: "!" / ""; }
.badge.paused::before { content: "❚❚"; content: "❚❚" / ""; font-size: .6em; vertical-align: .12em; }
.badge.out { color: var(--out); background: var(--out-tint); } .badge.out::before { content: "✕"; content: "✕" / ""; }
.status { color: var(--dim); font-size: .88rem; min-height: 1.3em; }
.figures { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem; margin: .55rem 0 .7rem; }
.figure { display: flex; flex-direction: column-reverse; }
.figure dt { font-size: .82rem; }
.figure dd { font-size: 1.5rem; line-height: 1.2; font-weight: 600; letter-spacing: -.01em; white-space: nowrap; }
.lines { display: grid; gap: .3rem; font-size: .85rem; border-top: 1px solid var(--line); padding-top: .6rem; }
.line { display: grid; grid-template-columns: 6rem 1fr; gap: 0 .5rem; }
.bar { height: 5px; border-radius: 3px; background: var(--track); overflow: hidden; }
.line .bar { grid-column: 2; margin-top: .25rem; }
.fill { display: block; height: 100%; width: var(--share, 0%); background: var(--fill); }
.partition .facts { display: grid; grid-template-columns: 1fr 1fr 1.3fr; gap: .25rem 1rem; font-size: .85rem; }
.partition .facts dd { font-size: .95rem; font-weight: 600; }
.partition .ledger .bar { margin-top: .15rem; }
.batches { margin-top: .7rem; border-top: 1px solid var(--line); padding-top: .65rem; }
.strip { display: grid; grid-template-columns: fit-content(32%) 1fr auto; gap: .6rem; align-items: start; }
.names, .counts { display: grid; grid-auto-rows: 14px; font-size: 12px; line-height: 12px; min-width: 0; }
.names span { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.counts { text-align: right; color: var(--dim); min-width: 2.2rem; }
.columns { display: flex; gap: 1px; overflow: hidden; min-width: 0; min-height: 14px; }
.batch { flex: 0 1 10px; min-width: 4px; display: grid; grid-auto-rows: 11px; row-gap: 3px; align-content: start; }
.batch:hover { background: var(--hover); }
.block { display: block; height: 11px; border-radius: 2px; }
.mark-a { background: var(--fill); }
.mark-w { box-shadow: inset 0 0 0 1.5px var(--watch); }
.mark-s { background: linear-gradient(var(--watch) 38%, transparent 38% 62%, var(--watch) 62%); }
.mark-r { background: linear-gradient(135deg, var(--out) 38%, var(--card) 38% 62%, var(--out) 62%); }
.mark-n { background: linear-gradient(transparent 42%, var(--dim) 42% 58%, transparent 58%); }
.mark-d { background: var(--fill); opacity: .45; }
.legend { display: flex; flex-wrap: wrap; gap: .1rem 1rem; font-size: .85rem; color: var(--dim); }
.legend li { display: flex; gap: .4rem; align-items: center; }
.legend .block { width: 10px; }
`;

const TABLES = `
.totals { display: flex; flex-wrap: wrap; gap: .1rem 1.1rem; font-size: .88rem; }
.totals div { display: flex; flex-direction: row-reverse; gap: .3rem; }
.totals dd { font-weight: 650; }
table { border-collapse: collapse; width: 100%; font-size: .85rem; }
th { text-align: left; font-weight: 400; color: var(--dim); position: sticky; top: 0; background: var(--card); }
th:first-child, td:first-child, th:last-child { white-space: nowrap; }
th, td { padding: .22rem .75rem .22rem 0; vertical-align: top; border-bottom: 1px solid var(--line); }
th:last-child, td:last-child { padding-right: 0; }
tr:last-child td { border-bottom: 0; }
.scroll { max-height: 21rem; overflow-y: auto; margin-top: .5rem; scrollbar-width: thin; }
.reasons { display: flex; flex-wrap: wrap; gap: .3rem .5rem; margin-top: .5rem; }
.reasons div { display: flex; gap: .45rem; border: 1px solid var(--line); border-radius: 6px; padding: .1rem .5rem; font-size: .85rem; }
.reasons dt { color: var(--ink); } .reasons dd { font-weight: 650; }
.empty { margin-top: .4rem; }
.replica { display: grid; gap: .6rem 1.5rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 15rem), 1fr)); }
.replica dt { font-size: .82rem; }
`;

const CONTROLS = `
a { color: var(--well); }
button, input { font: inherit; color: inherit; }
button { border-radius: 7px; padding: .3rem .8rem; border: 1px solid var(--line); background: var(--card); cursor: pointer; }
.card-head button { font-size: .85rem; min-width: 5.2rem; }
button:hover { background: var(--hover); }
button.strong { background: var(--ink); color: var(--card); border-color: var(--ink); font-weight: 600; }
button:disabled { opacity: .55; cursor: default; }
:focus-visible { outline: 2.5px solid var(--well); outline-offset: 2px; }
dialog { border: 1px solid var(--line); border-radius: 12px; background: var(--card); color: var(--ink); padding: 1.25rem 1.4rem;
  max-width: min(30rem, calc(100vw - 2rem)); box-shadow: 0 12px 40px rgb(0 0 0 / .28); }
dialog::backdrop { background: rgb(10 14 17 / .45); }
dialog h2 { font-size: 1.15rem; }
.field { margin-top: .9rem; display: grid; gap: .3rem; }
input { width: 100%; padding: .45rem .6rem; border: 1px solid var(--dim); border-radius: 7px; background: var(--paper); }
.problem-text { margin-top: .8rem; color: var(--out); font-weight: 600; }
.buttons { margin-top: 1.2rem; display: flex; flex-wrap: wrap; gap: .6rem; justify-content: flex-end; }
@media (max-width: 34rem) {
  .top, main { padding-left: .8rem; padding-right: .8rem; }
  .headline { padding: .9rem 1rem; }
  .connection { min-width: 0; text-align: left; }
  .problem .facts { display: grid; grid-template-columns: 1fr 1fr; gap: .6rem 1rem; }
  .problem .facts dd { font-size: 1.12rem; }
  .card { padding: .75rem .8rem; }
  .line { grid-template-columns: 5.4rem 1fr; }
  table { font-size: .8rem; }
  .replica { grid-template-columns: 1fr 1fr; }
  th, td { padding-right: .5rem; }
}
@media (forced-colors: active) {
  .mark-a { forced-color-adjust: none; background: CanvasText; }
  .mark-w { border: 1px solid CanvasText; }
  .mark-d { forced-color-adjust: none; background: GrayText; opacity: 1; }
  .fill { forced-color-adjust: none; background: Highlight; }
}
@media print { button { display: none; } }
`;

export const STYLE = [COLOURS, BASE, HEADLINE, CARDS, TABLES, CONTROLS].join("");
