/** Of the HTML report. */
export const STYLE = `
:root { color-scheme: light dark; --ink: #1b1f24; --dim: #59636e; --paper: #fff; --line: #d1d9e0; --note: #fff8c5; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --dim: #9198a1; --paper: #0d1117; --line: #3d444d; --note: #3a2f0b; }
}
body { margin: 2rem auto; max-width: 90rem; padding: 0 1rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1rem; } dt { color: var(--dim); } dd { margin: 0; }
.notes { background: var(--note); border: 1px solid var(--line); padding: .25rem 1rem; }
.notes h2 { margin-top: .5rem; }
.tiles { display: flex; flex-wrap: wrap; gap: .5rem; padding: 0; list-style: none; }
.tiles li { border: 1px solid var(--line); padding: .5rem 1rem; color: var(--dim); }
.tiles b { display: block; font-size: 1.3rem; color: var(--ink); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { border: 1px solid var(--line); padding: .25rem .5rem; text-align: left; vertical-align: top; }
th { position: sticky; top: 0; background: var(--paper); }
time, td:first-child { white-space: nowrap; }
small { display: block; color: var(--dim); overflow-wrap: anywhere; }
@media print {
  :root { color-scheme: light; --ink: #000; --dim: #444; --paper: #fff; --line: #999; --note: #fff; }
  @page { size: A4 landscape; margin: 12mm; }
  body { margin: 0; max-width: none; padding: 0; font-size: 9pt; }
  .wide { overflow: visible; } table { font-size: 7pt; } time { white-space: normal; }
  thead { display: table-header-group; } th { position: static; } tr, .tiles li { break-inside: avoid; } h2 { break-after: avoid; }
}
`;
